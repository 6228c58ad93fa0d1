/* session_private.h - what the files of the session share: session.c (life, order of commands, deadlines),
 * session_connect.c (connect, refresh), session_subscribe.c (subscriptions), session_commands.c (the rest),
 * session_proxy.c (questions to the event proxy), session_expiry.c (subscriptions that expire),
 * session_limits.c (what is shared over connections).
 */
#ifndef STARLING_SERVER_SESSION_PRIVATE_H
#define STARLING_SERVER_SESSION_PRIVATE_H

#include "channels/permissions.h"
#include "server/auth.h"
#include "server/outbox.h"
#include "server/protocol.h"
#include "server/proxy.h"
#include "server/session.h"
#include "server/webhooks.h"

enum { TTL_MAX_S = 365 * 24 * 3600 }; /* PROTOCOL section 7.8 */

/* What a session has only while it connects. */
struct session_connect {
    uint32_t command_id;
    unsigned subs_pending; /* server-side subscriptions whose answer is not here yet */
    bool has_failed;       /* one of them could not be made */
    bool is_proxied;       /* the claims are the connect proxy's */
    uint64_t expire_at_s;
    struct buf subs;           /* items of protocol_add_sub() */
    struct outbox held;        /* frames that came before the connect reply */
    struct buf positions_text; /* connect.subs as sent: where the client was */
    struct connection_claims claims;
};

/* ---- session.c ---- */

/* The buffer that replies are encoded into: one per thread, empty. session_send() sends what is in it. */
struct buf *session_reply_buf(void);
void session_send_reply(struct session *session);
void session_reply_error(struct session *session, uint32_t id, enum status status);

/* Further commands wait until session_go_on(). */
void session_wait(struct session *session);
void session_go_on(struct session *session);

/* An op that points to the session starts; when it is back, session_op_done() says whether the session still
 * lives (a closed one is freed with its last op). */
void session_start_op(struct session *session, struct op *op);
bool session_op_done(struct session *session);

static inline bool session_is_open(const struct session *session)
{
    return session->state != SESSION_CLOSED;
}

struct client_view session_view(const struct session *session, bool is_subscribed);

/* Encodes the ClientInfo of this session into `out`; chan_info is raw JSON or empty. */
void session_append_info(const struct session *session, struct str chan_info, struct buf *out);

/* Tells the webhooks what happened to this session; `channel` where it was in one. */
void session_tell(struct session *session, enum webhook_event event, struct str channel);

/* Gives the place in its user's quota back. */
void session_give_back_user(struct session *session);

/* Copies a text to the heap; .at is NULL without memory (and for an empty text, which needs none). */
struct str session_copy_text(struct str text);

/* Seconds from now until the Unix second `expire_at_s`, at most TTL_MAX_S; 0 when it has passed. */
uint32_t session_ttl_s(uint64_t expire_at_s);

/* A command that is refused because of what is configured. */
struct session_refusal {
    const char *event; /* of the log line */
    uint32_t command_id;
    enum status status;
    struct str channel;
    const struct channel_options *options; /* NULL: the channel's name was refused */
    struct refusal why;
};

/* Logs the refusal with rule and option, and replies with an error. The reply explains itself in dev mode; in
 * production it has the standard text, since the configuration is nobody's business there. */
void session_refuse(struct session *session, const struct session_refusal *refusal);

/* ---- the commands, one function each: called with state CONNECTED, but for connect ---- */

void session_on_connect(struct session *session, const struct command *command);
void session_on_refresh(struct session *session, const struct command *command);
void session_on_subscribe(struct session *session, const struct command *command);
void session_on_unsubscribe(struct session *session, const struct command *command);
void session_on_sub_refresh(struct session *session, const struct command *command);
void session_on_publish(struct session *session, const struct command *command);
void session_on_presence(struct session *session, const struct command *command);
void session_on_presence_stats(struct session *session, const struct command *command);
void session_on_history(struct session *session, const struct command *command);
void session_on_rpc(struct session *session, const struct command *command);

/* Runs the function of the command's kind. */
void session_handle(struct session *session, const struct command *command);

/* ---- session_limits.c ---- */

/* Asks the limits that the command's user, address or channel share over connections. true: the command waits
 * for the answers (further ones wait behind it), then it is handled or refused; false: nothing to ask. */
bool session_limits_hold(struct session *session, const struct command *command);

/* Gives back one place of limits.user_channel_limit. */
void session_give_back_channel(struct session *session);

/* ---- session_proxy.c ---- */

enum { PROXY_GRACE_MS = 60000 }; /* what a refresh that fails gives (SERVER_API section 6.3) */

/* Runs when a question is answered and the session is still open. `text` is what session_ask() was given. */
typedef void session_on_proxy_reply(struct session *session, struct str text, const struct proxy_reply *reply,
                                    struct buf *scratch);

/* Asks, with client, transport, user and meta filled in; `text` is copied. false: no memory. */
bool session_ask(struct session *session, struct proxy *proxy, enum proxy_event event,
                 struct proxy_request *request, struct str text, session_on_proxy_reply *on_reply);

/* The same for a command: further ones wait until `on_reply`, which gets the command's text, calls
 * session_go_on(). Without memory the command is answered with an error. */
void session_ask_for_command(struct session *session, struct proxy *proxy, enum proxy_event event,
                             struct proxy_request *request, const struct command *command,
                             session_on_proxy_reply *on_reply);

/* Decodes a command's text once more; the texts with escapes go to `scratch`, which is released by the
 * caller. false: no memory. */
bool session_read_again(struct str text, struct command *command, struct buf *scratch);

/* Answers a command with a verdict that is no RESULT, or disconnects. */
void session_reply_verdict(struct session *session, uint32_t id, const struct proxy_reply *reply);

/* A result that cannot be used, as a verdict; logs it. */
struct proxy_reply session_malformed_result(const struct session *session, const char *event);

/* The connection's expiry has come: asks the refresh proxy, or closes. */
void session_on_expired(struct session *session);

/* ---- session_subscribe.c, for the others ---- */

struct session_sub_features {
    const struct channel_options *options;
    bool presence, join_leave; /* added to presence; announced */
    bool receives_join_leave;
    bool positioned, recoverable;
};

/* What a server-side subscription gets: namespace options with the overrides of a token or the API (-1:
 * unset). */
struct session_sub_features session_server_features(const struct channel_options *options,
                                                    const struct token_override *override);

struct session_sub_start {
    struct str channel;
    struct session_sub_features features;
    struct str chan_info; /* raw JSON or empty */
    uint64_t expire_at_s;
    bool is_server_side, is_from_token, is_refreshed_by_proxy;
    bool is_recovering, is_cache_mode;
    bool must_recover; /* else error 112, and not subscribed */
    struct position since;
    void (*done)(struct op *op);
    uint32_t command_id;
    void *context2;
};

/* Makes the local row and starts the op; `done` gets it with op->context = session. OK, NO_MEMORY. */
enum status session_begin_subscription(struct session *session, const struct session_sub_start *start);

/* To be called first in `done` of such an op: false when the session has gone; the subscription is cleaned up
 * then, and the op is freed. */
bool session_subscription_arrived(struct session *session, struct op *op);

/* Takes a subscription out and tells the channel's home. `done` may be NULL. */
void session_end_subscription(struct session *session, struct subscription *subscription,
                              void (*done)(struct op *), uint32_t command_id);

/* Only forgets the row: its op did not succeed, so the home knows nothing of it. */
void session_forget_subscription(struct session *session, struct subscription *subscription);

/* Fills a view from an answered OP_SUBSCRIBE; recovered publications go to `publications`, which the view
 * points to. */
void session_subscribe_result(const struct session *session, const struct op *op, struct buf *publications,
                              struct subscribe_view *view);

/* Frees extra of a subscription. */
void session_free_extra(struct subscription *subscription);

/* ---- session_expiry.c ---- */

/* Ends what has expired by `now_ms`, and sets sub_expire_due_ms again. */
void session_expire_subscriptions(struct session *session, uint64_t now_ms);

/* How long after its expiry a subscription ends: the client's time to refresh it. */
uint64_t session_sub_grace_ms(const struct session *session, const struct session_subscription *extra);

/* Sets when it expires; 0: never. */
void session_set_sub_expiry(struct session *session, struct session_subscription *extra,
                            uint64_t expire_at_s);

#endif

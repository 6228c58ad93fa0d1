/* session.h - one client of the protocol: its state, its commands, its subscriptions.
 *
 *     NEW ─ connect ─▶ CONNECTING ─ reply ─▶ CONNECTED ─┐
 *      └── no connect in time, error ───────────────────┴─▶ CLOSED ─ all its ops are back ─▶ freed
 *
 * Commands are handled in order. One whose outcome others may depend on (connect, subscribe) stops the
 * reading of further commands until it is decided; what arrives meanwhile waits in `stash`. Others (publish,
 * presence, history) run side by side and their replies may come in any order, as the protocol allows.
 *
 * While CONNECTING the server-side subscriptions are already live, and what they deliver is held back until
 * the connect reply is out.
 *
 * A session outlives its connection until every op that points to it has come back (subscriber.ops_pending),
 * and is freed at the end of that turn.
 *
 * Thread: the worker's.   Memory: a slab object; texts on the heap.   Source: PROTOCOL sections 3 to 7, 9
 * to 11.
 */
#ifndef STARLING_SERVER_SESSION_H
#define STARLING_SERVER_SESSION_H

#include "channels/base/buf.h"
#include "channels/base/random.h"
#include "channels/hub.h"
#include "server/disconnect.h"
#include "server/rate.h"

struct connection;
struct proxy_headers;
struct user;
struct worker;

enum session_state { SESSION_NEW, SESSION_CONNECTING, SESSION_CONNECTED, SESSION_CLOSED };

enum { SESSION_MAGIC = 0x53455353 };

struct session {
    struct subscriber subscriber;
    uint32_t magic;
    uint8_t state;          /* enum session_state */
    bool is_waiting;        /* a command is being decided: further ones go to `stash` */
    bool is_held;           /* commands wait in `stash` until the client has read more of its queue */
    bool was_refused;       /* connect was answered with an error: no command is accepted any more */
    uint8_t pongs_due;      /* pings not answered yet: several after a stall or while a backend is asked */
    bool pings_by_frame;    /* WebSocket ping frames instead of {} (PROTOCOL section 1.1) */
    bool is_user_counted;   /* holds a place in the quota of its user */
    bool has_channel_place; /* and one for a channel it is about to subscribe to */
    bool is_refreshed_by_proxy; /* when it expires the refresh proxy is asked, not the client */
    struct worker *worker;
    struct connection *connection; /* NULL once CLOSED */
    struct user *user;             /* from CONNECTING on */
    struct link in_user;           /* the user's sessions on this worker */
    struct link in_ended;          /* worker->ended */
    char client[UUID_TEXT_LEN];
    struct rate command_rate;
    struct str info;                    /* conn_info: raw JSON, owned; empty: none */
    struct str meta;                    /* raw JSON, owned */
    struct proxy_headers *headers;      /* of the client, for proxies; NULL: none that is passed on */
    unsigned close_code;                /* what it was disconnected with, and why; 0: the client left */
    struct str close_reason;            /* while it is being closed */
    uint64_t connected_ms;              /* wall clock */
    uint64_t expire_due_ms;             /* monotonic: when the expired connection is closed, or the refresh
                                           proxy is asked; 0: never */
    uint64_t ping_due_ms;               /* next ping; before CONNECTED: when the client is stale */
    uint64_t pong_due_ms;               /* while pongs_due */
    uint64_t sub_expire_due_ms;         /* the earliest of the subscriptions' expiries; 0: none */
    struct buf stash;                   /* commands that wait */
    char *cookie_user;                  /* of the upgrade's cookie, owned; NULL: none. Until it connects */
    struct session_connect *connecting; /* while CONNECTING */
};

/* Flags of our own in subscription.flags. */
enum session_subscription_flags {
    SESSION_SUBSCRIPTION_STARTING = SUBSCRIPTION_USER_1,        /* its OP_SUBSCRIBE is on the way */
    SESSION_SUBSCRIPTION_FROM_TOKEN = SUBSCRIPTION_USER_1 << 1, /* named by the connection token */
    SESSION_SUBSCRIPTION_COUNTED = SUBSCRIPTION_USER_1 << 2, /* holds a place of limits.user_channel_limit */
};

/* What few subscriptions have: subscription.extra, NULL without. Owned by the session. */
struct session_subscription {
    uint64_t expire_due_ms; /* monotonic; 0: never */
    struct str info;        /* chan_info: raw JSON, owned */
    bool is_refreshed_by_proxy;
    bool is_asked_for; /* the sub_refresh proxy has not answered yet */
};

/* A new session on an open WebSocket. NULL without memory. */
struct session *session_open(struct worker *worker);
/* Frees one that was not started. NULL is fine. */
void session_discard(struct session *session);
/* Who it is where it connects without a token; an empty `user` is nobody. false: no memory. */
bool session_set_cookie_user(struct session *session, struct str user);
/* Binds it to its connection; the deadline for connect starts. */
void session_start(struct session *session, struct connection *connection);

/* One whole message of the client, borrowed. */
void session_on_message(struct session *session, struct str message, bool is_binary);
/* Enough of the queue was written for commands that were held back. */
void session_on_flushed(struct session *session);
/* A WebSocket pong frame came. */
void session_on_pong(struct session *session);
/* The connection has gone or is closing: leaves all channels. Called once, by the connection. */
void session_on_gone(struct session *session);

/* Frees the sessions that ended in this turn: the end of the turn. */
void session_free_ended(struct worker *worker);

/* When session_on_due() wants to run: monotonic ms. */
uint64_t session_due_ms(const struct session *session);
void session_on_due(struct session *session, uint64_t now_ms);

/* Ends the session: close frame with the code and reason. Not twice. */
void session_disconnect(struct session *session, const struct disconnect *disconnect);

/* ---- what the server API does to a session; each is fine in any state and does nothing unless CONNECTED
 * ---- */

struct session_subscribe_options {
    struct str channel;
    struct str info, data; /* raw JSON; empty: none. data goes into the subscribe push */
    uint64_t expire_at_s;  /* wall clock; 0: never */
    bool has_recover_since;
    struct position recover_since;
    /* Instead of the namespace's options: -1 unset, 0 false, 1 true. */
    signed char presence, join_leave, force_push_join_leave, force_recovery, force_positioning;
};

/* Subscribes on the server's behalf; the client gets a subscribe push. Nothing happens where it is subscribed
 * already. */
void session_subscribe(struct session *session, const struct session_subscribe_options *options);
/* Ends one subscription, or all where `channel` is empty, with an unsubscribe push. */
void session_unsubscribe(struct session *session, struct str channel, const struct unsubscribe *unsubscribe);
/* Sets a new expiry (`expire_at_s` 0: never) and, where `info` is not empty, conn_info; the client gets a
 * refresh push. `is_expired`: closes with 3005. */
void session_refresh(struct session *session, bool is_expired, uint64_t expire_at_s, struct str info);

static inline struct str session_client(const struct session *session)
{
    return str_make(session->client, UUID_TEXT_LEN);
}

#endif

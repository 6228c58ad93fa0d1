/* permissions.h - which channel names exist, and who may do what in them.
 *
 * Pure functions of a name, the options of its namespace and what is known of the client: no state, no I/O.
 * The caller handles what decides before these rules do (a subscription token, an event proxy). Each permit
 * function can tell which rule refused and which option would change that, so that an operator need not
 * guess. Source: PROTOCOL section 10.
 *
 * Thread: any; struct channel_rules never changes once the server runs. Memory: nothing is allocated; options
 * handed out are borrowed from the rules. Limits: max_length bytes of a name (config channel.max_length).
 */
#ifndef STARLING_CHANNELS_PERMISSIONS_H
#define STARLING_CHANNELS_PERMISSIONS_H

#include "channels/base/buf.h"
#include "channels/channel_options.h"
#include "channels/status.h"

struct channel_rules {
    size_t max_length; /* bytes */
    /* Each is one printable ASCII character, or '\0' where its rule is switched off. */
    char private_prefix;
    char namespace_boundary;
    char user_boundary;
    char user_separator;
    struct channel_options without_namespace;
    struct channel_options *namespaces; /* in the order of channel_rules_sort() */
    size_t namespace_count;
};

/* The rules of an empty configuration: 255 bytes, '$' ':' '#' ',', no namespaces, nothing allowed. */
struct channel_rules channel_rules_default(void);

/* Orders the namespaces for lookup; call it whenever they changed. false: a name occurs twice. */
bool channel_rules_sort(struct channel_rules *rules);

/* The namespace of that name, borrowed; the empty name means "without namespace". NULL: unknown. O(log n). */
const struct channel_options *channel_rules_find(const struct channel_rules *rules, struct str name);

/* Why a name or a client was refused: static texts. Written only when it is. */
struct refusal {
    const char *rule;   /* "anonymous clients may not publish" */
    const char *option; /* the option that would change it; "" where none would */
};

/* Checks a channel's name and finds its options, borrowed from `rules`. BAD_REQUEST (107): empty, too long,
 * not UTF-8, a control character, not ASCII in a namespace without channel_regex, or not matching it;
 * UNKNOWN_CHANNEL (102): the namespace does not exist. */
enum status channel_rules_resolve(const struct channel_rules *rules, struct str channel,
                                  const struct channel_options **out);

/* The same, and says which rule refused the name. `why` may be NULL. */
enum status channel_rules_resolve_why(const struct channel_rules *rules, struct str channel,
                                      const struct channel_options **out, struct refusal *why);

/* The name's namespace, as a slice of it: what stands before the first boundary, without the private prefix.
 * Empty where the name has no boundary. */
struct str channel_namespace(const struct channel_rules *rules, struct str channel);

/* Starts with the private prefix: only a subscription token opens it. */
bool channel_is_private(const struct channel_rules *rules, struct str channel);

/* Has a user boundary, and the namespace allows user-limited channels. Without that option the boundary is a
 * character like others. */
bool channel_is_user_limited(const struct channel_rules *rules, const struct channel_options *options,
                             struct str channel);

/* Is `user` one of the comma-separated users after the last boundary? Anonymous users (empty) never are. */
bool channel_allows_user(const struct channel_rules *rules, struct str channel, struct str user);

/* Writes the name of the user's personal channel, `#user` or `namespace:#user`, and its length; no NUL.
 * false: it does not fit into `size` bytes or into max_length, the user is anonymous, or the ID contains a
 * boundary that would make the name list somebody else ("42,43"). Whether the name is a good one in its
 * namespace is for channel_rules_resolve() to say. */
bool channel_personal_name(const struct channel_rules *rules, struct str namespace_name, struct str user,
                           char *out, size_t size, size_t *out_len);

/* What the rules look at. */
struct client_view {
    struct str user;    /* empty = anonymous */
    bool is_insecure;   /* config client.insecure: what is configured is allowed to everyone */
    bool is_subscribed; /* to the channel in question */
};

/* Subscribing without a token. First that decides: the private prefix (103), the list of a user-limited
 * channel, allow_subscribe_for_client (and _for_anonymous), client.insecure; else 103. `why` may be NULL. */
enum status permit_subscribe(const struct channel_rules *rules, const struct channel_options *options,
                             struct str channel, const struct client_view *client, struct refusal *why);

/* 103 unless allow_publish_for_client, or _for_subscriber and subscribed; anonymous users need _for_anonymous
 * as well; client.insecure allows it. `why` may be NULL. */
enum status permit_publish(const struct channel_options *options, const struct client_view *client,
                           struct refusal *why);

/* 108 where the namespace keeps no history, whoever asks; then as permit_publish() with allow_history_*. */
enum status permit_history(const struct channel_options *options, const struct client_view *client,
                           struct refusal *why);

/* 108 where the namespace keeps no presence; then as permit_publish() with allow_presence_*. */
enum status permit_presence(const struct channel_options *options, const struct client_view *client,
                            struct refusal *why);

/* Appends a refusal in words: "permission denied: namespace 'chat' has allow_publish_for_client off". Without
 * an option the rule stands in its place. `options` is NULL where the name was refused. */
void refusal_append(struct buf *out, enum status status, const struct refusal *why,
                    const struct channel_options *options);

#endif

/* channel_options.h - what may happen in a channel: the options of one namespace.
 *
 * One row per option: field, key in the configuration, type, default, smallest and largest value (in the unit
 * of the field), meaning. The row makes the field here and the parser, the range check, the help and the
 * README's table in server/config.c. Names and effects are those of SERVER_API section 7. Options of features
 * that this server does not have are no rows, so that nobody believes they work.
 *
 * Thread: any; a struct channel_options never changes once the server runs. Memory: the configuration owns it
 * with its name and its regular expression.
 */
#ifndef STARLING_CHANNELS_CHANNEL_OPTIONS_H
#define STARLING_CHANNELS_CHANNEL_OPTIONS_H

#include "channels/base/str.h"

#include <regex.h>

/* How a subscriber that comes back gets what it missed: everything since its offset, or the last value. */
enum recovery_mode { RECOVERY_STREAM, RECOVERY_CACHE };

/* What published data must be. ANY: not empty. BINARY is accepted and checks nothing over JSON transports. */
enum data_format { DATA_FORMAT_ANY, DATA_FORMAT_JSON, DATA_FORMAT_JSON_OBJECT, DATA_FORMAT_BINARY };

/* What happens to a subscriber that does not keep up: it is closed and recovers, or publications that were
 * overtaken by a newer one of the same channel are dropped and counted, for feeds whose old values are worth
 * nothing. */
enum overflow_policy { OVERFLOW_DISCONNECT, OVERFLOW_LATEST_ONLY };

/* clang-format off */
#define CHANNEL_OPTIONS(X)                                                                                             \
    /* field                         key                           type           default min max            meaning */ \
    X(presence,                      "presence",                      boolean,       "false",    0, 1, "keep who is subscribed") \
    X(join_leave,                    "join_leave",                    boolean,       "false",    0, 1, "produce join and leave pushes") \
    X(force_push_join_leave,         "force_push_join_leave",         boolean,       "false",    0, 1, "send join and leave to subscribers that did not ask") \
    X(history_size,                  "history_size",                  uint,          "0",        0, 1000000, "publications kept; with history_ttl turns history on, 0 = none kept") \
    X(history_ttl_ms,                "history_ttl",                   ms,            "0s",       0, 315360000000, "how long publications are kept, in whole seconds; 0 = none kept") \
    X(history_meta_ttl_ms,           "history_meta_ttl",              ms,            "0s",       0, 315360000000, "how long offset and epoch outlive the last publication; 0 = channel.history_meta_ttl") \
    X(force_positioning,             "force_positioning",             boolean,       "false",    0, 1, "track the position of every subscriber") \
    X(allow_positioning,             "allow_positioning",             boolean,       "false",    0, 1, "track the position of subscribers that ask") \
    X(force_recovery,                "force_recovery",                boolean,       "false",    0, 1, "every subscriber recovers what it missed") \
    X(allow_recovery,                "allow_recovery",                boolean,       "false",    0, 1, "subscribers that ask recover what they missed") \
    X(force_recovery_mode,           "force_recovery_mode",           recovery_mode, "stream",   0, 1, "what recovery sends: the missed stream or the last value") \
    X(auto_cache_recover,            "auto_cache_recover",            boolean,       "false",    0, 1, "in cache mode, send the last value on every subscribe") \
    X(overflow,                      "overflow",                      overflow_policy, "disconnect", 0, 1, "what happens to slow readers: closed and recover, or only the latest publication is kept for them") \
    X(write_delay_ms,                "write_delay",                   ms,            "0s",       0, 100, "how long a publication may wait for others to leave in the same write; 0 = not at all") \
    X(allow_subscribe_for_client,    "allow_subscribe_for_client",    boolean,       "false",    0, 1, "users may subscribe without a token") \
    X(allow_subscribe_for_anonymous, "allow_subscribe_for_anonymous", boolean,       "false",    0, 1, "anonymous clients count as users for allow_subscribe_for_client") \
    X(allow_publish_for_client,      "allow_publish_for_client",      boolean,       "false",    0, 1, "users may publish") \
    X(allow_publish_for_subscriber,  "allow_publish_for_subscriber",  boolean,       "false",    0, 1, "users who are subscribed may publish") \
    X(allow_publish_for_anonymous,   "allow_publish_for_anonymous",   boolean,       "false",    0, 1, "anonymous clients count as users for the allow_publish options") \
    X(allow_presence_for_client,     "allow_presence_for_client",     boolean,       "false",    0, 1, "users may ask who is subscribed") \
    X(allow_presence_for_subscriber, "allow_presence_for_subscriber", boolean,       "false",    0, 1, "users who are subscribed may ask who is subscribed") \
    X(allow_presence_for_anonymous,  "allow_presence_for_anonymous",  boolean,       "false",    0, 1, "anonymous clients count as users for the allow_presence options") \
    X(allow_history_for_client,      "allow_history_for_client",      boolean,       "false",    0, 1, "users may read history") \
    X(allow_history_for_subscriber,  "allow_history_for_subscriber",  boolean,       "false",    0, 1, "users who are subscribed may read history") \
    X(allow_history_for_anonymous,   "allow_history_for_anonymous",   boolean,       "false",    0, 1, "anonymous clients count as users for the allow_history options") \
    X(allow_user_limited_channels,   "allow_user_limited_channels",   boolean,       "false",    0, 1, "names like dialog#42,43 admit the listed users") \
    X(channel_regex,                 "channel_regex",                 regex,         "",         0, 0, "POSIX extended expression for the name after the namespace; also admits UTF-8") \
    X(publication_data_format,       "publication_data_format",       data_format,   "",         0, 3, "check of published data; empty = channel.publication_data_format") \
    X(subscribe_proxy_enabled,       "subscribe_proxy_enabled",       boolean,       "false",    0, 1, "ask a proxy who may subscribe without a token") \
    X(subscribe_proxy_name,          "subscribe_proxy_name",          text,          "default",  0, 0, "which: a name of proxies, or default = channel.proxy.subscribe") \
    X(publish_proxy_enabled,         "publish_proxy_enabled",         boolean,       "false",    0, 1, "ask a proxy about publications of clients") \
    X(publish_proxy_name,            "publish_proxy_name",            text,          "default",  0, 0, "which: a name of proxies, or default = channel.proxy.publish") \
    X(sub_refresh_proxy_enabled,     "sub_refresh_proxy_enabled",     boolean,       "false",    0, 1, "ask a proxy when a subscription without a token expires") \
    X(sub_refresh_proxy_name,        "sub_refresh_proxy_name",        text,          "default",  0, 0, "which: a name of proxies, or default = channel.proxy.sub_refresh")
/* clang-format on */

/* The C type of each row type. A regex is NULL where none is set; texts never are, once the options come from
 * a configuration. */
#define CHANNEL_FIELD_boolean bool
#define CHANNEL_FIELD_uint uint32_t
#define CHANNEL_FIELD_ms uint64_t
#define CHANNEL_FIELD_recovery_mode enum recovery_mode
#define CHANNEL_FIELD_data_format enum data_format
#define CHANNEL_FIELD_overflow_policy enum overflow_policy
#define CHANNEL_FIELD_regex regex_t *
#define CHANNEL_FIELD_text const char *

struct channel_options {
    struct str name; /* of the namespace; empty for channels without one */
#define CHANNEL_FIELD(field, key, type, value, min, max, meaning) CHANNEL_FIELD_##type field;
    CHANNEL_OPTIONS(CHANNEL_FIELD)
#undef CHANNEL_FIELD
};

/* History exists where both its size and its life are set. */
static inline bool channel_has_history(const struct channel_options *options)
{
    return options->history_size > 0 && options->history_ttl_ms > 0;
}

/* Every subscriber's position is checked, by positioning itself or because recovery needs it. */
static inline bool channel_forces_positioning(const struct channel_options *options)
{
    return options->force_positioning || options->force_recovery;
}

#endif

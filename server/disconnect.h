/* disconnect.h - why a connection or a subscription ends, as the client is told.
 *
 * The numbers are the client protocol's (PROTOCOL sections 11.2 and 11.3): SDKs decide by them alone whether
 * to come back. Thread: any; all of it is constant.
 */
#ifndef STARLING_SERVER_DISCONNECT_H
#define STARLING_SERVER_DISCONNECT_H

#include "channels/base/str.h"

/* A WebSocket close code with its reason, or the body of a disconnect push. Proxies and the API make others,
 * whose reason they own. */
struct disconnect {
    unsigned code;
    struct str reason;
};

/* clang-format off */
#define DISCONNECTS(X)                                                                                              \
    /* name                    code  reason */                                                                      \
    X(CONNECTION_CLOSED,       3000, "connection closed")       /* a plain close: no close frame is sent */         \
    X(SHUTDOWN,                3001, "shutdown")                                                                    \
    X(INTERNAL,                3004, "internal server error")                                                       \
    X(EXPIRED,                 3005, "connection expired")                                                          \
    X(SUBSCRIPTION_EXPIRED,    3006, "subscription expired")                                                        \
    X(SLOW,                    3008, "slow")                                                                        \
    X(WRITE_ERROR,             3009, "write error")                                                                 \
    X(INSUFFICIENT_STATE,      3010, "insufficient state")                                                          \
    X(FORCE_RECONNECT,         3011, "force reconnect")                                                             \
    X(NO_PONG,                 3012, "no pong")                                                                     \
    X(TOO_MANY_REQUESTS,       3013, "too many requests")                                                           \
    X(STATE_INVALIDATED,       3014, "state invalidated")       /* client drops token and positions first */        \
    X(INVALID_TOKEN,           3500, "invalid token")                                                               \
    X(BAD_REQUEST,             3501, "bad request")                                                                 \
    X(STALE,                   3502, "stale")                                                                       \
    X(FORCE_NO_RECONNECT,      3503, "force disconnect")        /* default of the disconnect API */                 \
    X(CONNECTION_LIMIT,        3504, "connection limit")                                                            \
    X(CHANNEL_LIMIT,           3505, "channel limit")                                                               \
    X(INAPPROPRIATE_PROTOCOL,  3506, "inappropriate protocol")  /* binary data to a JSON client */                  \
    X(PERMISSION_DENIED,       3507, "permission denied")                                                           \
    X(NOT_AVAILABLE,           3508, "not available")                                                               \
    X(TOO_MANY_ERRORS,         3509, "too many errors")
/* clang-format on */

#define DISCONNECT_ROW(name, code, reason) extern const struct disconnect DISCONNECT_##name;
DISCONNECTS(DISCONNECT_ROW)
#undef DISCONNECT_ROW

/* Does a client that sees this code stay away? 3500 to 3999 and 4500 to 4999; all others come back. */
bool disconnect_is_terminal(unsigned code);

/* What becomes of an error reply to a connect where there are no replies: unidirectional transports (PROTOCOL
 * section 12). `error_code` is one of section 11.1 or a proxy's. */
struct disconnect disconnect_from_error(unsigned error_code);

/* The body of an unsubscribe push. */
struct unsubscribe {
    unsigned code;
    struct str reason;
};

/* clang-format off */
#define UNSUBSCRIBES(X)                                                                                             \
    /* name                    code  reason */                                                                      \
    X(SERVER,                  2000, "server unsubscribe")                                                          \
    X(INSUFFICIENT_STATE,      2500, "insufficient state")                                                          \
    X(EXPIRED,                 2501, "expired")                                                                     \
    X(STATE_INVALIDATED,       2502, "state invalidated")
/* clang-format on */

#define UNSUBSCRIBE_ROW(name, code, reason) extern const struct unsubscribe UNSUBSCRIBE_##name;
UNSUBSCRIBES(UNSUBSCRIBE_ROW)
#undef UNSUBSCRIBE_ROW

/* Below 2500 the client stays unsubscribed; from there on it subscribes again. */
bool unsubscribe_is_final(unsigned code);

#endif

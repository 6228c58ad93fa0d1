/* status.h - every outcome of a request.
 *
 * One row per outcome: the name in the code, the code and message of an error reply (PROTOCOL section 11.1,
 * SERVER_API section 2) and whether the client may try again. Code 0 marks outcomes that never travel as they
 * are: whoever meets them maps them first (STATUS_INVALID_TOKEN is a disconnect on the wire).
 */
#ifndef STARLING_CHANNELS_STATUS_H
#define STARLING_CHANNELS_STATUS_H

#include "channels/base/str.h"

/* clang-format off */
#define STATUSES(X)                                                                                                 \
    /* name                    code  temporary  message */                                                          \
    X(OK,                      0,    false, "ok")                                                                   \
    X(INTERNAL,                100,  true,  "internal server error")                                                \
    X(UNAUTHORIZED,            101,  false, "unauthorized")                                                         \
    X(UNKNOWN_CHANNEL,         102,  false, "unknown channel")                                                      \
    X(PERMISSION_DENIED,       103,  false, "permission denied")                                                    \
    X(METHOD_NOT_FOUND,        104,  false, "method not found")                                                     \
    X(ALREADY_SUBSCRIBED,      105,  false, "already subscribed")                                                   \
    X(LIMIT_EXCEEDED,          106,  false, "limit exceeded")                                                       \
    X(BAD_REQUEST,             107,  false, "bad request")                                                          \
    X(NOT_AVAILABLE,           108,  false, "not available")                                                        \
    X(TOKEN_EXPIRED,           109,  false, "token expired")                                                        \
    X(EXPIRED,                 110,  false, "expired")                                                              \
    X(TOO_MANY_REQUESTS,       111,  true,  "too many requests")                                                    \
    X(UNRECOVERABLE_POSITION,  112,  false, "unrecoverable position")                                               \
    X(CONFLICT,                113,  true,  "conflict")                                                             \
    X(INVALID_TOKEN,           0,    false, "invalid token")                                                        \
    X(NO_MEMORY,               100,  true,  "internal server error")                                                \
    X(BUSY,                    100,  true,  "internal server error")
/* clang-format on */

enum status {
#define STATUS_ROW(name, code, temporary, message) STATUS_##name,
    STATUSES(STATUS_ROW)
#undef STATUS_ROW
        STATUS_COUNT
};

/* The code of an error reply; 0 where the outcome is no error or never travels. */
unsigned status_code(enum status status);
bool status_is_temporary(enum status status);
struct str status_message(enum status status);

#endif

#include "server/disconnect.h"

#define REASON(literal)                             \
    {                                               \
        .at = (literal), .len = sizeof(literal) - 1 \
    }

#define DISCONNECT_ROW(name, code, reason) const struct disconnect DISCONNECT_##name = {code, REASON(reason)};
DISCONNECTS(DISCONNECT_ROW)
#undef DISCONNECT_ROW

#define UNSUBSCRIBE_ROW(name, code, reason) \
    const struct unsubscribe UNSUBSCRIBE_##name = {code, REASON(reason)};
UNSUBSCRIBES(UNSUBSCRIBE_ROW)
#undef UNSUBSCRIBE_ROW

bool disconnect_is_terminal(unsigned code)
{
    return (code >= 3500 && code <= 3999) || (code >= 4500 && code <= 4999);
}

struct disconnect disconnect_from_error(unsigned error_code)
{
    switch (error_code) {
    case 103: return DISCONNECT_PERMISSION_DENIED;
    case 109:
    case 110: return DISCONNECT_EXPIRED;
    case 111: return DISCONNECT_TOO_MANY_REQUESTS;
    default: return DISCONNECT_INTERNAL;
    }
}

bool unsubscribe_is_final(unsigned code)
{
    return code < 2500;
}

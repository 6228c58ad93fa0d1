#include "channels/status.h"

#include "channels/base/must.h"

static const struct {
    unsigned code;
    bool is_temporary;
    struct str message;
} rows[] = {
#define STATUS_ROW(name, code, temporary, message) {code, temporary, {message, sizeof(message) - 1}},
    STATUSES(STATUS_ROW)
#undef STATUS_ROW
};

_Static_assert(sizeof rows / sizeof rows[0] == STATUS_COUNT, "one row per status");

unsigned status_code(enum status status)
{
    must(status < STATUS_COUNT);
    return rows[status].code;
}

bool status_is_temporary(enum status status)
{
    must(status < STATUS_COUNT);
    return rows[status].is_temporary;
}

struct str status_message(enum status status)
{
    must(status < STATUS_COUNT);
    return rows[status].message;
}

#include "server/webhook_events.h"

static const char *const event_names[] = {
#define WEBHOOK_ROW(name, text) text,
    WEBHOOK_EVENTS(WEBHOOK_ROW)
#undef WEBHOOK_ROW
};

const char *webhook_event_text(enum webhook_event event)
{
    return event_names[event];
}

bool webhook_event_from_text(struct str text, enum webhook_event *out)
{
    for (unsigned i = 0; i < WEBHOOK_EVENT_COUNT; i++) {
        if (str_is(text, event_names[i])) {
            *out = (enum webhook_event)i;
            return true;
        }
    }
    return false;
}

/* webhook_events.h - the events that webhooks may tell of, by name. Pure; apart from webhooks.h because the
 * configuration checks names and knows nothing of workers. */
#ifndef STARLING_SERVER_WEBHOOK_EVENTS_H
#define STARLING_SERVER_WEBHOOK_EVENTS_H

#include "channels/base/str.h"

/* clang-format off */
#define WEBHOOK_EVENTS(X)                                                                                              \
    X(CONNECTED,    "connected")    /* client, user */                                                                 \
    X(DISCONNECTED, "disconnected") /* client, user, code, reason; 3000 where the client left */                       \
    X(SUBSCRIBED,   "subscribed")   /* client, user, channel */                                                        \
    X(UNSUBSCRIBED, "unsubscribed") /* client, user, channel */                                                        \
    X(OCCUPIED,     "occupied")     /* channel: its first subscriber came */                                           \
    X(VACATED,      "vacated")      /* channel: its last subscriber left */                                            \
    X(PUBLISHED,    "published")    /* channel, data, info, offset; by clients and by the API */
/* clang-format on */

enum webhook_event {
#define WEBHOOK_ROW(name, text) WEBHOOK_##name,
    WEBHOOK_EVENTS(WEBHOOK_ROW)
#undef WEBHOOK_ROW
        WEBHOOK_EVENT_COUNT
};

/* The name, static. */
const char *webhook_event_text(enum webhook_event event);

/* The event of that name. false: there is none. */
bool webhook_event_from_text(struct str text, enum webhook_event *out);

#endif

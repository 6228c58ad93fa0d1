/* webhooks.h - tells the application's backend what happened: batched, signed, tried again, bounded.
 *
 *     event ─▶ queue ─ after batch_delay, at most batch_max ─▶ POST ─ 2xx ─▶ gone
 *                                                               └ else ─▶ again later, from the same event on
 *
 * Opt-in: nothing is queued for an event that webhooks.events does not name. A worker has one queue and one
 * request under way, so its events arrive in order; events of different workers do not wait for each other.
 * Delivery is at least once while the process lives: a batch is repeated with the same X-Starling-Delivery
 * until the backend answers 2xx or webhooks.attempts are used up. What does not fit into the queue, and what
 * was tried in vain, is dropped and counted; no client ever waits for a backend.
 *
 * A request is {"node": …, "events": [{"event": …, "time": ms, …}]}, signed as X-Starling-Signature: t=<Unix
 * seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>"> where webhooks.secret is set.
 *
 * Thread: the worker's.   Memory: the text of each queued event.   Limits: config webhooks.*.
 */
#ifndef STARLING_SERVER_WEBHOOKS_H
#define STARLING_SERVER_WEBHOOKS_H

#include "server/webhook_events.h"

struct config;
struct webhooks;
struct worker;

/* What an event says; what is empty or 0 is left out. */
struct webhook_view {
    struct str client, user, channel;
    bool has_user;         /* the user is named also where it is empty */
    struct str data, info; /* raw JSON */
    uint64_t offset;
    unsigned code;
    struct str reason;
};

/* Needs worker->http. A worker without webhooks.endpoint gets one that takes no events. NULL without memory.
 */
struct webhooks *webhooks_new(struct worker *worker);
/* Before the HTTP client is freed. What is queued is lost, and logged. NULL is fine. */
void webhooks_free(struct webhooks *webhooks);

/* Is anybody interested? Ask before a view is made of something costly. */
bool webhooks_want(const struct webhooks *webhooks, enum webhook_event event);

/* Queues an event where it is wanted. */
void webhooks_add(struct webhooks *webhooks, enum webhook_event event, const struct webhook_view *view);

#endif

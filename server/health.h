/* health.h - what a supervisor and a load balancer ask: does the process live, and should it get new clients?
 *
 *     GET <prefix>, <prefix>/live   200 {} while the worker that got the request takes turns
 *     GET <prefix>/ready            200 or 503, with the checks that decided it:
 *                                   {"ready":false,"checks":{"draining":{"ok":false},…}}
 *     GET <init prefix>             200 {}: clients probe whether there is a server at all
 *
 * Ready means: not shutting down, enough descriptors left for new connections, and every worker has answered
 * a question within READY_TIMEOUT_MS, and what its broker publishes arrives (a probe through Redis in the
 * last seconds). Being alive does not look at the broker, since a restart would not help.
 *
 * Thread: the worker's.   Source: SERVER_API section 11, THREATS S07, S11.
 */
#ifndef STARLING_SERVER_HEALTH_H
#define STARLING_SERVER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct exchange;

enum {
    READY_TIMEOUT_MS = 1000,
    READY_DESCRIPTORS_MIN = 32, /* fewer left: new connections would soon be refused */
};

/* What readiness is made of. */
struct health {
    bool is_draining;
    uint64_t open_fds, max_fds; /* 0: unknown, and then no reason to refuse */
    unsigned workers_answered, worker_count;
    bool is_broker_away; /* channels live elsewhere, and nothing has come back from there lately */
};

/* Appends the body of the answer; returns whether the server is ready. Pure. */
bool health_print(struct buf *out, const struct health *health);

/* The handlers of their routes. They take the exchange. */
void health_handle(struct exchange *exchange);
void init_handle(struct exchange *exchange);

#endif

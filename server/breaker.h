/* breaker.h - stops asking a backend that does not answer, and notices when it does again.
 *
 *     CLOSED ─ failures_max in a row ─▶ OPEN ─ open_ms later ─▶ one request asks (the probe)
 *       ▲                                ▲                          │
 *       └────────── it answered ─────────┼──────────────────────────┤
 *                                        └──── it failed ───────────┘
 *
 * While it is open every request fails at once: a backend that is down costs its callers nothing, and one
 * that comes up again is not met by everything that has waited for it.
 *
 * Thread: that of its owner.   Memory: embedded. Pure: the caller brings the time.
 */
#ifndef STARLING_SERVER_BREAKER_H
#define STARLING_SERVER_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

struct breaker {
    uint32_t failures_max; /* in a row, until it opens; at least 1 */
    uint32_t open_ms;      /* how long nothing is asked, before each probe */
    uint32_t failures;     /* in a row */
    bool is_open;
    bool is_probing; /* the probe is on its way */
    uint64_t probe_due_ms;
};

void breaker_init(struct breaker *breaker, uint32_t failures_max, uint32_t open_ms);

/* May a request be made now? While open, true means that this request is the probe: its outcome must be
 * recorded. */
bool breaker_allows(struct breaker *breaker, uint64_t now_ms);

/* A request that was allowed has ended. One that was made before the breaker opened counts too: an answer
 * closes it, a failure changes nothing. */
void breaker_record(struct breaker *breaker, bool has_answered, uint64_t now_ms);

#endif

/* rate.h - a token bucket in eight bytes: so many a second, so many at once.
 *
 * Thread: whoever owns the bucket.   Units: rates per second, times in monotonic ms.
 */
#ifndef STARLING_SERVER_RATE_H
#define STARLING_SERVER_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint32_t tokens;  /* thousandths of one event that may still happen */
    uint32_t last_ms; /* low bits of the time of the last refill */
};

static inline void rate_init(struct rate *rate, uint32_t burst, uint64_t now_ms)
{
    rate->tokens = burst > UINT32_MAX / 1000 ? UINT32_MAX : burst * 1000;
    rate->last_ms = (uint32_t)now_ms;
}

/* Takes one token. false: there is none. A bucket untouched for 49 days may refill less than it could. */
static inline bool rate_take(struct rate *rate, uint32_t per_second, uint32_t burst, uint64_t now_ms)
{
    uint64_t full = burst > UINT32_MAX / 1000 ? UINT32_MAX : (uint64_t)burst * 1000;
    uint64_t tokens = rate->tokens + (uint64_t)((uint32_t)now_ms - rate->last_ms) * per_second;
    rate->tokens = (uint32_t)(tokens < full ? tokens : full);
    rate->last_ms = (uint32_t)now_ms;
    if (rate->tokens < 1000) {
        return false;
    }
    rate->tokens -= 1000;
    return true;
}

#endif

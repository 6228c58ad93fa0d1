/* latency.h - a histogram of durations: quantiles without keeping every value.
 *
 * Log-linear buckets, 64 to each doubling, so that a quantile is at most 1.6 % above the true value; the
 * maximum is exact. 18 KB whatever is added. Thread: the one that owns it. Unit: nanoseconds.
 */
#ifndef STARLING_BENCH_LATENCY_H
#define STARLING_BENCH_LATENCY_H

#include <stdint.h>

enum {
    LATENCY_BUCKETS = 36 * 64, /* up to 2^41 ns, about 37 minutes; longer ones count in the last */
};

struct latency {
    uint64_t counts[LATENCY_BUCKETS];
    uint64_t count, max_ns;
};

void latency_add(struct latency *latency, uint64_t ns);

/* The value that `fraction` (0 to 1) of all are not above; 0 when there are none. */
uint64_t latency_quantile_ns(const struct latency *latency, double fraction);

#endif

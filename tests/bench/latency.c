#include "tests/bench/latency.h"

/* Below 64 ns a bucket is one value; from there on the top seven bits choose it. */
static uint32_t bucket_of(uint64_t ns)
{
    if (ns < 64) {
        return (uint32_t)ns;
    }
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(ns) - 6;
    uint64_t index = (uint64_t)(shift + 1) * 64 + ((ns >> shift) - 64);
    return index < LATENCY_BUCKETS ? (uint32_t)index : LATENCY_BUCKETS - 1;
}

static uint64_t bucket_end(uint32_t index)
{
    if (index < 64) {
        return index;
    }
    uint32_t shift = index / 64 - 1;
    return ((uint64_t)(index % 64 + 64 + 1) << shift) - 1;
}

void latency_add(struct latency *latency, uint64_t ns)
{
    latency->counts[bucket_of(ns)]++;
    latency->count++;
    latency->max_ns = ns > latency->max_ns ? ns : latency->max_ns;
}

uint64_t latency_quantile_ns(const struct latency *latency, double fraction)
{
    double wanted = fraction * (double)latency->count;
    uint64_t below = 0;
    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
        below += latency->counts[i];
        if (below > 0 && (double)below >= wanted) {
            uint64_t end = bucket_end(i);
            return end < latency->max_ns ? end : latency->max_ns;
        }
    }
    return latency->max_ns;
}

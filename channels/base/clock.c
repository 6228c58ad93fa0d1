#include "channels/base/clock.h"

#include <stdatomic.h>
#include <time.h>

/* Zero: the system's clocks. Atomic because tests with several workers read them on every thread. */
static _Atomic uint64_t test_monotonic_ms;
static _Atomic uint64_t test_wall_ms;

static uint64_t now_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    uint64_t frozen_ms = atomic_load_explicit(&test_monotonic_ms, memory_order_relaxed);
    return frozen_ms != 0 ? frozen_ms * 1000000 : now_ns(CLOCK_MONOTONIC);
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

uint64_t clock_wall_ms(void)
{
    uint64_t frozen_ms = atomic_load_explicit(&test_wall_ms, memory_order_relaxed);
    return frozen_ms != 0 ? frozen_ms : now_ns(CLOCK_REALTIME) / 1000000;
}

void clock_set_for_test(uint64_t monotonic_ms, uint64_t wall_ms)
{
    atomic_store_explicit(&test_monotonic_ms, monotonic_ms, memory_order_relaxed);
    atomic_store_explicit(&test_wall_ms, wall_ms, memory_order_relaxed);
}

void clock_advance_for_test(uint64_t ms)
{
    atomic_fetch_add_explicit(&test_monotonic_ms, ms, memory_order_relaxed);
    atomic_fetch_add_explicit(&test_wall_ms, ms, memory_order_relaxed);
}

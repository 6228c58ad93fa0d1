/* window.h - the measured stretch of a run: wall time, both processes' time, and system calls if asked for.
 *
 * The scenario opens it when nothing is on its way, closes it when nothing is any more, and divides by what
 * it did in between. Thread: the main one.
 */
#ifndef STARLING_BENCH_WINDOW_H
#define STARLING_BENCH_WINDOW_H

#include "tests/bench/calls.h"
#include "tests/bench/options.h"
#include "tests/bench/report.h"

struct window {
    const struct options *options;
    uint64_t started_ns, server_cpu_ns, own_cpu_ns; /* at the start; after window_close() the differences */
    double seconds;
    bool is_counting;
    struct calls_counter counter;
    struct calls calls;
};

void window_open(struct window *window, const struct options *options);
void window_close(struct window *window);

/* Adds what `count` things of one kind ("delivery", "request", …) cost each. */
void window_report(const struct window *window, struct report *report, double count);

#endif

/* holders.h - processes that only hold connections open and answer pings.
 *
 * They keep many idle connections out of the generator's own loop, and one process may have no more than
 * 20,000 descriptors here. Each holder writes its counts into memory it shares with the parent.
 * Thread: the main one.
 */
#ifndef STARLING_BENCH_HOLDERS_H
#define STARLING_BENCH_HOLDERS_H

#include "tests/bench/options.h"

#include <stdatomic.h>

enum {
    HOLDERS_MAX = 64,
    HOLDER_CONNECTIONS_MAX = 19500,
};

struct holder_counts {
    _Atomic uint64_t ready, failed, pings; /* written by the holder, read by the parent */
    _Atomic bool is_open;                  /* it has tried all */
};

struct holders {
    uint32_t count;
    pid_t pids[HOLDERS_MAX];
    int stop_pipes[HOLDERS_MAX]; /* closing ours ends that holder */
    struct holder_counts *counts;
};

/* Opens `connections` subscribed connections in as many processes as that takes; returns when all are there.
 * false: some could not be opened; holders_stop() all the same. */
bool holders_start(struct holders *holders, const struct options *options, uint32_t connections);

/* Sums over all holders. */
uint64_t holders_pings(const struct holders *holders);
uint64_t holders_failed(const struct holders *holders);

/* Ends them; their connections are reset. */
void holders_stop(struct holders *holders);

#endif

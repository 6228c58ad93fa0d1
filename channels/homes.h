/* homes.h - for each channel that this worker is home of: how many subscriptions each worker has.
 *
 * A bit per worker tells where a message has to go; the counts tell when a bit may go. A channel without
 * subscriptions has no entry.   Thread: the home worker's.
 */
#ifndef STARLING_CHANNELS_HOMES_H
#define STARLING_CHANNELS_HOMES_H

#include "channels/base/table.h"
#include "channels/limits.h"

struct home {
    UT_hash_handle hh;
    uint64_t workers; /* bit i: worker i has subscriptions */
    uint32_t total;
    uint32_t name_len;
    uint32_t counts[]; /* by worker; the name lies behind them */
};

/* A zeroed struct with its worker_count set is empty. */
struct homes {
    struct home *homes;
    unsigned worker_count;
};

_Static_assert(LIMIT_WORKERS <= 64, "a worker is a bit of home.workers");

/* NULL where nobody is subscribed. */
struct home *homes_find(const struct homes *homes, struct str channel);
struct str home_name(const struct homes *homes, const struct home *home);

/* Counts one more subscription of `worker`. false: no memory, nothing changed. */
bool homes_add(struct homes *homes, struct str channel, unsigned worker);
/* Counts one less; the last one takes the entry with it. It must have been counted. */
void homes_remove(struct homes *homes, struct str channel, unsigned worker);

void homes_release(struct homes *homes);

#endif

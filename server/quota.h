/* quota.h - how many of something one key may have in the whole process: connections of an address or a user.
 *
 * Each key has a home worker, hash(key) % workers, which counts for all; asking is a mail there and back (one
 * step of the same turn where the home is the asker). A key's rate of entering is limited at the same place
 * by a token bucket, and so is the rate of what needs no place (publications).
 *
 * Thread: the worker's.   Memory: one entry per key in use, kept until its bucket has filled up again.
 */
#ifndef STARLING_SERVER_QUOTA_H
#define STARLING_SERVER_QUOTA_H

#include "channels/base/str.h"

#include <stdint.h>

struct quota;
struct worker;

enum quota_verdict {
    QUOTA_OK,
    QUOTA_OVER_COUNT,
    QUOTA_OVER_RATE,
    QUOTA_UNKNOWN /* no memory, or a mailbox was full */
};

struct quota_limits {
    uint32_t count_max;
    uint32_t per_second, burst; /* of entering; 0: any */
};

/* NULL without memory. */
struct quota *quota_new(void);
void quota_free(struct quota *quota);

/* Asks for one place under `key`. `done` runs exactly once, later, on this worker's thread; after QUOTA_OK
 * the place is taken until quota_leave(). */
void quota_enter(struct worker *worker, struct str key, const struct quota_limits *limits,
                 void (*done)(void *context, enum quota_verdict verdict), void *context);

/* Asks for one event under `key`, by the key's rate alone: no place is taken. `done` as above, with QUOTA_OK,
 * QUOTA_OVER_RATE or QUOTA_UNKNOWN. */
void quota_take(struct worker *worker, struct str key, uint32_t per_second, uint32_t burst,
                void (*done)(void *context, enum quota_verdict verdict), void *context);

/* Gives one place back. */
void quota_leave(struct worker *worker, struct str key);

/* Forgets keys without places whose bucket is full: a tenth of all keys at least. Once a second. */
void quota_tick(struct quota *quota, uint64_t now_ms);

size_t quota_key_count(const struct quota *quota);

#endif

/* idempotency.h - the keys of one channel's recent publications, so that a repeated request is answered with
 * the first result and not published again (SERVER_API section 3.1).
 *
 * All keys live equally long, so the order in which they came is the order in which they go. Bounds:
 * LIMIT_IDEMPOTENCY_KEYS a channel, LIMIT_IDEMPOTENCY_TTL_MS.
 *
 * Thread: the home worker's.   Memory: one allocation a key; nothing where none is used.
 */
#ifndef STARLING_CHANNELS_IDEMPOTENCY_H
#define STARLING_CHANNELS_IDEMPOTENCY_H

#include "channels/base/str.h"

struct idempotency_key;

/* Zeroed: no keys. */
struct idempotency {
    struct idempotency_key *keys; /* oldest first */
};

/* true: a publication under `key` was remembered and is not too old; *offset is its place, 0 for none. */
bool idempotency_find(const struct idempotency *table, struct str key, uint64_t now_ms, uint64_t *offset);

/* Remembers `key`, still without a place; an older one of the same text is replaced. The returned handle is
 * good until the table next changes; NULL without memory. */
struct idempotency_key *idempotency_add(struct idempotency *table, struct str key, uint64_t now_ms);
void idempotency_set_offset(struct idempotency_key *key, uint64_t offset);

/* Forgets at most `budget` keys whose time has come; returns how many. */
size_t idempotency_expire(struct idempotency *table, uint64_t now_ms, size_t budget);

/* When the oldest key's time comes; UINT64_MAX where there is none. */
uint64_t idempotency_due_ms(const struct idempotency *table);

size_t idempotency_count(const struct idempotency *table);
void idempotency_release(struct idempotency *table);

#endif

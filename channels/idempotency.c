#include "channels/idempotency.h"

#include "channels/base/table.h"
#include "channels/limits.h"

#include <stdlib.h>

struct idempotency_key {
    UT_hash_handle hh; /* uthash keeps the order of insertion: the head is the oldest */
    uint64_t expires_ms;
    uint64_t offset;
    size_t len;
    char text[];
};

static struct idempotency_key *find(const struct idempotency *table, struct str key)
{
    struct idempotency_key *found = NULL;
    HASH_FIND(hh, table->keys, key.at, key.len, found);
    return found;
}

static void drop(struct idempotency *table, struct idempotency_key *key)
{
    HASH_DEL(table->keys, key);
    free(key);
}

bool idempotency_find(const struct idempotency *table, struct str key, uint64_t now_ms, uint64_t *offset)
{
    const struct idempotency_key *found = find(table, key);
    if (found == NULL || found->expires_ms <= now_ms) {
        return false;
    }
    *offset = found->offset;
    return true;
}

struct idempotency_key *idempotency_add(struct idempotency *table, struct str key, uint64_t now_ms)
{
    struct idempotency_key *added = malloc(sizeof *added + key.len);
    if (added == NULL) {
        return NULL;
    }
    *added = (struct idempotency_key){.expires_ms = now_ms + LIMIT_IDEMPOTENCY_TTL_MS, .len = key.len};
    memcpy(added->text, key.at, key.len);
    struct idempotency_key *known = find(table, key);
    HASH_ADD_KEYPTR(hh, table->keys, added->text, added->len, added);
    if (!table_added(added, hh)) {
        free(added);
        return NULL;
    }
    if (known != NULL) {
        drop(table, known);
    }
    if (HASH_COUNT(table->keys) > LIMIT_IDEMPOTENCY_KEYS) {
        drop(table, table->keys);
    }
    return added;
}

void idempotency_set_offset(struct idempotency_key *key, uint64_t offset)
{
    key->offset = offset;
}

size_t idempotency_expire(struct idempotency *table, uint64_t now_ms, size_t budget)
{
    size_t dropped = 0;
    while (dropped < budget && table->keys != NULL && table->keys->expires_ms <= now_ms) {
        drop(table, table->keys);
        dropped++;
    }
    return dropped;
}

uint64_t idempotency_due_ms(const struct idempotency *table)
{
    return table->keys != NULL ? table->keys->expires_ms : UINT64_MAX;
}

size_t idempotency_count(const struct idempotency *table)
{
    return HASH_COUNT(table->keys);
}

void idempotency_release(struct idempotency *table)
{
    while (table->keys != NULL) {
        drop(table, table->keys);
    }
}

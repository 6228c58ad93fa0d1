#include "server/login_throttle.h"

#include "channels/base/table.h"

#include <stdlib.h>

struct entry {
    UT_hash_handle hh;
    unsigned failures;
    uint64_t due_ms;    /* of the next try */
    uint64_t failed_ms; /* last */
    size_t key_len;
    char key[];
};

/* The table's own order is that of insertion: an entry is taken out and put in again with every failure, so
 * that the first one failed longest ago. */
struct login_throttle {
    struct entry *table;
};

struct login_throttle *login_throttle_new(void)
{
    return calloc(1, sizeof(struct login_throttle));
}

static void remove_entry(struct login_throttle *throttle, struct entry *entry)
{
    HASH_DEL(throttle->table, entry);
    free(entry);
}

void login_throttle_free(struct login_throttle *throttle)
{
    if (throttle == NULL) {
        return;
    }
    while (throttle->table != NULL) {
        remove_entry(throttle, throttle->table);
    }
    free(throttle);
}

static struct entry *find(const struct login_throttle *throttle, struct str key)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, throttle->table, key.at, key.len, entry);
    return entry;
}

static bool is_forgotten(const struct entry *entry, uint64_t now_ms)
{
    return now_ms - entry->failed_ms >= LOGIN_FORGET_MS;
}

uint64_t login_throttle_wait_ms(const struct login_throttle *throttle, struct str key, uint64_t now_ms)
{
    const struct entry *entry = find(throttle, key);
    bool may_try = entry == NULL || is_forgotten(entry, now_ms) || entry->due_ms <= now_ms;
    return may_try ? 0 : entry->due_ms - now_ms;
}

static uint64_t wait_after(unsigned failures, uint64_t wait_ms_max)
{
    if (failures <= LOGIN_FREE_FAILURES) {
        return 0;
    }
    unsigned doublings = failures - LOGIN_FREE_FAILURES - 1;
    uint64_t wait_ms = doublings > 20 ? wait_ms_max : UINT64_C(1000) << doublings;
    return wait_ms < wait_ms_max ? wait_ms : wait_ms_max;
}

static void make_room(struct login_throttle *throttle, uint64_t now_ms)
{
    while (throttle->table != NULL && (HASH_COUNT(throttle->table) >= LOGIN_THROTTLE_KEYS_MAX ||
                                       is_forgotten(throttle->table, now_ms))) {
        remove_entry(throttle, throttle->table);
    }
}

/* Takes `entry`. */
static void put_last(struct login_throttle *throttle, struct entry *entry)
{
    HASH_ADD_KEYPTR(hh, throttle->table, entry->key, entry->key_len, entry);
    if (!table_added(entry, hh)) {
        free(entry);
    }
}

void login_throttle_failed(struct login_throttle *throttle, struct str key, uint64_t wait_ms_max,
                           uint64_t now_ms)
{
    make_room(throttle, now_ms);
    struct entry *entry = find(throttle, key);
    if (entry != NULL) {
        HASH_DEL(throttle->table, entry);
    } else {
        entry = calloc(1, sizeof *entry + key.len);
        if (entry == NULL) {
            return;
        }
        entry->key_len = key.len;
        memcpy(entry->key, key.at, key.len);
    }
    entry->failures++;
    entry->failed_ms = now_ms;
    entry->due_ms = now_ms + wait_after(entry->failures, wait_ms_max);
    put_last(throttle, entry);
}

void login_throttle_forget(struct login_throttle *throttle, struct str key)
{
    struct entry *entry = find(throttle, key);
    if (entry != NULL) {
        remove_entry(throttle, entry);
    }
}

size_t login_throttle_key_count(const struct login_throttle *throttle)
{
    return HASH_COUNT(throttle->table);
}

#include "channels/history.h"

#include "channels/base/must.h"

#include <stdlib.h>

enum { RING_ENTRIES_MIN = 4 };

void history_open(struct history *history, const char *epoch)
{
    must(!history->is_open);
    must(history->count == 0);
    memcpy(history->epoch, epoch, sizeof history->epoch);
    history->top_offset = 0;
    history->is_open = true;
}

struct str history_epoch(const struct history *history)
{
    return str_make(history->epoch, history->is_open ? sizeof history->epoch : 0);
}

static struct history_entry *entry_at(const struct history *history, uint32_t index)
{
    must(index < history->count);
    return &history->ring[((uint64_t)history->first + index) % history->capacity];
}

static uint64_t oldest_offset(const struct history *history)
{
    return history->top_offset - history->count + 1;
}

static struct message *message_at(const struct history *history, uint64_t offset)
{
    struct message *message = entry_at(history, (uint32_t)(offset - oldest_offset(history)))->message;
    must(message->offset == offset);
    return message;
}

/* Moves the entries to a ring of `capacity`; false: no memory, nothing changed. */
static bool ring_resize(struct history *history, uint32_t capacity)
{
    must(capacity >= history->count);
    struct history_entry *ring = NULL;
    if (capacity > 0) {
        ring = malloc(capacity * sizeof *ring);
        if (ring == NULL) {
            return false;
        }
    }
    for (uint32_t i = 0; i < history->count; i++) {
        ring[i] = *entry_at(history, i);
    }
    free(history->ring);
    history->ring = ring;
    history->capacity = capacity;
    history->first = 0;
    return true;
}

static void ring_shrink(struct history *history)
{
    if (history->count == 0) {
        (void)ring_resize(history, 0); /* allocates nothing, so it cannot fail */
    } else if (history->capacity > 2 * RING_ENTRIES_MIN && history->count <= history->capacity / 4) {
        (void)ring_resize(history, history->capacity / 2); /* without memory it stays as large as it is */
    }
}

static void drop_oldest(struct history *history)
{
    struct message *oldest = entry_at(history, 0)->message;
    history->bytes -= message_bytes(oldest);
    message_unref(oldest);
    history->first = (uint32_t)(((uint64_t)history->first + 1) % history->capacity);
    history->count--;
}

bool history_reserve(struct history *history, uint32_t size_max)
{
    must(size_max > 0);
    if (history->count < history->capacity || history->count >= size_max) {
        return true; /* a full history gives up its oldest */
    }
    uint64_t capacity = (uint64_t)history->capacity * 2;
    if (capacity < RING_ENTRIES_MIN) {
        capacity = RING_ENTRIES_MIN;
    }
    return ring_resize(history, (uint32_t)(capacity < size_max ? capacity : size_max));
}

void history_append(struct history *history, struct message *message, uint32_t size_max, uint64_t expires_ms)
{
    must(history->is_open);
    while (history->count >= size_max) {
        drop_oldest(history);
    }
    must(history->count < history->capacity);
    history->top_offset++;
    message_set_position(message, history->top_offset, history_epoch(history));
    history->count++;
    history->bytes += message_bytes(message);
    *entry_at(history, history->count - 1) =
        (struct history_entry){.message = message_ref(message), .expires_ms = expires_ms};
}

/* Takes references to `count` messages from `offset` on, upwards or downwards. */
static enum status collect(const struct history *history, uint64_t offset, uint64_t count, bool is_reverse,
                           struct history_answer *out)
{
    *out = (struct history_answer){0};
    if (count == 0) {
        return STATUS_OK;
    }
    struct message **messages = malloc(count * sizeof(struct message *));
    if (messages == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint64_t i = 0; i < count; i++) {
        messages[i] = message_ref(message_at(history, is_reverse ? offset - i : offset + i));
    }
    *out = (struct history_answer){.messages = messages, .count = count};
    return STATUS_OK;
}

static bool is_other_epoch(const struct history *history, struct str epoch)
{
    return epoch.len > 0 && !str_equal(epoch, history_epoch(history));
}

static uint64_t cut(uint64_t count, const struct history_query *query)
{
    if (query->limit >= 0 && count > (uint64_t)query->limit) {
        count = (uint64_t)query->limit;
    }
    if (query->limit_max > 0 && count > query->limit_max) {
        count = query->limit_max;
    }
    return count;
}

enum status history_read(const struct history *history, const struct history_query *query,
                         struct history_answer *out)
{
    uint64_t since = query->since.offset;
    if (query->limit < -1 || (query->is_reverse && query->has_since && since == 0)) {
        return STATUS_BAD_REQUEST;
    }
    if (query->has_since && is_other_epoch(history, query->since.epoch)) {
        return STATUS_UNRECOVERABLE_POSITION;
    }
    uint64_t oldest = oldest_offset(history), top = history->top_offset;
    uint64_t start, count;
    if (query->is_reverse) {
        start = query->has_since && since <= top ? since - 1 : top;
        count = start >= oldest ? start - oldest + 1 : 0;
    } else {
        uint64_t after = query->has_since ? since : 0;
        start = after < oldest ? oldest : after + 1;
        count = after < top ? top - start + 1 : 0;
    }
    return collect(history, start, cut(count, query), query->is_reverse, out);
}

/* Cache mode: the newest publication stands for the whole stream. */
static enum status recover_newest(const struct history *history, struct position since,
                                  struct history_answer *out, bool *recovered)
{
    bool is_there = history->count > 0; /* the newest that is kept is always the top */
    bool is_known = since.offset == history->top_offset && str_equal(since.epoch, history_epoch(history));
    enum status status = collect(history, history->top_offset, is_there && !is_known ? 1 : 0, false, out);
    if (status == STATUS_OK) {
        *recovered = is_there;
    }
    return status;
}

enum status history_recover(const struct history *history, const struct history_recovery *recovery,
                            struct history_answer *out, bool *recovered)
{
    if (recovery->is_cache_mode) {
        return recover_newest(history, recovery->since, out, recovered);
    }
    uint64_t since = recovery->since.offset;
    uint64_t missed = history->top_offset - since; /* means nothing where since is beyond the top */
    if (is_other_epoch(history, recovery->since.epoch) || since > history->top_offset ||
        missed > history->count || (recovery->recover_max > 0 && missed > recovery->recover_max)) {
        *out = (struct history_answer){0};
        *recovered = false;
        return STATUS_OK;
    }
    enum status status = collect(history, since + 1, missed, false, out);
    if (status == STATUS_OK) {
        *recovered = true;
    }
    return status;
}

size_t history_expire(struct history *history, uint64_t now_ms, size_t budget)
{
    size_t dropped = 0;
    while (dropped < budget && history->count > 0 && entry_at(history, 0)->expires_ms <= now_ms) {
        drop_oldest(history);
        dropped++;
    }
    if (dropped > 0) {
        ring_shrink(history);
    }
    return dropped;
}

uint64_t history_due_ms(const struct history *history)
{
    return history->count > 0 ? entry_at(history, 0)->expires_ms : UINT64_MAX;
}

void history_remove(struct history *history)
{
    while (history->count > 0) {
        drop_oldest(history);
    }
    ring_shrink(history);
}

void history_release(struct history *history)
{
    history_remove(history);
    *history = (struct history){0};
}

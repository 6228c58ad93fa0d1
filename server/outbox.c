#include "server/outbox.h"

#include <string.h>

_Static_assert((OUTBOX_INLINE_FRAMES & (OUTBOX_INLINE_FRAMES - 1)) == 0, "the index is masked");

void outbox_init(struct outbox *outbox)
{
    *outbox = (struct outbox){.capacity = OUTBOX_INLINE_FRAMES};
}

void outbox_release(struct outbox *outbox)
{
    for (uint32_t i = 0; i < outbox->count; i++) {
        frame_unref(outbox_at(outbox, i));
    }
    free(outbox->ring);
    outbox_init(outbox);
}

static bool grow(struct outbox *outbox)
{
    uint32_t capacity = outbox->capacity * 2 < 8 ? 8 : outbox->capacity * 2;
    struct frame **ring = malloc(capacity * sizeof(struct frame *));
    if (ring == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < outbox->count; i++) {
        ring[i] = outbox_at(outbox, i);
    }
    free(outbox->ring);
    outbox->ring = ring;
    outbox->capacity = capacity;
    outbox->first = 0;
    return true;
}

bool outbox_push(struct outbox *outbox, struct frame *frame, uint32_t bytes_max)
{
    if (outbox->count > 0 && (uint64_t)outbox->bytes + frame->len > bytes_max) {
        return false;
    }
    if (outbox->count == outbox->capacity && !grow(outbox)) {
        return false;
    }
    struct frame **frames = outbox->ring != NULL ? outbox->ring : outbox->inlined;
    frames[(outbox->first + outbox->count) & (outbox->capacity - 1)] = frame_ref(frame);
    outbox->count++;
    outbox->bytes += frame->len;
    return true;
}

uint32_t outbox_drop_key(struct outbox *outbox, uint32_t conflation_key)
{
    must(conflation_key != 0);
    struct frame **frames = outbox->ring != NULL ? outbox->ring : outbox->inlined;
    uint32_t kept = outbox->front_sent > 0 ? 1 : 0;
    uint32_t count = outbox->count;
    for (uint32_t i = kept; i < count; i++) {
        struct frame *frame = outbox_at(outbox, i);
        if (frame->conflation_key == conflation_key) {
            outbox->bytes -= frame->len;
            frame_unref(frame);
        } else {
            frames[(outbox->first + kept++) & (outbox->capacity - 1)] = frame;
        }
    }
    outbox->count = kept < count ? kept : count;
    outbox->mark_bytes = outbox->mark_bytes < outbox->bytes ? outbox->mark_bytes : outbox->bytes;
    return count - outbox->count;
}

void outbox_advance(struct outbox *outbox, size_t sent)
{
    must(sent <= outbox->bytes);
    outbox->bytes -= (uint32_t)sent;
    outbox->mark_bytes -= sent < outbox->mark_bytes ? (uint32_t)sent : outbox->mark_bytes;
    while (sent > 0) {
        struct frame *front = outbox_at(outbox, 0);
        uint32_t left = front->len - outbox->front_sent;
        if (sent < left) {
            outbox->front_sent += (uint32_t)sent;
            return;
        }
        sent -= left;
        outbox->front_sent = 0;
        outbox->first = (outbox->first + 1) & (outbox->capacity - 1);
        outbox->count--;
        frame_unref(front);
    }
    must(outbox->count > 0 || outbox->bytes == 0);
}

void outbox_shrink(struct outbox *outbox)
{
    if (outbox->count == 0 && outbox->ring != NULL) {
        outbox_release(outbox);
    }
}

uint64_t outbox_age_ms(struct outbox *outbox, uint64_t now_ms)
{
    if (outbox->mark_bytes == 0) {
        outbox->mark_bytes = outbox->bytes;
        outbox->mark_ms = now_ms;
        return 0;
    }
    return now_ms - outbox->mark_ms;
}

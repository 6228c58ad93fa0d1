/* outbox.h - what one connection still has to be sent.
 *
 *     offer ─▶ [frame][frame][frame] ─▶ front is (partly) written ─▶ unref
 *
 * A bounded queue of shared frames. The hub and the session append during a turn; the flush at the end of the
 * turn takes as many as the socket accepts. A full outbox refuses and the session closes as a slow consumer:
 * waiting for one reader would make everyone wait, and dropping in silence would break the order that the
 * protocol promises.
 *
 * Two frames fit in place, more in a ring that grows by doubling and is given back when the connection is
 * idle (outbox_shrink), so that steady traffic allocates nothing.
 *
 * Thread: the worker that owns the connection.   Limits: client.queue_max_size bytes; limits.outbox_age.
 */
#ifndef STARLING_SERVER_OUTBOX_H
#define STARLING_SERVER_OUTBOX_H

#include "channels/frame.h"

#include <stdbool.h>

enum { OUTBOX_INLINE_FRAMES = 2 };

struct outbox {
    struct frame **ring; /* NULL: the frames are in `inlined` */
    struct frame *inlined[OUTBOX_INLINE_FRAMES];
    uint32_t capacity; /* of the ring, a power of two; OUTBOX_INLINE_FRAMES without one */
    uint32_t first;    /* index of the front frame */
    uint32_t count;
    uint32_t front_sent; /* bytes of the front frame that were written */
    uint32_t bytes;      /* still to be written */
    uint32_t mark_bytes; /* bytes still to be written until the marked frame is out; 0: no mark */
    uint64_t mark_ms;    /* when the marked frame was appended */
};

void outbox_init(struct outbox *outbox);
/* Drops all frames. */
void outbox_release(struct outbox *outbox);

/* Appends `frame` and keeps a reference to it. false: `bytes_max` would be passed or there is no memory;
 * nothing was taken. An empty outbox takes a frame of any size. O(1). */
bool outbox_push(struct outbox *outbox, struct frame *frame, uint32_t bytes_max);

/* Drops every frame with this conflation key that is not begun: what follows overtakes them. Returns how
 * many. O(frames). */
uint32_t outbox_drop_key(struct outbox *outbox, uint32_t conflation_key);

/* The frame at `index` from the front, borrowed until the outbox next changes. */
static inline struct frame *outbox_at(const struct outbox *outbox, uint32_t index)
{
    struct frame *const *frames = outbox->ring != NULL ? outbox->ring : outbox->inlined;
    return frames[(outbox->first + index) & (outbox->capacity - 1)];
}

/* `sent` more bytes were written: drops the frames that are out. */
void outbox_advance(struct outbox *outbox, size_t sent);

/* Gives the ring back when nothing is queued. */
void outbox_shrink(struct outbox *outbox);

/* How long the oldest frame has waited, as a lower bound, in ms: one frame at a time is marked with its time,
 * and the mark moves on when that frame is out. Call when a write was short and at intervals while it is. */
uint64_t outbox_age_ms(struct outbox *outbox, uint64_t now_ms);

#endif

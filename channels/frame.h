/* frame.h - bytes ready for the wire, shared by every outbox of one worker.
 *
 * Built once per publication and kind of transport, immutable, counted with a plain integer because one
 * worker owns it. The bytes are complete (WebSocket header included), so that one system call can send the
 * frame as it is.
 */
#ifndef STARLING_CHANNELS_FRAME_H
#define STARLING_CHANNELS_FRAME_H

#include "channels/base/must.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The forms in which a message goes out. A subscriber has one kind; the hub encodes lazily, once per kind. */
enum frame_kind { FRAME_WEBSOCKET_JSON, FRAME_KIND_COUNT };

struct frame {
    uint32_t refs;
    uint32_t len;
    /* What the namespace of its publication says, for the outbox; set by the hub. */
    uint32_t conflation_key; /* not 0: a newer frame with the same key may take its place where the reader is
                                slow */
    uint32_t write_delay_ms; /* it may wait this long for others to leave with it */
    unsigned char bytes[];
};

/* Returns owned with one reference and room for `len` bytes; NULL without memory. */
static inline struct frame *frame_new(size_t len)
{
    must(len <= UINT32_MAX - sizeof(struct frame));
    struct frame *frame = malloc(sizeof *frame + len);
    if (frame != NULL) {
        frame->refs = 1;
        frame->len = (uint32_t)len;
        frame->conflation_key = 0;
        frame->write_delay_ms = 0;
    }
    return frame;
}

static inline struct frame *frame_ref(struct frame *frame)
{
    frame->refs++;
    return frame;
}

static inline void frame_unref(struct frame *frame)
{
    if (frame != NULL) {
        must(frame->refs > 0);
        if (--frame->refs == 0) {
            free(frame);
        }
    }
}

#endif

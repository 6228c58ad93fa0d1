/* thread_buf.h - the buffers that a thread encodes into over and over.
 *
 * Each has one user at a time, who empties it by asking for it. A buffer that grew beyond
 * THREAD_BUF_KEPT_BYTES for one large answer is given back when it is next asked for. Thread: each has its
 * own; thread_bufs_release() before it ends.
 */
#ifndef STARLING_BASE_THREAD_BUF_H
#define STARLING_BASE_THREAD_BUF_H

#include "channels/base/buf.h"

enum thread_buf {
    THREAD_BUF_COMMAND, /* texts of the command being handled */
    THREAD_BUF_INFO,    /* the ClientInfo of its sender */
    THREAD_BUF_REPLY,   /* the reply or push to one session */
    THREAD_BUF_FRAME,   /* the push of a publication, for all */
    THREAD_BUF_COUNT
};

enum { THREAD_BUF_KEPT_BYTES = 256 * 1024 };

/* Empty; borrowed until it is asked for again. */
struct buf *thread_buf(enum thread_buf which);

/* What was encoded into it last. */
struct buf *thread_buf_content(enum thread_buf which);

void thread_bufs_release(void);

#endif

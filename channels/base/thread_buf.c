#include "channels/base/thread_buf.h"

static _Thread_local struct buf bufs[THREAD_BUF_COUNT];

struct buf *thread_buf(enum thread_buf which)
{
    struct buf *buf = &bufs[which];
    if (buf->capacity > THREAD_BUF_KEPT_BYTES) {
        buf_release(buf);
    }
    buf_reset(buf);
    return buf;
}

struct buf *thread_buf_content(enum thread_buf which)
{
    return &bufs[which];
}

void thread_bufs_release(void)
{
    for (size_t i = 0; i < THREAD_BUF_COUNT; i++) {
        buf_release(&bufs[i]);
    }
}

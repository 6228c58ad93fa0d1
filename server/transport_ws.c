#include "server/transport_ws.h"

#include "channels/base/must.h"
#include "channels/base/thread_buf.h"
#include "server/protocol.h"
#include "server/websocket.h"

static struct frame *frame_from_json(struct str json)
{
    unsigned char head[WEBSOCKET_HEAD_MAX];
    size_t head_bytes = websocket_head(head, WEBSOCKET_OPCODE_TEXT, true, json.len);
    struct frame *frame = frame_new(head_bytes + json.len);
    if (frame != NULL) {
        memcpy(frame->bytes, head, head_bytes);
        memcpy(frame->bytes + head_bytes, json.at, json.len);
    }
    return frame;
}

struct frame *transport_frame(enum frame_kind kind, struct str json)
{
    must(kind == FRAME_WEBSOCKET_JSON);
    return frame_from_json(json);
}

struct frame *transport_encode(enum frame_kind kind, const struct message *message)
{
    must(message->magic == MESSAGE_MAGIC);
    struct buf *scratch = thread_buf(THREAD_BUF_FRAME); /* copied once, into a frame of the right size */
    switch (message->kind) {
    case MESSAGE_PUBLICATION:
        protocol_push_publication(scratch, PUSH_WRAPPED, message->channel,
                                  &(struct publication_view){.data = message->data,
                                                             .info = message->info,
                                                             .tags = message->tags,
                                                             .offset = message->offset});
        break;
    case MESSAGE_JOIN: protocol_push_join(scratch, PUSH_WRAPPED, message->channel, message->info); break;
    case MESSAGE_LEAVE: protocol_push_leave(scratch, PUSH_WRAPPED, message->channel, message->info); break;
    }
    return scratch->failed ? NULL : transport_frame(kind, buf_str(scratch));
}

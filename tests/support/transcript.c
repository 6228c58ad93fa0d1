#include "tests/support/transcript.h"

#include "channels/base/hash.h"
#include "channels/base/must.h"

#include <stdlib.h>

enum { SHOWN_BYTES_MAX = 64 };

void transcript_append_escaped(struct buf *out, struct str s)
{
    if (s.len > SHOWN_BYTES_MAX) {
        buf_printf(out, "%zu bytes #%016llx", s.len, (unsigned long long)hash_str(s));
        return;
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c >= 0x20 && c < 0x7f && c != '\\') {
            buf_append_char(out, (char)c);
        } else {
            buf_printf(out, "\\x%02x", c);
        }
    }
}

/* The length of piece number `index`. */
static size_t piece_len(struct cut cut, size_t index, size_t bytes_left)
{
    size_t len = index == 0 ? cut.first : bytes_left;
    if (cut.pattern.len > 0) {
        len = (unsigned char)cut.pattern.at[index % cut.pattern.len];
        len = len == 0 ? 256 : len;
    }
    return len < bytes_left ? len : bytes_left;
}

static char *exact_copy(struct str s)
{
    char *copy = malloc(s.len == 0 ? 1 : s.len);
    must(copy != NULL);
    if (s.len > 0) {
        memcpy(copy, s.at, s.len);
    }
    return copy;
}

static void append_event(struct buf *out, enum websocket_event_kind kind, const struct websocket_event *event)
{
    if (out->len > 0) {
        buf_append_char(out, ' ');
    }
    switch (kind) {
    case WEBSOCKET_MORE: break;
    case WEBSOCKET_MESSAGE:
        buf_printf(out, "%s%s(", event->is_compressed ? "deflated-" : "",
                   event->is_binary ? "binary" : "text");
        transcript_append_escaped(out, event->payload);
        break;
    case WEBSOCKET_PING:
    case WEBSOCKET_PONG:
        buf_append_str(out, kind == WEBSOCKET_PING ? STR("ping(") : STR("pong("));
        transcript_append_escaped(out, event->payload);
        break;
    case WEBSOCKET_CLOSE:
        buf_printf(out, "close(%u", event->code);
        buf_append_str(out, event->payload.len > 0 ? STR(" ") : STR(""));
        transcript_append_escaped(out, event->payload);
        break;
    case WEBSOCKET_ERROR: buf_printf(out, "error(%u", event->code); break;
    }
    buf_append_char(out, ')');
}

void transcript_of_websocket(struct buf *out, struct websocket_reader *prepared, struct str bytes,
                             struct cut cut)
{
    size_t limit = prepared->limits->message_bytes_max;
    for (size_t index = 0; bytes.len > 0; index++) {
        size_t count = piece_len(cut, index, bytes.len);
        unsigned char *piece = (unsigned char *)exact_copy(str_first(bytes, count));
        bytes = str_skip(bytes, count);
        unsigned char *at = piece;
        size_t len = count;
        struct websocket_event event;
        enum websocket_event_kind kind;
        while ((kind = websocket_read(prepared, &at, &len, &event)) != WEBSOCKET_MORE) {
            append_event(out, kind, &event);
            must(event.payload.len <= (kind == WEBSOCKET_MESSAGE ? limit : WEBSOCKET_CONTROL_BYTES_MAX));
            must(kind != WEBSOCKET_ERROR || event.payload.len > 0);
        }
        must(len == 0 && at == piece + count);
        must(prepared->block_capacity <= limit + WEBSOCKET_CONTROL_BYTES_MAX);
        must(prepared->block == NULL || prepared->is_in_payload || prepared->fragment_count > 0);
        free(piece);
    }
    websocket_reader_release(prepared);
}

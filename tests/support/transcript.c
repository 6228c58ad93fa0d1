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

/* ---- HTTP ---- */

/* What a connection would hold. */
struct http_state {
    const struct http_limits *limits;
    struct http_scan scan;
    struct http_request request;
    struct http_body_reader body_reader;
    struct buf body;
    bool is_in_body;
    bool is_refused;
};

static void append_refusal(struct buf *out, struct http_state *state, unsigned status, const char *text)
{
    must(status >= 400 && text != NULL);
    state->is_refused = true;
    buf_printf(out, "%srefused %u", out->len > 0 ? " " : "", status);
}

static void append_request(struct buf *out, const struct http_request *request)
{
    if (out->len > 0) {
        buf_append_char(out, ' ');
    }
    must(request->method != HTTP_METHOD_OTHER);
    must(request->path.len > 0);
    transcript_append_escaped(out, request->method_text);
    buf_append_char(out, ' ');
    transcript_append_escaped(out, request->path);
    if (request->query.at != NULL) {
        buf_append_char(out, '?');
        transcript_append_escaped(out, request->query);
    }
    buf_printf(out, " 1.%u %s", request->version_minor, request->keep_alive ? "keep" : "drop");
    buf_append_str(out, request->expect_continue ? STR(" expects") : STR(""));
    for (size_t i = 0; i < request->header_count; i++) {
        buf_append_char(out, ' ');
        transcript_append_escaped(out, request->headers[i].name);
        buf_append_char(out, '=');
        transcript_append_escaped(out, request->headers[i].value);
    }
}

static void append_body(struct buf *out, struct http_state *state, const char *name)
{
    buf_printf(out, " %s(", name);
    transcript_append_escaped(out, buf_str(&state->body));
    buf_append_char(out, ')');
    buf_reset(&state->body);
}

/* Reads one head or one piece of body. false: it takes more bytes to go on. */
static bool http_step(struct buf *out, struct http_state *state, const char **at, size_t *len)
{
    if (state->is_refused) {
        return false;
    }
    if (!state->is_in_body) {
        switch (http_read_head(*at, *len, state->limits, &state->scan, &state->request)) {
        case HTTP_MORE: must(state->scan.at == *len); return false;
        case HTTP_REFUSED:
            append_refusal(out, state, state->request.refusal_status, state->request.refusal_text);
            return false;
        case HTTP_HEAD: break;
        }
        must(state->request.head_bytes <= *len);
        append_request(out, &state->request);
        *at += state->request.head_bytes;
        *len -= state->request.head_bytes;
        state->scan = (struct http_scan){0};
        http_body_reader_init(&state->body_reader, &state->request, state->limits->body_bytes_max);
        state->is_in_body = true;
        return true;
    }
    struct str piece;
    switch (http_body_read(&state->body_reader, at, len, &piece)) {
    case HTTP_BODY_MORE: must(*len == 0); return false;
    case HTTP_BODY_PIECE:
        must(piece.len > 0);
        buf_append_str(&state->body, piece);
        must(state->body.len <= state->limits->body_bytes_max);
        return true;
    case HTTP_BODY_DONE:
        if (state->request.is_chunked || state->request.has_content_length) {
            append_body(out, state, "body");
        }
        state->is_in_body = false;
        return true;
    case HTTP_BODY_REFUSED:
        append_body(out, state, "broken-body");
        append_refusal(out, state, state->body_reader.refusal_status, state->body_reader.refusal_text);
        return false;
    }
    return false;
}

void transcript_of_http(struct buf *out, const struct http_limits *limits, struct str bytes, struct cut cut)
{
    struct http_state state = {.limits = limits};
    struct buf unread = {0};
    for (size_t index = 0; bytes.len > 0; index++) {
        size_t count = piece_len(cut, index, bytes.len);
        buf_append_str(&unread, str_first(bytes, count));
        bytes = str_skip(bytes, count);
        char *copy = exact_copy(buf_str(&unread));
        const char *at = copy;
        size_t len = unread.len;
        while (http_step(out, &state, &at, &len)) {
        }
        buf_consume(&unread, unread.len - len);
        free(copy);
    }
    if (state.body.len > 0) {
        append_body(out, &state, "unfinished-body");
    }
    buf_release(&unread);
    buf_release(&state.body);
}

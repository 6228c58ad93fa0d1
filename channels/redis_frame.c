#include "channels/redis_frame.h"

#include "channels/limits.h"

#include <errno.h>

enum { FRAME_VERSION = 1, FLAG_DELTA = 1 };

static void append_number(struct buf *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        buf_append_char(out, (char)(value >> (8 * i) & 0xFF));
    }
}

static uint64_t read_number(const char *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)(unsigned char)at[i] << (8 * i);
    }
    return value;
}

void redis_frame_encode(struct buf *out, const struct message *message, const char uid[REDIS_UID_BYTES])
{
    (void)buf_reserve(out,
                      REDIS_FRAME_HEAD_BYTES + message->info.len + message->tags.len + message->data.len);
    buf_append_char(out, FRAME_VERSION);
    buf_append_char(out, (char)message->kind);
    buf_append_char(out, message->wants_delta ? FLAG_DELTA : 0);
    buf_append(out, uid, REDIS_UID_BYTES);
    append_number(out, message->published_ms, 8);
    append_number(out, message->info.len, 4);
    append_number(out, message->tags.len, 4);
    append_number(out, message->exclude.len, 4);
    append_number(out, message->data.len, 4);
    buf_append_str(out, message->info);
    buf_append_str(out, message->tags);
    buf_append_str(out, message->exclude);
    buf_append_str(out, message->data);
}

struct message *redis_frame_decode(struct str frame, struct str channel, struct str epoch, uint64_t offset)
{
    errno = 0;
    if (frame.len < REDIS_FRAME_HEAD_BYTES || frame.at[0] != FRAME_VERSION ||
        (unsigned char)frame.at[1] > MESSAGE_LEAVE || (frame.at[2] & ~FLAG_DELTA) != 0) {
        return NULL;
    }
    const char *at = frame.at + 3 + REDIS_UID_BYTES;
    uint64_t published_ms = read_number(at, 8);
    uint64_t info = read_number(at + 8, 4), tags = read_number(at + 12, 4), exclude = read_number(at + 16, 4),
             data = read_number(at + 20, 4);
    if (info + tags + exclude + data != frame.len - REDIS_FRAME_HEAD_BYTES) {
        return NULL;
    }
    struct str texts = str_skip(frame, REDIS_FRAME_HEAD_BYTES);
    struct message *message = message_new(&(struct message_parts){
        .kind = (enum message_kind)frame.at[1],
        .wants_delta = (frame.at[2] & FLAG_DELTA) != 0,
        .offset = offset,
        .epoch = epoch,
        .channel = channel,
        .info = str_first(texts, info),
        .tags = str_first(str_skip(texts, info), tags),
        .exclude = str_first(str_skip(texts, info + tags), exclude),
        .data = str_skip(texts, info + tags + exclude),
    });
    if (message == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    message->published_ms = published_ms;
    return message;
}

bool redis_position_split(struct str text, struct str *epoch, uint64_t *offset)
{
    ptrdiff_t colon = str_find_last(text, ':');
    if (colon < 0 || colon > LIMIT_EPOCH_BYTES) {
        return false;
    }
    *epoch = str_first(text, (size_t)colon);
    return str_to_u64(str_skip(text, (size_t)colon + 1), UINT64_MAX - 1, offset);
}

bool redis_published_split(struct str published, struct str *epoch, uint64_t *offset, struct str *frame)
{
    ptrdiff_t first = str_find(published, ':');
    if (first < 0 || first > LIMIT_EPOCH_BYTES) {
        return false;
    }
    *epoch = str_first(published, (size_t)first);
    struct str rest = str_skip(published, (size_t)first + 1);
    ptrdiff_t second = str_find(rest, ':');
    if (second < 0) {
        return false;
    }
    *frame = str_skip(rest, (size_t)second + 1);
    *offset = 0;
    if (first == 0) {
        return second == 0;
    }
    return str_to_u64(str_first(rest, (size_t)second), UINT64_MAX - 1, offset) && *offset > 0;
}

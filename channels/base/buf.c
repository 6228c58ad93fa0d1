#include "channels/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUF_CAPACITY_MIN = 128 };

bool buf_reserve(struct buf *buf, size_t count)
{
    size_t needed;
    if (buf->failed || __builtin_add_overflow(buf->len, count, &needed)) {
        buf->failed = true;
        return false;
    }
    if (needed <= buf->capacity) {
        return true;
    }
    size_t capacity = buf->capacity < BUF_CAPACITY_MIN ? BUF_CAPACITY_MIN : buf->capacity;
    while (capacity < needed) {
        if (capacity > SIZE_MAX / 2) {
            capacity = needed;
        } else {
            capacity *= 2;
        }
    }
    char *at = realloc(buf->at, capacity);
    if (at == NULL) {
        buf->failed = true;
        return false;
    }
    buf->at = at;
    buf->capacity = capacity;
    return true;
}

void buf_append(struct buf *buf, const void *bytes, size_t len)
{
    if (len > 0 && buf_reserve(buf, len)) {
        memcpy(buf->at + buf->len, bytes, len);
        buf->len += len;
    }
}

void buf_append_str(struct buf *buf, struct str s)
{
    buf_append(buf, s.at, s.len);
}

void buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_append_u64(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_append(buf, digits + at, sizeof digits - at);
}

void buf_append_i64(struct buf *buf, int64_t value)
{
    if (value < 0) {
        buf_append_char(buf, '-');
        buf_append_u64(buf, (uint64_t)0 - (uint64_t)value);
    } else {
        buf_append_u64(buf, (uint64_t)value);
    }
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int needed = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (needed < 0 || !buf_reserve(buf, (size_t)needed + 1)) {
        buf->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(buf->at + buf->len, (size_t)needed + 1, format, args);
    va_end(args);
    buf->len += (size_t)needed;
}

void buf_append_json_string(struct buf *buf, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    buf_append_char(buf, '"');
    size_t plain = 0; /* start of the run that needs no escape */
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        buf_append(buf, s.at + plain, i - plain);
        plain = i + 1;
        char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        switch (c) {
        case '"':
        case '\\': escape[1] = (char)c; break;
        case '\n': escape[1] = 'n'; break;
        case '\r': escape[1] = 'r'; break;
        case '\t': escape[1] = 't'; break;
        default: buf_append(buf, escape, 6); continue;
        }
        buf_append(buf, escape, 2);
    }
    if (plain < s.len) {
        buf_append(buf, s.at + plain, s.len - plain);
    }
    buf_append_char(buf, '"');
}

void buf_consume(struct buf *buf, size_t count)
{
    size_t consumed = count < buf->len ? count : buf->len;
    if (consumed > 0) {
        memmove(buf->at, buf->at + consumed, buf->len - consumed);
        buf->len -= consumed;
    }
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

void buf_release(struct buf *buf)
{
    free(buf->at);
    *buf = (struct buf){0};
}

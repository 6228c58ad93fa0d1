/* buf.h - a growable run of bytes: what encoders write into.
 *
 * A buf that could not grow remembers it (`failed`) and ignores what comes after, so that an encoder checks
 * once at its end instead of at every append. Memory: heap, owned by the buf; buf_release() frees it.
 */
#ifndef STARLING_BASE_BUF_H
#define STARLING_BASE_BUF_H

#include "channels/base/str.h"

#include <stdarg.h>

struct buf {
    char *at;
    size_t len;
    size_t capacity;
    bool failed;
};

/* Makes room for `count` more bytes. false: no memory, and the buf is marked failed. */
bool buf_reserve(struct buf *buf, size_t count);
void buf_append(struct buf *buf, const void *bytes, size_t len);
void buf_append_str(struct buf *buf, struct str s);
void buf_append_char(struct buf *buf, char c);
void buf_append_u64(struct buf *buf, uint64_t value);
void buf_append_i64(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A literal, without counting its length by hand. */
#define buf_append_lit(buf, literal) buf_append((buf), "" literal, sizeof(literal) - 1)

/* Appends `s` as a JSON string with its quotes. Escapes what RFC 8259 section 7 demands, and U+2028, U+2029
 * and '<' not at all: the result is embedded in JSON, never in HTML. `s` must be valid UTF-8. */
void buf_append_json_string(struct buf *buf, struct str s);

/* Drops the first `count` bytes and moves the rest down. */
void buf_consume(struct buf *buf, size_t count);

/* Keeps the memory, forgets the content and the failure. */
void buf_reset(struct buf *buf);
void buf_release(struct buf *buf);

/* Valid until the buf next changes. */
static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){.at = buf->at, .len = buf->len};
}

#endif

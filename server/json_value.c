/* The getters: what a validated span means. */
#include "server/json_span.h"

/* -- strings --------------------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Four hexadecimal digits; 0, which nobody wants, when they are not there. */
static unsigned hex_unit(struct str s)
{
    unsigned unit = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < s.len ? hex_value(s.at[i]) : -1;
        if (value < 0) {
            return 0;
        }
        unit = unit << 4 | (unsigned)value;
    }
    return unit;
}

static size_t utf8_from_code_point(unsigned code, char utf8[4])
{
    if (code < 0x80) {
        utf8[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        utf8[0] = (char)(0xc0 | code >> 6);
        utf8[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        utf8[0] = (char)(0xe0 | code >> 12);
        utf8[1] = (char)(0x80 | (code >> 6 & 0x3f));
        utf8[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    utf8[0] = (char)(0xf0 | code >> 18);
    utf8[1] = (char)(0x80 | (code >> 12 & 0x3f));
    utf8[2] = (char)(0x80 | (code >> 6 & 0x3f));
    utf8[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Decodes the escape at the start of *raw and takes it off. Returns its length in UTF-8; 0 for U+0000, a lone
 * surrogate, or what is no escape. */
static size_t take_escape(struct str *raw, char utf8[4])
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (raw->len < 2) {
        return 0;
    }
    char kind = raw->at[1];
    *raw = str_skip(*raw, 2);
    if (kind != 'u') {
        const char *letter = kind == '\0' ? NULL : strchr(letters, kind);
        utf8[0] = letter == NULL ? '\0' : meanings[letter - letters];
        return letter != NULL;
    }
    unsigned code = hex_unit(*raw);
    *raw = str_skip(*raw, 4);
    if (code >= 0xd800 && code <= 0xdbff) {
        bool has_pair = raw->len >= 6 && raw->at[0] == '\\' && raw->at[1] == 'u';
        unsigned low = has_pair ? hex_unit(str_skip(*raw, 2)) : 0;
        if (low < 0xdc00 || low > 0xdfff) {
            return 0;
        }
        *raw = str_skip(*raw, 6);
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code == 0 || (code >= 0xdc00 && code <= 0xdfff)) {
        return 0;
    }
    return utf8_from_code_point(code, utf8);
}

/* The bytes between the quotes; {NULL, 0} when the span is no string. */
static struct str without_quotes(struct str span)
{
    if (span.len < 2 || span.at[0] != '"' || span.at[span.len - 1] != '"') {
        return (struct str){.at = NULL, .len = 0};
    }
    return str_make(span.at + 1, span.len - 2);
}

/* Cuts off what stands before the next backslash. */
static struct str take_plain(struct str *raw)
{
    ptrdiff_t index = str_find(*raw, '\\');
    struct str plain = index < 0 ? *raw : str_first(*raw, (size_t)index);
    *raw = str_skip(*raw, plain.len);
    return plain;
}

bool json_get_string(struct str span, struct buf *scratch, struct str *out)
{
    struct str raw = without_quotes(span);
    if (raw.at == NULL) {
        return false;
    }
    struct str plain = take_plain(&raw);
    if (raw.len == 0) {
        *out = plain;
        return true;
    }
    size_t start = scratch->len;
    if (!buf_reserve(scratch, span.len)) {
        return false;
    }
    buf_append_str(scratch, plain);
    while (raw.len > 0) {
        char utf8[4];
        size_t len = take_escape(&raw, utf8);
        if (len == 0) {
            scratch->len = start;
            return false;
        }
        buf_append(scratch, utf8, len);
        buf_append_str(scratch, take_plain(&raw));
    }
    *out = str_make(scratch->at + start, scratch->len - start);
    return true;
}

/* Does the text of a string, given without its quotes, equal `text`? */
static bool escaped_is(struct str raw, const char *text)
{
    struct str left = str_from_cstr(text);
    for (;;) {
        struct str plain = take_plain(&raw);
        if (!str_starts_with(left, plain)) {
            return false;
        }
        left = str_skip(left, plain.len);
        if (raw.len == 0) {
            return left.len == 0;
        }
        char utf8[4];
        size_t len = take_escape(&raw, utf8);
        if (len == 0 || !str_starts_with(left, str_make(utf8, len))) {
            return false;
        }
        left = str_skip(left, len);
    }
}

bool json_string_is(struct str span, const char *text)
{
    struct str raw = without_quotes(span);
    return raw.at != NULL && escaped_is(raw, text);
}

/* -- numbers, booleans, payloads ------------------------------------------------------------------------- */

bool json_get_u64(struct str span, uint64_t *out)
{
    return str_to_u64(span, UINT64_MAX, out);
}

bool json_get_u32(struct str span, uint32_t *out)
{
    uint64_t value;
    if (!str_to_u64(span, UINT32_MAX, &value)) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

bool json_get_i64(struct str span, int64_t *out)
{
    bool is_negative = span.len > 0 && *span.at == '-';
    uint64_t magnitude;
    if (!str_to_u64(str_skip(span, is_negative), (uint64_t)INT64_MAX + is_negative, &magnitude)) {
        return false;
    }
    *out = (int64_t)(is_negative ? 0 - magnitude : magnitude);
    return true;
}

bool json_get_i32(struct str span, int32_t *out)
{
    int64_t value;
    if (!json_get_i64(span, &value) || value < INT32_MIN || value > INT32_MAX) {
        return false;
    }
    *out = (int32_t)value;
    return true;
}

bool json_get_bool(struct str span, bool *out)
{
    if (json_kind(span) != JSON_KIND_BOOL) {
        return false;
    }
    *out = *span.at == 't';
    return true;
}

void json_append_compact_newlines(struct buf *buf, struct str payload)
{
    size_t start = buf->len;
    buf_append_str(buf, payload);
    if (buf->len == start || (memchr(buf->at + start, '\n', payload.len) == NULL &&
                              memchr(buf->at + start, '\r', payload.len) == NULL)) {
        return;
    }
    for (size_t i = start; i < buf->len; i++) {
        if (buf->at[i] == '\n' || buf->at[i] == '\r') {
            buf->at[i] = ' ';
        }
    }
}

/* json_span.h - finds the parts of a JSON text without changing a byte of it.
 *
 * A payload is delivered exactly as it was published, so nothing on its way may decode and re-encode it: a
 * general parser changes numbers (1e2, big integers) and refuses valid ones (1E400). This scanner validates a
 * whole text against RFC 8259 (strict numbers, escapes, UTF-8, no raw control character in a string) and
 * hands out spans of it. A span covers one value without the white space around it; the quotes of a string
 * belong to its span.
 *
 * Validate once, then use the iterators and getters on the spans: those trust the syntax of a span that came
 * from here. On any other bytes their answers mean nothing, but they never read outside the span.
 *
 * Thread: any.   Memory: none, but for json_get_string() and json_append_compact_newlines().
 * Limits: nesting, as `depth_max`: the number of arrays and objects inside each other. At most
 * JSON_DEPTH_LIMIT is possible, which bounds the stack: one call per level.
 */
#ifndef STARLING_SERVER_JSON_SPAN_H
#define STARLING_SERVER_JSON_SPAN_H

#include "channels/base/buf.h"
#include "channels/base/str.h"

enum {
    /* Nesting that commands and payloads may have unless the configuration says otherwise. */
    JSON_DEPTH_DEFAULT = 32,
    JSON_DEPTH_LIMIT = 512,
};

enum json_kind {
    JSON_KIND_NONE, /* empty, or no JSON value begins like this */
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_NUMBER,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT,
};

enum json_result {
    JSON_READ_OK,
    JSON_READ_EMPTY,      /* nothing but white space */
    JSON_READ_INVALID,    /* not JSON, too deep, or followed by something */
    JSON_READ_NOT_OBJECT, /* begins like another kind of value; the rest was not looked at */
    JSON_READ_DUPLICATE,  /* a member that was asked for is there twice */
};

/* One member to look for. The caller sets `name`; the reader sets `value`, {NULL, 0} when it is absent. */
struct json_member {
    const char *name;
    struct str value;
};

/* Is `text` exactly one JSON value, with white space around it at most? */
bool json_validate(struct str text, unsigned depth_max);

/* What a value is, by its first byte. */
enum json_kind json_kind(struct str span);

/* Validates all of `text`, which must be one object, and finds `count` of its members in the same pass. The
 * names are compared as text, so "\u0069d" is "id". Members that nobody asked for are validated and ignored,
 * duplicates among them too: they decide nothing. */
enum json_result json_object_read(struct str text, struct json_member *members, size_t count,
                                  unsigned depth_max);

/* The same for a run of JSON texts with white space between them: takes the first off *rest, with the white
 * space after it. *rest changes only on JSON_READ_OK. */
enum json_result json_object_read_next(struct str *rest, struct json_member *members, size_t count,
                                       unsigned depth_max);

/* The same for a span that is already validated, and faster. */
enum json_result json_object_members(struct str span, struct json_member *members, size_t count);

/* Walk over a validated array or object. *rest starts as its span and is the caller's to keep, not to read;
 * false: at the end, or the span was no array or object. `name` is a string span, quotes included. */
bool json_array_next(struct str *rest, struct str *value);
bool json_object_next(struct str *rest, struct str *name, struct str *value);

/* The text of a string span: borrowed from the span, or from the end of `scratch` when it has escapes. Never
 * longer than the span, so that a caller with several strings reserves the sum of their spans and none moves.
 * false: not a string; a lone surrogate or U+0000 in it, which no name or key may have (RFC 8259
 * section 8.2); or no memory. */
bool json_get_string(struct str span, struct buf *scratch, struct str *out);

/* Is the span a string with this text? */
bool json_string_is(struct str span, const char *text);

/* false: not an integer of that type. A fraction or an exponent makes a number no integer, also 1.0 and 1e2;
 * the unsigned ones refuse a minus. */
bool json_get_u32(struct str span, uint32_t *out);
bool json_get_u64(struct str span, uint64_t *out);
bool json_get_i32(struct str span, int32_t *out);
bool json_get_i64(struct str span, int64_t *out);
bool json_get_bool(struct str span, bool *out);

/* Appends a validated payload byte for byte, except that each CR and LF becomes a space: messages are
 * separated by newlines (PROTOCOL section 2). They can only be white space between tokens here. */
void json_append_compact_newlines(struct buf *buf, struct str payload);

#endif

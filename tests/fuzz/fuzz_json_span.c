/* Feeds any bytes to json_span and asks jansson what it thinks of them.
 *
 * The two must agree on what is JSON but where jansson is known to be stricter: numbers that do not fit its
 * types, U+0000 in names, and surrogates that stand alone; and where it stops at a NUL byte as at the end.
 */
#include "channels/base/must.h"
#include "server/json_span.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"id", "a", "data", "", "\xc3\xa9", "a/\""};
enum { NAME_COUNT = sizeof names / sizeof names[0] };

static bool is_inside(struct str part, struct str whole)
{
    return part.at >= whole.at && part.at + part.len <= whole.at + whole.len;
}

static size_t bracket_count(struct str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += text.at[i] == '[' || text.at[i] == '{';
    }
    return count;
}

/* Is there an escape from the range of the surrogates? */
static bool has_surrogate(struct str text)
{
    for (size_t i = 0; i + 3 < text.len; i++) {
        if (text.at[i] == '\\' && text.at[i + 1] == 'u' && (text.at[i + 2] | 0x20) == 'd') {
            return true;
        }
    }
    return false;
}

/* What jansson says of a text that is JSON for us: true when its refusal is one of the known ones. */
static bool may_refuse(const json_error_t *error, struct str text)
{
    switch (json_error_code(error)) {
    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
    case json_error_null_character: return true;
    default: return has_surrogate(text);
    }
}

static void check_string(struct str span)
{
    struct buf scratch = {0};
    struct str text = {0};
    bool has_text = json_get_string(span, &scratch, &text);
    json_t *oracle = json_loadb(span.at, span.len, JSON_DECODE_ANY, NULL);
    must(has_text == (oracle != NULL));
    if (has_text) {
        must(text.len <= span.len);
        must(str_equal(text, str_make(json_string_value(oracle), json_string_length(oracle))));
        must(json_string_is(span, json_string_value(oracle)));
    }
    json_decref(oracle);
    buf_release(&scratch);
}

static void check_number(struct str span)
{
    uint64_t u64 = 0;
    int64_t i64 = 0;
    json_t *oracle = json_loadb(span.at, span.len, JSON_DECODE_ANY, NULL);
    bool is_integer = json_is_integer(oracle);
    must(json_get_i64(span, &i64) == is_integer);
    must(!is_integer || i64 == json_integer_value(oracle));
    if (json_get_u64(span, &u64)) {
        must(is_integer ? i64 >= 0 && u64 == (uint64_t)i64 : u64 > INT64_MAX);
    }
    json_decref(oracle);
}

/* A value that json_validate() accepted, or a part of one. */
static void check_value(struct str span)
{
    struct str rest = span, name, value;
    must(json_validate(span, JSON_DEPTH_LIMIT));
    switch (json_kind(span)) {
    case JSON_KIND_ARRAY:
        while (json_array_next(&rest, &value)) {
            must(is_inside(value, span));
            check_value(value);
        }
        must(str_is(rest, "]") || str_equal(rest, span));
        break;
    case JSON_KIND_OBJECT:
        while (json_object_next(&rest, &name, &value)) {
            must(is_inside(name, span) && is_inside(value, span));
            check_string(name);
            check_value(value);
        }
        must(str_is(rest, "}") || str_equal(rest, span));
        break;
    case JSON_KIND_STRING: check_string(span); break;
    case JSON_KIND_NUMBER: check_number(span); break;
    case JSON_KIND_BOOL: must(str_is(span, "true") || str_is(span, "false")); break;
    case JSON_KIND_NULL: must(str_is(span, "null")); break;
    case JSON_KIND_NONE: must(false);
    }
}

static void check_newlines(struct str text)
{
    struct buf buf = {0};
    json_append_compact_newlines(&buf, text);
    must(buf.len == text.len);
    must(json_validate(buf_str(&buf), JSON_DEPTH_LIMIT));
    for (size_t i = 0; i < text.len; i++) {
        bool is_break = text.at[i] == '\n' || text.at[i] == '\r';
        must(buf.at[i] == (is_break ? ' ' : text.at[i]));
    }
    buf_release(&buf);
}

/* Both object readers find the same, and only in JSON. */
static void check_members(struct str text, bool is_valid)
{
    struct json_member strict[NAME_COUNT], trusting[NAME_COUNT];
    for (size_t i = 0; i < NAME_COUNT; i++) {
        strict[i].name = trusting[i].name = names[i];
    }
    enum json_result result = json_object_read(text, strict, NAME_COUNT, JSON_DEPTH_LIMIT);
    must(is_valid || result != JSON_READ_OK);
    if (!is_valid) {
        return;
    }
    struct str span = text;
    while (strchr(" \t\r\n", *span.at) != NULL) {
        span = str_skip(span, 1);
    }
    must(json_object_members(span, trusting, NAME_COUNT) == result);
    must(result == JSON_READ_OK || result == JSON_READ_DUPLICATE ||
         (result == JSON_READ_NOT_OBJECT && json_kind(span) != JSON_KIND_OBJECT));
    for (size_t i = 0; i < NAME_COUNT && result == JSON_READ_OK; i++) {
        must(strict[i].value.at == trusting[i].value.at && strict[i].value.len == trusting[i].value.len);
    }
    if (json_kind(span) == JSON_KIND_ARRAY || json_kind(span) == JSON_KIND_OBJECT) {
        struct str tail = span;
        ptrdiff_t end = str_find_last(tail, *span.at == '[' ? ']' : '}');
        check_value(str_first(span, (size_t)end + 1));
    }
}

/* Iterators and getters on bytes that nobody validated: answers mean nothing, but the sanitizer looks on. */
static void walk_anything(struct str text)
{
    struct buf scratch = {0};
    struct str rest = text, name, value, out;
    while (json_array_next(&rest, &value)) {
        must(is_inside(value, text));
    }
    rest = text;
    while (json_object_next(&rest, &name, &value)) {
        must(is_inside(name, text) && is_inside(value, text));
        (void)json_get_string(name, &scratch, &out); /* only for what it reads */
    }
    (void)json_get_string(text, &scratch, &out);
    buf_release(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    bool is_valid = json_validate(text, JSON_DEPTH_LIMIT);
    json_error_t error;
    json_t *oracle = json_loadb(text.at, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (is_valid) {
        must(oracle != NULL || may_refuse(&error, text));
        check_newlines(text);
    } else {
        must(oracle == NULL || bracket_count(text) > JSON_DEPTH_LIMIT || str_find(text, '\0') >= 0);
    }
    json_decref(oracle);
    check_members(text, is_valid);
    walk_anything(text);
    return 0;
}

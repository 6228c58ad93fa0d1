/* The scanner, the object readers and the iterators. */
#include "server/json_span.h"

#include <endian.h>

/* The scanning functions take the place to look at and the end of the text, and return the place after what
 * they read, or NULL when it is not there. */

#define EVERY_BYTE UINT64_C(0x0101010101010101)
#define HIGH_BITS UINT64_C(0x8080808080808080)

/* -- white space and strings ----------------------------------------------------------------------------- */

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at)) {
        at++;
    }
    return at;
}

static inline uint64_t load_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

/* Marks the high bit of each byte that ends a run of plain text: a control character, '"', '\' or anything
 * from 0x80. A subtraction borrows only from bytes above one that is marked already, so the lowest mark, the
 * only one that is used, is always right. */
static inline uint64_t mark_special(uint64_t word)
{
    uint64_t control = word - EVERY_BYTE * 0x20;
    uint64_t quote = (word ^ EVERY_BYTE * '"') - EVERY_BYTE;
    uint64_t backslash = (word ^ EVERY_BYTE * '\\') - EVERY_BYTE;
    return (control | quote | backslash | word) & HIGH_BITS;
}

/* The first byte from `at` that is not plain text in a string, or `end`. */
static inline const char *skip_plain(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t marks = mark_special(load_word(at));
        if (marks != 0) {
            return at + __builtin_ctzll(marks) / 8;
        }
        at += 8;
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

static inline bool is_between(char c, unsigned char low, unsigned char high)
{
    return (unsigned char)c >= low && (unsigned char)c <= high;
}

/* A run of characters of two to four bytes, as the table in RFC 3629 section 4 has them. */
static const char *scan_utf8(const char *at, const char *end)
{
    while (at < end && (unsigned char)*at >= 0x80) {
        unsigned char lead = (unsigned char)*at;
        ptrdiff_t len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (lead < 0xc2 || lead > 0xf4 || end - at < len) {
            return NULL;
        }
        /* The second byte rules out overlong forms, surrogates and what is above U+10FFFF. */
        unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (!is_between(at[1], low, high)) {
            return NULL;
        }
        for (ptrdiff_t i = 2; i < len; i++) {
            if (!is_between(at[i], 0x80, 0xbf)) {
                return NULL;
            }
        }
        at += len;
    }
    return at;
}

static inline bool is_hex(char c)
{
    return is_between(c, '0', '9') || is_between((char)(c | 0x20), 'a', 'f');
}

/* `at` is the backslash. Surrogates may be alone here: a payload is passed on as it is. */
static const char *scan_escape(const char *at, const char *end)
{
    if (end - at < 2) {
        return NULL;
    }
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return at + 2;
    case 'u':
        if (end - at < 6 || !is_hex(at[2]) || !is_hex(at[3]) || !is_hex(at[4]) || !is_hex(at[5])) {
            return NULL;
        }
        return at + 6;
    default: return NULL;
    }
}

/* `at` is after the opening quote; returns the place after the closing one. */
static inline const char *scan_string(const char *at, const char *end)
{
    for (;;) {
        at = skip_plain(at, end);
        if (at == end) {
            return NULL;
        }
        if (*at == '"') {
            return at + 1;
        }
        if (*at == '\\') {
            at = scan_escape(at, end);
        } else if ((unsigned char)*at >= 0x80) {
            at = scan_utf8(at, end);
        } else {
            return NULL;
        }
        if (at == NULL) {
            return NULL;
        }
    }
}

/* -- numbers, words, values ------------------------------------------------------------------------------ */

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One digit or more. */
static inline const char *scan_digits(const char *at, const char *end)
{
    if (at == end || !is_digit(*at)) {
        return NULL;
    }
    while (at < end && is_digit(*at)) {
        at++;
    }
    return at;
}

static const char *scan_number(const char *at, const char *end)
{
    if (*at == '-') {
        at++;
    }
    if (at < end && *at == '0') {
        at++; /* a digit that follows is refused by whoever wants the next token */
    } else {
        at = scan_digits(at, end);
    }
    if (at != NULL && at < end && *at == '.') {
        at = scan_digits(at + 1, end);
    }
    if (at != NULL && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) {
            at++;
        }
        at = scan_digits(at, end);
    }
    return at;
}

static inline const char *scan_word(const char *at, const char *end, const char *word, ptrdiff_t len)
{
    return end - at >= len && memcmp(at, word, (size_t)len) == 0 ? at + len : NULL;
}

static const char *scan_container(const char *at, const char *end, unsigned depth_left);

/* One value that begins at `at`. */
static inline const char *scan_value(const char *at, const char *end, unsigned depth_left)
{
    if (at == end) {
        return NULL;
    }
    switch (*at) {
    case '"': return scan_string(at + 1, end);
    case '{':
    case '[': return depth_left == 0 ? NULL : scan_container(at, end, depth_left - 1);
    case 't': return scan_word(at, end, "true", 4);
    case 'f': return scan_word(at, end, "false", 5);
    case 'n': return scan_word(at, end, "null", 4);
    default: return *at == '-' || is_digit(*at) ? scan_number(at, end) : NULL;
    }
}

/* A name with its colon and the white space around that; `at` is where the quote must be. */
static inline const char *scan_name(const char *at, const char *end, struct str *name)
{
    if (at == end || *at != '"') {
        return NULL;
    }
    const char *after = scan_string(at + 1, end);
    if (after == NULL) {
        return NULL;
    }
    *name = str_make(at, (size_t)(after - at));
    after = skip_space(after, end);
    return after < end && *after == ':' ? skip_space(after + 1, end) : NULL;
}

/* An array or object; `at` is its bracket. */
static const char *scan_container(const char *at, const char *end, unsigned depth_left)
{
    bool is_object = *at == '{';
    char close = is_object ? '}' : ']';
    struct str name;
    at = skip_space(at + 1, end);
    if (at < end && *at == close) {
        return at + 1;
    }
    for (;;) {
        if (is_object) {
            at = scan_name(at, end, &name);
            if (at == NULL) {
                return NULL;
            }
        }
        at = scan_value(at, end, depth_left);
        if (at == NULL) {
            return NULL;
        }
        at = skip_space(at, end);
        if (at == end) {
            return NULL;
        }
        if (*at == close) {
            return at + 1;
        }
        if (*at != ',') {
            return NULL;
        }
        at = skip_space(at + 1, end);
    }
}

/* -- over what is valid already -------------------------------------------------------------------------- */

/* Marks '"' and '\' and nothing else; exact for the lowest mark, as above. */
static inline uint64_t mark_quote(uint64_t word)
{
    uint64_t quote = word ^ EVERY_BYTE * '"';
    uint64_t backslash = word ^ EVERY_BYTE * '\\';
    return (((quote - EVERY_BYTE) & ~quote) | ((backslash - EVERY_BYTE) & ~backslash)) & HIGH_BITS;
}

static const char *skip_string(const char *at, const char *end)
{
    while (at < end) {
        if (end - at >= 8) {
            uint64_t marks = mark_quote(load_word(at));
            if (marks == 0) {
                at += 8;
                continue;
            }
            at += __builtin_ctzll(marks) / 8;
        }
        if (*at == '"') {
            return at + 1;
        }
        if (*at == '\\') {
            at++;
        }
        at++;
    }
    return NULL;
}

static const char *skip_container(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        char c = *at++;
        if (c == '"') {
            at = skip_string(at, end);
            if (at == NULL) {
                return NULL;
            }
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return at;
        }
    }
    return NULL;
}

static const char *skip_value(const char *at, const char *end)
{
    if (at == end) {
        return NULL;
    }
    if (*at == '"') {
        return skip_string(at + 1, end);
    }
    if (*at == '{' || *at == '[') {
        return skip_container(at, end);
    }
    while (at < end && *at != ',' && *at != ']' && *at != '}' && !is_space(*at)) {
        at++;
    }
    return at;
}

/* Steps of both iterators: *rest begins with the opening bracket, then with each comma, then with the closing
 * bracket. Returns where the next element begins, or NULL at the end. */
static const char *next_element(struct str rest, char open)
{
    if (rest.len == 0 || (*rest.at != open && *rest.at != ',')) {
        return NULL;
    }
    const char *end = rest.at + rest.len;
    const char *at = skip_space(rest.at + 1, end);
    return at == end || *at == ']' || *at == '}' ? NULL : at;
}

bool json_array_next(struct str *rest, struct str *value)
{
    const char *at = next_element(*rest, '[');
    if (at == NULL) {
        return false;
    }
    const char *end = rest->at + rest->len;
    const char *after = skip_value(at, end);
    if (after == NULL) {
        return false;
    }
    *value = str_make(at, (size_t)(after - at));
    after = skip_space(after, end);
    *rest = str_make(after, (size_t)(end - after));
    return true;
}

bool json_object_next(struct str *rest, struct str *name, struct str *value)
{
    const char *at = next_element(*rest, '{');
    if (at == NULL || *at != '"') {
        return false;
    }
    const char *end = rest->at + rest->len;
    const char *after = skip_string(at + 1, end);
    if (after == NULL) {
        return false;
    }
    struct str found = str_make(at, (size_t)(after - at));
    at = skip_space(after, end);
    if (at == end || *at != ':') {
        return false;
    }
    at = skip_space(at + 1, end);
    after = skip_value(at, end);
    if (after == NULL) {
        return false;
    }
    *name = found;
    *value = str_make(at, (size_t)(after - at));
    after = skip_space(after, end);
    *rest = str_make(after, (size_t)(end - after));
    return true;
}

/* -- kinds ----------------------------------------------------------------------------------------------- */

enum json_kind json_kind(struct str span)
{
    if (span.len == 0) {
        return JSON_KIND_NONE;
    }
    switch (*span.at) {
    case '{': return JSON_KIND_OBJECT;
    case '[': return JSON_KIND_ARRAY;
    case '"': return JSON_KIND_STRING;
    case 't':
    case 'f': return JSON_KIND_BOOL;
    case 'n': return JSON_KIND_NULL;
    default: return *span.at == '-' || is_digit(*span.at) ? JSON_KIND_NUMBER : JSON_KIND_NONE;
    }
}

/* -- objects --------------------------------------------------------------------------------------------- */

/* The member that is asked for by this name (a string span), or NULL. */
static struct json_member *find_member(struct str name, struct json_member *members, size_t count)
{
    struct str raw = str_make(name.at + 1, name.len - 2);
    bool has_escape = str_find(raw, '\\') >= 0;
    for (size_t i = 0; i < count; i++) {
        const char *wanted = members[i].name;
        if (has_escape) {
            if (json_string_is(name, wanted)) {
                return &members[i];
            }
        } else if (raw.len > 0 && *wanted == *raw.at && strncmp(wanted, raw.at, raw.len) == 0 &&
                   wanted[raw.len] == '\0') {
            return &members[i];
        }
    }
    return NULL;
}

/* Reads an object that begins at `at`; sets *after on success. */
static enum json_result read_object(const char *at, const char *end, struct json_member *members,
                                    size_t count, unsigned depth_left, const char **after)
{
    if (depth_left == 0) {
        return JSON_READ_INVALID;
    }
    at = skip_space(at + 1, end);
    if (at < end && *at == '}') {
        *after = at + 1;
        return JSON_READ_OK;
    }
    for (;;) {
        struct str name;
        const char *value = scan_name(at, end, &name);
        at = value == NULL ? NULL : scan_value(value, end, depth_left - 1);
        if (at == NULL) {
            return JSON_READ_INVALID;
        }
        struct json_member *member = find_member(name, members, count);
        if (member != NULL) {
            if (member->value.at != NULL) {
                return JSON_READ_DUPLICATE;
            }
            member->value = str_make(value, (size_t)(at - value));
        }
        at = skip_space(at, end);
        if (at == end || (*at != '}' && *at != ',')) {
            return JSON_READ_INVALID;
        }
        if (*at == '}') {
            *after = at + 1;
            return JSON_READ_OK;
        }
        at = skip_space(at + 1, end);
    }
}

static void forget_values(struct json_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        members[i].value = (struct str){.at = NULL, .len = 0};
    }
}

enum json_result json_object_read_next(struct str *rest, struct json_member *members, size_t count,
                                       unsigned depth_max)
{
    forget_values(members, count);
    if (rest->len == 0) {
        return JSON_READ_EMPTY;
    }
    const char *end = rest->at + rest->len;
    const char *at = skip_space(rest->at, end);
    if (at == end) {
        return JSON_READ_EMPTY;
    }
    if (*at != '{') {
        return json_kind(str_make(at, 1)) == JSON_KIND_NONE ? JSON_READ_INVALID : JSON_READ_NOT_OBJECT;
    }
    unsigned depth = depth_max < JSON_DEPTH_LIMIT ? depth_max : JSON_DEPTH_LIMIT;
    const char *after = NULL;
    enum json_result result = read_object(at, end, members, count, depth, &after);
    if (result != JSON_READ_OK) {
        return result;
    }
    if (after < end && !is_space(*after)) {
        return JSON_READ_INVALID;
    }
    after = skip_space(after, end);
    *rest = str_make(after, (size_t)(end - after));
    return JSON_READ_OK;
}

enum json_result json_object_read(struct str text, struct json_member *members, size_t count,
                                  unsigned depth_max)
{
    struct str rest = text;
    enum json_result result = json_object_read_next(&rest, members, count, depth_max);
    return result == JSON_READ_OK && rest.len > 0 ? JSON_READ_INVALID : result;
}

enum json_result json_object_members(struct str span, struct json_member *members, size_t count)
{
    forget_values(members, count);
    if (json_kind(span) != JSON_KIND_OBJECT) {
        return JSON_READ_NOT_OBJECT;
    }
    struct str name, value;
    while (json_object_next(&span, &name, &value)) {
        struct json_member *member = find_member(name, members, count);
        if (member == NULL) {
            continue;
        }
        if (member->value.at != NULL) {
            return JSON_READ_DUPLICATE;
        }
        member->value = value;
    }
    return JSON_READ_OK;
}

bool json_validate(struct str text, unsigned depth_max)
{
    if (text.len == 0) {
        return false;
    }
    const char *end = text.at + text.len;
    unsigned depth = depth_max < JSON_DEPTH_LIMIT ? depth_max : JSON_DEPTH_LIMIT;
    const char *after = scan_value(skip_space(text.at, end), end, depth);
    return after != NULL && skip_space(after, end) == end;
}

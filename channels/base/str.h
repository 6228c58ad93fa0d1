/* str.h - a slice of bytes: pointer and length, by value.
 *
 * A str never owns what it points to and never promises a NUL at the end: peer data has none. The comment of
 * the struct or function that hands out a str says how long it stays valid.
 */
#ifndef STARLING_BASE_STR_H
#define STARLING_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *at;
    size_t len;
};

/* A str over a string literal. */
#define STR(literal) ((struct str){.at = ("" literal), .len = sizeof(literal) - 1})

/* For printf: printf("%.*s", STR_ARG(s)). Only for text of ours; what a peer sent goes through log.h. */
#define STR_ARG(s) (int)(s).len, (s).at

static inline struct str str_make(const char *at, size_t len)
{
    return (struct str){.at = at, .len = len};
}

static inline struct str str_from_cstr(const char *text)
{
    return (struct str){.at = text, .len = text == NULL ? 0 : strlen(text)};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool str_is(struct str a, const char *text)
{
    return str_equal(a, str_from_cstr(text));
}

/* ASCII letters compare equal in either case (HTTP field names and tokens). */
bool str_equal_nocase(struct str a, struct str b);

static inline bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

static inline bool str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.at + s.len - suffix.len, suffix.at, suffix.len) == 0);
}

/* The rest after the first `count` bytes; empty when there are fewer. */
static inline struct str str_skip(struct str s, size_t count)
{
    size_t skipped = count < s.len ? count : s.len;
    return (struct str){.at = s.at == NULL ? NULL : s.at + skipped, .len = s.len - skipped};
}

static inline struct str str_first(struct str s, size_t count)
{
    return (struct str){.at = s.at, .len = count < s.len ? count : s.len};
}

/* Index of `c`, or -1. */
ptrdiff_t str_find(struct str s, char c);
ptrdiff_t str_find_last(struct str s, char c);

/* Without the spaces and tabs at both ends. */
struct str str_trim(struct str s);

/* Splits off the text before the next `separator`: returns it and advances *rest past the separator.
 * At the end *rest becomes {NULL, 0}; a loop is: while (rest.at != NULL) { part = str_next(&rest, ','); … }
 */
struct str str_next(struct str *rest, char separator);

/* A decimal number without sign, spaces or leading zeros (but "0"), at most `max`. false: not that. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *out);

/* Returns an owned NUL-terminated copy, or NULL without memory. */
char *str_to_cstr(struct str s);

/* Glob match with '*' (any run) and '?' (one byte); everything else is literal. O(pattern × text) at worst.
 */
bool str_glob(struct str pattern, struct str text);

#endif

#include "channels/base/str.h"

#include <stdlib.h>

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.at[i]) != ascii_lower(b.at[i])) {
            return false;
        }
    }
    return true;
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *found = s.len == 0 ? NULL : memchr(s.at, c, s.len);
    return found == NULL ? -1 : found - s.at;
}

ptrdiff_t str_find_last(struct str s, char c)
{
    const char *found = s.len == 0 ? NULL : memrchr(s.at, c, s.len);
    return found == NULL ? -1 : found - s.at;
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s = str_skip(s, 1);
    }
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

struct str str_next(struct str *rest, char separator)
{
    ptrdiff_t index = str_find(*rest, separator);
    struct str part = *rest;
    if (index < 0) {
        *rest = (struct str){.at = NULL, .len = 0};
        return part;
    }
    part.len = (size_t)index;
    *rest = str_skip(*rest, (size_t)index + 1);
    return part;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *out)
{
    if (s.len == 0 || s.len > 20 || (s.len > 1 && s.at[0] == '0')) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9') {
            return false;
        }
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.at[i] - '0'), &value)) {
            return false;
        }
    }
    if (value > max) {
        return false;
    }
    *out = value;
    return true;
}

char *str_to_cstr(struct str s)
{
    char *copy = malloc(s.len + 1);
    if (copy != NULL) {
        if (s.len > 0) {
            memcpy(copy, s.at, s.len);
        }
        copy[s.len] = '\0';
    }
    return copy;
}

bool str_glob(struct str pattern, struct str text)
{
    /* Greedy with one point to come back to: on a mismatch the last '*' takes one byte more. */
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.at[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.len && (pattern.at[p] == '?' || pattern.at[p] == text.at[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.at[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

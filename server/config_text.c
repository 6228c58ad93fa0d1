#include "server/config_text.h"

#include "server/config_options.h"

#include <ctype.h>
#include <stdlib.h>

void append_quoted(struct buf *out, struct str text)
{
    struct str shown = str_first(text, 100);
    buf_append_char(out, '\'');
    for (size_t i = 0; i < shown.len; i++) {
        unsigned char c = (unsigned char)shown.at[i];
        buf_append_char(out, c < 0x20 || c >= 0x7F ? '?' : (char)c);
    }
    if (shown.len < text.len) {
        buf_append_lit(out, "...");
    }
    buf_append_char(out, '\'');
}

/* Durations */

static const struct {
    const char *unit;
    uint64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

/* Reads digits off *rest. false: there are none, or too many. */
static bool take_digits(struct str *rest, struct str *digits)
{
    size_t len = 0;
    while (len < rest->len && rest->at[len] >= '0' && rest->at[len] <= '9') {
        len++;
    }
    *digits = str_first(*rest, len);
    *rest = str_skip(*rest, len);
    return len > 0 && len <= 15;
}

static uint64_t digits_value(struct str digits)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        value = value * 10 + (uint64_t)(digits.at[i] - '0');
    }
    return value;
}

static uint64_t take_unit(struct str *rest)
{
    size_t len = 0;
    while (len < rest->len && isalpha((unsigned char)rest->at[len])) {
        len++;
    }
    struct str name = str_first(*rest, len);
    *rest = str_skip(*rest, len);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (str_is(name, units[i].unit)) {
            return units[i].ms;
        }
    }
    return 0;
}

/* One number with its unit: 1h, 1.5s. */
static bool take_duration(struct str *rest, uint64_t *out_ms)
{
    struct str whole;
    struct str fraction = {0};
    if (!take_digits(rest, &whole)) {
        return false;
    }
    if (rest->len > 0 && rest->at[0] == '.') {
        *rest = str_skip(*rest, 1);
        if (!take_digits(rest, &fraction) || fraction.len > 6) {
            return false;
        }
    }
    uint64_t unit_ms = take_unit(rest);
    uint64_t scale = 1;
    for (size_t i = 0; i < fraction.len; i++) {
        scale *= 10;
    }
    uint64_t fraction_ms = digits_value(fraction) * unit_ms;
    uint64_t whole_ms;
    return unit_ms != 0 && fraction_ms % scale == 0 &&
           !__builtin_mul_overflow(digits_value(whole), unit_ms, &whole_ms) &&
           !__builtin_add_overflow(whole_ms, fraction_ms / scale, out_ms);
}

bool duration_from_text(struct str text, uint64_t *out_ms)
{
    uint64_t total = 0;
    if (str_is(text, "0")) {
        *out_ms = 0;
        return true;
    }
    if (text.len == 0) {
        return false;
    }
    while (text.len > 0) {
        uint64_t part;
        if (!take_duration(&text, &part) || __builtin_add_overflow(total, part, &total)) {
            return false;
        }
    }
    *out_ms = total;
    return true;
}

void duration_print(uint64_t ms, struct buf *out)
{
    static const size_t shown[] = {3, 2, 1, 0}; /* hours first, days never: 720h reads as it was written */
    if (ms == 0) {
        buf_append_lit(out, "0s");
    }
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        uint64_t unit_ms = units[shown[i]].ms;
        if (ms >= unit_ms) {
            buf_append_u64(out, ms / unit_ms);
            buf_append_str(out, str_from_cstr(units[shown[i]].unit));
            ms %= unit_ms;
        }
    }
}

/* Sizes */

static const struct {
    const char *unit;
    uint64_t bytes;
} sizes[] = {{"GiB", CONFIG_GIB}, {"MiB", CONFIG_MIB}, {"KiB", CONFIG_KIB}, {"B", 1}, {"", 1}};

bool bytes_from_text(struct str text, uint64_t *out)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct str unit = str_from_cstr(sizes[i].unit);
        uint64_t count;
        if (str_ends_with(text, unit)) {
            return str_to_u64(str_first(text, text.len - unit.len), UINT64_MAX, &count) &&
                   !__builtin_mul_overflow(count, sizes[i].bytes, out);
        }
    }
    return false;
}

void bytes_print(uint64_t bytes, struct buf *out)
{
    for (size_t i = 0; i < 3; i++) {
        if (bytes != 0 && bytes % sizes[i].bytes == 0) {
            buf_append_u64(out, bytes / sizes[i].bytes);
            buf_append_str(out, str_from_cstr(sizes[i].unit));
            return;
        }
    }
    buf_append_u64(out, bytes);
}

/* Expressions: the regex_t is the first member, so that a pointer to it is one to the whole. */

struct named_regex {
    regex_t regex;
    char pattern[];
};

enum { REGEX_BYTES_MAX = 1024, REGEX_REPETITIONS_MAX = 65536 };

/* regcomp() writes a{n,m} and a+ out as copies, and nested copies multiply. All of them are multiplied here,
 * nested or not: that is more than it takes and needs no parser. */
static bool repetitions_are_bounded(struct str text)
{
    uint64_t product = 1;
    for (size_t i = 0; i < text.len && product <= REGEX_REPETITIONS_MAX; i++) {
        if (text.at[i] == '+') {
            product *= 2;
        }
        bool starts_bound = i > 0 && (text.at[i - 1] == '{' || text.at[i - 1] == ',');
        uint64_t count = 0;
        for (size_t j = i; starts_bound && j < text.len && isdigit((unsigned char)text.at[j]); j++) {
            count = count < REGEX_REPETITIONS_MAX ? count * 10 + (uint64_t)(text.at[j] - '0') : count;
        }
        product *= count > 0 ? count : 1;
    }
    return product <= REGEX_REPETITIONS_MAX;
}

static bool has_back_reference(struct str text)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.at[i] == '\\') {
            i++;
            if (text.at[i] >= '1' && text.at[i] <= '9') {
                return true;
            }
        }
    }
    return false;
}

regex_t *regex_from_text(struct str text, struct buf *why)
{
    const char *problem = NULL;
    char message[128];
    struct named_regex *named = NULL;
    if (text.len > REGEX_BYTES_MAX) {
        problem = "is longer than 1024 bytes";
    } else if (has_back_reference(text)) {
        problem = "has a back-reference, which has no bound in time";
    } else if (!repetitions_are_bounded(text)) {
        problem = "may repeat more than 65536 times";
    } else {
        named = calloc(1, sizeof *named + text.len + 1);
        if (named == NULL) {
            problem = "does not fit into memory";
        }
    }
    if (problem == NULL) {
        if (text.len > 0) {
            memcpy(named->pattern, text.at, text.len);
        }
        int code = regcomp(&named->regex, named->pattern, REG_EXTENDED | REG_NOSUB);
        if (code == 0) {
            return &named->regex;
        }
        (void)regerror(code, NULL, message, sizeof message); /* fills message, cut at its size */
        problem = message;
    }
    free(named);
    if (why != NULL) {
        append_quoted(why, text);
        buf_append_lit(why, " is no expression: ");
        buf_append_str(why, str_from_cstr(problem));
    }
    return NULL;
}

const char *regex_pattern(const regex_t *regex)
{
    return ((const struct named_regex *)(const void *)regex)->pattern;
}

void regex_free(regex_t *regex)
{
    if (regex != NULL) {
        regfree(regex);
        free((struct named_regex *)(void *)regex);
    }
}

enum { NEAR_BYTES_MAX = 128 };

size_t edit_distance(struct str a, struct str b, size_t limit)
{
    /* Three rows of the table of optimal string alignment: two back, one back, current. */
    size_t rows[3][NEAR_BYTES_MAX + 1];
    if (a.len > NEAR_BYTES_MAX || b.len > NEAR_BYTES_MAX) {
        return limit + 1;
    }
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = rows[i % 3];
        const size_t *before = rows[(i - 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = before[j - 1] + (a.at[i - 1] != b.at[j - 1]);
            best = before[j] + 1 < best ? before[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1]) {
                size_t swapped = rows[(i - 2) % 3][j - 2] + 1;
                best = swapped < best ? swapped : best;
            }
            now[j] = best;
        }
    }
    size_t distance = rows[a.len % 3][b.len];
    return distance > limit ? limit + 1 : distance;
}

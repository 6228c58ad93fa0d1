#include "server/config_value.h"

#include "channels/base/must.h"
#include "server/config_keys.h"
#include "server/config_maps.h"
#include "server/config_text.h"

#include <ctype.h>
#include <stdlib.h>

/* Texts of the enums, in the order of their values. */
static const char *const log_levels[] = {"trace", "debug", "info", "warn", "error", "fatal", "none", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};
static const char *const engines[] = {"memory", "redis", NULL};
static const char *const durabilities[] = {"relaxed", "strict", NULL};
static const char *const error_modes[] = {"", "transport", NULL};
static const char *const limit_modes[] = {"off", "soft", "hard", NULL};
static const char *const data_formats[] = {"", "json", "json_object", "binary", NULL};
static const char *const recovery_modes[] = {"stream", "cache", NULL};
static const char *const overflow_policies[] = {"disconnect", "latest_only", NULL};

_Static_assert(LOG_TRACE == 0 && LOG_NONE == 6, "log_levels names them");
_Static_assert(CONFIG_LOG_AUTO == 0 && CONFIG_LOG_JSON == 2, "log_formats names them");
_Static_assert(DATA_FORMAT_ANY == 0 && DATA_FORMAT_BINARY == 3, "data_formats names them");
_Static_assert(sizeof(enum log_level) == sizeof(unsigned) && sizeof(enum data_format) == sizeof(unsigned),
               "enums are set through an unsigned");

static const char *const *names_of(enum value_type type)
{
    switch (type) {
    case VALUE_log_level: return log_levels;
    case VALUE_log_format: return log_formats;
    case VALUE_engine_type: return engines;
    case VALUE_error_mode: return error_modes;
    case VALUE_limit_mode: return limit_modes;
    case VALUE_data_format: return data_formats;
    case VALUE_recovery_mode: return recovery_modes;
    case VALUE_overflow_policy: return overflow_policies;
    case VALUE_durability: return durabilities;
    case VALUE_boolean:
    case VALUE_uint:
    case VALUE_ms:
    case VALUE_bytes:
    case VALUE_unix_time:
    case VALUE_text:
    case VALUE_secret:
    case VALUE_list:
    case VALUE_letter:
    case VALUE_regex:
    case VALUE_headers:
    case VALUE_transforms:
    case VALUE_keys: break;
    }
    return NULL;
}

static void *field_of(const struct option_row *row, void *base)
{
    return (char *)base + row->offset;
}

static const void *const_field_of(const struct option_row *row, const void *base)
{
    return (const char *)base + row->offset;
}

/* Reading */

static void append_choices(const char *const *names, struct buf *out)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (i > 0) {
            buf_append_lit(out, ", ");
        }
        buf_append_str(out, str_from_cstr(names[i][0] == '\0' ? "empty" : names[i]));
    }
}

static void print_number(const struct option_row *row, uint64_t value, struct buf *out)
{
    if (row->type == VALUE_ms) {
        duration_print(value, out);
    } else if (row->type == VALUE_bytes) {
        bytes_print(value, out);
    } else {
        buf_append_u64(out, value);
    }
}

void option_print_range(const struct option_row *row, struct buf *out)
{
    switch (row->type) {
    case VALUE_boolean: buf_append_lit(out, "true or false"); return;
    case VALUE_uint:
    case VALUE_ms:
    case VALUE_bytes:
    case VALUE_unix_time:
        print_number(row, row->min, out);
        buf_append_lit(out, " to ");
        print_number(row, row->max, out);
        return;
    case VALUE_letter: buf_append_lit(out, "one punctuation character, or empty"); return;
    case VALUE_log_level:
    case VALUE_log_format:
    case VALUE_engine_type:
    case VALUE_error_mode:
    case VALUE_limit_mode:
    case VALUE_data_format:
    case VALUE_recovery_mode:
    case VALUE_overflow_policy:
    case VALUE_durability: append_choices(names_of(row->type), out); return;
    case VALUE_text:
    case VALUE_secret:
    case VALUE_list:
    case VALUE_regex: return;
    case VALUE_headers: buf_append_lit(out, "an object of texts"); return;
    case VALUE_transforms: buf_append_lit(out, "a list of objects"); return;
    case VALUE_keys: buf_append_lit(out, "an object of secrets by version"); return;
    }
}

/* The end of "option …": what it is, and what it must be. */
static enum status refuse_value(const struct option_row *row, struct str text, struct buf *why)
{
    if (why == NULL) {
        return STATUS_BAD_REQUEST;
    }
    buf_append_lit(why, "is ");
    if (row->type == VALUE_secret) {
        buf_append_lit(why, "***");
    } else {
        append_quoted(why, text);
    }
    buf_append_lit(why, ", must be ");
    size_t before = why->len;
    option_print_range(row, why);
    if (row->type == VALUE_ms) {
        buf_append_lit(why, " (with a unit, like 25s)");
    }
    if (why->len == before) {
        buf_append_str(why, row->type == VALUE_list ? STR("a list of texts") : STR("a text"));
    }
    return STATUS_BAD_REQUEST;
}

/* The same for a value that may hold a secret, so it is not shown. */
static enum status refuse_shape(const struct option_row *row, const char *what, struct buf *why)
{
    if (why != NULL) {
        buf_printf(why, "is %s, must be ", what);
        option_print_range(row, why);
    }
    return STATUS_BAD_REQUEST;
}

static enum status set_number(const struct option_row *row, void *field, struct str text, struct buf *why)
{
    uint64_t value = 0;
    bool is_number = row->type == VALUE_ms      ? duration_from_text(text, &value)
                     : row->type == VALUE_bytes ? bytes_from_text(text, &value)
                                                : str_to_u64(text, UINT64_MAX, &value);
    if (!is_number || value < row->min || value > row->max) {
        return refuse_value(row, text, why);
    }
    if (row->type == VALUE_uint) {
        must(value <= UINT32_MAX);
        *(uint32_t *)field = (uint32_t)value;
    } else {
        *(uint64_t *)field = value;
    }
    return STATUS_OK;
}

static enum status set_copy(char **field, struct str text)
{
    char *copy = str_to_cstr(text);
    if (copy == NULL) {
        return STATUS_NO_MEMORY;
    }
    free(*field);
    *field = copy;
    return STATUS_OK;
}

static void list_replace(struct str_list *field, struct str_list *list)
{
    str_list_release(field);
    *field = *list;
}

static bool list_append_words(struct str_list *list, struct str text)
{
    while (text.at != NULL) {
        struct str word = str_trim(str_next(&text, ' '));
        if (word.len > 0 && !str_list_append(list, word)) {
            return false;
        }
    }
    return true;
}

static enum status set_list(struct str_list *field, struct str text)
{
    struct str_list list = {0};
    if (!list_append_words(&list, text)) {
        str_list_release(&list);
        return STATUS_NO_MEMORY;
    }
    list_replace(field, &list);
    return STATUS_OK;
}

static enum status set_enum(const struct option_row *row, void *field, struct str text, struct buf *why)
{
    const char *const *names = names_of(row->type);
    for (unsigned i = 0; names[i] != NULL; i++) {
        if (str_is(text, names[i])) {
            memcpy(field, &i, sizeof i);
            return STATUS_OK;
        }
    }
    return refuse_value(row, text, why);
}

static enum status set_letter(const struct option_row *row, char *field, struct str text, struct buf *why)
{
    if (text.len > 1 || (text.len == 1 && !ispunct((unsigned char)text.at[0]))) {
        return refuse_value(row, text, why);
    }
    *field = text.len == 0 ? '\0' : text.at[0];
    return STATUS_OK;
}

static enum status set_regex(regex_t **field, struct str text, struct buf *why)
{
    regex_t *regex = NULL;
    if (text.len > 0) {
        regex = regex_from_text(text, why);
        if (regex == NULL) {
            return STATUS_BAD_REQUEST;
        }
    }
    regex_free(*field);
    *field = regex;
    return STATUS_OK;
}

/* Environment and flags give such a value as JSON; no text is an empty value. */
static enum status set_json_text(const struct option_row *row, void *base, struct str text, struct buf *why)
{
    if (text.len == 0) {
        option_release(row, base);
        return STATUS_OK;
    }
    json_t *value = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    enum status status =
        value == NULL ? refuse_shape(row, "not JSON", why) : option_set_json(row, base, value, why);
    json_decref(value);
    return status;
}

enum status option_set_text(const struct option_row *row, void *base, struct str text, struct buf *why)
{
    void *field = field_of(row, base);
    if (text.len > 0 && memchr(text.at, '\0', text.len) != NULL) {
        return refuse_value(row, text, why);
    }
    switch (row->type) {
    case VALUE_boolean:
        if (!str_is(text, "true") && !str_is(text, "false")) {
            return refuse_value(row, text, why);
        }
        *(bool *)field = str_is(text, "true");
        return STATUS_OK;
    case VALUE_uint:
    case VALUE_ms:
    case VALUE_bytes:
    case VALUE_unix_time: return set_number(row, field, text, why);
    case VALUE_text:
    case VALUE_secret: return set_copy(field, text);
    case VALUE_list: return set_list(field, text);
    case VALUE_letter: return set_letter(row, field, text, why);
    case VALUE_regex: return set_regex(field, text, why);
    case VALUE_headers:
    case VALUE_transforms:
    case VALUE_keys: return set_json_text(row, base, text, why);
    case VALUE_log_level:
    case VALUE_log_format:
    case VALUE_engine_type:
    case VALUE_error_mode:
    case VALUE_limit_mode:
    case VALUE_data_format:
    case VALUE_recovery_mode:
    case VALUE_overflow_policy:
    case VALUE_durability: return set_enum(row, field, text, why);
    }
    return STATUS_INTERNAL;
}

/* A JSON array becomes a list element by element, so that an element may contain spaces. */
static enum status set_json_list(const struct option_row *row, void *base, const json_t *value,
                                 struct buf *why)
{
    struct str_list list = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < json_array_size(value) && status == STATUS_OK; i++) {
        const json_t *item = json_array_get(value, i);
        struct str text = str_make(json_string_value(item), json_string_length(item));
        if (!json_is_string(item)) {
            status = refuse_value(row, STR("a list with something else in it"), why);
        } else if (!str_list_append(&list, text)) {
            status = STATUS_NO_MEMORY;
        }
    }
    if (status == STATUS_OK) {
        list_replace(field_of(row, base), &list);
        list = (struct str_list){0};
    }
    str_list_release(&list);
    return status;
}

enum status option_set_json(const struct option_row *row, void *base, const json_t *value, struct buf *why)
{
    bool is_map = row->type == VALUE_headers || row->type == VALUE_transforms || row->type == VALUE_keys;
    if (json_is_string(value) && (!is_map || json_string_length(value) == 0)) {
        return option_set_text(row, base, str_make(json_string_value(value), json_string_length(value)), why);
    }
    if (json_is_boolean(value) && row->type == VALUE_boolean) {
        return option_set_text(row, base, json_is_true(value) ? STR("true") : STR("false"), why);
    }
    if (json_is_integer(value) && !is_map) {
        char digits[24];
        int len = snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(value));
        return option_set_text(row, base, str_make(digits, (size_t)len), why);
    }
    if (json_is_array(value) && row->type == VALUE_list) {
        return set_json_list(row, base, value, why);
    }
    if (json_is_object(value) && row->type == VALUE_headers) {
        return headers_set(field_of(row, base), value, why);
    }
    if (json_is_object(value) && row->type == VALUE_keys) {
        return signed_cookie_keys_set(field_of(row, base), value, why);
    }
    if (json_is_array(value) && row->type == VALUE_transforms) {
        return transforms_set(field_of(row, base), value, why);
    }
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",    [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a fraction", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return is_map ? refuse_shape(row, kinds[json_typeof(value)], why)
                  : refuse_value(row, str_from_cstr(kinds[json_typeof(value)]), why);
}

bool option_set_preset(const struct option_row *row, void *base)
{
    enum status status = option_set_text(row, base, str_from_cstr(row->preset), NULL);
    must(status != STATUS_BAD_REQUEST); /* a row whose default does not parse is a mistake in the table */
    return status == STATUS_OK;
}

void option_release(const struct option_row *row, void *base)
{
    void *field = field_of(row, base);
    if (row->type == VALUE_text || row->type == VALUE_secret) {
        free(*(char **)field);
        *(char **)field = NULL;
    } else if (row->type == VALUE_list || row->type == VALUE_headers) {
        str_list_release(field);
    } else if (row->type == VALUE_transforms) {
        transforms_release(field);
    } else if (row->type == VALUE_keys) {
        signed_cookie_keys_release(field);
    } else if (row->type == VALUE_regex) {
        regex_free(*(regex_t **)field);
        *(regex_t **)field = NULL;
    }
}

/* Printing */

static void print_text(struct str text, struct buf *out)
{
    buf_append_json_string(out, text);
}

/* What stands before the @ of a URL may be a password. */
static void print_address(struct str text, struct buf *out)
{
    ptrdiff_t at = str_find_last(text, '@');
    const char *scheme = at > 0 ? memmem(text.at, (size_t)at, "://", 3) : NULL;
    if (scheme == NULL) {
        print_text(text, out);
        return;
    }
    struct buf masked = {0};
    buf_append(&masked, text.at, (size_t)(scheme - text.at) + 3);
    buf_append_lit(&masked, "***");
    buf_append_str(&masked, str_skip(text, (size_t)at));
    print_text(buf_str(&masked), out);
    buf_release(&masked);
}

static void print_list(const struct str_list *list, struct buf *out)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) {
            buf_append_lit(out, ", ");
        }
        print_address(list->at[i], out);
    }
    buf_append_char(out, ']');
}

static void print_quoted_number(const struct option_row *row, uint64_t value, struct buf *out)
{
    buf_append_char(out, '"');
    print_number(row, value, out);
    buf_append_char(out, '"');
}

void option_print(const struct option_row *row, const void *base, struct buf *out)
{
    const void *field = const_field_of(row, base);
    unsigned index = 0;
    switch (row->type) {
    case VALUE_boolean: buf_append_str(out, *(const bool *)field ? STR("true") : STR("false")); return;
    case VALUE_uint: buf_append_u64(out, *(const uint32_t *)field); return;
    case VALUE_unix_time: buf_append_u64(out, *(const uint64_t *)field); return;
    case VALUE_bytes:
        if (*(const uint64_t *)field % CONFIG_KIB != 0 || *(const uint64_t *)field == 0) {
            buf_append_u64(out, *(const uint64_t *)field);
            return;
        }
        print_quoted_number(row, *(const uint64_t *)field, out);
        return;
    case VALUE_ms: print_quoted_number(row, *(const uint64_t *)field, out); return;
    case VALUE_text: print_text(str_from_cstr(*(const char *const *)field), out); return;
    case VALUE_secret:
        buf_append_str(out, (*(const char *const *)field)[0] == '\0' ? STR("\"\"") : STR("\"***\""));
        return;
    case VALUE_list: print_list(field, out); return;
    case VALUE_headers: headers_print(field, out); return;
    case VALUE_transforms: transforms_print(field, out); return;
    case VALUE_keys: signed_cookie_keys_print(field, out); return;
    case VALUE_letter: print_text(str_make(field, *(const char *)field == '\0' ? 0 : 1), out); return;
    case VALUE_regex:
        print_text(
            str_from_cstr(*(regex_t *const *)field == NULL ? "" : regex_pattern(*(regex_t *const *)field)),
            out);
        return;
    case VALUE_log_level:
    case VALUE_log_format:
    case VALUE_engine_type:
    case VALUE_error_mode:
    case VALUE_limit_mode:
    case VALUE_data_format:
    case VALUE_recovery_mode:
    case VALUE_overflow_policy:
    case VALUE_durability:
        memcpy(&index, field, sizeof index);
        print_text(str_from_cstr(names_of(row->type)[index]), out);
        return;
    }
}

bool option_is_preset(const struct option_row *row, const void *base)
{
    union {
        uint64_t number;
        char *text;
        struct str_list list;
        struct proxy_transforms transforms;
        struct signed_cookie_keys keys;
    } preset = {0};
    struct option_row alone = *row;
    alone.offset = 0;
    struct buf mine = {0};
    struct buf theirs = {0};
    bool is_same = option_set_preset(&alone, &preset);
    if (is_same && row->type == VALUE_secret) {
        is_same = strcmp(*(const char *const *)const_field_of(row, base), row->preset) == 0;
    } else if (is_same) {
        option_print(row, base, &mine);
        option_print(&alone, &preset, &theirs);
        is_same = str_equal(buf_str(&mine), buf_str(&theirs));
    }
    option_release(&alone, &preset);
    buf_release(&mine);
    buf_release(&theirs);
    return is_same;
}

bool option_is_text(const struct option_row *row)
{
    return row->type == VALUE_text || row->type == VALUE_secret || row->type == VALUE_keys;
}

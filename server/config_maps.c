#include "server/config_maps.h"

#include "server/config_text.h"
#include "server/http_field.h"

#include <stdlib.h>

enum { TRANSFORMS_MAX = 64, ERROR_CODE_MAX = 1999, DISCONNECT_CODE_MIN = 3000, DISCONNECT_CODE_MAX = 4999 };

void str_list_release(struct str_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free((char *)(uintptr_t)list->at[i].at);
    }
    free(list->at);
    *list = (struct str_list){0};
}

bool str_list_append(struct str_list *list, struct str text)
{
    struct str *grown = realloc(list->at, (list->count + 1) * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    list->at = grown;
    char *copy = str_to_cstr(text);
    if (copy == NULL) {
        return false;
    }
    list->at[list->count++] = str_make(copy, text.len);
    return true;
}

static void say(struct buf *why, const char *text)
{
    if (why != NULL) {
        buf_append_str(why, str_from_cstr(text));
    }
}

/* ---- headers ---- */

static enum status add_header(struct str_list *list, struct str name, const json_t *value, struct buf *why)
{
    struct http_field field = {.name = name,
                               .value = str_make(json_string_value(value), json_string_length(value))};
    if (!json_is_string(value) || !http_field_is_safe(&field)) {
        if (why != NULL) {
            buf_append_lit(why, "has ");
            append_quoted(why, name);
            buf_append_lit(why, ", which is no header name with a text of printable characters");
        }
        return STATUS_BAD_REQUEST;
    }
    struct buf line = {0};
    buf_append_str(&line, name);
    buf_append_lit(&line, ": ");
    buf_append_str(&line, field.value);
    bool is_added = !line.failed && str_list_append(list, buf_str(&line));
    buf_release(&line);
    return is_added ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status headers_set(struct str_list *field, const json_t *object, struct buf *why)
{
    struct str_list list = {0};
    enum status status = STATUS_OK;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        status = status == STATUS_OK ? add_header(&list, str_from_cstr(name), value, why) : status;
    }
    if (status == STATUS_OK) {
        str_list_release(field);
        *field = list;
    } else {
        str_list_release(&list);
    }
    return status;
}

void headers_print(const struct str_list *field, struct buf *out)
{
    buf_append_char(out, '{');
    for (size_t i = 0; i < field->count; i++) {
        struct str line = field->at[i];
        buf_append_str(out, i > 0 ? STR(", ") : STR(""));
        buf_append_json_string(out, str_next(&line, ':'));
        buf_append_lit(out, ": \"***\"");
    }
    buf_append_char(out, '}');
}

/* ---- transforms ---- */

void transforms_release(struct proxy_transforms *field)
{
    for (size_t i = 0; i < field->count; i++) {
        free((char *)(uintptr_t)field->at[i].text);
    }
    free(field->at);
    *field = (struct proxy_transforms){0};
}

static bool read_code(const json_t *object, const char *key, json_int_t min, json_int_t max, unsigned *out)
{
    const json_t *value = json_object_get(object, key);
    json_int_t code = json_integer_value(value);
    if (!json_is_integer(value) || code < min || code > max) {
        return false;
    }
    *out = (unsigned)code;
    return true;
}

/* A text that may be left out; *out is owned. */
static enum status read_text(const json_t *object, const char *key, const char **out, struct buf *why)
{
    const json_t *value = json_object_get(object, key);
    if (value != NULL && !json_is_string(value)) {
        say(why, "has a message or reason that is no text");
        return STATUS_BAD_REQUEST;
    }
    *out = str_to_cstr(str_make(json_string_value(value), json_string_length(value)));
    return *out == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

static enum status read_transform(const json_t *object, struct proxy_transform *out, struct buf *why)
{
    const json_t *error = json_object_get(object, "to_error");
    const json_t *disconnect = json_object_get(object, "to_disconnect");
    const json_t *temporary = json_object_get(error, "temporary");
    *out = (struct proxy_transform){.is_disconnect = disconnect != NULL,
                                    .is_temporary = json_is_true(temporary)};
    if (!read_code(object, "status_code", 100, 599, &out->status) ||
        (error == NULL) == (disconnect == NULL)) {
        say(why, "has an entry that is not {status_code, to_error or to_disconnect}");
    } else if (error != NULL && !read_code(error, "code", 1, ERROR_CODE_MAX, &out->code)) {
        say(why, "has a to_error whose code is not 1 to 1999");
    } else if (temporary != NULL && !json_is_boolean(temporary)) {
        say(why, "has a to_error whose temporary is not true or false");
    } else if (disconnect != NULL &&
               !read_code(disconnect, "code", DISCONNECT_CODE_MIN, DISCONNECT_CODE_MAX, &out->code)) {
        say(why, "has a to_disconnect whose code is not 3000 to 4999");
    } else {
        return error != NULL ? read_text(error, "message", &out->text, why)
                             : read_text(disconnect, "reason", &out->text, why);
    }
    return STATUS_BAD_REQUEST;
}

enum status transforms_set(struct proxy_transforms *field, const json_t *list, struct buf *why)
{
    size_t count = json_array_size(list);
    struct proxy_transforms transforms = {.at = calloc(count + 1, sizeof *transforms.at)};
    enum status status = transforms.at == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    if (count > TRANSFORMS_MAX) {
        say(why, "has more than 64 entries");
        status = STATUS_BAD_REQUEST;
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = read_transform(json_array_get(list, i), &transforms.at[i], why);
        transforms.count += status == STATUS_OK ? 1 : 0;
    }
    if (status == STATUS_OK) {
        transforms_release(field);
        *field = transforms;
    } else {
        transforms_release(&transforms);
    }
    return status;
}

void transforms_print(const struct proxy_transforms *field, struct buf *out)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < field->count; i++) {
        const struct proxy_transform *transform = &field->at[i];
        buf_printf(out, "%s{\"status_code\": %u, ", i > 0 ? ", " : "", transform->status);
        buf_printf(out,
                   transform->is_disconnect ? "\"to_disconnect\": {\"code\": %u, \"reason\": "
                                            : "\"to_error\": {\"code\": %u, \"message\": ",
                   transform->code);
        buf_append_json_string(out, str_from_cstr(transform->text));
        buf_append_str(out, transform->is_temporary ? STR(", \"temporary\": true}}") : STR("}}"));
    }
    buf_append_char(out, ']');
}

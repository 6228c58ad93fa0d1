#include "server/config_keys.h"

#include "server/config_text.h"

#include <stdlib.h>

void signed_cookie_keys_release(struct signed_cookie_keys *field)
{
    for (size_t i = 0; i < field->count; i++) {
        free((char *)(uintptr_t)field->at[i].secret.at);
    }
    free(field->at);
    *field = (struct signed_cookie_keys){0};
}

bool signed_cookie_keys_add(struct signed_cookie_keys *field, uint32_t version, struct str secret)
{
    struct signed_cookie_key *grown = realloc(field->at, (field->count + 1) * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    field->at = grown;
    char *copy = str_to_cstr(secret);
    if (copy == NULL) {
        return false;
    }
    field->at[field->count++] =
        (struct signed_cookie_key){.version = version, .secret = str_make(copy, secret.len)};
    return true;
}

static enum status add(struct signed_cookie_keys *keys, const char *name, const json_t *value,
                       struct buf *why)
{
    uint64_t version = 0;
    struct str secret = str_make(json_string_value(value), json_string_length(value));
    bool is_good = str_to_u64(str_from_cstr(name), UINT32_MAX, &version) && json_is_string(value) &&
                   secret.len > 0 && memchr(secret.at, '\0', secret.len) == NULL;
    if (is_good) {
        return signed_cookie_keys_add(keys, (uint32_t)version, secret) ? STATUS_OK : STATUS_NO_MEMORY;
    }
    if (why != NULL) {
        buf_append_lit(why, "has ");
        append_quoted(why, str_from_cstr(name));
        buf_append_lit(why, ", which is no version (a number) with a secret (a text)");
    }
    return STATUS_BAD_REQUEST;
}

enum status signed_cookie_keys_set(struct signed_cookie_keys *field, const json_t *object, struct buf *why)
{
    struct signed_cookie_keys keys = {0};
    enum status status = STATUS_OK;
    const char *name;
    json_t *value;
    if (json_object_size(object) > CONFIG_COOKIE_KEYS_MAX) {
        if (why != NULL) {
            buf_append_lit(why, "has more than 32 keys");
        }
        return STATUS_BAD_REQUEST;
    }
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        status = status == STATUS_OK ? add(&keys, name, value, why) : status;
    }
    if (status == STATUS_OK) {
        signed_cookie_keys_release(field);
        *field = keys;
    } else {
        signed_cookie_keys_release(&keys);
    }
    return status;
}

void signed_cookie_keys_print(const struct signed_cookie_keys *field, struct buf *out)
{
    buf_append_char(out, '{');
    for (size_t i = 0; i < field->count; i++) {
        buf_printf(out, "%s\"%u\": \"***\"", i > 0 ? ", " : "", (unsigned)field->at[i].version);
    }
    buf_append_char(out, '}');
}

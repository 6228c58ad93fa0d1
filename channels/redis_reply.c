#include "channels/redis_reply.h"

#include "channels/limits.h"

#include <stdio.h>

bool redis_is_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

struct str redis_error_word(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        return STR("");
    }
    struct str rest = str_make(reply->str, reply->len);
    return str_next(&rest, ' ');
}

bool redis_text(const redisReply *reply, struct str *out)
{
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS) {
        return false;
    }
    *out = str_make(reply->str, reply->len);
    return true;
}

bool redis_count(const redisReply *reply, uint64_t *out)
{
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0) {
        return false;
    }
    *out = (uint64_t)reply->integer;
    return true;
}

bool redis_is_array(const redisReply *reply, size_t count)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
}

bool redis_push_read(const redisReply *reply, struct redis_push *out)
{
    struct str kind;
    if (!redis_is_array(reply, 3) || !redis_text(reply->element[0], &kind)) {
        return false;
    }
    if (str_is(kind, "message")) {
        out->kind = REDIS_PUSH_MESSAGE;
        return redis_text(reply->element[1], &out->channel) && redis_text(reply->element[2], &out->payload);
    }
    bool is_subscribed = str_is(kind, "subscribe");
    if (!is_subscribed && !str_is(kind, "unsubscribe")) {
        return false;
    }
    out->kind = is_subscribed ? REDIS_PUSH_SUBSCRIBED : REDIS_PUSH_UNSUBSCRIBED;
    return redis_text(reply->element[1], &out->channel) && reply->element[2]->type == REDIS_REPLY_INTEGER;
}

/* ---- INFO ---- */

/* The value of `name` in lines of name:value; empty where there is none. */
static struct str info_value(struct str info, const char *name)
{
    size_t len = strlen(name);
    struct str rest = info;
    while (rest.at != NULL) {
        struct str line = str_next(&rest, '\n');
        if (line.len > len && line.at[len] == ':' && memcmp(line.at, name, len) == 0) {
            struct str value = str_skip(line, len + 1);
            return str_ends_with(value, STR("\r")) ? str_first(value, value.len - 1) : value;
        }
    }
    return STR("");
}

bool redis_info_read(const redisReply *reply, struct redis_info *out)
{
    struct str info;
    if (!redis_text(reply, &info)) {
        return false;
    }
    struct str run_id = str_first(info_value(info, "run_id"), 12);
    struct str replid2 = str_first(info_value(info, "master_replid2"), 12);
    struct str second = info_value(info, "second_repl_offset");
    struct str version = info_value(info, "redis_version");
    uint64_t major;
    if (run_id.len == 0 || replid2.len == 0 || second.len == 0 || second.len > 20 ||
        !str_to_u64(str_next(&version, '.'), 1000, &major)) {
        return false;
    }
    out->version_major = (unsigned)major;
    out->is_master = str_is(info_value(info, "role"), "master");
    out->is_loading = str_is(info_value(info, "loading"), "1");
    snprintf(out->instance, sizeof out->instance, "%.*s.%.*s.%.*s", STR_ARG(run_id), STR_ARG(replid2),
             STR_ARG(second));
    return true;
}

/* ---- streams ---- */

static bool optional_text(const redisReply *reply, struct str *out)
{
    *out = STR("");
    return reply->type == REDIS_REPLY_NIL || redis_text(reply, out);
}

static bool optional_number(const redisReply *reply, uint64_t *out)
{
    struct str text;
    *out = 0;
    return optional_text(reply, &text) && (text.len == 0 || str_to_u64(text, UINT64_MAX - 1, out));
}

bool redis_meta_read(const redisReply *reply, struct redis_meta *out)
{
    *out = (struct redis_meta){0};
    if (!redis_is_array(reply, 6) || !optional_text(reply->element[0], &out->epoch) ||
        !optional_number(reply->element[1], &out->top) || !optional_text(reply->element[2], &out->instance) ||
        !optional_number(reply->element[3], &out->base) ||
        !optional_text(reply->element[4], &out->previous_epoch) ||
        !optional_number(reply->element[5], &out->previous_base)) {
        return false;
    }
    out->is_there = out->epoch.len > 0;
    return out->epoch.len <= LIMIT_EPOCH_BYTES && out->previous_epoch.len <= LIMIT_EPOCH_BYTES;
}

bool redis_entry_read(const redisReply *reply, uint64_t *offset, struct str *frame)
{
    struct str id, field;
    if (!redis_is_array(reply, 2) || !redis_text(reply->element[0], &id) ||
        !redis_is_array(reply->element[1], 2) || !redis_text(reply->element[1]->element[0], &field) ||
        !str_is(field, "d") || !redis_text(reply->element[1]->element[1], frame)) {
        return false;
    }
    return str_to_u64(str_next(&id, '-'), UINT64_MAX - 1, offset) && str_is(id, "0");
}

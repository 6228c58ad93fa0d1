#include "server/claim_reader.h"

#include "channels/base/must.h"
#include "server/crypto.h"
#include "server/json_span.h"

#include <math.h>
#include <stdlib.h>

/* ---- life ---- */

enum status claim_reader_end(struct claim_reader *reader, const char **out_rule)
{
    if (reader->expired_rule != NULL) {
        claim_fail(reader, STATUS_TOKEN_EXPIRED, reader->expired_rule);
    }
    must(reader->scratch.capacity == reader->scratch_bytes);
    if (reader->status != STATUS_OK) {
        *out_rule = reader->rule;
        free(reader->payload);
        buf_release(&reader->scratch);
        free(reader->lists);
    }
    return reader->status;
}

struct claim_reader claim_reader_of(const struct claim_rules *rules, char *payload, size_t payload_bytes)
{
    return (struct claim_reader){
        .rules = rules,
        .payload = payload,
        .text = str_make(payload, payload_bytes),
        .status = STATUS_OK,
    };
}

bool claim_reader_reserve(struct claim_reader *reader)
{
    if (reader->text.len > SIZE_MAX / 2 || !buf_reserve(&reader->scratch, 2 * reader->text.len)) {
        return claim_fail(reader, STATUS_NO_MEMORY, "no memory");
    }
    reader->scratch_bytes = reader->scratch.capacity;
    return true;
}

/* ---- values ---- */

bool claim_fail(struct claim_reader *reader, enum status status, const char *rule)
{
    if (reader->status == STATUS_OK) {
        reader->status = status;
        reader->rule = rule;
    }
    return false;
}

bool claim_refuse(struct claim_reader *reader, const char *rule)
{
    return claim_fail(reader, STATUS_INVALID_TOKEN, rule);
}

bool claim_is_absent(struct str span)
{
    enum json_kind kind = json_kind(span);
    return kind == JSON_KIND_NONE || kind == JSON_KIND_NULL;
}

bool claim_read_text(struct claim_reader *reader, struct str span, struct str *out, const char *rule)
{
    *out = (struct str){0};
    if (claim_is_absent(span)) {
        return true;
    }
    if (json_get_string(span, &reader->scratch, out)) {
        return true;
    }
    return reader->scratch.failed ? claim_fail(reader, STATUS_NO_MEMORY, "no memory")
                                  : claim_refuse(reader, rule);
}

/* The base64 form of a JSON value, which has to be valid JSON: it goes into frames as it is. */
static bool read_base64_json(struct claim_reader *reader, struct str span, struct str *out, const char *rule)
{
    struct str text;
    if (!claim_read_text(reader, span, &text, rule)) {
        return false;
    }
    *out = (struct str){0};
    if (text.len == 0) {
        return true;
    }
    struct buf *scratch = &reader->scratch;
    size_t len = 0;
    if (!crypto_base64_decode(text, scratch->at + scratch->len, scratch->capacity - scratch->len, &len)) {
        return claim_refuse(reader, rule);
    }
    struct str json = str_make(scratch->at + scratch->len, len);
    scratch->len += len;
    if (!json_validate(json, TOKEN_DEPTH_MAX)) {
        return claim_refuse(reader, rule);
    }
    *out = json;
    return true;
}

bool claim_read_json(struct claim_reader *reader, struct str raw, struct str base64, struct str *out,
                     const char *rule)
{
    if (!read_base64_json(reader, base64, out, rule)) {
        return false;
    }
    if (out->at == NULL && !claim_is_absent(raw)) {
        *out = raw;
    }
    return true;
}

bool claim_parse_time(struct str span, uint64_t *out_ms)
{
    static const uint64_t seconds_max = (UINT64_C(1) << 53) - 1;
    uint64_t seconds;
    if (str_to_u64(span, seconds_max, &seconds)) {
        *out_ms = seconds * 1000;
        return seconds > 0;
    }
    char text[40];
    if (json_kind(span) != JSON_KIND_NUMBER || span.len >= sizeof text) {
        return false;
    }
    memcpy(text, span.at, span.len);
    text[span.len] = '\0';
    double value = strtod(text, NULL);
    if (!isfinite(value) || value < 1 || value > (double)seconds_max) {
        return false;
    }
    *out_ms = (uint64_t)(value * 1000);
    return true;
}

bool claim_read_time(struct claim_reader *reader, struct str span, uint64_t *out_ms, const char *rule)
{
    if (span.at == NULL) {
        return true;
    }
    return claim_parse_time(span, out_ms) ? true : claim_refuse(reader, rule);
}

static int compare_names(const void *left, const void *right)
{
    const struct str *a = left, *b = right;
    size_t len = a->len < b->len ? a->len : b->len;
    int order = len == 0 ? 0 : memcmp(a->at, b->at, len);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

bool claim_check_names(struct claim_reader *reader, struct str object, const char *rule)
{
    size_t count = 0;
    struct str rest = object, name, value;
    while (json_object_next(&rest, &name, &value)) {
        count++;
    }
    if (count == 0) {
        return true;
    }
    struct buf scratch = {0};
    struct str *names = calloc(count, sizeof *names);
    if (names == NULL || !buf_reserve(&scratch, object.len)) {
        free(names);
        buf_release(&scratch);
        return claim_fail(reader, STATUS_NO_MEMORY, "no memory");
    }
    bool good = true;
    rest = object;
    for (size_t i = 0; i < count && good; i++) {
        good = json_object_next(&rest, &name, &value) && json_get_string(name, &scratch, &names[i]);
    }
    if (good) {
        qsort(names, count, sizeof *names, compare_names);
    }
    for (size_t i = 1; i < count && good; i++) {
        good = !str_equal(names[i - 1], names[i]);
    }
    free(names);
    buf_release(&scratch);
    return good ? true : claim_refuse(reader, rule);
}

/* ---- subscriptions ---- */

static bool claim_read_flag(struct claim_reader *reader, struct str span, bool *out, const char *rule)
{
    return claim_is_absent(span) || json_get_bool(span, out) ? true : claim_refuse(reader, rule);
}

/* One override: {"value": true}. A value that is left out is false, as encoders that omit zeros mean it. */
static bool read_override_flag(struct claim_reader *reader, struct str span, enum override_flag *out)
{
    static const char rule[] = "a member of override is not {\"value\": true} or {\"value\": false}";
    if (claim_is_absent(span)) {
        return true;
    }
    struct json_member member = {.name = "value"};
    bool value = false;
    if (json_object_members(span, &member, 1) != JSON_READ_OK ||
        (!claim_is_absent(member.value) && !json_get_bool(member.value, &value))) {
        return claim_refuse(reader, rule);
    }
    *out = value ? OVERRIDE_TRUE : OVERRIDE_FALSE;
    return true;
}

bool claim_read_override(struct claim_reader *reader, struct str span, struct token_override *out)
{
    if (claim_is_absent(span)) {
        return true;
    }
    struct json_member members[] = {
        {.name = "presence"},       {.name = "join_leave"},        {.name = "force_push_join_leave"},
        {.name = "force_recovery"}, {.name = "force_positioning"},
    };
    enum override_flag *const flags[] = {&out->presence, &out->join_leave, &out->force_push_join_leave,
                                         &out->force_recovery, &out->force_positioning};
    size_t count = sizeof members / sizeof members[0];
    _Static_assert(sizeof members / sizeof members[0] == sizeof flags / sizeof flags[0],
                   "one flag per member");
    if (json_object_members(span, members, count) != JSON_READ_OK) {
        return claim_refuse(reader, "override is not an object without duplicate members");
    }
    for (size_t i = 0; i < count; i++) {
        if (!read_override_flag(reader, members[i].value, flags[i])) {
            return false;
        }
    }
    return true;
}

/* The value of one member of `subs`; the channel is set already. */
static bool read_subscription(struct claim_reader *reader, struct str span, struct token_subscription *out)
{
    if (claim_is_absent(span)) {
        return true;
    }
    struct json_member members[] = {
        {.name = "info"},    {.name = "b64info"},  {.name = "data"},
        {.name = "b64data"}, {.name = "override"}, {.name = "cache_recover"},
    };
    if (json_object_members(span, members, sizeof members / sizeof members[0]) != JSON_READ_OK) {
        return claim_refuse(reader, "a member of subs is not an object without duplicate members");
    }
    return claim_read_json(reader, members[0].value, members[1].value, &out->info,
                           "b64info in subs is not base64 of JSON") &&
           claim_read_json(reader, members[2].value, members[3].value, &out->data,
                           "b64data in subs is not base64 of JSON") &&
           claim_read_flag(reader, members[5].value, &out->cache_recover,
                           "cache_recover in subs is not true or false") &&
           claim_read_override(reader, members[4].value, &out->override);
}

bool claim_read_subs(struct claim_reader *reader, struct str span, struct connection_claims *out)
{
    static const char rule[] = "subs is not an object of channels without duplicates";
    if (claim_is_absent(span)) {
        return true;
    }
    if (json_kind(span) != JSON_KIND_OBJECT) {
        return claim_refuse(reader, rule);
    }
    if (!claim_check_names(reader, span, rule)) {
        return false;
    }
    size_t count = 0;
    struct str rest = span, name, value;
    while (json_object_next(&rest, &name, &value)) {
        count++;
    }
    if (count == 0) {
        return true;
    }
    struct token_subscription *subs = calloc(count, sizeof *subs);
    if (subs == NULL) {
        return claim_fail(reader, STATUS_NO_MEMORY, "no memory");
    }
    reader->lists = subs;
    rest = span;
    for (size_t i = 0; i < count && json_object_next(&rest, &name, &value); i++) {
        if (!claim_read_text(reader, name, &subs[i].channel, rule) ||
            !read_subscription(reader, value, &subs[i])) {
            return false;
        }
    }
    out->subs = subs;
    out->sub_count = count;
    return true;
}

bool claim_read_channels(struct claim_reader *reader, struct str span, struct connection_claims *out)
{
    static const char rule[] = "channels is not a list of texts";
    if (claim_is_absent(span)) {
        return true;
    }
    if (json_kind(span) != JSON_KIND_ARRAY) {
        return claim_refuse(reader, rule);
    }
    size_t count = 0;
    struct str rest = span, value;
    while (json_array_next(&rest, &value)) {
        if (json_kind(value) != JSON_KIND_STRING) {
            return claim_refuse(reader, rule);
        }
        count++;
    }
    if (count == 0 || out->sub_count > 0) {
        return true;
    }
    struct str *channels = calloc(count, sizeof *channels);
    if (channels == NULL) {
        return claim_fail(reader, STATUS_NO_MEMORY, "no memory");
    }
    reader->lists = channels;
    rest = span;
    for (size_t i = 0; i < count && json_array_next(&rest, &value); i++) {
        if (!claim_read_text(reader, value, &channels[i], rule)) {
            return false;
        }
    }
    out->channels = channels;
    out->channel_count = count;
    return true;
}

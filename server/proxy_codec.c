#include "server/proxy_codec.h"

#include "server/claim_reader.h"
#include "server/crypto.h"
#include "server/json_span.h"

enum { ERROR_CODE_MAX = 1999, DISCONNECT_CODE_MIN = 3000, DISCONNECT_CODE_MAX = 4999 };

/* ---- out ---- */

static void put_name(struct buf *out, const char *name)
{
    bool is_first = out->len > 0 && out->at[out->len - 1] == '{';
    buf_append_str(out, is_first ? STR("\"") : STR(",\""));
    buf_append_str(out, str_from_cstr(name));
    buf_append_lit(out, "\":");
}

static void put_text(struct buf *out, const char *name, struct str text)
{
    if (text.len > 0) {
        put_name(out, name);
        buf_append_json_string(out, text);
    }
}

static void put_raw(struct buf *out, const char *name, struct str raw)
{
    if (raw.len > 0) {
        put_name(out, name);
        buf_append_str(out, raw);
    }
}

/* The names of connect.subs, which are JSON strings already. */
static void put_channels(struct buf *out, struct str subs)
{
    struct str rest = subs, name, value;
    bool is_first = true;
    while (subs.len > 0 && json_object_next(&rest, &name, &value)) {
        if (is_first) {
            put_name(out, "channels");
        }
        buf_append_char(out, is_first ? '[' : ',');
        buf_append_str(out, name);
        is_first = false;
    }
    if (!is_first) {
        buf_append_char(out, ']');
    }
}

void proxy_append_request(struct buf *out, enum proxy_event event, const struct proxy_request *request)
{
    buf_append_char(out, '{');
    put_text(out, "client", request->client);
    put_text(out, "transport", request->transport);
    put_text(out, "protocol", STR("json"));
    put_text(out, "encoding", STR("json"));
    if (event != PROXY_CONNECT) {
        put_name(out, "user");
        buf_append_json_string(out, request->user);
        put_raw(out, "meta", request->meta);
    }
    switch (event) {
    case PROXY_CONNECT:
        put_raw(out, "data", request->data);
        put_text(out, "name", request->name);
        put_text(out, "version", request->version);
        put_channels(out, request->subs);
        break;
    case PROXY_SUBSCRIBE:
    case PROXY_PUBLISH:
        put_text(out, "channel", request->channel);
        put_raw(out, "data", request->data);
        break;
    case PROXY_RPC:
        put_text(out, "method", request->method);
        put_raw(out, "data", request->data);
        break;
    case PROXY_SUB_REFRESH: put_text(out, "channel", request->channel); break;
    case PROXY_REFRESH:
    case PROXY_EVENT_COUNT: break;
    }
    buf_append_char(out, '}');
}

/* ---- in: values ---- */

static bool is_absent(struct str span)
{
    enum json_kind kind = json_kind(span);
    return kind == JSON_KIND_NONE || kind == JSON_KIND_NULL;
}

/* The value; empty where it is absent. */
static struct str present(struct str span)
{
    return is_absent(span) ? STR("") : span;
}

/* Twice a text holds all strings of it and all that is decoded from base64, so that none of them moves. */
static bool reserve_for(struct buf *scratch, struct str text)
{
    return buf_reserve(scratch, 2 * text.len);
}

/* Each getter leaves *out as it is where the member is absent or null; false: it has another type. */

static bool get_text(struct str span, struct buf *scratch, struct str *out)
{
    return is_absent(span) || json_get_string(span, scratch, out);
}

static bool get_bool(struct str span, bool *out)
{
    return is_absent(span) || json_get_bool(span, out);
}

static bool get_u64(struct str span, uint64_t *out)
{
    return is_absent(span) || json_get_u64(span, out);
}

/* A payload, raw or in base64, which wins and must hold JSON: it goes into frames as it is. */
static bool get_payload(struct str raw, struct str base64, struct buf *scratch, struct str *out)
{
    struct str text = {0};
    if (!get_text(base64, scratch, &text)) {
        return false;
    }
    if (text.len == 0) {
        *out = present(raw);
        return true;
    }
    size_t len = 0;
    if (!crypto_base64_decode(text, scratch->at + scratch->len, scratch->capacity - scratch->len, &len)) {
        return false;
    }
    *out = str_make(scratch->at + scratch->len, len);
    scratch->len += len;
    return json_validate(*out, JSON_DEPTH_DEFAULT);
}

/* ---- in: replies ---- */

static bool read_error(struct str span, struct buf *scratch, struct error_view *out)
{
    struct json_member members[] = {{.name = "code"}, {.name = "message"}, {.name = "temporary"}};
    *out = (struct error_view){.message = STR("")};
    return json_object_members(span, members, 3) == JSON_READ_OK &&
           json_get_u32(members[0].value, &out->code) && out->code > 0 && out->code <= ERROR_CODE_MAX &&
           get_text(members[1].value, scratch, &out->message) &&
           get_bool(members[2].value, &out->is_temporary);
}

static bool read_disconnect(struct str span, struct buf *scratch, struct disconnect *out)
{
    struct json_member members[] = {{.name = "code"}, {.name = "reason"}};
    uint32_t code = 0;
    *out = (struct disconnect){.reason = STR("")};
    if (json_object_members(span, members, 2) != JSON_READ_OK || !json_get_u32(members[0].value, &code) ||
        code < DISCONNECT_CODE_MIN || code > DISCONNECT_CODE_MAX) {
        return false;
    }
    out->code = code;
    return get_text(members[1].value, scratch, &out->reason);
}

void proxy_read_reply(struct str body, struct buf *scratch, struct proxy_reply *out)
{
    struct json_member members[] = {{.name = "result"}, {.name = "error"}, {.name = "disconnect"}};
    struct str result, error, disconnect;
    *out = (struct proxy_reply){.verdict = PROXY_FAILURE};
    if (json_object_read(body, members, 3, JSON_DEPTH_DEFAULT) != JSON_READ_OK ||
        !reserve_for(scratch, body)) {
        return;
    }
    result = members[0].value;
    error = members[1].value;
    disconnect = members[2].value;
    if (!is_absent(disconnect)) {
        bool is_read = read_disconnect(disconnect, scratch, &out->disconnect);
        out->verdict = is_read ? PROXY_DISCONNECT : PROXY_FAILURE;
    } else if (!is_absent(error)) {
        out->verdict = read_error(error, scratch, &out->error) ? PROXY_ERROR : PROXY_FAILURE;
    } else if (is_absent(result)) {
        out->verdict = PROXY_NOTHING;
    } else if (json_kind(result) == JSON_KIND_OBJECT) {
        out->verdict = PROXY_RESULT;
        out->result = result;
    }
}

void proxy_reply_from_status(const struct proxy_transforms *transforms, unsigned status,
                             struct proxy_reply *out)
{
    *out = (struct proxy_reply){.verdict = PROXY_FAILURE};
    for (size_t i = 0; i < transforms->count; i++) {
        const struct proxy_transform *transform = &transforms->at[i];
        if (transform->status != status) {
            continue;
        }
        struct str text = str_from_cstr(transform->text);
        if (transform->is_disconnect) {
            out->verdict = PROXY_DISCONNECT;
            out->disconnect = (struct disconnect){.code = transform->code, .reason = text};
        } else {
            out->verdict = PROXY_ERROR;
            out->error = (struct error_view){
                .code = transform->code, .message = text, .is_temporary = transform->is_temporary};
        }
        return;
    }
}

/* ---- in: results ---- */

/* Results of connect and subscribe have the members of a token, but for those that say who issued it and
 * when: the same reader reads them. */
enum { MEMBER_EXPIRE_AT, MEMBER_INFO, MEMBER_B64INFO, MEMBER_DATA, MEMBER_B64DATA, MEMBER_OWN };

static const struct json_member shared_members[MEMBER_OWN] = {
    {.name = "expire_at"}, {.name = "info"}, {.name = "b64info"}, {.name = "data"}, {.name = "b64data"}};

/* What both have; `members` has `count` rows, the first MEMBER_OWN of them are shared_members. */
static bool read_shared(struct claim_reader *reader, struct json_member *members, size_t count,
                        uint64_t *expire_at_s, struct str *info, struct str *data)
{
    memcpy(members, shared_members, sizeof shared_members);
    if (json_object_members(reader->text, members, count) != JSON_READ_OK) {
        return claim_refuse(reader, "the result is not an object, or has a member twice");
    }
    struct str expire_at = members[MEMBER_EXPIRE_AT].value;
    uint64_t expire_at_ms = 0;
    if (!claim_is_absent(expire_at) && !str_is(expire_at, "0") &&
        !claim_parse_time(expire_at, &expire_at_ms)) {
        return claim_refuse(reader, "expire_at is not a number of seconds");
    }
    *expire_at_s = expire_at_ms / 1000;
    return claim_reader_reserve(reader) &&
           claim_read_json(reader, members[MEMBER_INFO].value, members[MEMBER_B64INFO].value, info,
                           "b64info is not base64 of JSON") &&
           claim_read_json(reader, members[MEMBER_DATA].value, members[MEMBER_B64DATA].value, data,
                           "b64data is not base64 of JSON");
}

static void read_connect(struct claim_reader *reader, struct connection_claims *out)
{
    enum { USER = MEMBER_OWN, META, CHANNELS, SUBS, COUNT };
    struct json_member members[COUNT] = {[USER] = {.name = "user"},
                                         [META] = {.name = "meta"},
                                         [CHANNELS] = {.name = "channels"},
                                         [SUBS] = {.name = "subs"}};
    if (!read_shared(reader, members, COUNT, &out->expire_at_s, &out->info, &out->data)) {
        return;
    }
    out->meta = present(members[META].value);
    if (out->meta.len > 0 && json_kind(out->meta) != JSON_KIND_OBJECT) {
        claim_refuse(reader, "meta is not an object");
        return;
    }
    (void)(claim_read_text(reader, members[USER].value, &out->user, "user is not a text") &&
           claim_read_subs(reader, members[SUBS].value, out) &&
           claim_read_channels(reader, members[CHANNELS].value, out)); /* the reader knows how it went */
    out->user = out->user.at == NULL ? STR("") : out->user;
}

bool proxy_read_connect(struct str result, struct connection_claims *out)
{
    const char *rule;
    char *copy = str_to_cstr(result);
    if (copy == NULL) {
        return false;
    }
    struct claim_reader reader = claim_reader_of(NULL, copy, result.len);
    struct connection_claims claims = {0};
    read_connect(&reader, &claims);
    if (claim_reader_end(&reader, &rule) != STATUS_OK) {
        return false;
    }
    claims.memory[0] = reader.payload;
    claims.memory[1] = reader.scratch.at;
    claims.memory[2] = reader.lists;
    *out = claims;
    return true;
}

bool proxy_read_subscribe(struct str result, struct subscription_claims *out)
{
    enum { OVERRIDE = MEMBER_OWN, COUNT };
    const char *rule;
    char *copy = str_to_cstr(result);
    if (copy == NULL) {
        return false;
    }
    struct claim_reader reader = claim_reader_of(NULL, copy, result.len);
    struct subscription_claims claims = {0};
    struct json_member members[COUNT] = {[OVERRIDE] = {.name = "override"}};
    (void)(read_shared(&reader, members, COUNT, &claims.expire_at_s, &claims.info, &claims.data) &&
           claim_read_override(&reader, members[OVERRIDE].value, &claims.override));
    if (claim_reader_end(&reader, &rule) != STATUS_OK) {
        return false;
    }
    claims.memory[0] = reader.payload;
    claims.memory[1] = reader.scratch.at;
    *out = claims;
    return true;
}

bool proxy_read_refresh(struct str result, struct buf *scratch, struct proxy_refresh_result *out)
{
    struct json_member members[] = {
        {.name = "expired"}, {.name = "expire_at"}, {.name = "info"}, {.name = "b64info"}, {.name = "meta"}};
    *out = (struct proxy_refresh_result){0};
    if (json_object_members(result, members, 5) != JSON_READ_OK || !reserve_for(scratch, result) ||
        !get_bool(members[0].value, &out->is_expired) || !get_u64(members[1].value, &out->expire_at_s) ||
        !get_payload(members[2].value, members[3].value, scratch, &out->info)) {
        return false;
    }
    out->meta = present(members[4].value);
    return out->meta.len == 0 || json_kind(out->meta) == JSON_KIND_OBJECT;
}

/* Tags travel as they came, so they must be what they are for clients: an object of texts. */
static bool get_tags(struct str span, struct buf *scratch, struct str *out)
{
    struct str rest = span, name, value, text;
    if (is_absent(span)) {
        return true;
    }
    if (json_kind(span) != JSON_KIND_OBJECT) {
        return false;
    }
    while (json_object_next(&rest, &name, &value)) {
        if (!json_get_string(name, scratch, &text) || !json_get_string(value, scratch, &text)) {
            return false;
        }
    }
    *out = span;
    return true;
}

bool proxy_read_publish(struct str result, struct buf *scratch, struct proxy_publish_result *out)
{
    struct json_member members[] = {
        {.name = "data"},  {.name = "b64data"}, {.name = "tags"},          {.name = "idempotency_key"},
        {.name = "delta"}, {.name = "version"}, {.name = "version_epoch"}, {.name = "skip_history"}};
    *out = (struct proxy_publish_result){0};
    return json_object_members(result, members, 8) == JSON_READ_OK && reserve_for(scratch, result) &&
           get_payload(members[0].value, members[1].value, scratch, &out->data) &&
           get_tags(members[2].value, scratch, &out->tags) &&
           get_text(members[3].value, scratch, &out->idempotency_key) &&
           get_bool(members[4].value, &out->delta) && get_u64(members[5].value, &out->version) &&
           get_text(members[6].value, scratch, &out->version_epoch) &&
           get_bool(members[7].value, &out->skip_history);
}

bool proxy_read_rpc(struct str result, struct buf *scratch, struct str *data)
{
    struct json_member members[] = {{.name = "data"}, {.name = "b64data"}};
    *data = (struct str){0};
    return json_object_members(result, members, 2) == JSON_READ_OK && reserve_for(scratch, result) &&
           get_payload(members[0].value, members[1].value, scratch, data);
}

#include "channels/base/must.h"
#include "server/api_call.h"
#include "server/crypto.h"
#include "server/json_span.h"
#include "server/worker.h"

enum { FIELDS_MAX = 16 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str api_trim(struct str json)
{
    while (json.len > 0 && is_space(json.at[0])) {
        json = str_skip(json, 1);
    }
    while (json.len > 0 && is_space(json.at[json.len - 1])) {
        json.len--;
    }
    return json;
}

/* What is unescaped or decoded is never longer than the parameters, so room for them is made once and nothing
 * in the buffer moves. */
static bool make_room(struct api_call *call, struct buf *buf)
{
    return buf->capacity > 0 || buf_reserve(buf, call->params.len);
}

enum status api_read_text(struct api_call *call, struct str span, struct str *out)
{
    bool has_escapes = span.len > 0 && memchr(span.at, '\\', span.len) != NULL;
    if (has_escapes && !make_room(call, &call->scratch)) {
        return STATUS_NO_MEMORY;
    }
    return json_get_string(span, &call->scratch, out) ? STATUS_OK : STATUS_BAD_REQUEST;
}

static enum status read_field(struct api_call *call, const struct api_field *field, struct str span)
{
    bool is_good = true;
    switch (field->type) {
    case API_TEXT: return api_read_text(call, span, field->out);
    case API_RAW:
    case API_SPAN: *(struct str *)field->out = span; break;
    case API_BOOL: is_good = json_get_bool(span, field->out); break;
    case API_U64: is_good = json_get_u64(span, field->out); break;
    case API_I64: is_good = json_get_i64(span, field->out); break;
    }
    return is_good ? STATUS_OK : STATUS_BAD_REQUEST;
}

enum status api_read(struct api_call *call, struct str object, const struct api_field *fields, size_t count)
{
    struct json_member members[FIELDS_MAX];
    must(count <= FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        members[i].name = fields[i].name;
    }
    if (json_kind(object) != JSON_KIND_OBJECT ||
        json_object_members(object, members, count) != JSON_READ_OK) {
        return STATUS_BAD_REQUEST;
    }
    for (size_t i = 0; i < count; i++) {
        enum json_kind kind = json_kind(members[i].value);
        if (kind == JSON_KIND_NONE || (kind == JSON_KIND_NULL && fields[i].type != API_RAW)) {
            continue;
        }
        enum status status = read_field(call, &fields[i], members[i].value);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status api_read_payload(struct api_call *call, struct str b64, struct str *payload)
{
    if (b64.len == 0) {
        return STATUS_OK;
    }
    size_t room = CRYPTO_BASE64_BYTES_MAX(b64.len);
    struct buf *decoded = &call->decoded;
    if (!make_room(call, decoded) || !buf_reserve(decoded, room)) {
        return STATUS_NO_MEMORY;
    }
    char *at = decoded->at + decoded->len;
    size_t len;
    if (!crypto_base64_decode(b64, at, room, &len)) {
        return STATUS_BAD_REQUEST;
    }
    decoded->len += len;
    *payload = str_make(at, len);
    bool is_json = json_validate(*payload, call->worker->config->limits_json_depth);
    return is_json || len == 0 ? STATUS_OK : STATUS_BAD_REQUEST;
}

enum status api_read_channel(struct api_call *call, struct str *channel,
                             const struct channel_options **options)
{
    const struct api_field fields[] = {{"channel", API_TEXT, channel}};
    enum status status = api_read(call, call->params, fields, 1);
    return status == STATUS_OK ? channel_rules_resolve(&call->worker->config->channels, *channel, options)
                               : status;
}

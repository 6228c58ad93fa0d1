/* subscribe, unsubscribe, disconnect, refresh (SERVER_API sections 3.3 to 3.6): what is done to a user's
 * connections. */
#include "server/api.h"
#include "server/api_call.h"
#include "server/cluster.h"
#include "server/json_span.h"
#include "server/worker.h"

/* A close frame carries 125 bytes, two of them the code (RFC 6455 section 5.5). */
enum { CLOSE_REASON_BYTES_MAX = 123 };

/* Codes that a WebSocket server may give its own meaning to (RFC 6455 section 7.4.2; PROTOCOL section 11.2).
 */
enum { CLOSE_CODE_MIN = 3000, CLOSE_CODE_MAX = 4999 };

/* A time that never comes in this century's milliseconds: more would overflow when it is converted. */
static const int64_t EXPIRE_AT_MAX_S = INT64_C(253402300799); /* the end of the year 9999 */

static void on_applied(void *context, enum status status)
{
    struct api_call *call = context;
    buf_append_lit(&call->result, "{}");
    api_finish(call, status);
}

/* Finishes the call, or carries the request out first. */
static void apply(struct api_call *call, const struct control_request *request, enum status status)
{
    if (status == STATUS_OK) {
        cluster_control(call->worker, request, on_applied, call);
    } else {
        api_finish(call, status);
    }
}

/* Whom the request means: the same three fields in all four. */
#define SELECTOR_FIELDS(request)                                                    \
    {"user", API_TEXT, &(request)->user}, {"client", API_TEXT, &(request)->client}, \
    {                                                                               \
        "session", API_TEXT, &(request)->session                                    \
    }
#define FIELD_COUNT(fields) (sizeof(fields) / sizeof(fields)[0])

static enum status check_expire_at(int64_t expire_at, uint64_t *out)
{
    if (expire_at < 0 || expire_at > EXPIRE_AT_MAX_S) {
        return STATUS_BAD_REQUEST;
    }
    *out = (uint64_t)expire_at;
    return STATUS_OK;
}

static enum status check_channel(const struct api_call *call, struct str channel)
{
    const struct channel_options *options;
    return channel_rules_resolve(&call->worker->config->channels, channel, &options);
}

/* ---- subscribe ---- */

/* {"presence":{"value":true}, …} */
static enum status read_override(struct api_call *call, struct str override,
                                 struct session_subscribe_options *options)
{
    struct {
        const char *name;
        signed char *out;
    } const rows[] = {
        {"presence", &options->presence},
        {"join_leave", &options->join_leave},
        {"force_push_join_leave", &options->force_push_join_leave},
        {"force_recovery", &options->force_recovery},
        {"force_positioning", &options->force_positioning},
    };
    for (size_t i = 0; i < FIELD_COUNT(rows); i++) {
        *rows[i].out = -1;
        struct str box = {0};
        bool value = false;
        const struct api_field outer[] = {{rows[i].name, API_SPAN, &box}};
        enum status status = override.len == 0 ? STATUS_OK : api_read(call, override, outer, 1);
        if (status == STATUS_OK && box.len > 0) {
            const struct api_field inner[] = {{"value", API_BOOL, &value}};
            status = api_read(call, box, inner, 1);
            *rows[i].out = value ? 1 : 0;
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status read_since(struct api_call *call, struct str since,
                              struct session_subscribe_options *options)
{
    if (since.len == 0) {
        return STATUS_OK;
    }
    const struct api_field fields[] = {
        {"offset", API_U64, &options->recover_since.offset},
        {"epoch", API_TEXT, &options->recover_since.epoch},
    };
    options->has_recover_since = true;
    return api_read(call, since, fields, FIELD_COUNT(fields));
}

static enum status read_subscribe(struct api_call *call, struct control_request *request)
{
    struct session_subscribe_options *options = &request->subscribe;
    struct str b64info = {0}, b64data = {0}, since = {0}, override = {0};
    int64_t expire_at = 0;
    const struct api_field fields[] = {
        SELECTOR_FIELDS(request),           {"channel", API_TEXT, &options->channel},
        {"info", API_SPAN, &options->info}, {"b64info", API_TEXT, &b64info},
        {"data", API_SPAN, &options->data}, {"b64data", API_TEXT, &b64data},
        {"expire_at", API_I64, &expire_at}, {"recover_since", API_SPAN, &since},
        {"override", API_SPAN, &override},
    };
    enum status status = api_read(call, call->params, fields, FIELD_COUNT(fields));
    status = status == STATUS_OK ? api_read_payload(call, b64info, &options->info) : status;
    status = status == STATUS_OK ? api_read_payload(call, b64data, &options->data) : status;
    status = status == STATUS_OK ? read_since(call, since, options) : status;
    status = status == STATUS_OK ? read_override(call, override, options) : status;
    status = status == STATUS_OK ? check_expire_at(expire_at, &options->expire_at_s) : status;
    return status == STATUS_OK ? check_channel(call, options->channel) : status;
}

void api_subscribe(struct api_call *call)
{
    struct control_request request = {.action = CONTROL_SUBSCRIBE};
    enum status status = read_subscribe(call, &request);
    apply(call, &request, status);
}

/* ---- unsubscribe ---- */

void api_unsubscribe(struct api_call *call)
{
    struct control_request request = {
        .action = CONTROL_UNSUBSCRIBE,
        .code = UNSUBSCRIBE_SERVER.code,
        .reason = UNSUBSCRIBE_SERVER.reason,
    };
    const struct api_field fields[] = {SELECTOR_FIELDS(&request), {"channel", API_TEXT, &request.channel}};
    enum status status = api_read(call, call->params, fields, FIELD_COUNT(fields));
    if (status == STATUS_OK && request.channel.len > 0) {
        status = check_channel(call, request.channel);
    }
    apply(call, &request, status);
}

/* ---- disconnect ---- */

static enum status read_disconnect(struct api_call *call, struct str disconnect,
                                   struct control_request *request)
{
    if (disconnect.len == 0) {
        return STATUS_OK;
    }
    uint64_t code = request->code;
    request->reason = STR("");
    const struct api_field fields[] = {{"code", API_U64, &code}, {"reason", API_TEXT, &request->reason}};
    enum status status = api_read(call, disconnect, fields, FIELD_COUNT(fields));
    if (status != STATUS_OK) {
        return status;
    }
    if (code < CLOSE_CODE_MIN || code > CLOSE_CODE_MAX || request->reason.len > CLOSE_REASON_BYTES_MAX) {
        return STATUS_BAD_REQUEST;
    }
    request->code = (unsigned)code;
    return STATUS_OK;
}

/* Counts up to one more than are allowed. */
static size_t count_items(struct str array)
{
    size_t count = 0;
    struct str item;
    while (count <= API_WHITELIST_MAX && json_array_next(&array, &item)) {
        count++;
    }
    return count;
}

static enum status read_whitelist(struct api_call *call, struct str list, struct str *whitelist, size_t count)
{
    struct str item;
    for (size_t i = 0; i < count && json_array_next(&list, &item); i++) {
        enum status status = api_read_text(call, item, &whitelist[i]);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

void api_disconnect(struct api_call *call)
{
    struct control_request request = {
        .action = CONTROL_DISCONNECT,
        .code = DISCONNECT_FORCE_NO_RECONNECT.code,
        .reason = DISCONNECT_FORCE_NO_RECONNECT.reason,
    };
    struct str disconnect = {0}, list = {0};
    struct str whitelist[API_WHITELIST_MAX];
    const struct api_field fields[] = {
        SELECTOR_FIELDS(&request),
        {"disconnect", API_SPAN, &disconnect},
        {"whitelist", API_SPAN, &list},
    };
    enum status status = api_read(call, call->params, fields, FIELD_COUNT(fields));
    status = status == STATUS_OK ? read_disconnect(call, disconnect, &request) : status;
    if (status == STATUS_OK && list.len > 0 && json_kind(list) != JSON_KIND_ARRAY) {
        status = STATUS_BAD_REQUEST;
    }
    size_t count = status == STATUS_OK && list.len > 0 ? count_items(list) : 0;
    if (count > API_WHITELIST_MAX) {
        api_finish_refused(call, "bad request: more than 1000 clients in the whitelist");
        return;
    }
    status = status == STATUS_OK ? read_whitelist(call, list, whitelist, count) : status;
    request.whitelist = whitelist;
    request.whitelist_count = count;
    apply(call, &request, status);
}

/* ---- refresh ---- */

void api_refresh(struct api_call *call)
{
    struct control_request request = {.action = CONTROL_REFRESH};
    int64_t expire_at = 0;
    const struct api_field fields[] = {
        SELECTOR_FIELDS(&request),
        {"expired", API_BOOL, &request.is_expired},
        {"expire_at", API_I64, &expire_at},
        {"info", API_SPAN, &request.info},
    };
    enum status status = api_read(call, call->params, fields, FIELD_COUNT(fields));
    status = status == STATUS_OK ? check_expire_at(expire_at, &request.expire_at_s) : status;
    apply(call, &request, status);
}

#include "server/api.h"

#include "channels/base/must.h"
#include "server/api_call.h"
#include "server/crypto.h"
#include "server/exchange.h"
#include "server/json_span.h"
#include "server/login.h"
#include "server/worker.h"

/* ---- methods ---- */

static void run_absent(struct api_call *call)
{
    api_finish(call, STATUS_METHOD_NOT_FOUND);
}

static const struct api_method methods[] = {
#define API_METHOD_ROW(name) {#name, api_##name},
    API_METHODS(API_METHOD_ROW)
#undef API_METHOD_ROW
#define API_ABSENT_ROW(name) {#name, run_absent},
        API_ABSENT_METHODS(API_ABSENT_ROW)
#undef API_ABSENT_ROW
};

enum { METHOD_COUNT = sizeof methods / sizeof methods[0] };

const struct api_method *api_method_find(struct str name)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (str_is(name, methods[i].name)) {
            return &methods[i];
        }
    }
    return NULL;
}

const struct api_method *api_method_of_span(struct str span)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (json_string_is(span, methods[i].name)) {
            return &methods[i];
        }
    }
    return NULL;
}

/* ---- one call ---- */

/* Mail to oneself. Without a receiver the worker has ended, and nobody waits any more. */
static void run_done(void *receiver, struct mail *mail)
{
    struct api_call *call = container_of(mail, struct api_call, mail);
    if (receiver != NULL) {
        call->done(call);
    }
}

/* The end of a call always comes in a step of its own: however many calls of a batch end at once, none of
 * them runs inside another. */
void api_finish(struct api_call *call, enum status status)
{
    struct metrics *metrics = &call->worker->metrics;
    call->status = status == STATUS_OK && call->result.failed ? STATUS_NO_MEMORY : status;
    metrics->api_requests_total++;
    metrics->api_errors_total += call->status == STATUS_OK ? 0 : 1;
    call->mail.run = run_done;
    hub_post_answer(call->worker->hub, call->worker->index, &call->mail);
}

void api_finish_refused(struct api_call *call, const char *message)
{
    call->message = message;
    api_finish(call, STATUS_BAD_REQUEST);
}

void api_call_run(struct api_call *call)
{
    if (call->refusal != STATUS_OK) {
        api_finish(call, call->refusal);
        return;
    }
    must(call->method != NULL);
    call->method->run(call);
}

void api_call_release(struct api_call *call)
{
    buf_release(&call->scratch);
    buf_release(&call->decoded);
    buf_release(&call->result);
}

struct op *api_op_new(struct api_call *call, enum op_kind kind, struct str channel,
                      const struct channel_options *options, size_t text_bytes)
{
    struct op *op = op_new(kind, channel.len + text_bytes);
    if (op != NULL) {
        op->channel = op_text(op, channel);
        op->options = options;
        op->context = call;
    }
    return op;
}

/* There are no server-side extensions, so no method of that name. */
void api_rpc(struct api_call *call)
{
    struct str method = {0};
    const struct api_field fields[] = {{"method", API_TEXT, &method}};
    enum status status = api_read(call, call->params, fields, 1);
    if (status == STATUS_OK) {
        status = method.len == 0 ? STATUS_BAD_REQUEST : STATUS_METHOD_NOT_FOUND;
    }
    api_finish(call, status);
}

/* ---- errors ---- */

void api_append_error(struct buf *buf, enum status status, const char *message)
{
    unsigned code = status_code(status);
    struct str text = status_message(status);
    if (code == 0) {
        code = status_code(STATUS_INTERNAL);
        text = status_message(STATUS_INTERNAL);
    } else if (status == STATUS_METHOD_NOT_FOUND) {
        text = STR("not found"); /* the one message that differs from the client protocol's */
    }
    buf_append_lit(buf, "{\"code\":");
    buf_append_u64(buf, code);
    buf_append_lit(buf, ",\"message\":");
    buf_append_json_string(buf, message != NULL ? str_from_cstr(message) : text);
    buf_append_char(buf, '}');
}

unsigned api_http_status(enum status status)
{
    switch (status_code(status)) {
    case 102:
    case 104: return 404;
    case 107:
    case 108: return 400;
    case 112: return 416;
    case 113: return 409;
    default: return 500;
    }
}

/* ---- requests ---- */

/* Texts that may be the key are compared in constant time (THREATS A30). */
static bool is_key(const struct config *config, struct str text)
{
    return text.len > 0 && crypto_equal(text, str_from_cstr(config->http_api_key));
}

static bool has_key_in_query(const struct config *config, const struct http_request *request)
{
    struct buf value = {0};
    bool has_key = request->query.at != NULL && http_query_get(request->query, "api_key", &value) &&
                   !value.failed && is_key(config, buf_str(&value));
    buf_release(&value);
    return has_key;
}

static bool is_authorized(const struct exchange *exchange)
{
    const struct config *config = exchange->worker->config;
    const struct http_request *request = &exchange->request;
    if (config->http_api_insecure) {
        return true;
    }
    if (config->http_api_key[0] == '\0') {
        return false;
    }
    if (is_key(config, http_header(request, "X-API-Key"))) {
        return true;
    }
    struct str credentials = http_header(request, "Authorization");
    struct str scheme = str_next(&credentials, ' ');
    if (str_equal_nocase(scheme, STR("apikey")) && is_key(config, str_trim(credentials))) {
        return true;
    }
    return has_key_in_query(config, request);
}

static bool is_transport_mode(const struct exchange *exchange)
{
    return exchange->worker->config->http_api_error_mode == ERROR_MODE_TRANSPORT ||
           str_is(http_header(&exchange->request, "X-Centrifugo-Error-Mode"), "transport");
}

/* The object that the body is, without the space around it; {NULL, 0}: it is none. */
static struct str body_object(const struct exchange *exchange)
{
    struct str body = api_trim(buf_str(&exchange->body));
    bool is_object = json_kind(body) == JSON_KIND_OBJECT &&
                     json_validate(body, exchange->worker->config->limits_json_depth);
    return is_object ? body : (struct str){.at = NULL, .len = 0};
}

static void handle_single(struct exchange *exchange, const struct api_method *method, struct str params)
{
    struct api_batch *batch = api_batch_new(exchange, API_SINGLE, 1);
    if (batch == NULL) {
        exchange_refuse(exchange, 500, NULL);
        return;
    }
    struct api_call *call = api_batch_call(batch, 0);
    call->method = method;
    call->params = params;
    api_batch_start(batch, 1, is_transport_mode(exchange));
}

static void handle_object(struct exchange *exchange, const struct api_method *method)
{
    struct str body = body_object(exchange);
    if (body.at == NULL) {
        exchange_refuse(exchange, 400, "the body is not a JSON object");
    } else if (method == NULL) {
        api_handle_batch(exchange, body);
    } else {
        handle_single(exchange, method, body);
    }
}

void api_handle(struct exchange *exchange)
{
    struct str path =
        str_skip(exchange->request.path, strlen(exchange->worker->config->http_api_handler_prefix));
    struct str name = str_skip(path, 1);
    const struct api_method *method = api_method_find(name);
    const char *rule = "";
    bool has_key = is_authorized(exchange);
    enum login_access admin = has_key ? LOGIN_ACCESS_NONE : login_admin_access(exchange, &rule);
    if (method == NULL && name.len > 0 && !str_is(name, "batch")) {
        exchange_refuse(exchange, 404, NULL);
    } else if (admin == LOGIN_ACCESS_FORBIDDEN) {
        exchange->worker->metrics.api_unauthorized_total++;
        exchange_refuse(exchange, 403, rule);
    } else if (!has_key && admin != LOGIN_ACCESS_GRANTED) {
        exchange->worker->metrics.api_unauthorized_total++;
        exchange_header(exchange, "WWW-Authenticate", STR("apikey"));
        exchange_refuse(exchange, 401, NULL);
    } else if (name.len == 0) {
        api_handle_legacy(exchange);
    } else {
        handle_object(exchange, method);
    }
}

/* Runs the calls of one request, one after the other or some at a time, and answers it when all are done. */
#include "channels/base/must.h"
#include "server/api.h"
#include "server/api_call.h"
#include "server/exchange.h"
#include "server/json_span.h"
#include "server/worker.h"

#include <stdlib.h>

struct api_batch {
    struct exchange *exchange;
    enum api_form form;
    bool is_transport_mode;
    size_t in_flight_max;
    size_t started_count, done_count;
    size_t answer_bytes; /* of the results so far */
    size_t count;
    struct api_call calls[];
};

static const char *const JSON_TYPE = "application/json";

/* ---- the answer ---- */

static void append_error_member(struct buf *out, const struct api_call *call)
{
    buf_append_lit(out, "\"error\":");
    api_append_error(out, call->status, call->message);
}

/* {"result":{…}} or {"error":{…}}; `name` is what the result is called. */
static void append_reply(struct buf *out, const struct api_call *call, const char *name)
{
    buf_append_char(out, '{');
    if (call->id != 0) {
        buf_append_lit(out, "\"id\":");
        buf_append_u64(out, call->id);
        buf_append_char(out, ',');
    }
    if (call->status != STATUS_OK) {
        append_error_member(out, call);
    } else {
        buf_append_char(out, '"');
        buf_append_str(out, str_from_cstr(name));
        buf_append_lit(out, "\":");
        buf_append_str(out, buf_str(&call->result));
    }
    buf_append_char(out, '}');
}

static void append_replies(struct buf *out, const struct api_batch *batch)
{
    buf_append_lit(out, "{\"replies\":[");
    for (size_t i = 0; i < batch->count; i++) {
        const struct api_call *call = &batch->calls[i];
        if (i > 0) {
            buf_append_char(out, ',');
        }
        append_reply(out, call, call->method != NULL ? call->method->name : "");
    }
    buf_append_lit(out, "]}");
}

static void append_lines(struct buf *out, const struct api_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (i > 0) {
            buf_append_char(out, '\n');
        }
        append_reply(out, &batch->calls[i], "result");
    }
}

/* Returns the HTTP status. */
static unsigned append_answer(struct buf *out, const struct api_batch *batch)
{
    const struct api_call *first = &batch->calls[0];
    switch (batch->form) {
    case API_BATCH: append_replies(out, batch); return 200;
    case API_LEGACY: append_lines(out, batch); return 200;
    case API_SINGLE: break;
    }
    if (batch->is_transport_mode && first->status != STATUS_OK) {
        api_append_error(out, first->status, first->message);
        return api_http_status(first->status);
    }
    append_reply(out, first, "result");
    return 200;
}

static void answer(struct api_batch *batch)
{
    struct exchange *exchange = batch->exchange;
    struct buf out = {0};
    unsigned status = append_answer(&out, batch);
    for (size_t i = 0; i < batch->count; i++) {
        api_call_release(&batch->calls[i]);
    }
    free(batch);
    if (out.failed) {
        exchange_refuse(exchange, 500, NULL);
    } else {
        exchange_respond(exchange, status, JSON_TYPE, buf_str(&out));
    }
    buf_release(&out);
}

/* ---- running ---- */

static void go_on(struct api_batch *batch)
{
    size_t in_flight = batch->started_count - batch->done_count;
    /* Ends of calls come in later steps (api_finish), so nothing here runs inside itself. */
    while (batch->started_count < batch->count && in_flight < batch->in_flight_max) {
        struct api_call *call = &batch->calls[batch->started_count++];
        in_flight++;
        if (batch->answer_bytes > API_ANSWER_BYTES_MAX) {
            call->refusal = STATUS_BAD_REQUEST;
            call->message = "bad request: the answers of this batch are larger than 64 MiB";
        }
        api_call_run(call);
    }
    if (batch->done_count == batch->count) {
        answer(batch);
    }
}

static void on_call_done(struct api_call *call)
{
    struct api_batch *batch = call->context;
    batch->done_count++;
    batch->answer_bytes += call->result.len;
    buf_release(&call->scratch);
    buf_release(&call->decoded);
    go_on(batch);
}

struct api_batch *api_batch_new(struct exchange *exchange, enum api_form form, size_t count)
{
    struct api_batch *batch = calloc(1, sizeof *batch + count * sizeof(struct api_call));
    if (batch == NULL) {
        return NULL;
    }
    batch->exchange = exchange;
    batch->form = form;
    batch->count = count;
    for (size_t i = 0; i < count; i++) {
        struct api_call *call = &batch->calls[i];
        call->worker = exchange->worker;
        call->done = on_call_done;
        call->context = batch;
    }
    return batch;
}

struct api_call *api_batch_call(struct api_batch *batch, size_t index)
{
    must(index < batch->count);
    return &batch->calls[index];
}

void api_batch_start(struct api_batch *batch, size_t in_flight_max, bool is_transport_mode)
{
    batch->in_flight_max = in_flight_max;
    batch->is_transport_mode = is_transport_mode;
    go_on(batch);
}

/* ---- {"commands":[…],"parallel":…} ---- */

/* A command is an object with one member, the method. Others may be there with null, as some encoders write
 * them. */
static void read_command(struct api_call *call, struct str command)
{
    struct str name = {0}, params = {0}, rest = command, member, value;
    size_t method_count = 0;
    while (json_object_next(&rest, &member, &value)) {
        if (json_kind(value) != JSON_KIND_NULL) {
            name = member;
            params = value;
            method_count++;
        }
    }
    call->method = method_count == 1 ? api_method_of_span(name) : NULL;
    call->params = params;
    if (json_kind(command) != JSON_KIND_OBJECT || method_count > 1) {
        call->refusal = STATUS_BAD_REQUEST;
    } else if (call->method == NULL) {
        call->refusal = STATUS_METHOD_NOT_FOUND;
    }
}

static size_t count_items(struct str array)
{
    size_t count = 0;
    struct str item;
    while (json_array_next(&array, &item)) {
        count++;
    }
    return count;
}

/* What concerns the batch as a whole is answered as one call would be. */
static void refuse_batch(struct exchange *exchange, const char *message)
{
    struct buf out = {0};
    exchange->worker->metrics.api_requests_total++;
    exchange->worker->metrics.api_errors_total++;
    buf_append_lit(&out, "{\"error\":");
    api_append_error(&out, STATUS_BAD_REQUEST, message);
    buf_append_char(&out, '}');
    exchange_respond(exchange, 200, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}

void api_handle_batch(struct exchange *exchange, struct str body)
{
    struct json_member members[] = {{.name = "commands"}, {.name = "parallel"}};
    enum { COMMANDS, PARALLEL };
    bool is_parallel = false;
    bool is_good = json_object_members(body, members, 2) == JSON_READ_OK;
    if (is_good && json_kind(members[PARALLEL].value) > JSON_KIND_NULL) {
        is_good = json_get_bool(members[PARALLEL].value, &is_parallel);
    }
    struct str commands = members[COMMANDS].value;
    if (!is_good || (json_kind(commands) > JSON_KIND_NULL && json_kind(commands) != JSON_KIND_ARRAY)) {
        refuse_batch(exchange, NULL);
        return;
    }
    size_t count = json_kind(commands) == JSON_KIND_ARRAY ? count_items(commands) : 0;
    if (count > API_COMMANDS_MAX) {
        refuse_batch(exchange, "bad request: more than 1000 commands in one batch");
        return;
    }
    struct api_batch *batch = api_batch_new(exchange, API_BATCH, count);
    if (batch == NULL) {
        exchange_refuse(exchange, 500, NULL);
        return;
    }
    struct str command;
    for (size_t i = 0; i < count && json_array_next(&commands, &command); i++) {
        read_command(&batch->calls[i], command);
    }
    api_batch_start(batch, is_parallel ? API_IN_FLIGHT_MAX : 1, false);
}

/* ---- lines of {"id":…,"method":…,"params":…} ---- */

enum { LEGACY_ID, LEGACY_METHOD, LEGACY_PARAMS, LEGACY_MEMBERS };

/* Takes the next command off the body. */
static bool next_line(const struct exchange *exchange, struct str *rest,
                      struct json_member members[LEGACY_MEMBERS])
{
    members[LEGACY_ID].name = "id";
    members[LEGACY_METHOD].name = "method";
    members[LEGACY_PARAMS].name = "params";
    unsigned depth_max = exchange->worker->config->limits_json_depth;
    return json_object_read_next(rest, members, LEGACY_MEMBERS, depth_max) == JSON_READ_OK;
}

/* How many commands there are. false: one of them is malformed. */
static bool count_lines(const struct exchange *exchange, size_t *count)
{
    struct json_member members[LEGACY_MEMBERS];
    struct str rest = buf_str(&exchange->body);
    *count = 0;
    do {
        if (!next_line(exchange, &rest, members)) {
            return false;
        }
        *count += 1;
    } while (rest.len > 0);
    return true;
}

static void read_line(struct api_call *call, const struct json_member members[LEGACY_MEMBERS])
{
    bool has_id = json_kind(members[LEGACY_ID].value) > JSON_KIND_NULL;
    bool has_params = json_kind(members[LEGACY_PARAMS].value) > JSON_KIND_NULL;
    call->method = api_method_of_span(members[LEGACY_METHOD].value);
    call->params = has_params ? members[LEGACY_PARAMS].value : STR("{}");
    if (has_id && !json_get_u64(members[LEGACY_ID].value, &call->id)) {
        call->refusal = STATUS_BAD_REQUEST;
    } else if (call->method == NULL) {
        call->refusal = STATUS_METHOD_NOT_FOUND;
    }
}

void api_handle_legacy(struct exchange *exchange)
{
    size_t count;
    if (!count_lines(exchange, &count)) {
        exchange_refuse(exchange, 400, "the body is not a run of JSON objects");
        return;
    }
    if (count > API_COMMANDS_MAX) {
        exchange_refuse(exchange, 400, "more than 1000 commands in one request");
        return;
    }
    struct api_batch *batch = api_batch_new(exchange, API_LEGACY, count);
    if (batch == NULL) {
        exchange_refuse(exchange, 500, NULL);
        return;
    }
    struct json_member members[LEGACY_MEMBERS];
    struct str rest = buf_str(&exchange->body);
    for (size_t i = 0; i < count && next_line(exchange, &rest, members); i++) {
        read_line(&batch->calls[i], members);
    }
    api_batch_start(batch, 1, false);
}

/* publish and broadcast (SERVER_API sections 3.1 and 3.2). */
#include "channels/base/must.h"
#include "channels/hub.h"
#include "server/api.h"
#include "server/api_call.h"
#include "server/json_span.h"
#include "server/worker.h"

#include <stdlib.h>

struct publish_params {
    struct str channel, channels; /* one of them, as the method has it; channels is a span */
    struct str data;              /* JSON; empty: none */
    struct str b64data, tags;
    struct str idempotency_key, version_epoch;
    struct str exclude_client; /* of ours: the publisher's own connection, which knows already */
    uint64_t version;
    bool skip_history, delta;
};

/* Tags are a map of text to text, and travel as they came. */
static enum status check_tags(struct api_call *call, struct str tags)
{
    struct str rest = tags, name, value, text;
    if (tags.len > 0 && json_kind(tags) != JSON_KIND_OBJECT) {
        return STATUS_BAD_REQUEST;
    }
    while (tags.len > 0 && json_object_next(&rest, &name, &value)) {
        enum status status = api_read_text(call, name, &text);
        if (status == STATUS_OK) {
            status = api_read_text(call, value, &text);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status read_params(struct api_call *call, struct publish_params *params)
{
    const struct api_field fields[] = {
        {"channel", API_TEXT, &params->channel},
        {"channels", API_SPAN, &params->channels},
        {"data", API_RAW, &params->data},
        {"b64data", API_TEXT, &params->b64data},
        {"tags", API_SPAN, &params->tags},
        {"idempotency_key", API_TEXT, &params->idempotency_key},
        {"version_epoch", API_TEXT, &params->version_epoch},
        {"exclude_client", API_TEXT, &params->exclude_client},
        {"version", API_U64, &params->version},
        {"skip_history", API_BOOL, &params->skip_history},
        {"delta", API_BOOL, &params->delta},
    };
    enum status status = api_read(call, call->params, fields, sizeof fields / sizeof fields[0]);
    if (status == STATUS_OK) {
        status = check_tags(call, params->tags);
    }
    return status == STATUS_OK ? api_read_payload(call, params->b64data, &params->data) : status;
}

/* publication_data_format (SERVER_API section 7). That data is JSON where there is any has been checked. */
static bool data_fits(const struct config *config, const struct channel_options *options, struct str data)
{
    enum data_format format = options->publication_data_format;
    if (format == DATA_FORMAT_ANY) {
        format = config->channel_publication_data_format;
    }
    switch (format) {
    case DATA_FORMAT_ANY:
    case DATA_FORMAT_JSON: return data.len > 0;
    case DATA_FORMAT_JSON_OBJECT: return json_kind(api_trim(data)) == JSON_KIND_OBJECT;
    case DATA_FORMAT_BINARY: return true;
    }
    return false;
}

/* Starts one publication; `done` gets the op with `context2` and `id` in it. Otherwise nothing is started. */
static enum status publish(struct api_call *call, const struct publish_params *params, struct str channel,
                           void (*done)(struct op *op), void *context2, uint32_t id)
{
    const struct config *config = call->worker->config;
    const struct channel_options *options;
    enum status status = channel_rules_resolve(&config->channels, channel, &options);
    if (status != STATUS_OK) {
        return status;
    }
    if (!data_fits(config, options, params->data)) {
        return STATUS_BAD_REQUEST;
    }
    struct op *op = api_op_new(call, OP_PUBLISH, channel, options,
                               params->idempotency_key.len + params->version_epoch.len);
    if (op == NULL) {
        return STATUS_NO_MEMORY;
    }
    op->publish.message = message_new(&(struct message_parts){
        .kind = MESSAGE_PUBLICATION,
        .wants_delta = params->delta,
        .channel = channel,
        .data = params->data,
        .tags = params->tags,
        .exclude = params->exclude_client,
    });
    if (op->publish.message == NULL) {
        op_free(op);
        return STATUS_NO_MEMORY;
    }
    op->publish.skip_history = params->skip_history;
    op->publish.idempotency_key = op_text(op, params->idempotency_key);
    op->publish.version = params->version;
    op->publish.version_epoch = op_text(op, params->version_epoch);
    op->done = done;
    op->context2 = context2;
    op->command_id = id;
    hub_start(call->worker->hub, op);
    return STATUS_OK;
}

/* {"offset":…,"epoch":…}, empty where there is no history. */
static void append_position(struct buf *out, uint64_t offset, struct str epoch)
{
    buf_append_char(out, '{');
    if (offset > 0) {
        buf_append_lit(out, "\"offset\":");
        buf_append_u64(out, offset);
    }
    if (epoch.len > 0) {
        buf_append_str(out, offset > 0 ? STR(",\"epoch\":") : STR("\"epoch\":"));
        buf_append_json_string(out, epoch);
    }
    buf_append_char(out, '}');
}

/* ---- publish ---- */

static void on_published(struct op *op)
{
    struct api_call *call = op->context;
    enum status status = op->status;
    if (status == STATUS_OK) {
        append_position(&call->result, op->top.offset, op->top.epoch);
    }
    op_free(op);
    api_finish(call, status);
}

void api_publish(struct api_call *call)
{
    struct publish_params params = {0};
    enum status status = read_params(call, &params);
    if (status == STATUS_OK) {
        status = publish(call, &params, params.channel, on_published, NULL, 0);
    }
    if (status != STATUS_OK) {
        api_finish(call, status);
    }
}

/* ---- broadcast ---- */

struct outcome {
    struct str channel; /* before it is published */
    enum status status;
    uint64_t offset;
    size_t epoch_len;
    char epoch[LIMIT_EPOCH_BYTES];
};

struct broadcast {
    struct api_call *call;
    struct publish_params params;
    size_t count, started_count, done_count;
    struct outcome outcomes[];
};

static void append_outcome(struct buf *out, const struct outcome *outcome)
{
    if (outcome->status == STATUS_OK) {
        buf_append_lit(out, "{\"result\":");
        append_position(out, outcome->offset, str_make(outcome->epoch, outcome->epoch_len));
    } else {
        buf_append_lit(out, "{\"error\":");
        api_append_error(out, outcome->status, NULL);
    }
    buf_append_char(out, '}');
}

static void finish_broadcast(struct broadcast *broadcast)
{
    struct api_call *call = broadcast->call;
    struct buf *out = &call->result;
    buf_append_lit(out, "{\"responses\":[");
    for (size_t i = 0; i < broadcast->count; i++) {
        if (i > 0) {
            buf_append_char(out, ',');
        }
        append_outcome(out, &broadcast->outcomes[i]);
    }
    buf_append_lit(out, "]}");
    free(broadcast);
    api_finish(call, STATUS_OK);
}

static void on_broadcast_one(struct op *op);

/* Keeps some publications in flight, each with a copy of the data, so that memory does not grow with the
 * number of channels. What ends an op comes in a later step: nothing here runs inside itself. */
static void go_on(struct broadcast *broadcast)
{
    size_t in_flight = broadcast->started_count - broadcast->done_count;
    while (broadcast->started_count < broadcast->count && in_flight < API_IN_FLIGHT_MAX) {
        size_t index = broadcast->started_count++;
        struct outcome *outcome = &broadcast->outcomes[index];
        outcome->status = publish(broadcast->call, &broadcast->params, outcome->channel, on_broadcast_one,
                                  broadcast, (uint32_t)index);
        if (outcome->status == STATUS_OK) {
            in_flight++;
        } else {
            broadcast->done_count++;
        }
    }
    if (broadcast->done_count == broadcast->count) {
        finish_broadcast(broadcast);
    }
}

static void on_broadcast_one(struct op *op)
{
    struct broadcast *broadcast = op->context2;
    struct outcome *outcome = &broadcast->outcomes[op->command_id];
    outcome->status = op->status;
    outcome->offset = op->top.offset;
    outcome->epoch_len = op->top.epoch.len;
    must(outcome->epoch_len <= sizeof outcome->epoch);
    if (outcome->epoch_len > 0) {
        memcpy(outcome->epoch, op->top.epoch.at, outcome->epoch_len);
    }
    op_free(op);
    broadcast->done_count++;
    go_on(broadcast);
}

/* Counts the channels, up to one more than are allowed. */
static size_t count_channels(struct str channels)
{
    size_t count = 0;
    struct str value;
    while (count <= API_BROADCAST_CHANNELS_MAX && json_array_next(&channels, &value)) {
        count++;
    }
    return count;
}

static enum status read_channels(struct api_call *call, struct str channels, struct broadcast *broadcast)
{
    struct str value;
    for (size_t i = 0; i < broadcast->count && json_array_next(&channels, &value); i++) {
        enum status status = api_read_text(call, value, &broadcast->outcomes[i].channel);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

void api_broadcast(struct api_call *call)
{
    struct publish_params params = {0};
    enum status status = read_params(call, &params);
    size_t count = json_kind(params.channels) == JSON_KIND_ARRAY ? count_channels(params.channels) : 0;
    if (status != STATUS_OK || count == 0 || params.data.len == 0) {
        api_finish(call, status != STATUS_OK ? status : STATUS_BAD_REQUEST);
        return;
    }
    if (count > API_BROADCAST_CHANNELS_MAX) {
        api_finish_refused(call, "bad request: more than 1000 channels in one broadcast");
        return;
    }
    struct broadcast *broadcast = calloc(1, sizeof *broadcast + count * sizeof(struct outcome));
    if (broadcast == NULL) {
        api_finish(call, STATUS_NO_MEMORY);
        return;
    }
    broadcast->call = call;
    broadcast->params = params;
    broadcast->count = count;
    status = read_channels(call, params.channels, broadcast);
    if (status != STATUS_OK) {
        free(broadcast);
        api_finish(call, status);
        return;
    }
    go_on(broadcast);
}

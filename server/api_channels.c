/* presence, presence_stats, history, history_remove, channels, info (SERVER_API sections 3.7 to 3.10). */
#include "channels/hub.h"
#include "server/api.h"
#include "server/api_call.h"
#include "server/cluster.h"
#include "server/protocol.h"
#include "server/survey.h"
#include "server/worker.h"

#include <stdlib.h>

/* Reads the channel and starts an op that needs nothing else; `done` ends the call. */
static void start_op(struct api_call *call, enum op_kind kind, void (*done)(struct op *op))
{
    struct str channel = {0};
    const struct channel_options *options;
    enum status status = api_read_channel(call, &channel, &options);
    struct op *op = status == STATUS_OK ? api_op_new(call, kind, channel, options, 0) : NULL;
    if (op == NULL) {
        api_finish(call, status != STATUS_OK ? status : STATUS_NO_MEMORY);
        return;
    }
    if (kind == OP_PRESENCE) {
        op->presence.limit = call->worker->config->limits_presence_answer_max;
    }
    op->done = done;
    hub_start(call->worker->hub, op);
}

/* ---- presence ---- */

static void append_presence(struct buf *out, const struct op *op)
{
    struct buf items = {0};
    for (size_t i = 0; i < op->presence.count; i++) {
        protocol_add_presence(&items, op->presence.entries[i].client, op->presence.entries[i].info);
    }
    buf_append_lit(out, "{\"presence\":{");
    buf_append_str(out, buf_str(&items));
    buf_append_str(out, op->presence.is_cut ? STR("},\"truncated\":true}") : STR("}}"));
    out->failed = out->failed || items.failed;
    buf_release(&items);
}

static void on_presence(struct op *op)
{
    struct api_call *call = op->context;
    enum status status = op->status;
    if (status == STATUS_OK) {
        append_presence(&call->result, op);
    }
    op_free(op);
    api_finish(call, status);
}

void api_presence(struct api_call *call)
{
    start_op(call, OP_PRESENCE, on_presence);
}

static void on_presence_stats(struct op *op)
{
    struct api_call *call = op->context;
    enum status status = op->status;
    buf_printf(&call->result, "{\"num_clients\":%u,\"num_users\":%u}", op->presence.client_count,
               op->presence.user_count);
    op_free(op);
    api_finish(call, status);
}

void api_presence_stats(struct api_call *call)
{
    start_op(call, OP_PRESENCE_STATS, on_presence_stats);
}

/* ---- history ---- */

/* Publications until the answer is large enough; the caller sees from their offsets where to go on. */
static void append_publications(struct buf *out, const struct op *op)
{
    struct buf items = {0};
    for (size_t i = 0; i < op->message_count; i++) {
        const struct message *message = op->messages[i];
        const size_t bytes = message->data.len + message->info.len + message->tags.len;
        if (i > 0 && items.len + bytes > API_HISTORY_BYTES_MAX) {
            break;
        }
        protocol_add_publication(&items, &(struct publication_view){
                                             .data = message->data,
                                             .info = message->info,
                                             .tags = message->tags,
                                             .offset = message->offset,
                                         });
    }
    buf_append_lit(out, "{\"publications\":[");
    buf_append_str(out, buf_str(&items));
    out->failed = out->failed || items.failed;
    buf_release(&items);
}

static void on_history(struct op *op)
{
    struct api_call *call = op->context;
    struct buf *out = &call->result;
    enum status status = op->status;
    if (status == STATUS_OK) {
        append_publications(out, op);
        buf_append_lit(out, "],\"epoch\":");
        buf_append_json_string(out, op->top.epoch);
        buf_append_lit(out, ",\"offset\":");
        buf_append_u64(out, op->top.offset);
        buf_append_char(out, '}');
    }
    op_free(op);
    api_finish(call, status);
}

struct history_params {
    struct str channel, since, epoch;
    int64_t limit;
    uint64_t offset;
    bool reverse;
};

static enum status read_history(struct api_call *call, struct history_params *params)
{
    const struct api_field fields[] = {
        {"channel", API_TEXT, &params->channel},
        {"limit", API_I64, &params->limit},
        {"since", API_SPAN, &params->since},
        {"reverse", API_BOOL, &params->reverse},
    };
    enum status status = api_read(call, call->params, fields, sizeof fields / sizeof fields[0]);
    if (status != STATUS_OK || params->since.len == 0) {
        return status;
    }
    const struct api_field since[] = {{"offset", API_U64, &params->offset},
                                      {"epoch", API_TEXT, &params->epoch}};
    return api_read(call, params->since, since, 2);
}

static enum status start_history(struct api_call *call, const struct history_params *params)
{
    const struct channel_options *options;
    enum status status = channel_rules_resolve(&call->worker->config->channels, params->channel, &options);
    if (status != STATUS_OK) {
        return status;
    }
    struct op *op = api_op_new(call, OP_HISTORY, params->channel, options, params->epoch.len);
    if (op == NULL) {
        return STATUS_NO_MEMORY;
    }
    op->history.limit = params->limit;
    op->history.limit_max = call->worker->config->limits_history_page_max;
    op->history.has_since = params->since.len > 0;
    op->history.is_reverse = params->reverse;
    op->history.since = (struct position){.offset = params->offset, .epoch = op_text(op, params->epoch)};
    op->done = on_history;
    hub_start(call->worker->hub, op);
    return STATUS_OK;
}

void api_history(struct api_call *call)
{
    struct history_params params = {0};
    enum status status = read_history(call, &params);
    if (status == STATUS_OK) {
        status = start_history(call, &params);
    }
    if (status != STATUS_OK) {
        api_finish(call, status);
    }
}

static void on_history_removed(struct op *op)
{
    struct api_call *call = op->context;
    enum status status = op->status;
    buf_append_lit(&call->result, "{}");
    op_free(op);
    api_finish(call, status);
}

void api_history_remove(struct api_call *call)
{
    start_op(call, OP_HISTORY_REMOVE, on_history_removed);
}

/* ---- channels ---- */

struct channels_request {
    struct api_call *call;
    struct survey_query query;
};

static void append_channels(struct buf *out, const struct survey_channels *channels)
{
    buf_append_lit(out, "{\"channels\":{");
    for (size_t i = 0; i < channels->count; i++) {
        if (i > 0) {
            buf_append_char(out, ',');
        }
        buf_append_json_string(out, channels->channels[i].name);
        buf_append_lit(out, ":{\"num_clients\":");
        buf_append_u64(out, channels->channels[i].client_count);
        buf_append_char(out, '}');
    }
    buf_append_char(out, '}');
}

static void on_channels(void *context, enum status status, const struct survey_channels *channels)
{
    struct channels_request *request = context;
    struct api_call *call = request->call;
    struct buf *out = &call->result;
    if (status == STATUS_OK) {
        append_channels(out, channels);
        if (channels->is_cut && request->query.limit > 0) {
            buf_append_lit(out, ",\"cursor\":");
            buf_append_json_string(out, channels->channels[channels->count - 1].name);
        }
        buf_append_str(out, channels->is_cut ? STR(",\"truncated\":true}") : STR("}"));
    }
    free(request);
    api_finish(call, status);
}

static enum status read_channels(struct api_call *call, struct survey_query *query)
{
    uint64_t limit = 0;
    const struct api_field fields[] = {
        {"pattern", API_TEXT, &query->pattern},
        {"limit", API_U64, &limit},
        {"cursor", API_TEXT, &query->after},
    };
    enum status status = api_read(call, call->params, fields, sizeof fields / sizeof fields[0]);
    if (status != STATUS_OK) {
        return status;
    }
    query->limit = limit == 0 && query->after.len > 0 ? SURVEY_PAGE_MAX : (size_t)limit;
    /* Longer than any name: what a comparison costs is bounded. */
    bool is_short = query->pattern.len <= LIMIT_CHANNEL_BYTES && query->after.len <= LIMIT_CHANNEL_BYTES;
    return is_short && limit <= SURVEY_PAGE_MAX ? STATUS_OK : STATUS_BAD_REQUEST;
}

void api_channels(struct api_call *call)
{
    struct channels_request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        api_finish(call, STATUS_NO_MEMORY);
        return;
    }
    request->call = call;
    enum status status = read_channels(call, &request->query);
    if (status == STATUS_OK) {
        survey_channels(call->worker, &request->query, on_channels, request);
    } else {
        free(request);
        api_finish(call, status);
    }
}

/* ---- info ---- */

struct info_request {
    struct api_call *call;
    struct buf own; /* this node */
};

static void on_peers(void *context, struct str peers)
{
    struct info_request *request = context;
    struct api_call *call = request->call;
    buf_append_lit(&call->result, "{\"nodes\":[");
    buf_append_str(&call->result, buf_str(&request->own));
    buf_append_str(&call->result, peers);
    buf_append_lit(&call->result, "]}");
    bool has_failed = request->own.failed;
    buf_release(&request->own);
    free(request);
    api_finish(call, has_failed ? STATUS_NO_MEMORY : STATUS_OK);
}

static void on_info(void *context, enum status status, const struct survey_info *info)
{
    struct info_request *request = context;
    struct api_call *call = request->call;
    if (status != STATUS_OK) {
        free(request);
        api_finish(call, status);
        return;
    }
    survey_info_print(&request->own, call->worker->server, info);
    cluster_peers(call->worker, on_peers, request);
}

void api_info(struct api_call *call)
{
    struct info_request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        api_finish(call, STATUS_NO_MEMORY);
        return;
    }
    request->call = call;
    survey_info(call->worker, on_info, request);
}

/* session_commands.c - publish, rpc, presence and history: checked here or by a proxy, done at the channel's
 * home. */
#include "channels/base/must.h"
#include "channels/base/thread_buf.h"
#include "server/connection.h"
#include "server/json_span.h"
#include "server/session_private.h"
#include "server/users.h"
#include "server/worker.h"

/* The channel's options and the client's own live subscription to it. Not OK: answered. */
static enum status look_up(struct session *session, uint32_t id, struct str channel,
                           const struct channel_options **options, struct subscription **subscription)
{
    struct session_refusal refusal = {.event = "channel_refused", .command_id = id, .channel = channel};
    refusal.status =
        channel_rules_resolve_why(&session->worker->config->channels, channel, options, &refusal.why);
    if (refusal.status != STATUS_OK) {
        session_refuse(session, &refusal);
        return refusal.status;
    }
    struct subscription *found = hub_find(session->worker->hub, &session->subscriber, channel);
    *subscription = found != NULL && (found->flags & SUBSCRIPTION_LIVE) != 0 ? found : NULL;
    return STATUS_OK;
}

/* Starts an op whose only text is the channel. */
static void start(struct session *session, struct op *op, uint32_t id, const struct channel_options *options,
                  struct str channel, void (*done)(struct op *))
{
    if (op == NULL) {
        session_reply_error(session, id, STATUS_NO_MEMORY);
        return;
    }
    op->options = options;
    op->channel = op_text(op, channel);
    op->command_id = id;
    op->done = done;
    session_start_op(session, op);
}

/* ---- publish ---- */

static bool data_fits(const struct channel_options *options, struct str data)
{
    switch (options->publication_data_format) {
    case DATA_FORMAT_ANY:
    case DATA_FORMAT_JSON: return data.len > 0;
    case DATA_FORMAT_JSON_OBJECT: return json_kind(data) == JSON_KIND_OBJECT;
    case DATA_FORMAT_BINARY: return true;
    }
    return false;
}

static void on_published(struct op *op)
{
    struct session *session = op->context;
    if (session_op_done(session)) {
        if (op->status == STATUS_OK) {
            protocol_append_publish(session_reply_buf(), op->command_id);
            session_send_reply(session);
        } else {
            session_reply_error(session, op->command_id, op->status);
        }
    }
    op_free(op);
}

/* `changes` is what a proxy made of it: data, tags and options of the publication. */
static void publish(struct session *session, uint32_t id, struct str channel,
                    const struct channel_options *options, const struct subscription *subscription,
                    const struct proxy_publish_result *changes)
{
    const struct session_subscription *extra = subscription == NULL ? NULL : subscription->extra;
    struct buf *info = thread_buf(THREAD_BUF_INFO);
    session_append_info(session, extra == NULL ? STR("") : extra->info, info);
    struct message *message = info->failed
                                  ? NULL
                                  : message_new(&(struct message_parts){.kind = MESSAGE_PUBLICATION,
                                                                        .wants_delta = changes->delta,
                                                                        .channel = channel,
                                                                        .data = changes->data,
                                                                        .info = buf_str(info),
                                                                        .tags = changes->tags});
    size_t text_bytes = channel.len + changes->idempotency_key.len + changes->version_epoch.len;
    struct op *op = message == NULL ? NULL : op_new(OP_PUBLISH, text_bytes);
    if (op == NULL) {
        message_unref(message);
    } else {
        op->publish.message = message;
        op->publish.skip_history = changes->skip_history;
        op->publish.idempotency_key = op_text(op, changes->idempotency_key);
        op->publish.version = changes->version;
        op->publish.version_epoch = op_text(op, changes->version_epoch);
    }
    start(session, op, id, options, channel, on_published);
}

static void on_publish_result(struct session *session, const struct command *command,
                              const struct proxy_publish_result *result)
{
    const struct publish_request *request = &command->publish;
    const struct channel_options *options;
    struct subscription *subscription;
    struct proxy_publish_result changes = *result;
    if (look_up(session, command->id, request->channel, &options, &subscription) != STATUS_OK) {
        return;
    }
    changes.data = result->data.len > 0 ? result->data : request->data;
    if (!data_fits(options, changes.data)) {
        struct proxy_reply failure = session_malformed_result(session, "publish");
        session_reply_verdict(session, command->id, &failure);
        return;
    }
    publish(session, command->id, request->channel, options, subscription, &changes);
}

static void on_publish_reply(struct session *session, struct str text, const struct proxy_reply *reply,
                             struct buf *scratch)
{
    struct command command;
    struct buf texts = {0};
    struct proxy_publish_result result;
    struct proxy_reply failure;
    bool is_read = session_read_again(text, &command, &texts);
    if (reply->verdict == PROXY_RESULT && !proxy_read_publish(reply->result, scratch, &result)) {
        failure = session_malformed_result(session, "publish");
        reply = &failure;
    }
    if (!is_read) {
        session_reply_error(session, command.id, STATUS_NO_MEMORY);
    } else if (reply->verdict == PROXY_RESULT) {
        on_publish_result(session, &command, &result);
    } else {
        session_reply_verdict(session, command.id, reply);
    }
    buf_release(&texts);
    session_go_on(session);
}

void session_on_publish(struct session *session, const struct command *command)
{
    const struct publish_request *request = &command->publish;
    const struct channel_options *options;
    struct subscription *subscription;
    if (look_up(session, command->id, request->channel, &options, &subscription) != STATUS_OK) {
        return;
    }
    struct session_refusal refusal = {.event = "publish_refused",
                                      .command_id = command->id,
                                      .status = STATUS_BAD_REQUEST,
                                      .channel = request->channel,
                                      .options = options};
    if (request->type != SUBSCRIPTION_TYPE_STREAM || !data_fits(options, request->data)) {
        refusal.why = (struct refusal){"the data is not what publication_data_format asks for",
                                       "publication_data_format"};
        session_refuse(session, &refusal);
        return;
    }
    struct proxy *proxy =
        options->publish_proxy_enabled
            ? proxies_find(session->worker->proxies, PROXY_PUBLISH, options->publish_proxy_name)
            : NULL;
    if (proxy != NULL) { /* first that decides: PROTOCOL section 10 */
        struct proxy_request question = {.channel = request->channel, .data = request->data};
        session_ask_for_command(session, proxy, PROXY_PUBLISH, &question, command, on_publish_reply);
        return;
    }
    struct client_view view = session_view(session, subscription != NULL);
    refusal.status = permit_publish(options, &view, &refusal.why);
    if (refusal.status != STATUS_OK) {
        session_refuse(session, &refusal);
        return;
    }
    publish(session, command->id, request->channel, options, subscription,
            &(struct proxy_publish_result){.data = request->data});
}

/* ---- rpc ---- */

static void on_rpc_reply(struct session *session, struct str text, const struct proxy_reply *reply,
                         struct buf *scratch)
{
    struct command command;
    struct buf texts = {0};
    struct str data;
    struct proxy_reply failure;
    (void)session_read_again(text, &command, &texts); /* only its id is needed */
    if (reply->verdict == PROXY_RESULT && !proxy_read_rpc(reply->result, scratch, &data)) {
        failure = session_malformed_result(session, "rpc");
        reply = &failure;
    }
    if (reply->verdict == PROXY_RESULT) {
        protocol_append_rpc(session_reply_buf(), command.id, data);
        session_send_reply(session);
    } else {
        session_reply_verdict(session, command.id, reply);
    }
    buf_release(&texts);
    session_go_on(session);
}

void session_on_rpc(struct session *session, const struct command *command)
{
    const struct config *config = session->worker->config;
    const struct rpc_request *request = &command->rpc;
    struct proxy *proxy;
    if (config->rpc_ping_enabled && str_is(request->method, config->rpc_ping_method)) {
        protocol_append_rpc(session_reply_buf(), command->id, STR(""));
        session_send_reply(session);
        return;
    }
    enum status status = proxies_find_rpc(session->worker->proxies, request->method, &proxy);
    if (status != STATUS_OK) {
        session_reply_error(session, command->id, status);
        return;
    }
    struct proxy_request question = {.method = request->method, .data = request->data};
    session_ask_for_command(session, proxy, PROXY_RPC, &question, command, on_rpc_reply);
}

/* ---- presence ---- */

static void on_presence(struct op *op)
{
    struct session *session = op->context;
    if (session_op_done(session)) {
        if (op->status != STATUS_OK) {
            session_reply_error(session, op->command_id, op->status);
        } else {
            struct buf items = {0};
            for (size_t i = 0; i < op->presence.count; i++) {
                protocol_add_presence(&items, op->presence.entries[i].client, op->presence.entries[i].info);
            }
            struct buf *reply = session_reply_buf();
            protocol_append_presence(reply, op->command_id, buf_str(&items));
            reply->failed = reply->failed || items.failed;
            buf_release(&items);
            session_send_reply(session);
        }
        session_go_on(session);
    }
    op_free(op);
}

static void on_presence_stats(struct op *op)
{
    struct session *session = op->context;
    if (session_op_done(session)) {
        if (op->status != STATUS_OK) {
            session_reply_error(session, op->command_id, op->status);
        } else {
            protocol_append_presence_stats(session_reply_buf(), op->command_id, op->presence.client_count,
                                           op->presence.user_count);
            session_send_reply(session);
        }
    }
    op_free(op);
}

static void start_presence(struct session *session, uint32_t id, struct str channel, enum op_kind kind,
                           void (*done)(struct op *))
{
    const struct channel_options *options;
    struct subscription *subscription;
    if (look_up(session, id, channel, &options, &subscription) != STATUS_OK) {
        return;
    }
    struct client_view view = session_view(session, subscription != NULL);
    struct session_refusal refusal = {
        .event = "presence_refused", .command_id = id, .channel = channel, .options = options};
    refusal.status = permit_presence(options, &view, &refusal.why);
    if (refusal.status != STATUS_OK) {
        session_refuse(session, &refusal);
        return;
    }
    struct op *op = op_new(kind, channel.len);
    if (op != NULL) {
        op->presence.limit = session->worker->config->limits_presence_answer_max;
    }
    if (op != NULL && kind == OP_PRESENCE) {
        session_wait(session); /* as for history */
    }
    start(session, op, id, options, channel, done);
}

void session_on_presence(struct session *session, const struct command *command)
{
    start_presence(session, command->id, command->presence.channel, OP_PRESENCE, on_presence);
}

void session_on_presence_stats(struct session *session, const struct command *command)
{
    start_presence(session, command->id, command->presence_stats.channel, OP_PRESENCE_STATS,
                   on_presence_stats);
}

/* ---- history ---- */

static void on_history(struct op *op)
{
    struct session *session = op->context;
    if (session_op_done(session)) {
        if (op->status != STATUS_OK) {
            session_reply_error(session, op->command_id, op->status);
        } else {
            struct buf items = {0};
            for (size_t i = 0; i < op->message_count; i++) {
                const struct message *message = op->messages[i];
                protocol_add_publication(&items, &(struct publication_view){.data = message->data,
                                                                            .info = message->info,
                                                                            .tags = message->tags,
                                                                            .offset = message->offset});
            }
            struct buf *reply = session_reply_buf();
            protocol_append_history(reply, op->command_id,
                                    &(struct history_view){.publications = buf_str(&items),
                                                           .epoch = op->top.epoch,
                                                           .offset = op->top.offset});
            reply->failed = reply->failed || items.failed;
            buf_release(&items);
            session_send_reply(session);
        }
        session_go_on(session);
    }
    op_free(op);
}

void session_on_history(struct session *session, const struct command *command)
{
    const struct history_request *request = &command->history;
    const struct channel_options *options;
    struct subscription *subscription;
    if (look_up(session, command->id, request->channel, &options, &subscription) != STATUS_OK) {
        return;
    }
    struct client_view view = session_view(session, subscription != NULL);
    struct session_refusal refusal = {.event = "history_refused",
                                      .command_id = command->id,
                                      .channel = request->channel,
                                      .options = options};
    refusal.status = permit_history(options, &view, &refusal.why);
    if (refusal.status != STATUS_OK) {
        session_refuse(session, &refusal);
        return;
    }
    if (request->limit < -1) {
        session_reply_error(session, command->id, STATUS_BAD_REQUEST);
        return;
    }
    struct op *op = op_new(OP_HISTORY, request->channel.len + request->since_epoch.len);
    if (op != NULL) {
        op->history.limit = request->limit;
        op->history.limit_max = session->worker->config->client_history_max_publication_limit;
        op->history.has_since = request->has_since;
        op->history.is_reverse = request->reverse;
        op->history.since =
            (struct position){.offset = request->since_offset, .epoch = op_text(op, request->since_epoch)};
    }
    if (op != NULL) {
        session_wait(
            session); /* its answer may be large: one at a time, so that the queue is looked at in between */
    }
    start(session, op, command->id, options, request->channel, on_history);
}

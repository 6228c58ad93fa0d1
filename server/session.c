#include "server/session.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "channels/base/thread_buf.h"
#include "server/connection.h"
#include "server/quota.h"
#include "server/session_private.h"
#include "server/transport_ws.h"
#include "server/users.h"
#include "server/worker.h"

#include <stdlib.h>

enum {
    /* What may wait behind a command that is being decided, beside what one read of the socket brings. */
    STASH_BYTES_MAX = 1 << 20,
    /* Beyond this nothing more is read; below it a client that leaves is noticed at once. */
    STASH_READ_BYTES_MAX = 16 * 1024,
};

static bool offer(struct subscriber *subscriber, struct frame *frame);
static void on_insufficient_state(struct subscriber *subscriber, struct subscription *subscription);

static bool is_client(const struct subscriber *subscriber, struct str client);

static const struct subscriber_ops subscriber_ops = {
    .offer = offer, .on_insufficient_state = on_insufficient_state, .is_client = is_client};

static struct session *session_of(struct subscriber *subscriber)
{
    struct session *session = container_of(subscriber, struct session, subscriber);
    must(session->magic == SESSION_MAGIC);
    return session;
}

/* ---- life ---- */

struct session *session_open(struct worker *worker)
{
    struct session *session = slab_new(&worker->session_slab);
    if (session == NULL) {
        return NULL;
    }
    session->magic = SESSION_MAGIC;
    session->worker = worker;
    session->subscriber.ops = &subscriber_ops;
    session->subscriber.frame_kind = FRAME_WEBSOCKET_JSON;
    list_init(&session->subscriber.subscriptions);
    list_init(&session->in_user);
    list_init(&session->in_ended);
    random_uuid(session->client);
    return session;
}

static void connect_state_free(struct session *session)
{
    struct session_connect *connecting = session->connecting;
    if (connecting != NULL) {
        buf_release(&connecting->subs);
        buf_release(&connecting->positions_text);
        outbox_release(&connecting->held);
        connection_claims_release(&connecting->claims);
        free(connecting);
        session->connecting = NULL;
    }
}

static void session_free(struct session *session)
{
    must(session->subscriber.subscription_count == 0 && session->subscriber.ops_pending == 0);
    if (session->user != NULL) {
        users_leave(session->worker->users, session->user, &session->in_user);
    }
    free((void *)(uintptr_t)session->info.at);
    free((void *)(uintptr_t)session->meta.at);
    free(session->cookie_user);
    buf_release(&session->stash);
    proxy_headers_free(session->headers);
    session->magic = 0;
    slab_free(&session->worker->session_slab, session);
}

void session_free_ended(struct worker *worker)
{
    struct link *link;
    while ((link = list_pop_front(&worker->ended)) != NULL) {
        session_free(container_of(link, struct session, in_ended));
    }
}

/* A closed session goes at the end of the turn in which its last op is back. */
static void end_if_done(struct session *session)
{
    if (!session_is_open(session) && session->subscriber.ops_pending == 0) {
        list_push_back(&session->worker->ended, &session->in_ended);
    }
}

void session_discard(struct session *session)
{
    if (session != NULL) {
        session_free(session);
    }
}

bool session_set_cookie_user(struct session *session, struct str user)
{
    if (user.len == 0) {
        return true;
    }
    session->cookie_user = str_to_cstr(user);
    return session->cookie_user != NULL;
}

void session_start(struct session *session, struct connection *connection)
{
    const struct config *config = session->worker->config;
    session->connection = connection;
    session->ping_due_ms = session->worker->now_ms + config->client_stale_close_delay_ms;
    rate_init(&session->command_rate, config->limits_command_burst, session->worker->now_ms);
}

void session_give_back_user(struct session *session)
{
    struct buf key = {0};
    buf_append_lit(&key, "user:");
    buf_append_str(&key, user_name(session->user));
    if (!key.failed) {
        quota_leave(session->worker, buf_str(&key));
    }
    buf_release(&key);
    session->is_user_counted = false;
}

void session_tell(struct session *session, enum webhook_event event, struct str channel)
{
    struct webhooks *webhooks = session->worker->webhooks;
    if (webhooks == NULL || !webhooks_want(webhooks, event)) {
        return;
    }
    bool is_end = event == WEBHOOK_DISCONNECTED;
    bool has_left = session->close_code == 0;
    webhooks_add(webhooks, event,
                 &(struct webhook_view){
                     .client = session_client(session),
                     .user = user_name(session->user),
                     .has_user = true,
                     .channel = channel,
                     .code = !is_end    ? 0
                             : has_left ? DISCONNECT_CONNECTION_CLOSED.code
                                        : session->close_code,
                     .reason = has_left ? DISCONNECT_CONNECTION_CLOSED.reason : session->close_reason,
                 });
}

void session_on_gone(struct session *session)
{
    struct worker *worker = session->worker;
    must(session_is_open(session));
    bool was_connected = session->state == SESSION_CONNECTED;
    if (was_connected) {
        worker->metrics.clients--;
        log_debug("client_gone", {"client", log_text(session_client(session))});
    }
    session->state = SESSION_CLOSED;
    session->connection = NULL;
    list_each_safe (&session->subscriber.subscriptions, link) {
        struct subscription *subscription = container_of(link, struct subscription, in_subscriber);
        /* A row whose answer is still on its way is taken out when that arrives. */
        if ((subscription->flags & SESSION_SUBSCRIPTION_STARTING) == 0) {
            session_end_subscription(session, subscription, NULL, 0);
        }
    }
    if (was_connected) {
        session_tell(session, WEBHOOK_DISCONNECTED, STR(""));
    }
    connect_state_free(session);
    if (session->has_channel_place) {
        session->has_channel_place = false;
        session_give_back_channel(session);
    }
    if (session->is_user_counted) {
        session_give_back_user(session);
    }
    end_if_done(session);
}

void session_disconnect(struct session *session, const struct disconnect *disconnect)
{
    struct worker *worker = session->worker;
    if (!session_is_open(session) || session->connection == NULL) {
        return;
    }
    bool is_slow = disconnect->code == DISCONNECT_SLOW.code;
    worker->metrics.disconnects_total++;
    worker->metrics.slow_closed_total += is_slow ? 1 : 0;
    log_info("client_disconnected", {"client", log_text(session_client(session))},
             {"code", log_u64(disconnect->code)}, {"reason", log_text(disconnect->reason)},
             {"user", log_text(session->user != NULL ? user_name(session->user) : STR(""))});
    session->close_code = disconnect->code;
    session->close_reason = disconnect->reason;
    connection_close_websocket(session->connection, disconnect->code, disconnect->reason, is_slow);
}

void session_start_op(struct session *session, struct op *op)
{
    op->context = session;
    session->subscriber.ops_pending++;
    hub_start(session->worker->hub, op);
}

bool session_op_done(struct session *session)
{
    must(session->magic == SESSION_MAGIC && session->subscriber.ops_pending > 0);
    session->subscriber.ops_pending--;
    end_if_done(session);
    return session_is_open(session);
}

/* ---- out ---- */

struct buf *session_reply_buf(void)
{
    return thread_buf(THREAD_BUF_REPLY);
}

/* Over the bound the client is slow: it reads less than it is sent. */
static bool send_frame(struct session *session, struct frame *frame)
{
    uint32_t bytes_max = (uint32_t)session->worker->config->client_queue_max_size;
    if (session->connection == NULL) {
        return false;
    }
    if (connection_send(session->connection, frame, bytes_max)) {
        return true;
    }
    connection_mark_slow(session->connection);
    return false;
}

/* Does the client have half of its queue to read first? Until it has, none of its commands is started
 * (THREATS S03). */
static bool is_behind(const struct session *session)
{
    return session->connection != NULL &&
           session->connection->outbox.bytes > session->worker->config->client_queue_max_size / 2;
}

/* An answer is sent whatever its size: it was asked for, and while the client is behind nothing further is
 * started. What others publish is bounded by send_frame(). */
void session_send_reply(struct session *session)
{
    const struct buf *reply = thread_buf_content(THREAD_BUF_REPLY);
    struct frame *frame =
        reply->failed ? NULL : transport_frame(session->subscriber.frame_kind, buf_str(reply));
    if (frame == NULL) {
        session_disconnect(session, &DISCONNECT_INTERNAL);
        return;
    }
    if (session->connection != NULL && connection_send(session->connection, frame, UINT32_MAX) &&
        is_behind(session)) {
        connection_pause(session->connection, PAUSE_OUTBOX);
    }
    frame_unref(frame);
}

void session_reply_error(struct session *session, uint32_t id, enum status status)
{
    session->worker->metrics.reply_errors[status]++;
    protocol_append_error(session_reply_buf(), id, status);
    session_send_reply(session);
}

/* From the hub, in the middle of a walk: nothing is closed here, only marked. */
static bool offer(struct subscriber *subscriber, struct frame *frame)
{
    struct session *session = session_of(subscriber);
    if (session->connecting != NULL) {
        uint32_t bytes_max = (uint32_t)session->worker->config->client_queue_max_size;
        if (outbox_push(&session->connecting->held, frame, bytes_max)) {
            return true;
        }
        connection_mark_slow(session->connection);
        return false;
    }
    return send_frame(session, frame);
}

static bool is_client(const struct subscriber *subscriber, struct str client)
{
    return str_equal(session_client(container_of(subscriber, const struct session, subscriber)), client);
}

static void on_insufficient_state(struct subscriber *subscriber, struct subscription *subscription)
{
    struct session *session = session_of(subscriber);
    if (!session_is_open(session)) {
        return;
    }
    if ((subscription->flags & SUBSCRIPTION_SERVER_SIDE) != 0) {
        session_disconnect(session, &DISCONNECT_INSUFFICIENT_STATE);
    } else {
        session_unsubscribe(session, channel_name(subscription->channel), &UNSUBSCRIBE_INSUFFICIENT_STATE);
    }
}

/* ---- in ---- */

void session_wait(struct session *session)
{
    must(!session->is_waiting);
    session->is_waiting = true;
}

void session_handle(struct session *session, const struct command *command)
{
    switch (command->kind) {
    case COMMAND_CONNECT: session_on_connect(session, command); return;
    case COMMAND_SUBSCRIBE: session_on_subscribe(session, command); return;
    case COMMAND_UNSUBSCRIBE: session_on_unsubscribe(session, command); return;
    case COMMAND_PUBLISH: session_on_publish(session, command); return;
    case COMMAND_PRESENCE: session_on_presence(session, command); return;
    case COMMAND_PRESENCE_STATS: session_on_presence_stats(session, command); return;
    case COMMAND_HISTORY: session_on_history(session, command); return;
    case COMMAND_REFRESH: session_on_refresh(session, command); return;
    case COMMAND_SUB_REFRESH: session_on_sub_refresh(session, command); return;
    case COMMAND_RPC: session_on_rpc(session, command); return;
    case COMMAND_SEND: session_disconnect(session, &DISCONNECT_NOT_AVAILABLE); return;
    case COMMAND_PONG:
        if (session->pongs_due == 0) {
            session_disconnect(session, &DISCONNECT_BAD_REQUEST);
        } else {
            session->pongs_due--;
        }
        return;
    case COMMAND_PING:
    case COMMAND_UNKNOWN:
    case COMMAND_KIND_COUNT: session_disconnect(session, &DISCONNECT_BAD_REQUEST); return;
    }
}

/* What must hold before any command is looked at. */
static void check_and_handle(struct session *session, const struct command *command)
{
    struct worker *worker = session->worker;
    const struct config *config = worker->config;
    worker->metrics.commands_total++;
    bool is_connect = command->kind == COMMAND_CONNECT;
    if (session->was_refused || is_connect != (session->state == SESSION_NEW)) {
        session_disconnect(session, &DISCONNECT_BAD_REQUEST); /* PROTOCOL section 3, THREATS J06 */
        return;
    }
    if (command->kind != COMMAND_PONG && !rate_take(&session->command_rate, config->limits_command_rate,
                                                    config->limits_command_burst, worker->now_ms)) {
        worker->metrics.command_rate_limited_total++;
        if (command->id == 0) {
            session_disconnect(session, &DISCONNECT_TOO_MANY_REQUESTS);
        } else {
            session_reply_error(session, command->id, STATUS_TOO_MANY_REQUESTS);
        }
        return;
    }
    if (command->status == STATUS_BAD_REQUEST || command->status == STATUS_NO_MEMORY) {
        session_reply_error(session, command->id, command->status);
        session->was_refused = is_connect;
        return;
    }
    if (!session_limits_hold(session, command)) {
        session_handle(session, command);
    }
}

static void stash_append(struct session *session, struct str commands)
{
    if (session->stash.len + commands.len >
        STASH_BYTES_MAX + session->worker->config->websocket_message_size_limit) {
        session_disconnect(session, &DISCONNECT_TOO_MANY_REQUESTS);
        return;
    }
    if (session->stash.len + commands.len > STASH_READ_BYTES_MAX) {
        connection_pause(session->connection, PAUSE_SESSION);
    }
    buf_append_str(&session->stash, commands);
    buf_append_char(&session->stash, '\n');
    if (session->stash.failed) {
        session_disconnect(session, &DISCONNECT_INTERNAL);
    }
}

static bool is_blank(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] != '\n' && text.at[i] != ' ' && text.at[i] != '\r' && text.at[i] != '\t') {
            return false;
        }
    }
    return true;
}

static void hold(struct session *session)
{
    session->is_held = true;
    connection_pause(session->connection, PAUSE_SESSION);
}

/* Handles commands until the text is used up, one of them has to be waited for, the client is behind, or the
 * session ends. What is left waits in the stash. `count_max`: most commands in the text. */
static void run_commands(struct session *session, struct str text, uint32_t count_max)
{
    struct str rest = text;
    struct buf *scratch = thread_buf(THREAD_BUF_COMMAND);
    uint32_t count = 0;
    while (session_is_open(session)) {
        struct command command;
        enum protocol_result result = protocol_next_command(&rest, &command, scratch);
        if (result == PROTOCOL_END) {
            break;
        }
        if (result == PROTOCOL_MALFORMED) {
            session_disconnect(session, &DISCONNECT_BAD_REQUEST);
            break;
        }
        if (++count > count_max) {
            session_disconnect(session, &DISCONNECT_TOO_MANY_REQUESTS);
            break;
        }
        check_and_handle(session, &command);
        if (session_is_open(session) && (session->is_waiting || is_behind(session))) {
            if (!is_blank(rest)) {
                stash_append(session, rest);
            }
            if (session_is_open(session) && !session->is_waiting) {
                hold(session);
            }
            break;
        }
    }
}

/* Runs what waits in the stash, or leaves it there while the client is behind. */
static void run_stash(struct session *session)
{
    if (session->stash.len > 0 && is_behind(session)) {
        hold(session);
        return;
    }
    connection_resume(session->connection, PAUSE_SESSION);
    if (session->stash.len > 0) {
        struct buf stash = session->stash;
        session->stash = (struct buf){0};
        if (!session->was_refused) { /* PROTOCOL section 16, 2: what came with a refused connect is dropped */
            run_commands(session, buf_str(&stash),
                         UINT32_MAX); /* of several messages, each within its bound */
        }
        buf_release(&stash);
    }
}

void session_on_flushed(struct session *session)
{
    if (session->is_held && !session->is_waiting) {
        session->is_held = false;
        run_stash(session);
        worker_wake(session->worker); /* what was started runs in a turn of its own */
    }
}

void session_on_message(struct session *session, struct str message, bool is_binary)
{
    must(session->magic == SESSION_MAGIC);
    if (is_binary) {
        session_disconnect(session, &DISCONNECT_BAD_REQUEST); /* THREATS W21 */
    } else if (session->is_waiting || session->is_held) {
        stash_append(session, message);
    } else {
        run_commands(session, message, session->worker->config->limits_commands_per_message);
    }
}

void session_go_on(struct session *session)
{
    must(session->is_waiting);
    session->is_waiting = false;
    if (session->connection == NULL) {
        return;
    }
    run_stash(session);
}

/* ---- deadlines ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return b != 0 && b < a ? b : a;
}

uint64_t session_due_ms(const struct session *session)
{
    uint64_t due_ms = session->ping_due_ms;
    due_ms = earlier(due_ms, session->pongs_due > 0 ? session->pong_due_ms : 0);
    due_ms = earlier(due_ms, session->expire_due_ms);
    return earlier(due_ms, session->sub_expire_due_ms);
}

static void ping(struct session *session, uint64_t now_ms)
{
    const struct config *config = session->worker->config;
    if (session->pongs_due < UINT8_MAX) {
        session->pongs_due++;
    }
    session->pong_due_ms = now_ms + config->client_pong_timeout_ms;
    session->ping_due_ms = now_ms + config->client_ping_interval_ms;
    send_frame(session,
               session->pings_by_frame ? session->worker->control_ping_frame : session->worker->ping_frame);
}

void session_on_pong(struct session *session)
{
    if (session->pings_by_frame) {
        /* One may answer several, and one that nobody asked for is ignored (RFC 6455 section 5.5.3). */
        session->pongs_due = 0;
    }
}

static bool has_missed_pong(const struct session *session, uint64_t now_ms)
{
    if (session->pongs_due == 0 || now_ms < session->pong_due_ms || session->is_waiting) {
        return false; /* while it waits nothing is read, pongs neither */
    }
    /* After a stall of ours the pong may lie unread in the socket: the wait starts again (THREATS S13). */
    uint64_t sent_ms = session->pong_due_ms - session->worker->config->client_pong_timeout_ms;
    return session->worker->stalled_ms <= sent_ms ||
           now_ms >= session->worker->stalled_ms + session->worker->config->client_pong_timeout_ms;
}

void session_on_due(struct session *session, uint64_t now_ms)
{
    if (session->state != SESSION_CONNECTED) {
        if (session->is_waiting && now_ms >= session->ping_due_ms) {
            /* Its connect is being decided: how long that may take is not the client's doing. */
            session->ping_due_ms = now_ms + session->worker->config->client_stale_close_delay_ms;
        } else if (now_ms >= session->ping_due_ms) {
            session->worker->metrics.stale_total++;
            session_disconnect(session, &DISCONNECT_STALE);
        }
        return;
    }
    if (has_missed_pong(session, now_ms)) {
        session->worker->metrics.no_pong_total++;
        session_disconnect(session, &DISCONNECT_NO_PONG);
        return;
    }
    if (session->expire_due_ms != 0 && now_ms >= session->expire_due_ms) {
        session_on_expired(session);
        if (!session_is_open(session)) {
            return;
        }
    }
    if (session->pongs_due > 0 && now_ms >= session->pong_due_ms) {
        uint64_t from_ms = session->is_waiting ? now_ms : session->worker->stalled_ms;
        session->pong_due_ms = from_ms + session->worker->config->client_pong_timeout_ms;
    }
    if (now_ms >= session->ping_due_ms) {
        ping(session, now_ms);
    }
    if (session->sub_expire_due_ms != 0 && now_ms >= session->sub_expire_due_ms) {
        session_expire_subscriptions(session, now_ms);
    }
}

/* ---- helpers ---- */

struct client_view session_view(const struct session *session, bool is_subscribed)
{
    return (struct client_view){.user = user_name(session->user),
                                .is_insecure = session->worker->config->client_insecure,
                                .is_subscribed = is_subscribed};
}

void session_append_info(const struct session *session, struct str chan_info, struct buf *out)
{
    protocol_append_client_info(out, &(struct client_info_view){.user = user_name(session->user),
                                                                .client = session_client(session),
                                                                .conn_info = session->info,
                                                                .chan_info = chan_info});
}

struct str session_copy_text(struct str text)
{
    char *copy = text.len == 0 ? NULL : str_to_cstr(text);
    return str_make(copy, copy == NULL ? 0 : text.len);
}

uint32_t session_ttl_s(uint64_t expire_at_s)
{
    uint64_t now_s = clock_wall_ms() / 1000;
    uint64_t ttl_s = expire_at_s > now_s ? expire_at_s - now_s : 0;
    return (uint32_t)(ttl_s < TTL_MAX_S ? ttl_s : TTL_MAX_S);
}

void session_refuse(struct session *session, const struct session_refusal *refusal)
{
    log_info(refusal->event, {"client", log_text(session_client(session))},
             {"user", log_text(user_name(session->user))}, {"channel", log_text(refusal->channel)},
             {"rule", log_cstr(refusal->why.rule)}, {"option", log_cstr(refusal->why.option)});
    if (!session->worker->config->is_dev) {
        session_reply_error(session, refusal->command_id, refusal->status);
        return;
    }
    session->worker->metrics.reply_errors[refusal->status]++;
    struct buf message = {0};
    refusal_append(&message, refusal->status, &refusal->why, refusal->options);
    const struct error_view error = {.code = status_code(refusal->status),
                                     .message = buf_str(&message),
                                     .is_temporary = status_is_temporary(refusal->status)};
    struct buf *reply = session_reply_buf();
    protocol_append_custom_error(reply, refusal->command_id, &error);
    reply->failed = reply->failed || message.failed;
    buf_release(&message);
    session_send_reply(session);
}

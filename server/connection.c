#include "server/connection.h"

#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/handshake.h"
#include "server/http_connection.h"
#include "server/protocol.h"
#include "server/session.h"
#include "server/worker.h"

enum {
    GATHER_BYTES =
        32 * 1024, /* up to here several frames are copied into one buffer, above they are gathered */
    GATHER_PIECES = 64,
    PEER_CLOSE_WAIT_MS = 5000,     /* PROTOCOL section 1.1: for the peer's close frame */
    CLOSE_ANSWERED_WAIT_MS = 3000, /* THREATS W15: for our answer to the peer's close frame to go out */
    LINGER_MS = 2000,    /* for the peer to close after our last answer, or after a frame that was refused */
    AGE_CHECK_MS = 1000, /* how often the age of a blocked queue is looked at */
};

/* Several frames of one connection side by side, so that one send takes them. In a fan-out the next
 * connection often has the very same frames queued: then the bytes are there already. References are held
 * until the flush of the turn is over, so that an address means one frame. One per thread, because a worker
 * is a thread. */
struct gather {
    struct frame *frames[GATHER_PIECES * 4];
    uint32_t frame_count;
    unsigned char bytes[GATHER_BYTES];
};

static _Thread_local struct gather gather;

static void on_timer(struct timer *timer);

struct connection *connection_open(struct worker *worker, struct lws *socket, const struct peer *peer)
{
    struct connection *connection = slab_new(&worker->connection_slab);
    if (connection == NULL) {
        return NULL;
    }
    connection->magic = CONNECTION_MAGIC;
    connection->state = CONNECTION_HTTP;
    connection->worker = worker;
    connection->socket = socket;
    connection->is_internal = peer->is_internal;
    connection->is_tls = socket_is_tls(socket);
    memcpy(connection->address, peer->address, sizeof connection->address);
    list_init(&connection->dirty);
    timer_init(&connection->timer, on_timer);
    outbox_init(&connection->outbox);
    list_push_back(&worker->connections, &connection->link);
    worker->metrics.connections_accepted_total++;
    worker->metrics.connections_open++;
    if (!http_connection_start(connection)) {
        connection_drop(connection);
    }
    connection_schedule(connection);
    return connection;
}

static void set_state(struct connection *connection, enum connection_state state)
{
    /* HTTP → WEBSOCKET → CLOSING → DEAD, and shortcuts forward; never back. */
    must(state > connection->state);
    connection->state = (uint8_t)state;
}

/* ---- out ---- */

/* Off whichever list it is on: dirty, delayed, slow or dead. */
static void unlist(struct connection *connection)
{
    connection->is_delayed = false;
    if (link_is_listed(&connection->dirty)) {
        list_remove(&connection->dirty);
    }
}

/* Puts it where its new frame wants it to be written: at the end of this turn, or a little later. */
static void enlist(struct connection *connection, uint32_t write_delay_ms)
{
    struct worker *worker = connection->worker;
    if (write_delay_ms > 0) {
        if (!link_is_listed(&connection->dirty)) {
            connection->is_delayed = true;
            worker_delay(worker, connection, write_delay_ms);
        }
        return;
    }
    if (connection->is_delayed) {
        unlist(connection); /* what must go now takes along what could have waited */
    }
    if (!link_is_listed(&connection->dirty)) {
        list_push_back(&worker->dirty, &connection->dirty);
    }
}

void connection_end_delay(struct connection *connection)
{
    unlist(connection);
    list_push_back(&connection->worker->dirty, &connection->dirty);
}

/* A reader that is behind and wants only the latest: what `frame` overtakes is dropped. */
static void conflate(struct connection *connection, const struct frame *frame)
{
    struct worker *worker = connection->worker;
    uint32_t bytes_before = connection->outbox.bytes;
    worker->metrics.conflated_total += outbox_drop_key(&connection->outbox, frame->conflation_key);
    worker->outbox_bytes -= bytes_before - connection->outbox.bytes;
}

bool connection_send(struct connection *connection, struct frame *frame, uint32_t bytes_max)
{
    if (connection->state == CONNECTION_DEAD || connection->is_slow) {
        return false;
    }
    bool is_over =
        connection->outbox.count > 0 && connection->outbox.bytes + (uint64_t)frame->len > bytes_max;
    if (frame->conflation_key != 0 && (connection->is_blocked || is_over)) {
        conflate(connection, frame);
    }
    if (!outbox_push(&connection->outbox, frame, bytes_max)) {
        return false;
    }
    connection->worker->outbox_bytes += frame->len;
    if (!connection->is_blocked) {
        enlist(connection, frame->write_delay_ms);
    }
    return true;
}

void connection_mark_slow(struct connection *connection)
{
    if (!connection->is_slow && connection->state == CONNECTION_WEBSOCKET) {
        connection->is_slow = true;
        unlist(connection);
        list_push_back(&connection->worker->slow, &connection->dirty);
    }
}

bool connection_send_copy(struct connection *connection, struct str bytes)
{
    struct frame *frame = frame_new(bytes.len);
    if (frame == NULL) {
        connection_drop(connection);
        return false;
    }
    memcpy(frame->bytes, bytes.at, bytes.len);
    bool is_queued = connection_send(connection, frame, UINT32_MAX);
    frame_unref(frame);
    if (!is_queued && connection->state != CONNECTION_DEAD) {
        connection_drop(connection);
    }
    return is_queued;
}

/* Keeps the first `count` of the gathered frames. */
static void gather_cut(uint32_t count)
{
    while (gather.frame_count > count) {
        frame_unref(gather.frames[--gather.frame_count]);
    }
}

/* Lays the first frames of the outbox side by side, as many as fit, and returns what of them is not yet sent.
 */
static struct str gather_frames(const struct outbox *outbox)
{
    uint32_t count = 0;
    size_t len = 0;
    while (count < outbox->count && count < sizeof gather.frames / sizeof gather.frames[0]) {
        struct frame *frame = outbox_at(outbox, count);
        if (len + frame->len > sizeof gather.bytes) {
            break;
        }
        if (count >= gather.frame_count || gather.frames[count] != frame) {
            gather_cut(count);
            memcpy(gather.bytes + len, frame->bytes, frame->len);
            gather.frames[gather.frame_count++] = frame_ref(frame);
        }
        len += frame->len;
        count++;
    }
    return str_make((const char *)gather.bytes + outbox->front_sent, len - outbox->front_sent);
}

void connection_flush_done(void)
{
    gather_cut(0);
}

static ssize_t send_bytes(struct connection *connection, const void *bytes, size_t len)
{
    return connection->is_tls ? socket_send_tls(connection->socket, bytes, len)
                              : socket_send(connection->socket, bytes, len);
}

/* Tries to send the front of the outbox: *wanted bytes, of which as many were taken as it returns. */
static ssize_t send_front(struct connection *connection, size_t *wanted)
{
    struct outbox *outbox = &connection->outbox;
    struct frame *front = outbox_at(outbox, 0);
    bool is_tls = connection->is_tls;
    if (outbox->count > 1 && front->len + outbox_at(outbox, 1)->len <= GATHER_BYTES &&
        (is_tls || outbox->bytes <= GATHER_BYTES)) {
        struct str bytes = gather_frames(outbox);
        *wanted = bytes.len;
        return send_bytes(connection, bytes.at, bytes.len);
    }
    if (outbox->count == 1 || is_tls) {
        *wanted = front->len - outbox->front_sent;
        return send_bytes(connection, front->bytes + outbox->front_sent, *wanted);
    }
    struct iovec pieces[GATHER_PIECES];
    int count = 0;
    *wanted = 0;
    while (count < GATHER_PIECES && (uint32_t)count < outbox->count) {
        struct frame *frame = outbox_at(outbox, (uint32_t)count);
        pieces[count++] = (struct iovec){.iov_base = frame->bytes, .iov_len = frame->len};
        *wanted += frame->len;
    }
    pieces[0].iov_base = (char *)pieces[0].iov_base + outbox->front_sent;
    pieces[0].iov_len -= outbox->front_sent;
    *wanted -= outbox->front_sent;
    return socket_sendv(connection->socket, pieces, count);
}

static void on_all_sent(struct connection *connection)
{
    connection->has_pong_queued = false;
    connection->blocked_ms = 0;
    if (connection->state != CONNECTION_CLOSING) {
        return;
    }
    if (connection->is_websocket && !connection->is_unreadable) {
        if (connection->close_received) {
            connection_drop(connection);
        }
    } else if (!connection->has_shut_write) {
        connection->has_shut_write = true;
        socket_shutdown_write(connection->socket);
    }
}

void connection_flush(struct connection *connection)
{
    struct worker *worker = connection->worker;
    struct outbox *outbox = &connection->outbox;
    while (connection->state != CONNECTION_DEAD && !connection->is_blocked && outbox->count > 0) {
        size_t wanted;
        ssize_t taken = send_front(connection, &wanted);
        worker->metrics.sends_total++;
        if (taken < 0) {
            connection_drop(connection);
            return;
        }
        worker->outbox_bytes -= (uint64_t)taken;
        worker->metrics.sent_bytes_total += (uint64_t)taken;
        outbox_advance(outbox, (size_t)taken);
        if ((size_t)taken < wanted) {
            connection->is_blocked = true;
            if (taken > 0 || connection->blocked_ms == 0) {
                connection->blocked_ms = worker->now_ms;
            }
            outbox_age_ms(outbox, worker->now_ms);
            connection_schedule(connection);
        }
    }
    if (outbox->count == 0) {
        on_all_sent(connection);
    }
    if ((connection->pauses & PAUSE_OUTBOX) != 0 &&
        outbox->bytes < worker->config->client_queue_max_size / 4) {
        connection_resume(connection, PAUSE_OUTBOX);
    }
    if ((connection->pauses & PAUSE_SESSION) != 0 && connection->session != NULL &&
        outbox->bytes < worker->config->client_queue_max_size / 4) {
        session_on_flushed(connection->session);
    }
}

bool connection_on_writable(struct connection *connection)
{
    must(connection->magic == CONNECTION_MAGIC);
    if (connection->is_blocked) {
        connection->is_blocked = false;
        if (connection->state != CONNECTION_DEAD && !link_is_listed(&connection->dirty)) {
            list_push_back(&connection->worker->dirty, &connection->dirty);
        }
    }
    return true;
}

/* ---- in ---- */

static void on_control(struct connection *connection, enum websocket_event_kind kind,
                       const struct websocket_event *event)
{
    const struct config *config = connection->worker->config;
    if (!rate_take(&connection->control_rate, config->limits_ws_control_rate, config->limits_ws_control_burst,
                   connection->worker->now_ms)) {
        connection_close_websocket(connection, 1008, STR("too many control frames"), false);
        return;
    }
    if (kind == WEBSOCKET_PONG && connection->session != NULL) {
        session_on_pong(connection->session);
    }
    if (kind != WEBSOCKET_PING || (connection->is_blocked && connection->has_pong_queued)) {
        return;
    }
    unsigned char pong[WEBSOCKET_HEAD_MAX + 125];
    size_t head_bytes = websocket_head(pong, WEBSOCKET_OPCODE_PONG, true, event->payload.len);
    memcpy(pong + head_bytes, event->payload.at, event->payload.len);
    connection->has_pong_queued = true;
    connection_send_copy(connection, str_make((const char *)pong, head_bytes + event->payload.len));
}

static void on_peer_close(struct connection *connection, const struct websocket_event *event)
{
    connection->close_received = true;
    if (connection->state == CONNECTION_CLOSING) {
        connection_drop(connection); /* ours went out before; the peer has answered */
        return;
    }
    connection_close_websocket(connection, event->code == 1005 ? 1000 : event->code, STR(""), false);
    connection->closing_due_ms = connection->worker->now_ms + CLOSE_ANSWERED_WAIT_MS;
    connection_schedule(connection);
}

static void echo(struct connection *connection, const struct websocket_event *event)
{
    struct frame *frame = frame_new(WEBSOCKET_HEAD_MAX + event->payload.len);
    if (frame == NULL) {
        connection_drop(connection);
        return;
    }
    size_t head_bytes =
        websocket_head(frame->bytes, event->is_binary ? WEBSOCKET_OPCODE_BINARY : WEBSOCKET_OPCODE_TEXT, true,
                       event->payload.len);
    if (event->payload.len > 0) {
        memcpy(frame->bytes + head_bytes, event->payload.at, event->payload.len);
    }
    frame->len = (uint32_t)(head_bytes + event->payload.len);
    if (!connection_send(connection, frame, UINT32_MAX)) {
        connection_drop(connection);
    }
    frame_unref(frame);
    if (connection->outbox.bytes > connection->worker->config->client_queue_max_size / 2) {
        connection_pause(connection, PAUSE_OUTBOX);
    }
}

static void on_websocket_event(struct connection *connection, enum websocket_event_kind kind,
                               const struct websocket_event *event)
{
    bool is_open = connection->state == CONNECTION_WEBSOCKET;
    switch (kind) {
    case WEBSOCKET_MORE: return;
    case WEBSOCKET_MESSAGE:
        if (!is_open) {
            return; /* THREATS W16: nothing is processed once the connection closes */
        }
        connection->worker->metrics.messages_received_total++;
        if (connection->session != NULL) {
            session_on_message(connection->session, event->payload, event->is_binary);
        } else {
            echo(connection, event);
        }
        return;
    case WEBSOCKET_PING:
    case WEBSOCKET_PONG:
        if (is_open) {
            on_control(connection, kind, event);
        }
        return;
    case WEBSOCKET_CLOSE: on_peer_close(connection, event); return;
    case WEBSOCKET_ERROR:
        /* The stream cannot be followed any more, so no close frame of the peer will be seen. What it still
           sends is read away for a while: closing with bytes unread would reset the connection, and our close
           frame might never be read. */
        connection->is_unreadable = true;
        if (is_open) {
            connection->worker->metrics.websocket_errors_total++;
            connection_close_websocket(connection, event->code, event->payload, false);
            connection->closing_due_ms = connection->worker->now_ms + LINGER_MS;
            connection_schedule(connection);
        }
        return;
    }
}

static void read_websocket(struct connection *connection, unsigned char *bytes, size_t len)
{
    struct websocket_event event;
    enum websocket_event_kind kind;
    do {
        kind = websocket_read(&connection->reader, &bytes, &len, &event);
        on_websocket_event(connection, kind, &event);
    } while (kind != WEBSOCKET_MORE && connection->state != CONNECTION_DEAD);
}

bool connection_on_bytes(struct connection *connection, unsigned char *bytes, size_t len)
{
    must(connection->magic == CONNECTION_MAGIC);
    connection->worker->metrics.received_bytes_total += len;
    if (connection->state == CONNECTION_HTTP) {
        http_connection_on_bytes(connection, bytes, len);
    } else if (connection->is_websocket && connection->state != CONNECTION_DEAD) {
        read_websocket(connection, bytes, len);
    }
    return true;
}

/* ---- life ---- */

void connection_become_websocket(struct connection *connection, struct session *session)
{
    struct worker *worker = connection->worker;
    set_state(connection, CONNECTION_WEBSOCKET);
    connection->is_websocket = true;
    connection->session = session;
    rate_init(&connection->control_rate, worker->config->limits_ws_control_burst, worker->now_ms);
    websocket_reader_init(&connection->reader,
                          session != NULL ? &worker->websocket_limits : &worker->echo_limits);
    struct buf rest = http_connection_take_rest(connection);
    http_connection_stop(connection);
    connection_resume(connection, PAUSE_HTTP);
    if (session != NULL) {
        session_start(session, connection);
    }
    connection_schedule(connection);
    if (rest.len > 0) {
        read_websocket(connection, (unsigned char *)rest.at, rest.len); /* sent right behind the head (W19) */
    }
    buf_release(&rest);
}

static void end_session(struct connection *connection)
{
    if (connection->session != NULL) {
        struct session *session = connection->session;
        connection->session = NULL;
        session_on_gone(session);
    }
}

/* Forgets what is queued, but for the rest of a frame that is half written. */
static void drop_queue(struct connection *connection)
{
    struct outbox *outbox = &connection->outbox;
    struct frame *front = outbox->front_sent > 0 ? frame_ref(outbox_at(outbox, 0)) : NULL;
    uint32_t front_sent = outbox->front_sent;
    connection->worker->outbox_bytes -= outbox->bytes;
    outbox_release(outbox);
    if (front != NULL) {
        must(outbox_push(outbox, front, UINT32_MAX));
        outbox->front_sent = front_sent;
        outbox->bytes -= front_sent;
        connection->worker->outbox_bytes += outbox->bytes;
        frame_unref(front);
    }
}

void connection_close_websocket(struct connection *connection, unsigned code, struct str reason,
                                bool drops_queue)
{
    must(connection->state == CONNECTION_WEBSOCKET);
    end_session(connection);
    if (connection->is_slow) {
        connection->is_slow = false;
        unlist(connection);
    }
    if (drops_queue) {
        drop_queue(connection);
    }
    set_state(connection, CONNECTION_CLOSING);
    connection_resume(connection, PAUSE_SESSION | PAUSE_OUTBOX); /* the peer's close frame is to be read */
    connection->closing_due_ms =
        connection->worker->now_ms +
        (drops_queue ? connection->worker->config->websocket_write_timeout_ms : (uint64_t)PEER_CLOSE_WAIT_MS);
    unsigned char frame[WEBSOCKET_HEAD_MAX + 125];
    size_t len = websocket_close_frame(frame, code, reason);
    connection_send_copy(connection, str_make((const char *)frame, len));
    connection_schedule(connection);
}

void connection_finish(struct connection *connection)
{
    if (connection->state >= CONNECTION_CLOSING) {
        return;
    }
    set_state(connection, CONNECTION_CLOSING);
    http_connection_stop(connection);
    connection->closing_due_ms = connection->worker->now_ms + LINGER_MS;
    connection_schedule(connection);
    if (connection->outbox.count == 0) {
        on_all_sent(connection);
    }
}

void connection_drop(struct connection *connection)
{
    if (connection->state == CONNECTION_DEAD) {
        return;
    }
    set_state(connection, CONNECTION_DEAD);
    unlist(connection);
    list_push_back(&connection->worker->dead, &connection->dirty);
}

void connection_on_close(struct connection *connection)
{
    struct worker *worker = connection->worker;
    must(connection->magic == CONNECTION_MAGIC);
    connection->state = CONNECTION_DEAD;
    connection->socket = NULL;
    end_session(connection);
    http_connection_stop(connection);
    unlist(connection);
    if (connection->is_counted) {
        handshake_give_back(worker, connection->address);
    }
    timer_cancel(&worker->timers, &connection->timer);
    list_remove(&connection->link);
    worker->outbox_bytes -= connection->outbox.bytes;
    outbox_release(&connection->outbox);
    websocket_reader_release(&connection->reader);
    worker->metrics.connections_open--;
    connection->magic = 0;
    slab_free(&worker->connection_slab, connection);
}

void connection_pause(struct connection *connection, enum connection_pause reason)
{
    if (connection->pauses == 0 && connection->socket != NULL) {
        socket_pause_reading(connection->socket, true);
    }
    connection->pauses |= (uint8_t)reason;
}

void connection_resume(struct connection *connection, enum connection_pause reason)
{
    bool was_paused = connection->pauses != 0;
    connection->pauses &= (uint8_t)~reason;
    if (was_paused && connection->pauses == 0 && connection->socket != NULL) {
        socket_pause_reading(connection->socket, false);
    }
}

/* ---- deadlines ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void connection_schedule(struct connection *connection)
{
    struct worker *worker = connection->worker;
    uint64_t due_ms = UINT64_MAX;
    switch ((enum connection_state)connection->state) {
    case CONNECTION_HTTP: due_ms = http_connection_due_ms(connection); break;
    case CONNECTION_WEBSOCKET:
        due_ms = connection->session != NULL ? session_due_ms(connection->session) : UINT64_MAX;
        break;
    case CONNECTION_CLOSING: due_ms = connection->closing_due_ms; break;
    case CONNECTION_DEAD: return;
    }
    if (connection->is_blocked) {
        due_ms = earlier(due_ms, worker->now_ms + AGE_CHECK_MS);
    }
    if (due_ms == UINT64_MAX) {
        timer_cancel(&worker->timers, &connection->timer);
    } else {
        timer_set(&worker->timers, &connection->timer, due_ms);
    }
}

static bool is_too_slow(struct connection *connection)
{
    const struct config *config = connection->worker->config;
    uint64_t now_ms = connection->worker->now_ms;
    return connection->is_blocked &&
           (now_ms - connection->blocked_ms >= config->limits_outbox_stall_ms ||
            outbox_age_ms(&connection->outbox, now_ms) >= config->limits_outbox_age_ms);
}

static void on_timer(struct timer *timer)
{
    struct connection *connection = container_of(timer, struct connection, timer);
    uint64_t now_ms = connection->worker->now_ms;
    outbox_shrink(&connection->outbox);
    if (is_too_slow(connection)) {
        if (connection->state == CONNECTION_WEBSOCKET && connection->session != NULL) {
            session_disconnect(connection->session, &DISCONNECT_SLOW);
        } else {
            connection_drop(connection);
        }
    }
    switch ((enum connection_state)connection->state) {
    case CONNECTION_HTTP: http_connection_on_due(connection, now_ms); break;
    case CONNECTION_WEBSOCKET:
        if (connection->session != NULL) {
            session_on_due(connection->session, now_ms);
        }
        break;
    case CONNECTION_CLOSING:
        if (now_ms >= connection->closing_due_ms) {
            connection_drop(connection);
        }
        break;
    case CONNECTION_DEAD: return;
    }
    if (!timer_is_set(timer)) {
        connection_schedule(connection);
    }
}

/* ---- others ---- */

static struct connection *largest_outbox(struct worker *worker)
{
    struct connection *largest = NULL;
    list_each (&worker->connections, link) {
        struct connection *connection = container_of(link, struct connection, link);
        if (connection->state <= CONNECTION_WEBSOCKET &&
            (largest == NULL || connection->outbox.bytes > largest->outbox.bytes)) {
            largest = connection;
        }
    }
    return largest;
}

void connections_cut_outboxes(struct worker *worker)
{
    while (worker->outbox_bytes > worker->server->outbox_total_max) {
        struct connection *largest = largest_outbox(worker);
        if (largest == NULL || largest->outbox.bytes == 0) {
            return;
        }
        log_warn("outboxes_over_total", {"bytes", log_u64(worker->outbox_bytes)},
                 {"largest", log_u64(largest->outbox.bytes)});
        if (largest->state == CONNECTION_WEBSOCKET && largest->session != NULL) {
            session_disconnect(largest->session, &DISCONNECT_SLOW);
        } else {
            connection_drop(largest);
        }
    }
}

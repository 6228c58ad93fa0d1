#include "tests/bench/pool.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "tests/bench/secure.h"
#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_BYTES = 1 << 18,
    EVENTS_PER_TURN = 1024,
    CLIENTS_PER_ADDRESS = 4000,
    SOURCE_ADDRESSES = 200, /* 127.0.0.1 to 127.0.0.200 */
    OPEN_PATIENCE_MS = 20000,
};

void pool_init(struct pool *pool, const struct options *options, uint32_t count, const struct pool_ops *ops,
               void *scenario)
{
    *pool = (struct pool){.options = options, .ops = ops, .scenario = scenario, .count = count};
    pool->epoll = epoll_create1(EPOLL_CLOEXEC);
    pool->clients = calloc(count, sizeof *pool->clients);
    must(pool->epoll >= 0);
    must(pool->clients != NULL);
    for (uint32_t i = 0; i < count; i++) {
        pool->clients[i] = (struct client){.pool = pool, .index = i, .fd = -1};
    }
}

static void close_socket(struct client *client)
{
    if (client->fd >= 0) {
        secure_free(client->secure);
        client->secure = NULL;
        close(client->fd);
        client->fd = -1;
    }
}

void pool_release(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        struct client *client = &pool->clients[i];
        close_socket(client);
        buf_release(&client->in);
        buf_release(&client->out);
    }
    free(pool->clients);
    close(pool->epoll);
}

static void watch(struct client *client, int operation)
{
    uint32_t events =
        (client->is_muted ? 0u : (uint32_t)EPOLLIN) | (client->wants_write ? (uint32_t)EPOLLOUT : 0u);
    struct epoll_event event = {.events = events, .data.ptr = client};
    must(epoll_ctl(client->pool->epoll, operation, client->fd, &event) == 0);
}

static void client_ended(struct client *client)
{
    struct pool *pool = client->pool;
    if (client->state == CLIENT_CLOSED) {
        return;
    }
    bool was_opening = client->state < CLIENT_READY;
    pool->opening -= was_opening ? 1 : 0;
    pool->ready -= client->state == CLIENT_READY ? 1 : 0;
    pool->failed += client->state != CLIENT_CLOSING ? 1 : 0;
    client->state = CLIENT_CLOSED;
    close_socket(client);
    buf_release(&client->in);
    buf_release(&client->out);
    client->wants_write = false;
    if (pool->ops->on_closed != NULL) {
        pool->ops->on_closed(client);
    }
}

static void client_is_ready(struct client *client)
{
    client->state = CLIENT_READY;
    client->pool->opening--;
    client->pool->ready++;
    if (client->pool->ops->on_ready != NULL) {
        client->pool->ops->on_ready(client);
    }
}

static void mark_dirty(struct client *client)
{
    if (!client->is_dirty) {
        client->is_dirty = true;
        client->next_dirty = client->pool->dirty;
        client->pool->dirty = client;
    }
}

void client_send(struct client *client, struct str text)
{
    if (client->fd < 0) {
        return; /* the server ended it; that was counted */
    }
    if (client->kind == CLIENT_HTTP) {
        buf_append(&client->out, text.at, text.len);
    } else {
        wire_put_client_frame(&client->out, WIRE_TEXT, text);
    }
    must(!client->out.failed);
    mark_dirty(client);
}

void client_close(struct client *client)
{
    if (client->state != CLIENT_READY) {
        return;
    }
    client->pool->ready--;
    client->state = CLIENT_CLOSING;
    if (client->kind == CLIENT_HTTP) {
        client_ended(client);
        return;
    }
    wire_put_client_frame(&client->out, WIRE_CLOSE, STR("\x03\xe8"));
    mark_dirty(client);
}

void client_mute(struct client *client, bool is_muted)
{
    client->is_muted = is_muted;
    if (client->fd >= 0) {
        watch(client, EPOLL_CTL_MOD);
    }
}

void push_text(struct buf *out, const char *channel, struct str payload)
{
    buf_printf(out, "{\"push\":{\"channel\":\"%s\",\"pub\":{\"data\":", channel);
    buf_append_str(out, payload);
    buf_append_lit(out, ",\"info\":{\"user\":\"\",\"client\":\"00000000-0000-4000-8000-000000000000\"}}}}");
}

void client_publish(struct client *client, struct str payload)
{
    struct buf text = {0};
    if (client->pool->options->dialect == DIALECT_PLAIN) {
        push_text(&text, client->channel, payload);
    } else {
        buf_printf(&text, "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":", ++client->last_id,
                   client->channel);
        buf_append_str(&text, payload);
        buf_append_lit(&text, "}}");
    }
    client_send(client, buf_str(&text));
    buf_release(&text);
}

static void flush(struct client *client)
{
    if (client->fd < 0 || client->out.len == 0) {
        return;
    }
    ssize_t sent = client->secure != NULL
                       ? secure_send(client->secure, client->out.at, client->out.len)
                       : send(client->fd, client->out.at, client->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) {
        client_ended(client);
        return;
    }
    if (sent > 0) {
        buf_consume(&client->out, (size_t)sent);
    }
    /* A handshake that waits for the server goes on when something comes. */
    bool wants_write =
        client->out.len > 0 && (client->secure == NULL || !secure_waits_to_read(client->secure));
    if (wants_write != client->wants_write) {
        client->wants_write = wants_write;
        watch(client, EPOLL_CTL_MOD);
    }
}

static void flush_all(struct pool *pool)
{
    while (pool->dirty != NULL) {
        struct client *client = pool->dirty;
        pool->dirty = client->next_dirty;
        client->is_dirty = false;
        if (client->state != CLIENT_CONNECTING) {
            flush(client);
        }
    }
}

/* Where the next connection comes from; a new address each few thousand keeps clear of used-up ports. */
static struct sockaddr_in next_source_address(void)
{
    static uint32_t opened;
    uint32_t turn = (opened++ / CLIENTS_PER_ADDRESS + (uint32_t)getpid()) % SOURCE_ADDRESSES;
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + turn)};
}

bool client_open(struct client *client)
{
    struct pool *pool = client->pool;
    struct sockaddr_in source = next_source_address();
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons(pool->options->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    client->state = CLIENT_CONNECTING;
    client->last_id = 0;
    client->close_code = 0;
    pool->opening++;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        fprintf(stderr, "load: no socket for connection %u: %s\n", client->index, strerror(errno));
        client_ended(client);
        return false;
    }
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* The port is chosen at connect() time, when the kernel knows that only the pair must be new. */
    (void)setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(client->fd, (struct sockaddr *)&source, sizeof source) != 0 ||
        (connect(client->fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS)) {
        client_ended(client);
        return false;
    }
    client->wants_write = true;
    watch(client, EPOLL_CTL_ADD);
    return true;
}

static void on_connected(struct client *client)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        client_ended(client);
        return;
    }
    if (client->kind == CLIENT_HTTP) {
        client->wants_write = false;
        watch(client, EPOLL_CTL_MOD);
        client_is_ready(client);
        return;
    }
    client->state = CLIENT_UPGRADING;
    client->secure = client->pool->options->is_secure ? secure_new(client->fd) : NULL;
    wire_put_upgrade_request(&client->out, client->pool->options->path);
    flush(client);
}

/* Behind the upgrade: one frame that connects and subscribes, as the SDKs send it. */
static void join(struct client *client)
{
    bool is_plain = client->pool->options->dialect == DIALECT_PLAIN;
    struct buf text = {0};
    client->state = CLIENT_JOINING;
    if (is_plain && client->channel == NULL) {
        client_is_ready(client);
        return;
    }
    if (is_plain) {
        buf_printf(&text, "%c%s", client->subscribes ? 'S' : 'P', client->channel);
    } else {
        buf_printf(&text, "{\"id\":%u,\"connect\":{\"name\":\"bench\"}}", ++client->last_id);
    }
    if (!is_plain && client->subscribes) {
        buf_printf(&text, "\n{\"id\":%u,\"subscribe\":{\"channel\":\"%s\",\"flag\":1}}", ++client->last_id,
                   client->channel);
    }
    client_send(client, buf_str(&text));
    buf_release(&text);
}

static void on_reply(struct client *client, uint32_t id, bool is_error)
{
    if (client->state == CLIENT_JOINING) {
        if (is_error) {
            client_ended(client);
        } else if (id == client->last_id) {
            client_is_ready(client);
        }
        return;
    }
    if (client->pool->ops->on_reply != NULL) {
        client->pool->ops->on_reply(client, id, is_error);
    }
}

/* One object of the client protocol: {"id":N,…} or {"push":…} or the ping {}. */
static void on_object(struct client *client, struct str object)
{
    struct pool *pool = client->pool;
    if (str_starts_with(object, STR("{\"push\":"))) {
        struct str channel = str_from_cstr(client->channel);
        struct str name = str_skip(object, strlen("{\"push\":{\"channel\":\""));
        const char *data = memmem(object.at, object.len, "\"data\":", 7);
        /* A push of another channel is as wrong as one without data. */
        if (data == NULL || !str_starts_with(name, channel) ||
            !str_starts_with(str_skip(name, channel.len), STR("\",\"pub\":"))) {
            pool->broken++;
        } else if (pool->ops->on_push != NULL) {
            pool->ops->on_push(client, str_skip(object, (size_t)(data - object.at) + 7));
        }
        return;
    }
    if (str_is(object, "{}")) {
        pool->pings++;
        client_send(client, STR("{}"));
        return;
    }
    if (!str_starts_with(object, STR("{\"id\":"))) {
        pool->broken++;
        return;
    }
    uint32_t id = 0;
    size_t at = 6;
    while (at < object.len && object.at[at] >= '0' && object.at[at] <= '9') {
        id = id * 10 + (uint32_t)(object.at[at++] - '0');
    }
    bool is_error = str_starts_with(str_skip(object, at), STR(",\"error\""));
    if (is_error && client->state == CLIENT_JOINING) {
        fprintf(stderr, "load: refused: %.*s\n", STR_ARG(str_first(object, 200)));
    }
    on_reply(client, id, is_error);
}

static void on_text(struct client *client, struct str text)
{
    if (client->pool->options->dialect == DIALECT_PLAIN && !str_starts_with(text, STR("{"))) {
        on_reply(client, client->last_id, false);
        return;
    }
    struct str rest = text;
    while (rest.at != NULL && client->state != CLIENT_CLOSED) {
        on_object(client, str_next(&rest, '\n'));
    }
}

/* Each reader returns the bytes it used, 0 for "more are needed", -1 for "close". */
static ssize_t read_upgrade(struct client *client, struct str bytes)
{
    size_t head_len = wire_http_head(bytes);
    if (head_len == 0) {
        return 0;
    }
    if (!wire_is_upgrade_answer(str_first(bytes, head_len))) {
        client->pool->broken++;
        return -1;
    }
    join(client);
    return (ssize_t)head_len;
}

static ssize_t read_http(struct client *client, struct str bytes)
{
    size_t head_len = wire_http_head(bytes);
    if (head_len == 0) {
        return 0;
    }
    struct str head = str_first(bytes, head_len);
    long body_len = wire_http_number(head, "content-length:");
    if (body_len < 0 || !str_starts_with(head, STR("HTTP/1.1 "))) {
        client->pool->broken++;
        return -1;
    }
    if (bytes.len < head_len + (size_t)body_len) {
        return 0;
    }
    int status = (int)strtol(head.at + 9, NULL, 10);
    if (client->pool->ops->on_http != NULL) {
        client->pool->ops->on_http(client, status, str_make(bytes.at + head_len, (size_t)body_len));
    }
    return (ssize_t)head_len + body_len;
}

static ssize_t read_frame(struct client *client, char *bytes, size_t len)
{
    struct wire_frame frame;
    size_t used;
    switch (wire_next(bytes, len, WIRE_FROM_SERVER, &frame, &used)) {
    case WIRE_INCOMPLETE: return 0;
    case WIRE_BROKEN: client->pool->broken++; return -1;
    case WIRE_FRAME: break;
    }
    switch (frame.opcode) {
    case WIRE_TEXT: on_text(client, frame.payload); break;
    case WIRE_PING:
        wire_put_client_frame(&client->out, WIRE_PONG, frame.payload);
        client->pool->pings++;
        mark_dirty(client);
        break;
    case WIRE_CLOSE:
        if (frame.payload.len >= 2) {
            client->close_code =
                (uint16_t)((unsigned char)frame.payload.at[0] << 8 | (unsigned char)frame.payload.at[1]);
        }
        return -1;
    case WIRE_BINARY:
    case WIRE_CONTINUATION: client->pool->broken++; break;
    case WIRE_PONG: break;
    }
    return (ssize_t)used;
}

static ssize_t read_next(struct client *client, char *bytes, size_t len)
{
    switch (client->state) {
    case CLIENT_UPGRADING: return read_upgrade(client, str_make(bytes, len));
    case CLIENT_JOINING:
    case CLIENT_READY:
    case CLIENT_CLOSING:
        return client->kind == CLIENT_HTTP ? read_http(client, str_make(bytes, len))
                                           : read_frame(client, bytes, len);
    case CLIENT_NEW:
    case CLIENT_CONNECTING:
    case CLIENT_CLOSED: break;
    }
    return -1;
}

static void on_readable(struct client *client)
{
    static char read_bytes[READ_BYTES];
    ssize_t got = client->secure != NULL ? secure_receive(client->secure, read_bytes, sizeof read_bytes)
                                         : recv(client->fd, read_bytes, sizeof read_bytes, MSG_DONTWAIT);
    if (client->secure != NULL && client->out.len > 0) {
        mark_dirty(client); /* the handshake may be over */
    }
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        client_ended(client);
        return;
    }
    client->pool->bytes_received += (uint64_t)got;
    char *bytes = read_bytes;
    size_t len = (size_t)got, done = 0;
    bool is_joined = client->in.len > 0;
    if (is_joined) {
        buf_append(&client->in, bytes, len);
        must(!client->in.failed);
        bytes = client->in.at;
        len = client->in.len;
    }
    while (done < len) {
        ssize_t used = read_next(client, bytes + done, len - done);
        if (used < 0 || client->state == CLIENT_CLOSED) {
            client_ended(client);
            return;
        }
        if (used == 0) {
            break;
        }
        done += (size_t)used;
    }
    if (is_joined) {
        buf_consume(&client->in, done);
        if (client->in.len == 0) {
            buf_release(&client->in);
        }
    } else if (done < len) {
        buf_append(&client->in, bytes + done, len - done);
    }
}

void pool_turn(struct pool *pool, int timeout_ms)
{
    struct epoll_event events[EVENTS_PER_TURN];
    flush_all(pool);
    int count = epoll_wait(pool->epoll, events, EVENTS_PER_TURN, timeout_ms);
    must(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if (client->fd < 0) {
            continue;
        }
        if (client->state == CLIENT_CONNECTING) {
            on_connected(client);
            continue;
        }
        if ((events[i].events & EPOLLOUT) != 0) {
            flush(client);
        }
        if (client->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            on_readable(client);
        }
    }
    flush_all(pool);
}

bool pool_open(struct pool *pool, uint32_t first, uint32_t count)
{
    uint64_t failed_before = pool->failed;
    uint32_t next = first, ready_last = pool->ready;
    uint64_t moved_ms = clock_monotonic_ms();
    while ((next < first + count || pool->opening > 0) && pool->failed == failed_before) {
        while (next < first + count && pool->opening < pool->options->concurrency) {
            if (!client_open(&pool->clients[next++])) {
                return false;
            }
        }
        pool_turn(pool, 100);
        if (pool->ready != ready_last) {
            ready_last = pool->ready;
            moved_ms = clock_monotonic_ms();
        }
        if (clock_monotonic_ms() - moved_ms > OPEN_PATIENCE_MS) {
            fprintf(stderr, "load: %u of %u connections after %d s without progress\n", pool->ready,
                    first + count, OPEN_PATIENCE_MS / 1000);
            return false;
        }
    }
    return pool->failed == failed_before;
}

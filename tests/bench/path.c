/* path.c - the whole server but the kernel: what a delivery, a request or a connection costs in instructions.
 *
 *     path MODE CONFIG SOCKETS TURNS IN_FLIGHT
 *
 * It is the server's own worker with another front (server/lws.h) in place of the one that knows
 * libwebsockets: sockets are structs here, sending counts, and an idle watcher of the worker's loop brings
 * what clients would have sent, one read for each in every turn. So reading, the protocol, the hub, encoding,
 * outboxes and the flush all run as they do in the server, and nothing depends on the machine:
 *
 *     fanout   the last socket publishes IN_FLIGHT times a turn to all others
 *     history  the same in a channel that keeps 100
 *     chat     rooms of ten, each socket publishes IN_FLIGHT times a turn
 *     request  each socket asks for the history of a channel, IN_FLIGHT times a turn
 *     api      each socket posts one publication a turn, which nobody gets
 *     connect  the sockets connect and subscribe, no more
 *
 * It prints what it counted in the turns after the first few. Instructions are counted from outside, by
 * callgrind, as the difference between two lengths (tests/bench/instructions).
 *
 * Thread: everything measured is on the worker's; main waits.
 */
#include "channels/base/must.h"
#include "server/connection.h"
#include "server/generation.h"
#include "server/lws.h"
#include "server/worker.h"
#include "tests/bench/wire.h"
#include "tests/support/fail_alloc.h"

#include <ev.h>
#include <malloc.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WARM_UP_TURNS = 10, /* buffers, rings and spare mails have found their sizes */
    OPENED_PER_TURN = 64,
    ROOM_MEMBERS = 10,
    SETTLE_TURNS = 3,
    PAYLOAD_BYTES = 128,
};

enum mode { MODE_FANOUT, MODE_HISTORY, MODE_CHAT, MODE_REQUEST, MODE_API, MODE_CONNECT };

static const char *const mode_names[] = {"fanout", "history", "chat", "request", "api", "connect"};

/* One client's end; its address is the server's struct lws pointer. */
struct end {
    struct connection *connection;
    uint64_t sends, bytes;
};

static struct path {
    enum mode mode;
    uint32_t sockets, turns, in_flight;
    struct end *ends;
    struct ev_loop *loop;
    ev_idle idle;
    struct worker *worker;
    struct buf *acts;   /* by room */
    struct buf scratch; /* bytes for the server, which may change them */
    uint32_t opened, joined, settled, turn;
    uint64_t started_sends, started_bytes, started_allocations, started_deliveries;
    sem_t done;
} path;

static struct end *end_of(struct lws *socket)
{
    return (struct end *)(void *)socket;
}

static struct lws *socket_of(struct end *end)
{
    return (struct lws *)(void *)end;
}

/* ---- the front ---- */

static void on_idle(struct ev_loop *loop, ev_idle *idle, int events);

enum status front_open(struct front **out, const struct front_options *options, const char **error)
{
    (void)error;
    path.worker = options->worker;
    path.loop = options->loop;
    ev_idle_init(&path.idle, on_idle);
    ev_idle_start(path.loop, &path.idle);
    *out = NULL;
    return STATUS_OK;
}

void front_stop_accepting(struct front *front)
{
    (void)front;
}

void front_close(struct front *front)
{
    (void)front;
    for (uint32_t i = 0; i < path.sockets; i++) {
        socket_close(socket_of(&path.ends[i]));
    }
}

uint64_t front_accept_pauses(const struct front *front)
{
    (void)front;
    return 0;
}

ssize_t socket_send(struct lws *socket, const void *bytes, size_t len)
{
    (void)bytes;
    end_of(socket)->sends++;
    end_of(socket)->bytes += len;
    return (ssize_t)len;
}

ssize_t socket_send_tls(struct lws *socket, const void *bytes, size_t len)
{
    return socket_send(socket, bytes, len);
}

ssize_t socket_sendv(struct lws *socket, const struct iovec *pieces, int count)
{
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        len += pieces[i].iov_len;
    }
    return socket_send(socket, pieces, len);
}

bool socket_is_tls(struct lws *socket)
{
    (void)socket;
    return false;
}

void socket_pause_reading(struct lws *socket, bool is_paused)
{
    (void)socket;
    (void)is_paused;
}

void socket_shutdown_write(struct lws *socket)
{
    (void)socket;
}

void socket_close(struct lws *socket)
{
    struct connection *connection = end_of(socket)->connection;
    end_of(socket)->connection = NULL;
    if (connection != NULL) {
        connection_on_close(connection);
    }
}

int socket_fd(struct lws *socket)
{
    (void)socket;
    return -1;
}

/* ---- what clients send ---- */

static bool is_fanout(void)
{
    return path.mode == MODE_FANOUT || path.mode == MODE_HISTORY;
}

static bool is_http(void)
{
    return path.mode == MODE_API;
}

static uint32_t room_of(uint32_t index)
{
    return path.mode == MODE_CHAT ? index / ROOM_MEMBERS : 0;
}

static void put_channel(struct buf *out, uint32_t room)
{
    bool keeps = path.mode == MODE_REQUEST || path.mode == MODE_HISTORY;
    buf_printf(out, "%sroom-%u", keeps ? "hist:" : "bench:", room);
}

static void put_data(struct buf *out)
{
    buf_append_lit(out, "{\"text\":\"");
    for (int i = 0; i < PAYLOAD_BYTES - 12; i++) {
        buf_append_char(out, 'x');
    }
    buf_append_lit(out, "\"}");
}

/* Lends the bytes to the server as one read. */
static void deliver(struct end *end, struct buf *bytes)
{
    must(!bytes->failed);
    must(end->connection != NULL);
    must(connection_on_bytes(end->connection, (unsigned char *)bytes->at, bytes->len));
}

static void open_socket(struct end *end)
{
    static const struct peer peer = {.address = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    end->connection = connection_open(path.worker, socket_of(end), &peer);
    must(end->connection != NULL);
    if (!is_http()) {
        buf_reset(&path.scratch);
        wire_put_upgrade_request(&path.scratch, "/connection/websocket");
        deliver(end, &path.scratch);
    }
}

static void join(uint32_t index)
{
    struct buf text = {0};
    bool subscribes = !is_fanout() || index + 1 < path.sockets;
    buf_append_lit(&text, "{\"id\":1,\"connect\":{\"name\":\"bench\"}}");
    if (subscribes) {
        buf_append_lit(&text, "\n{\"id\":2,\"subscribe\":{\"channel\":\"");
        put_channel(&text, room_of(index));
        buf_append_lit(&text, "\",\"flag\":1}}");
    }
    buf_reset(&path.scratch);
    wire_put_client_frame(&path.scratch, WIRE_TEXT, buf_str(&text));
    deliver(&path.ends[index], &path.scratch);
    buf_release(&text);
}

static void put_post(struct buf *out, uint32_t room)
{
    struct buf body = {0};
    buf_append_lit(&body, "{\"channel\":\"");
    put_channel(&body, room);
    buf_append_lit(&body, "\",\"data\":");
    put_data(&body);
    buf_append_lit(&body, "}");
    buf_printf(out,
               "POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n%.*s",
               body.len, STR_ARG(buf_str(&body)));
    buf_release(&body);
}

static void put_command(struct buf *out, uint32_t room)
{
    struct buf text = {0};
    buf_append_lit(&text, "{\"id\":3,\"");
    buf_printf(&text, "%s\":{\"channel\":\"", path.mode == MODE_REQUEST ? "history" : "publish");
    put_channel(&text, room);
    if (path.mode == MODE_REQUEST) {
        buf_append_lit(&text, "\",\"limit\":0}}");
    } else {
        buf_append_lit(&text, "\",\"data\":");
        put_data(&text);
        buf_append_lit(&text, "}}");
    }
    wire_put_client_frame(out, WIRE_TEXT, buf_str(&text));
    buf_release(&text);
}

/* What a socket sends in one turn: the same for all of a room, and made before anything is counted. */
static void make_acts(void)
{
    path.acts = calloc(room_of(path.sockets) + 1, sizeof *path.acts);
    must(path.acts != NULL);
    for (uint32_t room = 0; room <= room_of(path.sockets); room++) {
        for (uint32_t i = 0; i < path.in_flight; i++) {
            if (is_http()) {
                put_post(&path.acts[room], room);
            } else {
                put_command(&path.acts[room], room);
            }
        }
        must(!path.acts[room].failed);
    }
}

static void act(uint32_t index)
{
    buf_reset(&path.scratch);
    buf_append_str(&path.scratch, buf_str(&path.acts[room_of(index)]));
    deliver(&path.ends[index], &path.scratch);
}

static uint32_t first_actor(void)
{
    return is_fanout() ? path.sockets - 1 : 0;
}

/* ---- the course of it ---- */

static void sums(uint64_t *sends, uint64_t *bytes)
{
    *sends = *bytes = 0;
    for (uint32_t i = 0; i < path.sockets; i++) {
        *sends += path.ends[i].sends;
        *bytes += path.ends[i].bytes;
    }
}

static void begin(void)
{
    sums(&path.started_sends, &path.started_bytes);
    path.started_deliveries = hub_counters(path.worker->hub)->deliveries_total;
    path.started_allocations = fail_alloc_count();
}

static void finish(void)
{
    uint64_t allocations = fail_alloc_count() - path.started_allocations;
    struct mallinfo2 heap = mallinfo2();
    uint64_t deliveries = hub_counters(path.worker->hub)->deliveries_total - path.started_deliveries;
    uint64_t actors = path.mode == MODE_CONNECT ? 0 : path.sockets - first_actor(), sends, bytes;
    sums(&sends, &bytes);
    printf("{\"acts\":%llu,\"deliveries\":%llu,\"sends\":%llu,\"bytes\":%llu,\"allocations\":%llu,"
           "\"subscriptions\":%llu,\"heap_bytes\":%zu}\n",
           (unsigned long long)(actors * path.in_flight * (path.turns - WARM_UP_TURNS)),
           (unsigned long long)deliveries, (unsigned long long)(sends - path.started_sends),
           (unsigned long long)(bytes - path.started_bytes), (unsigned long long)allocations,
           (unsigned long long)hub_counters(path.worker->hub)->subscription_count,
           heap.uordblks + heap.hblkhd);
    sem_post(&path.done);
}

/* Called once a turn. */
static void on_idle(struct ev_loop *loop, ev_idle *idle, int events)
{
    (void)events;
    if (path.opened < path.sockets) {
        for (int i = 0; i < OPENED_PER_TURN && path.opened < path.sockets; i++) {
            open_socket(&path.ends[path.opened++]);
        }
    } else if (!is_http() && path.joined < path.sockets) {
        for (int i = 0; i < OPENED_PER_TURN && path.joined < path.sockets; i++) {
            join(path.joined++);
        }
    } else if (path.settled < SETTLE_TURNS) {
        path.settled++;
    } else if (path.turn < path.turns && path.mode != MODE_CONNECT) {
        if (path.turn++ == WARM_UP_TURNS) {
            begin();
        }
        for (uint32_t i = first_actor(); i < path.sockets; i++) {
            act(i);
        }
    } else if (path.settled++ == SETTLE_TURNS * 2) {
        ev_idle_stop(loop, idle);
        finish();
    }
}

static bool parse(int argc, char **argv)
{
    if (argc != 6) {
        return false;
    }
    size_t mode = 0;
    while (mode < sizeof mode_names / sizeof *mode_names && strcmp(argv[1], mode_names[mode]) != 0) {
        mode++;
    }
    path.mode = (enum mode)mode;
    path.sockets = (uint32_t)strtoul(argv[3], NULL, 10);
    path.turns = (uint32_t)strtoul(argv[4], NULL, 10);
    path.in_flight = (uint32_t)strtoul(argv[5], NULL, 10);
    return mode < sizeof mode_names / sizeof *mode_names && path.sockets > 0 && path.turns > WARM_UP_TURNS &&
           path.in_flight > 0;
}

int main(int argc, char **argv)
{
    struct config *config;
    struct config_report report = {0};
    struct worker *worker, *workers[1];
    struct hub *hubs[1];
    const char *error = "";
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: path MODE CONFIG SOCKETS TURNS IN_FLIGHT; more than %d turns\n",
                WARM_UP_TURNS);
        return 2;
    }
    if (config_load(&config, &(struct config_source){.file = argv[2]}, &report) != STATUS_OK) {
        config_report_print(&report, stderr);
        return 2;
    }
    /* No hash_seed(): with the key of zeros each run takes the same way. */
    log_open(2, LOG_ERROR, LOG_FORMAT_TEXT);
    struct buf why = {0};
    struct generation *generation = generation_first(config, &why);
    must(generation != NULL);
    struct server server = {.generation = generation,
                            .workers = workers,
                            .hubs = hubs,
                            .worker_count = 1,
                            .outbox_total_max = config->limits_outbox_total};
    path.ends = calloc(path.sockets, sizeof *path.ends);
    must(path.ends != NULL);
    make_acts();
    must(sem_init(&path.done, 0, 0) == 0);
    must(worker_make(&worker, &server, 0) == STATUS_OK);
    must(worker_start(worker, NULL, 0, NULL, NULL, &error) == STATUS_OK);
    while (sem_wait(&path.done) != 0) {
        /* interrupted by a signal */
    }
    worker_stop(worker);
    workers_release(&server);
    generation_free(generation);
    for (uint32_t room = 0; room <= room_of(path.sockets); room++) {
        buf_release(&path.acts[room]);
    }
    buf_release(&path.scratch);
    free(path.acts);
    free(path.ends);
    config_report_release(&report);
    config_free(config);
    return 0;
}

/* pool.h - many client connections on one epoll, as one thread drives them.
 *
 *     new ─▶ CONNECTING ─▶ UPGRADING ─▶ JOINING ─▶ READY ─▶ CLOSING ─▶ CLOSED
 *                              any of them, when the peer ends it ──────▶ CLOSED
 *
 * A scenario fills in each client's wishes (channel, subscribes), opens them, and is called back for what
 * arrives. What it sends in one turn leaves in one send() for each connection at the end of that turn.
 * The source address changes every few thousand connections (127.0.0.1, .2, …): one address has only 28,232
 * ports, and closed ones stay taken for a minute.
 *
 * Thread: one.   Memory: a client holds a buffer only while a frame is incomplete or could not be sent.
 */
#ifndef STARLING_BENCH_POOL_H
#define STARLING_BENCH_POOL_H

#include "channels/base/buf.h"
#include "tests/bench/options.h"

enum {
    TURN_MS = 100, /* how long a scenario that waits for answers sleeps in one turn */
};

enum client_kind {
    CLIENT_WEBSOCKET,
    CLIENT_HTTP, /* keep-alive requests; READY as soon as the connection is there */
};

enum client_state {
    CLIENT_NEW,
    CLIENT_CONNECTING,
    CLIENT_UPGRADING,
    CLIENT_JOINING,
    CLIENT_READY,
    CLIENT_CLOSING, /* our close frame is on its way; the server ends the connection */
    CLIENT_CLOSED,
};

struct pool;
struct ssl_st;

struct client {
    struct pool *pool;
    const char *channel;   /* set by the scenario, borrowed; NULL: none */
    bool subscribes;       /* set by the scenario; else it only publishes there */
    enum client_kind kind; /* set by the scenario */
    enum client_state state;
    uint32_t index;
    uint32_t last_id; /* of the commands sent */
    int fd;
    struct ssl_st *secure; /* NULL without TLS */
    uint16_t close_code;   /* the server's, 0 when it sent none */
    bool is_muted;         /* does not read, see client_mute() */
    bool wants_write, is_dirty;
    struct buf in, out;
    struct client *next_dirty;
};

/* Each may be NULL. None may free the client; client_close() is allowed in all. */
struct pool_ops {
    void (*on_ready)(struct client *);
    /* A publication: `data` starts at the payload and goes on behind it. */
    void (*on_push)(struct client *, struct str data);
    /* A reply to a command sent after joining (plain: an echo). id 0 where there is none. */
    void (*on_reply)(struct client *, uint32_t id, bool is_error);
    void (*on_http)(struct client *, int status, struct str body);
    void (*on_closed)(struct client *);
};

struct pool {
    const struct options *options;
    const struct pool_ops *ops;
    void *scenario;
    int epoll;
    struct client *clients;
    uint32_t count;
    uint32_t opening, ready; /* now */
    uint64_t failed;         /* connections that ended before READY, or that the server ended after it */
    uint64_t broken;         /* frames and objects that no right server sends */
    uint64_t pings;
    uint64_t bytes_received;
    struct client *dirty;
};

void pool_init(struct pool *pool, const struct options *options, uint32_t count, const struct pool_ops *ops,
               void *scenario);

/* Ends all connections at once, without a closing handshake. */
void pool_release(struct pool *pool);

/* Opens clients [first, first + count) and comes back when all are ready. false: some failed, or nothing
 * happened for 20 seconds. At most options->concurrency are being opened at a time. */
bool pool_open(struct pool *pool, uint32_t first, uint32_t count);

/* One turn: waits up to timeout_ms for events (0: only looks), handles them, sends what was queued. */
void pool_turn(struct pool *pool, int timeout_ms);

/* Starts one client; false: it failed at once. */
bool client_open(struct client *client);

/* Starts the closing handshake; on_closed follows. */
void client_close(struct client *client);

/* Stops or goes on reading. */
void client_mute(struct client *client, bool is_muted);

/* Queues a text frame, or raw bytes for an HTTP client. */
void client_send(struct client *client, struct str text);

/* Queues a publication of `payload` in the client's channel. */
void client_publish(struct client *client, struct str payload);

/* The text of such a publication as every subscriber gets it, with an anonymous publisher's info, for the
 * plain dialect and for comparing sizes. */
void push_text(struct buf *out, const char *channel, struct str payload);

#endif

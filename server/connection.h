/* connection.h - one accepted socket: what it speaks now, its deadlines, its way out.
 *
 *                    ┌─ answer, keep-alive ─┐
 *     accepted ─▶ HTTP ◀────────────────────┘
 *                   ├─ upgrade ─▶ WEBSOCKET ─▶ CLOSING ─▶ DEAD ─▶ freed at the end of the turn
 *                   └─ last answer ──────────▶ CLOSING ─▶ DEAD
 *
 * CLOSING: the last frames go out and what comes in is discarded, until the peer closes or a deadline passes.
 * DEAD: the socket is closed at the end of the turn. Every arrow is connection_set_state(), which refuses
 * others.
 *
 * Writing: connection_send() appends a frame by reference and puts the connection on the worker's dirty list;
 * at the end of the turn everything queued leaves in one system call. Only a short write waits for the
 * socket.
 *
 * Thread: the worker's.   Memory: slab objects in accept order; HTTP state and buffers exist only while
 * needed.
 */
#ifndef STARLING_SERVER_CONNECTION_H
#define STARLING_SERVER_CONNECTION_H

#include "channels/base/buf.h"
#include "channels/base/list.h"
#include "server/address.h"
#include "server/outbox.h"
#include "server/rate.h"
#include "server/timers.h"
#include "server/websocket.h"

struct exchange;
struct lws;
struct peer;
struct session;
struct worker;

enum connection_state { CONNECTION_HTTP, CONNECTION_WEBSOCKET, CONNECTION_CLOSING, CONNECTION_DEAD };

enum connection_pause {
    PAUSE_SESSION = 1 << 0, /* commands wait behind one that is not decided yet */
    PAUSE_OUTBOX = 1 << 1,  /* the peer does not read what it asked for (THREATS S03) */
    PAUSE_HTTP = 1 << 2,    /* requests wait behind one that is not answered yet */
};

enum { CONNECTION_MAGIC = 0x434f4e4e };

struct connection {
    uint32_t magic;
    uint8_t state;   /* enum connection_state */
    bool is_blocked; /* a write was short: wait for connection_on_writable() */
    uint8_t pauses;  /* enum connection_pause: why nothing is read now */
    bool is_tls;
    bool is_internal;    /* came in on the internal port */
    bool is_websocket;   /* CLOSING: a WebSocket, so the peer's close frame is awaited */
    bool is_counted;     /* holds a place in the quota of its address and in server.connection_count */
    bool close_received; /* the peer's close frame has come: drop when ours is out */
    bool is_unreadable;  /* a malformed frame has come: everything after it is read away */
    bool has_shut_write;
    bool is_slow;         /* on worker->slow */
    bool is_delayed;      /* on a list of worker->delays: its frames wait for others */
    bool has_pong_queued; /* while blocked one pong is enough */
    struct worker *worker;
    struct lws *socket; /* NULL once it is closed */
    struct link link;   /* worker->connections */
    struct link dirty;  /* worker->dirty or worker->dead */
    struct timer timer; /* the earliest deadline of everything below */
    struct outbox outbox;
    uint64_t delayed_due_ms;  /* when it is flushed, while is_delayed */
    uint64_t blocked_ms;      /* when the socket last took bytes while it was full; 0: it is not */
    uint64_t closing_due_ms;  /* CLOSING: when to drop */
    struct rate control_rate; /* WebSocket control frames */
    unsigned char address[ADDRESS_BYTES]; /* of the peer; WEBSOCKET: of the client (forwarded.h) */
    struct http_connection *http;         /* while HTTP */
    struct session *session;              /* while WEBSOCKET, unless echo */
    struct websocket_reader reader;
};

/* A socket was accepted. NULL refuses it. */
struct connection *connection_open(struct worker *worker, struct lws *socket, const struct peer *peer);

/* Events of the socket. `bytes` is borrowed and may be changed. false: close the socket now. */
bool connection_on_bytes(struct connection *connection, unsigned char *bytes, size_t len);
bool connection_on_writable(struct connection *connection);
void connection_on_close(struct connection *connection);

/* Queues a frame by reference. On a connection whose socket is full, a frame with a conflation key takes the
 * place of an older one with that key. false: over the bound; nothing was queued. */
bool connection_send(struct connection *connection, struct frame *frame, uint32_t bytes_max);

/* A frame did not fit: the session is closed as slow at the end of the turn, and nothing more is queued. Safe
 * in the middle of a walk. */
void connection_mark_slow(struct connection *connection);

/* Queues bytes that are copied into a frame of their own; no bound but memory. false: no memory, and the
 * connection is being dropped. */
bool connection_send_copy(struct connection *connection, struct str bytes);

/* Writes what is queued: called by the worker at the end of the turn. */
void connection_flush(struct connection *connection);
/* The write delay of what it was sent is over: writes in this turn. */
void connection_end_delay(struct connection *connection);
/* The flush of this turn is over: forgets what was laid side by side for it. */
void connection_flush_done(void);

/* Turns an HTTP connection into a WebSocket whose 101 answer is queued: `session` (taken) gets its messages,
 * or they are echoed where it is NULL. */
void connection_become_websocket(struct connection *connection, struct session *session);

/* Sends a close frame with code and reason (RFC 6455 section 5.5.1) and closes; `drops_queue` forgets what
 * was queued before, because the peer does not read. The session is ended first. */
void connection_close_websocket(struct connection *connection, unsigned code, struct str reason,
                                bool drops_queue);

/* Sends what is queued, then closes: the end of HTTP. */
void connection_finish(struct connection *connection);

/* Closes at the end of this turn, sending nothing more. */
void connection_drop(struct connection *connection);

/* The deadline of the session or of HTTP has moved: set the timer again. */
void connection_schedule(struct connection *connection);

/* Adds or takes away one reason not to read from the peer. */
void connection_pause(struct connection *connection, enum connection_pause reason);
void connection_resume(struct connection *connection, enum connection_pause reason);

/* Sum of all queues over the worker's bound: closes those with the largest queue until it is met. */
void connections_cut_outboxes(struct worker *worker);

#endif

/* worker.h - one thread and everything on it: loop, libwebsockets context, hub, connections, timers.
 *
 * Nothing in a worker is locked, because nobody else may touch it; others reach it by mails (hub_post). A
 * turn is:
 *
 *     events (accept, read, timers) ─▶ hub: own queue and mailbox ─▶ flush touched outboxes ─▶ close and free
 *
 * Everything after the events happens in one ev_prepare watcher, before the loop sleeps: whatever was
 * published in the turn leaves in one system call per connection, and whatever would be unsafe in the middle
 * of a walk (closing, freeing) waits for its place.
 *
 * Thread: worker_start() and worker_stop() on main; worker_wake() on any; the rest on the worker's own.
 */
#ifndef STARLING_SERVER_WORKER_H
#define STARLING_SERVER_WORKER_H

#include "channels/base/list.h"
#include "channels/base/random.h"
#include "channels/base/slab.h"
#include "channels/broker_redis.h"
#include "channels/hub.h"
#include "server/config.h"
#include "server/http.h"
#include "server/lws.h"
#include "server/metrics.h"
#include "server/rate.h"
#include "server/timers.h"
#include "server/websocket.h"

#include <semaphore.h>
#include <stdatomic.h>

struct generation;
struct login_thread;
struct token_verifier;

enum { WRITE_DELAY_MS_MAX = 100 }; /* of the namespace option write_delay */

/* What all workers share: made by main before the first starts, constant afterwards but for the atomics. */
struct server {
    const struct generation *generation; /* the one that workers start with */
    struct worker **workers;
    struct hub **hubs;
    unsigned worker_count;
    char node_id[UUID_TEXT_LEN + 1];
    char node_name[256];
    uint64_t started_monotonic_ms;
    const struct redis_settings *redis; /* NULL: channels live in this process */
    struct login_thread *logins;        /* compares passwords; NULL where nobody signs in by one */
    uint64_t outbox_total_max;          /* bytes queued for all connections of one worker */
    atomic_uint
        connection_count;    /* sessions and handshakes of the whole process; up and down by all workers */
    atomic_bool is_draining; /* readiness is false; set by main */
};

struct worker {
    unsigned index;
    struct server *server;
    const struct config *config; /* of the current generation, as the tokens below */
    const struct token_verifier *connection_tokens, *subscription_tokens;
    struct hub *hub;
    struct redis_options redis; /* what its broker was made with, where that is Redis */
    struct cluster *cluster;    /* other nodes; worker 0 only, NULL where there are none */
    struct front *front;
    struct timers timers;
    uint64_t now_ms;         /* monotonic, of this turn */
    struct link connections; /* struct connection.link, in accept order */
    struct link dirty;       /* struct connection.dirty: has frames that were not tried yet */
    struct link
        delays[WRITE_DELAY_MS_MAX + 1]; /* by write delay: struct connection.dirty, the earliest first */
    struct link dead;                   /* struct connection.dirty: to be closed at the end of the turn */
    struct link slow;  /* struct connection.dirty: refused a frame, to be closed at the end of the turn */
    struct link ended; /* struct session.in_ended: closed, and all its ops are back */
    struct slab connection_slab, session_slab;
    struct webhooks *webhooks;
    struct jwks *connection_jwks,
        *subscription_jwks; /* NULL where no endpoint is configured; may be the same */
    struct users *users;    /* sessions of this worker by user */
    struct quota *quota;    /* counts of which this worker is the home */
    struct routes *routes;
    struct http_client *http; /* NULL once the thread ends */
    struct proxies *proxies;
    struct proxies **old_proxies; /* of older generations: questions may be under way */
    size_t old_proxies_count;
    uint64_t outbox_bytes; /* queued on all connections of this worker */
    bool is_draining;
    bool is_serving;          /* main's: the thread runs */
    uint64_t stalled_ms;      /* when the loop last came back from a stall of more than a second; 0: never */
    uint64_t random_state;    /* of worker_random(): jitter, nothing secret */
    struct rate connect_rate; /* this worker's share of client.connection_rate_limit */
    struct http_limits http_limits;
    struct websocket_limits websocket_limits, echo_limits;
    struct frame *ping_frame, *control_ping_frame; /* {}, and a WebSocket ping */
    void *reserve;                                 /* worker_use_reserve(); NULL while used up */
    struct metrics metrics;
    struct worker_loop *loop; /* libev's part, private to worker.c */
};

enum { TLS_HANDSHAKE_TIMEOUT_S = 5 };

/* Puts a connection on the list of those that are written `delay_ms` from now. */
void worker_delay(struct worker *worker, struct connection *connection, uint32_t delay_ms);

/* Makes a worker that does not run yet and enters it and its hub into server->workers and server->hubs; all
 * are made before the first starts. */
enum status worker_make(struct worker **out, struct server *server, unsigned index);

/* Starts the thread and waits until it serves or has failed; then *error is a static text. The listeners are
 * taken when it serves. */
enum status worker_start(struct worker *worker, const struct listener *listeners, size_t listener_count,
                         const char *tls_cert, const char *tls_key, const char **error);

/* Begins to stop: no new connections; those that are open are closed with 3001 one after the other over
 * `drain_ms`. */
void worker_drain(struct worker *worker, uint64_t drain_ms);

/* Makes the worker use another generation, without a connection noticing; it posts `done` when it does. From
 * main, while the thread runs. false: no memory, and nothing will be posted. */
bool worker_reload(struct worker *worker, const struct generation *generation, sem_t *done);
/* Closes what is left at once and ends the thread. */
void worker_stop(struct worker *worker);
/* Once every worker has stopped: lets the hubs finish what they still owe each other, then frees all workers.
 */
void workers_release(struct server *server);

/* Runs a turn soon. Any thread. */
void worker_wake(void *worker);

/* Memory has run out, and what comes next must not fail: gives back a block that was set aside for this.
 * false: it was used up already; a new one is set aside within a second of there being memory again. */
bool worker_use_reserve(struct worker *worker);

/* 0 … bound - 1, cheap and guessable: for spreading load over time. */
uint64_t worker_random(struct worker *worker, uint64_t bound);

/* The worker whose hub this is: for mails. */
static inline struct worker *worker_of(void *hub)
{
    return (struct worker *)hub_owner((struct hub *)hub);
}

#endif

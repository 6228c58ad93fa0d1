#include "server/worker.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "channels/base/thread_buf.h"
#include "server/auth.h"
#include "server/auth_jwks.h"
#include "server/cluster.h"
#include "server/connection.h"
#include "server/generation.h"
#include "server/http_client.h"
#include "server/protocol.h"
#include "server/proxy.h"
#include "server/quota.h"
#include "server/routes.h"
#include "server/session.h"
#include "server/transport_ws.h"
#include "server/users.h"
#include "server/webhooks.h"

#include <ev.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAILS_PER_TURN = 4096,
    TICK_MS = TIMER_SLOT_MS,
    SECOND_MS = 1000,
    LAG_WINDOW_MS = 10000,
    STALL_MS = 1000, /* a loop that comes back this late has stalled: timeouts of peers start again */
    ECHO_MESSAGE_BYTES_MAX = 16 << 20,
    RESERVE_BYTES = 128 * 1024, /* some hundred requests to leave a channel */
    TRIM_CLOSED_MIN = 1000, /* connections closed since the last trim that make another one worth its time */
};

struct worker_loop {
    struct ev_loop *loop;
    ev_prepare prepare;
    ev_async wake;
    ev_timer tick;
    ev_timer drain;
    ev_timer delay; /* the earliest end of a write delay */
    pthread_t thread;
    uint64_t tick_due_ns; /* when the next tick should run: its lateness is the loop's lag */
    uint64_t second_ms;   /* when the work of every second is due */
    uint64_t lag_window_ms;
    uint64_t
        closed_before; /* connections closed until a second ago: when it stands still, the peak has passed */
    uint64_t closed_trimmed; /* connections closed until memory was last trimmed */
    unsigned drain_slices;   /* how many are left */
    bool stops;
    /* For the start: main waits on `started` and reads what the thread wrote. */
    sem_t started;
    enum status start_status;
    const char *start_error;
    struct front_options front_options;
};

/* ---- the turn ---- */

static bool close_dead(struct worker *worker)
{
    bool has_closed = !list_is_empty(&worker->dead);
    struct link *link;
    while ((link = list_pop_front(&worker->dead)) != NULL) {
        struct connection *connection = container_of(link, struct connection, dirty);
        socket_close(connection->socket); /* connection_on_close() runs inside and frees it */
    }
    return has_closed;
}

static void close_slow(struct worker *worker)
{
    struct link *link;
    while ((link = list_pop_front(&worker->slow)) != NULL) {
        struct connection *connection = container_of(link, struct connection, dirty);
        connection->is_slow = false; /* the close frame goes out where it still fits */
        session_disconnect(connection->session, &DISCONNECT_SLOW);
    }
}

static void flush_dirty(struct worker *worker)
{
    struct link *link;
    while ((link = list_pop_front(&worker->dirty)) != NULL) {
        connection_flush(container_of(link, struct connection, dirty));
    }
    connection_flush_done();
}

static void run_turn(struct worker *worker)
{
    worker->now_ms = clock_monotonic_ms();
    bool has_more, has_closed;
    do {
        has_more = hub_turn(worker->hub, MAILS_PER_TURN);
        if (worker->outbox_bytes > worker->server->outbox_total_max) {
            connections_cut_outboxes(worker);
        }
        close_slow(worker);
        flush_dirty(worker);
        has_closed = close_dead(worker);
        session_free_ended(worker);
        /* Those that closed left their channels: what that asked for runs now, not in the next turn. */
    } while (has_closed && !has_more);
    hub_wake_others(worker->hub);
    if (has_more) {
        worker_wake(worker);
    }
}

static void on_prepare(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    run_turn(watcher->data);
}

static void on_wake(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events; /* the turn that follows does the work */
}

bool worker_use_reserve(struct worker *worker)
{
    bool has_reserve = worker->reserve != NULL;
    free(worker->reserve);
    worker->reserve = NULL;
    return has_reserve;
}

static void every_second(struct worker *worker)
{
    if (worker->reserve == NULL) {
        worker->reserve = malloc(RESERVE_BYTES);
    }
    hub_tick(worker->hub, worker->now_ms);
    quota_tick(worker->quota, worker->now_ms);
    if (worker->index == 0) {
        cluster_tick(worker);
    }
    struct http_counters backends;
    http_client_count(worker->http, &backends);
    worker->metrics.backend_requests_total = backends.requests;
    worker->metrics.backend_answers_total = backends.outcomes[HTTP_OUTCOME_ANSWER];
    worker->metrics.backend_duration_ms_total = backends.duration_ms;
    worker->metrics.backend_in_flight = backends.in_flight;
    worker->metrics.backend_waiting = backends.waiting;
    worker->metrics.accept_pauses_total = worker->front != NULL ? front_accept_pauses(worker->front) : 0;
    if (worker->now_ms - worker->loop->lag_window_ms >= LAG_WINDOW_MS) {
        worker->loop->lag_window_ms = worker->now_ms;
        worker->metrics.loop_lag_us_max = 0;
    }
    /* After many connections have gone their memory goes back to the system, once no more go. */
    uint64_t closed = worker->metrics.connections_accepted_total - worker->metrics.connections_open;
    if (closed == worker->loop->closed_before && closed - worker->loop->closed_trimmed >= TRIM_CLOSED_MIN) {
        worker->loop->closed_trimmed = closed;
        malloc_trim(0);
    }
    worker->loop->closed_before = closed;
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct worker *worker = timer->data;
    uint64_t now_ns = clock_monotonic_ns();
    worker->now_ms = now_ns / 1000000;
    uint64_t lag_us = now_ns > worker->loop->tick_due_ns ? (now_ns - worker->loop->tick_due_ns) / 1000 : 0;
    worker->metrics.loop_lag_us_sum += lag_us;
    worker->metrics.loop_lag_count++;
    if (lag_us > worker->metrics.loop_lag_us_max) {
        worker->metrics.loop_lag_us_max = lag_us;
    }
    if (lag_us > (uint64_t)STALL_MS * 1000) {
        worker->stalled_ms = worker->now_ms;
    }
    worker->loop->tick_due_ns = now_ns + (uint64_t)TICK_MS * 1000000;
    timers_run(&worker->timers, worker->now_ms);
    if (worker->now_ms >= worker->loop->second_ms) {
        worker->loop->second_ms = worker->now_ms + SECOND_MS;
        every_second(worker);
    }
}

/* ---- write delays ---- */

/* Each list is in the order in which its connections are due, because its delay is the same for all. */
static void on_delay(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct worker *worker = timer->data;
    worker->now_ms = clock_monotonic_ms();
    uint64_t next_ms = UINT64_MAX;
    for (size_t i = 0; i <= WRITE_DELAY_MS_MAX; i++) {
        while (!list_is_empty(&worker->delays[i])) {
            struct connection *connection = container_of(worker->delays[i].next, struct connection, dirty);
            if (connection->delayed_due_ms > worker->now_ms) {
                next_ms = connection->delayed_due_ms < next_ms ? connection->delayed_due_ms : next_ms;
                break;
            }
            connection_end_delay(connection);
        }
    }
    if (next_ms != UINT64_MAX) {
        ev_timer_set(timer, (double)(next_ms - worker->now_ms) / 1000., 0.);
        ev_timer_start(loop, timer);
    }
}

void worker_delay(struct worker *worker, struct connection *connection, uint32_t delay_ms)
{
    struct worker_loop *loop = worker->loop;
    must(delay_ms <= WRITE_DELAY_MS_MAX);
    connection->delayed_due_ms = worker->now_ms + delay_ms;
    list_push_back(&worker->delays[delay_ms], &connection->dirty);
    double wait_s = delay_ms / 1000.;
    if (!ev_is_active(&loop->delay)) {
        ev_timer_set(&loop->delay, wait_s, 0.);
        ev_timer_start(loop->loop, &loop->delay);
    } else if (wait_s < ev_timer_remaining(loop->loop, &loop->delay)) {
        ev_timer_stop(loop->loop, &loop->delay);
        ev_timer_set(&loop->delay, wait_s, 0.);
        ev_timer_start(loop->loop, &loop->delay);
    }
}

/* ---- draining ---- */

enum { DRAIN_SLICE_MS = 100 };

static void close_for_shutdown(struct connection *connection)
{
    if (connection->state == CONNECTION_WEBSOCKET) {
        if (connection->session != NULL) {
            session_disconnect(connection->session, &DISCONNECT_SHUTDOWN);
        } else {
            connection_close_websocket(connection, 1001, STR("shutdown"), false);
        }
    } else if (connection->state == CONNECTION_HTTP && connection->outbox.count == 0) {
        connection_finish(connection);
    }
}

/* Closes an equal share of what is left in every slice, so that clients come back spread over the drain time.
 */
static void on_drain(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct worker *worker = timer->data;
    size_t left = list_count(&worker->connections);
    size_t share = worker->loop->drain_slices <= 1
                       ? left
                       : (left + worker->loop->drain_slices - 1) / worker->loop->drain_slices;
    list_each_safe (&worker->connections, link) {
        struct connection *connection = container_of(link, struct connection, link);
        if (share == 0) {
            break;
        }
        if (connection->state <= CONNECTION_WEBSOCKET) {
            close_for_shutdown(connection);
            share--;
        }
    }
    if (worker->loop->drain_slices > 1) {
        worker->loop->drain_slices--;
    } else if (left == 0) {
        ev_timer_stop(loop, timer);
    }
}

struct drain_mail {
    struct mail mail;
    uint64_t drain_ms;
};

static void begin_drain(void *receiver, struct mail *mail)
{
    struct worker *worker = worker_of(receiver);
    struct drain_mail *drain = container_of(mail, struct drain_mail, mail);
    uint64_t slices = drain->drain_ms / DRAIN_SLICE_MS;
    free(drain);
    if (worker->is_draining) {
        return;
    }
    worker->is_draining = true;
    front_stop_accepting(worker->front);
    worker->loop->drain_slices = slices < 1 ? 1 : (unsigned)slices;
    ev_timer_set(&worker->loop->drain, 0., (double)DRAIN_SLICE_MS / 1000.);
    ev_timer_start(worker->loop->loop, &worker->loop->drain);
}

void worker_drain(struct worker *worker, uint64_t drain_ms)
{
    struct drain_mail *drain = calloc(1, sizeof *drain);
    if (drain == NULL) {
        return; /* worker_stop() closes everything at once then */
    }
    drain->drain_ms = drain_ms;
    drain->mail.run = begin_drain;
    if (!hub_post_from_main(worker->hub, &drain->mail)) {
        free(drain);
    }
}

/* ---- start and stop ---- */

void worker_wake(void *worker)
{
    struct worker_loop *loop = ((struct worker *)worker)->loop;
    ev_async_send(loop->loop, &loop->wake);
}

static void start_watchers(struct worker *worker)
{
    struct worker_loop *loop = worker->loop;
    ev_prepare_init(&loop->prepare, on_prepare);
    loop->prepare.data = worker;
    ev_prepare_start(loop->loop, &loop->prepare);
    ev_timer_init(&loop->tick, on_tick, (double)TICK_MS / 1000., (double)TICK_MS / 1000.);
    loop->tick.data = worker;
    ev_timer_start(loop->loop, &loop->tick);
    ev_timer_init(&loop->drain, on_drain, 0., 0.);
    loop->drain.data = worker;
    ev_timer_init(&loop->delay, on_delay, 0., 0.);
    loop->delay.data = worker;
    loop->tick_due_ns = clock_monotonic_ns() + (uint64_t)TICK_MS * 1000000;
    loop->second_ms = loop->lag_window_ms = worker->now_ms;
}

static void close_key_sets(struct worker *worker)
{
    if (worker->subscription_jwks != worker->connection_jwks) {
        jwks_free(worker->subscription_jwks);
    }
    jwks_free(worker->connection_jwks);
    worker->connection_jwks = worker->subscription_jwks = NULL;
}

/* false: no memory, or a URL that libcurl refuses. */
static bool open_key_sets(struct worker *worker)
{
    const struct config *config = worker->config;
    struct token_settings settings;
    bool is_open = true;
    if (config->client_token_jwks_public_endpoint[0] != '\0') {
        token_settings_from_config(config, false, &settings);
        worker->connection_jwks = jwks_new(worker, config->client_token_jwks_public_endpoint,
                                           config->client_token_jwks_cache_ttl_ms, &settings);
        is_open = worker->connection_jwks != NULL;
    }
    if (!config->client_subscription_token_enabled) {
        worker->subscription_jwks = worker->connection_jwks;
    } else if (config->client_subscription_token_jwks_public_endpoint[0] != '\0') {
        token_settings_from_config(config, true, &settings);
        worker->subscription_jwks = jwks_new(worker, config->client_subscription_token_jwks_public_endpoint,
                                             config->client_subscription_token_jwks_cache_ttl_ms, &settings);
        is_open = is_open && worker->subscription_jwks != NULL;
    }
    return is_open;
}

static void end_thread(struct worker *worker)
{
    struct worker_loop *loop = worker->loop;
    front_close(worker->front); /* closes the connections, which leave their channels */
    worker->front = NULL;
    must(list_is_empty(&worker->connections));
    /* Nobody is told what happens from here on. */
    webhooks_free(worker->webhooks);
    worker->webhooks = NULL;
    close_key_sets(worker);
    http_client_free(worker->http); /* sessions that wait for an answer end with it */
    worker->http = NULL;
    ev_timer_stop(loop->loop, &loop->tick);
    ev_timer_stop(loop->loop, &loop->drain);
    ev_timer_stop(loop->loop, &loop->delay);
    ev_prepare_stop(loop->loop, &loop->prepare);
}

static void *run_thread(void *argument)
{
    struct worker *worker = argument;
    struct worker_loop *loop = worker->loop;
    worker->now_ms = clock_monotonic_ms();
    timers_init(&worker->timers, worker->now_ms);
    loop->start_status = front_open(&worker->front, &loop->front_options, &loop->start_error);
    if (loop->start_status == STATUS_OK) {
        start_watchers(worker);
        if (worker->connection_jwks != NULL) {
            jwks_start(worker->connection_jwks);
        }
        if (worker->subscription_jwks != NULL) {
            jwks_start(worker->subscription_jwks);
        }
    }
    bool is_serving = loop->start_status == STATUS_OK;
    sem_post(&loop->started);
    if (!is_serving) {
        return NULL;
    }
    ev_run(loop->loop, 0);
    end_thread(worker);
    thread_bufs_release();
    return NULL;
}

static void stop_mail(void *receiver, struct mail *mail)
{
    struct worker *worker = worker_of(receiver);
    free(mail);
    ev_break(worker->loop->loop, EVBREAK_ALL);
}

static void worker_free(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    webhooks_free(worker->webhooks);
    close_key_sets(worker);
    http_client_free(worker->http);
    proxies_free(worker->proxies);
    for (size_t i = 0; i < worker->old_proxies_count; i++) {
        proxies_free(worker->old_proxies[i]);
    }
    free((void *)worker->old_proxies);
    cluster_free(worker->cluster);
    routes_free(worker->routes);
    quota_free(worker->quota);
    hub_free(worker->hub); /* its broker may have watchers in the loop */
    if (worker->loop != NULL && worker->loop->loop != NULL) {
        ev_async_stop(worker->loop->loop, &worker->loop->wake);
        ev_loop_destroy(worker->loop->loop);
    }
    frame_unref(worker->ping_frame);
    frame_unref(worker->control_ping_frame);
    free(worker->reserve);
    if (worker->users != NULL) {
        users_free(worker->users);
    }
    slab_release(&worker->connection_slab);
    slab_release(&worker->session_slab);
    free(worker->loop);
    free(worker);
}

static void set_limits(struct worker *worker)
{
    const struct config *config = worker->config;
    worker->http_limits = (struct http_limits){
        .request_line_bytes_max = config->limits_http_request_line_size,
        .header_bytes_max = config->limits_http_header_size,
        .headers_bytes_max = config->limits_http_headers_size,
        .header_count_max = config->limits_http_header_count,
        /* The largest of any route; each body is held to its own (http_connection.c). */
        .body_bytes_max = config->limits_http_body_size > config->limits_http_small_body_size
                              ? config->limits_http_body_size
                              : config->limits_http_small_body_size,
    };
    worker->websocket_limits = (struct websocket_limits){
        .message_bytes_max = (uint32_t)config->websocket_message_size_limit,
        .fragments_max =
            (uint16_t)(config->limits_ws_fragments > UINT16_MAX ? UINT16_MAX : config->limits_ws_fragments),
        .empty_fragments_max =
            (uint16_t)(config->limits_ws_empty_fragments > UINT16_MAX ? UINT16_MAX
                                                                      : config->limits_ws_empty_fragments),
    };
    /* Conformance suites send messages of 16 MiB in any number of pieces. */
    worker->echo_limits = (struct websocket_limits){.message_bytes_max = ECHO_MESSAGE_BYTES_MAX,
                                                    .fragments_max = UINT16_MAX,
                                                    .empty_fragments_max = UINT16_MAX};
}

static void on_occupancy(void *owner, struct str channel, bool is_occupied)
{
    struct worker *worker = owner;
    if (worker->webhooks != NULL) {
        webhooks_add(worker->webhooks, is_occupied ? WEBHOOK_OCCUPIED : WEBHOOK_VACATED,
                     &(struct webhook_view){.channel = channel});
    }
}

static void on_published(void *owner, const struct op *op)
{
    struct worker *worker = owner;
    const struct message *message = op->publish.message;
    if (worker->webhooks != NULL) {
        webhooks_add(worker->webhooks, WEBHOOK_PUBLISHED,
                     &(struct webhook_view){.channel = op->channel,
                                            .data = message->data,
                                            .info = message->info,
                                            .offset = message->offset});
    }
}

static void use_generation(struct worker *worker, const struct generation *generation)
{
    worker->config = generation->config;
    worker->connection_tokens = generation->connection_tokens;
    worker->subscription_tokens = generation->subscription_tokens;
}

static struct worker *worker_new(struct server *server, unsigned index)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        return NULL;
    }
    worker->index = index;
    worker->server = server;
    use_generation(worker, server->generation);
    list_init(&worker->connections);
    list_init(&worker->dirty);
    list_init(&worker->dead);
    for (size_t i = 0; i <= WRITE_DELAY_MS_MAX; i++) {
        list_init(&worker->delays[i]);
    }
    list_init(&worker->slow);
    list_init(&worker->ended);
    slab_init(&worker->connection_slab, sizeof(struct connection));
    slab_init(&worker->session_slab, sizeof(struct session));
    worker->users = users_new();
    worker->quota = quota_new();
    worker->routes = routes_new(worker);
    worker->loop = calloc(1, sizeof *worker->loop);
    if (worker->loop != NULL) {
        worker->loop->loop = ev_loop_new(EVFLAG_AUTO);
    }
    if (worker->users == NULL || worker->quota == NULL || worker->routes == NULL || worker->loop == NULL ||
        worker->loop->loop == NULL) {
        worker_free(worker);
        return NULL;
    }
    const char *error;
    worker->http = http_client_new(worker->loop->loop, &error);
    worker->proxies =
        worker->http == NULL ? NULL : proxies_new(worker->config, worker->http, server->worker_count);
    worker->webhooks = worker->http == NULL ? NULL : webhooks_new(worker);
    if (worker->proxies == NULL || worker->webhooks == NULL || !open_key_sets(worker)) {
        log_error("worker_failed",
                  {"reason", log_cstr(worker->http == NULL ? error : "event proxy or webhooks")});
        worker_free(worker);
        return NULL;
    }
    random_bytes(&worker->random_state, sizeof worker->random_state);
    worker->random_state |= 1; /* xorshift never leaves 0 */
    worker->ping_frame = transport_frame(FRAME_WEBSOCKET_JSON, STR("{}"));
    worker->control_ping_frame = frame_new(WEBSOCKET_HEAD_MAX);
    if (worker->control_ping_frame != NULL) {
        worker->control_ping_frame->len =
            (uint32_t)websocket_head(worker->control_ping_frame->bytes, WEBSOCKET_OPCODE_PING, true, 0);
    }
    if (worker->ping_frame == NULL || worker->control_ping_frame == NULL) {
        worker_free(worker);
        return NULL;
    }
    set_limits(worker);
    rate_init(&worker->connect_rate, worker->config->client_connection_rate_limit, 0);
    ev_async_init(&worker->loop->wake, on_wake);
    ev_async_start(worker->loop->loop, &worker->loop->wake);
    worker->redis = (struct redis_options){
        .settings = server->redis, .loop = worker->loop->loop, .worker = index, .owner = worker};
    if (index == 0) { /* one of the process listens to what other nodes ask for */
        worker->redis.on_control = cluster_on_message;
        worker->redis.on_control_missed = cluster_on_missed;
    }
    const struct hub_options options = {
        .index = index,
        .worker_count = server->worker_count,
        .hubs = server->hubs,
        .mails_max = worker->config->limits_mailbox_size,
        .owner = worker,
        .wake = worker_wake,
        .encode = transport_encode,
        .on_occupancy = webhooks_want(worker->webhooks, WEBHOOK_OCCUPIED) ||
                                webhooks_want(worker->webhooks, WEBHOOK_VACATED)
                            ? on_occupancy
                            : NULL,
        .on_published = webhooks_want(worker->webhooks, WEBHOOK_PUBLISHED) ? on_published : NULL,
        .broker_limits = {.streams_max = worker->config->limits_streams_max / server->worker_count + 1,
                          .history_bytes_max = worker->config->limits_history_total / server->worker_count},
        .broker_new = server->redis != NULL ? broker_redis_new : broker_memory_new,
        .broker_context = &worker->redis,
    };
    worker->hub = hub_new(&options);
    if (worker->hub == NULL) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

enum status worker_make(struct worker **out, struct server *server, unsigned index)
{
    struct worker *worker = worker_new(server, index);
    if (worker == NULL) {
        return STATUS_NO_MEMORY;
    }
    server->workers[index] = worker;
    server->hubs[index] = worker->hub;
    *out = worker;
    return STATUS_OK;
}

enum status worker_start(struct worker *worker, const struct listener *listeners, size_t listener_count,
                         const char *tls_cert, const char *tls_key, const char **error)
{
    struct worker_loop *loop = worker->loop;
    loop->front_options = (struct front_options){
        .worker = worker,
        .loop = loop->loop,
        .listeners = listeners,
        .listener_count = listener_count,
        .tls_cert = tls_cert,
        .tls_key = tls_key,
        .accepts_per_turn = worker->config->limits_accepts_per_turn,
        .tls_handshake_timeout_s = TLS_HANDSHAKE_TIMEOUT_S,
    };
    sem_init(&loop->started, 0, 0);
    if (pthread_create(&loop->thread, NULL, run_thread, worker) != 0) {
        *error = "cannot create a thread";
        return STATUS_NO_MEMORY;
    }
    while (sem_wait(&loop->started) != 0) {
        /* interrupted by a signal */
    }
    if (loop->start_status != STATUS_OK) {
        *error = loop->start_error;
        pthread_join(loop->thread, NULL);
        return loop->start_status;
    }
    worker->is_serving = true;
    return STATUS_OK;
}

void worker_stop(struct worker *worker)
{
    if (!worker->is_serving) {
        return;
    }
    struct mail *mail = calloc(1, sizeof *mail);
    must(mail != NULL);
    mail->run = stop_mail;
    while (!hub_post_from_main(worker->hub, mail)) {
        sched_yield(); /* the worker is busy with a full mailbox, and empties it */
    }
    pthread_join(worker->loop->thread, NULL);
    worker->is_serving = false;
}

void workers_release(struct server *server)
{
    /* Sessions that closed at the end have asked their channels' homes to forget them. No thread runs any
     * more, so this one lets the hubs take turns until none has anything to say. */
    enum { ROUNDS = 8 }; /* leaving is a mail to the home and one back; joins and leaves announce once more */
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (server->hubs[i] != NULL) {
            hub_stop(server->hubs[i]);
        }
    }
    bool has_more = true;
    for (int round = 0; has_more || round < ROUNDS; round++) {
        has_more = false;
        for (unsigned i = 0; i < server->worker_count; i++) {
            if (server->hubs[i] != NULL) {
                has_more = hub_turn(server->hubs[i], MAILS_PER_TURN) || has_more;
            }
        }
    }
    for (unsigned i = 0; i < server->worker_count; i++) {
        session_free_ended(server->workers[i]);
        worker_free(server->workers[i]);
        server->workers[i] = NULL;
        server->hubs[i] = NULL;
    }
    thread_bufs_release();
}

/* ---- a new configuration ---- */

struct generation_mail {
    struct mail mail;
    const struct generation *generation;
    sem_t *done;
};

static const struct channel_options *resolve_options(void *context, struct str channel)
{
    const struct worker *worker = context;
    const struct channel_options *options;
    enum status status = channel_rules_resolve(&worker->config->channels, channel, &options);
    return status == STATUS_OK ? options : NULL;
}

/* Requests are under way that point to the old ones, which therefore stay. */
static void renew_routes(struct worker *worker)
{
    struct routes *routes = routes_new(worker);
    if (routes == NULL) {
        log_error("reload_incomplete", {"kept", log_cstr("routes")});
        return;
    }
    routes_keep(routes, worker->routes);
    worker->routes = routes;
}

static void renew_proxies(struct worker *worker)
{
    struct proxies *proxies = proxies_new(worker->config, worker->http, worker->server->worker_count);
    struct proxies **old = NULL;
    if (proxies != NULL) {
        old = (struct proxies **)realloc((void *)worker->old_proxies,
                                         (worker->old_proxies_count + 1) * sizeof *old);
    }
    if (old == NULL) {
        proxies_free(proxies);
        log_error("reload_incomplete", {"kept", log_cstr("event proxy")});
        return;
    }
    worker->old_proxies = old;
    worker->old_proxies[worker->old_proxies_count++] = worker->proxies;
    worker->proxies = proxies;
}

static void take_generation(void *receiver, struct mail *mail)
{
    struct worker *worker = worker_of(receiver);
    struct generation_mail *news = container_of(mail, struct generation_mail, mail);
    const struct generation *generation = news->generation;
    const char *error;
    use_generation(worker, generation);
    set_limits(worker);
    renew_routes(worker);
    renew_proxies(worker);
    hub_reconfigure(worker->hub, resolve_options, worker);
    if (generation->tls_cert != NULL &&
        !front_use_certificate(worker->front, generation->tls_cert, generation->tls_key, &error)) {
        log_error("reload_incomplete", {"kept", log_cstr("certificate")}, {"reason", log_cstr(error)});
    }
    sem_post(news->done);
    free(news);
}

bool worker_reload(struct worker *worker, const struct generation *generation, sem_t *done)
{
    struct generation_mail *news = calloc(1, sizeof *news);
    if (news == NULL) {
        return false;
    }
    *news =
        (struct generation_mail){.mail = {.run = take_generation}, .generation = generation, .done = done};
    while (!hub_post_from_main(worker->hub, &news->mail)) {
        sched_yield(); /* the worker is busy with a full mailbox, and empties it */
    }
    return true;
}

uint64_t worker_random(struct worker *worker, uint64_t bound)
{
    uint64_t x = worker->random_state; /* xorshift64 (Marsaglia) */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    worker->random_state = x;
    return x % bound;
}

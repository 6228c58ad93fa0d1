#include "server/serve.h"

#include "channels/base/clock.h"
#include "channels/base/hash.h"
#include "channels/base/log.h"
#include "server/engine.h"
#include "server/feed.h"
#include "server/generation.h"
#include "server/listen.h"
#include "server/login_thread.h"
#include "server/notify.h"
#include "server/version.h"
#include "server/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    DESCRIPTORS_RESERVE = 256, /* beside client connections: listeners, loops, log, API calls */
    STOP_POLL_MS = 20,         /* how often the end of the drain is looked for */
};

struct serving {
    struct config *config;
    struct server server;
    const struct config_source *source;
    struct generation *generation; /* the newest; `config` is its own */
    uint16_t port, internal_port;
    struct redis_settings *redis;
    struct feed *feed;
    sigset_t signals;
};

static bool fail(const char *what, const char *why)
{
    fprintf(stderr, "error: %s: %s\n", what, why);
    return false;
}

/* ---- before the workers ---- */

/* Where the log goes; -1: errno says why not. */
static int open_log_file(const struct config *config)
{
    return config->log_file[0] == '\0'
               ? STDOUT_FILENO
               : open(config->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

static enum log_format log_format_for(const struct config *config, int fd)
{
    bool is_text =
        config->log_format == CONFIG_LOG_TEXT || (config->log_format == CONFIG_LOG_AUTO && isatty(fd));
    return is_text ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
}

static bool open_log(const struct config *config)
{
    int fd = open_log_file(config);
    if (fd < 0) {
        return fail(config->log_file, strerror(errno));
    }
    log_open(fd, config->log_level, log_format_for(config, fd));
    return true;
}

static bool reopen_log(const struct config *config, struct buf *why)
{
    int fd = open_log_file(config);
    if (fd < 0 || !log_switch(fd, config->log_level, log_format_for(config, fd))) {
        buf_printf(why, "log.file: %s: %s", config->log_file, strerror(errno));
        return false;
    }
    return true;
}

/* As many descriptors as the configuration can use, no more: libwebsockets keeps a table of that length. */
static void raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    rlim_t wanted = (rlim_t)config->client_connection_limit + DESCRIPTORS_RESERVE;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted) {
        log_warn("descriptor_limit", {"limit", log_u64(limit.rlim_cur)},
                 {"needed_for_client_connection_limit", log_u64(wanted)});
    }
}

static bool prepare(struct serving *serving)
{
    const struct config *config = serving->config;
    struct server *server = &serving->server;
    if (!open_log(config)) {
        return false;
    }
    raise_descriptor_limit(config);
    struct buf why = {0};
    serving->generation = generation_first(serving->config, &why);
    if (serving->generation == NULL) {
        fprintf(stderr, "error: %.*s\n", STR_ARG(buf_str(&why)));
        buf_release(&why);
        return false;
    }
    if (config->admin_enabled) {
        server->logins = login_thread_start(config->admin_user, config->admin_password_hash);
        if (server->logins == NULL) {
            return fail("start", "cannot create a thread");
        }
    }
    if (!engine_open(&serving->redis, config)) {
        return false;
    }
    server->redis = serving->redis;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned per_core = cores < 1 ? 1 : cores > LIMIT_WORKERS ? LIMIT_WORKERS : (unsigned)cores;
    server->worker_count = config->http_server_workers > 0 ? config->http_server_workers : per_core;
    server->generation = serving->generation;
    server->started_monotonic_ms = clock_monotonic_ms();
    server->outbox_total_max = config->limits_outbox_total / server->worker_count;
    random_uuid(server->node_id);
    server->workers = calloc(server->worker_count, sizeof(struct worker *));
    server->hubs = calloc(server->worker_count, sizeof(struct hub *));
    serving->port = (uint16_t)config->http_server_port;
    serving->internal_port = (uint16_t)config->http_server_internal_port;
    return server->workers != NULL && server->hubs != NULL ? true : fail("start", "no memory");
}

static void name_node(struct serving *serving)
{
    struct server *server = &serving->server;
    if (serving->config->node_name[0] != '\0') {
        snprintf(server->node_name, sizeof server->node_name, "%s", serving->config->node_name);
    } else {
        char host[128] = "localhost";
        (void)gethostname(host, sizeof host - 1);
        snprintf(server->node_name, sizeof server->node_name, "%s_%u", host, serving->port);
    }
}

/* ---- the workers ---- */

static bool start_workers(struct serving *serving)
{
    struct server *server = &serving->server;
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct worker *worker;
        if (worker_make(&worker, server, i) != STATUS_OK) {
            return fail("start", "no memory");
        }
    }
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct listeners listeners;
        char text[256];
        if (!listeners_open(&listeners, serving->config, &serving->port, &serving->internal_port, i == 0,
                            text, sizeof text)) {
            fprintf(stderr, "error: %s\n", text);
            return false;
        }
        if (i == 0) {
            name_node(serving);
        }
        const char *error = "";
        if (worker_start(server->workers[i], listeners.at, listeners.count, serving->generation->tls_cert,
                         serving->generation->tls_key, &error) != STATUS_OK) {
            listeners_close(&listeners);
            return fail("start", error);
        }
    }
    return true;
}

static void stop_workers(struct serving *serving)
{
    struct server *server = &serving->server;
    for (unsigned i = 0; i < server->worker_count && server->workers != NULL; i++) {
        if (server->workers[i] != NULL) {
            worker_stop(server->workers[i]);
        }
    }
    login_thread_stop(server->logins);
    if (server->workers != NULL && server->hubs != NULL) {
        workers_release(server);
    }
}

/* ---- signals ---- */

/* Blocked in every thread (they inherit it), taken by main with sigtimedwait: no handler runs in the middle
 * of anything. SIGPIPE is ignored: a peer that has gone is an error of send(). */
static void block_signals(struct serving *serving)
{
    sigemptyset(&serving->signals);
    sigaddset(&serving->signals, SIGTERM);
    sigaddset(&serving->signals, SIGINT);
    sigaddset(&serving->signals, SIGHUP);
    sigaddset(&serving->signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &serving->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Waits up to `wait_ms` for a signal; 0 when none came. */
static int wait_signal(const struct serving *serving, uint64_t wait_ms)
{
    const struct timespec wait = {.tv_sec = (time_t)(wait_ms / 1000),
                                  .tv_nsec = (long)(wait_ms % 1000) * 1000000};
    int number = sigtimedwait(&serving->signals, NULL, &wait);
    return number > 0 ? number : 0;
}

/* Every worker takes the generation in a turn of its own; a reload is done when all have. */
static void hand_out(struct serving *serving)
{
    struct server *server = &serving->server;
    sem_t done;
    unsigned told = 0;
    sem_init(&done, 0, 0);
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (worker_reload(server->workers[i], serving->generation, &done)) {
            told++;
        } else {
            log_error("reload_incomplete", {"worker", log_u64(i)}, {"reason", log_cstr("no memory")});
        }
    }
    for (unsigned i = 0; i < told; i++) {
        while (sem_wait(&done) != 0) {
            /* interrupted by a signal */
        }
    }
    sem_destroy(&done);
}

static void reload(struct serving *serving)
{
    struct buf why = {0};
    notify_reloading();
    struct generation *next = generation_next(serving->generation, serving->source, &why);
    if (next != NULL && !reopen_log(next->config, &why)) {
        next->older = NULL; /* those go on */
        generation_free(next);
        next = NULL;
    }
    if (next == NULL) {
        log_error("config_refused", {"reason", log_text(buf_str(&why))});
    } else {
        serving->generation = next;
        serving->config = next->config;
        hand_out(serving);
        log_info("config_reloaded", {"generation", log_u64(next->number)});
    }
    buf_release(&why);
    notify_ready();
}

static void rotate_log(const struct serving *serving)
{
    struct buf why = {0};
    if (!reopen_log(serving->config, &why)) {
        log_error("log_not_reopened", {"reason", log_text(buf_str(&why))});
    }
    buf_release(&why);
}

static void run_until_signal(struct serving *serving)
{
    enum { LOOK_MS = 1000 };
    int number = 0;
    bool has_terminal = isatty(STDOUT_FILENO);
    while (number != SIGTERM && number != SIGINT) {
        notify_watchdog();
        number = wait_signal(serving, LOOK_MS);
        if (number == SIGHUP && has_terminal && !isatty(STDOUT_FILENO)) {
            break; /* somebody's window was closed: nobody wants a reload */
        }
        if (number == SIGHUP) {
            reload(serving);
        } else if (number == SIGUSR1) {
            rotate_log(serving);
        }
    }
    log_info("stopping", {"signal", log_cstr(strsignal(number))},
             {"drain_ms", log_u64(serving->config->shutdown_drain_ms)});
}

static void drain(struct serving *serving)
{
    struct server *server = &serving->server;
    const struct config *config = serving->config;
    uint64_t drain_ms = config->shutdown_drain_ms < config->shutdown_timeout_ms ? config->shutdown_drain_ms
                                                                                : config->shutdown_timeout_ms;
    uint64_t end_ms = clock_monotonic_ms() + config->shutdown_timeout_ms;
    notify_stopping();
    atomic_store_explicit(&server->is_draining, true, memory_order_relaxed);
    for (unsigned i = 0; i < server->worker_count; i++) {
        worker_drain(server->workers[i], drain_ms);
    }
    while (atomic_load_explicit(&server->connection_count, memory_order_relaxed) > 0 &&
           clock_monotonic_ms() < end_ms) {
        int number = wait_signal(serving, STOP_POLL_MS);
        if (number == SIGTERM || number == SIGINT) {
            log_info("stopping_at_once", {"clients", log_u64(server->connection_count)});
            return;
        }
    }
}

/* ---- what a person sees first ---- */

static void print_ready(const struct serving *serving)
{
    const struct config *config = serving->config;
    const char *scheme = config->http_server_tls_enabled ? "s" : "";
    bool has_address = config->http_server_address.count > 0;
    struct str host = has_address ? config->http_server_address.at[0] : STR("127.0.0.1");
    bool is_v6 = str_find(host, ':') >= 0;
    const char *open = is_v6 ? "[" : "", *close = is_v6 ? "]" : "";
    unsigned port = serving->port;
    log_info("ready", {"address", log_text(has_address ? host : STR("*"))}, {"port", log_u64(port)},
             {"workers", log_u64(serving->server.worker_count)}, {"version", log_cstr(STARLING_VERSION)});
    if (!config->is_dev) {
        return;
    }
    printf("\n"
           "  ready  http%s://%s%.*s%s:%u/   chat: /chat   live feed: /feed\n"
           "  ws     ws%s://%s%.*s%s:%u%s\n"
           "  try    curl http%s://%s%.*s%s:%u/api/publish -d "
           "'{\"channel\":\"chat:lobby\",\"data\":{\"text\":\"hello\"}}'\n"
           "         dev mode: no authentication, loopback only; Ctrl+C stops it\n\n",
           scheme, open, STR_ARG(host), close, port, scheme, open, STR_ARG(host), close, port,
           config->websocket_handler_prefix, scheme, open, STR_ARG(host), close, port);
    fflush(stdout);
}

static bool write_pid_file(const char *path)
{
    if (path[0] == '\0') {
        return true;
    }
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return fail(path, strerror(errno));
    }
    fprintf(file, "%ld\n", (long)getpid());
    return fclose(file) == 0 ? true : fail(path, strerror(errno));
}

int serve_run(struct config *config, const struct config_source *source)
{
    struct serving serving = {.config = config, .source = source};
    hash_seed();
    block_signals(&serving);
    bool is_up = prepare(&serving) && start_workers(&serving) && write_pid_file(config->pid_file);
    if (is_up) {
        if (config->is_dev) {
            serving.feed = feed_start(&serving.server);
        }
        print_ready(&serving);
        notify_ready();
        run_until_signal(&serving);
        feed_stop(serving.feed);
        drain(&serving);
    }
    stop_workers(&serving);
    if (is_up && config->pid_file[0] != '\0') {
        (void)unlink(config->pid_file);
    }
    engine_close(serving.redis);
    free(serving.server.workers);
    free(serving.server.hubs);
    if (is_up) {
        log_info("stopped");
    }
    generation_free(serving.generation);
    return is_up ? 0 : 1;
}

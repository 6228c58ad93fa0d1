#include "server/health.h"

#include "channels/base/buf.h"
#include "channels/base/must.h"
#include "server/exchange.h"
#include "server/gather.h"
#include "server/timers.h"
#include "server/worker.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *const JSON_TYPE = "application/json";

/* One question to all workers. It outlives its answer to the peer where a worker does not answer in time. */
struct readiness {
    struct timer timer;
    struct worker *worker;
    struct exchange *exchange; /* NULL once it is answered */
    struct gather *gather;
    bool is_broker_away; /* some worker's says so */
};

/* ---- the body ---- */

static const char *bool_text(bool value)
{
    return value ? "true" : "false";
}

bool health_print(struct buf *out, const struct health *health)
{
    bool is_up = !health->is_draining;
    bool has_descriptors =
        health->max_fds == 0 || health->open_fds + READY_DESCRIPTORS_MIN <= health->max_fds;
    bool have_answered = health->workers_answered == health->worker_count;
    bool is_ready = is_up && has_descriptors && have_answered && !health->is_broker_away;
    buf_printf(out, "{\"ready\":%s,\"checks\":{\"draining\":{\"ok\":%s}", bool_text(is_ready),
               bool_text(is_up));
    buf_printf(out, ",\"descriptors\":{\"ok\":%s,\"open\":%" PRIu64 ",\"max\":%" PRIu64 "}",
               bool_text(has_descriptors), health->open_fds, health->max_fds);
    buf_printf(out, ",\"broker\":{\"ok\":%s}", bool_text(!health->is_broker_away));
    buf_printf(out, ",\"workers\":{\"ok\":%s,\"answered\":%u,\"count\":%u}}}", bool_text(have_answered),
               health->workers_answered, health->worker_count);
    return is_ready;
}

/* ---- /ready ---- */

static void answer(struct readiness *readiness)
{
    const struct server *server = readiness->worker->server;
    struct metrics_process process = {0};
    metrics_read_process(&process);
    const struct health health = {
        .is_draining = atomic_load_explicit(&server->is_draining, memory_order_relaxed) ||
                       readiness->worker->is_draining,
        .open_fds = process.open_fds,
        .max_fds = process.max_fds,
        .workers_answered = gather_answered_count(readiness->gather),
        .is_broker_away = readiness->is_broker_away,
        .worker_count = server->worker_count,
    };
    struct buf out = {0};
    bool is_ready = health_print(&out, &health) && !out.failed;
    exchange_respond(readiness->exchange, is_ready ? 200 : 503, JSON_TYPE, buf_str(&out));
    readiness->exchange = NULL;
    buf_release(&out);
}

/* What a worker answers; that it does is an answer too. */
struct opinion {
    bool is_broker_away;
};

static void visit(struct worker *there, const void *question, void *answer_out)
{
    (void)question;
    struct opinion *opinion = answer_out;
    struct broker *broker = hub_broker(there->hub);
    struct broker_report report = {.is_ready = true};
    if (broker->ops->report != NULL) {
        broker->ops->report(broker, &report);
    }
    opinion->is_broker_away = !report.is_ready;
}

static void on_all_back(struct gather *gather, void *context)
{
    struct readiness *readiness = context;
    for (unsigned i = 0; i < gather_count(gather); i++) {
        const struct opinion *opinion = gather_answer(gather, i);
        readiness->is_broker_away = readiness->is_broker_away || (opinion != NULL && opinion->is_broker_away);
    }
    timer_cancel(&readiness->worker->timers, &readiness->timer);
    if (readiness->exchange != NULL) {
        answer(readiness);
    }
    free(readiness);
}

static void on_timeout(struct timer *timer)
{
    answer(container_of(timer, struct readiness, timer));
}

static void handle_ready(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    struct readiness *readiness = calloc(1, sizeof *readiness);
    if (readiness == NULL) {
        exchange_refuse(exchange, 503, NULL);
        return;
    }
    readiness->worker = worker;
    readiness->exchange = exchange;
    timer_init(&readiness->timer, on_timeout);
    /* Urgent: a full mailbox alone is no reason to take the node out. */
    readiness->gather = gather_start(worker, &(struct gather_options){.visit = visit,
                                                                      .done = on_all_back,
                                                                      .context = readiness,
                                                                      .answer_bytes = sizeof(struct opinion),
                                                                      .is_urgent = true});
    if (readiness->gather == NULL) {
        free(readiness);
        exchange_refuse(exchange, 503, NULL);
        return;
    }
    timer_set(&worker->timers, &readiness->timer, worker->now_ms + READY_TIMEOUT_MS);
}

/* ---- handlers ---- */

void init_handle(struct exchange *exchange)
{
    exchange_respond(exchange, 200, JSON_TYPE, STR("{}"));
}

void health_handle(struct exchange *exchange)
{
    struct str path =
        str_skip(exchange->request.path, strlen(exchange->worker->config->health_handler_prefix));
    if (path.len == 0 || str_is(path, "/live")) {
        exchange_respond(exchange, 200, JSON_TYPE, STR("{}"));
    } else if (str_is(path, "/ready")) {
        handle_ready(exchange);
    } else {
        exchange_refuse(exchange, 404, NULL);
    }
}

#include "tests/bench/scenario.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"

#include <stdio.h>
#include <stdlib.h>

/* The plain dialect echoes a text as long as the usual reply; there the kind of request makes no difference.
 */

struct request {
    const struct options *options;
    struct pool pool;
    struct latency latency;
    uint64_t *sent_ns; /* for each connection; 0: nothing outstanding */
    uint32_t outstanding;
    uint64_t answered, errors, mismatched;
    bool is_asking, is_measuring;
};

static void ask(struct request *request, struct client *client)
{
    struct buf text = {0};
    const char *kind = request->options->request;
    if (request->options->dialect == DIALECT_PLAIN) {
        buf_printf(&text, "E{\"history\":{\"publications\":[],\"epoch\":\"abcdefgh\",\"offset\":0}}");
    } else if (str_is(STR("history"), kind)) {
        buf_printf(&text, "{\"id\":%u,\"history\":{\"channel\":\"%s\",\"limit\":0}}", ++client->last_id,
                   client->channel);
    } else if (str_is(STR("rpc"), kind)) {
        buf_printf(&text, "{\"id\":%u,\"rpc\":{\"method\":\"ping\",\"data\":{}}}", ++client->last_id);
    } else if (str_is(STR("publish"), kind)) {
        buf_printf(&text, "{\"id\":%u,\"publish\":{\"channel\":\"%snobody\",\"data\":{\"n\":1}}}",
                   ++client->last_id, request->options->prefix);
    } else {
        buf_printf(&text, "{\"id\":%u,\"presence_stats\":{\"channel\":\"%s\"}}", ++client->last_id,
                   client->channel);
    }
    request->sent_ns[client->index] = clock_monotonic_ns();
    request->outstanding++;
    client_send(client, buf_str(&text));
    buf_release(&text);
}

static void on_reply(struct client *client, uint32_t id, bool is_error)
{
    struct request *request = client->pool->scenario;
    uint64_t *sent_ns = &request->sent_ns[client->index];
    if (*sent_ns == 0 || id != client->last_id) {
        request->mismatched++;
        return;
    }
    if (request->is_measuring) {
        latency_add(&request->latency, clock_monotonic_ns() - *sent_ns);
    }
    *sent_ns = 0;
    request->outstanding--;
    request->answered++;
    request->errors += is_error ? 1 : 0;
    if (request->is_asking) {
        ask(request, client);
    }
}

static void run(struct request *request, double seconds)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(seconds * 1e9);
    request->is_asking = true;
    for (uint32_t i = 0; i < request->pool.count; i++) {
        ask(request, &request->pool.clients[i]);
    }
    while (clock_monotonic_ns() < end_ns) {
        pool_turn(&request->pool, 10);
    }
    request->is_asking = false;
    uint64_t until_ms = clock_monotonic_ms() + request->options->patience_ms;
    while (request->outstanding > 0 && clock_monotonic_ms() < until_ms) {
        pool_turn(&request->pool, 10);
    }
}

void scenario_request(const struct options *options, struct report *report)
{
    static const struct pool_ops ops = {.on_reply = on_reply};
    struct request *request = calloc(1, sizeof *request);
    must(request != NULL);
    char channel[64];
    (void)snprintf(channel, sizeof channel, "%srequest", options->prefix);
    *request = (struct request){.options = options};
    request->sent_ns = calloc(options->connections, sizeof *request->sent_ns);
    must(request->sent_ns != NULL);
    pool_init(&request->pool, options, options->connections, &ops, request);
    for (uint32_t i = 0; i < request->pool.count; i++) {
        request->pool.clients[i].channel = channel;
        request->pool.clients[i].subscribes = true;
    }
    if (pool_open(&request->pool, 0, request->pool.count)) {
        struct window window;
        run(request, options->warmup_seconds);
        uint64_t answered = request->answered;
        request->is_measuring = true;
        window_open(&window, options);
        run(request, options->seconds);
        window_close(&window);
        window_report(&window, report, (double)(request->answered - answered));
        report_latency(report, &request->latency);
    }
    report_add_zero(report, "unanswered", request->outstanding);
    report_add_zero(report, "mismatched", (double)request->mismatched);
    report_add_zero(report, "errors", (double)request->errors);
    report_pool(report, &request->pool);
    pool_release(&request->pool);
    free(request->sent_ns);
    free(request);
}

#include "tests/bench/scenario.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "tests/bench/payload.h"

#include <stdio.h>
#include <stdlib.h>

/* Keep-alive HTTP connections, one request outstanding on each, and one subscriber that must get every
 * publication: in order for each connection. The plain dialect has no subscriber: there a POST is only
 * answered. */

struct api {
    const struct options *options;
    struct pool pool;
    struct buf payload;
    char channel[64];
    struct sequence *sequences; /* of the one subscriber, one for each HTTP connection */
    uint32_t *published;
    uint64_t *sent_ns;
    struct tally tally;
    struct latency latency;
    uint32_t posters, outstanding;
    uint64_t posted, answered, errors;
    bool is_posting, is_measuring;
};

static void post(struct api *api, struct client *client)
{
    struct buf body = {0}, text = {0};
    struct payload values = {.publisher = client->index,
                             .number = api->published[client->index]++,
                             .sent_ns = clock_monotonic_ns()};
    payload_write(&api->payload, &values);
    buf_printf(&body, "{\"channel\":\"%s\",\"data\":", api->channel);
    buf_append_str(&body, buf_str(&api->payload));
    buf_append_lit(&body, "}");
    buf_printf(&text,
               "POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n",
               body.len);
    buf_append_str(&text, buf_str(&body));
    api->sent_ns[client->index] = values.sent_ns;
    api->outstanding++;
    api->posted++;
    client_send(client, buf_str(&text));
    buf_release(&body);
    buf_release(&text);
}

static void on_http(struct client *client, int status, struct str body)
{
    struct api *api = client->pool->scenario;
    bool is_right = status == 200 && str_starts_with(body, STR("{\"result\":"));
    if (!is_right && api->errors == 0) {
        fprintf(stderr, "load: the API answered %d\n", status);
    }
    api->errors += is_right ? 0 : 1;
    api->answered++;
    api->outstanding--;
    if (api->is_measuring) {
        latency_add(&api->latency, clock_monotonic_ns() - api->sent_ns[client->index]);
    }
    if (api->is_posting) {
        post(api, client);
    }
}

static void on_push(struct client *client, struct str data)
{
    struct api *api = client->pool->scenario;
    struct payload got;
    if (!payload_read(data, &api->payload, &got) || got.publisher >= api->posters) {
        api->tally.corrupt++;
        return;
    }
    (void)sequence_take(&api->sequences[got.publisher], &api->tally, got.number);
}

static void run(struct api *api, double seconds)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(seconds * 1e9);
    api->is_posting = true;
    for (uint32_t i = 0; i < api->posters; i++) {
        post(api, &api->pool.clients[i]);
    }
    while (clock_monotonic_ns() < end_ns) {
        pool_turn(&api->pool, 10);
    }
    api->is_posting = false;
    bool has_subscriber = api->pool.count > api->posters;
    uint64_t until_ms = clock_monotonic_ms() + api->options->patience_ms;
    while ((api->outstanding > 0 || (has_subscriber && api->tally.delivered < api->posted)) &&
           clock_monotonic_ms() < until_ms) {
        pool_turn(&api->pool, 10);
    }
}

static void api_open(struct api *api, const struct options *options)
{
    static const struct pool_ops ops = {.on_http = on_http, .on_push = on_push};
    uint32_t subscribers = options->dialect == DIALECT_PLAIN ? 0 : 1;
    *api = (struct api){.options = options,
                        .posters = options->connections,
                        .payload = payload_template(options->payload_bytes)};
    (void)snprintf(api->channel, sizeof api->channel, "%sapi", options->prefix);
    api->sequences = calloc(api->posters, sizeof *api->sequences);
    api->published = calloc(api->posters, sizeof *api->published);
    api->sent_ns = calloc(api->posters, sizeof *api->sent_ns);
    must(api->sequences != NULL);
    must(api->published != NULL);
    must(api->sent_ns != NULL);
    pool_init(&api->pool, options, api->posters + subscribers, &ops, api);
    for (uint32_t i = 0; i < api->pool.count; i++) {
        struct client *client = &api->pool.clients[i];
        client->kind = i < api->posters ? CLIENT_HTTP : CLIENT_WEBSOCKET;
        client->channel = api->channel;
        client->subscribes = true;
    }
}

void scenario_api(const struct options *options, struct report *report)
{
    struct api *api = calloc(1, sizeof *api);
    must(api != NULL);
    api_open(api, options);
    if (pool_open(&api->pool, 0, api->pool.count)) {
        struct window window;
        run(api, options->warmup_seconds);
        uint64_t answered = api->answered;
        api->is_measuring = true;
        window_open(&window, options);
        run(api, options->seconds);
        window_close(&window);
        window_report(&window, report, (double)(api->answered - answered));
        report_latency(report, &api->latency);
        for (uint32_t i = 0; i < api->posters && api->pool.count > api->posters; i++) {
            sequence_end(&api->sequences[i], &api->tally, api->published[i]);
        }
    }
    report_tally(report, &api->tally);
    report_add_zero(report, "unanswered", api->outstanding);
    report_add_zero(report, "errors", (double)api->errors);
    report_pool(report, &api->pool);
    pool_release(&api->pool);
    buf_release(&api->payload);
    free(api->sequences);
    free(api->published);
    free(api->sent_ns);
    free(api);
}

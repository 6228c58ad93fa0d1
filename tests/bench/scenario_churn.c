#include "tests/bench/scenario.h"

#include "channels/base/clock.h"

#include <stdio.h>

enum {
    PATIENCE_MS = 5000,
};

struct churn {
    struct pool pool;
    uint64_t started, finished, wanted;
    uint64_t moved_ms;
};

static void on_ready(struct client *client)
{
    client_close(client);
}

/* Opened again by the loop, not here: the pool has not finished with this client yet. */
static void on_closed(struct client *client)
{
    struct churn *churn = client->pool->scenario;
    churn->finished++;
    churn->moved_ms = clock_monotonic_ms();
}

static void run_cycles(struct churn *churn, uint64_t wanted)
{
    churn->wanted = churn->finished + wanted;
    churn->started = churn->finished;
    churn->moved_ms = clock_monotonic_ms();
    while (churn->finished < churn->wanted && clock_monotonic_ms() - churn->moved_ms < PATIENCE_MS) {
        for (uint32_t i = 0; i < churn->pool.count && churn->started < churn->wanted; i++) {
            struct client *client = &churn->pool.clients[i];
            if (client->state == CLIENT_NEW || client->state == CLIENT_CLOSED) {
                churn->started++;
                (void)client_open(client);
            }
        }
        pool_turn(&churn->pool, 50);
    }
}

static void name_clients(struct pool *pool, const char *channel)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        pool->clients[i].channel = channel;
        pool->clients[i].subscribes = true;
    }
}

void scenario_churn(const struct options *options, struct report *report)
{
    static const struct pool_ops ops = {.on_ready = on_ready, .on_closed = on_closed};
    struct churn churn = {0};
    struct window window;
    char channel[64];
    (void)snprintf(channel, sizeof channel, "%schurn", options->prefix);
    pool_init(&churn.pool, options, options->concurrency, &ops, &churn);
    name_clients(&churn.pool, channel);
    uint64_t cycles = options->messages > 0 ? options->messages : 5000;
    run_cycles(&churn, cycles / 10);
    uint64_t finished = churn.finished;
    window_open(&window, options);
    run_cycles(&churn, cycles);
    window_close(&window);
    window_report(&window, report, (double)(churn.finished - finished));
    report_add_zero(report, "unfinished", (double)(churn.wanted - churn.finished));
    report_pool(report, &churn.pool);
    pool_release(&churn.pool);
}

void scenario_connect(const struct options *options, struct report *report)
{
    static const struct pool_ops ops = {0};
    struct pool pool;
    struct window window;
    char channel[64];
    (void)snprintf(channel, sizeof channel, "%sconnect", options->prefix);
    pool_init(&pool, options, options->connections, &ops, NULL);
    name_clients(&pool, channel);
    window_open(&window, options);
    bool is_open = pool_open(&pool, 0, pool.count);
    window_close(&window);
    window_report(&window, report, pool.ready);
    report_add_zero(report, "not_opened", is_open ? 0 : 1);
    report_pool(report, &pool);
    pool_release(&pool);
}

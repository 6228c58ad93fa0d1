#include "tests/bench/scenario.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "tests/bench/payload.h"
#include "tests/bench/process.h"

#include <stdio.h>
#include <time.h>

/* `level` connections stay all the time (holders.h). On top of them `connections` come, get some
 * publications, and all of them go. What the server keeps of it shows ten seconds later: a process that lives
 * for months has to give back what one evening needed. */
enum {
    PUBLICATIONS = 20,
    SETTLE_MS = 300,
    AFTER_S = 10,
};

static uint64_t resident_bytes(const struct options *options)
{
    struct process_memory memory = {0};
    (void)process_memory(options->server_pid, &memory);
    return memory.rss_bytes;
}

static void turn_for(struct pool *pool, uint64_t ms)
{
    uint64_t end_ms = clock_monotonic_ms() + ms;
    while (clock_monotonic_ms() < end_ms) {
        pool_turn(pool, 10);
    }
}

static bool fill(struct pool *pool, const struct options *options)
{
    struct buf payload = payload_template(options->payload_bytes);
    bool is_open = pool_open(pool, 0, pool->count);
    for (uint32_t i = 0; i < PUBLICATIONS && is_open; i++) {
        payload_write(&payload, &(struct payload){.number = i, .sent_ns = clock_monotonic_ns()});
        client_publish(&pool->clients[0], buf_str(&payload));
        turn_for(pool, SETTLE_MS / 10);
    }
    turn_for(pool, SETTLE_MS);
    buf_release(&payload);
    return is_open;
}

void scenario_peak(const struct options *options, struct report *report)
{
    static const struct pool_ops ops = {0};
    struct pool pool;
    char channel[64];
    (void)snprintf(channel, sizeof channel, "%speak", options->prefix);
    uint64_t before = resident_bytes(options);
    pool_init(&pool, options, options->connections, &ops, NULL);
    for (uint32_t i = 0; i < pool.count; i++) {
        pool.clients[i].channel = channel;
        pool.clients[i].subscribes = true;
    }
    bool is_open = fill(&pool, options);
    uint64_t peak = resident_bytes(options);
    report_add_zero(report, "not_opened", is_open ? 0 : 1);
    report_pool(report, &pool);
    pool_release(&pool);
    struct timespec wait = {.tv_sec = AFTER_S};
    (void)nanosleep(&wait, NULL);
    uint64_t after = resident_bytes(options);
    report_add(report, "before_mib", (double)before / 1048576);
    report_add(report, "peak_mib", (double)peak / 1048576);
    report_add(report, "after_mib", (double)after / 1048576);
    report_add(report, "after_ratio", before == 0 ? 0 : (double)after / (double)before);
}

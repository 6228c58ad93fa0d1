#include "tests/bench/scenario.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "tests/bench/payload.h"
#include "tests/bench/process.h"
#include "tests/bench/secure.h"

#include <stdio.h>
#include <stdlib.h>

/* With a closed window a publication counts as on its way until the last reading subscriber has it, and the
 * next one is published then: the server is never idle and never more than `in_flight` behind. With a rate
 * the generator does not wait, and latency counts from when a publication was due, so that a server that
 * stalls cannot hide it by slowing the generator down. */
enum {
    TRACKED = 1024,        /* publications whose missing deliveries are counted; a power of two */
    MEMORY_EVERY_MS = 100, /* how often the server's memory is looked at */
};

struct fanout {
    const struct options *options;
    struct pool pool;
    struct buf payload;
    struct sequence *sequences; /* one for each subscriber */
    struct tally tally;
    struct tally skipping; /* of stalled readers that get only the latest */
    struct latency latency;
    uint32_t subscribers, reading; /* reading: all but the stalled ones */
    uint32_t published;
    uint32_t tracked_from;  /* earlier publications were given up */
    uint32_t left[TRACKED]; /* deliveries missing of publication number % TRACKED */
    uint32_t in_flight;
    uint64_t expected;        /* deliveries to reading subscribers so far, if all is well */
    uint64_t delivered;       /* to reading ones */
    uint64_t moved_ms;        /* when the last delivery came */
    uint64_t rate_started_ns; /* and the publications since then */
    uint64_t rate_published;
    uint64_t given_up;
    uint64_t replies, errors;
    uint64_t stalled_closed, stalled_close_code;
    uint64_t memory_max_bytes, memory_looked_ms;
    bool is_measuring;
};

/* Stalled subscribers are spread over the order of joining: every 100th for 1 %. */
static bool is_stalled(const struct fanout *fanout, uint32_t index)
{
    double percent = fanout->options->stalled_percent;
    return percent > 0 && index < fanout->subscribers &&
           (uint64_t)((index + 1) * percent / 100) != (uint64_t)(index * percent / 100);
}

static void on_push(struct client *client, struct str data)
{
    struct fanout *fanout = client->pool->scenario;
    struct payload got;
    if (client->index >= fanout->subscribers || !payload_read(data, &fanout->payload, &got) ||
        got.number >= fanout->published) {
        fanout->tally.corrupt++;
        return;
    }
    bool skips = fanout->options->is_latest_only && is_stalled(fanout, client->index);
    bool is_fresh = sequence_take(&fanout->sequences[client->index],
                                  skips ? &fanout->skipping : &fanout->tally, got.number);
    if (!is_fresh || is_stalled(fanout, client->index)) {
        return;
    }
    uint64_t now_ns = clock_monotonic_ns();
    fanout->delivered++;
    fanout->moved_ms = now_ns / 1000000;
    if (fanout->is_measuring) {
        latency_add(&fanout->latency, now_ns - got.sent_ns);
    }
    if (got.number >= fanout->tracked_from && --fanout->left[got.number % TRACKED] == 0) {
        fanout->in_flight--;
    }
}

static void on_reply(struct client *client, uint32_t id, bool is_error)
{
    struct fanout *fanout = client->pool->scenario;
    (void)id; /* publications of one connection are answered in order */
    fanout->replies++;
    fanout->errors += is_error ? 1 : 0;
}

static void on_closed(struct client *client)
{
    struct fanout *fanout = client->pool->scenario;
    if (is_stalled(fanout, client->index)) {
        fanout->stalled_closed++;
        fanout->stalled_close_code = client->close_code;
        fanout->pool.failed--; /* being closed is what a stalled reader is to expect */
    }
}

static void publish(struct fanout *fanout, uint64_t due_ns)
{
    struct payload values = {.number = fanout->published, .sent_ns = due_ns};
    payload_write(&fanout->payload, &values);
    fanout->left[fanout->published % TRACKED] = fanout->reading;
    fanout->published++;
    fanout->in_flight++;
    fanout->expected += fanout->reading;
    client_publish(&fanout->pool.clients[fanout->subscribers], buf_str(&fanout->payload));
}

/* Publishes what may be published now; `limit` is the number of publications after which to stop. */
static void top_up(struct fanout *fanout, uint64_t limit)
{
    uint64_t now_ns = clock_monotonic_ns();
    double rate = fanout->options->rate;
    if (rate > 0) {
        double elapsed = (double)(now_ns - fanout->rate_started_ns) / 1e9;
        while ((double)fanout->rate_published < elapsed * rate && fanout->published < limit &&
               fanout->in_flight < TRACKED) {
            double due = (double)fanout->rate_published++ * 1e9 / rate;
            publish(fanout, fanout->rate_started_ns + (uint64_t)due);
        }
        return;
    }
    while (fanout->in_flight < fanout->options->in_flight && fanout->published < limit) {
        publish(fanout, now_ns);
    }
}

static void give_up_missing(struct fanout *fanout)
{
    fanout->given_up += fanout->in_flight;
    fanout->in_flight = 0;
    fanout->tracked_from = fanout->published;
    fanout->moved_ms = clock_monotonic_ms();
}

static void look_at_memory(struct fanout *fanout)
{
    struct process_memory memory;
    uint64_t now_ms = clock_monotonic_ms();
    if (fanout->options->stalled_percent > 0 && now_ms - fanout->memory_looked_ms >= MEMORY_EVERY_MS &&
        process_memory(fanout->options->server_pid, &memory)) {
        fanout->memory_looked_ms = now_ms;
        fanout->memory_max_bytes =
            memory.rss_bytes > fanout->memory_max_bytes ? memory.rss_bytes : fanout->memory_max_bytes;
    }
}

/* Publishes for `seconds`, or until `messages` more are out if that is not 0; then waits for what is missing.
 */
static void run(struct fanout *fanout, double seconds, uint64_t messages)
{
    uint64_t started_ns = clock_monotonic_ns();
    uint64_t end_ns = messages > 0 ? UINT64_MAX : started_ns + (uint64_t)(seconds * 1e9);
    uint64_t limit = messages > 0 ? fanout->published + messages : UINT32_MAX;
    int timeout_ms = fanout->options->rate > 0 ? 1 : TURN_MS;
    fanout->rate_started_ns = started_ns;
    fanout->rate_published = 0;
    fanout->moved_ms = clock_monotonic_ms();
    while (clock_monotonic_ns() < end_ns && fanout->published < limit) {
        top_up(fanout, limit);
        pool_turn(&fanout->pool, timeout_ms);
        look_at_memory(fanout);
        if (fanout->in_flight > 0 && clock_monotonic_ms() - fanout->moved_ms > fanout->options->patience_ms) {
            give_up_missing(fanout);
        }
    }
    while (fanout->in_flight > 0 && clock_monotonic_ms() - fanout->moved_ms <= fanout->options->patience_ms) {
        pool_turn(&fanout->pool, TURN_MS);
    }
    if (fanout->in_flight > 0) {
        give_up_missing(fanout);
    }
}

static void mute_stalled(struct fanout *fanout, bool is_muted)
{
    for (uint32_t i = 0; i < fanout->subscribers; i++) {
        if (is_stalled(fanout, i)) {
            client_mute(&fanout->pool.clients[i], is_muted);
        }
    }
}

static bool is_anyone_behind(const struct fanout *fanout)
{
    for (uint32_t i = 0; i < fanout->subscribers; i++) {
        if (is_stalled(fanout, i) && fanout->pool.clients[i].state != CLIENT_CLOSED &&
            fanout->sequences[i].next < fanout->published) {
            return true;
        }
    }
    return false;
}

/* Lets the stalled ones read again, until each has been closed or has caught up, or nothing comes any more.
 */
static void resume(struct fanout *fanout)
{
    uint64_t moved_ms = clock_monotonic_ms(), bytes_last = fanout->pool.bytes_received;
    mute_stalled(fanout, false);
    while (is_anyone_behind(fanout) && clock_monotonic_ms() - moved_ms < fanout->options->patience_ms) {
        pool_turn(&fanout->pool, TURN_MS);
        if (fanout->pool.bytes_received != bytes_last) {
            bytes_last = fanout->pool.bytes_received;
            moved_ms = clock_monotonic_ms();
        }
    }
}

static void finish(struct fanout *fanout)
{
    for (uint32_t i = 0; i < fanout->subscribers; i++) {
        /* A stalled reader that was closed misses the end; up to there it must have missed nothing. */
        bool was_cut = is_stalled(fanout, i) && fanout->pool.clients[i].state == CLIENT_CLOSED;
        uint32_t published = was_cut ? fanout->sequences[i].next : fanout->published;
        sequence_end(&fanout->sequences[i], &fanout->tally, published);
    }
    fanout->tally.extra += fanout->skipping.extra;
    fanout->tally.out_of_order += fanout->skipping.out_of_order;
}

static void report_stalled(const struct fanout *fanout, const struct process_memory *before,
                           struct report *report)
{
    uint32_t stalled = fanout->subscribers - fanout->reading;
    report_add(report, "stalled", stalled);
    report_add(report, "stalled_closed", (double)fanout->stalled_closed);
    report_add(report, "stalled_close_code", (double)fanout->stalled_close_code);
    report_add(report, "stalled_skipped", (double)fanout->skipping.lost);
    report_add(report, "memory_before_mib", (double)before->rss_bytes / 1048576);
    report_add(report, "memory_max_mib", (double)fanout->memory_max_bytes / 1048576);
}

void scenario_fanout(const struct options *options, struct report *report)
{
    static const struct pool_ops ops = {.on_push = on_push, .on_reply = on_reply, .on_closed = on_closed};
    struct fanout *fanout = calloc(1, sizeof *fanout);
    must(fanout != NULL);
    char channel[64];
    (void)snprintf(channel, sizeof channel, "%sfanout", options->prefix);
    *fanout = (struct fanout){.options = options, .subscribers = options->connections};
    fanout->payload = payload_template(options->payload_bytes);
    fanout->sequences = calloc(fanout->subscribers + 1, sizeof *fanout->sequences);
    must(fanout->sequences != NULL);
    pool_init(&fanout->pool, options, fanout->subscribers + 1, &ops, fanout);
    for (uint32_t i = 0; i <= fanout->subscribers; i++) {
        fanout->pool.clients[i].channel = channel;
        fanout->pool.clients[i].subscribes = i < fanout->subscribers;
        fanout->reading += i < fanout->subscribers && !is_stalled(fanout, i) ? 1 : 0;
    }
    struct window window;
    struct process_memory memory = {0};
    if (pool_open(&fanout->pool, 0, fanout->pool.count)) {
        run(fanout, options->warmup_seconds, 0);
        (void)process_memory(options->server_pid, &memory);
        mute_stalled(fanout, options->stalled_percent > 0);
        uint64_t delivered = fanout->delivered, bytes = fanout->pool.bytes_received,
                 published = fanout->published, records = secure_records();
        fanout->is_measuring = true;
        window_open(&window, options);
        run(fanout, options->seconds, options->messages);
        window_close(&window);
        fanout->is_measuring = false;
        delivered = fanout->delivered - delivered;
        bytes = fanout->pool.bytes_received - bytes;
        records = secure_records() - records;
        if (options->stalled_percent > 0) {
            resume(fanout);
        }
        finish(fanout);
        window_report(&window, report, (double)delivered);
        report_add(report, "published", (double)(fanout->published - published));
        report_add(report, "bytes_per_delivery", delivered == 0 ? 0 : (double)bytes / (double)delivered);
        if (options->is_secure) {
            report_add(report, "records_per_delivery",
                       delivered == 0 ? 0 : (double)records / (double)delivered);
        }
        report_latency(report, &fanout->latency);
        if (options->stalled_percent > 0) {
            report_stalled(fanout, &memory, report);
        }
    }
    report_tally(report, &fanout->tally);
    report_add_zero(report, "given_up", (double)fanout->given_up);
    report_add_zero(report, "publish_errors", (double)fanout->errors);
    report_pool(report, &fanout->pool);
    pool_release(&fanout->pool);
    buf_release(&fanout->payload);
    free(fanout->sequences);
    free(fanout);
}

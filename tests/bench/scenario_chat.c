#include "tests/bench/scenario.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "tests/bench/payload.h"

#include <stdio.h>
#include <stdlib.h>

/* Saturated, a member publishes its next message when its last one has come back to it. With a rate each
 * member has its own moment within the second, so that the load is even. */
enum {
    CHANNEL_BYTES = 48,
};

struct member {
    uint32_t published;
    uint64_t due_ns;            /* with a rate: when the next one is */
    struct sequence *sequences; /* one for each member of the room */
};

struct chat {
    const struct options *options;
    struct pool pool;
    struct buf payload;
    struct member *members;
    struct sequence *sequences;
    char (*channels)[CHANNEL_BYTES];
    struct tally tally;
    struct latency latency;
    uint64_t expected; /* deliveries, if all is well */
    uint64_t moved_ms, errors;
    bool is_publishing, is_measuring;
};

static void publish(struct chat *chat, uint32_t index, uint64_t due_ns)
{
    struct payload values = {
        .publisher = index, .number = chat->members[index].published++, .sent_ns = due_ns};
    payload_write(&chat->payload, &values);
    chat->expected += chat->options->members;
    client_publish(&chat->pool.clients[index], buf_str(&chat->payload));
}

static void on_push(struct client *client, struct str data)
{
    struct chat *chat = client->pool->scenario;
    uint32_t members = chat->options->members;
    struct payload got;
    /* What another room's member published must not come here. */
    if (!payload_read(data, &chat->payload, &got) || got.publisher >= chat->pool.count ||
        got.publisher / members != client->index / members ||
        got.number >= chat->members[got.publisher].published) {
        chat->tally.corrupt++;
        return;
    }
    struct sequence *sequence = &chat->members[client->index].sequences[got.publisher % members];
    if (!sequence_take(sequence, &chat->tally, got.number)) {
        return;
    }
    uint64_t now_ns = clock_monotonic_ns();
    chat->moved_ms = now_ns / 1000000;
    if (chat->is_measuring) {
        latency_add(&chat->latency, now_ns - got.sent_ns);
    }
    if (got.publisher == client->index && chat->is_publishing && chat->options->rate <= 0) {
        publish(chat, client->index, now_ns);
    }
}

static void on_reply(struct client *client, uint32_t id, bool is_error)
{
    struct chat *chat = client->pool->scenario;
    (void)id;
    chat->errors += is_error ? 1 : 0;
}

static void publish_due(struct chat *chat)
{
    uint64_t now_ns = clock_monotonic_ns();
    for (uint32_t i = 0; i < chat->pool.count; i++) {
        struct member *member = &chat->members[i];
        if (member->due_ns <= now_ns) {
            publish(chat, i, member->due_ns);
            member->due_ns += (uint64_t)(1e9 / chat->options->rate);
        }
    }
}

static void run(struct chat *chat, double seconds)
{
    double rate = chat->options->rate;
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t end_ns = now_ns + (uint64_t)(seconds * 1e9);
    chat->is_publishing = true;
    chat->moved_ms = clock_monotonic_ms();
    for (uint32_t i = 0; i < chat->pool.count; i++) {
        if (rate > 0) {
            chat->members[i].due_ns = now_ns + (uint64_t)(1e9 / rate * i / chat->pool.count);
        } else {
            publish(chat, i, now_ns);
        }
    }
    while (clock_monotonic_ns() < end_ns) {
        if (rate > 0) {
            publish_due(chat);
        }
        pool_turn(&chat->pool, rate > 0 ? 1 : TURN_MS);
    }
    chat->is_publishing = false;
    while (chat->tally.delivered < chat->expected &&
           clock_monotonic_ms() - chat->moved_ms <= chat->options->patience_ms) {
        pool_turn(&chat->pool, TURN_MS);
    }
}

static void finish(struct chat *chat)
{
    uint32_t members = chat->options->members;
    for (uint32_t i = 0; i < chat->pool.count; i++) {
        for (uint32_t j = 0; j < members; j++) {
            uint32_t publisher = i / members * members + j;
            sequence_end(&chat->members[i].sequences[j], &chat->tally, chat->members[publisher].published);
        }
    }
}

static void chat_open(struct chat *chat, const struct options *options)
{
    static const struct pool_ops ops = {.on_push = on_push, .on_reply = on_reply};
    uint32_t count = options->rooms * options->members;
    *chat = (struct chat){.options = options, .payload = payload_template(options->payload_bytes)};
    chat->members = calloc(count, sizeof *chat->members);
    chat->sequences = calloc((size_t)count * options->members, sizeof *chat->sequences);
    chat->channels = calloc(options->rooms, sizeof *chat->channels);
    must(chat->members != NULL);
    must(chat->sequences != NULL);
    must(chat->channels != NULL);
    pool_init(&chat->pool, options, count, &ops, chat);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t room = i / options->members;
        (void)snprintf(chat->channels[room], CHANNEL_BYTES, "%sroom-%u", options->prefix, room);
        chat->pool.clients[i].channel = chat->channels[room];
        chat->pool.clients[i].subscribes = true;
        chat->members[i].sequences = &chat->sequences[(size_t)i * options->members];
    }
}

void scenario_chat(const struct options *options, struct report *report)
{
    struct chat *chat = calloc(1, sizeof *chat);
    must(chat != NULL);
    chat_open(chat, options);
    if (pool_open(&chat->pool, 0, chat->pool.count)) {
        struct window window;
        run(chat, options->warmup_seconds);
        uint64_t delivered = chat->tally.delivered, bytes = chat->pool.bytes_received;
        chat->is_measuring = true;
        window_open(&window, options);
        run(chat, options->seconds);
        window_close(&window);
        delivered = chat->tally.delivered - delivered;
        bytes = chat->pool.bytes_received - bytes;
        finish(chat);
        window_report(&window, report, (double)delivered);
        report_add(report, "bytes_per_delivery", delivered == 0 ? 0 : (double)bytes / (double)delivered);
        report_latency(report, &chat->latency);
    }
    report_tally(report, &chat->tally);
    report_add_zero(report, "publish_errors", (double)chat->errors);
    report_pool(report, &chat->pool);
    pool_release(&chat->pool);
    buf_release(&chat->payload);
    free(chat->channels);
    free(chat->sequences);
    free(chat->members);
    free(chat);
}

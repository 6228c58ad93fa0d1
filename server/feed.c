#include "server/feed.h"

#include "channels/base/clock.h"
#include "server/worker.h"

#include <sched.h>
#include <stdlib.h>

enum { STEP_MS = 500, LOG_EVERY_STEPS = 6, SYMBOL_COUNT = 6, COUNTER_COUNT = 4 };

static const char *const symbols[SYMBOL_COUNT] = {"ACME", "BIRD", "CORN", "DOVE", "EDGE", "FINC"};
static const char *const counters[COUNTER_COUNT] = {"orders", "visitors", "signups", "errors"};
static const char *const lines[] = {"cache warmed",      "backup finished", "new deploy is live",
                                    "queue is empty",    "index rebuilt",   "certificate renewed",
                                    "health check fine", "42 jobs finished"};

struct feed {
    struct mail begin, end; /* one each: main writes `end` while the worker may still read `begin` */
    struct worker *worker;  /* set before it is shared, constant afterwards */
    struct timer timer;
    uint64_t step;
    uint64_t cents[SYMBOL_COUNT];
    uint64_t values[COUNTER_COUNT];
};

static void on_published(struct op *op)
{
    op_free(op); /* nobody waits for the outcome of a demo */
}

static void publish(struct feed *feed, const char *channel_name, struct buf *data)
{
    struct str channel = str_from_cstr(channel_name);
    const struct channel_options *options;
    struct message *message = NULL;
    struct op *op = NULL;
    bool is_known = channel_rules_resolve(&feed->worker->config->channels, channel, &options) == STATUS_OK &&
                    !data->failed;
    if (is_known) {
        message = message_new(
            &(struct message_parts){.kind = MESSAGE_PUBLICATION, .channel = channel, .data = buf_str(data)});
        op = message == NULL ? NULL : op_new(OP_PUBLISH, channel.len);
    }
    if (op == NULL) {
        message_unref(message);
    } else {
        op->options = options;
        op->channel = op_text(op, channel);
        op->publish.message = message;
        op->done = on_published;
        hub_start(feed->worker->hub, op);
    }
    buf_release(data);
}

static void publish_price(struct feed *feed)
{
    struct buf data = {0};
    size_t i = worker_random(feed->worker, SYMBOL_COUNT);
    uint64_t step = worker_random(feed->worker, 61);
    feed->cents[i] = feed->cents[i] + step > 130 ? feed->cents[i] + step - 30 : 100;
    buf_printf(&data, "{\"symbol\":\"%s\",\"price\":%u.%02u,\"t\":%llu}", symbols[i],
               (unsigned)(feed->cents[i] / 100), (unsigned)(feed->cents[i] % 100),
               (unsigned long long)clock_wall_ms());
    publish(feed, "feed:prices", &data);
}

static void publish_counter(struct feed *feed)
{
    struct buf data = {0};
    size_t i = worker_random(feed->worker, COUNTER_COUNT);
    feed->values[i] += 1 + worker_random(feed->worker, 9);
    buf_printf(&data, "{\"name\":\"%s\",\"value\":%llu}", counters[i], (unsigned long long)feed->values[i]);
    publish(feed, "feed:counters", &data);
}

static void publish_line(struct feed *feed)
{
    struct buf data = {0};
    const char *text = lines[worker_random(feed->worker, sizeof lines / sizeof lines[0])];
    buf_printf(&data, "{\"level\":\"info\",\"text\":\"%s\"}", text);
    publish(feed, "feed:log", &data);
}

static void on_step(struct timer *timer)
{
    struct feed *feed = container_of(timer, struct feed, timer);
    publish_price(feed);
    publish_counter(feed);
    if (feed->step++ % LOG_EVERY_STEPS == 0) {
        publish_line(feed);
    }
    timer_set(&feed->worker->timers, timer, feed->worker->now_ms + STEP_MS);
}

static void begin(void *receiver, struct mail *mail)
{
    (void)receiver;
    struct feed *feed = container_of(mail, struct feed, begin);
    for (size_t i = 0; i < SYMBOL_COUNT; i++) {
        feed->cents[i] = 1000 + worker_random(feed->worker, 9000);
    }
    timer_init(&feed->timer, on_step);
    timer_set(&feed->worker->timers, &feed->timer, feed->worker->now_ms);
}

static void end(void *receiver, struct mail *mail)
{
    (void)receiver;
    struct feed *feed = container_of(mail, struct feed, end);
    timer_cancel(&feed->worker->timers, &feed->timer);
    free(feed);
}

struct feed *feed_start(struct server *server)
{
    struct feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL) {
        return NULL;
    }
    feed->begin.run = begin;
    feed->end.run = end;
    feed->worker = server->workers[0];
    if (!hub_post_from_main(server->hubs[0], &feed->begin)) {
        free(feed);
        return NULL;
    }
    return feed;
}

void feed_stop(struct feed *feed)
{
    if (feed == NULL) {
        return;
    }
    while (!hub_post_from_main(feed->worker->hub, &feed->end)) {
        sched_yield(); /* the worker is emptying a full mailbox */
    }
}

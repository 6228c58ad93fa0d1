#include "tests/support/fake_subscriber.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    LEAVES_WHEN_ANSWERED = SUBSCRIPTION_USER_1,
    IS_ANSWERED = SUBSCRIPTION_USER_1 << 1,
    LOG_BYTES = 4096,    /* set aside, so that a test that takes memory away does not take the log */
    OP_TEXT_BYTES = 512, /* of every op: tests use short texts */
};

unsigned rig_encode_failures;
unsigned rig_encode_count;

static void wake(void *owner)
{
    unsigned *wake_count = owner;
    ++*wake_count;
}

/* The "wire format" of the tests is what appears in a log. */
static struct frame *encode(enum frame_kind kind, const struct message *message)
{
    assert_int_equal(kind, FRAME_WEBSOCKET_JSON);
    if (rig_encode_failures > 0) {
        rig_encode_failures--;
        return NULL;
    }
    char text[256];
    int len = 0;
    switch (message->kind) {
    case MESSAGE_PUBLICATION:
        len = snprintf(text, sizeof text, "%llu:%.*s", (unsigned long long)message->offset,
                       STR_ARG(message->data));
        break;
    case MESSAGE_JOIN: len = snprintf(text, sizeof text, "join:%.*s", STR_ARG(message->info)); break;
    case MESSAGE_LEAVE: len = snprintf(text, sizeof text, "leave:%.*s", STR_ARG(message->info)); break;
    }
    struct frame *frame = frame_new((size_t)len);
    if (frame != NULL) {
        memcpy(frame->bytes, text, (size_t)len);
        rig_encode_count++;
    }
    return frame;
}

/* broker_new has no other way to know whose sink it is given. */
static struct broker_sink *sink_seen;

static struct broker *broker_new(const struct broker_sink *sink)
{
    *sink_seen = *sink;
    return broker_memory_new(sink);
}

void rig_open(struct rig *rig, struct rig_options options)
{
    clock_set_for_test(RIG_START_MS, RIG_START_MS);
    rig_encode_failures = 0;
    rig_encode_count = 0;
    *rig = (struct rig){
        .hub_count = options.hub_count,
        .options = {.history_size = 10,
                    .history_ttl_ms = 60 * 1000,
                    .history_meta_ttl_ms = 3600 * 1000,
                    .presence = true},
    };
    for (unsigned i = 0; i < options.hub_count; i++) {
        sink_seen = &rig->sinks[i];
        rig->hubs[i] = hub_new(&(struct hub_options){
            .index = i,
            .worker_count = options.hub_count,
            .hubs = rig->hubs,
            .mails_max = options.mails_max == 0 ? 1000 : options.mails_max,
            .owner = &rig->wake_counts[i],
            .wake = wake,
            .encode = encode,
            .broker_new = broker_new,
        });
        assert_non_null(rig->hubs[i]);
    }
}

void rig_close(struct rig *rig)
{
    for (unsigned i = 0; i < rig->hub_count; i++) {
        hub_free(rig->hubs[i]);
    }
    clock_set_for_test(0, 0);
}

bool rig_waits(struct rig *rig, unsigned hub)
{
    return hub_turn(rig->hubs[hub], 0);
}

void rig_settle(struct rig *rig)
{
    for (unsigned idle = 0, i = 0; idle < rig->hub_count; i = (i + 1) % rig->hub_count) {
        if (rig_waits(rig, i)) {
            hub_turn(rig->hubs[i], 1);
            idle = 0;
        } else {
            idle++;
        }
    }
}

const char *rig_channel_of(struct rig *rig, unsigned home)
{
    static char names[64][4];
    for (unsigned i = 0; i < 64; i++) {
        snprintf(names[i], sizeof names[i], "c%u", i);
        if (hub_home_of(rig->hubs[0], str_from_cstr(names[i])) == home) {
            return names[i];
        }
    }
    fail();
    return NULL;
}

void rig_inject(struct rig *rig, const char *channel, uint64_t offset, struct str epoch)
{
    unsigned home = hub_home_of(rig->hubs[0], str_from_cstr(channel));
    struct message *message = message_new(&(struct message_parts){
        .channel = str_from_cstr(channel), .data = STR("injected"), .offset = offset, .epoch = epoch});
    must(message != NULL);
    rig->sinks[home].deliver(rig->sinks[home].hub, message);
    message_unref(message);
}

static bool count_one(void *context, struct str channel, uint32_t subscriptions)
{
    assert_true(channel.len > 0);
    assert_true(subscriptions > 0);
    ++*(size_t *)context;
    return true;
}

size_t rig_channel_count(struct rig *rig)
{
    size_t count = 0;
    for (unsigned i = 0; i < rig->hub_count; i++) {
        hub_each_home_channel(rig->hubs[i], count_one, &count);
        count += hub_counters(rig->hubs[i])->channel_count;
    }
    return count;
}

static void log_more(struct fake *fake)
{
    if (fake->log.len > 0) {
        buf_append_lit(&fake->log, "; ");
    }
}

static bool on_offer(struct subscriber *subscriber, struct frame *frame)
{
    struct fake *fake = container_of(subscriber, struct fake, subscriber);
    if (fake->on_offer != NULL) {
        fake->on_offer(fake);
    }
    if (fake->offers_left == 0) {
        return false;
    }
    fake->offers_left--;
    log_more(fake);
    buf_append(&fake->log, frame->bytes, frame->len);
    return true;
}

static void on_insufficient_state(struct subscriber *subscriber, struct subscription *subscription)
{
    struct fake *fake = container_of(subscriber, struct fake, subscriber);
    log_more(fake);
    buf_append_lit(&fake->log, "insufficient");
    if (fake->leaves_when_insufficient) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", STR_ARG(channel_name(subscription->channel)));
        fake_unsubscribe(fake, name);
    }
}

struct fake *fake_new(struct rig *rig, unsigned hub, const char *name)
{
    static const struct subscriber_ops ops = {.offer = on_offer,
                                              .on_insufficient_state = on_insufficient_state};
    struct fake *fake = calloc(1, sizeof *fake);
    must(fake != NULL);
    fake->subscriber.ops = &ops;
    list_init(&fake->subscriber.subscriptions);
    fake->rig = rig;
    fake->hub = rig->hubs[hub];
    fake->offers_left = UINT32_MAX;
    snprintf(fake->name, sizeof fake->name, "%s", name);
    must(buf_reserve(&fake->log, LOG_BYTES));
    return fake;
}

void fake_free(struct fake *fake)
{
    if (fake == NULL) {
        return;
    }
    fake->on_offer = NULL;
    while (fake->subscriber.subscription_count > 0) {
        list_each_safe (&fake->subscriber.subscriptions, link) {
            struct subscription *row = container_of(link, struct subscription, in_subscriber);
            char name[32];
            snprintf(name, sizeof name, "%.*s", STR_ARG(channel_name(row->channel)));
            fake_unsubscribe(fake, name);
        }
        rig_settle(fake->rig);
    }
    rig_settle(fake->rig);
    assert_int_equal(fake->subscriber.ops_pending, 0);
    buf_release(&fake->log);
    free(fake);
}

static struct str user_of(const struct fake *fake)
{
    struct str rest = str_from_cstr(fake->name);
    return str_next(&rest, '.');
}

static void take_outcome(struct fake *fake, const struct op *op)
{
    assert_true(fake->subscriber.ops_pending > 0);
    fake->subscriber.ops_pending--;
    fake->status = op->status;
    memcpy(fake->epoch, op->top.epoch.at == NULL ? "" : op->top.epoch.at, op->top.epoch.len);
    fake->position =
        (struct position){.offset = op->top.offset, .epoch = str_make(fake->epoch, op->top.epoch.len)};
}

static void log_messages(struct fake *fake, const struct op *op)
{
    for (size_t i = 0; i < op->message_count; i++) {
        buf_printf(&fake->log, " %llu", (unsigned long long)op->messages[i]->offset);
    }
}

static void on_done(struct op *op)
{
    struct fake *fake = op->context;
    take_outcome(fake, op);
    log_more(fake);
    if (op->status == STATUS_OK) {
        buf_append_lit(&fake->log, "done");
        log_messages(fake, op);
    } else {
        buf_printf(&fake->log, "failed: %.*s", STR_ARG(status_message(op->status)));
    }
    op_free(op);
}

struct op *fake_op(struct fake *fake, enum op_kind kind, const char *channel)
{
    struct op *op = op_new(kind, OP_TEXT_BYTES);
    if (op == NULL) {
        return NULL;
    }
    op->options = &fake->rig->options;
    op->channel = op_text(op, str_from_cstr(channel));
    op->context = fake;
    op->done = on_done;
    return op;
}

static void start(struct fake *fake, struct op *op)
{
    fake->subscriber.ops_pending++;
    hub_start(fake->hub, op);
}

static void start_unsubscribe(struct fake *fake, const char *channel, uint32_t flags)
{
    struct op *op = fake_op(fake, OP_UNSUBSCRIBE, channel);
    must(op != NULL); /* a session keeps an op for this, or tries again */
    op->unsubscribe.client = op_text(op, str_from_cstr(fake->name));
    op->unsubscribe.user = op_text(op, user_of(fake));
    op->unsubscribe.info = op->unsubscribe.client;
    op->unsubscribe.with_presence = (flags & SUBSCRIPTION_IN_PRESENCE) != 0;
    op->unsubscribe.with_join_leave = (flags & SUBSCRIPTION_ANNOUNCED) != 0;
    start(fake, op);
}

static void on_subscribed(struct op *op)
{
    struct fake *fake = op->context;
    struct subscription *row = op->subscribe.subscription;
    take_outcome(fake, op);
    log_more(fake);
    if (op->status != STATUS_OK) {
        buf_printf(&fake->log, "refused: %.*s", STR_ARG(status_message(op->status)));
        hub_remove(fake->hub, row);
        op_free(op);
        return;
    }
    buf_printf(&fake->log, "subscribed %llu", (unsigned long long)op->top.offset);
    if (op->subscribe.is_recovering) {
        buf_append_str(&fake->log, op->subscribe.recovered ? STR(" recovered") : STR(" not-recovered"));
        log_messages(fake, op);
    }
    uint32_t flags = row->flags;
    if ((flags & LEAVES_WHEN_ANSWERED) != 0) {
        hub_remove(fake->hub, row);
        char name[32];
        snprintf(name, sizeof name, "%.*s", STR_ARG(op->channel));
        start_unsubscribe(fake, name, flags);
    } else {
        subscription_set_flags(fake->hub, row, IS_ANSWERED, 0);
        hub_go_live(fake->hub, row, op->top);
    }
    op_free(op);
}

static uint32_t flags_of(const struct fake_wish *wish)
{
    uint32_t flags = 0;
    flags |= wish->positioned || wish->recover ? SUBSCRIPTION_POSITIONED : 0;
    flags |= wish->hears_join_leave ? SUBSCRIPTION_JOIN_LEAVE : 0;
    flags |= wish->with_presence ? SUBSCRIPTION_IN_PRESENCE : 0;
    flags |= wish->with_join_leave ? SUBSCRIPTION_ANNOUNCED : 0;
    return flags;
}

bool fake_subscribe(struct fake *fake, const char *channel, struct fake_wish wish)
{
    struct op *op = fake_op(fake, OP_SUBSCRIBE, channel);
    if (op == NULL) {
        return false;
    }
    struct subscription *row =
        hub_add(fake->hub, &fake->subscriber, str_from_cstr(channel), &fake->rig->options);
    if (row == NULL) {
        op_free(op);
        return false;
    }
    subscription_set_flags(fake->hub, row, flags_of(&wish), 0);
    op->done = on_subscribed;
    op->subscribe.subscription = row;
    op->subscribe.client = op_text(op, str_from_cstr(fake->name));
    op->subscribe.user = op_text(op, user_of(fake));
    op->subscribe.info = op->subscribe.client;
    op->subscribe.with_presence = wish.with_presence;
    op->subscribe.with_join_leave = wish.with_join_leave;
    op->subscribe.wants_position = wish.positioned;
    op->subscribe.is_recovering = wish.recover;
    op->subscribe.is_cache_mode = wish.cache_mode;
    op->subscribe.must_recover = wish.must_recover;
    op->subscribe.recover_max = wish.recover_max;
    op->subscribe.since =
        (struct position){.offset = wish.since, .epoch = op_text(op, str_from_cstr(wish.epoch))};
    start(fake, op);
    return true;
}

struct subscription *fake_row(struct fake *fake, const char *channel)
{
    return hub_find(fake->hub, &fake->subscriber, str_from_cstr(channel));
}

void fake_unsubscribe(struct fake *fake, const char *channel)
{
    struct subscription *row = fake_row(fake, channel);
    assert_non_null(row);
    if ((row->flags & IS_ANSWERED) == 0) {
        subscription_set_flags(fake->hub, row, LEAVES_WHEN_ANSWERED, 0);
        return;
    }
    uint32_t flags = row->flags;
    hub_remove(fake->hub, row);
    start_unsubscribe(fake, channel, flags);
}

bool fake_publish(struct fake *fake, const char *channel, const char *data)
{
    struct op *op = fake_op(fake, OP_PUBLISH, channel);
    if (op == NULL) {
        return false;
    }
    op->publish.message =
        message_new(&(struct message_parts){.channel = str_from_cstr(channel), .data = str_from_cstr(data)});
    if (op->publish.message == NULL) {
        op_free(op);
        return false;
    }
    start(fake, op);
    return true;
}

const char *fake_log(struct fake *fake)
{
    buf_append_char(&fake->log, '\0');
    fake->log.len--;
    return fake->log.at;
}

void fake_forget_log(struct fake *fake)
{
    buf_reset(&fake->log);
}

void fake_expect(struct fake *fake, const char *log, const char *file, int line)
{
    _assert_string_equal(fake_log(fake), log, file, line);
    fake_forget_log(fake);
}

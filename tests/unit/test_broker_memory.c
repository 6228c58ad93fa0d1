#include "channels/broker.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "channels/base/random.h"
#include "tests/support/fail_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { START_MS = 1000000, MINUTE_MS = 60000, HOUR_MS = 3600000, OP_TEXT_BYTES = 1024 };

/* A broker without a hub: the test is the sink. */
struct desk {
    struct broker *broker;
    struct channel_options options;
    bool has_no_room;
    uint32_t subscriber_count;
    struct op *op; /* the last one that came back, owned */
    char epoch[EPOCH_TEXT_LEN + 1];
    char events[1024]; /* what the sink saw, in order */
};

static void note(struct desk *desk, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct desk *desk, const char *format, ...)
{
    size_t len = strlen(desk->events);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(desk->events + len, sizeof desk->events - len, format, arguments);
    va_end(arguments);
}

static void on_finish(void *context, struct op *op)
{
    struct desk *desk = context;
    note(desk, "finish;");
    assert_null(desk->op);
    desk->op = op;
}

static void on_deliver(void *context, struct message *message)
{
    static const char *const names[] = {"pub", "join", "leave"};
    note(context, "%s %llu %.*s;", names[message->kind], (unsigned long long)message->offset,
         STR_ARG(message->kind == MESSAGE_PUBLICATION ? message->data : message->info));
}

static bool can_deliver(void *context, struct str channel)
{
    (void)channel;
    return !((struct desk *)context)->has_no_room;
}

static uint32_t subscriber_count(void *context, struct str channel)
{
    (void)channel;
    return ((struct desk *)context)->subscriber_count;
}

static void desk_open_limited(struct desk *desk, struct broker_limits limits)
{
    clock_set_for_test(START_MS, START_MS);
    *desk = (struct desk){.options = {.history_size = 5,
                                      .history_ttl_ms = MINUTE_MS,
                                      .history_meta_ttl_ms = HOUR_MS,
                                      .presence = true}};
    desk->broker = broker_memory_new(&(struct broker_sink){.hub = desk,
                                                           .finish = on_finish,
                                                           .deliver = on_deliver,
                                                           .can_deliver = can_deliver,
                                                           .subscriber_count = subscriber_count,
                                                           .limits = limits});
    assert_non_null(desk->broker);
}

static void desk_open(struct desk *desk)
{
    desk_open_limited(desk, (struct broker_limits){0});
}

static void desk_close(struct desk *desk)
{
    op_free(desk->op);
    desk->broker->ops->free(desk->broker);
    clock_set_for_test(0, 0);
}

static void move_clock(struct desk *desk, uint64_t ms)
{
    clock_advance_for_test(ms);
    desk->broker->ops->tick(desk->broker, clock_monotonic_ms());
}

static void expect_events(struct desk *desk, const char *events)
{
    assert_string_equal(desk->events, events);
    desk->events[0] = '\0';
}

static struct op *op_for(struct desk *desk, enum op_kind kind, const char *channel)
{
    struct op *op = op_new(kind, OP_TEXT_BYTES);
    must(op != NULL);
    op->options = &desk->options;
    op->channel = op_text(op, str_from_cstr(channel));
    return op;
}

/* Runs the op; what came back stays in desk->op until the next. */
static struct op *run(struct desk *desk, struct op *op)
{
    op_free(desk->op);
    desk->op = NULL;
    desk->broker->ops->run(desk->broker, op);
    assert_ptr_equal(desk->op, op);
    if (op->top.epoch.len > 0) {
        memcpy(desk->epoch, op->top.epoch.at, op->top.epoch.len);
    }
    return op;
}

struct publish_wish {
    const char *key, *version_epoch;
    uint64_t version;
    bool skip_history;
};

static struct op *publish_op(struct desk *desk, const char *channel, struct publish_wish wish)
{
    struct op *op = op_for(desk, OP_PUBLISH, channel);
    op->publish.message =
        message_new(&(struct message_parts){.channel = str_from_cstr(channel), .data = STR("{}")});
    must(op->publish.message != NULL);
    op->publish.skip_history = wish.skip_history;
    op->publish.idempotency_key = op_text(op, str_from_cstr(wish.key));
    op->publish.version = wish.version;
    op->publish.version_epoch = op_text(op, str_from_cstr(wish.version_epoch));
    return op;
}

static struct op *publish(struct desk *desk, const char *channel, struct publish_wish wish)
{
    return run(desk, publish_op(desk, channel, wish));
}

static struct op *subscribe_op(struct desk *desk, const char *channel, const char *client)
{
    struct op *op = op_for(desk, OP_SUBSCRIBE, channel);
    op->subscribe.client = op_text(op, str_from_cstr(client));
    op->subscribe.info = op->subscribe.client;
    op->subscribe.wants_position = true;
    return op;
}

static struct op *unsubscribe_op(struct desk *desk, const char *channel, const char *client)
{
    struct op *op = op_for(desk, OP_UNSUBSCRIBE, channel);
    op->unsubscribe.client = op_text(op, str_from_cstr(client));
    op->unsubscribe.info = op->unsubscribe.client;
    return op;
}

static struct op *history(struct desk *desk, const char *channel)
{
    struct op *op = op_for(desk, OP_HISTORY, channel);
    op->history.limit = -1;
    return run(desk, op);
}

static void expect_epoch(const struct op *op, const char *epoch)
{
    assert_int_equal(op->top.epoch.len, EPOCH_TEXT_LEN);
    assert_memory_equal(op->top.epoch.at, epoch, EPOCH_TEXT_LEN);
}

static void a_publication_gets_its_place_and_goes_out(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    struct op *op = publish(&desk, "news", (struct publish_wish){0});
    assert_int_equal(op->status, STATUS_OK);
    assert_int_equal(op->top.offset, 1);
    assert_int_equal(op->top.epoch.len, EPOCH_TEXT_LEN);
    assert_int_equal(op->publish.message->published_ms, START_MS);
    expect_events(&desk, "pub 1 {};finish;");
    op = publish(&desk, "news", (struct publish_wish){0});
    assert_int_equal(op->top.offset, 2);
    expect_epoch(op, desk.epoch);
    desk_close(&desk);
}

static void a_channel_without_history_has_no_position(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    static const struct channel_options without[] = {
        {.history_size = 5}, {.history_ttl_ms = 5}, {.presence = true}};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        desk.options = without[i];
        struct op *op = publish(&desk, "news", (struct publish_wish){0});
        assert_int_equal(op->status, STATUS_OK);
        assert_int_equal(op->top.offset, 0);
        assert_int_equal(op->top.epoch.len, 0);
        expect_events(&desk, "pub 0 {};finish;");
        assert_int_equal(history(&desk, "news")->status, STATUS_NOT_AVAILABLE);
        assert_int_equal(run(&desk, op_for(&desk, OP_HISTORY_REMOVE, "news"))->status, STATUS_NOT_AVAILABLE);
        desk.events[0] = '\0';
    }
    desk_close(&desk);
}

static void skip_history_delivers_without_a_place(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    publish(&desk, "news", (struct publish_wish){0});
    struct op *op = publish(&desk, "news", (struct publish_wish){.skip_history = true});
    assert_int_equal(op->top.offset, 0);
    assert_int_equal(op->top.epoch.len, 0);
    expect_events(&desk, "pub 1 {};finish;pub 0 {};finish;");
    op = history(&desk, "news");
    assert_int_equal(op->message_count, 1);
    assert_int_equal(op->top.offset, 1);
    desk_close(&desk);
}

static void a_full_mailbox_refuses_the_publication_before_anything_is_stored(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    desk.has_no_room = true;
    assert_int_equal(publish(&desk, "news", (struct publish_wish){.key = "k"})->status, STATUS_BUSY);
    assert_int_equal(publish(&desk, "news", (struct publish_wish){.version = 9})->status, STATUS_BUSY);
    expect_events(&desk, "finish;finish;");
    desk.has_no_room = false;
    struct op *op = publish(&desk, "news", (struct publish_wish){.key = "k", .version = 1});
    assert_int_equal(op->status, STATUS_OK);
    assert_false(op->publish.was_suppressed);
    assert_int_equal(op->top.offset, 1);
    desk_close(&desk);
}

static void the_same_key_is_answered_with_the_first_result(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    publish(&desk, "news", (struct publish_wish){.key = "k"});
    publish(&desk, "news", (struct publish_wish){0});
    desk.events[0] = '\0';
    struct op *op = publish(&desk, "news", (struct publish_wish){.key = "k"});
    assert_int_equal(op->status, STATUS_OK);
    assert_true(op->publish.was_suppressed);
    assert_int_equal(op->top.offset, 1);
    expect_epoch(op, desk.epoch);
    expect_events(&desk, "finish;");
    assert_false(publish(&desk, "other", (struct publish_wish){.key = "k"})->publish.was_suppressed);
    assert_false(publish(&desk, "news", (struct publish_wish){.key = "kk"})->publish.was_suppressed);
    desk_close(&desk);
}

static void a_key_is_remembered_for_five_minutes_in_channels_without_history_too(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    desk.options = (struct channel_options){0};
    publish(&desk, "news", (struct publish_wish){.key = "k"});
    move_clock(&desk, LIMIT_IDEMPOTENCY_TTL_MS - 1);
    struct op *op = publish(&desk, "news", (struct publish_wish){.key = "k"});
    assert_true(op->publish.was_suppressed);
    assert_int_equal(op->top.epoch.len, 0);
    clock_advance_for_test(1); /* also where no tick came in between */
    assert_false(publish(&desk, "news", (struct publish_wish){.key = "k"})->publish.was_suppressed);
    assert_true(publish(&desk, "news", (struct publish_wish){.key = "k"})->publish.was_suppressed);
    move_clock(&desk, LIMIT_IDEMPOTENCY_TTL_MS);
    assert_false(publish(&desk, "news", (struct publish_wish){.key = "k"})->publish.was_suppressed);
    desk_close(&desk);
}

static void keys_are_bounded_in_length_and_number(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    desk.options = (struct channel_options){0};
    char key[LIMIT_IDEMPOTENCY_KEY_BYTES + 2];
    memset(key, 'k', sizeof key);
    key[LIMIT_IDEMPOTENCY_KEY_BYTES + 1] = '\0';
    assert_int_equal(publish(&desk, "news", (struct publish_wish){.key = key})->status, STATUS_BAD_REQUEST);
    key[LIMIT_IDEMPOTENCY_KEY_BYTES] = '\0';
    assert_int_equal(publish(&desk, "news", (struct publish_wish){.key = key})->status, STATUS_OK);
    for (unsigned i = 1; i < LIMIT_IDEMPOTENCY_KEYS; i++) {
        snprintf(key, sizeof key, "%u", i);
        publish(&desk, "news", (struct publish_wish){.key = key});
        desk.events[0] = '\0';
    }
    memset(key, 'k', LIMIT_IDEMPOTENCY_KEY_BYTES);
    assert_true(publish(&desk, "news", (struct publish_wish){.key = key})->publish.was_suppressed);
    publish(&desk, "news", (struct publish_wish){.key = "one more"});
    assert_true(publish(&desk, "news", (struct publish_wish){.key = "1"})->publish.was_suppressed);
    assert_false(publish(&desk, "news", (struct publish_wish){.key = key})->publish.was_suppressed);
    desk_close(&desk);
}

static void a_version_that_is_not_newer_is_suppressed(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    static const struct {
        uint64_t version;
        const char *epoch;
        bool suppressed;
    } rows[] = {{5, "", false},  {5, "", true},  {4, "", true},  {6, "", false},
                {3, "b", false}, {3, "b", true}, {2, "", true},  {4, "b", false},
                {0, "", false},  {4, "b", true}, {1, "a", false}};
    uint64_t top = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct op *op = publish(
            &desk, "news", (struct publish_wish){.version = rows[i].version, .version_epoch = rows[i].epoch});
        assert_int_equal(op->status, STATUS_OK);
        assert_int_equal(op->publish.was_suppressed, rows[i].suppressed);
        top += !rows[i].suppressed;
        assert_int_equal(op->top.offset, top);
    }
    char epoch[LIMIT_VERSION_EPOCH_BYTES + 2];
    memset(epoch, 'e', sizeof epoch);
    epoch[LIMIT_VERSION_EPOCH_BYTES + 1] = '\0';
    struct publish_wish wish = {.version = 1, .version_epoch = epoch};
    assert_int_equal(publish(&desk, "news", wish)->status, STATUS_BAD_REQUEST);
    epoch[LIMIT_VERSION_EPOCH_BYTES] = '\0';
    assert_int_equal(publish(&desk, "news", wish)->status, STATUS_OK);
    assert_true(publish(&desk, "news", wish)->publish.was_suppressed);
    desk_close(&desk);
}

static void the_answer_to_a_subscribe_comes_before_its_join(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    struct op *op = subscribe_op(&desk, "news", "c1");
    op->subscribe.with_join_leave = true;
    run(&desk, op);
    expect_events(&desk, "finish;join 0 c1;");
    op = unsubscribe_op(&desk, "news", "c1");
    op->unsubscribe.with_join_leave = true;
    run(&desk, op);
    expect_events(&desk, "leave 0 c1;finish;");
    desk_close(&desk);
}

static void the_epoch_exists_as_soon_as_the_stream_is_first_read(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    struct op *op = history(&desk, "news");
    assert_int_equal(op->status, STATUS_OK);
    assert_int_equal(op->message_count, 0);
    assert_int_equal(op->top.offset, 0);
    assert_int_equal(op->top.epoch.len, EPOCH_TEXT_LEN);
    char epoch[EPOCH_TEXT_LEN + 1];
    memcpy(epoch, desk.epoch, sizeof epoch);
    expect_epoch(run(&desk, subscribe_op(&desk, "news", "c1")), epoch);
    expect_epoch(publish(&desk, "news", (struct publish_wish){0}), epoch);
    desk_close(&desk);
}

static void a_subscriber_that_must_recover_and_cannot_is_not_subscribed(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    publish(&desk, "news", (struct publish_wish){0});
    desk.events[0] = '\0';
    struct op *op = subscribe_op(&desk, "news", "c1");
    op->subscribe.is_recovering = op->subscribe.must_recover = true;
    op->subscribe.with_presence = op->subscribe.with_join_leave = true;
    op->subscribe.since = (struct position){.offset = 1, .epoch = STR("_")};
    assert_int_equal(run(&desk, op)->status, STATUS_UNRECOVERABLE_POSITION);
    expect_events(&desk, "finish;");
    op = run(&desk, op_for(&desk, OP_PRESENCE_STATS, "news"));
    assert_int_equal(op->presence.client_count, 0);
    desk.events[0] = '\0';
    op = subscribe_op(&desk, "news", "c1");
    op->subscribe.is_recovering = true;
    op->subscribe.since = (struct position){.offset = 1, .epoch = STR("_")};
    assert_int_equal(run(&desk, op)->status, STATUS_OK);
    assert_false(op->subscribe.recovered);
    assert_int_equal(op->top.offset, 1);
    desk_close(&desk);
}

static void recovery_without_history_fails_politely(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    desk.options = (struct channel_options){0};
    struct op *op = subscribe_op(&desk, "news", "c1");
    op->subscribe.is_recovering = true;
    assert_int_equal(run(&desk, op)->status, STATUS_OK);
    assert_false(op->subscribe.recovered);
    assert_int_equal(op->top.epoch.len, 0);
    op = subscribe_op(&desk, "news", "c1");
    op->subscribe.is_recovering = op->subscribe.must_recover = true;
    assert_int_equal(run(&desk, op)->status, STATUS_UNRECOVERABLE_POSITION);
    desk_close(&desk);
}

static void presence_knows_who_is_here_and_counts_all_where_the_list_is_cut(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    static const char *const names[] = {"c1", "c2", "c3"};
    for (size_t i = 0; i < 3; i++) {
        struct op *op = subscribe_op(&desk, "news", names[i]);
        op->subscribe.user = i == 0 ? STR("bob") : STR("alice");
        op->subscribe.with_presence = true;
        run(&desk, op);
    }
    struct op *op = op_for(&desk, OP_PRESENCE, "news");
    op->presence.limit = 2;
    run(&desk, op);
    assert_int_equal(op->presence.count, 2);
    assert_true(op->presence.is_cut);
    assert_true(str_is(op->presence.entries[1].info, "c2"));
    assert_int_equal(op->presence.client_count, 3);
    assert_int_equal(op->presence.user_count, 2);
    op = unsubscribe_op(&desk, "news", "c1");
    op->unsubscribe.with_presence = true;
    run(&desk, op);
    op = op_for(&desk, OP_PRESENCE, "news");
    op->presence.limit = 2;
    run(&desk, op);
    assert_false(op->presence.is_cut);
    assert_true(str_is(op->presence.entries[0].client, "c2"));
    assert_int_equal(op->presence.user_count, 1);
    op = run(&desk, op_for(&desk, OP_PRESENCE, "unknown"));
    assert_int_equal(op->status, STATUS_OK);
    assert_int_equal(op->presence.client_count, 0);
    desk.options.presence = false;
    assert_int_equal(run(&desk, op_for(&desk, OP_PRESENCE, "news"))->status, STATUS_NOT_AVAILABLE);
    assert_int_equal(run(&desk, op_for(&desk, OP_PRESENCE_STATS, "news"))->status, STATUS_NOT_AVAILABLE);
    desk_close(&desk);
}

static void history_remove_keeps_the_position(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    publish(&desk, "news", (struct publish_wish){0});
    char epoch[EPOCH_TEXT_LEN + 1];
    memcpy(epoch, desk.epoch, sizeof epoch);
    assert_int_equal(run(&desk, op_for(&desk, OP_HISTORY_REMOVE, "news"))->status, STATUS_OK);
    assert_int_equal(run(&desk, op_for(&desk, OP_HISTORY_REMOVE, "unknown"))->status, STATUS_OK);
    struct op *op = history(&desk, "news");
    assert_int_equal(op->message_count, 0);
    assert_int_equal(op->top.offset, 1);
    expect_epoch(op, epoch);
    desk_close(&desk);
}

static void old_publications_are_never_served_even_before_the_tick(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    publish(&desk, "news", (struct publish_wish){0});
    clock_advance_for_test(MINUTE_MS - 1);
    assert_int_equal(history(&desk, "news")->message_count, 1);
    clock_advance_for_test(1);
    struct op *op = history(&desk, "news");
    assert_int_equal(op->message_count, 0);
    assert_int_equal(op->top.offset, 1);
    desk_close(&desk);
}

static void the_position_outlives_the_messages_and_then_the_epoch_changes(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    publish(&desk, "news", (struct publish_wish){0});
    char epoch[EPOCH_TEXT_LEN + 1];
    memcpy(epoch, desk.epoch, sizeof epoch);
    move_clock(&desk, HOUR_MS - 1);
    expect_epoch(history(&desk, "news"), epoch); /* a use: the hour begins again */
    move_clock(&desk, HOUR_MS - 1);
    expect_epoch(publish(&desk, "news", (struct publish_wish){0}), epoch);
    move_clock(&desk, HOUR_MS);
    struct op *op = history(&desk, "news");
    assert_int_equal(op->top.offset, 0);
    assert_memory_not_equal(op->top.epoch.at, epoch, EPOCH_TEXT_LEN);
    desk_close(&desk);
}

static void the_position_stays_while_somebody_is_subscribed(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    desk.subscriber_count = 1;
    publish(&desk, "news", (struct publish_wish){0});
    char epoch[EPOCH_TEXT_LEN + 1];
    memcpy(epoch, desk.epoch, sizeof epoch);
    for (unsigned i = 0; i < 5; i++) {
        move_clock(&desk, 2 * HOUR_MS);
    }
    desk.subscriber_count = 0;
    run(&desk, unsubscribe_op(&desk, "news", "c1")); /* the last one leaves: the hour begins */
    move_clock(&desk, HOUR_MS - 1);
    expect_epoch(publish(&desk, "news", (struct publish_wish){0}), epoch);
    desk_close(&desk);
}

/* The sink is asked for the subscribers of each stream that might go: that counts what one tick looks at. */
static unsigned streams_looked_at;
static uint32_t count_looks(void *context, struct str channel)
{
    (void)channel;
    streams_looked_at++;
    return ((struct desk *)context)->subscriber_count;
}

static void a_stream_that_is_still_in_use_is_looked_at_once_in_its_life(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    desk.broker->sink.subscriber_count = count_looks;
    desk.subscriber_count = 1;
    history(&desk, "news");
    streams_looked_at = 0;
    move_clock(&desk, HOUR_MS);
    assert_int_equal(streams_looked_at, 1);
    move_clock(&desk, HOUR_MS - 1);
    assert_int_equal(streams_looked_at, 1);
    desk_close(&desk);
}

static void expiry_takes_a_bounded_step_and_finishes_in_the_next(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    desk.broker->sink.subscriber_count = count_looks;
    enum { CHANNELS = 25000 };
    desk.options.history_ttl_ms = 1000;
    desk.options.history_meta_ttl_ms = 1000;
    for (unsigned i = 0; i < CHANNELS; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        publish(&desk, name, (struct publish_wish){0});
        desk.events[0] = '\0';
    }
    streams_looked_at = 0;
    desk.broker->ops->tick(desk.broker, START_MS + 999);
    assert_int_equal(streams_looked_at, 0);
    unsigned ticks = 0;
    for (unsigned before = 0; streams_looked_at < CHANNELS; ticks++, before = streams_looked_at) {
        desk.broker->ops->tick(desk.broker, START_MS + 1000);
        assert_true(streams_looked_at > before);
        assert_true(streams_looked_at - before <= 10000);
    }
    assert_true(ticks >= 3);
    desk.broker->ops->tick(desk.broker, START_MS + 1000);
    assert_int_equal(streams_looked_at, CHANNELS); /* nothing is left to look at */
    desk_close(&desk);
}

static void without_memory_a_publication_happens_whole_or_not_at_all(void **state)
{
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct desk desk;
        desk_open(&desk);
        struct op *op =
            publish_op(&desk, "news", (struct publish_wish){.key = "k", .version = 1, .version_epoch = "e"});
        fail_alloc_at(n);
        run(&desk, op);
        failed = fail_alloc_stop();
        assert_int_equal(op->status, failed ? STATUS_NO_MEMORY : STATUS_OK);
        expect_events(&desk, failed ? "finish;" : "pub 1 {};finish;");
        op = publish(&desk, "news", (struct publish_wish){.key = "k", .version = 1, .version_epoch = "e"});
        assert_int_equal(op->publish.was_suppressed, !failed);
        assert_int_equal(op->top.offset, 1);
        assert_int_equal(history(&desk, "news")->message_count, 1);
        desk_close(&desk);
        assert_true(n < 40);
    }
}

static void without_memory_a_subscribe_leaves_no_trace(void **state)
{
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct desk desk;
        desk_open(&desk);
        publish(&desk, "news", (struct publish_wish){0});
        desk.events[0] = '\0';
        struct op *op = subscribe_op(&desk, "news", "c1");
        op->subscribe.with_presence = op->subscribe.with_join_leave = op->subscribe.is_recovering = true;
        fail_alloc_at(n);
        run(&desk, op);
        failed = fail_alloc_stop();
        assert_int_equal(op->status, failed ? STATUS_NO_MEMORY : STATUS_OK);
        expect_events(&desk, failed ? "finish;" : "finish;join 0 c1;");
        op = run(&desk, op_for(&desk, OP_PRESENCE_STATS, "news"));
        assert_int_equal(op->presence.client_count, failed ? 0 : 1);
        desk_close(&desk);
        assert_true(n < 40);
    }
}

static void channels_beyond_the_limit_are_refused_and_those_that_exist_go_on(void **state)
{
    struct desk desk;
    (void)state;
    desk_open_limited(&desk, (struct broker_limits){.streams_max = 2});
    assert_int_equal(publish(&desk, "one", (struct publish_wish){0})->status, STATUS_OK);
    assert_int_equal(publish(&desk, "two", (struct publish_wish){0})->status, STATUS_OK);
    expect_events(&desk, desk.events);
    assert_int_equal(publish(&desk, "three", (struct publish_wish){0})->status, STATUS_LIMIT_EXCEEDED);
    assert_int_equal(publish(&desk, "two", (struct publish_wish){0})->status, STATUS_OK);
    move_clock(&desk, 2 * HOUR_MS);
    assert_int_equal(publish(&desk, "three", (struct publish_wish){0})->status, STATUS_OK);
    desk_close(&desk);
}

static void history_over_its_bytes_refuses_what_it_would_have_to_keep_until_something_expires(void **state)
{
    struct desk desk;
    (void)state;
    desk_open_limited(&desk, (struct broker_limits){.history_bytes_max = 1});
    assert_int_equal(publish(&desk, "one", (struct publish_wish){0})->status, STATUS_OK);
    assert_int_equal(publish(&desk, "one", (struct publish_wish){0})->status, STATUS_LIMIT_EXCEEDED);
    assert_int_equal(publish(&desk, "two", (struct publish_wish){0})->status, STATUS_LIMIT_EXCEEDED);
    assert_int_equal(publish(&desk, "two", (struct publish_wish){.skip_history = true})->status, STATUS_OK);
    move_clock(&desk, MINUTE_MS + 1000);
    struct op *op = publish(&desk, "one", (struct publish_wish){0});
    assert_int_equal(op->status, STATUS_OK);
    assert_int_equal(op->top.offset, 2);
    desk_close(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_beyond_the_limit_are_refused_and_those_that_exist_go_on),
        cmocka_unit_test(history_over_its_bytes_refuses_what_it_would_have_to_keep_until_something_expires),
        cmocka_unit_test(a_publication_gets_its_place_and_goes_out),
        cmocka_unit_test(a_channel_without_history_has_no_position),
        cmocka_unit_test(skip_history_delivers_without_a_place),
        cmocka_unit_test(a_full_mailbox_refuses_the_publication_before_anything_is_stored),
        cmocka_unit_test(the_same_key_is_answered_with_the_first_result),
        cmocka_unit_test(a_key_is_remembered_for_five_minutes_in_channels_without_history_too),
        cmocka_unit_test(keys_are_bounded_in_length_and_number),
        cmocka_unit_test(a_version_that_is_not_newer_is_suppressed),
        cmocka_unit_test(the_answer_to_a_subscribe_comes_before_its_join),
        cmocka_unit_test(the_epoch_exists_as_soon_as_the_stream_is_first_read),
        cmocka_unit_test(a_subscriber_that_must_recover_and_cannot_is_not_subscribed),
        cmocka_unit_test(recovery_without_history_fails_politely),
        cmocka_unit_test(presence_knows_who_is_here_and_counts_all_where_the_list_is_cut),
        cmocka_unit_test(history_remove_keeps_the_position),
        cmocka_unit_test(old_publications_are_never_served_even_before_the_tick),
        cmocka_unit_test(the_position_outlives_the_messages_and_then_the_epoch_changes),
        cmocka_unit_test(the_position_stays_while_somebody_is_subscribed),
        cmocka_unit_test(a_stream_that_is_still_in_use_is_looked_at_once_in_its_life),
        cmocka_unit_test(expiry_takes_a_bounded_step_and_finishes_in_the_next),
        cmocka_unit_test(without_memory_a_publication_happens_whole_or_not_at_all),
        cmocka_unit_test(without_memory_a_subscribe_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

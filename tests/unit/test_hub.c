#include "channels/hub.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/fake_subscriber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct fake_wish plain = {0};
static const struct fake_wish positioned = {.positioned = true};

static uint64_t counter_sum(struct rig *rig, size_t offset_of_counter)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < rig->hub_count; i++) {
        sum +=
            *(const uint64_t *)(const void *)((const char *)hub_counters(rig->hubs[i]) + offset_of_counter);
    }
    return sum;
}
#define counter(rig, name) counter_sum((rig), offsetof(struct hub_counters, name))

/* Delivery. */

static void a_subscriber_receives_what_is_published_after_its_answer(void **state)
{
    (void)state;
    for (unsigned hubs = 1; hubs <= 4; hubs *= 2) {
        struct rig rig;
        rig_open(&rig, (struct rig_options){.hub_count = hubs});
        struct fake *alice = fake_new(&rig, 0, "alice");
        struct fake *bob = fake_new(&rig, hubs - 1, "bob");
        fake_publish(bob, "news", "early");
        rig_settle(&rig);
        fake_subscribe(alice, "news", positioned);
        rig_settle(&rig);
        fake_publish(bob, "news", "one");
        fake_publish(bob, "news", "two");
        fake_publish(bob, "other", "three");
        rig_settle(&rig);
        expect_log(alice, "subscribed 1; 2:one; 3:two");
        expect_log(bob, "done; done; done; done");
        fake_free(alice);
        fake_free(bob);
        rig_close(&rig);
    }
}

static void channels_without_history_deliver_too(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    rig.options = (struct channel_options){0};
    struct fake *alice = fake_new(&rig, 0, "alice");
    fake_subscribe(alice, "news", positioned);
    rig_settle(&rig);
    fake_publish(alice, "news", "a");
    fake_publish(alice, "news", "b");
    rig_settle(&rig);
    expect_log(alice, "subscribed 0; 0:a; done; 0:b; done");
    fake_free(alice);
    rig_close(&rig);
}

static void nothing_is_done_inside_the_call_that_asks(void **state)
{
    (void)state;
    for (unsigned hubs = 1; hubs <= 2; hubs++) {
        struct rig rig;
        rig_open(&rig, (struct rig_options){.hub_count = hubs});
        struct fake *alice = fake_new(&rig, 0, "alice");
        fake_subscribe(alice, "news", plain);
        fake_publish(alice, "news", "a");
        expect_log(alice, "");
        rig_settle(&rig);
        assert_int_equal(alice->subscriber.ops_pending, 0);
        fake_free(alice);
        rig_close(&rig);
    }
}

static void one_publication_is_encoded_once_per_worker_with_live_subscribers(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 4});
    struct fake *fakes[6];
    for (unsigned i = 0; i < 6; i++) {
        fakes[i] = fake_new(&rig, i / 3, "fake"); /* three on each of two workers */
        fake_subscribe(fakes[i], "news", plain);
    }
    rig_settle(&rig);
    fake_publish(fakes[0], "news", "x");
    rig_settle(&rig);
    assert_int_equal(rig_encode_count, 2);
    assert_int_equal(counter(&rig, publications_total), 2);
    assert_int_equal(counter(&rig, deliveries_total), 6);
    for (unsigned i = 0; i < 6; i++) {
        fake_free(fakes[i]);
    }
    rig_close(&rig);
}

static void a_delivery_allocates_nothing_but_the_frame(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 1});
    rig.options = (struct channel_options){0};
    enum { READERS = 200 };
    struct fake *fakes[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        fakes[i] = fake_new(&rig, 0, "reader");
        fake_subscribe(fakes[i], "news", plain);
    }
    fake_publish(fakes[0], "news", "warm");
    rig_settle(&rig);
    fake_publish(fakes[0], "news", "x");
    size_t before = fail_alloc_count();
    rig_settle(&rig);
    assert_int_equal(fail_alloc_count() - before, 1);
    assert_int_equal(counter(&rig, deliveries_total), 2 * READERS);
    for (unsigned i = 0; i < READERS; i++) {
        fake_free(fakes[i]);
    }
    rig_close(&rig);
}

static void publications_of_a_channel_arrive_everywhere_in_one_order(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 4});
    struct fake *fakes[4];
    for (unsigned i = 0; i < 4; i++) {
        fakes[i] = fake_new(&rig, i, "fake");
        fake_subscribe(fakes[i], "news", positioned);
    }
    rig_settle(&rig);
    for (unsigned i = 0; i < 4; i++) {
        fake_forget_log(fakes[i]);
    }
    struct fake *publishers[4];
    for (unsigned i = 0; i < 4; i++) {
        char data[2] = {(char)('a' + i), '\0'};
        publishers[i] = fake_new(&rig, i, "publisher");
        fake_publish(publishers[i], "news", data);
        fake_publish(publishers[i], "news", data);
    }
    rig_settle(&rig);
    assert_int_equal(strlen(fake_log(fakes[0])), 8 * 3 + 7 * 2);
    for (unsigned i = 1; i < 4; i++) {
        assert_string_equal(fake_log(fakes[i]), fake_log(fakes[0]));
    }
    for (unsigned i = 0; i < 4; i++) {
        fake_free(fakes[i]);
        fake_free(publishers[i]);
    }
    rig_close(&rig);
}

/* Every order of events (PROTOCOL section 7.4). A story is a list of actors; at each step either one of them
 * does the next thing of its list, or one hub runs one mail. The explorer replays the story with every
 * sequence of choices there is: a few thousand. (With one publication more they are some 100,000; they hold
 * too and take a minute.) */

struct action {
    enum { ACT_END, ACT_PUBLISH, ACT_SUBSCRIBE, ACT_UNSUBSCRIBE } kind;
    struct fake_wish wish;
};

enum { ACTORS_MAX = 3, ACTIONS_MAX = 4, CHOICES_MAX = 200 };

struct story {
    unsigned hub_count, home;
    unsigned early_count; /* publications before it begins */
    struct {
        unsigned hub;
        struct action actions[ACTIONS_MAX];
    } actors[ACTORS_MAX];
    unsigned actor_count;
};

struct explorer {
    unsigned choices[CHOICES_MAX], widths[CHOICES_MAX];
    unsigned depth, length;
};

static unsigned choose(struct explorer *explorer, unsigned width)
{
    must(width > 0);
    must(explorer->depth < CHOICES_MAX);
    if (explorer->depth == explorer->length) {
        explorer->choices[explorer->length++] = 0;
    }
    explorer->widths[explorer->depth] = width;
    return explorer->choices[explorer->depth++];
}

/* false: every sequence was seen. */
static bool next_sequence(struct explorer *explorer)
{
    explorer->length = explorer->depth;
    explorer->depth = 0;
    while (explorer->length > 0) {
        unsigned last = explorer->length - 1;
        if (++explorer->choices[last] < explorer->widths[last]) {
            return true;
        }
        explorer->length--;
    }
    return false;
}

static void act(struct fake *fake, const char *channel, const struct action *action)
{
    switch (action->kind) {
    case ACT_PUBLISH: fake_publish(fake, channel, "x"); return;
    case ACT_SUBSCRIBE:
        if (fake_row(fake, channel) == NULL) { /* else it is "already subscribed" */
            fake_subscribe(fake, channel, action->wish);
        }
        return;
    case ACT_UNSUBSCRIBE:
        if (fake_row(fake, channel) != NULL) {
            fake_unsubscribe(fake, channel);
        }
        return;
    case ACT_END: break;
    }
    fail();
}

/* A subscriber's log holds one unbroken run of offsets from where it subscribed: no gap and no duplicate. */
static void check_run(const char *log, uint64_t *next_out)
{
    uint64_t next = 0;
    const char *at = log;
    while (*at != '\0') {
        unsigned long long number;
        int used = 0;
        if (sscanf(at, "subscribed %llu recovered%n", &number, &used) == 1 && used > 0) {
            at += used;
            uint64_t recovered_to = number;
            /* The asked-for offset is 0 in these stories. */
            next = 1;
            while (sscanf(at, " %llu%n", &number, &used) == 1 && at[0] == ' ') {
                assert_int_equal(number, next);
                next++;
                at += used;
            }
            assert_int_equal(next, recovered_to + 1);
        } else if (sscanf(at, "subscribed %llu%n", &number, &used) == 1) {
            at += used;
            next = number + 1;
        } else if (sscanf(at, "%llu:x%n", &number, &used) == 1) {
            at += used;
            assert_int_equal(number, next);
            next++;
        } else if (strncmp(at, "done", 4) == 0) {
            at += 4;
        } else {
            fail_msg("unexpected: %s in %s", at, log);
        }
        at += strncmp(at, "; ", 2) == 0 ? 2 : 0;
    }
    *next_out = next;
}

static void tell_once(const struct story *story, struct explorer *explorer)
{
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = story->hub_count});
    const char *channel = rig_channel_of(&rig, story->home);
    struct fake *fakes[ACTORS_MAX] = {NULL};
    unsigned steps[ACTORS_MAX] = {0};
    for (unsigned i = 0; i < story->actor_count; i++) {
        fakes[i] = fake_new(&rig, story->actors[i].hub, "actor");
    }
    for (unsigned i = 0; i < story->early_count; i++) {
        fake_publish(fakes[0], channel, "x");
    }
    rig_settle(&rig);
    fake_forget_log(fakes[0]);
    for (;;) {
        /* Options: actors first, then hubs that have mail. */
        unsigned options[ACTORS_MAX + RIG_HUBS_MAX], count = 0;
        for (unsigned i = 0; i < story->actor_count; i++) {
            if (story->actors[i].actions[steps[i]].kind != ACT_END) {
                options[count++] = i;
            }
        }
        for (unsigned i = 0; i < story->hub_count; i++) {
            if (rig_waits(&rig, i)) {
                options[count++] = ACTORS_MAX + i;
            }
        }
        if (count == 0) {
            break;
        }
        unsigned chosen = options[choose(explorer, count)];
        if (chosen < ACTORS_MAX) {
            act(fakes[chosen], channel, &story->actors[chosen].actions[steps[chosen]++]);
        } else {
            hub_turn(rig.hubs[chosen - ACTORS_MAX], 1);
        }
    }
    struct fake *reader = fake_new(&rig, 0, "reader");
    struct op *op = fake_op(reader, OP_HISTORY, channel);
    reader->subscriber.ops_pending++;
    hub_start(reader->hub, op);
    rig_settle(&rig);
    for (unsigned i = 0; i < story->actor_count; i++) {
        uint64_t next;
        check_run(fake_log(fakes[i]), &next);
        if (fake_row(fakes[i], channel) != NULL) {
            assert_int_equal(next, reader->position.offset + 1); /* nothing is missing at the end either */
        }
        fake_free(fakes[i]);
    }
    fake_free(reader);
    assert_int_equal(rig_channel_count(&rig), 0);
    rig_close(&rig);
}

static unsigned tell(const struct story *story)
{
    struct explorer explorer = {.length = 0};
    unsigned sequences = 0;
    do {
        tell_once(story, &explorer);
        sequences++;
    } while (next_sequence(&explorer));
    return sequences;
}

static void no_gap_and_no_duplicate_between_answer_and_live_in_any_order(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 3; home++) {
        struct story story = {
            .hub_count = 3,
            .home = home,
            .early_count = 1,
            .actors = {{.hub = 0, .actions = {{.kind = ACT_PUBLISH}, {.kind = ACT_PUBLISH}}},
                       {.hub = 1, .actions = {{.kind = ACT_SUBSCRIBE, .wish = {.positioned = true}}}}},
            .actor_count = 2,
        };
        assert_true(tell(&story) > 100);
    }
}

static void no_gap_and_no_duplicate_between_recovery_and_live_in_any_order(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct story story = {
            .hub_count = 2,
            .home = home,
            .early_count = 2,
            .actors = {{.hub = 0,
                        .actions = {{.kind = ACT_PUBLISH}, {.kind = ACT_PUBLISH}, {.kind = ACT_PUBLISH}}},
                       {.hub = 1, .actions = {{.kind = ACT_SUBSCRIBE, .wish = {.recover = true}}}}},
            .actor_count = 2,
        };
        assert_true(tell(&story) > 1000);
    }
}

static void rows_that_share_a_position_do_not_disturb_each_other_in_any_order(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct story story = {
            .hub_count = 2,
            .home = home,
            .actors = {{.hub = 0, .actions = {{.kind = ACT_PUBLISH}}},
                       {.hub = 1,
                        .actions = {{.kind = ACT_SUBSCRIBE, .wish = {.positioned = true}},
                                    {.kind = ACT_UNSUBSCRIBE}}},
                       {.hub = 1, .actions = {{.kind = ACT_SUBSCRIBE, .wish = {.recover = true}}}}},
            .actor_count = 3,
        };
        assert_true(tell(&story) > 1000);
    }
}

static void leaving_and_coming_back_loses_and_repeats_nothing_in_any_order(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct story story = {
            .hub_count = 2,
            .home = home,
            .actors = {{.hub = 0, .actions = {{.kind = ACT_PUBLISH}}},
                       {.hub = 1,
                        .actions = {{.kind = ACT_SUBSCRIBE, .wish = {.recover = true}},
                                    {.kind = ACT_UNSUBSCRIBE},
                                    {.kind = ACT_SUBSCRIBE, .wish = {.recover = true}}}}},
            .actor_count = 2,
        };
        assert_true(tell(&story) > 1000);
    }
}

/* Recovery through the hub; the whole matrix is in test_history.c. */

static void a_subscriber_that_comes_back_recovers_what_it_missed(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    struct fake *alice = fake_new(&rig, 0, "alice");
    struct fake *bob = fake_new(&rig, 1, "bob");
    for (unsigned i = 0; i < 4; i++) {
        fake_publish(bob, "news", "x");
    }
    rig_settle(&rig);
    char epoch[LIMIT_EPOCH_BYTES + 1] = {0};
    memcpy(epoch, bob->position.epoch.at, bob->position.epoch.len);
    struct fake_wish wish = {.recover = true, .since = 2, .epoch = epoch};
    fake_subscribe(alice, "news", wish);
    rig_settle(&rig);
    fake_publish(bob, "news", "live");
    rig_settle(&rig);
    expect_log(alice, "subscribed 4 recovered 3 4; 5:live");
    fake_unsubscribe(alice, "news");
    wish.epoch = "_";
    fake_subscribe(alice, "news", wish);
    rig_settle(&rig);
    expect_log(alice, "done; subscribed 5 not-recovered");
    fake_unsubscribe(alice, "news");
    wish.must_recover = true;
    fake_subscribe(alice, "news", wish);
    rig_settle(&rig);
    expect_log(alice, "done; refused: unrecoverable position");
    wish = (struct fake_wish){.recover = true, .cache_mode = true, .since = 1, .epoch = epoch};
    fake_subscribe(alice, "news", wish);
    rig_settle(&rig);
    expect_log(alice, "subscribed 5 recovered 5");
    fake_free(alice);
    fake_free(bob);
    rig_close(&rig);
}

/* While subscribed (PROTOCOL section 7.5). */

static void a_gap_is_told_once_to_each_positioned_row_and_others_do_not_notice(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    struct fake *strict = fake_new(&rig, 0, "strict");
    struct fake *second = fake_new(&rig, 0, "second");
    struct fake *loose = fake_new(&rig, 0, "loose");
    fake_subscribe(strict, "news", positioned);
    fake_subscribe(loose, "news", plain);
    fake_subscribe(second, "news", positioned);
    fake_publish(loose, "news", "a");
    rig_settle(&rig);
    rig_inject(&rig, "news", 3, strict->position.epoch);
    rig_inject(&rig, "news", 4, strict->position.epoch);
    rig_inject(&rig, "news", 6, strict->position.epoch);
    rig_settle(&rig);
    expect_log(strict, "subscribed 0; 1:a; insufficient");
    expect_log(second, "subscribed 0; 1:a; insufficient");
    expect_log(loose, "subscribed 0; 1:a; done; 3:injected; 4:injected; 6:injected");
    assert_int_equal(counter(&rig, insufficient_total), 1);
    fake_free(strict);
    fake_free(second);
    fake_free(loose);
    rig_close(&rig);
}

static void what_was_seen_before_is_dropped_in_silence(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    struct fake *alice = fake_new(&rig, 0, "alice");
    struct fake *bob = fake_new(&rig, 0, "bob");
    fake_subscribe(alice, "news", positioned);
    fake_subscribe(bob, "news", plain);
    fake_publish(alice, "news", "a");
    fake_publish(alice, "news", "b");
    rig_settle(&rig);
    fake_forget_log(alice);
    fake_forget_log(bob);
    rig_inject(&rig, "news", 1, alice->position.epoch);
    rig_inject(&rig, "news", 2, alice->position.epoch);
    rig_inject(&rig, "news", 3, alice->position.epoch);
    rig_settle(&rig);
    expect_log(alice, "3:injected");
    expect_log(bob, "3:injected");
    fake_free(alice);
    fake_free(bob);
    rig_close(&rig);
}

static void another_epoch_is_insufficient_state_and_then_the_new_position(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 1});
    struct fake *alice = fake_new(&rig, 0, "alice");
    struct fake *loose = fake_new(&rig, 0, "loose");
    fake_subscribe(alice, "news", positioned);
    fake_subscribe(loose, "news", plain);
    rig_settle(&rig);
    rig_inject(&rig, "news", 1, STR("newepoch"));
    rig_settle(&rig);
    expect_log(alice, "subscribed 0; insufficient");
    expect_log(loose, "subscribed 0; 1:injected");
    struct position position = channel_position(fake_row(loose, "news")->channel);
    assert_int_equal(position.offset, 1);
    assert_true(str_is(position.epoch, "newepoch"));
    fake_free(alice);
    fake_free(loose);
    rig_close(&rig);
}

static void a_row_may_leave_when_it_is_told_of_a_gap_and_come_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    struct fake *fakes[3];
    for (unsigned i = 0; i < 3; i++) {
        fakes[i] = fake_new(&rig, 0, "fake");
        fakes[i]->leaves_when_insufficient = true;
        fake_subscribe(fakes[i], "news", positioned);
    }
    rig_settle(&rig);
    rig_inject(&rig, "news", 5, fakes[0]->position.epoch);
    rig_settle(&rig);
    for (unsigned i = 0; i < 3; i++) {
        expect_log(fakes[i], "subscribed 0; insufficient; done");
        assert_null(fake_row(fakes[i], "news"));
    }
    assert_int_equal(rig_channel_count(&rig), 0);
    fake_subscribe(fakes[0], "news", positioned);
    rig_settle(&rig);
    expect_log(fakes[0], "subscribed 0");
    for (unsigned i = 0; i < 3; i++) {
        fake_free(fakes[i]);
    }
    rig_close(&rig);
}

/* A networked broker may know of more, or of less, than what has come by here. */
static void an_answer_that_is_behind_the_others_tells_its_row(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 1});
    struct fake *alice = fake_new(&rig, 0, "alice");
    struct fake *late = fake_new(&rig, 0, "late");
    fake_subscribe(alice, "news", positioned);
    rig_settle(&rig);
    rig_inject(&rig, "news", 1, alice->position.epoch);
    rig_settle(&rig);
    fake_subscribe(late, "news", positioned); /* the broker says 0: it never stored the injected one */
    rig_settle(&rig);
    expect_log(late, "subscribed 0; insufficient");
    rig_inject(&rig, "news", 2, alice->position.epoch);
    rig_settle(&rig);
    expect_log(alice, "subscribed 0; 1:injected; 2:injected");
    expect_log(late, "");
    assert_int_equal(counter(&rig, insufficient_total), 1);
    fake_free(alice);
    fake_free(late);
    rig_close(&rig);
}

static void an_answer_that_is_ahead_of_the_others_tells_them(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 1});
    struct fake *alice = fake_new(&rig, 0, "alice");
    struct fake *late = fake_new(&rig, 0, "late");
    fake_subscribe(alice, "news", positioned);
    rig_settle(&rig);
    /* A row by hand whose answer is three ahead. */
    struct subscription *row = hub_add(late->hub, &late->subscriber, STR("news"), &rig.options);
    subscription_set_flags(late->hub, row, SUBSCRIPTION_POSITIONED, 0);
    hub_go_live(late->hub, row, (struct position){.offset = 3, .epoch = alice->position.epoch});
    expect_log(alice, "subscribed 0"); /* not inside the call */
    rig_settle(&rig);
    expect_log(alice, "insufficient");
    rig_inject(&rig, "news", 4, alice->position.epoch);
    rig_settle(&rig);
    expect_log(alice, "");
    expect_log(late, "4:injected");
    hub_remove(late->hub, row);
    fake_free(alice);
    fake_free(late);
    rig_close(&rig);
}

static void a_row_that_leaves_before_it_is_told_leaves_nothing_behind(void **state)
{
    (void)state;
    for (unsigned settles = 0; settles < 2; settles++) {
        struct rig rig;
        rig_open(&rig, (struct rig_options){.hub_count = 1});
        struct fake *alice = fake_new(&rig, 0, "alice");
        struct subscription *first = hub_add(alice->hub, &alice->subscriber, STR("news"), &rig.options);
        subscription_set_flags(alice->hub, first, SUBSCRIPTION_POSITIONED, 0);
        hub_go_live(alice->hub, first, (struct position){.offset = 1, .epoch = STR("e")});
        struct fake *bob = fake_new(&rig, 0, "bob");
        struct subscription *second = hub_add(bob->hub, &bob->subscriber, STR("news"), &rig.options);
        subscription_set_flags(bob->hub, second, SUBSCRIPTION_POSITIONED, 0);
        hub_go_live(bob->hub, second, (struct position){.offset = 2, .epoch = STR("e")});
        hub_remove(alice->hub, first);
        hub_remove(bob->hub, second);
        if (settles == 1) { /* else hub_free() meets the mail */
            rig_settle(&rig);
            assert_int_equal(rig_channel_count(&rig), 0);
            fake_free(bob);
            fake_free(alice);
        } else {
            buf_release(&bob->log);
            buf_release(&alice->log);
            free(bob);
            free(alice);
        }
        rig_close(&rig);
    }
}

static void without_memory_for_a_frame_positioned_rows_are_told_and_others_counted(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    struct fake *strict = fake_new(&rig, 0, "strict");
    struct fake *loose = fake_new(&rig, 0, "loose");
    fake_subscribe(strict, "news", positioned);
    fake_subscribe(loose, "news", plain);
    rig_settle(&rig);
    rig_encode_failures = 1;
    fake_publish(loose, "news", "a");
    fake_publish(loose, "news", "b");
    rig_settle(&rig);
    expect_log(strict, "subscribed 0; insufficient");
    expect_log(loose, "subscribed 0; done; 2:b; done");
    assert_int_equal(counter(&rig, refused_total), 2);
    fake_free(strict);
    fake_free(loose);
    rig_close(&rig);
}

/* Slow consumers, and leaving in the middle. */

static void a_full_outbox_refuses_and_nobody_else_notices_s02(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    struct fake *slow = fake_new(&rig, 0, "slow");
    struct fake *fast = fake_new(&rig, 0, "fast");
    slow->offers_left = 1;
    fake_subscribe(slow, "news", positioned);
    fake_subscribe(fast, "news", positioned);
    for (unsigned i = 0; i < 3; i++) {
        fake_publish(fast, "news", "x");
    }
    rig_settle(&rig);
    expect_log(slow, "subscribed 0; 1:x");
    fake_forget_log(fast);
    fake_publish(fast, "news", "y");
    rig_settle(&rig);
    assert_true(strstr(fake_log(fast), "4:y") != NULL);
    assert_int_equal(counter(&rig, refused_total), 3);
    assert_int_equal(counter(&rig, deliveries_total), 5);
    fake_free(slow);
    fake_free(fast);
    rig_close(&rig);
}

/* The order in which fakes are offered something. */
static char order[256];
static void note_order(struct fake *fake)
{
    strncat(order, fake->name, sizeof order - strlen(order) - 1);
}

static void leave_on_offer(struct fake *fake)
{
    note_order(fake);
    struct fake *leaver = fake->on_offer_arg;
    if (fake_row(leaver, "news") != NULL) {
        fake_unsubscribe(leaver, "news");
    }
}

static void rows_may_leave_in_the_middle_of_a_walk(void **state)
{
    (void)state;
    /* Of four rows, `actor` makes `leaver` leave inside its own offer; who comes later and is still there
     * gets the message all the same. */
    for (unsigned actor = 0; actor < 4; actor++) {
        for (unsigned leaver = 0; leaver < 4; leaver++) {
            struct rig rig;
            rig_open(&rig, (struct rig_options){.hub_count = 1});
            struct fake *fakes[4];
            char expected[8] = "";
            for (unsigned i = 0; i < 4; i++) {
                char name[2] = {(char)('a' + i), '\0'};
                fakes[i] = fake_new(&rig, 0, name);
                fakes[i]->on_offer = note_order;
                fake_subscribe(fakes[i], "news", positioned);
                if (i != leaver || leaver <= actor) {
                    strncat(expected, name, sizeof expected - strlen(expected) - 1);
                }
            }
            rig_settle(&rig);
            fakes[actor]->on_offer = leave_on_offer;
            fakes[actor]->on_offer_arg = fakes[leaver];
            order[0] = '\0';
            fake_publish(fakes[0], "news", "x");
            rig_settle(&rig);
            assert_string_equal(order, expected);
            assert_null(fake_row(fakes[leaver], "news"));
            for (unsigned i = 0; i < 4; i++) {
                fake_free(fakes[i]);
            }
            assert_int_equal(rig_channel_count(&rig), 0);
            rig_close(&rig);
        }
    }
}

static void the_last_row_may_leave_in_the_middle_of_a_walk(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    struct fake *alice = fake_new(&rig, 0, "alice");
    alice->on_offer = leave_on_offer;
    alice->on_offer_arg = alice;
    fake_subscribe(alice, "news", positioned);
    rig_settle(&rig);
    fake_publish(alice, "news", "x");
    rig_settle(&rig);
    assert_int_equal(rig_channel_count(&rig), 0);
    fake_free(alice);
    rig_close(&rig);
}

/* Many rounds of one leaving or coming back, so that every share of holes in the array comes by. */
static void subscribers_are_walked_in_order_of_subscription_whoever_left(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 1});
    rig.options = (struct channel_options){0};
    enum { FAKES = 40 };
    struct fake *fakes[FAKES];
    char expected[FAKES + 1] = ""; /* one letter each, in order of subscription */
    for (unsigned i = 0; i < FAKES; i++) {
        char name[2] = {(char)('A' + i), '\0'};
        fakes[i] = fake_new(&rig, 0, name);
        fakes[i]->on_offer = note_order;
    }
    uint32_t dice = 12345;
    for (unsigned round = 0; round < 3000; round++) {
        dice = dice * 1664525u + 1013904223u;
        /* Waves: 200 rounds in which coming is likelier, 200 in which leaving is. */
        bool comes = (dice >> 16) % 4 != 0 ? round / 200 % 2 == 0 : round / 200 % 2 == 1;
        struct fake *fake = fakes[(dice >> 8) % FAKES];
        char *place = strchr(expected, fake->name[0]);
        if (comes && place == NULL) {
            fake_subscribe(fake, "news", plain);
            strncat(expected, fake->name, sizeof expected - strlen(expected) - 1);
        } else if (!comes && place != NULL) {
            fake_unsubscribe(fake, "news");
            memmove(place, place + 1, strlen(place));
        }
        rig_settle(&rig);
        order[0] = '\0';
        fake_publish(fakes[0], "news", "x");
        rig_settle(&rig);
        assert_string_equal(order, expected);
        for (unsigned i = 0; i < FAKES; i++) {
            fake_forget_log(fakes[i]);
        }
    }
    for (unsigned i = 0; i < FAKES; i++) {
        fake_free(fakes[i]);
    }
    assert_int_equal(rig_channel_count(&rig), 0);
    rig_close(&rig);
}

/* Presence, joins and leaves. */

/* Keeps the counts of an OP_PRESENCE_STATS. */
static uint32_t seen_clients, seen_users;
static void on_stats(struct op *op)
{
    struct fake *fake = op->context;
    fake->subscriber.ops_pending--;
    seen_clients = op->presence.client_count;
    seen_users = op->presence.user_count;
    op_free(op);
}

static uint32_t client_count(struct fake *asker, const char *channel, uint32_t *user_count)
{
    struct op *op = fake_op(asker, OP_PRESENCE_STATS, channel);
    op->done = on_stats;
    asker->subscriber.ops_pending++;
    hub_start(asker->hub, op);
    rig_settle(asker->rig);
    *user_count = seen_users;
    return seen_clients;
}

static void presence_counts_every_worker_and_forgets_who_left(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 4});
    const struct fake_wish present = {.with_presence = true};
    struct fake *fakes[4];
    static const char *const names[] = {"alice.1", "alice.2", "bob.1", "bob.2"};
    uint32_t users;
    for (unsigned i = 0; i < 4; i++) {
        fakes[i] = fake_new(&rig, i, names[i]);
        fake_subscribe(fakes[i], "news", present);
        rig_settle(&rig);
        assert_int_equal(client_count(fakes[0], "news", &users), i + 1);
        assert_int_equal(users, i / 2 + 1);
    }
    struct fake *watcher = fake_new(&rig, 0, "watcher");
    for (unsigned i = 0; i < 4; i++) {
        fake_free(fakes[i]); /* the session is gone */
        assert_int_equal(client_count(watcher, "news", &users), 3 - i);
        assert_int_equal(users, i == 0 ? 2 : i == 3 ? 0 : (4 - i) / 2);
    }
    fake_free(watcher);
    rig_close(&rig);
}

static void joins_and_leaves_reach_those_who_asked_and_the_one_who_joins(void **state)
{
    (void)state;
    for (unsigned hubs = 1; hubs <= 2; hubs++) {
        struct rig rig;
        rig_open(&rig, (struct rig_options){.hub_count = hubs});
        struct fake *curious = fake_new(&rig, 0, "curious");
        struct fake *deaf = fake_new(&rig, 0, "deaf");
        struct fake *guest = fake_new(&rig, hubs - 1, "guest");
        fake_subscribe(curious, "news", (struct fake_wish){.hears_join_leave = true});
        fake_subscribe(deaf, "news", positioned);
        rig_settle(&rig);
        fake_subscribe(guest, "news", (struct fake_wish){.hears_join_leave = true, .with_join_leave = true});
        rig_settle(&rig);
        expect_log(guest, "subscribed 0; join:guest");
        fake_unsubscribe(guest, "news");
        rig_settle(&rig);
        expect_log(curious, "subscribed 0; join:guest; leave:guest");
        expect_log(deaf, "subscribed 0");
        expect_log(guest, "done");
        fake_free(curious);
        fake_free(deaf);
        fake_free(guest);
        rig_close(&rig);
    }
}

/* What is left behind. */

static void subscribing_and_leaving_5000_times_leaves_nothing_behind_j08(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    rig.options.history_size = 0;
    struct fake *alice = fake_new(&rig, 0, "alice");
    const struct fake_wish wish = {.with_presence = true, .with_join_leave = true, .hears_join_leave = true};
    for (unsigned i = 0; i < 5000; i++) {
        char channel[16];
        snprintf(channel, sizeof channel, "c%u", i % 50);
        fake_subscribe(alice, channel, wish);
        if (i % 3 != 0) {
            rig_settle(&rig); /* else it leaves while the answer is on its way */
        }
        fake_unsubscribe(alice, channel);
        rig_settle(&rig);
        fake_forget_log(alice);
    }
    assert_int_equal(alice->subscriber.subscription_count, 0);
    assert_int_equal(counter(&rig, subscription_count), 0);
    assert_int_equal(counter(&rig, channel_count), 0);
    assert_int_equal(rig_channel_count(&rig), 0);
    uint32_t users;
    assert_int_equal(client_count(alice, "c1", &users), 0);
    fake_free(alice);
    rig_close(&rig);
}

static void a_session_that_goes_in_the_middle_of_a_subscribe_is_gone_everywhere(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    for (unsigned home = 0; home < 2; home++) {
        for (unsigned turns = 0; turns < 4; turns++) {
            const char *channel = rig_channel_of(&rig, home);
            struct fake *alice = fake_new(&rig, 0, "alice");
            fake_subscribe(alice, channel, (struct fake_wish){.with_presence = true, .positioned = true});
            for (unsigned i = 0; i < turns; i++) {
                hub_turn(rig.hubs[i % 2], 1);
            }
            fake_free(alice);
            assert_int_equal(rig_channel_count(&rig), 0);
            struct fake *watcher = fake_new(&rig, 0, "watcher");
            uint32_t users;
            assert_int_equal(client_count(watcher, channel, &users), 0);
            fake_free(watcher);
        }
    }
    rig_close(&rig);
}

static void a_hub_that_is_freed_with_mails_waiting_frees_what_they_own(void **state)
{
    (void)state;
    for (unsigned turns = 0; turns < 8; turns++) {
        struct rig rig;
        rig_open(&rig, (struct rig_options){.hub_count = 2});
        struct fake *alice = fake_new(&rig, 0, "alice");
        struct fake *bob = fake_new(&rig, 1, "bob");
        fake_subscribe(alice, "news", plain);
        fake_subscribe(bob, "news", plain);
        rig_settle(&rig);
        hub_remove(alice->hub, fake_row(alice, "news"));
        hub_remove(bob->hub, fake_row(bob, "news"));
        fake_publish(alice, "news", "x");
        fake_publish(bob, "news", "y");
        for (unsigned i = 0; i < turns; i++) {
            hub_turn(rig.hubs[i % 2], 1);
        }
        rig_close(&rig); /* the leak checker is the judge */
        buf_release(&alice->log);
        buf_release(&bob->log);
        free(alice);
        free(bob);
    }
}

/* Bounds. */

static void a_full_mailbox_is_an_answer_and_not_a_wait(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) { /* own queue, and another worker's mailbox */
        struct rig rig;
        rig_open(&rig, (struct rig_options){.hub_count = 2, .mails_max = 3});
        const char *channel = rig_channel_of(&rig, home);
        struct fake *alice = fake_new(&rig, 0, "alice");
        fake_subscribe(alice, channel, plain);
        rig_settle(&rig);
        fake_forget_log(alice);
        for (unsigned i = 0; i < 3; i++) {
            fake_publish(alice, channel, "x");
        }
        fake_publish(alice, channel, "refused");
        fake_subscribe(alice, "other", plain); /* refused where it has the same home */
        expect_log(alice, "");
        fake_unsubscribe(alice, channel); /* never refused */
        rig_settle(&rig);
        assert_true(strstr(fake_log(alice), "failed: internal server error") != NULL);
        assert_null(strstr(fake_log(alice), "refused;"));
        assert_true(counter(&rig, mailbox_full_total) >= 1);
        fake_free(alice);
        assert_int_equal(rig_channel_count(&rig), 0);
        rig_close(&rig);
    }
}

static void a_full_queue_of_publications_is_published_whole(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 1, .mails_max = 8});
    struct fake *alice = fake_new(&rig, 0, "alice");
    fake_subscribe(alice, "news", positioned);
    rig_settle(&rig);
    for (unsigned i = 0; i < 8; i++) {
        fake_publish(alice, "news", "x");
    }
    rig_settle(&rig);
    assert_int_equal(counter(&rig, deliveries_total), 8);
    assert_int_equal(counter(&rig, mailbox_full_total), 0);
    fake_free(alice);
    rig_close(&rig);
}

static void a_publication_that_finds_no_room_with_a_receiver_is_refused_and_not_lost(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2, .mails_max = 2});
    const char *channel = rig_channel_of(&rig, 0);
    struct fake *near = fake_new(&rig, 0, "near");
    struct fake *far = fake_new(&rig, 1, "far");
    fake_subscribe(far, channel, positioned);
    fake_subscribe(near, channel, positioned);
    rig_settle(&rig);
    fake_forget_log(near);
    fake_forget_log(far);
    for (unsigned i = 0; i < 4; i++) { /* the far worker sleeps: two deliveries fill its mailbox */
        fake_publish(near, channel, "x");
        while (rig_waits(&rig, 0)) {
            hub_turn(rig.hubs[0], 1);
        }
    }
    assert_int_equal(near->status, STATUS_BUSY);
    rig_settle(&rig);
    fake_publish(near, channel, "y");
    rig_settle(&rig);
    expect_log(far, "1:x; 2:x; 3:y"); /* no gap: what was refused has no offset */
    fake_free(near);
    fake_free(far);
    rig_close(&rig);
}

static void a_turn_ends_at_its_budget_and_says_that_there_is_more(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 1});
    struct fake *alice = fake_new(&rig, 0, "alice");
    for (unsigned i = 0; i < 3; i++) {
        fake_publish(alice, "news", "x");
    }
    assert_true(hub_turn(rig.hubs[0], 3)); /* three ops have run, three answers wait */
    expect_log(alice, "");
    assert_true(hub_turn(rig.hubs[0], 2));
    expect_log(alice, "done; done");
    assert_false(hub_turn(rig.hubs[0], 2));
    expect_log(alice, "done");
    fake_free(alice);
    rig_close(&rig);
}

static void neither_own_mails_nor_those_of_others_starve(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    const char *channel = rig_channel_of(&rig, 0);
    struct fake *own = fake_new(&rig, 0, "own");
    struct fake *other = fake_new(&rig, 1, "other");
    for (unsigned i = 0; i < 10; i++) {
        fake_publish(own, channel, "x");
        fake_publish(other, channel, "x");
    }
    hub_turn(rig.hubs[0], 4);
    struct fake *reader = fake_new(&rig, 0, "reader");
    struct op *op = fake_op(reader, OP_HISTORY, channel);
    reader->subscriber.ops_pending++;
    hub_turn(rig.hubs[1], 100);
    assert_true(strncmp(fake_log(other), "done; done", 10) == 0); /* two of the four were the other's */
    hub_start(reader->hub, op);
    rig_settle(&rig);
    fake_free(own);
    fake_free(other);
    fake_free(reader);
    rig_close(&rig);
}

/* Mails of the server's own. */

struct note_mail {
    struct mail mail;
    struct hub *ran_at;
    unsigned run_count;
};

static void run_note(void *receiver, struct mail *mail)
{
    struct note_mail *note = container_of(mail, struct note_mail, mail);
    note->ran_at = receiver;
    note->run_count++;
}

static void the_server_may_send_mails_of_its_own(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2, .mails_max = 2});
    struct note_mail notes[6] = {0};
    for (unsigned i = 0; i < 6; i++) {
        notes[i].mail.run = run_note;
    }
    assert_true(hub_post(rig.hubs[0], 0, &notes[0].mail)); /* to itself */
    assert_int_equal(rig.wake_counts[0], 0);
    assert_true(hub_post(rig.hubs[0], 1, &notes[1].mail));
    assert_true(hub_post_from_main(rig.hubs[1], &notes[2].mail));
    assert_int_equal(rig.wake_counts[1], 0); /* it is woken when this turn has sent all that it sends */
    hub_wake_others(rig.hubs[0]);
    hub_wake_others(rig.hubs[0]);
    assert_int_equal(rig.wake_counts[1], 1); /* one wake for a batch */
    assert_false(hub_post(rig.hubs[0], 1, &notes[3].mail));
    assert_false(hub_post_from_main(rig.hubs[1], &notes[3].mail));
    hub_post_answer(rig.hubs[0], 1, &notes[4].mail); /* an answer never fails */
    assert_int_equal(notes[0].run_count + notes[1].run_count, 0);
    rig_settle(&rig);
    assert_ptr_equal(notes[0].ran_at, rig.hubs[0]);
    for (unsigned i = 1; i < 3; i++) {
        assert_ptr_equal(notes[i].ran_at, rig.hubs[1]);
        assert_int_equal(notes[i].run_count, 1);
    }
    assert_int_equal(notes[3].run_count, 0);
    assert_int_equal(notes[4].run_count, 1);
    assert_ptr_equal(hub_owner(rig.hubs[1]), &rig.wake_counts[1]);
    assert_int_equal(hub_index(rig.hubs[1]), 1);
    assert_true(hub_post(rig.hubs[0], 1, &notes[5].mail));
    notes[5].ran_at = rig.hubs[1];
    rig_close(&rig);
    assert_int_equal(notes[5].run_count, 1);
    assert_null(notes[5].ran_at); /* the hub is gone: free what you own */
}

/* Homes and rows. */

static void homes_are_spread_and_all_hubs_agree_on_them(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 4});
    unsigned counts[4] = {0};
    for (unsigned i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "channel-%u", i);
        unsigned home = hub_home_of(rig.hubs[0], str_from_cstr(name));
        assert_int_equal(hub_home_of(rig.hubs[3], str_from_cstr(name)), home);
        assert_true(home < 4);
        counts[home]++;
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_in_range(counts[i], 180, 320);
    }
    rig_close(&rig);
}

static bool stop_at_first(void *context, struct str channel, uint32_t subscriptions)
{
    assert_true(str_is(channel, context));
    assert_int_equal(subscriptions, 3);
    return false;
}

static void the_home_counts_the_subscriptions_of_all_workers(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 2});
    char channel[8];
    snprintf(channel, sizeof channel, "%s", rig_channel_of(&rig, 1));
    struct fake *fakes[3];
    for (unsigned i = 0; i < 3; i++) {
        fakes[i] = fake_new(&rig, i % 2, "fake");
        fake_subscribe(fakes[i], channel, plain);
    }
    rig_settle(&rig);
    hub_each_home_channel(rig.hubs[1], stop_at_first, channel);
    assert_int_equal(rig.sinks[1].subscriber_count(rig.sinks[1].hub, str_from_cstr(channel)), 3);
    assert_int_equal(rig.sinks[1].subscriber_count(rig.sinks[1].hub, STR("unknown")), 0);
    assert_int_equal(rig_channel_count(&rig), 1 + 2); /* the home's entry, and one channel on each worker */
    for (unsigned i = 0; i < 3; i++) {
        fake_free(fakes[i]);
    }
    rig_close(&rig);
}

static void a_row_is_found_from_either_side(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 1});
    struct fake *busy = fake_new(&rig, 0, "busy");
    struct fake *crowd[5];
    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        fake_subscribe(busy, name, plain);
    }
    for (unsigned i = 0; i < 5; i++) {
        crowd[i] = fake_new(&rig, 0, "crowd");
        fake_subscribe(crowd[i], "c7", plain);
    }
    assert_non_null(fake_row(busy, "c7")); /* live or not */
    rig_settle(&rig);
    assert_ptr_equal(fake_row(busy, "c7")->subscriber, &busy->subscriber);
    assert_ptr_equal(fake_row(crowd[4], "c7")->subscriber, &crowd[4]->subscriber);
    assert_true(str_is(channel_name(fake_row(busy, "c7")->channel), "c7"));
    assert_ptr_equal(channel_options_of(fake_row(busy, "c7")->channel), &rig.options);
    assert_null(fake_row(busy, "c20"));
    assert_null(fake_row(crowd[0], "c8"));
    assert_int_equal(busy->subscriber.subscription_count, 20);
    fake_free(busy);
    for (unsigned i = 0; i < 5; i++) {
        fake_free(crowd[i]);
    }
    rig_close(&rig);
}

/* Memory that runs out. */

static void without_memory_a_subscribe_happens_whole_or_not_at_all(void **state)
{
    (void)state;
    const struct fake_wish wish = {
        .positioned = true, .with_presence = true, .with_join_leave = true, .recover = true};
    for (unsigned home = 0; home < 2; home++) {
        bool failed = true;
        for (size_t n = 0; failed; n++) {
            struct rig rig;
            rig_open(&rig, (struct rig_options){.hub_count = 2});
            const char *channel = rig_channel_of(&rig, home);
            struct fake *alice = fake_new(&rig, 0, "alice");
            struct fake *bob = fake_new(&rig, 0, "bob");
            fake_publish(bob, channel, "x");
            rig_settle(&rig);
            fail_alloc_at(n);
            bool begun = fake_subscribe(alice, channel, wish);
            rig_settle(&rig);
            failed = fail_alloc_stop();
            bool subscribed = begun && alice->status == STATUS_OK;
            /* What fails after the answer is the delivery of the join message, which nobody here wants. */
            assert_true(subscribed || failed);
            assert_int_equal(fake_row(alice, channel) != NULL, subscribed);
            assert_int_equal(counter(&rig, subscription_count), subscribed);
            assert_int_equal(rig_channel_count(&rig), subscribed ? 2 : 0);
            uint32_t users;
            assert_int_equal(client_count(bob, channel, &users), subscribed);
            fake_free(alice);
            fake_free(bob);
            assert_int_equal(rig_channel_count(&rig), 0);
            rig_close(&rig);
            assert_true(n < 60);
        }
    }
}

static void without_memory_a_publication_is_refused_or_reaches_everyone(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        bool failed = true;
        for (size_t n = 0; failed; n++) {
            struct rig rig;
            rig_open(&rig, (struct rig_options){.hub_count = 2});
            const char *channel = rig_channel_of(&rig, home);
            struct fake *alice = fake_new(&rig, 0, "alice");
            struct fake *bob = fake_new(&rig, 1, "bob");
            fake_subscribe(alice, channel, positioned);
            fake_subscribe(bob, channel, positioned);
            rig_settle(&rig);
            fake_forget_log(alice);
            fake_forget_log(bob);
            fail_alloc_at(n);
            bool begun = fake_publish(alice, channel, "x");
            rig_settle(&rig);
            failed = fail_alloc_stop();
            bool accepted = begun && alice->status == STATUS_OK;
            assert_true(accepted || failed);
            /* Accepted: delivered, or the worker that had no memory for the frame tells its subscriber. */
            struct fake *both[2] = {alice, bob};
            for (unsigned i = 0; i < 2; i++) {
                bool got = strstr(fake_log(both[i]), "1:x") != NULL;
                bool told = strstr(fake_log(both[i]), "insufficient") != NULL;
                assert_int_equal(accepted, got || told);
                assert_true(failed || got);
            }
            fake_free(alice);
            fake_free(bob);
            rig_close(&rig);
            assert_true(n < 60);
        }
    }
}

static void without_memory_there_is_no_hub(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, (struct rig_options){.hub_count = 1});
    struct hub_options options = {.worker_count = 1, .hubs = rig.hubs, .broker_new = broker_memory_new};
    for (size_t n = 0; n < 2; n++) {
        fail_alloc_at(n);
        assert_null(hub_new(&options));
        assert_true(fail_alloc_stop());
    }
    hub_free(NULL);
    rig_close(&rig);
}

/* Messages and ops. */

static void a_message_copies_its_texts_and_keeps_its_place(void **state)
{
    (void)state;
    char data[] = "{\"a\": 1}";
    struct message *message =
        message_new(&(struct message_parts){.kind = MESSAGE_PUBLICATION,
                                            .channel = STR("news"),
                                            .data = str_from_cstr(data),
                                            .info = STR("{}"),
                                            .tags = STR("{\"t\":\"1\"}"),
                                            .offset = 7,
                                            .epoch = STR("a longer epoch of another broker")});
    data[0] = '?';
    assert_true(str_is(message->data, "{\"a\": 1}"));
    assert_true(str_is(message->info, "{}"));
    assert_true(str_is(message->tags, "{\"t\":\"1\"}"));
    assert_true(str_is(message->epoch, "a longer epoch of another broker"));
    assert_int_equal(message->offset, 7);
    message_set_position(message, 8, STR("short"));
    assert_true(str_is(message->epoch, "short"));
    assert_true(str_is(message->channel, "news"));
    message_unref(message_ref(message));
    message_unref(message);
    message_unref(NULL);
}

static void an_op_keeps_its_texts_and_frees_what_it_owns(void **state)
{
    (void)state;
    struct op *op = op_new(OP_PUBLISH, 8);
    op->channel = op_text(op, STR("news"));
    op->publish.version_epoch = op_text(op, STR("abcd"));
    assert_true(str_is(op->channel, "news"));
    assert_int_equal(op_text(op, STR("")).len, 0);
    op->publish.message = message_new(&(struct message_parts){.channel = STR("news")});
    char epoch[LIMIT_EPOCH_BYTES];
    memset(epoch, 'e', sizeof epoch);
    op_set_top(op, 5, str_make(epoch, sizeof epoch));
    epoch[0] = '?';
    assert_int_equal(op->top.epoch.at[0], 'e');
    assert_int_equal(op->top.epoch.len, LIMIT_EPOCH_BYTES);
    op_free(op);
    op_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscriber_receives_what_is_published_after_its_answer),
        cmocka_unit_test(channels_without_history_deliver_too),
        cmocka_unit_test(nothing_is_done_inside_the_call_that_asks),
        cmocka_unit_test(one_publication_is_encoded_once_per_worker_with_live_subscribers),
        cmocka_unit_test(a_delivery_allocates_nothing_but_the_frame),
        cmocka_unit_test(publications_of_a_channel_arrive_everywhere_in_one_order),
        cmocka_unit_test(no_gap_and_no_duplicate_between_answer_and_live_in_any_order),
        cmocka_unit_test(no_gap_and_no_duplicate_between_recovery_and_live_in_any_order),
        cmocka_unit_test(rows_that_share_a_position_do_not_disturb_each_other_in_any_order),
        cmocka_unit_test(leaving_and_coming_back_loses_and_repeats_nothing_in_any_order),
        cmocka_unit_test(a_subscriber_that_comes_back_recovers_what_it_missed),
        cmocka_unit_test(a_gap_is_told_once_to_each_positioned_row_and_others_do_not_notice),
        cmocka_unit_test(what_was_seen_before_is_dropped_in_silence),
        cmocka_unit_test(another_epoch_is_insufficient_state_and_then_the_new_position),
        cmocka_unit_test(a_row_may_leave_when_it_is_told_of_a_gap_and_come_back),
        cmocka_unit_test(an_answer_that_is_behind_the_others_tells_its_row),
        cmocka_unit_test(an_answer_that_is_ahead_of_the_others_tells_them),
        cmocka_unit_test(a_row_that_leaves_before_it_is_told_leaves_nothing_behind),
        cmocka_unit_test(without_memory_for_a_frame_positioned_rows_are_told_and_others_counted),
        cmocka_unit_test(a_full_outbox_refuses_and_nobody_else_notices_s02),
        cmocka_unit_test(rows_may_leave_in_the_middle_of_a_walk),
        cmocka_unit_test(the_last_row_may_leave_in_the_middle_of_a_walk),
        cmocka_unit_test(subscribers_are_walked_in_order_of_subscription_whoever_left),
        cmocka_unit_test(presence_counts_every_worker_and_forgets_who_left),
        cmocka_unit_test(joins_and_leaves_reach_those_who_asked_and_the_one_who_joins),
        cmocka_unit_test(subscribing_and_leaving_5000_times_leaves_nothing_behind_j08),
        cmocka_unit_test(a_session_that_goes_in_the_middle_of_a_subscribe_is_gone_everywhere),
        cmocka_unit_test(a_hub_that_is_freed_with_mails_waiting_frees_what_they_own),
        cmocka_unit_test(a_full_mailbox_is_an_answer_and_not_a_wait),
        cmocka_unit_test(a_full_queue_of_publications_is_published_whole),
        cmocka_unit_test(a_publication_that_finds_no_room_with_a_receiver_is_refused_and_not_lost),
        cmocka_unit_test(a_turn_ends_at_its_budget_and_says_that_there_is_more),
        cmocka_unit_test(neither_own_mails_nor_those_of_others_starve),
        cmocka_unit_test(the_server_may_send_mails_of_its_own),
        cmocka_unit_test(homes_are_spread_and_all_hubs_agree_on_them),
        cmocka_unit_test(the_home_counts_the_subscriptions_of_all_workers),
        cmocka_unit_test(a_row_is_found_from_either_side),
        cmocka_unit_test(without_memory_a_subscribe_happens_whole_or_not_at_all),
        cmocka_unit_test(without_memory_a_publication_is_refused_or_reaches_everyone),
        cmocka_unit_test(without_memory_there_is_no_hub),
        cmocka_unit_test(a_message_copies_its_texts_and_keeps_its_place),
        cmocka_unit_test(an_op_keeps_its_texts_and_frees_what_it_owns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

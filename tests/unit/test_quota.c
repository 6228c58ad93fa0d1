#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/base/hash.h"
#include "server/quota.h"
#include "server/worker.h"

#include <stdio.h>
#include <stdlib.h>

/* Two workers that are nothing but a hub and a quota: asker 0 has a home at itself and one at the other. */
enum { WORKERS = 2, MAILS_MAX = 8 };

static struct server server;
static struct worker *workers[WORKERS];
static struct hub *hubs[WORKERS];

/* Answers as they came: one letter each. */
static char verdicts[64];

static void wake_nobody(void *worker)
{
    (void)worker;
}

static struct frame *encode_nothing(enum frame_kind kind, const struct message *message)
{
    (void)kind;
    (void)message;
    return NULL;
}

static int open_workers(void **state)
{
    (void)state;
    server = (struct server){.workers = workers, .hubs = hubs, .worker_count = WORKERS};
    verdicts[0] = '\0';
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = calloc(1, sizeof *workers[i]);
        assert_non_null(workers[i]);
        workers[i]->index = i;
        workers[i]->server = &server;
        workers[i]->now_ms = 1000;
        workers[i]->quota = quota_new();
        const struct hub_options options = {.index = i,
                                            .worker_count = WORKERS,
                                            .hubs = hubs,
                                            .mails_max = MAILS_MAX,
                                            .owner = workers[i],
                                            .wake = wake_nobody,
                                            .encode = encode_nothing,
                                            .broker_new = broker_memory_new};
        hubs[i] = hub_new(&options);
        workers[i]->hub = hubs[i];
        assert_true(hubs[i] != NULL && workers[i]->quota != NULL);
    }
    return 0;
}

static void settle(void)
{
    for (int i = 0; i < 8; i++) {
        (void)hub_turn(hubs[i % WORKERS], 1000);
    }
}

static int close_workers(void **state)
{
    (void)state;
    settle();
    for (unsigned i = 0; i < WORKERS; i++) {
        hub_free(hubs[i]);
        quota_free(workers[i]->quota);
        free(workers[i]);
    }
    return 0;
}

static void note(void *context, enum quota_verdict verdict)
{
    static const char letters[] = {
        [QUOTA_OK] = '.', [QUOTA_OVER_COUNT] = 'c', [QUOTA_OVER_RATE] = 'r', [QUOTA_UNKNOWN] = '?'};
    size_t len = strlen(verdicts);
    (void)context;
    assert_true(len + 1 < sizeof verdicts);
    verdicts[len] = letters[verdict];
    verdicts[len + 1] = '\0';
}

/* What the answers were since the last time. */
static void expect(const char *expected)
{
    settle();
    assert_string_equal(verdicts, expected);
    verdicts[0] = '\0';
}

static void pass_ms(uint64_t ms)
{
    workers[0]->now_ms += ms;
    workers[1]->now_ms += ms;
}

static struct str key_of(unsigned number)
{
    static char text[32];
    (void)snprintf(text, sizeof text, "key:%u", number);
    return str_from_cstr(text);
}

static size_t keys_kept(void)
{
    return quota_key_count(workers[0]->quota) + quota_key_count(workers[1]->quota);
}

static void enter(unsigned asker, unsigned number, uint32_t count_max)
{
    quota_enter(workers[asker], key_of(number), &(struct quota_limits){.count_max = count_max}, note, NULL);
}

static void take(unsigned asker, unsigned number, uint32_t per_second, uint32_t burst)
{
    quota_take(workers[asker], key_of(number), per_second, burst, note, NULL);
}

static void as_many_places_are_taken_as_there_are_on_all_workers_together(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 4; number++) {
        enter(0, number, 3);
        enter(1, number, 3);
        enter(0, number, 3);
        expect("...");
        enter(1, number, 3);
        expect("c");
        quota_leave(workers[1], key_of(number));
        enter(0, number, 3);
        expect(".");
    }
    assert_int_equal(keys_kept(), 4);
    for (unsigned number = 0; number < 4; number++) {
        for (int i = 0; i < 3; i++) {
            quota_leave(workers[0], key_of(number));
        }
    }
    settle();
    assert_int_equal(keys_kept(), 0);
}

static void an_event_more_than_the_burst_is_over_the_rate_of_all_workers_together(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 4; number++) {
        take(0, number, 10, 3);
        take(1, number, 10, 3);
        expect("..");
        take(0, number, 10, 3);
        expect(".");
        take(1, number, 10, 3);
        expect("r");
    }
    pass_ms(99);
    take(0, 0, 10, 3);
    expect("r");
    pass_ms(1);
    take(0, 0, 10, 3);
    expect(".");
}

static void an_event_takes_no_place(void **state)
{
    (void)state;
    take(0, 1, 1, 5);
    expect(".");
    enter(0, 1, 1);
    expect(".");
    take(0, 1, 1, 5);
    expect(".");
    quota_leave(workers[0], key_of(1));
    settle();
}

static void keys_are_forgotten_when_their_bucket_is_full_again(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 7; number++) {
        take(0, number, 10, 3);
        settle();
    }
    pass_ms(299);
    quota_tick(workers[0]->quota, workers[0]->now_ms);
    quota_tick(workers[1]->quota, workers[1]->now_ms);
    assert_int_equal(keys_kept(), 7);
    pass_ms(1);
    quota_tick(workers[0]->quota, workers[0]->now_ms);
    quota_tick(workers[1]->quota, workers[1]->now_ms);
    assert_int_equal(keys_kept(), 0);
    expect(".......");
}

static void a_full_mailbox_answers_that_nothing_is_known(void **state)
{
    (void)state;
    unsigned number = 0;
    while (hash_str(key_of(number)) % WORKERS != 1) {
        number++;
    }
    for (int i = 0; i < MAILS_MAX; i++) {
        take(0, number, 10, 100);
    }
    take(0, number, 10, 100);
    expect("?........");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_workers, close_workers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(as_many_places_are_taken_as_there_are_on_all_workers_together),
        TEST(an_event_more_than_the_burst_is_over_the_rate_of_all_workers_together),
        TEST(an_event_takes_no_place),
        TEST(keys_are_forgotten_when_their_bucket_is_full_again),
        TEST(a_full_mailbox_answers_that_nothing_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The timing wheel: never early, at most one slot late, safe to change from inside. */
#include "channels/base/must.h"
#include "server/timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct alarm {
    struct timer timer;
    struct timers *timers;
    unsigned fired;
    uint64_t again_ms; /* set again this far from the wheel's time; 0: not */
    struct alarm *cancels;
};

static void on_fire(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    alarm->fired++;
    if (alarm->again_ms > 0) {
        timer_set(alarm->timers, timer, alarm->timers->now_ms + alarm->again_ms);
    }
    if (alarm->cancels != NULL) {
        timer_cancel(alarm->timers, &alarm->cancels->timer);
    }
}

static struct alarm alarm_at(struct timers *timers)
{
    struct alarm alarm = {.timers = timers};
    timer_init(&alarm.timer, on_fire);
    return alarm;
}

static struct timers *wheel(uint64_t now_ms)
{
    struct timers *timers = malloc(sizeof *timers);
    assert_non_null(timers);
    timers_init(timers, now_ms);
    return timers;
}

static void a_timer_fires_never_early_and_at_most_one_slot_late(void **state)
{
    (void)state;
    for (uint64_t delay_ms = 1; delay_ms < 200000; delay_ms = delay_ms * 3 + 7) {
        struct timers *timers = wheel(12345);
        struct alarm alarm = alarm_at(timers);
        list_init(&alarm.timer.link);
        timer_set(timers, &alarm.timer, 12345 + delay_ms);
        timers_run(timers, 12345 + delay_ms - 1);
        assert_int_equal(alarm.fired, 0);
        timers_run(timers, 12345 + delay_ms + 2 * TIMER_SLOT_MS);
        assert_int_equal(alarm.fired, 1);
        free(timers);
    }
}

static void a_timer_beyond_one_round_waits_for_its_round(void **state)
{
    (void)state;
    struct timers *timers = wheel(0);
    struct alarm alarm = alarm_at(timers);
    list_init(&alarm.timer.link);
    uint64_t round_ms = (uint64_t)TIMER_SLOT_COUNT * TIMER_SLOT_MS;
    timer_set(timers, &alarm.timer, 3 * round_ms + 100);
    for (uint64_t now_ms = 0; now_ms < 3 * round_ms + 100; now_ms += 1000) {
        timers_run(timers, now_ms);
        assert_int_equal(alarm.fired, 0);
    }
    timers_run(timers, 3 * round_ms + 300);
    assert_int_equal(alarm.fired, 1);
    assert_int_equal(timers->count, 0);
    free(timers);
}

static void a_deadline_that_has_passed_fires_in_the_next_run(void **state)
{
    (void)state;
    struct timers *timers = wheel(1000000);
    struct alarm alarm = alarm_at(timers);
    list_init(&alarm.timer.link);
    timer_set(timers, &alarm.timer, 5);
    timers_run(timers, 1000000 + 2 * TIMER_SLOT_MS);
    assert_int_equal(alarm.fired, 1);
    free(timers);
}

static void a_timer_may_set_itself_again_and_cancel_others_while_it_fires(void **state)
{
    (void)state;
    struct timers *timers = wheel(0);
    struct alarm first = alarm_at(timers), second = alarm_at(timers);
    list_init(&first.timer.link);
    list_init(&second.timer.link);
    first.again_ms = 1;
    first.cancels = &second;
    timer_set(timers, &first.timer, 10);
    timer_set(timers, &second.timer, 11);
    timers_run(timers, 1000);
    assert_true(first.fired >= 1);
    assert_int_equal(second.fired, 0);
    assert_true(timer_is_set(&first.timer));
    unsigned before = first.fired;
    timers_run(timers, 2000);
    assert_true(first.fired > before);
    timer_cancel(timers, &first.timer);
    assert_int_equal(timers->count, 0);
    free(timers);
}

static void after_a_long_stall_everything_due_fires_once(void **state)
{
    (void)state;
    struct timers *timers = wheel(0);
    struct alarm alarms[50];
    for (size_t i = 0; i < 50; i++) {
        alarms[i] = alarm_at(timers);
        list_init(&alarms[i].timer.link);
        timer_set(timers, &alarms[i].timer, i * 3000);
    }
    timers_run(timers, 10000000);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(alarms[i].fired, 1);
    }
    free(timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_never_early_and_at_most_one_slot_late),
        cmocka_unit_test(a_timer_beyond_one_round_waits_for_its_round),
        cmocka_unit_test(a_deadline_that_has_passed_fires_in_the_next_run),
        cmocka_unit_test(a_timer_may_set_itself_again_and_cancel_others_while_it_fires),
        cmocka_unit_test(after_a_long_stall_everything_due_fires_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

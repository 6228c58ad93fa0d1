#include "server/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { FAILURES_MAX = 3, OPEN_MS = 1000 };

static struct breaker new_breaker(void)
{
    struct breaker breaker;
    breaker_init(&breaker, FAILURES_MAX, OPEN_MS);
    return breaker;
}

static void fail_times(struct breaker *breaker, int count, uint64_t now_ms)
{
    for (int i = 0; i < count; i++) {
        assert_true(breaker_allows(breaker, now_ms));
        breaker_record(breaker, false, now_ms);
    }
}

static void it_opens_at_the_last_of_the_failures_in_a_row(void **state)
{
    (void)state;
    struct breaker breaker = new_breaker();
    fail_times(&breaker, FAILURES_MAX - 1, 0);
    assert_true(breaker_allows(&breaker, 0));
    breaker_record(&breaker, false, 0);
    assert_false(breaker_allows(&breaker, 0));
}

static void an_answer_between_failures_starts_the_count_again(void **state)
{
    (void)state;
    struct breaker breaker = new_breaker();
    fail_times(&breaker, FAILURES_MAX - 1, 0);
    breaker_record(&breaker, true, 0);
    fail_times(&breaker, FAILURES_MAX - 1, 0);
    assert_true(breaker_allows(&breaker, 0));
}

static void one_probe_goes_out_when_the_time_is_up_and_not_before(void **state)
{
    (void)state;
    struct breaker breaker = new_breaker();
    fail_times(&breaker, FAILURES_MAX, 500);
    assert_false(breaker_allows(&breaker, 500 + OPEN_MS - 1));
    assert_true(breaker_allows(&breaker, 500 + OPEN_MS));
    assert_false(breaker_allows(&breaker, 500 + OPEN_MS));
    assert_false(breaker_allows(&breaker, 500 + 10 * OPEN_MS));
}

static void a_probe_that_is_answered_closes_it(void **state)
{
    (void)state;
    struct breaker breaker = new_breaker();
    fail_times(&breaker, FAILURES_MAX, 0);
    assert_true(breaker_allows(&breaker, OPEN_MS));
    breaker_record(&breaker, true, OPEN_MS);
    fail_times(&breaker, FAILURES_MAX - 1, OPEN_MS);
    assert_true(breaker_allows(&breaker, OPEN_MS));
}

static void a_probe_that_fails_opens_it_for_as_long_again(void **state)
{
    (void)state;
    struct breaker breaker = new_breaker();
    fail_times(&breaker, FAILURES_MAX, 0);
    assert_true(breaker_allows(&breaker, OPEN_MS));
    breaker_record(&breaker, false, OPEN_MS + 100);
    assert_false(breaker_allows(&breaker, 2 * OPEN_MS + 99));
    assert_true(breaker_allows(&breaker, 2 * OPEN_MS + 100));
}

static void failures_of_requests_from_before_do_not_keep_it_open_longer(void **state)
{
    (void)state;
    struct breaker breaker = new_breaker();
    fail_times(&breaker, FAILURES_MAX, 0);
    breaker_record(&breaker, false, OPEN_MS - 1);
    assert_true(breaker_allows(&breaker, OPEN_MS));
}

static void an_answer_to_a_request_from_before_closes_it(void **state)
{
    (void)state;
    struct breaker breaker = new_breaker();
    fail_times(&breaker, FAILURES_MAX, 0);
    breaker_record(&breaker, true, 1);
    assert_true(breaker_allows(&breaker, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_at_the_last_of_the_failures_in_a_row),
        cmocka_unit_test(an_answer_between_failures_starts_the_count_again),
        cmocka_unit_test(one_probe_goes_out_when_the_time_is_up_and_not_before),
        cmocka_unit_test(a_probe_that_is_answered_closes_it),
        cmocka_unit_test(a_probe_that_fails_opens_it_for_as_long_again),
        cmocka_unit_test(failures_of_requests_from_before_do_not_keep_it_open_longer),
        cmocka_unit_test(an_answer_to_a_request_from_before_closes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

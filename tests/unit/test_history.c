#include "channels/history.h"

#include "channels/base/must.h"
#include "tests/support/fail_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SIZE = 5, TTL_MS = 1000 };

/* Publishes `count` messages at `now_ms` into a history of at most SIZE. */
static void publish_at(struct history *history, unsigned count, uint64_t now_ms)
{
    for (unsigned i = 0; i < count; i++) {
        struct message *message =
            message_new(&(struct message_parts){.channel = STR("news"), .data = STR("{}")});
        must(message != NULL);
        must(history_reserve(history, SIZE));
        history_append(history, message, SIZE, now_ms + TTL_MS);
        message_unref(message);
    }
}

static struct history history_of(unsigned count)
{
    struct history history = {0};
    history_open(&history, "abcdefgh");
    publish_at(&history, count, 0);
    return history;
}

static void release_answer(struct history_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        message_unref(answer->messages[i]);
    }
    free(answer->messages);
    *answer = (struct history_answer){0};
}

/* The offsets of an answer as text: "3 4 5". */
static const char *offsets(struct history_answer *answer)
{
    static char text[200];
    int len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < answer->count; i++) {
        len += snprintf(text + len, sizeof text - (size_t)len, i == 0 ? "%llu" : " %llu",
                        (unsigned long long)answer->messages[i]->offset);
    }
    release_answer(answer);
    return text;
}

static const char *read_offsets(const struct history *history, struct history_query query)
{
    struct history_answer answer = {0};
    assert_int_equal(history_read(history, &query, &answer), STATUS_OK);
    return offsets(&answer);
}

static struct position at(uint64_t offset, const char *epoch)
{
    return (struct position){.offset = offset, .epoch = str_from_cstr(epoch)};
}

static void a_stream_numbers_its_publications_from_1_without_gaps(void **state)
{
    (void)state;
    struct history history = history_of(3);
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}), "1 2 3");
    assert_int_equal(history.top_offset, 3);
    history_release(&history);
}

static void a_publication_knows_the_epoch_of_its_offset(void **state)
{
    (void)state;
    struct history history = history_of(1);
    struct history_answer answer = {0};
    assert_int_equal(history_read(&history, &(struct history_query){.limit = 1}, &answer), STATUS_OK);
    assert_true(str_is(answer.messages[0]->epoch, "abcdefgh"));
    release_answer(&answer);
    history_release(&history);
}

static void the_newest_are_kept_up_to_the_size(void **state)
{
    (void)state;
    static const char *const kept[] = {"1 2 3 4", "1 2 3 4 5", "2 3 4 5 6"};
    for (unsigned i = 0; i < 3; i++) {
        struct history history = history_of(SIZE - 1 + i);
        assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}), kept[i]);
        history_release(&history);
    }
}

static void a_ring_that_went_round_many_times_keeps_its_order(void **state)
{
    (void)state;
    struct history history = history_of(1003);
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}),
                        "999 1000 1001 1002 1003");
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1, .is_reverse = true}),
                        "1003 1002 1001 1000 999");
    history_release(&history);
}

static void limit_0_reads_the_position_only_and_minus_1_reads_all(void **state)
{
    (void)state;
    struct history history = history_of(4);
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = 0}), "");
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = 1}), "1");
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = 4}), "1 2 3 4");
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = 5}), "1 2 3 4");
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}), "1 2 3 4");
    history_release(&history);
}

static void a_limit_below_minus_1_is_a_bad_request_and_huge_ones_are_cut_j09(void **state)
{
    (void)state;
    struct history history = history_of(4);
    struct history_answer answer = {0};
    assert_int_equal(history_read(&history, &(struct history_query){.limit = -2}, &answer),
                     STATUS_BAD_REQUEST);
    assert_int_equal(history_read(&history, &(struct history_query){.limit = INT64_MIN}, &answer),
                     STATUS_BAD_REQUEST);
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = INT64_MAX, .limit_max = 2}),
                        "1 2");
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1, .limit_max = 3}), "1 2 3");
    history_release(&history);
}

static void since_is_exclusive_forward(void **state)
{
    (void)state;
    struct history history = history_of(7); /* 3 … 7 are kept */
    static const struct {
        uint64_t since;
        const char *read;
    } rows[] = {{0, "3 4 5 6 7"}, {1, "3 4 5 6 7"}, {2, "3 4 5 6 7"}, {3, "4 5 6 7"},
                {6, "7"},         {7, ""},          {8, ""},          {UINT64_MAX, ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct history_query query = {.limit = -1, .has_since = true, .since = at(rows[i].since, "")};
        assert_string_equal(read_offsets(&history, query), rows[i].read);
    }
    history_release(&history);
}

static void since_is_exclusive_in_reverse(void **state)
{
    (void)state;
    struct history history = history_of(7);
    static const struct {
        uint64_t since;
        const char *read;
    } rows[] = {{1, ""},
                {3, ""},
                {4, "3"},
                {7, "6 5 4 3"},
                {8, "7 6 5 4 3"},
                {9, "7 6 5 4 3"},
                {UINT64_MAX, "7 6 5 4 3"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct history_query query = {
            .limit = -1, .has_since = true, .is_reverse = true, .since = at(rows[i].since, "abcdefgh")};
        assert_string_equal(read_offsets(&history, query), rows[i].read);
    }
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = 2, .is_reverse = true}),
                        "7 6");
    history_release(&history);
}

static void reverse_from_offset_0_is_a_bad_request(void **state)
{
    (void)state;
    struct history history = history_of(2);
    struct history_answer answer = {0};
    struct history_query query = {.limit = -1, .has_since = true, .is_reverse = true};
    assert_int_equal(history_read(&history, &query, &answer), STATUS_BAD_REQUEST);
    history_release(&history);
}

static void another_epoch_is_an_unrecoverable_position_and_none_is_fine(void **state)
{
    (void)state;
    struct history history = history_of(2);
    struct history_answer answer = {0};
    struct history_query query = {.limit = -1, .has_since = true, .since = at(1, "_")};
    assert_int_equal(history_read(&history, &query, &answer), STATUS_UNRECOVERABLE_POSITION);
    query.since = at(1, "abcdefg");
    assert_int_equal(history_read(&history, &query, &answer), STATUS_UNRECOVERABLE_POSITION);
    query.since = at(1, "abcdefgh");
    assert_string_equal(read_offsets(&history, query), "2");
    query.since = at(1, "");
    assert_string_equal(read_offsets(&history, query), "2");
    history_release(&history);
}

static void an_empty_stream_answers_every_question(void **state)
{
    (void)state;
    struct history history = history_of(0);
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}), "");
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1, .is_reverse = true}), "");
    struct history_query query = {.limit = -1, .has_since = true, .since = at(UINT64_MAX, "")};
    assert_string_equal(read_offsets(&history, query), "");
    query.is_reverse = true;
    assert_string_equal(read_offsets(&history, query), "");
    history_release(&history);
}

static void a_publication_goes_when_its_time_comes_and_not_before(void **state)
{
    (void)state;
    struct history history = history_of(1);
    publish_at(&history, 1, 500);
    assert_int_equal(history_due_ms(&history), TTL_MS);
    assert_int_equal(history_expire(&history, TTL_MS - 1, SIZE_MAX), 0);
    assert_int_equal(history_expire(&history, TTL_MS, SIZE_MAX), 1);
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}), "2");
    assert_int_equal(history_due_ms(&history), 500 + TTL_MS);
    assert_int_equal(history_expire(&history, UINT64_MAX, SIZE_MAX), 1);
    assert_int_equal(history_due_ms(&history), UINT64_MAX);
    history_release(&history);
}

static void expiry_stops_at_its_budget(void **state)
{
    (void)state;
    struct history history = history_of(5);
    assert_int_equal(history_expire(&history, TTL_MS, 2), 2);
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}), "3 4 5");
    history_release(&history);
}

static void removing_keeps_offset_and_epoch(void **state)
{
    (void)state;
    struct history history = history_of(3);
    history_remove(&history);
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}), "");
    assert_int_equal(history.top_offset, 3);
    assert_true(str_is(history_epoch(&history), "abcdefgh"));
    publish_at(&history, 1, 0);
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}), "4");
    history_release(&history);
}

static void the_ring_grows_with_its_content_and_shrinks_with_it(void **state)
{
    (void)state;
    struct history history = {0};
    history_open(&history, "abcdefgh");
    for (unsigned i = 0; i < 1000; i++) {
        struct message *message = message_new(&(struct message_parts){.channel = STR("news")});
        must(history_reserve(&history, 1000));
        assert_true(history.capacity <= 2 * (history.count + 4));
        history_append(&history, message, 1000, i);
        message_unref(message);
    }
    assert_int_equal(history.capacity, 1000);
    for (uint64_t now = 0; now < 999; now++) {
        history_expire(&history, now, SIZE_MAX);
    }
    assert_true(history.capacity <= 16);
    history_expire(&history, 999, SIZE_MAX);
    assert_null(history.ring);
    history_release(&history);
}

/* PROTOCOL section 7.3: history_size 5, seven published, so 3 … 7 are kept. */
static void recovery_sends_all_that_was_missed_or_says_that_it_cannot(void **state)
{
    (void)state;
    struct history history = history_of(7);
    static const struct {
        uint64_t since;
        const char *epoch;
        uint32_t recover_max;
        bool recovered;
        const char *read;
    } rows[] = {
        {7, "abcdefgh", 0, true, ""},           /* nothing newer */
        {6, "abcdefgh", 0, true, "7"},          /* one */
        {2, "abcdefgh", 0, true, "3 4 5 6 7"},  /* the oldest that is kept is the next one */
        {1, "abcdefgh", 0, false, ""},          /* trimmed */
        {0, "", 0, false, ""},                  /* trimmed: position (0, "") is legal */
        {6, "", 0, true, "7"},                  /* no epoch given: any */
        {7, "abcdefgx", 0, false, ""},          /* another epoch */
        {7, "_", 0, false, ""},                 /* a client that lost its state on purpose */
        {8, "abcdefgh", 0, false, ""},          /* from the future */
        {UINT64_MAX, "abcdefgh", 0, false, ""}, /* J09 */
        {(1ull << 53) + 1, "", 0, false, ""},   /* J09 */
        {4, "abcdefgh", 2, false, ""},          /* too many: 3 missed, 2 allowed */
        {5, "abcdefgh", 2, true, "6 7"},        /* just allowed */
        {6, "abcdefgh", 2, true, "7"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct history_recovery recovery = {.since = at(rows[i].since, rows[i].epoch),
                                            .recover_max = rows[i].recover_max};
        struct history_answer answer = {0};
        bool recovered = !rows[i].recovered;
        assert_int_equal(history_recover(&history, &recovery, &answer, &recovered), STATUS_OK);
        assert_int_equal(recovered, rows[i].recovered);
        assert_string_equal(offsets(&answer), rows[i].read);
    }
    history_release(&history);
}

static void a_fresh_subscriber_recovers_a_stream_that_was_never_trimmed(void **state)
{
    (void)state;
    struct history history = history_of(2);
    struct history_recovery recovery = {.since = at(0, "")};
    struct history_answer answer = {0};
    bool recovered = false;
    assert_int_equal(history_recover(&history, &recovery, &answer, &recovered), STATUS_OK);
    assert_true(recovered);
    assert_string_equal(offsets(&answer), "1 2");
    history_release(&history);
}

static void what_expired_or_was_removed_cannot_be_recovered(void **state)
{
    (void)state;
    struct history history = history_of(3);
    history_expire(&history, TTL_MS, SIZE_MAX);
    struct history_answer answer = {0};
    bool recovered = true;
    history_recover(&history, &(struct history_recovery){.since = at(2, "abcdefgh")}, &answer, &recovered);
    assert_false(recovered);
    history_recover(&history, &(struct history_recovery){.since = at(3, "abcdefgh")}, &answer, &recovered);
    assert_true(recovered); /* nothing was missed */
    history_release(&history);
}

/* PROTOCOL section 7.6. */
static void cache_mode_recovers_the_newest_publication_only(void **state)
{
    (void)state;
    struct history history = history_of(7);
    static const struct {
        uint64_t since;
        const char *epoch, *read;
    } rows[] = {{0, "", "7"},      {6, "abcdefgh", "7"}, {7, "abcdefgh", ""},
                {7, "other", "7"}, {7, "", "7"},         {99, "", "7"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct history_recovery recovery = {.since = at(rows[i].since, rows[i].epoch), .is_cache_mode = true};
        struct history_answer answer = {0};
        bool recovered = false;
        assert_int_equal(history_recover(&history, &recovery, &answer, &recovered), STATUS_OK);
        assert_true(recovered);
        assert_string_equal(offsets(&answer), rows[i].read);
    }
    history_release(&history);
}

static void cache_mode_without_a_publication_is_not_recovered(void **state)
{
    (void)state;
    struct history history = history_of(2);
    history_remove(&history);
    struct history_recovery recovery = {.since = at(2, "abcdefgh"), .is_cache_mode = true};
    struct history_answer answer = {0};
    bool recovered = true;
    assert_int_equal(history_recover(&history, &recovery, &answer, &recovered), STATUS_OK);
    assert_false(recovered);
    assert_int_equal(answer.count, 0);
    history_release(&history);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct history history = history_of(4); /* the ring of 4 is full */
    fail_alloc_at(0);
    assert_false(history_reserve(&history, SIZE));
    assert_true(fail_alloc_stop());
    struct history_answer answer = {0};
    fail_alloc_at(0);
    assert_int_equal(history_read(&history, &(struct history_query){.limit = -1}, &answer), STATUS_NO_MEMORY);
    assert_true(fail_alloc_stop());
    bool recovered = false;
    fail_alloc_at(0);
    assert_int_equal(
        history_recover(&history, &(struct history_recovery){.since = at(1, "")}, &answer, &recovered),
        STATUS_NO_MEMORY);
    assert_true(fail_alloc_stop());
    assert_string_equal(read_offsets(&history, (struct history_query){.limit = -1}), "1 2 3 4");
    history_release(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_numbers_its_publications_from_1_without_gaps),
        cmocka_unit_test(a_publication_knows_the_epoch_of_its_offset),
        cmocka_unit_test(the_newest_are_kept_up_to_the_size),
        cmocka_unit_test(a_ring_that_went_round_many_times_keeps_its_order),
        cmocka_unit_test(limit_0_reads_the_position_only_and_minus_1_reads_all),
        cmocka_unit_test(a_limit_below_minus_1_is_a_bad_request_and_huge_ones_are_cut_j09),
        cmocka_unit_test(since_is_exclusive_forward),
        cmocka_unit_test(since_is_exclusive_in_reverse),
        cmocka_unit_test(reverse_from_offset_0_is_a_bad_request),
        cmocka_unit_test(another_epoch_is_an_unrecoverable_position_and_none_is_fine),
        cmocka_unit_test(an_empty_stream_answers_every_question),
        cmocka_unit_test(a_publication_goes_when_its_time_comes_and_not_before),
        cmocka_unit_test(expiry_stops_at_its_budget),
        cmocka_unit_test(removing_keeps_offset_and_epoch),
        cmocka_unit_test(the_ring_grows_with_its_content_and_shrinks_with_it),
        cmocka_unit_test(recovery_sends_all_that_was_missed_or_says_that_it_cannot),
        cmocka_unit_test(a_fresh_subscriber_recovers_a_stream_that_was_never_trimmed),
        cmocka_unit_test(what_expired_or_was_removed_cannot_be_recovered),
        cmocka_unit_test(cache_mode_recovers_the_newest_publication_only),
        cmocka_unit_test(cache_mode_without_a_publication_is_not_recovered),
        cmocka_unit_test(without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

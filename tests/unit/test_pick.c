/* test_pick.c - the first few of many (server/pick.h), and the order of connections (server/roster.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/pick.h"
#include "server/roster.h"

#include <string.h>

static int compare_numbers(const void *left, const void *right)
{
    unsigned a, b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

/* Offers 0 … count - 1 in an order that jumps about, and expects the first of them in order. */
static void expect_first(unsigned count, size_t rows_max)
{
    struct pick pick;
    assert_true(pick_init(&pick, sizeof(unsigned), rows_max, compare_numbers));
    for (unsigned i = 0; i < count; i++) {
        unsigned number = (unsigned)((i * 7919ull) % count); /* 7919 is prime: each number once */
        pick_offer(&pick, &number);
    }
    pick_sort(&pick);
    assert_int_equal(pick.count, count < rows_max ? count : rows_max);
    for (unsigned i = 0; i < pick.count; i++) {
        unsigned kept;
        memcpy(&kept, pick_at(&pick, i), sizeof kept);
        assert_int_equal(kept, i);
    }
    pick_release(&pick);
}

static void the_first_of_many_are_kept_in_order(void **state)
{
    (void)state;
    expect_first(1000, 1);
    expect_first(1000, 2);
    expect_first(1000, 100);
    expect_first(1000, 999);
    expect_first(1000, 1000);
}

static void of_few_all_are_kept(void **state)
{
    (void)state;
    expect_first(1, 5);
    expect_first(5, 6);
    struct pick empty;
    assert_true(pick_init(&empty, sizeof(unsigned), 3, compare_numbers));
    pick_sort(&empty);
    assert_int_equal(empty.count, 0);
    pick_release(&empty);
}

static void rows_that_come_in_order_or_backwards_are_picked_alike(void **state)
{
    (void)state;
    for (int backwards = 0; backwards < 2; backwards++) {
        struct pick pick;
        assert_true(pick_init(&pick, sizeof(unsigned), 3, compare_numbers));
        for (unsigned i = 0; i < 50; i++) {
            unsigned number = backwards ? 49 - i : i;
            pick_offer(&pick, &number);
        }
        pick_sort(&pick);
        assert_memory_equal(pick_at(&pick, 0), ((unsigned[]){0, 1, 2}), 3 * sizeof(unsigned));
        pick_release(&pick);
    }
}

static struct roster_place place(uint64_t bytes, char client)
{
    struct roster_place made = {.queue_bytes = bytes};
    memset(made.client, client, sizeof made.client);
    return made;
}

static void connections_are_ordered_by_client_or_by_what_waits_the_most_first(void **state)
{
    (void)state;
    const struct roster_place small_a = place(1, 'a'), large_b = place(UINT64_MAX, 'b'),
                              small_b = place(1, 'b');
    assert_true(roster_compare(ROSTER_BY_CLIENT, &small_a, &large_b) < 0);
    assert_true(roster_compare(ROSTER_BY_QUEUE, &small_a, &large_b) > 0);
    assert_true(roster_compare(ROSTER_BY_QUEUE, &small_a, &small_b) < 0);
    assert_int_equal(roster_compare(ROSTER_BY_QUEUE, &small_a, &small_a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_many_are_kept_in_order),
        cmocka_unit_test(of_few_all_are_kept),
        cmocka_unit_test(rows_that_come_in_order_or_backwards_are_picked_alike),
        cmocka_unit_test(connections_are_ordered_by_client_or_by_what_waits_the_most_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

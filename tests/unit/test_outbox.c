/* The queue of one connection: bounds, partial writes, conflation, age. */
#include "server/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ANY_BYTES = 1 << 20 };

static struct frame *frame_of(size_t len, uint32_t key)
{
    struct frame *frame = frame_new(len);
    assert_non_null(frame);
    frame->conflation_key = key;
    return frame;
}

static void push(struct outbox *outbox, size_t len, uint32_t key)
{
    struct frame *frame = frame_of(len, key);
    assert_true(outbox_push(outbox, frame, ANY_BYTES));
    frame_unref(frame);
}

static void frames_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox);
    for (size_t len = 1; len <= 100; len++) {
        push(&outbox, len, 0);
    }
    for (uint32_t len = 1; len <= 100; len++) {
        assert_int_equal(outbox_at(&outbox, 0)->len, len);
        outbox_advance(&outbox, len);
    }
    assert_int_equal(outbox.count, 0);
    assert_int_equal(outbox.bytes, 0);
    outbox_release(&outbox);
}

static void the_order_holds_while_the_ring_grows_and_turns(void **state)
{
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox);
    uint32_t next_in = 1, next_out = 1;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < round % 7 + 1; i++) {
            push(&outbox, next_in++, 0);
        }
        for (int i = 0; i < round % 5 + 1 && outbox.count > 0; i++) {
            assert_int_equal(outbox_at(&outbox, 0)->len, next_out);
            outbox_advance(&outbox, next_out++);
        }
    }
    outbox_release(&outbox);
}

static void a_frame_that_would_pass_the_bound_is_refused_and_one_that_reaches_it_is_taken(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        bool is_taken;
    } cases[] = {{59, true}, {60, true}, {61, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outbox outbox;
        outbox_init(&outbox);
        push(&outbox, 40, 0);
        struct frame *frame = frame_of(cases[i].len, 0);
        assert_int_equal(outbox_push(&outbox, frame, 100), cases[i].is_taken);
        assert_int_equal(frame->refs, cases[i].is_taken ? 2 : 1);
        frame_unref(frame);
        outbox_release(&outbox);
    }
}

static void an_empty_outbox_takes_a_frame_of_any_size(void **state)
{
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox);
    struct frame *frame = frame_of(1000, 0);
    assert_true(outbox_push(&outbox, frame, 10));
    frame_unref(frame);
    outbox_release(&outbox);
}

static void a_partial_write_keeps_its_place_in_the_front_frame(void **state)
{
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox);
    push(&outbox, 10, 0);
    push(&outbox, 20, 0);
    outbox_advance(&outbox, 4);
    assert_int_equal(outbox.front_sent, 4);
    assert_int_equal(outbox.bytes, 26);
    outbox_advance(&outbox, 9);
    assert_int_equal(outbox.count, 1);
    assert_int_equal(outbox.front_sent, 3);
    outbox_advance(&outbox, 17);
    assert_int_equal(outbox.count, 0);
    outbox_release(&outbox);
}

static void frames_that_were_overtaken_are_dropped_and_the_others_keep_their_order(void **state)
{
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox);
    for (uint32_t i = 0; i < 12; i++) {
        push(&outbox, 10 + i, i % 3 + 1);
    }
    assert_int_equal(outbox_drop_key(&outbox, 2), 4);
    assert_int_equal(outbox.count, 8);
    static const uint32_t left[] = {10, 12, 13, 15, 16, 18, 19, 21};
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(outbox_at(&outbox, i)->len, left[i]);
        bytes += left[i];
    }
    assert_int_equal(outbox.bytes, bytes);
    assert_int_equal(outbox_drop_key(&outbox, 2), 0);
    outbox_release(&outbox);
}

static void a_frame_that_is_half_written_is_never_dropped(void **state)
{
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox);
    push(&outbox, 10, 7);
    push(&outbox, 11, 7);
    outbox_advance(&outbox, 1);
    assert_int_equal(outbox_drop_key(&outbox, 7), 1);
    assert_int_equal(outbox.count, 1);
    assert_int_equal(outbox.bytes, 9);
    assert_int_equal(outbox_at(&outbox, 0)->len, 10);
    outbox_release(&outbox);
}

static void the_age_is_that_of_the_marked_frame_until_it_is_out(void **state)
{
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox);
    push(&outbox, 10, 0);
    assert_int_equal(outbox_age_ms(&outbox, 1000), 0);
    push(&outbox, 10, 0);
    assert_int_equal(outbox_age_ms(&outbox, 4000), 3000);
    outbox_advance(&outbox, 9);
    assert_int_equal(outbox_age_ms(&outbox, 5000), 4000);
    outbox_advance(&outbox, 1);
    assert_int_equal(outbox_age_ms(&outbox, 6000), 0); /* the mark has moved on to the second frame */
    assert_int_equal(outbox_age_ms(&outbox, 6500), 500);
    outbox_release(&outbox);
}

static void an_idle_outbox_gives_its_ring_back(void **state)
{
    (void)state;
    struct outbox outbox;
    outbox_init(&outbox);
    for (int i = 0; i < 20; i++) {
        push(&outbox, 5, 0);
    }
    outbox_shrink(&outbox);
    assert_non_null(outbox.ring);
    outbox_advance(&outbox, 100);
    outbox_shrink(&outbox);
    assert_null(outbox.ring);
    outbox_release(&outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_in_the_order_they_went_in),
        cmocka_unit_test(the_order_holds_while_the_ring_grows_and_turns),
        cmocka_unit_test(a_frame_that_would_pass_the_bound_is_refused_and_one_that_reaches_it_is_taken),
        cmocka_unit_test(an_empty_outbox_takes_a_frame_of_any_size),
        cmocka_unit_test(a_partial_write_keeps_its_place_in_the_front_frame),
        cmocka_unit_test(frames_that_were_overtaken_are_dropped_and_the_others_keep_their_order),
        cmocka_unit_test(a_frame_that_is_half_written_is_never_dropped),
        cmocka_unit_test(the_age_is_that_of_the_marked_frame_until_it_is_out),
        cmocka_unit_test(an_idle_outbox_gives_its_ring_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

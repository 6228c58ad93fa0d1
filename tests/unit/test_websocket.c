#include "server/websocket.h"
#include "tests/support/transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FIN = 0x80, RSV1 = 0x40, CONT = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

static const struct websocket_limits limits = {
    .message_bytes_max = 65536, .fragments_max = 1024, .empty_fragments_max = 64};

/* ---- building input ---- */

static const unsigned char test_mask[4] = {0x37, 0xfa, 0x21, 0x3d};

static void masked_frame(struct buf *input, unsigned first_byte, struct str payload)
{
    unsigned char head[WEBSOCKET_CLIENT_HEAD_MAX];
    bool fin = (first_byte & FIN) != 0;
    buf_append(input, head, websocket_client_head(head, first_byte & 0x7f, fin, payload.len, test_mask));
    size_t start = input->len;
    buf_append_str(input, payload);
    unsigned char mask[4];
    memcpy(mask, test_mask, 4);
    websocket_mask((unsigned char *)input->at + start, payload.len, mask);
}

#define frame(input, first_byte, literal) masked_frame((input), (first_byte), STR(literal))
#define raw(input, literal) buf_append_lit((input), literal)

static struct str filled(char c, size_t len)
{
    static char bytes[70000];
    memset(bytes, c, len);
    return str_make(bytes, len);
}

/* ---- reading it ---- */

static struct websocket_reader reader_with(const struct websocket_limits *some_limits)
{
    struct websocket_reader reader;
    websocket_reader_init(&reader, some_limits);
    return reader;
}

static char *read_cut(struct websocket_reader reader, const struct buf *input, struct cut cut)
{
    struct buf out = {0};
    transcript_of_websocket(&out, &reader, buf_str(input), cut);
    char *text = str_to_cstr(buf_str(&out));
    buf_release(&out);
    return text;
}

static void expect_cut(struct websocket_reader reader, const struct buf *input, struct cut cut,
                       const char *expected)
{
    char *got = read_cut(reader, input, cut);
    assert_string_equal(got, expected);
    free(got);
}

/* Whole, in single bytes, in threes, and (short input only) cut in two at every position: all the same. Takes
 * the input. */
static void expect_of(struct websocket_reader reader, struct buf *input, const char *expected)
{
    expect_cut(reader, input, (struct cut){.first = input->len}, expected);
    expect_cut(reader, input, (struct cut){.pattern = STR("\1")}, expected);
    expect_cut(reader, input, (struct cut){.pattern = STR("\3\1\7")}, expected);
    for (size_t first = 1; first < input->len && input->len < 2000; first++) {
        expect_cut(reader, input, (struct cut){.first = first}, expected);
    }
    buf_release(input);
}

static void expect(struct buf *input, const char *expected)
{
    expect_of(reader_with(&limits), input, expected);
}

/* ---- messages ---- */

static void text_and_binary_messages_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, FIN | TEXT, "Hello");
    frame(&input, FIN | BINARY, "\x00\xff\x80");
    frame(&input, FIN | TEXT, "");
    masked_frame(&input, FIN | TEXT, filled('a', 125));
    masked_frame(&input, FIN | TEXT, filled('b', 126));
    frame(&input, FIN | TEXT, "end");
    struct str a = filled('a', 125);
    struct buf expected = {0};
    buf_append_lit(&expected, "text(Hello) binary(\\x00\\xff\\x80) text() text(");
    transcript_append_escaped(&expected, a);
    buf_append_lit(&expected, ") text(");
    transcript_append_escaped(&expected, filled('b', 126));
    buf_append_lit(&expected, ") text(end)");
    buf_append_char(&expected, '\0');
    expect(&input, expected.at);
    buf_release(&expected);
}

static void fragments_are_joined_into_one_message(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, TEXT, "Hel");
    frame(&input, CONT, "");
    frame(&input, CONT, "lo ");
    frame(&input, FIN | CONT, "World");
    frame(&input, BINARY, "");
    frame(&input, FIN | CONT, "tail");
    frame(&input, TEXT, "head");
    frame(&input, FIN | CONT, "");
    expect(&input, "text(Hello World) binary(tail) text(head)");
}

static void a_whole_frame_is_delivered_where_it_lies_without_memory(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, FIN | TEXT, "Hello");
    struct websocket_reader reader = reader_with(&limits);
    unsigned char *at = (unsigned char *)input.at;
    size_t len = input.len;
    struct websocket_event event;
    assert_int_equal(websocket_read(&reader, &at, &len, &event), WEBSOCKET_MESSAGE);
    assert_ptr_equal(event.payload.at, input.at + 6);
    assert_int_equal(event.payload.len, 5);
    assert_null(reader.block);
    assert_int_equal(websocket_read(&reader, &at, &len, &event), WEBSOCKET_MORE);
    websocket_reader_release(&reader);
    buf_release(&input);
}

static void a_joined_message_gives_its_memory_back_at_the_next_read_w17(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, TEXT, "Hel");
    frame(&input, FIN | CONT, "lo");
    struct websocket_reader reader = reader_with(&limits);
    unsigned char *at = (unsigned char *)input.at;
    size_t len = input.len;
    struct websocket_event event;
    assert_int_equal(websocket_read(&reader, &at, &len, &event), WEBSOCKET_MESSAGE);
    assert_true(str_is(event.payload, "Hello"));
    assert_non_null(reader.block);
    assert_int_equal(websocket_read(&reader, &at, &len, &event), WEBSOCKET_MORE);
    assert_null(reader.block);
    websocket_reader_release(&reader);
    buf_release(&input);
}

/* ---- the rows of the threat list ---- */

static void an_unmasked_frame_is_an_error_w01(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, FIN | TEXT, "first");
    raw(&input, "\x81\x05Hello");
    frame(&input, FIN | TEXT, "not processed");
    expect(&input, "text(first) error(1002)");
    raw(&input, "\x89\x00");
    expect(&input, "error(1002)");
}

static void a_mask_of_zeros_is_accepted_w02(void **state)
{
    (void)state;
    struct buf input = {0};
    raw(&input, "\x81\x85\0\0\0\0Hello");
    expect(&input, "text(Hello)");
}

static void reserved_bits_and_opcodes_are_errors_w03(void **state)
{
    (void)state;
    static const unsigned char first_bytes[] = {
        FIN | 0x40 | TEXT, FIN | 0x20 | TEXT, FIN | 0x10 | TEXT, 0x40 | BINARY, FIN | 0x40 | PING, FIN | 3,
        FIN | 4,           FIN | 5,           FIN | 6,           FIN | 7,       FIN | 11,          FIN | 12,
        FIN | 13,          FIN | 14,          FIN | 15,          0x70 | TEXT};
    for (size_t i = 0; i < sizeof first_bytes; i++) {
        struct buf input = {0};
        buf_append_char(&input, (char)first_bytes[i]);
        raw(&input, "\x80\0\0\0\0");
        frame(&input, FIN | TEXT, "not processed");
        expect(&input, "error(1002)");
    }
}

static void the_compression_bit_is_allowed_on_the_first_frame_only_once_agreed_z04(void **state)
{
    (void)state;
    struct websocket_reader reader = reader_with(&limits);
    reader.allow_rsv1 = true;
    struct buf input = {0};
    frame(&input, RSV1 | TEXT, "\xff\xfe");
    frame(&input, FIN | CONT, "\xff");
    frame(&input, FIN | TEXT, "plain");
    frame(&input, FIN | RSV1 | BINARY, "x");
    expect_of(reader, &input, "deflated-text(\\xff\\xfe\\xff) text(plain) deflated-binary(x)");
    frame(&input, TEXT, "a");
    frame(&input, FIN | RSV1 | CONT, "b");
    expect_of(reader, &input, "error(1002)");
    frame(&input, FIN | RSV1 | PING, "b");
    expect_of(reader, &input, "error(1002)");
}

static void control_frames_must_be_whole_and_short_w04(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, PING, "");
    expect(&input, "error(1002)");
    frame(&input, CLOSE, "\x03\xe8");
    expect(&input, "error(1002)");
    raw(&input, "\x89\xfe\x00\x05\0\0\0\0Hello");
    expect(&input, "error(1002)");
    raw(&input, "\x89\xff\0\0\0\0\0\0\0\x05\0\0\0\0Hello");
    expect(&input, "error(1002)");
    masked_frame(&input, FIN | PING, filled('p', 126));
    expect(&input, "error(1002)");

    struct buf expected = {0};
    buf_append_lit(&expected, "ping(");
    transcript_append_escaped(&expected, filled('p', 125));
    buf_append(&expected, ")", 2);
    masked_frame(&input, FIN | PING, filled('p', 125));
    expect(&input, expected.at);
    buf_release(&expected);
}

static void a_ping_inside_a_message_is_reported_before_the_message_ends_w05(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, TEXT, "Hel");
    frame(&input, FIN | PING, "are you there");
    frame(&input, CONT, "");
    frame(&input, FIN | PING, "");
    frame(&input, FIN | CONT, "lo");
    frame(&input, FIN | PING, "after");
    expect(&input, "ping(are you there) ping() text(Hello) ping(after)");
    frame(&input, TEXT, "Hel");
    frame(&input, FIN | CLOSE, "\x03\xe8");
    frame(&input, FIN | CONT, "lo");
    expect(&input, "close(1000)");
}

static void a_split_ping_in_an_empty_message_leaves_no_memory_behind_w05(void **state)
{
    (void)state;
    /* The transcript itself checks that no block outlives a message. */
    struct buf input = {0};
    frame(&input, TEXT, "");
    frame(&input, FIN | PING, "0123456789");
    frame(&input, FIN | CONT, "");
    expect(&input, "ping(0123456789) text()");
}

static void a_pong_nobody_asked_for_is_only_reported_w06(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, FIN | PONG, "hm");
    frame(&input, FIN | TEXT, "on");
    expect(&input, "pong(hm) text(on)");
}

static void continuations_and_starts_must_alternate_rightly_w07(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, FIN | CONT, "x");
    expect(&input, "error(1002)");
    frame(&input, CONT, "x");
    expect(&input, "error(1002)");
    frame(&input, FIN | TEXT, "whole");
    frame(&input, FIN | CONT, "x");
    expect(&input, "text(whole) error(1002)");
    frame(&input, TEXT, "begun");
    frame(&input, FIN | TEXT, "x");
    expect(&input, "error(1002)");
    frame(&input, TEXT, "");
    frame(&input, BINARY, "");
    expect(&input, "error(1002)");
}

static void lengths_must_be_positive_and_in_their_shortest_form_w08(void **state)
{
    (void)state;
    struct buf input = {0};
    raw(&input, "\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0");
    expect(&input, "error(1002)");
    raw(&input, "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    expect(&input, "error(1002)");
    raw(&input, "\x81\xfe\x00\x7d\0\0\0\0");
    expect(&input, "error(1002)");
    raw(&input, "\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0");
    expect(&input, "error(1002)");
    raw(&input, "\x81\xff\0\0\0\0\0\0\x00\x05\0\0\0\0Hello");
    expect(&input, "error(1002)");
}

static void an_announced_length_over_the_limit_is_refused_before_data_or_mask_w09(void **state)
{
    (void)state;
    struct buf input = {0};
    raw(&input, "\x81\xff\x40\0\0\0\0\0\0\0"); /* 2^62 */
    expect(&input, "error(1009)");
    raw(&input, "\x82\xff\0\0\0\0\0\x01\0\x01"); /* 65537 */
    expect(&input, "error(1009)");
    raw(&input, "\x82\xff\0\0\0\0\0\x01\0\0"); /* 65536: fine so far */
    expect(&input, "");
}

static void messages_are_accepted_up_to_the_limit_exactly_w09(void **state)
{
    (void)state;
    struct websocket_limits small = limits;
    small.message_bytes_max = 10;
    struct buf input = {0};
    frame(&input, FIN | TEXT, "123456789");
    frame(&input, FIN | TEXT, "1234567890");
    frame(&input, FIN | TEXT, "12345678901");
    expect_of(reader_with(&small), &input, "text(123456789) text(1234567890) error(1009)");

    for (size_t len = 65535; len <= 65537; len++) {
        struct buf expected = {0};
        buf_append_lit(&expected, "text(");
        transcript_append_escaped(&expected, filled('x', len));
        buf_append(&expected, ")", 2);
        masked_frame(&input, FIN | TEXT, filled('x', len));
        expect(&input, len <= 65536 ? expected.at : "error(1009)");
        buf_release(&expected);
    }
}

static void fragments_that_together_pass_the_limit_are_refused_at_the_one_that_does_w10(void **state)
{
    (void)state;
    struct websocket_limits small = limits;
    small.message_bytes_max = 10;
    struct buf input = {0};
    frame(&input, TEXT, "12345");
    frame(&input, FIN | PING, "p");
    frame(&input, CONT, "67890");
    raw(&input, "\x00\x81"); /* one more byte is announced: enough */
    expect_of(reader_with(&small), &input, "ping(p) error(1009)");
    frame(&input, TEXT, "12345");
    frame(&input, CONT, "67890");
    frame(&input, FIN | CONT, "");
    expect_of(reader_with(&small), &input, "text(1234567890)");
}

static void memory_follows_what_came_not_what_was_announced_w10(void **state)
{
    (void)state;
    struct websocket_limits large = limits;
    large.message_bytes_max = 1 << 24;
    struct websocket_reader reader = reader_with(&large);
    unsigned char input[] = "\x82\xff\0\0\0\0\0\xff\xff\xff\0\0\0\0only this";
    unsigned char *at = input;
    size_t len = sizeof input - 1;
    struct websocket_event event;
    assert_int_equal(websocket_read(&reader, &at, &len, &event), WEBSOCKET_MORE);
    assert_int_equal(reader.message_len, 9);
    assert_in_range(reader.block_capacity, 9, 1024);
    websocket_reader_release(&reader);
    assert_null(reader.block);
}

/* A message of `count` frames, each with `payload`. */
static void many_fragments(struct buf *input, size_t count, struct str payload)
{
    for (size_t i = 0; i < count; i++) {
        masked_frame(input, (i == 0 ? TEXT : CONT) | (i + 1 == count ? FIN : 0), payload);
    }
}

static void fragments_are_counted_w11(void **state)
{
    (void)state;
    struct websocket_limits few = {.message_bytes_max = 100, .fragments_max = 5, .empty_fragments_max = 3};
    struct buf input = {0};
    many_fragments(&input, 5, STR("x"));
    many_fragments(&input, 4, STR("y")); /* counts from the start again */
    many_fragments(&input, 6, STR("z"));
    expect_of(reader_with(&few), &input, "text(xxxxx) text(yyyy) error(1008)");
    many_fragments(&input, 3, STR(""));
    many_fragments(&input, 2, STR(""));
    many_fragments(&input, 4, STR(""));
    expect_of(reader_with(&few), &input, "text() text() error(1008)");
    many_fragments(&input, 1025, STR("x"));
    expect(&input, "error(1008)");
    many_fragments(&input, 65, STR(""));
    expect(&input, "error(1008)");
    many_fragments(&input, 64, STR(""));
    expect(&input, "text()");
}

static void invalid_utf8_fails_at_the_byte_that_decides_w12(void **state)
{
    (void)state;
    static const struct str bad[] = {{"\xc0\xaf", 2},
                                     {"\xe0\x80\xaf", 3},
                                     {"\xed\xa0\x80", 3},
                                     {"\xf4\x90\x80\x80", 4},
                                     {"ok\xff", 3},
                                     {"\x80", 1},
                                     {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
                                      "edited",
                                      20}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf input = {0};
        masked_frame(&input, FIN | TEXT, bad[i]);
        frame(&input, FIN | PING, "not processed");
        expect(&input, "error(1007)");
        masked_frame(&input, TEXT, bad[i]); /* the message does not end, the error comes all the same */
        expect(&input, "error(1007)");
        for (size_t first = 0; first <= bad[i].len; first++) {
            masked_frame(&input, TEXT, str_first(bad[i], first));
            masked_frame(&input, FIN | CONT, str_skip(bad[i], first));
            expect(&input, "error(1007)");
        }
    }
    struct buf input = {0};
    raw(&input, "\x81\xfe\x10\x00\0\0\0\0abc\xed\xa0"); /* 4 KiB announced, the fifth byte decides */
    expect(&input, "error(1007)");
}

static void a_character_cut_at_the_end_of_a_message_is_invalid_w12(void **state)
{
    (void)state;
    struct buf input = {0};
    frame(&input, FIN | TEXT, "cut \xe2\x82");
    expect(&input, "error(1007)");
    frame(&input, TEXT, "cut \xe2\x82");
    frame(&input, FIN | PING, "p");
    frame(&input, FIN | CONT, "");
    expect(&input, "ping(p) error(1007)");
}

static void valid_utf8_passes_in_single_byte_fragments_w13(void **state)
{
    (void)state;
    struct str text =
        STR("\xce\xba\xe1\xbd\xb9 \xef\xbf\xbf \xef\xb7\x90 \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf\0");
    struct buf input = {0};
    for (size_t i = 0; i < text.len; i++) {
        masked_frame(&input, (i == 0 ? TEXT : CONT) | (i + 1 == text.len ? FIN : 0),
                     str_make(text.at + i, 1));
    }
    struct buf expected = {0};
    buf_append_lit(&expected, "text(");
    transcript_append_escaped(&expected, text);
    buf_append(&expected, ")", 2);
    expect(&input, expected.at);
    buf_release(&expected);
    frame(&input, FIN | BINARY, "\xff\xc0\x80");
    expect(&input, "binary(\\xff\\xc0\\x80)");
}

static void close_with(struct buf *input, unsigned code, struct str reason)
{
    struct buf payload = {0};
    buf_append_char(&payload, (char)(code >> 8));
    buf_append_char(&payload, (char)code);
    buf_append_str(&payload, reason);
    masked_frame(input, FIN | CLOSE, buf_str(&payload));
    buf_release(&payload);
}

static void close_codes_that_must_not_be_sent_are_errors_w14(void **state)
{
    (void)state;
    static const unsigned bad[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf input = {0};
        close_with(&input, bad[i], STR("why"));
        expect(&input, "error(1002)");
    }
    struct buf input = {0};
    frame(&input, FIN | CLOSE, "\x03");
    expect(&input, "error(1002)");
    close_with(&input, 1000, STR("\xce\xba\xed\xa0\x80"));
    expect(&input, "error(1007)");
    close_with(&input, 1000, STR("cut\xe2\x82"));
    expect(&input, "error(1007)");
}

static void close_codes_that_may_be_sent_are_reported_with_their_reason_w15(void **state)
{
    (void)state;
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1011, 1012,
                                    1013, 1014, 3000, 3999, 4000, 4999};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct buf input = {0};
        close_with(&input, good[i], STR("bye \xc3\xbc"));
        char expected[64];
        snprintf(expected, sizeof expected, "close(%u bye \\xc3\\xbc)", good[i]);
        expect(&input, expected);
    }
    struct buf input = {0};
    frame(&input, FIN | CLOSE, "");
    expect(&input, "close(1005)");
    close_with(&input, 1000, filled('r', 123));
    close_with(&input, 1001, STR("second"));
    struct buf expected = {0};
    buf_append_lit(&expected, "close(1000 ");
    transcript_append_escaped(&expected, filled('r', 123));
    buf_append(&expected, ")", 2);
    expect(&input, expected.at);
    buf_release(&expected);
}

static void nothing_after_a_close_frame_is_processed_w16(void **state)
{
    (void)state;
    struct buf input = {0};
    close_with(&input, 1000, STR(""));
    frame(&input, FIN | TEXT, "late");
    frame(&input, FIN | PING, "late");
    raw(&input, "\xff\xff\xff\xff");
    expect(&input, "close(1000)");
}

static void half_a_frame_waits_in_little_memory_w17(void **state)
{
    (void)state;
    unsigned char whole[] = "\x81\xfe\x01\x00\0\0\0\0half";
    for (size_t count = 0; count < sizeof whole - 1; count++) {
        struct websocket_reader reader = reader_with(&limits);
        unsigned char *at = whole;
        size_t len = count;
        struct websocket_event event;
        assert_int_equal(websocket_read(&reader, &at, &len, &event), WEBSOCKET_MORE);
        assert_int_equal(len, 0);
        assert_in_range(reader.block_capacity, 0, 256);
        websocket_reader_release(&reader);
    }
    assert_in_range(sizeof(struct websocket_reader), 1, 64);
}

/* ---- the client side ---- */

static void a_client_reads_unmasked_frames_and_refuses_masked_ones(void **state)
{
    (void)state;
    struct websocket_reader reader = reader_with(&limits);
    reader.is_client = true;
    struct buf input = {0};
    raw(&input, "\x81\x05Hello\x01\x01"
                "a\x89\x00\x80\x01"
                "b");
    frame(&input, FIN | TEXT, "masked");
    expect_of(reader, &input, "text(Hello) ping() text(ab) error(1002)");
}

/* ---- writing ---- */

static void heads_use_the_shortest_length(void **state)
{
    (void)state;
    unsigned char head[WEBSOCKET_HEAD_MAX];
    assert_int_equal(websocket_head(head, TEXT, true, 0), 2);
    assert_memory_equal(head, "\x81\x00", 2);
    assert_int_equal(websocket_head(head, BINARY, false, 125), 2);
    assert_memory_equal(head, "\x02\x7d", 2);
    assert_int_equal(websocket_head(head, TEXT, true, 126), 4);
    assert_memory_equal(head, "\x81\x7e\x00\x7e", 4);
    assert_int_equal(websocket_head(head, TEXT, true, 65535), 4);
    assert_memory_equal(head, "\x81\x7e\xff\xff", 4);
    assert_int_equal(websocket_head(head, TEXT | WEBSOCKET_RSV1, true, 65536), 10);
    assert_memory_equal(head, "\xc1\x7f\0\0\0\0\0\1\0\0", 10);
}

static void close_frames_cut_the_reason_on_a_character(void **state)
{
    (void)state;
    unsigned char out[WEBSOCKET_CLOSE_FRAME_MAX];
    assert_int_equal(websocket_close_frame(out, 0, STR("ignored")), 2);
    assert_memory_equal(out, "\x88\x00", 2);
    assert_int_equal(websocket_close_frame(out, 1005, STR("ignored")), 2);
    assert_int_equal(websocket_close_frame(out, 3501, STR("bad request")), 15);
    assert_memory_equal(out,
                        "\x88\x0d\x0d\xad"
                        "bad request",
                        15);
    assert_int_equal(websocket_close_frame(out, 1000, (struct str){0}), 4);

    char reason[126];
    memset(reason, 'r', sizeof reason);
    assert_int_equal(websocket_close_frame(out, 1000, str_make(reason, 123)), 127);
    assert_int_equal(websocket_close_frame(out, 1000, str_make(reason, 124)), 127);
    memcpy(reason + 121, "\xe2\x82\xac", 3);
    assert_int_equal(websocket_close_frame(out, 1000, str_make(reason, 124)), 125);
    assert_int_equal(out[1], 123);
}

static void masking_twice_in_any_pieces_gives_the_text_back(void **state)
{
    (void)state;
    char text[64];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)i;
    }
    for (size_t split = 0; split <= sizeof text; split++) {
        unsigned char bytes[sizeof text], mask[4], again[4];
        memcpy(bytes, text, sizeof text);
        memcpy(mask, test_mask, 4);
        memcpy(again, test_mask, 4);
        websocket_mask(bytes, sizeof bytes, mask);
        assert_int_equal(bytes[6], 6 ^ test_mask[2]);
        websocket_mask(bytes, split, again);
        websocket_mask(bytes + split, sizeof bytes - split, again);
        assert_memory_equal(bytes, text, sizeof text);
    }
}

/* ---- keys ---- */

static void the_accept_key_is_that_of_rfc_6455(void **state)
{
    (void)state;
    char accept[WEBSOCKET_ACCEPT_KEY_LEN];
    websocket_accept_key(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof accept);
}

static void only_canonical_base64_of_16_bytes_is_a_key_h01(void **state)
{
    (void)state;
    assert_true(websocket_key_is_valid(STR("dGhlIHNhbXBsZSBub25jZQ==")));
    assert_true(websocket_key_is_valid(STR("AAAAAAAAAAAAAAAAAAAAAA==")));
    static const char *const bad[] = {"",
                                      "AAAA",
                                      "dGhlIHNhbXBsZSBub25jZQ",
                                      "dGhlIHNhbXBsZSBub25jZR==", /* unused bits */
                                      "dGhlIHNhbXBsZSBub25jZWE=", /* 17 bytes */
                                      "dGhlIHNhbXBsZSBub25j",     /* 15 bytes */
                                      "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
                                      "dGhlIHNhbXBsZSBub25j!Q==",
                                      "dGhlIHNhbXBsZS-ub25jZQ=="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(websocket_key_is_valid(str_from_cstr(bad[i])));
    }
    assert_false(websocket_key_is_valid((struct str){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_binary_messages_come_out_as_they_went_in),
        cmocka_unit_test(fragments_are_joined_into_one_message),
        cmocka_unit_test(a_whole_frame_is_delivered_where_it_lies_without_memory),
        cmocka_unit_test(a_joined_message_gives_its_memory_back_at_the_next_read_w17),
        cmocka_unit_test(an_unmasked_frame_is_an_error_w01),
        cmocka_unit_test(a_mask_of_zeros_is_accepted_w02),
        cmocka_unit_test(reserved_bits_and_opcodes_are_errors_w03),
        cmocka_unit_test(the_compression_bit_is_allowed_on_the_first_frame_only_once_agreed_z04),
        cmocka_unit_test(control_frames_must_be_whole_and_short_w04),
        cmocka_unit_test(a_ping_inside_a_message_is_reported_before_the_message_ends_w05),
        cmocka_unit_test(a_split_ping_in_an_empty_message_leaves_no_memory_behind_w05),
        cmocka_unit_test(a_pong_nobody_asked_for_is_only_reported_w06),
        cmocka_unit_test(continuations_and_starts_must_alternate_rightly_w07),
        cmocka_unit_test(lengths_must_be_positive_and_in_their_shortest_form_w08),
        cmocka_unit_test(an_announced_length_over_the_limit_is_refused_before_data_or_mask_w09),
        cmocka_unit_test(messages_are_accepted_up_to_the_limit_exactly_w09),
        cmocka_unit_test(fragments_that_together_pass_the_limit_are_refused_at_the_one_that_does_w10),
        cmocka_unit_test(memory_follows_what_came_not_what_was_announced_w10),
        cmocka_unit_test(fragments_are_counted_w11),
        cmocka_unit_test(invalid_utf8_fails_at_the_byte_that_decides_w12),
        cmocka_unit_test(a_character_cut_at_the_end_of_a_message_is_invalid_w12),
        cmocka_unit_test(valid_utf8_passes_in_single_byte_fragments_w13),
        cmocka_unit_test(close_codes_that_must_not_be_sent_are_errors_w14),
        cmocka_unit_test(close_codes_that_may_be_sent_are_reported_with_their_reason_w15),
        cmocka_unit_test(nothing_after_a_close_frame_is_processed_w16),
        cmocka_unit_test(half_a_frame_waits_in_little_memory_w17),
        cmocka_unit_test(a_client_reads_unmasked_frames_and_refuses_masked_ones),
        cmocka_unit_test(heads_use_the_shortest_length),
        cmocka_unit_test(close_frames_cut_the_reason_on_a_character),
        cmocka_unit_test(masking_twice_in_any_pieces_gives_the_text_back),
        cmocka_unit_test(the_accept_key_is_that_of_rfc_6455),
        cmocka_unit_test(only_canonical_base64_of_16_bytes_is_a_key_h01),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The leaf helpers of channels/base. The mailbox under threads is in test_hub_threads.c. */

#include "channels/base/buf.h"
#include "channels/base/clock.h"
#include "channels/base/hash.h"
#include "channels/base/heap.h"
#include "channels/base/list.h"
#include "channels/base/log.h"
#include "channels/base/mailbox.h"
#include "channels/base/must.h"
#include "channels/base/random.h"
#include "channels/base/slab.h"
#include "channels/base/table.h"
#include "channels/status.h"
#include "tests/support/fail_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct str str(const char *text)
{
    return str_from_cstr(text);
}

/* str */

static void slices_compare_by_content_and_nothing_equals_nothing(void **state)
{
    (void)state;
    assert_true(str_equal(STR("abc"), str_first(STR("abcd"), 3)));
    assert_false(str_equal(STR("abc"), STR("abd")));
    assert_false(str_equal(STR("abc"), STR("abcd")));
    assert_true(str_equal((struct str){NULL, 0}, STR("")));
    assert_true(str_equal(str_make("a\0b", 3), str_make("a\0b", 3)));
    assert_true(str_equal_nocase(STR("Content-LENGTH"), STR("content-length")));
    assert_false(str_equal_nocase(STR("a@"), STR("A`"))); /* only letters */
    assert_true(str_starts_with(STR("$news"), STR("$")));
    assert_false(str_starts_with(STR(""), STR("$")));
    assert_true(str_ends_with(STR("a.yaml"), STR(".yaml")));
    assert_false(str_ends_with(STR("yaml"), STR(".yaml")));
    assert_true(str_starts_with(STR("x"), (struct str){NULL, 0}));
}

static void slices_are_searched_cut_and_trimmed(void **state)
{
    (void)state;
    assert_int_equal(str_find(STR("a:b:c"), ':'), 1);
    assert_int_equal(str_find_last(STR("a:b:c"), ':'), 3);
    assert_int_equal(str_find((struct str){NULL, 0}, ':'), -1);
    assert_int_equal(str_find_last(STR("abc"), ':'), -1);
    assert_true(str_is(str_skip(STR("abc"), 2), "c"));
    assert_true(str_is(str_skip(STR("abc"), 9), ""));
    assert_true(str_is(str_trim(STR(" \t a b \t")), "a b"));
    assert_true(str_is(str_trim(STR(" \t ")), ""));
    assert_true(str_is(str_trim(STR("\r\na")), "\r\na"));
}

static void splitting_yields_every_part_also_empty_ones(void **state)
{
    (void)state;
    struct str rest = STR("a,,b,");
    static const char *const parts[] = {"a", "", "b", ""};
    size_t count = 0;
    while (rest.at != NULL) {
        assert_true(count < 4);
        assert_true(str_is(str_next(&rest, ','), parts[count++]));
    }
    assert_int_equal(count, 4);
}

static void numbers_are_plain_decimal_and_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", 10, true, 0},
        {"9", 10, true, 9},
        {"10", 10, true, 10},
        {"11", 10, false, 0},
        {"", 10, false, 0},
        {"01", 10, false, 0},
        {"-1", 10, false, 0},
        {"+1", 10, false, 0},
        {" 1", 10, false, 0},
        {"1 ", 10, false, 0},
        {"1e3", UINT64_MAX, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999", UINT64_MAX, false, 0},
        {"184467440737095516150", UINT64_MAX, false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 77;
        assert_int_equal(str_to_u64(str(rows[i].text), rows[i].max, &value), rows[i].ok);
        assert_int_equal(value, rows[i].ok ? rows[i].value : 77);
    }
}

static void globs_match_runs_and_single_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {{"*", "", true},
                {"", "", true},
                {"", "a", false},
                {"a*c", "abbbc", true},
                {"a*c", "abbbd", false},
                {"?", "a", true},
                {"?", "", false},
                {"a?c", "abc", true},
                {"*b*d*", "abcd", true},
                {"*aab", "aaaab", true},
                {"[a]", "a", false},
                {"[a]", "[a]", true},
                {"news:*", "news:1", true},
                {"**", "x", true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(str_glob(str(rows[i].pattern), str(rows[i].text)), rows[i].matches);
    }
}

/* buf */

static void a_buf_collects_text_and_numbers(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_lit(&buf, "n=");
    buf_append_u64(&buf, UINT64_MAX);
    buf_append_char(&buf, ',');
    buf_append_i64(&buf, INT64_MIN);
    buf_append_char(&buf, ',');
    buf_append_i64(&buf, 0);
    buf_printf(&buf, " %s%d", "x", 5);
    buf_append_str(&buf, (struct str){NULL, 0});
    assert_true(str_is(buf_str(&buf), "n=18446744073709551615,-9223372036854775808,0 x5"));
    buf_consume(&buf, 2);
    assert_true(str_starts_with(buf_str(&buf), STR("1844")));
    buf_consume(&buf, 1000);
    assert_int_equal(buf.len, 0);
    buf_release(&buf);
}

static void json_strings_are_escaped_as_rfc_8259_demands(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_json_string(&buf, str_make("a\"\\\n\r\t\x01\x1f\0<\xc3\xa9/", 13));
    assert_true(str_is(buf_str(&buf), "\"a\\\"\\\\\\n\\r\\t\\u0001\\u001f\\u0000<\xc3\xa9/\""));
    buf_reset(&buf);
    buf_append_json_string(&buf, (struct str){NULL, 0});
    assert_true(str_is(buf_str(&buf), "\"\""));
    buf_release(&buf);
}

static void a_buf_that_could_not_grow_says_so_at_the_end(void **state)
{
    (void)state;
    struct buf buf = {0};
    fail_alloc_at(0);
    buf_append_lit(&buf, "lost");
    assert_true(fail_alloc_stop());
    assert_true(buf.failed);
    buf_append_lit(&buf, "also lost");
    assert_int_equal(buf.len, 0);
    buf_reset(&buf);
    buf_append_lit(&buf, "kept");
    assert_false(buf.failed);
    assert_true(str_is(buf_str(&buf), "kept"));
    assert_false(buf_reserve(&buf, SIZE_MAX));
    buf_release(&buf);
}

/* list */

struct item {
    struct link link;
    char letter;
};

static const char *letters(const struct link *head)
{
    static char text[16];
    size_t len = 0;
    list_each (head, link) {
        text[len++] = container_of(link, struct item, link)->letter;
    }
    text[len] = '\0';
    assert_int_equal(list_count(head), len);
    return text;
}

static void lists_keep_order_and_forgive_a_second_removal(void **state)
{
    (void)state;
    struct link head, other;
    struct item items[4] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}, {.letter = 'd'}};
    list_init(&head);
    list_init(&other);
    for (size_t i = 0; i < 4; i++) {
        list_init(&items[i].link);
    }
    assert_null(list_pop_front(&head));
    list_push_back(&head, &items[0].link);
    list_push_back(&head, &items[1].link);
    list_push_front(&head, &items[2].link);
    assert_string_equal(letters(&head), "cab");
    list_remove(&items[0].link);
    list_remove(&items[0].link);
    assert_false(link_is_listed(&items[0].link));
    assert_string_equal(letters(&head), "cb");
    list_push_back(&other, &items[3].link);
    list_append(&other, &head);
    list_append(&other, &head);
    assert_true(list_is_empty(&head));
    assert_string_equal(letters(&other), "dcb");
    list_each_safe (&other, link) {
        list_remove(link);
    }
    assert_true(list_is_empty(&other));
}

/* slab */

static void a_slab_hands_out_zeroed_objects_and_counts_them(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, 100);
    enum { OBJECTS = 3000 };
    unsigned char *objects[OBJECTS];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < OBJECTS; i++) {
            objects[i] = slab_new(&slab);
            assert_non_null(objects[i]);
            for (unsigned at = 0; at < 100; at++) {
                assert_int_equal(objects[i][at], 0);
            }
            memset(objects[i], 0xee, 100);
        }
        assert_int_equal(slab.object_count, OBJECTS);
        for (unsigned i = 0; i < OBJECTS; i++) {
            slab_free(&slab, objects[(i * 7 + round) % OBJECTS]); /* in no order */
        }
        assert_int_equal(slab.object_count, 0);
        assert_true(slab.block_count <= 1); /* a peak is given back */
    }
    slab_free(&slab, NULL);
    fail_alloc_at(0);
    void *object = slab_new(&slab); /* from the block that was kept, or refused */
    fail_alloc_stop();
    slab_free(&slab, object);
    slab_release(&slab);
}

/* heap */

static void the_heap_gives_what_is_due_first_whatever_was_moved_or_removed(void **state)
{
    (void)state;
    enum { ITEMS = 300 };
    static struct heap_item items[ITEMS];
    struct heap heap = {0};
    assert_null(heap_first(&heap));
    assert_true(heap_reserve(&heap, ITEMS));
    uint32_t dice = 1;
    for (unsigned round = 0; round < 5000; round++) {
        dice = dice * 1664525u + 1013904223u;
        struct heap_item *item = &items[(dice >> 8) % ITEMS];
        if (dice >> 30 == 0) {
            heap_remove(&heap, item);
            assert_int_equal(item->place, 0);
        } else {
            heap_set(&heap, item, (dice >> 4) % 1000);
        }
        uint64_t earliest = UINT64_MAX;
        size_t count = 0;
        for (unsigned i = 0; i < ITEMS; i++) {
            if (items[i].place != 0) {
                count++;
                earliest = items[i].due_ms < earliest ? items[i].due_ms : earliest;
            }
        }
        assert_int_equal(heap.count, count);
        assert_int_equal(count == 0 ? UINT64_MAX : heap_first(&heap)->due_ms, earliest);
    }
    uint64_t last = 0;
    for (struct heap_item *item; (item = heap_first(&heap)) != NULL; heap_remove(&heap, item)) {
        assert_true(item->due_ms >= last);
        last = item->due_ms;
    }
    fail_alloc_at(0);
    assert_false(heap_reserve(&heap, 10000));
    fail_alloc_stop();
    heap_release(&heap);
}

/* mailbox */

static void run_nothing(void *receiver, struct mail *mail)
{
    (void)receiver;
    (void)mail;
}

static void a_mailbox_keeps_order_and_refuses_at_its_bound(void **state)
{
    (void)state;
    struct mailbox mailbox;
    mailbox_init(&mailbox, 3);
    struct mail mails[5];
    bool was_empty;
    assert_null(mailbox_take(&mailbox));
    for (unsigned i = 0; i < 5; i++) {
        mails[i].run = run_nothing;
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_true(mailbox_has_room(&mailbox, 3 - i));
        assert_false(mailbox_has_room(&mailbox, 4 - i));
        assert_true(mailbox_post(&mailbox, &mails[i], &was_empty));
        assert_int_equal(was_empty, i == 0);
    }
    assert_false(mailbox_post(&mailbox, &mails[3], &was_empty));
    mailbox_post_answer(&mailbox, &mails[4], &was_empty); /* never refused */
    assert_false(was_empty);
    struct mail *mail = mailbox_take(&mailbox);
    static const unsigned expected[] = {0, 1, 2, 4};
    for (unsigned i = 0; i < 4; i++, mail = mail->next) {
        assert_ptr_equal(mail, &mails[expected[i]]);
    }
    assert_null(mail);
    assert_true(mailbox_has_room(&mailbox, 3));
    assert_true(mailbox_post(&mailbox, &mails[3], &was_empty));
    assert_true(was_empty);
}

/* hash */

/* SipHash-1-3 of the bytes 0, 1, 2, … under the zero key, as CPython computes hash() of bytes with
 * PYTHONHASHSEED=0, and of nothing as the reference implementation does. */
static void siphash_1_3_gives_the_known_values_p12(void **state)
{
    (void)state;
    static const uint64_t expected[] = {
        0xd1fba762150c532c, 0x68a914128e01e473, 0x010bac45c41e3669, 0x4d4c9a4a8ef6e0ad, 0x7cc43f98813e4dbd,
        0x5abe2169dff36275, 0xe3c25f87624f1cdb, 0x2f098ab0c751325a, 0xead411e67ebe2eea, 0x75927f9d95124362,
        0xaf9f77a65ab51a1d, 0xfe64ce8b6617fcff, 0xa6baf4fb0f9fe1c2, 0xa0cf3211850f8e0d, 0x7f86049379fbfe67,
        0xf30eb725bb91c9ea, 0x8972188433a5c5b7, 0x4883c49a2c009c1d};
    unsigned char key[16] = {0}, bytes[32];
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)i;
    }
    for (size_t len = 0; len < sizeof expected / sizeof expected[0]; len++) {
        assert_true(hash_siphash13(key, bytes, len) == expected[len]);
    }
    /* The key of the published vectors is 0 … 15. */
    assert_true(hash_siphash13(bytes, NULL, 0) == 0xabac0158050fc4dc);
}

static void the_hash_depends_on_the_key_of_the_process_p12(void **state)
{
    (void)state;
    hash_seed();
    uint64_t first = hash_str(STR("news"));
    assert_true(hash_str(STR("news")) == first);
    hash_seed();
    assert_true(hash_str(STR("news")) != first);
}

struct entry {
    UT_hash_handle hh;
    unsigned key;
};

static void a_table_without_memory_says_so_and_stays_whole(void **state)
{
    (void)state;
    enum { ENTRIES = 2000 };
    static struct entry entries[ENTRIES];
    struct entry *table = NULL;
    unsigned refused = 0;
    for (unsigned i = 0; i < ENTRIES; i++) {
        entries[i].key = i;
        fail_alloc_at(0);
        HASH_ADD(hh, table, key, sizeof entries[i].key, &entries[i]);
        bool failed = fail_alloc_stop();
        assert_int_equal(table_added(&entries[i], hh), !failed);
        if (failed) {
            refused++;
            HASH_ADD(hh, table, key, sizeof entries[i].key, &entries[i]);
            assert_true(table_added(&entries[i], hh));
        }
    }
    assert_true(refused > 0);
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct entry *found = NULL;
        HASH_FIND(hh, table, &i, sizeof i, found);
        assert_ptr_equal(found, &entries[i]);
    }
    HASH_CLEAR(hh, table);
}

/* random and clock */

static void identifiers_have_their_form_and_differ_p12(void **state)
{
    (void)state;
    char a[UUID_TEXT_LEN + 1] = "", b[UUID_TEXT_LEN + 1] = "";
    random_uuid(a);
    random_uuid(b);
    assert_string_not_equal(a, b);
    for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        assert_true(is_dash ? a[i] == '-' : strchr("0123456789abcdef", a[i]) != NULL);
    }
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    char epoch[EPOCH_TEXT_LEN], other[EPOCH_TEXT_LEN];
    random_epoch(epoch);
    random_epoch(other);
    assert_memory_not_equal(epoch, other, EPOCH_TEXT_LEN);
    for (size_t i = 0; i < EPOCH_TEXT_LEN; i++) {
        assert_true((epoch[i] >= 'a' && epoch[i] <= 'z') || (epoch[i] >= 'A' && epoch[i] <= 'Z'));
    }
    for (unsigned i = 0; i < 200; i++) {
        assert_true(random_below(3) < 3);
    }
    assert_int_equal(random_below(1), 0);
}

static void a_frozen_clock_moves_only_when_the_test_moves_it(void **state)
{
    (void)state;
    clock_set_for_test(1000, 5000);
    assert_int_equal(clock_monotonic_ms(), 1000);
    assert_int_equal(clock_wall_ms(), 5000);
    clock_advance_for_test(7);
    assert_int_equal(clock_monotonic_ns(), 1007000000);
    assert_int_equal(clock_wall_ms(), 5007);
    clock_set_for_test(0, 0);
    assert_true(clock_wall_ms() > 1500000000000);
    uint64_t before = clock_monotonic_ns();
    assert_true(clock_monotonic_ns() >= before);
}

/* log */

static int log_pipe[2];

static void log_into_pipe(enum log_level lowest, enum log_format format)
{
    assert_int_equal(pipe(log_pipe), 0);
    log_open(log_pipe[1], lowest, format);
    clock_set_for_test(1000, 1700000000123);
}

/* What was logged; the log goes back to stdout. */
static const char *logged(void)
{
    static char text[32768];
    close(log_pipe[1]);
    size_t len = 0;
    for (ssize_t got; (got = read(log_pipe[0], text + len, sizeof text - 1 - len)) > 0;) {
        len += (size_t)got;
    }
    close(log_pipe[0]);
    text[len] = '\0';
    log_open(1, LOG_INFO, LOG_FORMAT_TEXT);
    clock_set_for_test(0, 0);
    return text;
}

static void an_event_is_one_line_of_fields(void **state)
{
    (void)state;
    log_into_pipe(LOG_INFO, LOG_FORMAT_TEXT);
    log_info("session_closed", {"session", log_u64(7)}, {"code", log_i64(-1)}, {"clean", log_bool(true)},
             {"channel", log_cstr("news:1")});
    log_info("started");
    log_debug("not_written");
    assert_string_equal(logged(), "2023-11-14T22:13:20.123Z info session_closed session=7 code=-1 clean=true "
                                  "channel=news:1\n2023-11-14T22:13:20.123Z info started\n");
}

static void what_a_peer_sent_is_escaped_and_cut_p08(void **state)
{
    (void)state;
    log_into_pipe(LOG_INFO, LOG_FORMAT_TEXT);
    log_info("refused", {"name", log_text(str_make("a\r\nlevel=fatal \x1b[31m\"\\\xff\0", 24))});
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    log_info("cut", {"name", log_text(str_make(long_text, sizeof long_text))});
    const char *text = logged();
    assert_non_null(
        strstr(text, "name=\"a\\u000d\\u000alevel=fatal \\u001b[31m\\u0022\\u005c\\u00ff\\u0000\"\n"));
    const char *cut = strstr(text, "cut name=\"");
    assert_non_null(cut);
    assert_int_equal(strlen(cut), strlen("cut name=\"") + 256 + strlen("...\"\n"));
}

static void json_lines_are_json_p08(void **state)
{
    (void)state;
    log_into_pipe(LOG_INFO, LOG_FORMAT_JSON);
    log_info("refused", {"name", log_cstr("a\"b\n")}, {"count", log_u64(2)}, {"ok", log_bool(false)});
    assert_string_equal(logged(),
                        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"event\":\"refused\","
                        "\"name\":\"a\\u0022b\\u000a\",\"count\":2,\"ok\":false}\n");
}

static void a_line_never_outgrows_its_bound(void **state)
{
    (void)state;
    log_into_pipe(LOG_INFO, LOG_FORMAT_TEXT);
    struct log_field fields[64];
    char zeros[256] = {0}; /* six bytes each when escaped */
    for (size_t i = 0; i < 64; i++) {
        fields[i] = (struct log_field){.key = "k", .value = log_text(str_make(zeros, sizeof zeros))};
    }
    log_event(LOG_INFO, "long", fields, 64);
    const char *text = logged();
    assert_true(strlen(text) <= 4096);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void warnings_are_limited_and_say_how_many_were_held_back(void **state)
{
    (void)state;
    log_into_pipe(LOG_INFO, LOG_FORMAT_TEXT);
    for (unsigned i = 0; i < 15; i++) {
        log_warn("disk_full");
    }
    clock_advance_for_test(1000);
    log_warn("disk_full");
    const char *text = logged();
    unsigned lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, 11);
    assert_non_null(strstr(text, "disk_full suppressed=5\n"));
}

static void level_names_are_those_of_the_configuration(void **state)
{
    (void)state;
    enum log_level level = LOG_ERROR;
    assert_true(log_level_from_text(STR("none"), &level));
    assert_int_equal(level, LOG_NONE);
    assert_true(log_level_from_text(STR("trace"), &level));
    assert_int_equal(level, LOG_TRACE);
    assert_false(log_level_from_text(STR("INFO"), &level));
    assert_int_equal(level, LOG_TRACE);
}

/* status */

static void every_status_has_a_text_and_only_errors_have_codes(void **state)
{
    (void)state;
    assert_int_equal(status_code(STATUS_OK), 0);
    assert_int_equal(status_code(STATUS_UNRECOVERABLE_POSITION), 112);
    assert_int_equal(status_code(STATUS_BUSY), 100);
    assert_true(status_is_temporary(STATUS_BUSY));
    assert_false(status_is_temporary(STATUS_PERMISSION_DENIED));
    for (int i = 0; i < STATUS_COUNT; i++) {
        assert_true(status_message((enum status)i).len > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_by_content_and_nothing_equals_nothing),
        cmocka_unit_test(slices_are_searched_cut_and_trimmed),
        cmocka_unit_test(splitting_yields_every_part_also_empty_ones),
        cmocka_unit_test(numbers_are_plain_decimal_and_bounded),
        cmocka_unit_test(globs_match_runs_and_single_bytes),
        cmocka_unit_test(a_buf_collects_text_and_numbers),
        cmocka_unit_test(json_strings_are_escaped_as_rfc_8259_demands),
        cmocka_unit_test(a_buf_that_could_not_grow_says_so_at_the_end),
        cmocka_unit_test(lists_keep_order_and_forgive_a_second_removal),
        cmocka_unit_test(a_slab_hands_out_zeroed_objects_and_counts_them),
        cmocka_unit_test(the_heap_gives_what_is_due_first_whatever_was_moved_or_removed),
        cmocka_unit_test(a_mailbox_keeps_order_and_refuses_at_its_bound),
        cmocka_unit_test(siphash_1_3_gives_the_known_values_p12),
        cmocka_unit_test(the_hash_depends_on_the_key_of_the_process_p12),
        cmocka_unit_test(a_table_without_memory_says_so_and_stays_whole),
        cmocka_unit_test(identifiers_have_their_form_and_differ_p12),
        cmocka_unit_test(a_frozen_clock_moves_only_when_the_test_moves_it),
        cmocka_unit_test(an_event_is_one_line_of_fields),
        cmocka_unit_test(what_a_peer_sent_is_escaped_and_cut_p08),
        cmocka_unit_test(json_lines_are_json_p08),
        cmocka_unit_test(a_line_never_outgrows_its_bound),
        cmocka_unit_test(warnings_are_limited_and_say_how_many_were_held_back),
        cmocka_unit_test(level_names_are_those_of_the_configuration),
        cmocka_unit_test(every_status_has_a_text_and_only_errors_have_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

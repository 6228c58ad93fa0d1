#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/config_internal.h"

#include <stdio.h>

static void zero_never_means_unlimited(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct option_row *row = &config_rows[i];
        bool is_number = row->type == VALUE_uint || row->type == VALUE_ms || row->type == VALUE_bytes ||
                         row->type == VALUE_unix_time;
        if (is_number && row->min == 0 && strstr(row->meaning, "0 = ") == NULL) {
            fail_msg("%s accepts 0 and does not say what that means", row->path);
        }
        if (is_number && strstr(row->path, "limit") != NULL && row->type != VALUE_bytes) {
            assert_true(row->min > 0);
        }
    }
}

static void every_environment_name_belongs_to_one_option(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        struct buf mine = {0};
        environment_name(&mine, str_from_cstr(config_rows[i].path));
        for (size_t j = 0; j < CONFIG_OPTION_COUNT; j++) {
            struct buf other = {0};
            environment_name(&other, str_from_cstr(config_rows[j].path));
            assert_int_equal(str_equal(buf_str(&mine), buf_str(&other)), i == j);
            buf_append_lit(&other, "_FILE");
            assert_false(option_is_text(&config_rows[j]) && str_equal(buf_str(&mine), buf_str(&other)));
            buf_release(&other);
        }
        buf_release(&mine);
    }
}

static void no_option_of_ours_is_called_unsupported(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        assert_false(config_is_unsupported(str_from_cstr(config_rows[i].path)));
    }
    for (size_t i = 0; i < CHANNEL_OPTION_COUNT; i++) {
        assert_false(channel_option_is_unsupported(str_from_cstr(channel_option_rows[i].path)));
    }
}

/* Numbers at their bounds, by looping over both tables */

static void expect_number(const struct option_row *row, void *base, uint64_t value, bool is_accepted)
{
    char text[32];
    struct buf why = {0};
    (void)snprintf(text, sizeof text, "%llu%s", (unsigned long long)value, row->type == VALUE_ms ? "ms" : "");
    enum status status = option_set_text(row, base, str_from_cstr(text), &why);
    if ((status == STATUS_OK) != is_accepted) {
        fail_msg("%s: %s gave %d", row->path, text, (int)status);
    }
    if (is_accepted) {
        uint64_t stored = row->type == VALUE_uint ? *(uint32_t *)(void *)((char *)base + row->offset)
                                                  : *(uint64_t *)(void *)((char *)base + row->offset);
        assert_int_equal(stored, value);
    } else {
        struct buf range = {0};
        option_print_range(row, &range);
        buf_append_char(&range, '\0');
        buf_append_char(&why, '\0');
        assert_non_null(strstr(why.at, text));
        assert_non_null(strstr(why.at, range.at));
        buf_release(&range);
    }
    buf_release(&why);
}

static void expect_bounds(const struct option_row *row, void *base)
{
    if (row->type != VALUE_uint && row->type != VALUE_ms && row->type != VALUE_bytes &&
        row->type != VALUE_unix_time) {
        return;
    }
    assert_true(row->min < row->max);
    if (row->min > 0) {
        expect_number(row, base, row->min - 1, false);
    }
    expect_number(row, base, row->min, true);
    expect_number(row, base, row->max - 1, true);
    expect_number(row, base, row->max, true);
    expect_number(row, base, row->max + 1, false);
    assert_int_equal(option_set_text(row, base, STR("-1"), NULL), STATUS_BAD_REQUEST);
    assert_int_equal(option_set_text(row, base, STR(""), NULL), STATUS_BAD_REQUEST);
    assert_int_equal(option_set_text(row, base, STR("1e3"), NULL), STATUS_BAD_REQUEST);
    assert_int_equal(option_set_text(row, base, STR("18446744073709551616"), NULL), STATUS_BAD_REQUEST);
    assert_int_equal(option_set_text(row, base, STR("99999999999999999999GiB"), NULL), STATUS_BAD_REQUEST);
}

static void P11_every_number_is_accepted_up_to_its_bounds_and_not_beyond(void **state)
{
    static struct config config;
    static struct channel_options options;
    (void)state;
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        expect_bounds(&config_rows[i], &config);
    }
    for (size_t i = 0; i < CHANNEL_OPTION_COUNT; i++) {
        expect_bounds(&channel_option_rows[i], &options);
    }
}

static void a_refused_value_leaves_the_option_as_it_was(void **state)
{
    (void)state;
    struct channel_options options = {.history_size = 7};
    const struct option_row *row = channel_option_row_find(STR("history_size"));
    assert_int_equal(option_set_text(row, &options, STR("1000001"), NULL), STATUS_BAD_REQUEST);
    assert_int_equal(options.history_size, 7);
}

/* Notations */

static void expect_duration(const char *text, uint64_t ms, const char *printed)
{
    uint64_t value = 0;
    struct buf out = {0};
    assert_true(duration_from_text(str_from_cstr(text), &value));
    assert_int_equal(value, ms);
    duration_print(value, &out);
    assert_true(str_is(buf_str(&out), printed));
    buf_release(&out);
}

static void durations_are_written_with_units(void **state)
{
    (void)state;
    expect_duration("25s", 25000, "25s");
    expect_duration("1h30m", 5400000, "1h30m");
    expect_duration("500ms", 500, "500ms");
    expect_duration("1.5s", 1500, "1s500ms");
    expect_duration("0.001s", 1, "1ms");
    expect_duration("90s", 90000, "1m30s");
    expect_duration("2d", 172800000, "48h");
    expect_duration("720h", 2592000000, "720h");
    expect_duration("0", 0, "0s");
    expect_duration("0s", 0, "0s");
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "25",
                                      "s",
                                      "25 s",
                                      "-1s",
                                      "1.s",
                                      ".5s",
                                      "1s2",
                                      "1x",
                                      "1us",
                                      "1S",
                                      "0.0001s",
                                      "1.2.3s",
                                      "+1s",
                                      "1s ",
                                      " 1s",
                                      "1e3s",
                                      "9999999999999999s",
                                      "999999999999999d",
                                      "1.0000000s"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t value = 77;
        if (duration_from_text(str_from_cstr(bad[i]), &value)) {
            fail_msg("'%s' was taken for %llu ms", bad[i], (unsigned long long)value);
        }
        assert_int_equal(value, 77);
    }
}

static void sizes_are_numbers_or_have_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},         {"1", 1},          {"65536", 65536},
                {"64KiB", 65536}, {"1MiB", 1048576}, {"2GiB", 2147483648},
                {"7B", 7}};
    static const char *const bad[] = {"",     "KiB", "1.5MiB", "64kib",         "64K",
                                      "64KB", "-1",  "64 KiB", "17179869184GiB"};
    uint64_t bytes = 0;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(bytes_from_text(str_from_cstr(good[i].text), &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(bytes_from_text(str_from_cstr(bad[i]), &bytes));
    }
}

static void an_expression_that_could_take_unbounded_time_or_memory_is_refused(void **state)
{
    struct buf why = {0};
    regex_t *regex = regex_from_text(STR("^[a-z]{3}-[0-9]+$"), &why);
    (void)state;
    assert_non_null(regex);
    assert_string_equal(regex_pattern(regex), "^[a-z]{3}-[0-9]+$");
    regex_free(regex);
    regex_free(NULL);
    assert_null(regex_from_text(STR("(a)\\1"), &why));
    assert_null(regex_from_text(STR("((a{200}){200}){200}"), &why));
    assert_null(regex_from_text(STR("((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+"), &why));
    assert_null(regex_from_text(STR("("), &why));
    buf_release(&why);
}

static void names_are_near_when_few_edits_apart(void **state)
{
    (void)state;
    assert_int_equal(edit_distance(STR("presence"), STR("presence"), 3), 0);
    assert_int_equal(edit_distance(STR("presense"), STR("presence"), 3), 1);
    assert_int_equal(edit_distance(STR("persence"), STR("presence"), 3), 1);
    assert_int_equal(edit_distance(STR("presenc"), STR("presence"), 3), 1);
    assert_int_equal(edit_distance(STR(""), STR("abc"), 3), 3);
    assert_int_equal(edit_distance(STR("xyz"), STR("abc"), 2), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_never_means_unlimited),
        cmocka_unit_test(every_environment_name_belongs_to_one_option),
        cmocka_unit_test(no_option_of_ours_is_called_unsupported),
        cmocka_unit_test(P11_every_number_is_accepted_up_to_its_bounds_and_not_beyond),
        cmocka_unit_test(a_refused_value_leaves_the_option_as_it_was),
        cmocka_unit_test(durations_are_written_with_units),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(sizes_are_numbers_or_have_a_unit),
        cmocka_unit_test(an_expression_that_could_take_unbounded_time_or_memory_is_refused),
        cmocka_unit_test(names_are_near_when_few_edits_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

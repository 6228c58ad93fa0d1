#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/survey.h"

#include <stdio.h>
#include <stdlib.h>

static void add(struct survey_list *list, const char *pattern, const char *name, uint32_t clients)
{
    assert_true(survey_list_add(list, str_from_cstr(pattern), str_from_cstr(name), clients));
}

/* "name=clients name=clients", with '…' when it was cut. */
static void expect_channels(struct survey_list *const *lists, size_t count, const char *expected)
{
    struct survey_channels channels;
    struct buf out = {0};
    assert_int_equal(survey_merge(lists, count, &channels), STATUS_OK);
    for (size_t i = 0; i < channels.count; i++) {
        buf_printf(&out, "%s%.*s=%u", i > 0 ? " " : "", STR_ARG(channels.channels[i].name),
                   channels.channels[i].client_count);
    }
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, expected);
    assert_false(channels.is_cut);
    buf_release(&out);
    free(channels.channels);
}

static void channels_of_all_workers_come_out_by_name(void **state)
{
    (void)state;
    struct survey_list one = {0}, other = {0};
    add(&one, "", "news", 3);
    add(&one, "", "chat:2", 1);
    add(&other, "", "chat:10", 7);
    add(&other, "", "chat", 2);
    expect_channels((struct survey_list *const[]){&one, NULL, &other}, 3, "chat=2 chat:10=7 chat:2=1 news=3");
    survey_list_release(&one);
    survey_list_release(&other);
}

static void a_pattern_picks_names_by_star_and_question_mark(void **state)
{
    (void)state;
    struct survey_list list = {0};
    const char *names[] = {"chat:1", "chat:22", "news", "chat:", "xchat:1"};
    for (size_t i = 0; i < 5; i++) {
        add(&list, "chat:?*", names[i], 1);
    }
    expect_channels((struct survey_list *const[]){&list}, 1, "chat:1=1 chat:22=1");
    survey_list_release(&list);
}

static void without_channels_the_answer_is_empty(void **state)
{
    (void)state;
    struct survey_list list = {0};
    add(&list, "other", "news", 1);
    expect_channels((struct survey_list *const[]){&list, NULL}, 2, "");
    survey_list_release(&list);
}

static void fill(struct survey_list *list, unsigned first, unsigned count)
{
    char name[16];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "c%07u", first + i);
        add(list, "", name, 1);
    }
}

static void more_channels_than_fit_are_cut_and_it_is_said(void **state)
{
    (void)state;
    struct survey_list one = {0}, other = {0};
    struct survey_list *const lists[] = {&one, &other};
    struct survey_channels channels;
    fill(&one, 1, SURVEY_CHANNELS_MAX - 1);
    fill(&other, 0, 1);
    assert_int_equal(survey_merge(lists, 2, &channels), STATUS_OK);
    assert_int_equal(channels.count, SURVEY_CHANNELS_MAX);
    assert_false(channels.is_cut);
    assert_true(str_is(channels.channels[0].name, "c0000000"));
    free(channels.channels);

    fill(&one, SURVEY_CHANNELS_MAX, 1);
    assert_int_equal(survey_merge(lists, 2, &channels), STATUS_OK);
    assert_int_equal(channels.count, SURVEY_CHANNELS_MAX);
    assert_true(channels.is_cut);
    free(channels.channels);

    assert_false(one.is_cut);
    assert_false(survey_list_add(&one, STR(""), STR("one more"), 1));
    assert_true(one.is_cut);
    survey_list_release(&one);
    survey_list_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_of_all_workers_come_out_by_name),
        cmocka_unit_test(a_pattern_picks_names_by_star_and_question_mark),
        cmocka_unit_test(without_channels_the_answer_is_empty),
        cmocka_unit_test(more_channels_than_fit_are_cut_and_it_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

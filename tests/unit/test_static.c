/* test_static.c - lookup and choice of form, over a table of the test's own: what web/ holds does not matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/static.h"

/* These take the place of the generated ones in libstarling.a. */
const struct web_asset web_assets[] = {
    {
        .path = {"/", 1},
        .content_type = {"text/html", 9},
        .etag = {"\"home\"", 6},
        .etag_gzip = {"\"home-z\"", 8},
        .identity = {"<home>", 6},
        .gzip = {"zip", 3},
    },
    {
        .path = {"/assets/a-1.js", 14},
        .content_type = {"text/javascript", 15},
        .etag = {"\"a\"", 3},
        .is_immutable = true,
        .identity = {"1", 1},
    },
    {
        .path = {"/chat", 5},
        .content_type = {"text/html", 9},
        .etag = {"\"chat\"", 6},
        .etag_gzip = {"\"chat-z\"", 8},
        .identity = {"<chat>", 6},
        .gzip = {"zap", 3},
    },
};
const size_t web_asset_count = 3;

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct str ABSENT = {0};

static void every_file_of_the_table_is_found_by_its_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < web_asset_count; i++) {
        assert_ptr_equal(static_find(web_assets[i].path), &web_assets[i]);
    }
}

static void H40_only_the_exact_path_is_found(void **state)
{
    (void)state;
    static const char *const strangers[] = {
        "",
        "//",
        "/.",
        "/..",
        "/..%2f",
        "/chat/",
        "/cha",
        "/chatt",
        "/Chat",
        "/chat.html",
        "/index.html",
        "chat",
        "/assets",
        "/assets/",
        "/chat;x",
        "/chat?x",
        "/chat#x",
        "/./chat",
        "/%63hat",
        "/assets\\a-1.js",
        "/etc/passwd",
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/%252e%252e/etc/passwd",
        "/assets/../chat",
        "/assets/a-1.js/",
        "/\xc0\xae\xc0\xae/chat",
        "/.git/config",
    };
    for (size_t i = 0; i < COUNT(strangers); i++) {
        assert_null(static_find(str_from_cstr(strangers[i])));
    }
    assert_null(static_find(ABSENT));
}

static void H40_a_nul_byte_in_a_path_does_not_end_it(void **state)
{
    (void)state;
    assert_null(static_find(STR("/chat\0")));
    assert_null(static_find(STR("/chat\0.png")));
}

static void gzip_is_sent_to_those_who_accept_it(void **state)
{
    (void)state;
    static const char *const accepting[] = {
        "gzip",         "GZIP", "x-gzip",          "br, gzip",     "deflate,gzip;q=0.5",
        "gzip ; q = 1", "*",    "br;q=1, *;q=0.1", "gzip;q=0.001", "*;q=0, gzip",
        "gzip;level=0",
    };
    for (size_t i = 0; i < COUNT(accepting); i++) {
        struct static_answer answer = static_answer_for(&web_assets[0], str_from_cstr(accepting[i]), ABSENT);
        assert_true(answer.is_gzip);
        assert_true(str_is(answer.body, "zip"));
        assert_true(str_is(answer.etag, "\"home-z\""));
    }
}

static void gzip_is_not_sent_to_those_who_do_not(void **state)
{
    (void)state;
    static const char *const refusing[] = {
        "",      "identity",    "br, deflate", "gzip;q=0", "gzip;q=0.000", "gzip; q=0.",
        "*;q=0", "gzip;q=0, *", "gzipped",     ",,;;==,",  ";q=1",
    };
    for (size_t i = 0; i < COUNT(refusing); i++) {
        struct static_answer answer = static_answer_for(&web_assets[0], str_from_cstr(refusing[i]), ABSENT);
        assert_false(answer.is_gzip);
        assert_true(str_is(answer.body, "<home>"));
        assert_true(str_is(answer.etag, "\"home\""));
    }
    assert_false(static_answer_for(&web_assets[0], ABSENT, ABSENT).is_gzip);
}

static void a_file_without_a_gzip_form_is_sent_as_it_is(void **state)
{
    (void)state;
    struct static_answer answer = static_answer_for(&web_assets[1], STR("gzip"), ABSENT);
    assert_false(answer.is_gzip);
    assert_true(str_is(answer.body, "1"));
}

static void a_hashed_name_may_be_kept_for_ever_and_a_page_is_asked_for_again(void **state)
{
    (void)state;
    struct static_answer hashed = static_answer_for(&web_assets[1], ABSENT, ABSENT);
    assert_true(str_is(hashed.cache_control, STATIC_CACHE_IMMUTABLE));
    struct static_answer page = static_answer_for(&web_assets[2], ABSENT, ABSENT);
    assert_true(str_is(page.cache_control, STATIC_CACHE_PAGE));
}

static void a_file_the_client_has_is_not_sent_again(void **state)
{
    (void)state;
    static const char *const known[] = {
        "\"chat\"", "W/\"chat\"", "\"other\", \"chat\"", "\"other\" , W/\"chat\" , \"third\"", "*",
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        struct static_answer answer = static_answer_for(&web_assets[2], ABSENT, str_from_cstr(known[i]));
        assert_true(answer.is_not_modified);
        assert_int_equal(answer.body.len, 0);
    }
}

static void a_tag_of_another_form_or_file_does_not_stop_the_answer(void **state)
{
    (void)state;
    static const char *const others[] = {
        "", "chat", "\"chat", "\"chat-z\"", "\"home\"", "\"chatt\"", "w/\"chat\"", ",", "W/", "**",
    };
    for (size_t i = 0; i < COUNT(others); i++) {
        struct static_answer answer = static_answer_for(&web_assets[2], ABSENT, str_from_cstr(others[i]));
        assert_false(answer.is_not_modified);
        assert_true(str_is(answer.body, "<chat>"));
    }
    assert_false(static_answer_for(&web_assets[2], STR("gzip"), STR("\"chat\"")).is_not_modified);
    assert_true(static_answer_for(&web_assets[2], STR("gzip"), STR("\"chat-z\"")).is_not_modified);
}

static void H41_the_policy_allows_nothing_inline_and_nothing_foreign(void **state)
{
    (void)state;
    const char *policy = STATIC_CONTENT_SECURITY_POLICY;
    assert_null(strstr(policy, "unsafe"));
    assert_null(strstr(policy, "http"));
    assert_non_null(strstr(policy, "default-src 'none'"));
    assert_non_null(strstr(policy, "frame-ancestors 'none'"));
    assert_non_null(strstr(policy, "base-uri 'none'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_of_the_table_is_found_by_its_path),
        cmocka_unit_test(H40_only_the_exact_path_is_found),
        cmocka_unit_test(H40_a_nul_byte_in_a_path_does_not_end_it),
        cmocka_unit_test(gzip_is_sent_to_those_who_accept_it),
        cmocka_unit_test(gzip_is_not_sent_to_those_who_do_not),
        cmocka_unit_test(a_file_without_a_gzip_form_is_sent_as_it_is),
        cmocka_unit_test(a_hashed_name_may_be_kept_for_ever_and_a_page_is_asked_for_again),
        cmocka_unit_test(a_file_the_client_has_is_not_sent_again),
        cmocka_unit_test(a_tag_of_another_form_or_file_does_not_stop_the_answer),
        cmocka_unit_test(H41_the_policy_allows_nothing_inline_and_nothing_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/base/buf.h"
#include "server/http.h"
#include "server/xsrf.h"

#define TIME_S 1300000000ull
#define VECTOR "2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|1300000000"

static bool checks(struct str cookie, struct str given, const char **rule)
{
    *rule = "";
    return xsrf_check(cookie, given, TIME_S, rule);
}

static void the_published_vector_is_read_and_written(void **state)
{
    (void)state;
    static const unsigned char mask[XSRF_MASK_BYTES] = {0xde, 0xad, 0xbe, 0xef};
    struct xsrf_token token;
    char text[XSRF_TEXT_MAX];
    assert_true(xsrf_read(STR(VECTOR), TIME_S, &token));
    for (unsigned i = 0; i < XSRF_TOKEN_BYTES; i++) {
        assert_int_equal(token.bytes[i], i);
    }
    assert_int_equal(token.time_s, TIME_S);
    assert_true(str_is(str_make(text, xsrf_write_masked(&token, mask, text)), VECTOR));
}

static void every_writing_has_a_mask_of_its_own_and_the_same_token(void **state)
{
    (void)state;
    struct xsrf_token token;
    char first[XSRF_TEXT_MAX], second[XSRF_TEXT_MAX];
    const char *rule;
    xsrf_make(&token, TIME_S);
    struct str a = str_make(first, xsrf_write(&token, first));
    struct str b = str_make(second, xsrf_write(&token, second));
    assert_false(str_equal(a, b));
    assert_true(checks(a, b, &rule));
    assert_true(checks(b, a, &rule));
}

static void h43_a_missing_or_empty_token_or_cookie_is_refused(void **state)
{
    (void)state;
    const char *rule;
    assert_true(checks(STR(VECTOR), STR(VECTOR), &rule));
    assert_false(checks(STR(VECTOR), (struct str){0}, &rule));
    assert_string_equal(rule, "the XSRF token is missing");
    assert_false(checks(STR(VECTOR), STR(""), &rule));
    assert_false(checks((struct str){0}, STR(VECTOR), &rule));
    assert_string_equal(rule, "the cookie _xsrf is missing");
    assert_false(checks(STR(""), STR(""), &rule));
}

static void h43_a_foreign_token_is_refused(void **state)
{
    (void)state;
    struct xsrf_token token;
    char text[XSRF_TEXT_MAX];
    const char *rule;
    xsrf_make(&token, TIME_S);
    assert_false(checks(STR(VECTOR), str_make(text, xsrf_write(&token, text)), &rule));
    assert_string_equal(rule, "the XSRF token is not that of the cookie _xsrf");
}

static void h43_every_change_of_the_token_is_refused(void **state)
{
    (void)state;
    const char *rule;
    struct str token_part = str_first(STR(VECTOR), sizeof VECTOR - 1 - 11); /* the time decides nothing */
    for (size_t i = 0; i < token_part.len; i++) {
        for (int c = 0; c < 256; c++) {
            char changed[sizeof VECTOR] = VECTOR;
            changed[i] = (char)c;
            if (changed[i] != VECTOR[i]) {
                assert_false(checks(STR(VECTOR), str_from_cstr(changed), &rule));
            }
        }
    }
}

static void h43_a_stale_token_and_one_from_the_future_are_refused(void **state)
{
    (void)state;
    struct xsrf_token token;
    assert_true(xsrf_read(STR(VECTOR), TIME_S + XSRF_AGE_S_MAX, &token));
    assert_false(xsrf_read(STR(VECTOR), TIME_S + XSRF_AGE_S_MAX + 1, &token));
    assert_true(xsrf_read(STR(VECTOR), TIME_S - XSRF_AHEAD_S_MAX, &token));
    assert_false(xsrf_read(STR(VECTOR), TIME_S - XSRF_AHEAD_S_MAX - 1, &token));
}

static void other_forms_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "000102030405060708090a0b0c0d0e0f", /* version 1 */
        "1|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|1300000000",
        "2|DEADBEEF|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|1300000000",
        "2|deadbee|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|1300000000",
        "2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0|1300000000",
        "2|deadbeef||1300000000",
        "2|||",
        "2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0",
        "2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|",
        "2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|-1",
        "2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|01300000000",
        "2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|1300000000|",
        "2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|99999999999999999999",
    };
    struct xsrf_token token;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(xsrf_read(str_from_cstr(texts[i]), TIME_S, &token));
    }
}

static void the_token_is_taken_from_the_form_or_one_of_two_headers(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct http_request none = {0};
    struct http_request header = {.header_count = 1, .headers = {{STR("x-xsrftoken"), STR("A")}}};
    struct http_request other = {.header_count = 1, .headers = {{STR("X-Csrftoken"), STR("B")}}};
    assert_null(xsrf_given(&none, STR("a=b"), &scratch).at);
    assert_true(str_is(xsrf_given(&header, STR(""), &scratch), "A"));
    assert_true(str_is(xsrf_given(&other, (struct str){0}, &scratch), "B"));
    assert_true(str_is(xsrf_given(&header, STR("a=b&_xsrf=2%7Cx"), &scratch), "2|x"));
    buf_release(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vector_is_read_and_written),
        cmocka_unit_test(every_writing_has_a_mask_of_its_own_and_the_same_token),
        cmocka_unit_test(h43_a_missing_or_empty_token_or_cookie_is_refused),
        cmocka_unit_test(h43_a_foreign_token_is_refused),
        cmocka_unit_test(h43_every_change_of_the_token_is_refused),
        cmocka_unit_test(h43_a_stale_token_and_one_from_the_future_are_refused),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(the_token_is_taken_from_the_form_or_one_of_two_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/crypto.h"
#include "server/http.h"
#include "server/signed_cookie.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_S (24 * 3600ull)
#define NOW_S 1700000000ull

static struct signed_cookie_key two_keys[] = {{1, {"rotate-me-1", 11}}, {2, {"rotate-me-2", 11}}};
static const struct signed_cookie_keys keys = {.at = two_keys, .count = 2};

/* Secret rotate-me-1, version 1, time 1700000000, name user, value alice. */
static const char alice[] =
    "2|1:1|10:1700000000|4:user|8:YWxpY2U=|4e783ebc51c98e3d3e8be102b8f0d0f9583f70a215cfc0c99528cb08343d3624";

static struct signed_cookie_use use_at(uint64_t now_s)
{
    return (struct signed_cookie_use){
        .keys = &keys, .key_version = 2, .name = STR("user"), .now_s = now_s, .max_age_s = 31 * DAY_S};
}

static bool reads(struct str cookie, uint64_t now_s, struct signed_cookie *out)
{
    struct signed_cookie_use use = use_at(now_s);
    const char *rule = NULL;
    /* A copy of exactly that length: what reads past the end is seen by the sanitizer. */
    char *copy = malloc(cookie.len + 1);
    assert_non_null(copy);
    memcpy(copy, cookie.at, cookie.len);
    char *exact = realloc(copy, cookie.len == 0 ? 1 : cookie.len);
    assert_non_null(exact);
    bool is_good = signed_cookie_read(&use, str_make(exact, cookie.len), out, &rule);
    assert_int_equal(is_good, rule == NULL);
    free(exact);
    return is_good;
}

static void expect_refused(struct str cookie)
{
    static struct signed_cookie out;
    if (reads(cookie, NOW_S, &out)) {
        fail_msg("accepted: %.*s", STR_ARG(cookie));
    }
}

static void expect_rule(const struct signed_cookie_use *use, struct str cookie, const char *part)
{
    static struct signed_cookie out;
    const char *rule = "";
    assert_false(signed_cookie_read(use, cookie, &out, &rule));
    if (strstr(rule, part) == NULL) {
        fail_msg("'%s' does not say '%s'", rule, part);
    }
}

/* A signed cookie out of parts that need not be right. */
static void forge(struct buf *out, const char *unsigned_text)
{
    unsigned char digest[CRYPTO_SHA256_BYTES];
    char hex[2 * CRYPTO_SHA256_BYTES];
    crypto_hmac_sha256(two_keys[0].secret, str_from_cstr(unsigned_text), digest);
    crypto_hex(str_make((const char *)digest, sizeof digest), hex);
    buf_reset(out);
    buf_append_str(out, str_from_cstr(unsigned_text));
    buf_append(out, hex, sizeof hex);
}

static void the_published_vectors_are_read_and_written(void **state)
{
    (void)state;
    static const struct {
        struct signed_cookie_key key;
        struct str value, cookie;
        uint64_t time_s;
    } vectors[] = {
        {{1, {"rotate-me-1", 11}}, {"alice", 5}, {alice, sizeof alice - 1}, 1700000000},
        {{0, {"s3cret-key", 10}},
         {"alice", 5},
         {"2|1:0|10:1300000000|4:user|8:YWxpY2U=|"
          "2da7c1defb0c97b584dc8e7b7c43928aeeca3335638b74310c5ae7118950a396",
          102},
         1300000000},
        {{3, {"s3cret-key-3", 12}},
         {"{\"id\":\"42\"}", 11},
         {"2|1:3|10:1300000000|4:user|16:eyJpZCI6IjQyIn0=|"
          "14de9ad8cc3494ab2cbca259c242f13f453bb71e2d8e6bed95378bd5cc74b640",
          111},
         1300000000},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct signed_cookie_key key = vectors[i].key;
        struct signed_cookie_keys only = {.at = &key, .count = 1};
        struct signed_cookie_use use = {.keys = &only,
                                        .key_version = key.version,
                                        .name = STR("user"),
                                        .now_s = vectors[i].time_s,
                                        .max_age_s = 31 * DAY_S};
        static struct signed_cookie out;
        const char *rule = "";
        struct buf written = {0};
        assert_true(signed_cookie_read(&use, vectors[i].cookie, &out, &rule));
        assert_true(str_equal(signed_cookie_value(&out), vectors[i].value));
        assert_int_equal(out.time_s, vectors[i].time_s);
        assert_int_equal(out.key_version, key.version);
        assert_true(signed_cookie_write(&use, vectors[i].value, &written));
        assert_true(str_equal(buf_str(&written), vectors[i].cookie));
        buf_release(&written);
    }
}

static void a20_every_change_of_one_character_is_refused(void **state)
{
    (void)state;
    static struct signed_cookie out;
    char changed[sizeof alice];
    assert_true(reads(str_from_cstr(alice), NOW_S, &out));
    for (size_t i = 0; i < sizeof alice - 1; i++) {
        memcpy(changed, alice, sizeof alice);
        for (int c = 0; c < 256; c++) {
            changed[i] = (char)c;
            if (changed[i] != alice[i]) {
                expect_refused(str_make(changed, sizeof alice - 1));
            }
        }
    }
}

static void a20_every_cut_and_every_added_character_is_refused(void **state)
{
    (void)state;
    char longer[sizeof alice + 1];
    for (size_t len = 0; len < sizeof alice - 1; len++) {
        expect_refused(str_make(alice, len));
        expect_refused(str_skip(str_from_cstr(alice), sizeof alice - 1 - len));
    }
    for (size_t i = 0; i < sizeof alice; i++) {
        memcpy(longer, alice, i);
        longer[i] = '0';
        memcpy(longer + i + 1, alice + i, sizeof alice - i);
        expect_refused(str_make(longer, sizeof alice));
    }
}

static void a20_lengths_have_one_spelling_and_are_believed_only_where_they_fit(void **state)
{
    (void)state;
    /* Signed as they are, so that only the form can refuse them. */
    static const char *const forms[] = {
        "2|01:1|10:1700000000|4:user|8:YWxpY2U=|",
        "2|+1:1|10:1700000000|4:user|8:YWxpY2U=|",
        "2| 1:1|10:1700000000|4:user|8:YWxpY2U=|",
        "2|-1:1|10:1700000000|4:user|8:YWxpY2U=|",
        "2|1:1|9:1700000000|4:user|8:YWxpY2U=|",
        "2|1:1|11:1700000000|4:user|8:YWxpY2U=|",
        "2|1:1|10:1700000000|3:user|8:YWxpY2U=|",
        "2|1:1|10:1700000000|5:user|8:YWxpY2U=|",
        "2|1:1|10:1700000000|4:user|7:YWxpY2U=|",
        "2|1:1|10:1700000000|4:user|9:YWxpY2U=|",
        "2|1:1|10:1700000000|4:user|08:YWxpY2U=|",
        "2|1:1|10:1700000000|4:user|0x8:YWxpY2U=|",
        "2|1:1|10:1700000000|4:user|:YWxpY2U=|",
        "2|1:1|10:1700000000|4:user|YWxpY2U=|",
        "2|1:1|10:1700000000|4:user|",
        "2|1:1|10:1700000000|8:YWxpY2U=|",
        "2|1:1|4:user|10:1700000000|8:YWxpY2U=|",
        "2|10:1700000000|4:user|8:YWxpY2U=|",
        "2|2:01|10:1700000000|4:user|8:YWxpY2U=|",
        "2|1:1|11:01700000000|4:user|8:YWxpY2U=|",
        "2|1:1|11:+1700000000|4:user|8:YWxpY2U=|",
        "2|1:1|11:-1700000000|4:user|8:YWxpY2U=|",
        "2|1:1|3:1e9|4:user|8:YWxpY2U=|",
        "2|1:1|0:|4:user|8:YWxpY2U=|",
        "2|0:|10:1700000000|4:user|8:YWxpY2U=|",
        "2|1:1|10:1700000000|4:user|7:YWxpY2U|",
        "2|1:1|10:1700000000|4:user|8:YWxpY2V=|",
        "2|1:1|10:1700000000|4:user|8:YWxp Y2U|",
        "2|1:1|10:1700000000|4:user|8:YWxpY_U=|",
        "2|1:1|10:1700000000|4:user|8:YWxpY2U=|1:x|",
        "2|1:1|10:1700000000|18446744073709551615:user|8:YWxpY2U=|",
        "2|1:1|10:1700000000|18446744073709551620:user|8:YWxpY2U=|",
        "2|1:1|10:1700000000|2147483648:user|8:YWxpY2U=|",
        "2|1:1|10:1700000000|4294967300:user|8:YWxpY2U=|",
        "2|10:4294967297|10:1700000000|4:user|8:YWxpY2U=|",
        "2|1:1|20:99999999999999999999|4:user|8:YWxpY2U=|",
    };
    static struct signed_cookie out;
    struct buf cookie = {0};
    forge(&cookie, "2|1:1|10:1700000000|4:user|8:YWxpY2U=|");
    assert_true(reads(buf_str(&cookie), NOW_S, &out)); /* the forger's own proof */
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        forge(&cookie, forms[i]);
        expect_refused(buf_str(&cookie));
    }
    buf_release(&cookie);
}

static void a20_runs_of_bars_colons_and_digits_are_refused(void **state)
{
    (void)state;
    static char text[SIGNED_COOKIE_BYTES_MAX + 1];
    static const char fill[] = "|:0921";
    for (size_t i = 0; i < sizeof fill - 1; i++) {
        memset(text, fill[i], sizeof text);
        expect_refused(str_make(text, sizeof text - 1));
        memcpy(text, "2|", 2);
        expect_refused(str_make(text, sizeof text - 1));
        expect_refused(str_make(text, sizeof text));
    }
    expect_refused(STR(""));
}

static void a21_a_cookie_of_another_name_has_no_value(void **state)
{
    (void)state;
    static const char *const names[] = {"use", "users", "User", "", "user|8:YWxpY2U="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct signed_cookie_use use = use_at(NOW_S);
        use.name = str_from_cstr(names[i]);
        expect_rule(&use, str_from_cstr(alice), "name");
    }
}

static void a22_a_key_version_that_is_not_configured_has_no_value(void **state)
{
    (void)state;
    struct signed_cookie_key later = {2, STR("rotate-me-1")};
    struct signed_cookie_keys only = {.at = &later, .count = 1};
    struct signed_cookie_use use = use_at(NOW_S);
    use.keys = &only;
    expect_rule(&use, str_from_cstr(alice), "key version");
    use.keys = &(struct signed_cookie_keys){0};
    expect_rule(&use, str_from_cstr(alice), "key version");
}

static void a22_an_older_key_still_verifies_and_the_current_one_signs_anew(void **state)
{
    (void)state;
    static struct signed_cookie out;
    struct signed_cookie_use use = use_at(NOW_S);
    struct buf renewed = {0};
    assert_true(reads(str_from_cstr(alice), NOW_S, &out));
    assert_int_equal(out.key_version, 1);
    assert_int_not_equal(out.key_version, use.key_version);
    assert_true(signed_cookie_write(&use, signed_cookie_value(&out), &renewed));
    assert_true(str_starts_with(buf_str(&renewed), STR("2|1:2|10:1700000000|4:user|8:YWxpY2U=|")));
    assert_true(reads(buf_str(&renewed), NOW_S, &out));
    assert_int_equal(out.key_version, 2);
    buf_release(&renewed);
}

static void a22_the_secret_of_one_version_does_not_sign_for_another(void **state)
{
    (void)state;
    struct buf cookie = {0};
    forge(&cookie, "2|1:2|10:1700000000|4:user|8:YWxpY2U=|"); /* key 1 claims to be key 2 */
    expect_refused(buf_str(&cookie));
    buf_release(&cookie);
}

static void a23_a_cookie_is_read_up_to_its_greatest_age(void **state)
{
    (void)state;
    static struct signed_cookie out;
    assert_true(reads(str_from_cstr(alice), NOW_S + 31 * DAY_S - 1, &out));
    assert_true(reads(str_from_cstr(alice), NOW_S + 31 * DAY_S, &out));
    assert_false(reads(str_from_cstr(alice), NOW_S + 31 * DAY_S + 1, &out));
    struct signed_cookie_use use = use_at(NOW_S + 31 * DAY_S + 1);
    expect_rule(&use, str_from_cstr(alice), "too old");
}

static void a24_a_cookie_from_more_than_a_day_ahead_is_refused(void **state)
{
    (void)state;
    static struct signed_cookie out;
    assert_true(reads(str_from_cstr(alice), NOW_S - DAY_S + 1, &out));
    assert_true(reads(str_from_cstr(alice), NOW_S - DAY_S, &out));
    assert_false(reads(str_from_cstr(alice), NOW_S - DAY_S - 1, &out));
    struct signed_cookie_use use = use_at(NOW_S - DAY_S - 1);
    expect_rule(&use, str_from_cstr(alice), "future");
}

static void a25_version_1_and_other_versions_are_refused(void **state)
{
    (void)state;
    static const char *const cookies[] = {
        "YWxpY2U=|1700000000|5c1b6bfa1f4e1c1d4c2b1d9d3e6d3d1a4f1a2b3c",
        "1|YWxpY2U=|1700000000|5c1b6bfa1f4e1c1d4c2b1d9d3e6d3d1a4f1a2b3c",
        "3|1:1|10:1700000000|4:user|8:YWxpY2U=|"
        "4e783ebc51c98e3d3e8be102b8f0d0f9583f70a215cfc0c99528cb08343d3624",
        "02|1:1|10:1700000000|4:user|8:YWxpY2U=|"
        "4e783ebc51c98e3d3e8be102b8f0d0f9583f70a215cfc0c99528cb08343d3624",
        "2",
        "2|",
    };
    for (size_t i = 0; i < sizeof cookies / sizeof cookies[0]; i++) {
        expect_refused(str_from_cstr(cookies[i]));
    }
}

static void a26_a_signature_has_64_lower_case_digits(void **state)
{
    (void)state;
    char text[sizeof alice + 2];
    size_t at = sizeof alice - 1 - 64;
    memcpy(text, alice, sizeof alice);
    for (size_t i = at; i < sizeof alice - 1; i++) {
        text[i] = text[i] >= 'a' && text[i] <= 'f' ? (char)(text[i] - 'a' + 'A') : text[i];
    }
    expect_refused(str_make(text, sizeof alice - 1));  /* in capitals */
    expect_refused(str_make(alice, sizeof alice - 2)); /* 63 digits */
    (void)snprintf(text, sizeof text, "%s4", alice);   /* 65 digits */
    expect_refused(str_from_cstr(text));
    (void)snprintf(text, sizeof text, "%s ", alice); /* a space behind */
    expect_refused(str_from_cstr(text));
    (void)snprintf(text, sizeof text, "%.*s %s", (int)at, alice, alice + at); /* and before */
    expect_refused(str_from_cstr(text));
}

static void a27_the_first_of_two_cookies_wins_and_quotes_are_taken_off(void **state)
{
    (void)state;
    static struct signed_cookie out;
    static const char *const headers[] = {"user=%s; user=evil", "a=b; user=\"%s\"", "user = %s ;x=y"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        char line[256];
        struct http_request request = {.header_count = 1};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(line, sizeof line, headers[i], alice);
#pragma GCC diagnostic pop
        request.headers[0] = (struct http_header){.name = STR("Cookie"), .value = str_from_cstr(line)};
        assert_true(reads(http_cookie(&request, "user"), NOW_S, &out));
        assert_true(str_is(signed_cookie_value(&out), "alice"));
    }
    struct http_request twice = {.header_count = 1};
    char line[256];
    (void)snprintf(line, sizeof line, "user=evil; user=%s", alice);
    twice.headers[0] = (struct http_header){.name = STR("Cookie"), .value = str_from_cstr(line)};
    expect_refused(http_cookie(&twice, "user"));
}

static void any_bytes_come_back_and_the_longest_value_is_bounded(void **state)
{
    (void)state;
    static char value[SIGNED_COOKIE_VALUE_BYTES_MAX + 1];
    static struct signed_cookie out;
    struct signed_cookie_use use = use_at(NOW_S);
    size_t longest = 0;
    for (size_t i = 0; i < sizeof value; i++) {
        value[i] = (char)(i * 7);
    }
    for (size_t len = 0; len <= sizeof value; len++) {
        struct buf cookie = {0};
        if (signed_cookie_write(&use, str_make(value, len), &cookie)) {
            assert_true(cookie.len <= SIGNED_COOKIE_BYTES_MAX);
            assert_true(reads(buf_str(&cookie), NOW_S, &out));
            assert_true(str_equal(signed_cookie_value(&out), str_make(value, len)));
            assert_int_equal(len == 0 ? 0 : longest + 1, len); /* no length in between is refused */
            longest = len;
        } else {
            assert_int_equal(cookie.len, 0);
        }
        buf_release(&cookie);
    }
    assert_true(longest > 2900 && longest < SIGNED_COOKIE_VALUE_BYTES_MAX);
}

static void without_the_key_nothing_is_signed(void **state)
{
    (void)state;
    struct signed_cookie_use use = use_at(NOW_S);
    struct buf cookie = {0};
    use.key_version = 3;
    assert_false(signed_cookie_write(&use, STR("alice"), &cookie));
    assert_int_equal(cookie.len, 0);
    buf_release(&cookie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_are_read_and_written),
        cmocka_unit_test(a20_every_change_of_one_character_is_refused),
        cmocka_unit_test(a20_every_cut_and_every_added_character_is_refused),
        cmocka_unit_test(a20_lengths_have_one_spelling_and_are_believed_only_where_they_fit),
        cmocka_unit_test(a20_runs_of_bars_colons_and_digits_are_refused),
        cmocka_unit_test(a21_a_cookie_of_another_name_has_no_value),
        cmocka_unit_test(a22_a_key_version_that_is_not_configured_has_no_value),
        cmocka_unit_test(a22_an_older_key_still_verifies_and_the_current_one_signs_anew),
        cmocka_unit_test(a22_the_secret_of_one_version_does_not_sign_for_another),
        cmocka_unit_test(a23_a_cookie_is_read_up_to_its_greatest_age),
        cmocka_unit_test(a24_a_cookie_from_more_than_a_day_ahead_is_refused),
        cmocka_unit_test(a25_version_1_and_other_versions_are_refused),
        cmocka_unit_test(a26_a_signature_has_64_lower_case_digits),
        cmocka_unit_test(a27_the_first_of_two_cookies_wins_and_quotes_are_taken_off),
        cmocka_unit_test(any_bytes_come_back_and_the_longest_value_is_bounded),
        cmocka_unit_test(without_the_key_nothing_is_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/config.h"
#include "server/cookie_auth.h"
#include "server/password.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_1 "k3VrPq8sW2mXz7Lt0BnJcYd5HfGaUe1R"
#define SECRET_2 "f8SgQw1zXc5Vb7Nm2Kj4Hl6Po9Iu3Yt0"
#define NOW_S 1700000000ull
#define QUIET "\"http_api\":{\"key\":\"" SECRET_1 "\"}"

/* ---- configuration ---- */

static struct config *load(const char *text, struct config_report *report)
{
    struct config *config = NULL;
    enum status status = config_load(
        &config, &(struct config_source){.text = str_from_cstr(text), .format = CONFIG_JSON}, report);
    assert_int_equal(status == STATUS_OK, config != NULL);
    return config;
}

static struct config *load_good(const char *text)
{
    struct config_report report = {0};
    struct config *config = load(text, &report);
    if (config == NULL || report.count > 0) {
        config_report_print(&report, stderr);
    }
    assert_non_null(config);
    assert_int_equal(report.count, 0);
    config_report_release(&report);
    return config;
}

/* Refused, and one of the errors says that. */
static void expect_error(const char *text, const char *part)
{
    struct config_report report = {0};
    assert_null(load(text, &report));
    bool is_said = false;
    for (size_t i = 0; i < report.count; i++) {
        is_said = is_said || strstr(report.notes[i].text, part) != NULL;
        assert_null(strstr(report.notes[i].text, SECRET_1)); /* no secret in a message */
    }
    if (!is_said) {
        config_report_print(&report, stderr);
        fail_msg("nothing says: %s", part);
    }
    config_report_release(&report);
}

#define COOKIE_AUTH(more) "{\"client\":{\"cookie_auth\":{\"enabled\":true" more "}}," QUIET "}"
#define KEYS ",\"keys\":{\"1\":\"" SECRET_1 "\",\"2\":\"" SECRET_2 "\"},\"key_version\":2"

static void keys_are_read_by_version_and_never_printed(void **state)
{
    (void)state;
    struct config *config = load_good(COOKIE_AUTH(KEYS));
    assert_int_equal(config->client_cookie_auth_keys.count, 2);
    assert_int_equal(config->client_cookie_auth_keys.at[1].version, 2);
    assert_true(str_is(config->client_cookie_auth_keys.at[1].secret, SECRET_2));
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_print(config, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "{\"1\": \"***\", \"2\": \"***\"}"));
    assert_null(strstr(text, SECRET_1));
    assert_null(strstr(text, SECRET_2));
    free(text);
    config_free(config);
}

static void keys_come_from_the_environment_as_json_too(void **state)
{
    (void)state;
    static const char *const environment[] = {"STARLING_CLIENT_COOKIE_AUTH_ENABLED=true",
                                              "STARLING_CLIENT_COOKIE_AUTH_KEYS={\"0\":\"" SECRET_1 "\"}",
                                              NULL};
    struct config_report report = {0};
    struct config *config = NULL;
    assert_int_equal(
        config_load(&config, &(struct config_source){.environment = (char *const *)(uintptr_t)environment},
                    &report),
        STATUS_OK);
    assert_true(str_is(config->client_cookie_auth_keys.at[0].secret, SECRET_1));
    config_free(config);
    config_report_release(&report);
}

static void keys_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const char *const shapes[] = {
        "[]",
        "7",
        "true",
        "\"" SECRET_1 "\"",
        "{\"1\":7}",
        "{\"1\":\"\"}",
        "{\"one\":\"" SECRET_1 "\"}",
        "{\"01\":\"" SECRET_1 "\"}",
        "{\"-1\":\"" SECRET_1 "\"}",
        "{\"4294967296\":\"" SECRET_1 "\"}",
        "{\"1\":\"" SECRET_1 "\",\"2\":null}",
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct buf text = {0};
        buf_printf(&text, "{\"client\":{\"cookie_auth\":{\"enabled\":true,\"keys\":%s}}," QUIET "}",
                   shapes[i]);
        buf_append_char(&text, '\0');
        expect_error(text.at, "client.cookie_auth.keys");
        buf_release(&text);
    }
}

static void a_use_without_what_it_needs_stops_the_start(void **state)
{
    (void)state;
    expect_error(COOKIE_AUTH(""), "needs secrets in keys");
    expect_error(COOKIE_AUTH(",\"keys\":{\"1\":\"" SECRET_1 "\"}"), "keys has no such version");
    expect_error(COOKIE_AUTH(KEYS ",\"name\":\"a b\""), "no name of a cookie");
    expect_error(COOKIE_AUTH(KEYS ",\"name\":\"\""), "no name of a cookie");
    expect_error(COOKIE_AUTH(KEYS ",\"name\":\"a=b\""), "no name of a cookie");
    expect_error(COOKIE_AUTH(KEYS ",\"user_from\":\"json\""), "value, or json:FIELD");
    expect_error(COOKIE_AUTH(KEYS ",\"user_from\":\"json:\""), "value, or json:FIELD");
    expect_error(COOKIE_AUTH(KEYS ",\"max_age_days\":0"), "1 to 3650");
}

static void H07_cookies_with_all_origins_allowed_stop_the_start(void **state)
{
    (void)state;
    expect_error("{\"client\":{\"allowed_origins\":[\"https://a.example.com\",\"*\"],"
                 "\"cookie_auth\":{\"enabled\":true" KEYS "}}," QUIET "}",
                 "exclude each other");
    config_free(load_good("{\"client\":{\"allowed_origins\":[\"https://*.example.com\"],"
                          "\"cookie_auth\":{\"enabled\":true" KEYS "}}," QUIET "}"));
}

static void A32_weak_and_sample_secrets_of_cookies_stop_the_start(void **state)
{
    (void)state;
    expect_error(COOKIE_AUTH(",\"keys\":{\"0\":\"0123456789abcdef0123456789abcde\"}"),
                 "shorter than 32 bytes");
    config_free(load_good(COOKIE_AUTH(",\"keys\":{\"0\":\"0123456789abcdef0123456789abcdef\"}")));
    expect_error(COOKIE_AUTH(",\"keys\":{\"0\":\"__x:_GENERATE_YOUR_OWN_RANDOM_VALUE_HERE__\"}"),
                 "everybody knows");
    expect_error(
        COOKIE_AUTH(",\"keys\":{\"1\":\"" SECRET_1 "\",\"0\":\"changeme-changeme-changeme-changeme\"}"),
        "everybody knows");
}

static void A32_keys_in_a_file_that_everybody_may_read_stop_the_start(void **state)
{
    (void)state;
    static const mode_t modes[] = {0600, 0640, 0644};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char path[] = "/tmp/starling-keys-XXXXXX.json";
        struct config_report report = {0};
        struct config *config = NULL;
        int fd = mkstemps(path, 5);
        assert_true(fd >= 0);
        static const char text[] = "{\"client\":{\"cookie_auth\":{\"enabled\":true" KEYS "}}}";
        assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
        assert_int_equal(fchmod(fd, modes[i]), 0);
        assert_int_equal(close(fd), 0);
        enum status status = config_load(&config, &(struct config_source){.file = path}, &report);
        assert_int_equal(status, modes[i] == 0644 ? STATUS_BAD_REQUEST : STATUS_OK);
        config_free(config);
        config_report_release(&report);
        assert_int_equal(unlink(path), 0);
    }
}

#define ADMIN(more) \
    "{\"client\":{\"cookie_auth\":{\"enabled\":true" KEYS "}}," QUIET ",\"admin\":{\"enabled\":true" more
#define SESSION "\"session\":{\"keys\":{\"0\":\"" SECRET_1 "\"}}"

static void A33_an_administrator_without_a_password_stops_the_start(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_SIZE];
    char long_name[130] = {0};
    memset(long_name, 'a', sizeof long_name - 1);
    assert_true(password_hash(STR("correct horse"), hash));
    expect_error(ADMIN("}," SESSION "}"), "admin.password_hash");
    expect_error(ADMIN(",\"password_hash\":\"correct horse\"}," SESSION "}"), "no Argon2id hash");
    expect_error(ADMIN(",\"password_hash\":\"$argon2id$v=19$m=65536,t=2,p=1$x\"}," SESSION "}"),
                 "no Argon2id hash");
    struct buf text = {0};
    buf_printf(&text, ADMIN(",\"password_hash\":\"%s\"},") SESSION "}", hash);
    buf_append_char(&text, '\0');
    config_free(load_good(text.at));
    for (int len = 0; len <= 129; len += len == 0 ? 128 : 1) { /* 0, 128, 129 */
        struct config_report report = {0};
        buf_reset(&text);
        buf_printf(&text, ADMIN(",\"user\":\"%.*s\",\"password_hash\":\"%s\"},") SESSION "}", len, long_name,
                   hash);
        buf_append_char(&text, '\0');
        struct config *config = load(text.at, &report);
        assert_int_equal(config != NULL, len == 128);
        config_free(config);
        config_report_release(&report);
    }
    buf_reset(&text);
    buf_printf(&text, ADMIN(",\"password_hash\":\"%s\"}}"), hash);
    buf_append_char(&text, '\0');
    expect_error(text.at, "session needs secrets");
    buf_release(&text);
}

static void a_password_matches_its_hash_only(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_SIZE], other[PASSWORD_HASH_SIZE];
    assert_true(password_hash(STR("correct horse"), hash));
    assert_true(password_hash(STR("correct horse"), other));
    assert_string_not_equal(hash, other); /* each has a salt of its own */
    assert_true(password_hash_is_valid(hash));
    assert_true(password_matches(hash, STR("correct horse")));
    assert_false(password_matches(hash, STR("correct hors")));
    assert_false(password_matches(hash, STR("correct horse ")));
    assert_false(password_matches(hash, STR("")));
    assert_false(password_hash_is_valid("$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$aGFzaA"));
    assert_false(password_hash_is_valid(""));
}

/* ---- cookies ---- */

static void write_cookie(const struct config *config, const char *name, const char *value, struct buf *out)
{
    const struct signed_cookie_use use = {.keys = &config->client_cookie_auth_keys,
                                          .key_version = config->client_cookie_auth_key_version,
                                          .name = str_from_cstr(name),
                                          .now_s = NOW_S};
    assert_true(signed_cookie_write(&use, str_from_cstr(value), out));
}

static void expect_user(const struct config *config, struct str cookie, uint64_t now_s, const char *expected)
{
    struct buf user = {0};
    const char *rule = NULL;
    bool is_good = cookie_auth_read(config, cookie, now_s, &user, &rule);
    assert_int_equal(is_good, expected != NULL);
    if (is_good) {
        assert_true(str_is(buf_str(&user), expected));
    } else {
        assert_non_null(rule);
        assert_int_equal(user.len, 0);
    }
    buf_release(&user);
}

static void a_cookie_names_its_user_until_it_is_too_old(void **state)
{
    (void)state;
    struct config *config = load_good(COOKIE_AUTH(KEYS ",\"max_age_days\":2"));
    struct buf cookie = {0};
    write_cookie(config, "user", "alice", &cookie);
    expect_user(config, buf_str(&cookie), NOW_S, "alice");
    expect_user(config, buf_str(&cookie), NOW_S + 2 * 86400, "alice");
    expect_user(config, buf_str(&cookie), NOW_S + 2 * 86400 + 1, NULL);
    buf_reset(&cookie);
    write_cookie(config, "other", "alice", &cookie);
    expect_user(config, buf_str(&cookie), NOW_S, NULL);
    expect_user(config, STR("alice"), NOW_S, NULL);
    buf_release(&cookie);
    config_free(config);
}

static void expect_user_of(const char *user_from, const char *value, const char *expected)
{
    struct buf user = {0};
    const char *rule = NULL;
    bool is_good = cookie_auth_user_of(user_from, str_from_cstr(value), &user, &rule);
    if (is_good != (expected != NULL) || (is_good && !str_is(buf_str(&user), expected))) {
        fail_msg("%s of %s: %.*s", user_from, value, STR_ARG(buf_str(&user)));
    }
    buf_release(&user);
}

static void the_user_is_the_value_or_a_member_of_it(void **state)
{
    (void)state;
    expect_user_of("value", "42", "42");
    expect_user_of("value", "J\xc3\xb6rg", "J\xc3\xb6rg");
    expect_user_of("value", "", NULL);
    expect_user_of("value", "a\nb", NULL);
    expect_user_of("value", "a\x7f", NULL);
    expect_user_of("value", "\xff", NULL);
    expect_user_of("json:id", "{\"name\":\"x\",\"id\":\"42\"}", "42");
    expect_user_of("json:id", "{\"id\":42}", "42");
    expect_user_of("json:id", "{\"id\":-1}", "-1");
    expect_user_of("json:id", "{\"id\":\"J\\u00f6rg\"}", "J\xc3\xb6rg");
    expect_user_of("json:id", "{\"id\":1.5}", NULL);
    expect_user_of("json:id", "{\"id\":true}", NULL);
    expect_user_of("json:id", "{\"id\":null}", NULL);
    expect_user_of("json:id", "{\"id\":\"\"}", NULL);
    expect_user_of("json:id", "{\"id\":\"a\\u0000\"}", NULL);
    expect_user_of("json:id", "{\"id\":\"a\\n\"}", NULL);
    expect_user_of("json:id", "{\"id\":[\"42\"]}", NULL);
    expect_user_of("json:id", "{\"id\":\"42\",\"id\":\"43\"}", NULL);
    expect_user_of("json:id", "{\"user\":\"42\"}", NULL);
    expect_user_of("json:id", "[\"42\"]", NULL);
    expect_user_of("json:id", "42", NULL);
    expect_user_of("json:id", "", NULL);
    expect_user_of("json:id", "{\"id\":\"42\"", NULL);
}

static void a_user_has_at_most_255_bytes(void **state)
{
    (void)state;
    char value[COOKIE_USER_BYTES_MAX + 2] = {0};
    memset(value, 'a', COOKIE_USER_BYTES_MAX);
    expect_user_of("value", value, value);
    value[COOKIE_USER_BYTES_MAX] = 'a';
    expect_user_of("value", value, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_by_version_and_never_printed),
        cmocka_unit_test(keys_come_from_the_environment_as_json_too),
        cmocka_unit_test(keys_of_another_shape_are_refused),
        cmocka_unit_test(a_use_without_what_it_needs_stops_the_start),
        cmocka_unit_test(H07_cookies_with_all_origins_allowed_stop_the_start),
        cmocka_unit_test(A32_weak_and_sample_secrets_of_cookies_stop_the_start),
        cmocka_unit_test(A32_keys_in_a_file_that_everybody_may_read_stop_the_start),
        cmocka_unit_test(A33_an_administrator_without_a_password_stops_the_start),
        cmocka_unit_test(a_password_matches_its_hash_only),
        cmocka_unit_test(a_cookie_names_its_user_until_it_is_too_old),
        cmocka_unit_test(the_user_is_the_value_or_a_member_of_it),
        cmocka_unit_test(a_user_has_at_most_255_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/base/clock.h"
#include "server/access.h"
#include "server/cli_explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "9f3c1e7a5b8d2f4c6e0a1b3d5f7c9e2b"

enum { WORDS_MAX = 16, OUTPUT_BYTES_MAX = 8192 };

static char path[] = "/tmp/test_cli_explain_XXXXXX.json";
static char output[OUTPUT_BYTES_MAX];

static int write_config(void **state)
{
    (void)state;
    static const char text[] =
        "{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}},\"channel\":{\"namespaces\":["
        "{\"name\":\"open\",\"allow_subscribe_for_client\":true,\"allow_publish_for_subscriber\":true},"
        "{\"name\":\"kept\",\"history_size\":10,\"history_ttl\":\"60s\",\"presence\":true,"
        "\"allow_history_for_client\":true},"
        "{\"name\":\"limited\",\"allow_user_limited_channels\":true}]}}";
    int fd = mkstemps(path, 5);
    if (fd < 0 || write(fd, text, sizeof text - 1) != (ssize_t)sizeof text - 1) {
        return -1;
    }
    return close(fd);
}

static int remove_config(void **state)
{
    (void)state;
    return unlink(path);
}

/* Runs the command with the configuration, and keeps what it prints in `output`. Returns its exit code. */
static int run_words(const char *const *words)
{
    char *arguments[WORDS_MAX] = {(char *)(uintptr_t) "explain", (char *)(uintptr_t) "-c", path};
    int count = 3;
    for (; words[count - 3] != NULL; count++) {
        arguments[count] = (char *)(uintptr_t)words[count - 3];
    }
    FILE *out = tmpfile();
    assert_non_null(out);
    (void)fflush(stdout);
    (void)fflush(stderr);
    int saved_out = dup(1), saved_error = dup(2);
    assert_true(dup2(fileno(out), 1) >= 0 && dup2(fileno(out), 2) >= 0);
    int code = cli_explain(count, arguments);
    (void)fflush(stdout);
    (void)fflush(stderr);
    assert_true(dup2(saved_out, 1) >= 0 && dup2(saved_error, 2) >= 0);
    assert_true(close(saved_out) == 0 && close(saved_error) == 0);
    rewind(out);
    output[fread(output, 1, sizeof output - 1, out)] = '\0';
    assert_int_equal(fclose(out), 0);
    return code;
}

#define run(...) run_words((const char *const[]){__VA_ARGS__, NULL})

static void assert_says(const char *part)
{
    if (strstr(output, part) == NULL) {
        fail_msg("'%s' does not say '%s'", output, part);
    }
}

static void what_is_allowed_is_explained_with_yes(void **state)
{
    (void)state;
    assert_int_equal(run("subscribe", "-u", "42", "--channel", "open:a"), 0);
    assert_says("may user '42' subscribe to 'open:a'?\n");
    assert_says("  namespace                      open\n");
    assert_says("  allow_subscribe_for_client     on\n");
    assert_says("\nyes\n");
}

static void what_is_refused_says_which_option_is_off(void **state)
{
    (void)state;
    assert_int_equal(run("publish", "--user=42", "--channel=kept:a"), 1);
    assert_says("  allow_publish_for_client       off\n");
    assert_says("no, error 103: permission denied: namespace 'kept' has allow_publish_for_client off\n");
    assert_int_equal(run("presence", "-u", "42", "--channel", "open:a"), 1);
    assert_says("no, error 108: not available: namespace 'open' has presence off\n");
    assert_int_equal(run("subscribe", "-u", "", "--channel", "open:a"), 1);
    assert_says("may an anonymous user subscribe to 'open:a'?\n");
    assert_says("namespace 'open' has allow_subscribe_for_anonymous off\n");
    assert_int_equal(run("subscribe", "-u", "42", "--channel", "nowhere:a"), 1);
    assert_says("no, error 102: unknown channel");
}

static void a_subscriber_may_do_what_others_may_not(void **state)
{
    (void)state;
    assert_int_equal(run("publish", "-u", "42", "--channel", "open:a"), 1);
    assert_says("(--subscribed)");
    assert_int_equal(run("publish", "-u", "42", "--channel", "open:a", "--subscribed"), 0);
}

static void history_says_how_much_is_kept(void **state)
{
    (void)state;
    assert_int_equal(run("history", "-u", "42", "--channel", "kept:a"), 0);
    assert_says("10 publications for 60 s\n");
}

static void the_list_of_a_user_limited_channel_decides(void **state)
{
    (void)state;
    assert_int_equal(run("subscribe", "-u", "42", "--channel", "limited:a#41,42"), 0);
    assert_says("names the user, and decides");
    assert_int_equal(run("subscribe", "-u", "43", "--channel", "limited:a#41,42"), 1);
    assert_says("does not name the user, and decides");
    assert_int_equal(run("subscribe", "-u", "43", "--channel", "open:a#41"), 0);
    assert_says("allow_user_limited_channels is off");
}

static void a_subscription_token_is_checked_step_by_step(void **state)
{
    (void)state;
    struct buf token = {0};
    clock_set_for_test(1, UINT64_C(1700000000000));
    assert_int_equal(
        token_sign_hs256(SECRET, STR("{\"sub\":\"42\",\"channel\":\"$open:a\",\"exp\":1700000001}"), &token),
        STATUS_OK);
    buf_append_char(&token, '\0');
    assert_int_equal(run("subscribe", "-u", "42", "--channel", "$open:a"), 1);
    assert_says("a private channel needs a subscription token\n");
    assert_int_equal(run("subscribe", "-u", "42", "--channel", "$open:a", "--token", token.at), 0);
    assert_says("token: signature and times     good\n");
    assert_int_equal(run("subscribe", "-u", "43", "--channel", "$open:a", "--token", token.at), 1);
    assert_says("no, error 103: invalid token: the token is for another user\n");
    assert_int_equal(run("subscribe", "-u", "42", "--channel", "$open:b", "--token", token.at), 1);
    assert_says("invalid token: the token is for another channel\n");
    clock_set_for_test(1, UINT64_C(1700000002000));
    assert_int_equal(run("subscribe", "-u", "42", "--channel", "$open:a", "--token", token.at), 1);
    assert_says("no, error 109: token expired");
    clock_set_for_test(0, 0);
    buf_release(&token);
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
    (void)state;
    assert_int_equal(run("subscribe", "-u", "a\033[31mb", "--channel", "open:\302\233x"), 1);
    assert_null(strchr(output, '\033'));
    assert_null(strstr(output, "\302\233"));
    assert_says("may user 'a?[31mb' subscribe to 'open:?x'?\n");
}

static void wrong_arguments_exit_with_2(void **state)
{
    (void)state;
    assert_int_equal(run("subscribe", "-u", "42"), 2);
    assert_says("'--channel' is missing");
    assert_int_equal(run("subscribe", "--channel", "a"), 2);
    assert_says("'--user' is missing");
    assert_int_equal(run("-u", "42", "--channel", "a"), 2);
    assert_int_equal(run("publish", "-u", "42", "--channel", "a", "--token", "x"), 2);
    assert_int_equal(run("publish", "-u", "42", "--channel", "a", "more"), 2);
    assert_int_equal(run("publish", "-u", "\377", "--channel", "a"), 2);
}

static void claims_of_another_client_or_of_yesterday_are_refused(void **state)
{
    (void)state;
    struct token_refusal refusal = {0};
    struct subscription_claims claims = {.user = STR("42"), .channel = STR("a"), .client = STR("c1")};
    assert_int_equal(access_check_subscription(&claims, STR("42"), STR("a"), STR("c1"), 5, &refusal),
                     STATUS_OK);
    assert_int_equal(access_check_subscription(&claims, STR("42"), STR("a"), STR("c2"), 5, &refusal),
                     STATUS_INVALID_TOKEN);
    assert_string_equal(refusal.rule, "the token is for another client");
    claims.expire_at_s = 6;
    assert_int_equal(access_check_subscription(&claims, STR("42"), STR("a"), STR("c1"), 5, &refusal),
                     STATUS_OK);
    assert_int_equal(access_check_subscription(&claims, STR("42"), STR("a"), STR("c1"), 6, &refusal),
                     STATUS_EXPIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_allowed_is_explained_with_yes),
        cmocka_unit_test(what_is_refused_says_which_option_is_off),
        cmocka_unit_test(a_subscriber_may_do_what_others_may_not),
        cmocka_unit_test(history_says_how_much_is_kept),
        cmocka_unit_test(the_list_of_a_user_limited_channel_decides),
        cmocka_unit_test(a_subscription_token_is_checked_step_by_step),
        cmocka_unit_test(control_characters_do_not_reach_the_terminal),
        cmocka_unit_test(wrong_arguments_exit_with_2),
        cmocka_unit_test(claims_of_another_client_or_of_yesterday_are_refused),
    };
    return cmocka_run_group_tests(tests, write_config, remove_config);
}

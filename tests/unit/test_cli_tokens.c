#include "server/cli_tokens.h"

#include "channels/base/clock.h"
#include "server/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "9f3c1e7a5b8d2f4c6e0a1b3d5f7c9e2b"
#define SUB_SECRET "2b9e7c5f3d1b0a6e4c2f8d5b7a1e3c9f"

enum { ARGUMENTS_MAX = 16, OUTPUT_BYTES_MAX = 8192 };

static const uint64_t now_ms = UINT64_C(1700000000000);

static char directory[] = "/tmp/test_cli_tokens_XXXXXX";
static char config_path[sizeof directory + 32];

/* What the last command printed. */
static char output[OUTPUT_BYTES_MAX], errors[OUTPUT_BYTES_MAX];

static int open_directory(void **state)
{
    (void)state;
    clock_set_for_test(1, now_ms);
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(config_path, sizeof config_path, "%s/config.json", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    clock_set_for_test(0, 0);
    return unlink(config_path) == 0 && rmdir(directory) == 0 ? 0 : -1;
}

static void write_config(const char *text)
{
    FILE *file = fopen(config_path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(config_path, 0600), 0);
}

static int redirect(int fd, FILE *file)
{
    int saved = dup(fd);
    assert_true(saved >= 0);
    assert_true(dup2(fileno(file), fd) >= 0);
    return saved;
}

static void restore(int fd, int saved, FILE *file, char *out)
{
    assert_true(dup2(saved, fd) >= 0);
    assert_int_equal(close(saved), 0);
    rewind(file);
    out[fread(out, 1, OUTPUT_BYTES_MAX - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
}

/* Runs a command with these words, and -c with the configuration where `uses_config`. Returns its exit code.
 */
static int run_with_input(int (*command)(int, char **), const char *input, const char *const *words)
{
    char *arguments[ARGUMENTS_MAX];
    int count = 0;
    while (words[count] != NULL) {
        arguments[count] = (char *)(uintptr_t)words[count];
        count++;
    }
    arguments[count] = NULL;
    FILE *in = tmpfile(), *out = tmpfile(), *error = tmpfile();
    assert_true(in != NULL && out != NULL && error != NULL);
    assert_true(fputs(input, in) >= 0);
    rewind(in);
    (void)fflush(stdout);
    (void)fflush(stderr);
    int saved_in = redirect(0, in), saved_out = redirect(1, out), saved_error = redirect(2, error);
    int code = command(count, arguments);
    (void)fflush(stdout);
    (void)fflush(stderr);
    char ignored[OUTPUT_BYTES_MAX];
    restore(0, saved_in, in, ignored);
    restore(1, saved_out, out, output);
    restore(2, saved_error, error, errors);
    return code;
}

#define run(command, ...) \
    run_with_input(command, "", (const char *const[]){#command, "-c", config_path, __VA_ARGS__, NULL})

static void assert_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' does not say '%s'", text, part);
    }
}

/* The token that the last command printed with -q. */
static const char *printed_token(void)
{
    static char token[OUTPUT_BYTES_MAX];
    (void)snprintf(token, sizeof token, "%s", output);
    token[strcspn(token, "\n")] = '\0';
    return token;
}

static void a_made_token_is_valid_for_7_days(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}}}");
    assert_int_equal(run(cli_gentoken, "-u", "42"), 0);
    assert_says(output,
                "connection token (HS256) for user 42, expires 2023-11-21 22:13:20 UTC, in 7 days:\n");
    assert_int_equal(run(cli_gentoken, "-u", "42", "-q"), 0);
    assert_string_equal(errors, "");
    struct token_verifier *verifier = NULL;
    struct token_settings settings = {.hmac_secret_key = SECRET};
    struct str error;
    struct connection_claims claims = {0};
    assert_int_equal(token_verifier_open(&verifier, &settings, &error), STATUS_OK);
    assert_int_equal(token_verify_connection(verifier, str_from_cstr(printed_token()), now_ms, &claims, NULL),
                     STATUS_OK);
    assert_true(str_is(claims.user, "42"));
    assert_int_equal(claims.expire_at_s, 1700000000 + 7 * 86400);
    connection_claims_release(&claims);
    token_verifier_free(verifier);
}

static void the_life_of_a_token_is_seconds_or_minus_one(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}}}");
    assert_int_equal(run(cli_gentoken, "-u", "42", "-t", "90061"), 0);
    assert_says(output, "in 1 day 1 hour:");
    assert_int_equal(run(cli_gentoken, "-u", "42", "-t", "1"), 0);
    assert_says(output, "in 1 second:");
    assert_int_equal(run(cli_gentoken, "-u", "42", "-t", "-1"), 0);
    assert_says(output, "never expires:");
    assert_int_equal(run(cli_gentoken, "-u", "42", "-t", "0"), 2);
    assert_int_equal(run(cli_gentoken, "-u", "42", "-t", "-2"), 2);
    assert_int_equal(run(cli_gentoken, "-u", "42", "-t", "7d"), 2);
    assert_int_equal(run(cli_gentoken, "-u", "42", "-t", "3153600000"), 0);
    assert_int_equal(run(cli_gentoken, "-u", "42", "-t", "3153600001"), 2);
}

static void a_made_token_holds_what_the_configuration_asks(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\",\"audience\":\"chat\","
                 "\"issuer\":\"us\",\"user_id_claim\":\"uid\"}}}");
    assert_int_equal(run(cli_gentoken, "-u", "a\"b", "-q"), 0);
    assert_string_equal(errors, "");
    assert_int_equal(run(cli_checktoken, printed_token()), 0);
    assert_says(output, "valid connection token\n");
    assert_says(output, "uid = \"a\\\"b\"");
    assert_says(output, "aud = \"chat\"");
}

static void a_made_token_that_the_server_refuses_gets_a_warning(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET
                 "\",\"audience_regex\":\"^chat-\"}}}");
    assert_int_equal(run(cli_gentoken, "-u", "42", "-q"), 0);
    assert_says(errors, "this server refuses the token: aud does not hold the configured audience");
}

static void subscription_tokens_have_a_channel_and_maybe_their_own_secret(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"},\"subscription_token\":{"
                 "\"enabled\":true,\"hmac_secret_key\":\"" SUB_SECRET "\"}}}");
    assert_int_equal(run(cli_gensubtoken, "-u", "42"), 2);
    assert_int_equal(run(cli_gensubtoken, "-u", "42", "-s", "news"), 0);
    assert_says(output, "subscription token (HS256) for user 42 in channel news");
    assert_int_equal(run(cli_gensubtoken, "-u", "42", "-s", "news", "-q"), 0);
    assert_int_equal(run(cli_checksubtoken, printed_token()), 0);
    assert_says(output, "valid subscription token");
    assert_int_equal(run(cli_gensubtoken, "-u", "42", "-s", "news", "-q"), 0);
    assert_int_equal(run(cli_checktoken, printed_token()), 1);
    assert_says(output, "not a valid connection token: the signature does not hold");
}

static void without_a_secret_nothing_is_made(void **state)
{
    (void)state;
    write_config("{}");
    assert_int_equal(run(cli_gentoken, "-u", "42"), 1);
    assert_says(errors, "client.token.hmac_secret_key is not set");
    assert_string_equal(output, "");
}

static void a_user_that_is_no_text_is_refused(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}}}");
    assert_int_equal(run(cli_gentoken, "-u", "\xff"), 1);
    assert_says(errors, "UTF-8");
    assert_string_equal(output, "");
}

static void wrong_arguments_are_answered_with_the_usage(void **state)
{
    (void)state;
    assert_int_equal(run(cli_gentoken, "-q"), 2);
    assert_says(errors, "usage: starling gentoken");
    assert_int_equal(run(cli_gentoken, "-u", "1", "extra"), 2);
    assert_int_equal(run(cli_checktoken, "a", "b"), 2);
    assert_says(errors, "usage: starling checktoken");
    assert_int_equal(run(cli_checktoken, "--user", "b", "c"), 2);
}

static char *signed_token(const char *claims)
{
    struct buf out = {0};
    assert_int_equal(token_sign_hs256(SECRET, str_from_cstr(claims), &out), STATUS_OK);
    buf_append_char(&out, '\0');
    return out.at;
}

static void a_check_explains_times_in_words(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}}}");
    char *token = signed_token("{\"exp\":1699996400,\"nbf\":1700000000,\"expire_at\":0}");
    assert_int_equal(run(cli_checktoken, token), 1);
    assert_says(output, "not a valid connection token: exp is past");
    assert_says(output, "2023-11-14 21:13:20 UTC, 1 hour ago");
    assert_says(output, "2023-11-14 22:13:20 UTC, now");
    assert_says(output, "never: when the connection or subscription expires");
    free(token);
    token = signed_token("{\"exp\":1700000000000}");
    assert_int_equal(run(cli_checktoken, token), 0);
    assert_says(output, "are these milliseconds?");
    free(token);
}

static void a_check_prints_no_control_characters_and_not_too_much(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}}}");
    char claims[1024];
    (void)snprintf(claims, sizeof claims,
                   "{\"info\":[\n1],\"a\x7f\":\"\xc2\x9b"
                   "31m\",\"meta\":{\"x\":\"%0*d\"}}",
                   500, 0);
    char *token = signed_token(claims);
    assert_int_equal(run(cli_checktoken, token), 0);
    assert_says(output, "info = [ 1]");
    assert_says(output, "a  = \"?31m\"");
    assert_says(output, "… (508 bytes)");
    assert_null(strchr(output, '\x7f'));
    assert_null(strstr(output, "\xc2\x9b"));
    free(token);
}

static void a_token_may_come_from_standard_input(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}}}");
    char *token = signed_token("{}");
    char line[512];
    (void)snprintf(line, sizeof line, "%s\r\nmore", token);
    clearerr(stdin);
    assert_int_equal(run_with_input(cli_checktoken, line,
                                    (const char *const[]){"checktoken", "-c", config_path, "-", NULL}),
                     0);
    assert_says(output, "valid connection token");
    free(token);
}

static void what_is_no_token_is_explained_too(void **state)
{
    (void)state;
    write_config("{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}}}");
    static const char *const tokens[] = {"x", "..", "a.b.c", "e30.e30.e30", "e30.WyJ4Il0.x"};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        assert_int_equal(run(cli_checktoken, tokens[i]), 1);
        assert_says(output, "not a valid connection token: ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_made_token_is_valid_for_7_days),
        cmocka_unit_test(the_life_of_a_token_is_seconds_or_minus_one),
        cmocka_unit_test(a_made_token_holds_what_the_configuration_asks),
        cmocka_unit_test(a_made_token_that_the_server_refuses_gets_a_warning),
        cmocka_unit_test(subscription_tokens_have_a_channel_and_maybe_their_own_secret),
        cmocka_unit_test(without_a_secret_nothing_is_made),
        cmocka_unit_test(a_user_that_is_no_text_is_refused),
        cmocka_unit_test(wrong_arguments_are_answered_with_the_usage),
        cmocka_unit_test(a_check_explains_times_in_words),
        cmocka_unit_test(a_check_prints_no_control_characters_and_not_too_much),
        cmocka_unit_test(a_token_may_come_from_standard_input),
        cmocka_unit_test(what_is_no_token_is_explained_too),
    };
    return cmocka_run_group_tests(tests, open_directory, remove_directory);
}

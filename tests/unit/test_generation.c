#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/base/log.h"
#include "server/config.h"
#include "server/generation.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET "9f3c1e7a5b8d2f4c6e0a1b3d5f7c9e2b"

/* A generation that runs, the file it came from, and what the log says meanwhile. */
struct fixture {
    char path[40];
    int log;
    struct config *config;
    struct config_source source;
    struct generation *current;
    char logged[4096];
};

static void write_config(struct fixture *fixture, const char *text)
{
    FILE *file = fopen(fixture->path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct config_report report = {0};
    struct buf why = {0};
    assert_non_null(fixture);
    (void)snprintf(fixture->path, sizeof fixture->path, "/tmp/test_generation_XXXXXX.json");
    int fd = mkstemps(fixture->path, 5);
    fixture->log = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    assert_true(fd >= 0 && fixture->log >= 0 && close(fd) == 0);
    log_open(fixture->log, LOG_INFO, LOG_FORMAT_TEXT);
    fixture->source = (struct config_source){.file = fixture->path};
    write_config(fixture,
                 "{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"},\"connection_limit\":50},"
                 "\"http_server\":{\"port\":8001,\"address\":[\"127.0.0.1\",\"::1\"]},"
                 "\"admin\":{\"user\":\"ann\"}}");
    assert_int_equal(config_load(&fixture->config, &fixture->source, &report), STATUS_OK);
    config_report_release(&report);
    fixture->current = generation_first(fixture->config, &why);
    assert_non_null(fixture->current);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    generation_free(fixture->current);
    config_free(fixture->config);
    log_open(STDOUT_FILENO, LOG_INFO, LOG_FORMAT_TEXT);
    assert_int_equal(close(fixture->log), 0);
    assert_int_equal(unlink(fixture->path), 0);
    free(fixture);
    return 0;
}

/* Reads the file again. NULL: accepted; else why not, until the next call. */
static const char *read_again(struct fixture *fixture, const char *text)
{
    static char words[512];
    struct buf why = {0};
    write_config(fixture, text);
    struct generation *next = generation_next(fixture->current, &fixture->source, &why);
    ssize_t len = pread(fixture->log, fixture->logged, sizeof fixture->logged - 1, 0);
    fixture->logged[len < 0 ? 0 : len] = '\0';
    if (next != NULL) {
        fixture->current = next;
        return NULL;
    }
    (void)snprintf(words, sizeof words, "%.*s", STR_ARG(buf_str(&why)));
    buf_release(&why);
    return words;
}

static void s12_a_new_configuration_is_the_next_generation(void **state)
{
    struct fixture *fixture = *state;
    struct generation *first = fixture->current;
    assert_null(read_again(fixture,
                           "{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"},\"channel_limit\":7},"
                           "\"channel\":{\"namespaces\":[{\"name\":\"new\"}]},"
                           "\"http_server\":{\"port\":8001,\"address\":[\"127.0.0.1\",\"::1\"]},"
                           "\"admin\":{\"user\":\"ann\"}}"));
    assert_int_equal(fixture->current->number, 2);
    assert_ptr_equal(fixture->current->older, first);
    assert_int_equal(fixture->current->config->client_channel_limit, 7);
    assert_int_equal(fixture->current->config->channels.namespace_count, 1);
    assert_int_equal(first->config->client_channel_limit, 128);
}

static void s12_what_needs_a_restart_keeps_its_value_and_is_named(void **state)
{
    struct fixture *fixture = *state;
    assert_null(read_again(fixture, "{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}},"
                                    "\"http_server\":{\"port\":9001,\"address\":[\"10.0.0.1\"]},"
                                    "\"admin\":{\"user\":\"bob\"}}"));
    const struct config *config = fixture->current->config;
    assert_int_equal(config->http_server_port, 8001);
    assert_int_equal(config->http_server_address.count, 2);
    assert_string_equal(config->http_server_address.at[1].at, "::1");
    assert_string_equal(config->admin_user, "ann");
    assert_non_null(strstr(fixture->logged, "config_needs_restart option=http_server.port"));
    assert_non_null(strstr(fixture->logged, "config_needs_restart option=http_server.address"));
    assert_non_null(strstr(fixture->logged, "config_needs_restart option=admin.user"));
    assert_null(strstr(fixture->logged, "option=http_server.workers"));
}

static void s12_the_connection_limit_can_be_lowered_but_not_raised(void **state)
{
    static const struct {
        const char *text;
        unsigned expected;
    } cases[] = {{"49", 49}, {"50", 49}, {"51", 49}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text,
                       "{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET
                       "\"},\"connection_limit\":%s}}",
                       cases[i].text);
        assert_null(read_again(fixture, text));
        assert_int_equal(fixture->current->config->client_connection_limit, cases[i].expected);
    }
}

static void s12_a_bad_file_is_refused_with_the_reason(void **state)
{
    struct fixture *fixture = *state;
    struct generation *first = fixture->current;
    assert_non_null(
        strstr(read_again(fixture, "{\"client\":{\"ping_interval\":\"no\"}}"), "client.ping_interval"));
    assert_non_null(strstr(read_again(fixture, "{"), "/tmp/test_generation_"));
    assert_non_null(read_again(fixture, "{\"client\":{\"token\":{\"rsa_public_key\":\"nothing\"}}}"));
    assert_int_equal(unlink(fixture->path), 0);
    struct buf why = {0};
    assert_null(generation_next(fixture->current, &fixture->source, &why));
    assert_true(why.len > 0);
    buf_release(&why);
    write_config(fixture, "");
    assert_ptr_equal(fixture->current, first);
}

static void s12_a_certificate_that_cannot_be_used_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->config->http_server_tls_enabled = true; /* as if it had been from the start */
    const char *why = read_again(
        fixture, "{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}},"
                 "\"http_server\":{\"tls\":{\"enabled\":true,"
                 "\"cert_pem\":\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n\","
                 "\"key_pem\":\"-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n\"}}}");
    assert_string_equal(why, "http_server.tls: the certificate is no PEM text of a certificate");
    fixture->config->http_server_tls_enabled = false;
}

static void reading_again_has_a_bound(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] = "{\"client\":{\"token\":{\"hmac_secret_key\":\"" SECRET "\"}}}";
    fixture->current->number = GENERATIONS_MAX - 1;
    assert_null(read_again(fixture, text));
    assert_int_equal(fixture->current->number, GENERATIONS_MAX);
    assert_string_equal(read_again(fixture, text), "read too many times: restart the server");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(s12_a_new_configuration_is_the_next_generation),
        TEST(s12_what_needs_a_restart_keeps_its_value_and_is_named),
        TEST(s12_the_connection_limit_can_be_lowered_but_not_raised),
        TEST(s12_a_bad_file_is_refused_with_the_reason),
        TEST(s12_a_certificate_that_cannot_be_used_is_refused),
        TEST(reading_again_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

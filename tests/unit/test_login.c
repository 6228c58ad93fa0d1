#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/base/clock.h"
#include "channels/broker.h"
#include "channels/hub.h"
#include "server/exchange.h"
#include "server/login.h"
#include "server/login_thread.h"
#include "server/login_throttle.h"
#include "server/xsrf.h"
#include "tests/support/fail_alloc.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- where to go afterwards ---- */

static void H45_next_is_a_path_that_no_browser_takes_for_another_host(void **state)
{
    (void)state;
    static const char *const own[] = {"/", "/admin", "/a?b=c#d", "/a//b", "/a\\b", "/\xc3\xb6"};
    static const char *const foreign[] = {
        "",         "admin",    "//evil",      "/\\evil",
        "\\/evil",  "\\\\evil", "http://evil", "javascript:alert(1)",
        "/\t/evil", "/\n/evil", "\t//evil",    " //evil",
        "/a\r\nb",  "/a\x7f",   "/\xff",
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        assert_true(login_next_is_own(str_from_cstr(own[i])));
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (login_next_is_own(str_from_cstr(foreign[i]))) {
            fail_msg("taken for our own: %s", foreign[i]);
        }
    }
    assert_false(login_next_is_own((struct str){0}));
    char longest[2049];
    memset(longest, '/', sizeof longest);
    longest[1] = 'a';
    assert_true(login_next_is_own(str_make(longest, 2048)));
    assert_false(login_next_is_own(str_make(longest, 2049)));
}

/* ---- the guard ---- */

#define TIME_S 1300000000ull
#define TOKEN "2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|1300000000"

static struct exchange guarded(const char *host, const char *origin, const char *site)
{
    struct exchange exchange = {0};
    struct http_header headers[] = {{STR("Host"), str_from_cstr(host)},
                                    {STR("Cookie"), STR("_xsrf=" TOKEN)},
                                    {STR("X-XSRFToken"), STR(TOKEN)},
                                    {STR("Origin"), str_from_cstr(origin)},
                                    {STR("Sec-Fetch-Site"), str_from_cstr(site)}};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (headers[i].value.at != NULL) {
            exchange.request.headers[exchange.request.header_count++] = headers[i];
        }
    }
    return exchange;
}

static void expect_guard(const struct exchange *exchange, const char *part)
{
    clock_set_for_test(1, TIME_S * 1000);
    const char *rule = login_guard(exchange, STR(""));
    clock_set_for_test(0, 0);
    if (part == NULL) {
        assert_null(rule);
    } else {
        assert_non_null(rule);
        assert_non_null(strstr(rule, part));
    }
}

static void H43_the_guard_wants_our_origin_our_site_and_the_token(void **state)
{
    (void)state;
    struct exchange exchange = guarded("a.example:8000", NULL, NULL);
    expect_guard(&exchange, NULL);
    exchange = guarded("a.example:8000", "http://a.example:8000", "same-origin");
    expect_guard(&exchange, NULL);
    exchange = guarded("a.example:8000", "https://a.example:8000", NULL); /* TLS ends at a proxy */
    expect_guard(&exchange, NULL);
    static const char *const foreign[] = {"http://a.example",
                                          "http://b.example:8000",
                                          "null",
                                          "",
                                          "http://a.example:8000.evil",
                                          "http://evil/a.example:8000",
                                          "ftp://a.example:8000",
                                          "http://x@a.example:8000"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        exchange = guarded("a.example:8000", foreign[i], "same-origin");
        expect_guard(&exchange, "another origin");
    }
    static const char *const sites[] = {"cross-site", "same-site", "none", "", "Same-Origin"};
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        exchange = guarded("a.example:8000", "http://a.example:8000", sites[i]);
        expect_guard(&exchange, "another site");
    }
    exchange = guarded("a.example:8000", NULL, NULL);
    exchange.request.headers[2].value = STR("2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e1|1300000000");
    expect_guard(&exchange, "not that of the cookie");
}

static void H43_a_page_without_tls_is_foreign_to_an_endpoint_with_it(void **state)
{
    (void)state;
    struct exchange exchange = guarded("a.example", "http://a.example", NULL);
    exchange.is_https = true;
    expect_guard(&exchange, "another origin");
    exchange = guarded("a.example", "https://a.example", NULL);
    exchange.is_https = true;
    expect_guard(&exchange, NULL);
}

static void H43_two_origins_are_refused(void **state)
{
    (void)state;
    struct exchange exchange = guarded("a.example", "http://a.example", NULL);
    exchange.request.headers[exchange.request.header_count++] =
        (struct http_header){STR("origin"), STR("http://a.example")};
    expect_guard(&exchange, "another origin");
}

/* ---- the throttle ---- */

static void H45_failures_after_the_free_ones_double_the_wait(void **state)
{
    (void)state;
    struct login_throttle *throttle = login_throttle_new();
    struct str key = STR("a");
    uint64_t now_ms = 1000;
    static const uint64_t waits_ms[] = {0, 0, 0, 0, 0, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
        assert_int_equal(login_throttle_wait_ms(throttle, key, now_ms), 0);
        login_throttle_failed(throttle, key, LOGIN_ACCOUNT_WAIT_MS_MAX, now_ms);
        assert_int_equal(login_throttle_wait_ms(throttle, key, now_ms), waits_ms[i]);
        assert_int_equal(login_throttle_wait_ms(throttle, STR("b"), now_ms), 0);
        now_ms += waits_ms[i];
    }
    login_throttle_free(throttle);
}

static void H45_the_wait_stays_at_its_bound_however_many_failures(void **state)
{
    (void)state;
    struct login_throttle *throttle = login_throttle_new();
    for (int i = 0; i < 200; i++) {
        login_throttle_failed(throttle, STR("a"), LOGIN_ADDRESS_WAIT_MS_MAX, 5);
        assert_true(login_throttle_wait_ms(throttle, STR("a"), 5) <= LOGIN_ADDRESS_WAIT_MS_MAX);
    }
    assert_int_equal(login_throttle_wait_ms(throttle, STR("a"), 5), LOGIN_ADDRESS_WAIT_MS_MAX);
    assert_int_equal(login_throttle_wait_ms(throttle, STR("a"), 4 + LOGIN_ADDRESS_WAIT_MS_MAX), 1);
    assert_int_equal(login_throttle_wait_ms(throttle, STR("a"), 5 + LOGIN_ADDRESS_WAIT_MS_MAX), 0);
    login_throttle_free(throttle);
}

static void a_success_and_an_hour_without_failures_forget(void **state)
{
    (void)state;
    struct login_throttle *throttle = login_throttle_new();
    for (int i = 0; i < 10; i++) {
        login_throttle_failed(throttle, STR("a"), LOGIN_ADDRESS_WAIT_MS_MAX, 0);
        login_throttle_failed(throttle, STR("b"), LOGIN_ADDRESS_WAIT_MS_MAX, 0);
    }
    login_throttle_forget(throttle, STR("a"));
    login_throttle_forget(throttle, STR("a"));
    assert_int_equal(login_throttle_wait_ms(throttle, STR("a"), 0), 0);
    assert_true(login_throttle_wait_ms(throttle, STR("b"), 0) > 0);
    assert_int_equal(login_throttle_key_count(throttle), 1);
    login_throttle_failed(throttle, STR("c"), LOGIN_ADDRESS_WAIT_MS_MAX, LOGIN_FORGET_MS - 1);
    assert_int_equal(login_throttle_key_count(throttle), 2);
    login_throttle_failed(throttle, STR("c"), LOGIN_ADDRESS_WAIT_MS_MAX, LOGIN_FORGET_MS);
    assert_int_equal(login_throttle_key_count(throttle), 1);
    login_throttle_free(throttle);
}

static void the_throttle_is_bounded_and_forgets_who_failed_longest_ago(void **state)
{
    (void)state;
    struct login_throttle *throttle = login_throttle_new();
    for (unsigned i = 0; i < LOGIN_THROTTLE_KEYS_MAX + 2; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "%u", i);
        login_throttle_failed(throttle, str_make(key, (size_t)len), 1000, i);
        for (int again = 0; i == 0 && again < 9; again++) {
            login_throttle_failed(throttle, STR("0"), LOGIN_ADDRESS_WAIT_MS_MAX, 0);
        }
        assert_true(login_throttle_key_count(throttle) <= LOGIN_THROTTLE_KEYS_MAX);
    }
    assert_int_equal(login_throttle_key_count(throttle), LOGIN_THROTTLE_KEYS_MAX);
    assert_int_equal(login_throttle_wait_ms(throttle, STR("0"), 1), 0); /* was the oldest */
    login_throttle_free(throttle);
}

static void without_memory_a_failure_is_not_noted(void **state)
{
    (void)state;
    struct login_throttle *throttle = login_throttle_new();
    bool has_failed = true;
    for (size_t nth = 0; has_failed; nth++) {
        fail_alloc_at(nth);
        login_throttle_failed(throttle, STR("a"), 1000, 0);
        has_failed = fail_alloc_stop();
        assert_int_equal(login_throttle_key_count(throttle), has_failed ? 0 : 1);
    }
    login_throttle_free(throttle);
}

/* ---- the thread ---- */

static char hash[PASSWORD_HASH_SIZE];
static sem_t woken;

static void wake(void *owner)
{
    (void)owner;
    sem_post(&woken);
}

static struct hub *hub_open(void)
{
    static struct hub *hubs[1];
    const struct hub_options options = {
        .worker_count = 1, .hubs = hubs, .mails_max = 16, .wake = wake, .broker_new = broker_memory_new};
    sem_init(&woken, 0, 0);
    hubs[0] = hub_new(&options);
    assert_non_null(hubs[0]);
    return hubs[0];
}

struct asked {
    struct login_attempt attempt;
    int done_count;
};

static void on_done(struct login_attempt *attempt)
{
    struct asked *asked = attempt->context;
    for (size_t i = 0; i < sizeof attempt->password; i++) {
        assert_int_equal(attempt->password[i], 0); /* overwritten */
    }
    asked->done_count++;
}

static void fill(struct asked *asked, struct hub *hub, unsigned char address, const char *user,
                 const char *password)
{
    *asked = (struct asked){.attempt = {.hub = hub, .done = on_done, .user_len = strlen(user)}};
    asked->attempt.context = asked;
    memset(asked->attempt.address, address, sizeof asked->attempt.address);
    memcpy(asked->attempt.user, user, strlen(user));
    memcpy(asked->attempt.password, password, strlen(password));
    asked->attempt.password_len = strlen(password);
}

static enum login_verdict ask(struct login_thread *thread, struct hub *hub, unsigned char address,
                              const char *user, const char *password)
{
    struct asked asked;
    fill(&asked, hub, address, user, password);
    assert_true(login_thread_ask(thread, &asked.attempt));
    while (asked.done_count == 0) {
        (void)sem_wait(&woken);
        hub_turn(hub, 16);
    }
    assert_int_equal(asked.done_count, 1);
    assert_int_equal(asked.attempt.wait_ms > 0, asked.attempt.verdict == LOGIN_THROTTLED);
    return asked.attempt.verdict;
}

static void only_the_user_with_the_password_is_accepted(void **state)
{
    (void)state;
    struct hub *hub = hub_open();
    struct login_thread *thread = login_thread_start("root", hash);
    assert_int_equal(ask(thread, hub, 1, "root", "correct horse"), LOGIN_ACCEPTED);
    assert_int_equal(ask(thread, hub, 1, "root", "correct hors"), LOGIN_REFUSED);
    assert_int_equal(ask(thread, hub, 1, "roo", "correct horse"), LOGIN_REFUSED);
    assert_int_equal(ask(thread, hub, 1, "Root", "correct horse"), LOGIN_REFUSED);
    assert_int_equal(ask(thread, hub, 1, "", ""), LOGIN_REFUSED);
    login_thread_stop(thread);
    hub_free(hub);
}

static void H45_an_address_that_failed_often_waits_and_its_network_with_it(void **state)
{
    (void)state;
    struct hub *hub = hub_open();
    struct login_thread *thread = login_thread_start("root", hash);
    char user[2] = "a";
    for (int i = 0; i < LOGIN_FREE_FAILURES + 1; i++, user[0]++) {
        assert_int_equal(ask(thread, hub, 7, user, "wrong"), LOGIN_REFUSED);
    }
    assert_int_equal(ask(thread, hub, 7, "root", "correct horse"), LOGIN_THROTTLED);
    assert_int_equal(ask(thread, hub, 8, "root", "correct horse"), LOGIN_ACCEPTED);
    struct asked neighbour; /* the same /64, another interface */
    fill(&neighbour, hub, 7, "root", "correct horse");
    neighbour.attempt.address[ADDRESS_BYTES - 1] = 9;
    assert_true(login_thread_ask(thread, &neighbour.attempt));
    while (neighbour.done_count == 0) {
        (void)sem_wait(&woken);
        hub_turn(hub, 16);
    }
    assert_int_equal(neighbour.attempt.verdict, LOGIN_THROTTLED);
    login_thread_stop(thread);
    hub_free(hub);
}

static void what_waits_at_the_end_is_answered(void **state)
{
    (void)state;
    struct hub *hub = hub_open();
    struct login_thread *thread = login_thread_start("root", hash);
    struct asked *asked = calloc(3 * LOGIN_QUEUE_MAX, sizeof *asked);
    int accepted_count = 0, done_count = 0;
    assert_non_null(asked);
    for (int i = 0; i < 3 * LOGIN_QUEUE_MAX; i++) {
        fill(&asked[i], hub, (unsigned char)i, "x", "y");
        accepted_count += login_thread_ask(thread, &asked[i].attempt) ? 1 : 0;
    }
    assert_true(accepted_count >= LOGIN_QUEUE_MAX);
    login_thread_stop(thread);
    hub_turn(hub, 1000);
    hub_turn(hub, 1000);
    for (int i = 0; i < 3 * LOGIN_QUEUE_MAX; i++) {
        done_count += asked[i].done_count;
    }
    assert_int_equal(done_count, accepted_count);
    free(asked);
    hub_free(hub);
}

static int make_hash(void **state)
{
    (void)state;
    return password_hash(STR("correct horse"), hash) ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(H45_next_is_a_path_that_no_browser_takes_for_another_host),
        cmocka_unit_test(H43_the_guard_wants_our_origin_our_site_and_the_token),
        cmocka_unit_test(H43_a_page_without_tls_is_foreign_to_an_endpoint_with_it),
        cmocka_unit_test(H43_two_origins_are_refused),
        cmocka_unit_test(H45_failures_after_the_free_ones_double_the_wait),
        cmocka_unit_test(H45_the_wait_stays_at_its_bound_however_many_failures),
        cmocka_unit_test(a_success_and_an_hour_without_failures_forget),
        cmocka_unit_test(the_throttle_is_bounded_and_forgets_who_failed_longest_ago),
        cmocka_unit_test(without_memory_a_failure_is_not_noted),
        cmocka_unit_test(only_the_user_with_the_password_is_accepted),
        cmocka_unit_test(H45_an_address_that_failed_often_waits_and_its_network_with_it),
        cmocka_unit_test(what_waits_at_the_end_is_answered),
    };
    return cmocka_run_group_tests(tests, make_hash, NULL);
}

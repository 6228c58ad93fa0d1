#include "server/http_client.h"

#include "channels/base/clock.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ev.h>

#include <cmocka.h>

/* ---- a backend on the same loop: reads what comes until the body is there, then does as it was told ---- */

enum { PEERS_MAX = 16 };

struct backend {
    struct ev_loop *loop;
    ev_io listener;
    struct peer {
        ev_io io;
        struct backend *backend;
        struct buf request;
        bool is_open;
    } peers[PEERS_MAX];
    size_t peer_count;
    size_t request_count;
    struct buf last_request;
    const char *answer; /* sent for each request; NULL: nothing is sent */
    bool closes;        /* after the answer */
    char url[64];
};

static void peer_close(struct peer *peer)
{
    if (peer->is_open) {
        ev_io_stop(peer->backend->loop, &peer->io);
        close(peer->io.fd);
        buf_release(&peer->request);
        peer->is_open = false;
    }
}

static void on_peer(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct peer *peer = io->data;
    struct backend *backend = peer->backend;
    char bytes[4096];
    ssize_t len = read(io->fd, bytes, sizeof bytes);
    if (len <= 0) {
        peer_close(peer);
        return;
    }
    buf_append(&peer->request, bytes, (size_t)len);
    buf_append_char(&peer->request, '\0');
    bool is_whole = strstr(peer->request.at, "\r\n\r\n{}") != NULL; /* all tests post an empty object */
    peer->request.len--;
    if (!is_whole) {
        return;
    }
    backend->request_count++;
    buf_reset(&backend->last_request);
    buf_append_str(&backend->last_request, buf_str(&peer->request));
    buf_append_char(&backend->last_request, '\0');
    buf_reset(&peer->request);
    if (backend->answer != NULL) {
        assert_int_equal(write(io->fd, backend->answer, strlen(backend->answer)),
                         (ssize_t)strlen(backend->answer));
    }
    if (backend->closes) {
        peer_close(peer);
    }
}

static void on_listener(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct backend *backend = io->data;
    assert_true(backend->peer_count < PEERS_MAX);
    struct peer *peer = &backend->peers[backend->peer_count++];
    peer->backend = backend;
    peer->is_open = true;
    ev_io_init(&peer->io, on_peer, accept(io->fd, NULL, NULL), EV_READ);
    peer->io.data = peer;
    ev_io_start(loop, &peer->io);
}

static void backend_open(struct backend *backend, struct ev_loop *loop)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t address_len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, address_len), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &address_len), 0);
    backend->loop = loop;
    ev_io_init(&backend->listener, on_listener, fd, EV_READ);
    backend->listener.data = backend;
    ev_io_start(loop, &backend->listener);
    snprintf(backend->url, sizeof backend->url, "http://127.0.0.1:%u/hook", ntohs(address.sin_port));
}

static void backend_stop_listening(struct backend *backend)
{
    if (ev_is_active(&backend->listener)) {
        ev_io_stop(backend->loop, &backend->listener);
        close(backend->listener.fd);
    }
}

/* ---- one test: loop, backend, client, and what `done` said ---- */

enum { ANSWERS_MAX = 16 };

struct bench {
    struct ev_loop *loop;
    struct backend backend;
    struct http_client *client;
    struct http_target *target;
    size_t done_count;
    size_t expected; /* the loop stops when this many are done */
    enum http_outcome outcomes[ANSWERS_MAX];
    unsigned status;
    char body[256];
    bool posts_again; /* the first `done` posts once more */
};

static void on_done(void *context, const struct http_answer *answer)
{
    struct bench *bench = context;
    assert_true(bench->done_count < ANSWERS_MAX);
    bench->outcomes[bench->done_count++] = answer->outcome;
    bench->status = answer->status;
    size_t len = answer->body.len < sizeof bench->body - 1 ? answer->body.len : sizeof bench->body - 1;
    memcpy(bench->body, answer->body.len == 0 ? "" : answer->body.at, len);
    bench->body[len] = '\0';
    if (bench->posts_again) {
        bench->posts_again = false;
        assert_true(http_client_post(bench->client, bench->target, STR("{}"), NULL, 0, on_done, bench));
    }
    if (bench->done_count == bench->expected) {
        ev_break(bench->loop, EVBREAK_ALL);
    }
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    fail_msg("nothing came within the deadline");
}

static void post(struct bench *bench)
{
    size_t before = bench->done_count;
    assert_true(http_client_post(bench->client, bench->target, STR("{}"), NULL, 0, on_done, bench));
    assert_int_equal(bench->done_count, before); /* never inside the call */
}

static void run_until_done(struct bench *bench, size_t count)
{
    ev_timer deadline;
    ev_timer_init(&deadline, on_deadline, 10., 0.);
    ev_timer_start(bench->loop, &deadline);
    bench->expected = count;
    if (bench->done_count < count) {
        ev_run(bench->loop, 0);
    }
    ev_timer_stop(bench->loop, &deadline);
    assert_int_equal(bench->done_count, count);
}

static struct http_target_settings settings_of(const struct bench *bench)
{
    return http_target_defaults("test", bench->backend.url, 5000);
}

static void use_target(struct bench *bench, const struct http_target_settings *settings)
{
    bench->target = http_target_new(bench->client, settings);
    assert_non_null(bench->target);
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    const char *error = NULL;
    bench->loop = ev_loop_new(EVFLAG_AUTO);
    backend_open(&bench->backend, bench->loop);
    bench->client = http_client_new(bench->loop, &error);
    assert_non_null(bench->client);
    struct http_target_settings settings = settings_of(bench);
    use_target(bench, &settings);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    http_client_free(bench->client);
    backend_stop_listening(&bench->backend);
    for (size_t i = 0; i < bench->backend.peer_count; i++) {
        peer_close(&bench->backend.peers[i]);
    }
    buf_release(&bench->backend.last_request);
    ev_loop_destroy(bench->loop);
    free(bench);
    return 0;
}

static const char ok_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* ---- what comes back ---- */

static void an_answer_comes_with_status_and_body_and_keeps_the_connection(void **state)
{
    struct bench *bench = *state;
    bench->backend.answer = ok_answer;
    post(bench);
    run_until_done(bench, 1);
    assert_int_equal(bench->outcomes[0], HTTP_OUTCOME_ANSWER);
    assert_int_equal(bench->status, 200);
    assert_string_equal(bench->body, "ok");
    post(bench);
    run_until_done(bench, 2);
    assert_int_equal(bench->backend.request_count, 2);
    assert_int_equal(bench->backend.peer_count, 1);
}

static void a_status_that_is_no_success_is_an_answer_too(void **state)
{
    struct bench *bench = *state;
    bench->backend.answer = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    post(bench);
    run_until_done(bench, 1);
    assert_int_equal(bench->outcomes[0], HTTP_OUTCOME_ANSWER);
    assert_int_equal(bench->status, 503);
}

static void a_redirect_is_an_answer_and_is_not_followed(void **state)
{
    struct bench *bench = *state;
    char answer[256];
    snprintf(answer, sizeof answer, "HTTP/1.1 307 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
             bench->backend.url);
    bench->backend.answer = answer;
    post(bench);
    run_until_done(bench, 1);
    assert_int_equal(bench->status, 307);
    assert_int_equal(bench->backend.request_count, 1);
}

static void W31_nobody_listens(void **state)
{
    struct bench *bench = *state;
    backend_stop_listening(&bench->backend);
    post(bench);
    run_until_done(bench, 1);
    assert_int_equal(bench->outcomes[0], HTTP_OUTCOME_UNREACHABLE);
}

static void W31_the_backend_closes_early(void **state)
{
    struct bench *bench = *state;
    bench->backend.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok";
    bench->backend.closes = true;
    post(bench);
    run_until_done(bench, 1);
    assert_int_equal(bench->outcomes[0], HTTP_OUTCOME_BROKEN);
}

static void W31_what_is_no_http_is_broken(void **state)
{
    struct bench *bench = *state;
    bench->backend.answer = "hello\r\n\r\n";
    bench->backend.closes = true;
    post(bench);
    run_until_done(bench, 1);
    assert_int_equal(bench->outcomes[0], HTTP_OUTCOME_BROKEN);
}

static void W31_a_backend_that_says_nothing_times_out(void **state)
{
    struct bench *bench = *state;
    struct http_target_settings settings = settings_of(bench);
    settings.timeout_ms = 50;
    use_target(bench, &settings);
    post(bench);
    run_until_done(bench, 1);
    assert_int_equal(bench->outcomes[0], HTTP_OUTCOME_TIMEOUT);
}

static void W31_an_answer_may_be_as_large_as_the_limit(void **state)
{
    struct bench *bench = *state;
    struct http_target_settings settings = settings_of(bench);
    settings.answer_bytes_max = 64;
    use_target(bench, &settings);
    char answer[256];
    static const struct {
        unsigned len;
        enum http_outcome outcome;
    } cases[] = {{63, HTTP_OUTCOME_ANSWER}, {64, HTTP_OUTCOME_ANSWER}, {65, HTTP_OUTCOME_TOO_LARGE}};
    for (size_t i = 0; i < 3; i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            if (chunked) {
                snprintf(answer, sizeof answer,
                         "HTTP/1.1 200 O\r\nTransfer-Encoding:chunked\r\n\r\n%x\r\n%0*u\r\n0\r\n\r\n",
                         cases[i].len, (int)cases[i].len, 0u);
            } else {
                snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n%0*u",
                         cases[i].len, (int)cases[i].len, 0u);
            }
            bench->backend.answer = answer;
            size_t index = bench->done_count;
            post(bench);
            run_until_done(bench, index + 1);
            assert_int_equal(bench->outcomes[index], cases[i].outcome);
        }
    }
}

static void W31_a_head_that_does_not_end_is_too_large(void **state)
{
    struct bench *bench = *state;
    struct http_target_settings settings = settings_of(bench);
    settings.answer_bytes_max = 256;
    use_target(bench, &settings);
    char answer[1024] = "HTTP/1.1 200 OK\r\n";
    while (strlen(answer) < 300) {
        strncat(answer, "X-Line: 0123456789\r\n", sizeof answer - strlen(answer) - 1);
    }
    bench->backend.answer = answer;
    post(bench);
    run_until_done(bench, 1);
    assert_int_equal(bench->outcomes[0], HTTP_OUTCOME_TOO_LARGE);
}

/* ---- what goes out ---- */

static void a_header_with_a_line_break_or_a_bad_name_is_left_out(void **state)
{
    struct bench *bench = *state;
    const struct http_field fields[] = {
        {STR("X-Good"), STR(" yes\t")}, {STR("X-Evil"), STR("a\r\nX-Smuggled: 1")},
        {STR("X Space"), STR("1")},     {STR("X-Colon: 1\r\nX-Name"), STR("1")},
        {STR("X-Empty"), STR("")},      {STR(""), STR("nameless")},
    };
    bench->backend.answer = ok_answer;
    assert_true(http_client_post(bench->client, bench->target, STR("{}"), fields, 6, on_done, bench));
    run_until_done(bench, 1);
    const char *request = bench->backend.last_request.at;
    assert_non_null(strstr(request, "\r\nX-Good: yes\r\n"));
    assert_null(strstr(request, "Smuggled"));
    assert_null(strstr(request, "Evil"));
    assert_null(strstr(request, "Space"));
    assert_null(strstr(request, "X-Name"));
    assert_null(strstr(request, "X-Empty"));
    assert_null(strstr(request, "nameless"));
    assert_non_null(strstr(request, "POST /hook HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_null(strstr(request, "Expect"));
}

static void fields_of_the_target_go_with_every_request(void **state)
{
    struct bench *bench = *state;
    struct http_target_settings settings = settings_of(bench);
    const struct http_field field = {STR("X-Key"), STR("abc")};
    settings.fields = &field;
    settings.field_count = 1;
    use_target(bench, &settings);
    bench->backend.answer = ok_answer;
    for (size_t i = 1; i <= 2; i++) {
        post(bench);
        run_until_done(bench, i);
        assert_non_null(strstr(bench->backend.last_request.at, "\r\nX-Key: abc\r\n"));
    }
}

/* ---- bounds ---- */

static void over_the_limit_requests_wait_and_over_the_queue_they_are_refused(void **state)
{
    struct bench *bench = *state;
    struct http_target_settings settings = settings_of(bench);
    settings.in_flight_max = 1;
    settings.waiting_max = 2;
    use_target(bench, &settings);
    bench->backend.answer = ok_answer;
    for (int i = 0; i < 4; i++) {
        post(bench);
    }
    const struct http_counters *counters = http_target_counters(bench->target);
    assert_int_equal(counters->in_flight, 1);
    assert_int_equal(counters->waiting, 2);
    run_until_done(bench, 4);
    assert_int_equal(bench->outcomes[0], HTTP_OUTCOME_BUSY);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(bench->outcomes[i], HTTP_OUTCOME_ANSWER);
    }
    assert_int_equal(bench->backend.peer_count, 1);
    assert_int_equal(counters->waiting, 0);
}

static void what_waits_ends_when_its_time_is_up(void **state)
{
    struct bench *bench = *state;
    struct http_target_settings settings = settings_of(bench);
    settings.in_flight_max = 1;
    settings.timeout_ms = 50;
    use_target(bench, &settings);
    post(bench);
    post(bench);
    run_until_done(bench, 2);
    assert_int_equal(bench->outcomes[0], HTTP_OUTCOME_TIMEOUT);
    assert_int_equal(bench->outcomes[1], HTTP_OUTCOME_TIMEOUT);
    assert_true(bench->backend.request_count <= 1);
}

static void after_enough_failures_nothing_is_sent_until_a_probe_is_answered(void **state)
{
    struct bench *bench = *state;
    struct http_target_settings settings = settings_of(bench);
    clock_set_for_test(1000, 1000);
    settings.failures_max = 2;
    settings.open_ms = 500;
    use_target(bench, &settings);
    bench->backend.answer = "no http\r\n\r\n";
    bench->backend.closes = true;
    for (size_t i = 1; i <= 3; i++) {
        post(bench);
        run_until_done(bench, i);
    }
    assert_int_equal(bench->outcomes[1], HTTP_OUTCOME_BROKEN);
    assert_int_equal(bench->outcomes[2], HTTP_OUTCOME_OPEN);
    assert_int_equal(bench->backend.request_count, 2);
    bench->backend.answer = ok_answer;
    clock_advance_for_test(500);
    post(bench); /* the probe */
    post(bench); /* nobody beside it */
    run_until_done(bench, 5);
    assert_int_equal(bench->outcomes[3], HTTP_OUTCOME_OPEN);
    assert_int_equal(bench->outcomes[4], HTTP_OUTCOME_ANSWER);
    post(bench);
    run_until_done(bench, 6);
    assert_int_equal(bench->outcomes[5], HTTP_OUTCOME_ANSWER);
    clock_set_for_test(0, 0);
}

static void done_may_post_again(void **state)
{
    struct bench *bench = *state;
    bench->backend.answer = ok_answer;
    bench->posts_again = true;
    post(bench);
    run_until_done(bench, 2);
    assert_int_equal(bench->outcomes[1], HTTP_OUTCOME_ANSWER);
}

static void freeing_the_client_ends_everything_and_takes_nothing_new(void **state)
{
    struct bench *bench = *state;
    struct http_target_settings settings = settings_of(bench);
    settings.in_flight_max = 1;
    use_target(bench, &settings);
    post(bench);
    post(bench);
    bench->posts_again = true;
    http_client_free(bench->client);
    bench->client = NULL;
    assert_int_equal(bench->done_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bench->outcomes[i], HTTP_OUTCOME_STOPPED);
    }
}

static void only_http_urls_are_valid(void **state)
{
    (void)state;
    assert_true(http_url_is_valid("http://localhost:3000/connect"));
    assert_true(http_url_is_valid("https://[::1]/x?y=z"));
    assert_false(http_url_is_valid(""));
    assert_false(http_url_is_valid("/path"));
    assert_false(http_url_is_valid("localhost:3000"));
    assert_false(http_url_is_valid("file:///etc/passwd"));
    assert_false(http_url_is_valid("grpc://localhost:3000"));
    assert_false(http_url_is_valid("http://a b/"));
    assert_false(http_url_is_valid("http://user:password@localhost/"));
}

#define WITH_BACKEND(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BACKEND(an_answer_comes_with_status_and_body_and_keeps_the_connection),
        WITH_BACKEND(a_status_that_is_no_success_is_an_answer_too),
        WITH_BACKEND(a_redirect_is_an_answer_and_is_not_followed),
        WITH_BACKEND(W31_nobody_listens),
        WITH_BACKEND(W31_the_backend_closes_early),
        WITH_BACKEND(W31_what_is_no_http_is_broken),
        WITH_BACKEND(W31_a_backend_that_says_nothing_times_out),
        WITH_BACKEND(W31_an_answer_may_be_as_large_as_the_limit),
        WITH_BACKEND(W31_a_head_that_does_not_end_is_too_large),
        WITH_BACKEND(a_header_with_a_line_break_or_a_bad_name_is_left_out),
        WITH_BACKEND(fields_of_the_target_go_with_every_request),
        WITH_BACKEND(over_the_limit_requests_wait_and_over_the_queue_they_are_refused),
        WITH_BACKEND(what_waits_ends_when_its_time_is_up),
        WITH_BACKEND(after_enough_failures_nothing_is_sent_until_a_probe_is_answered),
        WITH_BACKEND(done_may_post_again),
        WITH_BACKEND(freeing_the_client_ends_everything_and_takes_nothing_new),
        cmocka_unit_test(only_http_urls_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

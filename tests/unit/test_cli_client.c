#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/base/must.h"
#include "server/cli.h"
#include "server/websocket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server of one connection: it answers the n-th message with the n-th text, and notes what came. */
struct script {
    const char *head;       /* instead of a good handshake answer; NULL = a good one */
    const char *answers[8]; /* one per message; the connection is dropped after the last */
    unsigned close_code;    /* after the last answer, with close_reason; 0 = drop */
    const char *close_reason;
    int listener;
    char url[64];
    char request[2048];
    char messages[8][512];
    size_t message_count;
    pthread_t thread;
};

static void send_bytes(int fd, const void *bytes, size_t len)
{
    must(send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void send_text(int fd, const char *text)
{
    unsigned char head[WEBSOCKET_HEAD_MAX];
    send_bytes(fd, head, websocket_head(head, WEBSOCKET_OPCODE_TEXT, true, strlen(text)));
    send_bytes(fd, text, strlen(text));
}

static void read_request(struct script *script, int fd)
{
    size_t len = 0;
    while (strstr(script->request, "\r\n\r\n") == NULL) {
        ssize_t count = recv(fd, script->request + len, sizeof script->request - 1 - len, 0);
        must(count > 0);
        len += (size_t)count;
    }
}

static void answer_request(struct script *script, int fd)
{
    const char *name = "Sec-WebSocket-Key: ";
    const char *key = strstr(script->request, name);
    char accept[WEBSOCKET_ACCEPT_KEY_LEN];
    char answer[256];
    must(key != NULL);
    key += strlen(name);
    struct str text = str_make(key, strcspn(key, "\r"));
    must(websocket_key_is_valid(text));
    websocket_accept_key(text, accept);
    int len = snprintf(answer, sizeof answer,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: upgrade\r\n"
                       "sec-websocket-accept: %.*s\r\n\r\n",
                       (int)sizeof accept, accept);
    send_bytes(fd, answer, (size_t)len);
}

static void converse(struct script *script, int fd)
{
    static const struct websocket_limits limits = {65536, 1024, 64};
    struct websocket_reader reader;
    unsigned char bytes[4096];
    unsigned char *at = bytes;
    size_t len = 0;
    websocket_reader_init(&reader, &limits);
    while (script->answers[script->message_count] != NULL) {
        struct websocket_event event;
        enum websocket_event_kind kind = websocket_read(&reader, &at, &len, &event);
        if (kind == WEBSOCKET_MORE) {
            ssize_t count = recv(fd, bytes, sizeof bytes, 0);
            if (count <= 0) {
                break;
            }
            at = bytes;
            len = (size_t)count;
        } else if (kind == WEBSOCKET_MESSAGE) {
            (void)snprintf(script->messages[script->message_count], sizeof script->messages[0], "%.*s",
                           STR_ARG(event.payload));
            send_text(fd, script->answers[script->message_count++]);
        } else {
            break;
        }
    }
    websocket_reader_release(&reader);
}

static void *serve(void *arg)
{
    struct script *script = arg;
    int fd = accept(script->listener, NULL, NULL);
    must(fd >= 0);
    read_request(script, fd);
    if (script->head != NULL) {
        send_bytes(fd, script->head, strlen(script->head));
    } else {
        answer_request(script, fd);
        converse(script, fd);
    }
    if (script->close_code != 0) {
        unsigned char frame[WEBSOCKET_CLOSE_FRAME_MAX];
        send_bytes(fd, frame,
                   websocket_close_frame(frame, script->close_code, str_from_cstr(script->close_reason)));
    }
    /* Closed only when the client has gone, so that nothing it still sends turns our close into a reset. */
    must(shutdown(fd, SHUT_WR) == 0);
    char rest[256];
    while (recv(fd, rest, sizeof rest, 0) > 0) {
    }
    must(close(fd) == 0);
    return NULL;
}

struct outcome {
    int code;
    char out[4096];
    char err[4096];
};

static int redirect(int fd, int *saved)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    *saved = dup(fd);
    int target = dup(fileno(file));
    assert_true(*saved >= 0 && target >= 0);
    assert_int_equal(fclose(file), 0);
    assert_true(dup2(target, fd) >= 0);
    return target;
}

static void restore(int fd, int saved, int target, char *text, size_t size)
{
    assert_true(dup2(saved, fd) >= 0);
    ssize_t len = pread(target, text, size - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    assert_int_equal(close(saved) + close(target), 0);
}

static struct outcome run(int (*command)(int, char **), const char *const *arguments)
{
    struct outcome outcome = {0};
    char *argv[10] = {(char *)(uintptr_t)(command == cli_pub ? "pub" : "sub")};
    int argc = 1;
    int saved_out;
    int saved_err;
    for (; arguments[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
    }
    (void)fflush(stdout);
    int out = redirect(STDOUT_FILENO, &saved_out);
    int err = redirect(STDERR_FILENO, &saved_err);
    outcome.code = command(argc, argv);
    (void)fflush(stdout);
    (void)fflush(stderr);
    restore(STDOUT_FILENO, saved_out, out, outcome.out, sizeof outcome.out);
    restore(STDERR_FILENO, saved_err, err, outcome.err, sizeof outcome.err);
    return outcome;
}

#define RUN(command, ...) run(command, (const char *const[]){__VA_ARGS__, NULL})

static void start(struct script *script)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    script->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(script->listener >= 0);
    assert_int_equal(bind(script->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(script->listener, 1), 0);
    assert_int_equal(getsockname(script->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(script->url, sizeof script->url, "ws://127.0.0.1:%u/path?x=1", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&script->thread, NULL, serve, script), 0);
}

static void finish(struct script *script)
{
    assert_int_equal(pthread_join(script->thread, NULL), 0);
    assert_int_equal(close(script->listener), 0);
}

static void pub_connects_publishes_and_waits_for_the_reply(void **state)
{
    struct script script = {.answers = {"{\"id\":1,\"connect\":{\"client\":\"x\",\"ping\":25,\"pong\":true}}",
                                        "{}\n{\"id\":2,\"publish\":{}}"}};
    (void)state;
    start(&script);
    struct outcome it =
        RUN(cli_pub, "chat:lobby", "{\"text\":\n1e2}", "--url", script.url, "--token=t\"oken");
    finish(&script);
    assert_int_equal(it.code, CLI_OK);
    assert_string_equal(it.out, "");
    assert_string_equal(it.err, "");
    assert_non_null(strstr(script.request, "GET /path?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
    assert_string_equal(script.messages[0],
                        "{\"id\":1,\"connect\":{\"name\":\"starling\",\"token\":\"t\\\"oken\"}}");
    assert_string_equal(script.messages[1],
                        "{\"id\":2,\"publish\":{\"channel\":\"chat:lobby\",\"data\":{\"text\": 1e2}}}");
}

static void pub_says_what_the_server_refused(void **state)
{
    struct script script = {
        .answers = {"{\"id\":1,\"connect\":{}}",
                    "{\"id\":2,\"error\":{\"code\":103,\"message\":\"permission\\u001b denied\"}}"}};
    (void)state;
    start(&script);
    struct outcome it = RUN(cli_pub, "chat:lobby", "1", "--url", script.url);
    finish(&script);
    assert_int_equal(it.code, CLI_FAILED);
    assert_string_equal(it.err, "error: the server said: 103 permission? denied\n");
}

static void sub_prints_one_line_of_json_for_each_publication(void **state)
{
    struct script script = {
        .answers = {"{\"id\":1,\"connect\":{\"ping\":25,\"pong\":true}}",
                    "{\"id\":2,\"subscribe\":{}}\n{\"push\":{\"channel\":\"a\",\"join\":{\"info\":{}}}}",
                    "{\"id\":3,\"subscribe\":{}}\n{}",
                    "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":{\"n\": 1e2},\"offset\":1}}}\n"
                    "{\"push\":{\"channel\":\"b\",\"pub\":{\"data\":\"x\xC2\x9By\x7F\"}}}\n"
                    "{\"push\":{\"channel\":\"b\",\"pub\":{\"data\":3}}}"}};
    (void)state;
    start(&script);
    struct outcome it = RUN(cli_sub, "a", "b", "--url", script.url, "--count", "2");
    finish(&script);
    assert_int_equal(it.code, CLI_OK);
    assert_string_equal(it.out, "{\"channel\":\"a\",\"data\":{\"n\": 1e2}}\n"
                                "{\"channel\":\"b\",\"data\":\"x\\u009by\\u007f\"}\n");
    assert_string_equal(script.messages[1], "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}");
    assert_string_equal(script.messages[3], "{}");
}

static void P08_a_close_code_and_its_reason_are_said_in_printable_words(void **state)
{
    struct script script = {
        .answers = {"{\"id\":1,\"connect\":{}}"}, .close_code = 3500, .close_reason = "invalid\x1b token"};
    (void)state;
    start(&script);
    struct outcome it = RUN(cli_sub, "a", "--url", script.url);
    finish(&script);
    assert_int_equal(it.code, CLI_FAILED);
    assert_string_equal(it.err, "error: the server closed the connection: 3500 invalid? token\n");
}

static void an_unsubscribe_push_ends_sub(void **state)
{
    struct script script = {
        .answers = {"{\"id\":1,\"connect\":{}}",
                    "{\"id\":2,\"subscribe\":{}}\n"
                    "{\"push\":{\"channel\":\"a\",\"unsubscribe\":{\"code\":2000,\"reason\":\"server\"}}}"}};
    (void)state;
    start(&script);
    struct outcome it = RUN(cli_sub, "a", "--url", script.url);
    finish(&script);
    assert_int_equal(it.code, CLI_FAILED);
    assert_string_equal(it.err, "error: the server said: 2000 server\n");
}

static void what_is_no_websocket_server_is_said(void **state)
{
    static const struct {
        const char *head;
        const char *words;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\n\r\n", "the server answered: HTTP/1.1 404 Not Found"},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "Sec-WebSocket-Accept is wrong"},
        {"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", "is wrong"},
        {"HTTP/1.1 101 x\r\n", "dropped the connection"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct script script = {.head = cases[i].head};
        start(&script);
        struct outcome it = RUN(cli_pub, "a", "1", "--url", script.url);
        finish(&script);
        assert_int_equal(it.code, CLI_FAILED);
        assert_non_null(strstr(it.err, cases[i].words));
    }
}

static void answers_that_are_no_replies_end_the_talk(void **state)
{
    static const char *const answers[] = {"[]", "nonsense", "", "{\"id\":1"};
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct script script = {.answers = {answers[i]}};
        start(&script);
        struct outcome it = RUN(cli_pub, "a", "1", "--url", script.url);
        finish(&script);
        assert_int_equal(it.code, CLI_FAILED);
        assert_true(strlen(it.err) > strlen("error: \n"));
    }
}

static void wrong_arguments_are_refused_before_anything_is_sent(void **state)
{
    (void)state;
    assert_int_equal(RUN(cli_pub, "a").code, CLI_USAGE);
    assert_int_equal(RUN(cli_pub, "a", "1", "2").code, CLI_USAGE);
    assert_int_equal(RUN(cli_pub, "a", "hello").code, CLI_USAGE);
    assert_int_equal(RUN(cli_pub, "a", "1", "--count", "1").code, CLI_USAGE);
    assert_int_equal(RUN(cli_pub, "a\xFF", "1").code, CLI_USAGE);
    assert_int_equal(RUN(cli_sub, "--url", "ws://127.0.0.1:1/").code, CLI_USAGE);
    assert_int_equal(RUN(cli_sub, "a", "--count", "0").code, CLI_USAGE);
    assert_int_equal(RUN(cli_sub, "a", "--count").code, CLI_USAGE);
    assert_int_equal(RUN(cli_sub, "a", "--nonsense").code, CLI_USAGE);
}

static void urls_that_are_none_of_ours_are_refused(void **state)
{
    static const char *const urls[] = {
        "gopher://127.0.0.1/",      "http://127.0.0.1/", "ws://",
        "ws://127.0.0.1:99999/",    "ws://127.0.0.1:x/", "ws://127.0.0.1:1/a b",
        "ws://127.0.0.1:1/\r\nX: y"};
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct outcome it = RUN(cli_pub, "a", "1", "--url", urls[i]);
        assert_int_equal(it.code, CLI_FAILED);
        assert_non_null(strstr(it.err, "the URL must be like ws://"));
    }
}

static void a_server_that_is_not_there_is_said(void **state)
{
    struct script script = {0};
    (void)state;
    start(&script); /* finds a free port */
    assert_int_equal(RUN(cli_pub, "a", "1", "--url", script.url).code, CLI_FAILED);
    finish(&script);
    struct outcome it = RUN(cli_pub, "a", "1", "--url", script.url);
    assert_int_equal(it.code, CLI_FAILED);
    assert_non_null(strstr(it.err, "cannot connect to 127.0.0.1:"));
    assert_non_null(strstr(it.err, "Connection refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pub_connects_publishes_and_waits_for_the_reply),
        cmocka_unit_test(pub_says_what_the_server_refused),
        cmocka_unit_test(sub_prints_one_line_of_json_for_each_publication),
        cmocka_unit_test(P08_a_close_code_and_its_reason_are_said_in_printable_words),
        cmocka_unit_test(an_unsubscribe_push_ends_sub),
        cmocka_unit_test(what_is_no_websocket_server_is_said),
        cmocka_unit_test(answers_that_are_no_replies_end_the_talk),
        cmocka_unit_test(wrong_arguments_are_refused_before_anything_is_sent),
        cmocka_unit_test(urls_that_are_none_of_ours_are_refused),
        cmocka_unit_test(a_server_that_is_not_there_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

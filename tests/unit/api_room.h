/* api_room.h - two workers without sockets, whose API is called like a function.
 *
 * The hubs, the broker and the API are the real ones; what lies on either side of them is made here:
 * exchanges that remember their answer, and sessions that remember what was done to them. Workers take turns
 * until nobody has anything to say, all on this thread.
 *
 * For one test file each: it defines what http_connection.c and session.c define in the server.
 */
#ifndef STARLING_TESTS_API_ROOM_H
#define STARLING_TESTS_API_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "server/api.h"
#include "server/exchange.h"
#include "server/health.h"
#include "server/session.h"
#include "server/users.h"
#include "server/worker.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROOM_WORKERS = 2, ROOM_MAILS_MAX = 64 };

#define ROOM_KEY "a-key-of-the-api-that-nobody-knows"

struct room {
    struct config *config;
    struct server server;
    struct worker *workers[ROOM_WORKERS];
    struct hub *hubs[ROOM_WORKERS];
    struct buf answer; /* "200 {…}" of the last exchange, with an end; epochs are written as E */
    size_t answer_count;
    struct buf acts; /* what was done to sessions: "disconnect(c1 3503 force disconnect) " … */
};

static struct room room;

/* ---- exchanges ---- */

static void append_without_epochs(struct buf *out, struct str text)
{
    static const char name[] = "\"epoch\":\"";
    for (size_t i = 0; i < text.len; i++) {
        if (str_starts_with(str_skip(text, i), STR("\"epoch\":\"")) && text.at[i + sizeof name - 1] != '"') {
            buf_append_lit(out, "\"epoch\":\"E");
            i += sizeof name - 2 + EPOCH_TEXT_LEN;
        } else {
            buf_append_char(out, text.at[i]);
        }
    }
}

void exchange_header(struct exchange *exchange, const char *name, struct str value)
{
    (void)http_response_header_checked(&exchange->extra, name, value);
}

void exchange_respond(struct exchange *exchange, unsigned status, const char *content_type, struct str body)
{
    if (exchange->connection != NULL) {
        assert_true(str_ends_with(str_from_cstr(content_type), STR("json")) ||
                    str_starts_with(str_from_cstr(content_type), STR("text/plain")));
        buf_reset(&room.answer);
        buf_printf(&room.answer, "%u ", status);
        append_without_epochs(&room.answer, body);
        buf_append_char(&room.answer, '\0');
    }
    room.answer_count++;
    buf_release(&exchange->head);
    buf_release(&exchange->body);
    buf_release(&exchange->extra);
    free(exchange);
}

void exchange_refuse(struct exchange *exchange, unsigned status, const char *text)
{
    exchange_respond(exchange, status, "text/plain",
                     str_from_cstr(text != NULL ? text : http_status_text(status)));
}

/* `headers` are whole lines. The body is at its exact size, so that a sanitizer sees every read behind its
 * end. */
static struct exchange *exchange_new(const char *target, const char *headers, struct str body)
{
    static const struct http_limits limits = {
        .request_line_bytes_max = 8192,
        .header_bytes_max = 8192,
        .headers_bytes_max = 16384,
        .header_count_max = 64,
        .body_bytes_max = 1 << 20,
    };
    struct exchange *exchange = calloc(1, sizeof *exchange);
    struct http_scan scan = {0};
    assert_non_null(exchange);
    buf_printf(&exchange->head, "POST %s HTTP/1.1\r\nHost: here\r\n%s\r\n", target, headers);
    assert_int_equal(
        http_read_head(exchange->head.at, exchange->head.len, &limits, &scan, &exchange->request), HTTP_HEAD);
    exchange->worker = room.workers[0];
    exchange->connection = (struct connection *)&room; /* somebody; never looked at */
    exchange->body = (struct buf){.at = malloc(body.len + 1), .len = body.len, .capacity = body.len + 1};
    assert_non_null(exchange->body.at);
    memcpy(exchange->body.at, body.at, body.len);
    exchange->body.at = realloc(exchange->body.at, body.len > 0 ? body.len : 1);
    return exchange;
}

/* ---- sessions ---- */

static void note(const struct session *session, const char *what, const char *details)
{
    buf_printf(&room.acts, "%s(%.*s%s%s) ", what, 2, session->client, details[0] != '\0' ? " " : "", details);
}

void session_disconnect(struct session *session, const struct disconnect *disconnect)
{
    char text[200];
    (void)snprintf(text, sizeof text, "%u %.*s", disconnect->code, STR_ARG(disconnect->reason));
    note(session, "disconnect", text);
}

void session_subscribe(struct session *session, const struct session_subscribe_options *options)
{
    char text[400];
    (void)snprintf(text, sizeof text, "%.*s info=%.*s data=%.*s expires=%u since=%u:%.*s %d%d%d%d%d",
                   STR_ARG(options->channel), STR_ARG(options->info), STR_ARG(options->data),
                   (unsigned)options->expire_at_s, (unsigned)options->recover_since.offset,
                   STR_ARG(options->recover_since.epoch), options->presence, options->join_leave,
                   options->force_push_join_leave, options->force_recovery, options->force_positioning);
    note(session, "subscribe", text);
}

void session_unsubscribe(struct session *session, struct str channel, const struct unsubscribe *unsubscribe)
{
    char text[200];
    (void)snprintf(text, sizeof text, "%.*s %u", STR_ARG(channel), unsubscribe->code);
    note(session, "unsubscribe", text);
}

void session_refresh(struct session *session, bool is_expired, uint64_t expire_at_s, struct str info)
{
    char text[200];
    (void)snprintf(text, sizeof text, "%s%u %.*s", is_expired ? "expired " : "", (unsigned)expire_at_s,
                   STR_ARG(info));
    note(session, "refresh", text);
}

/* Client IDs are as long as an UUID: "c1" DOTS. */
#define DOTS ".................................."

/* A connected client of worker `index`. */
static inline struct session *room_join(unsigned index, const char *user, const char *client)
{
    struct session *session = calloc(1, sizeof *session);
    assert_non_null(session);
    session->magic = SESSION_MAGIC;
    session->state = SESSION_CONNECTED;
    session->worker = room.workers[index];
    assert_int_equal(strlen(client), UUID_TEXT_LEN);
    memcpy(session->client, client, UUID_TEXT_LEN);
    session->user = users_enter(session->worker->users, str_from_cstr(user), &session->in_user);
    assert_non_null(session->user);
    session->worker->metrics.clients++;
    return session;
}

static inline void room_leave(struct session *session)
{
    session->worker->metrics.clients--;
    users_leave(session->worker->users, session->user, &session->in_user);
    free(session);
}

/* ---- the room ---- */

static void wake_nobody(void *worker)
{
    (void)worker;
}

static struct frame *encode_nothing(enum frame_kind kind, const struct message *message)
{
    (void)kind;
    (void)message;
    return NULL;
}

static void open_worker(unsigned index)
{
    struct worker *worker = calloc(1, sizeof *worker);
    assert_non_null(worker);
    worker->index = index;
    worker->server = &room.server;
    worker->config = room.config;
    worker->users = users_new();
    timers_init(&worker->timers, 0);
    const struct hub_options options = {
        .index = index,
        .worker_count = ROOM_WORKERS,
        .hubs = room.hubs,
        .mails_max = ROOM_MAILS_MAX,
        .owner = worker,
        .wake = wake_nobody,
        .encode = encode_nothing,
        .broker_new = broker_memory_new,
    };
    worker->hub = hub_new(&options);
    assert_non_null(worker->hub);
    room.workers[index] = worker;
    room.hubs[index] = worker->hub;
}

/* `more` goes into the configuration, and ends with a comma. */
static void room_open(const char *more)
{
    struct buf text = {0};
    struct config_report report = {0};
    buf_printf(&text,
               "{%s \"channel\": {\"without_namespace\": {\"presence\": true, \"history_size\": 20000,"
               " \"history_ttl\": \"300s\"}, \"namespaces\": [{\"name\": \"plain\"},"
               " {\"name\": \"object\", \"publication_data_format\": \"json_object\"},"
               " {\"name\": \"binary\", \"publication_data_format\": \"binary\"}]},"
               " \"client\": {\"allow_anonymous_connect_without_token\": true}}",
               more);
    const struct config_source source = {
        .text = buf_str(&text), .format = CONFIG_JSON, .allows_weak_secrets = true};
    room = (struct room){0};
    if (config_load(&room.config, &source, &report) != STATUS_OK) {
        config_report_print(&report, stderr);
        fail();
    }
    config_report_release(&report);
    buf_release(&text);
    room.server = (struct server){.workers = room.workers, .hubs = room.hubs, .worker_count = ROOM_WORKERS};
    (void)snprintf(room.server.node_id, sizeof room.server.node_id, "the-id");
    (void)snprintf(room.server.node_name, sizeof room.server.node_name, "the \"name\"");
    for (unsigned i = 0; i < ROOM_WORKERS; i++) {
        open_worker(i);
    }
}

/* One turn of each worker. */
static bool room_turn(void)
{
    bool has_more = false;
    for (unsigned i = 0; i < ROOM_WORKERS; i++) {
        room.workers[i]->now_ms = clock_monotonic_ms();
        has_more = hub_turn(room.hubs[i], 100000) || has_more;
    }
    return has_more;
}

/* Until all is quiet. */
static void room_settle(void)
{
    enum { ROUNDS = 4000 }; /* a sequential batch of a thousand takes a few for each */
    size_t answered = room.answer_count;
    for (int i = 0; i < ROUNDS && (room_turn() || i < 8 || room.answer_count == answered); i++) {
    }
}

static void room_close(void)
{
    room_settle();
    for (unsigned i = 0; i < ROOM_WORKERS; i++) {
        hub_free(room.hubs[i]);
        users_free(room.workers[i]->users);
        free(room.workers[i]);
    }
    buf_release(&room.answer);
    buf_release(&room.acts);
    config_free(room.config);
}

static inline int open_room(void **state)
{
    (void)state;
    room_open("\"http_api\": {\"key\": \"" ROOM_KEY "\"},");
    return 0;
}

static inline int close_room(void **state)
{
    (void)state;
    room_close();
    return 0;
}

/* Calls and gives back the whole answer. */
static inline const char *call_with(const char *target, const char *headers, struct str body)
{
    size_t answered = room.answer_count;
    api_handle(exchange_new(target, headers, body));
    room_settle();
    assert_int_equal(room.answer_count, answered + 1);
    return room.answer.at;
}

static inline const char *call(const char *target, const char *body)
{
    return call_with(target, "X-API-Key: " ROOM_KEY "\r\n", str_from_cstr(body));
}

#define expect_call(target, body, expected) assert_string_equal(call((target), (body)), (expected))

#define BAD_REQUEST "200 {\"error\":{\"code\":107,\"message\":\"bad request\"}}"

/* What was done to sessions since the last time. */
static inline void expect_acts(const char *expected)
{
    buf_append_char(&room.acts, '\0');
    assert_string_equal(room.acts.at, expected);
    buf_reset(&room.acts);
}

#endif

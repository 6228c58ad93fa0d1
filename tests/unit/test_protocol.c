#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/json_span.h"
#include "server/protocol.h"

#include <stdio.h>
#include <stdlib.h>

/* One frame in memory of exactly its size, so that the sanitizer sees a read past its end. */
struct feed {
    char *memory;
    struct str rest;
    struct buf scratch;
};

static struct feed feed_open(struct str frame)
{
    struct feed feed = {.memory = malloc(frame.len + 1)};
    assert_non_null(feed.memory);
    memcpy(feed.memory + 1, frame.at, frame.len);
    feed.rest = str_make(feed.memory + 1, frame.len);
    return feed;
}

static void feed_close(struct feed *feed)
{
    free(feed->memory);
    buf_release(&feed->scratch);
}

static struct command feed_next(struct feed *feed)
{
    struct command command = {0};
    assert_int_equal(protocol_next_command(&feed->rest, &command, &feed->scratch), PROTOCOL_COMMAND);
    return command;
}

static void feed_expect_end(struct feed *feed)
{
    struct command command = {0};
    assert_int_equal(protocol_next_command(&feed->rest, &command, &feed->scratch), PROTOCOL_END);
    assert_int_equal(protocol_next_command(&feed->rest, &command, &feed->scratch), PROTOCOL_END);
}

/* The only command of a frame: kind, id and status. */
static void expect_command(const char *frame, enum command_kind kind, uint32_t id, enum status status)
{
    struct feed feed = feed_open(str_from_cstr(frame));
    struct command command = feed_next(&feed);
    if (command.kind != kind || command.id != id || command.status != status) {
        fail_msg("%s: kind %d, id %u, status %d", frame, (int)command.kind, command.id, (int)command.status);
    }
    feed_expect_end(&feed);
    feed_close(&feed);
}

static void expect_malformed(struct str frame)
{
    struct feed feed = feed_open(frame);
    struct command command = {0};
    if (protocol_next_command(&feed.rest, &command, &feed.scratch) != PROTOCOL_MALFORMED) {
        fail_msg("not malformed: %.*s", STR_ARG(frame));
    }
    feed_expect_end(&feed);
    feed_close(&feed);
}

static void expect_str(struct str actual, const char *expected)
{
    if (!str_is(actual, expected)) {
        fail_msg("got '%.*s' instead of '%s'", STR_ARG(actual), expected);
    }
}

/* What was encoded, which must be one line of JSON; empties the buf. */
static void expect_encoded(struct buf *buf, const char *expected)
{
    assert_false(buf->failed);
    expect_str(buf_str(buf), expected);
    assert_true(json_validate(buf_str(buf), JSON_DEPTH_LIMIT));
    assert_true(str_find(buf_str(buf), '\n') < 0);
    buf_reset(buf);
}

/* -- framing --------------------------------------------------------------------------------------------- */

static void a_frame_gives_its_commands_in_order(void **state)
{
    (void)state;
    struct feed feed =
        feed_open(STR("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n"
                      "{\"id\":3,\"subscribe\":{\"channel\":\"b\"}}\n"));
    struct command command = feed_next(&feed);
    assert_int_equal(command.kind, COMMAND_CONNECT);
    command = feed_next(&feed);
    assert_int_equal(command.id, 2);
    expect_str(command.subscribe.channel, "a");
    command = feed_next(&feed);
    assert_int_equal(command.id, 3);
    expect_str(command.subscribe.channel, "b");
    feed_expect_end(&feed);
    feed_close(&feed);
}

static void line_breaks_inside_and_between_commands_are_white_space(void **state)
{
    (void)state;
    struct feed feed =
        feed_open(STR("\r\n{\n\"id\":1,\n\"publish\":{\"channel\":\"a\",\"data\":{\n\"x\":\r\n[1]\n}}}"
                      "\r\n\n{}\n\n"));
    struct command command = feed_next(&feed);
    assert_int_equal(command.kind, COMMAND_PUBLISH);
    expect_str(command.publish.data, "{\n\"x\":\r\n[1]\n}");
    command = feed_next(&feed);
    assert_int_equal(command.kind, COMMAND_PONG);
    feed_expect_end(&feed);
    feed_close(&feed);
}

static void what_is_no_run_of_objects_is_malformed_J01(void **state)
{
    (void)state;
    static const struct str frames[] = {
        {"", 0},
        {"\n", 1},
        {" \r\n\t", 4},
        {"\0", 1},
        {"null", 4},
        {"[]", 2},
        {"[{\"id\":1,\"connect\":{}}]", 24},
        {"1", 1},
        {"\"x\"", 3},
        {"x", 1},
        {"{", 1},
        {"{}{}", 4},
        {"{},{}", 5},
        {"{}\0", 3},
        {"\xef\xbb\xbf{}", 5},
        {"{\"id\":NaN,\"connect\":{}}", 23},
        {"{\"id\":1,\"connect\":{}", 20},
        {"{\"id\":1,\"connect\":{}}}", 22},
        {"{\"id\":1,\"rpc\":{\"data\":01}}", 26},
        {"{\"id\":1,\"rpc\":{\"data\":\"\xff\"}}", 27},
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        expect_malformed(frames[i]);
    }
    expect_malformed((struct str){0});
}

static void a_broken_command_ends_the_frame_after_those_before_it(void **state)
{
    (void)state;
    struct feed feed = feed_open(STR("{\"id\":1,\"connect\":{}}\n{\"id\":2,\n{\"id\":3,\"connect\":{}}"));
    struct command command = feed_next(&feed);
    assert_int_equal(command.id, 1);
    assert_int_equal(protocol_next_command(&feed.rest, &command, &feed.scratch), PROTOCOL_MALFORMED);
    feed_expect_end(&feed);
    feed_close(&feed);
}

static void an_id_is_a_number_from_1_to_the_largest_32_bit_one_J01(void **state)
{
    (void)state;
    expect_command("{\"id\":1,\"presence\":{}}", COMMAND_PRESENCE, 1, STATUS_OK);
    expect_command("{\"id\":4294967294,\"presence\":{}}", COMMAND_PRESENCE, UINT32_MAX - 1, STATUS_OK);
    expect_command("{\"id\":4294967295,\"presence\":{}}", COMMAND_PRESENCE, UINT32_MAX, STATUS_OK);
    static const char *const ids[] = {"4294967296", "0",    "-1",  "1.0", "1e1",   "1.5",
                                      "\"1\"",      "true", "[1]", "{}",  "1e400", "18446744073709551616"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char frame[100];
        snprintf(frame, sizeof frame, "{\"id\":%s,\"presence\":{\"channel\":\"a\"}}", ids[i]);
        expect_malformed(str_from_cstr(frame));
    }
}

static void an_object_without_id_is_a_pong_unless_it_is_a_send(void **state)
{
    (void)state;
    expect_command("{}", COMMAND_PONG, 0, STATUS_OK);
    expect_command(" { } ", COMMAND_PONG, 0, STATUS_OK);
    expect_command("{\"id\":0}", COMMAND_PONG, 0, STATUS_OK);
    expect_command("{\"id\":null}", COMMAND_PONG, 0, STATUS_OK);
    expect_command("{\"x\":1}", COMMAND_PONG, 0, STATUS_OK);
    expect_command("{\"subscribe\":{\"channel\":\"a\"}}", COMMAND_PONG, 0, STATUS_OK);
    expect_command("{\"subscribe\":5}", COMMAND_PONG, 0, STATUS_OK);
    expect_command("{\"send\":{\"data\":1}}", COMMAND_SEND, 0, STATUS_OK);
    expect_command("{\"id\":0,\"send\":{\"data\":1}}", COMMAND_SEND, 0, STATUS_OK);
    expect_command("{\"id\":9,\"send\":{\"data\":1}}", COMMAND_SEND, 9, STATUS_OK);
    expect_malformed(STR("{\"id\":-1}"));
    expect_malformed(STR("{\"id\":\"1\"}"));
    expect_malformed(STR("{\"id\":-1,\"send\":{}}"));
    expect_malformed(STR("{\"id\":\"1\",\"send\":{}}"));
}

static void of_several_methods_the_first_of_the_protocol_wins_J05(void **state)
{
    (void)state;
    static const char *const methods[] = {"connect", "ping",     "subscribe",      "unsubscribe",
                                          "publish", "presence", "presence_stats", "history",
                                          "rpc",     "send",     "refresh",        "sub_refresh"};
    for (size_t i = 0; i < 12; i++) {
        struct buf frame = {0};
        buf_append_lit(&frame, "{");
        for (size_t j = 12; j-- > i;) {
            buf_printf(&frame, "\"%s\":{},", methods[j]);
        }
        buf_append_lit(&frame, "\"id\":1}");
        struct feed feed = feed_open(buf_str(&frame));
        struct command command = feed_next(&feed);
        assert_int_equal(command.kind, i);
        expect_str(command_name(command.kind), methods[i]);
        feed_close(&feed);
        buf_release(&frame);
    }
    expect_command("{\"id\":1,\"connect\":null,\"rpc\":{}}", COMMAND_RPC, 1, STATUS_OK);
    expect_str(command_name(COMMAND_PONG), "pong");
    expect_str(command_name(COMMAND_UNKNOWN), "unknown");
}

static void an_unknown_method_keeps_its_id_J05(void **state)
{
    (void)state;
    expect_command("{\"id\":3}", COMMAND_UNKNOWN, 3, STATUS_METHOD_NOT_FOUND);
    expect_command("{\"id\":3,\"destroy\":{}}", COMMAND_UNKNOWN, 3, STATUS_METHOD_NOT_FOUND);
    expect_command("{\"id\":3,\"Connect\":{}}", COMMAND_UNKNOWN, 3, STATUS_METHOD_NOT_FOUND);
    expect_command("{\"id\":3,\"connect\":null}", COMMAND_UNKNOWN, 3, STATUS_METHOD_NOT_FOUND);
}

static void a_duplicate_member_of_ours_is_refused_J03(void **state)
{
    (void)state;
    expect_malformed(STR("{\"id\":1,\"id\":2,\"connect\":{}}"));
    expect_malformed(STR("{\"id\":1,\"connect\":{},\"connect\":{}}"));
    expect_malformed(STR("{\"id\":1,\"rpc\":{},\"r\\u0070c\":{}}"));
    expect_command("{\"id\":1,\"publish\":{\"channel\":\"a\",\"data\":1,\"channel\":\"b\"}}", COMMAND_PUBLISH,
                   1, STATUS_BAD_REQUEST);
    expect_command("{\"id\":1,\"history\":{\"since\":{\"offset\":1,\"offset\":2}}}", COMMAND_HISTORY, 1,
                   STATUS_BAD_REQUEST);
    expect_command("{\"id\":1,\"publish\":{\"channel\":\"a\",\"data\":{\"x\":1,\"x\":2}}}", COMMAND_PUBLISH,
                   1, STATUS_OK);
}

static void nesting_counts_from_the_command_J02(void **state)
{
    (void)state;
    for (unsigned levels = 29; levels <= 31; levels++) {
        struct buf frame = {0};
        buf_append_lit(&frame, "{\"id\":1,\"rpc\":{\"data\":");
        for (unsigned i = 0; i < levels; i++) {
            buf_append_char(&frame, '[');
        }
        for (unsigned i = 0; i < levels; i++) {
            buf_append_char(&frame, ']');
        }
        buf_append_lit(&frame, "}}");
        if (levels <= 30) {
            buf_append_char(&frame, '\0');
            expect_command(frame.at, COMMAND_RPC, 1, STATUS_OK);
        } else {
            expect_malformed(buf_str(&frame));
        }
        buf_release(&frame);
    }
}

/* -- requests -------------------------------------------------------------------------------------------- */

static void a_connect_is_decoded(void **state)
{
    (void)state;
    struct feed feed = feed_open(STR(
        "{\"id\":1,\"connect\":{\"token\":\"ey.x\",\"data\":{ \"a\":1e2 },\"name\":\"js\",\"version\":\"5\","
        "\"subs\":{\"a\":{\"recover\":true,\"epoch\":\"e\",\"offset\":7},\"b\\n\":{},\"c\":null},"
        "\"headers\":{\"X-A\":\"1\",\"X-\\\"\":\"\\u00e9\"},\"flag\":3,\"profile\":1,\"dict\":[]}}"));
    struct command command = feed_next(&feed);
    assert_int_equal(command.status, STATUS_OK);
    expect_str(command.connect.token, "ey.x");
    expect_str(command.connect.data, "{ \"a\":1e2 }");
    expect_str(command.connect.name, "js");
    expect_str(command.connect.version, "5");
    assert_int_equal(command.connect.flag, 3);

    struct str rest = command.connect.subs, channel;
    struct subscribe_request sub;
    assert_int_equal(protocol_next_sub(&rest, &channel, &sub, &feed.scratch), PROTOCOL_COMMAND);
    expect_str(channel, "a");
    assert_true(sub.recover && sub.offset == 7);
    expect_str(sub.epoch, "e");
    assert_int_equal(protocol_next_sub(&rest, &channel, &sub, &feed.scratch), PROTOCOL_COMMAND);
    expect_str(channel, "b\n");
    assert_false(sub.recover || sub.offset != 0 || sub.epoch.len != 0);
    struct str second = channel;
    assert_int_equal(protocol_next_sub(&rest, &channel, &sub, &feed.scratch), PROTOCOL_COMMAND);
    expect_str(channel, "c");
    assert_int_equal(protocol_next_sub(&rest, &channel, &sub, &feed.scratch), PROTOCOL_END);

    struct str name, value;
    rest = command.connect.headers;
    assert_int_equal(protocol_next_header(&rest, &name, &value, &feed.scratch), PROTOCOL_COMMAND);
    expect_str(name, "X-A");
    expect_str(value, "1");
    assert_int_equal(protocol_next_header(&rest, &name, &value, &feed.scratch), PROTOCOL_COMMAND);
    expect_str(name, "X-\"");
    expect_str(value, "\xc3\xa9");
    assert_int_equal(protocol_next_header(&rest, &name, &value, &feed.scratch), PROTOCOL_END);
    expect_str(second, "b\n"); /* it did not move */
    feed_close(&feed);
}

static void a_bad_entry_of_subs_or_headers_is_noticed_J05(void **state)
{
    (void)state;
    static const char *const subs[] = {"{\"a\":1}",
                                       "{\"a\":[]}",
                                       "{\"a\":{\"offset\":-1}}",
                                       "{\"a\":{\"recover\":1}}",
                                       "{\"\\u0000\":{}}",
                                       "{\"a\":{\"epoch\":\"\\ud800\"}}"};
    struct buf scratch = {0};
    struct str channel, name, value;
    struct subscribe_request sub;
    for (size_t i = 0; i < sizeof subs / sizeof subs[0]; i++) {
        struct str rest = str_from_cstr(subs[i]);
        assert_int_equal(protocol_next_sub(&rest, &channel, &sub, &scratch), PROTOCOL_MALFORMED);
    }
    struct str rest = STR("{\"a\":1}");
    assert_int_equal(protocol_next_header(&rest, &name, &value, &scratch), PROTOCOL_MALFORMED);
    rest = (struct str){0};
    assert_int_equal(protocol_next_sub(&rest, &channel, &sub, &scratch), PROTOCOL_END);
    assert_int_equal(protocol_next_header(&rest, &name, &value, &scratch), PROTOCOL_END);
    buf_release(&scratch);
}

static void a_subscribe_is_decoded(void **state)
{
    (void)state;
    struct feed feed = feed_open(STR(
        "{\"subscribe\":{\"asc\":true,\"cursor\":\"cu\",\"limit\":-5,\"phase\":2,\"type\":1,\"flag\":3,"
        "\"tf\":{\"op\":\"\"},\"delta\":\"fossil\",\"join_leave\":true,\"recoverable\":true,"
        "\"positioned\":true,\"offset\":18446744073709551615,\"epoch\":\"_\",\"recover\":true,\"data\":null,"
        "\"token\":\"t\",\"channel\":\"room:7\",\"unknown\":[]},\"id\":2}"));
    struct command command = feed_next(&feed);
    assert_int_equal(command.status, STATUS_OK);
    const struct subscribe_request *request = &command.subscribe;
    expect_str(request->channel, "room:7");
    expect_str(request->token, "t");
    expect_str(request->data, "null");
    expect_str(request->delta, "fossil");
    expect_str(request->tf, "{\"op\":\"\"}");
    expect_str(request->epoch, "_");
    expect_str(request->cursor, "cu");
    assert_true(request->offset == UINT64_MAX);
    assert_int_equal(request->flag, SUBSCRIBE_FLAG_CHANNEL_ID | SUBSCRIBE_FLAG_REJECT_UNRECOVERABLE);
    assert_int_equal(request->type, SUBSCRIPTION_TYPE_MAP);
    assert_int_equal(request->phase, 2);
    assert_int_equal(request->limit, -5);
    assert_true(request->asc && request->recover && request->positioned);
    assert_true(request->recoverable && request->join_leave);
    feed_close(&feed);
}

static void fields_that_are_absent_or_null_are_zero(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "{\"id\":2,\"subscribe\":{}}",
        "{\"id\":2,\"subscribe\":{\"channel\":null,\"token\":null,\"delta\":null,\"tf\":null,\"epoch\":null,"
        "\"offset\":null,\"flag\":null,\"type\":null,\"recover\":null}}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct feed feed = feed_open(str_from_cstr(frames[i]));
        struct command command = feed_next(&feed);
        assert_int_equal(command.status, STATUS_OK);
        const struct subscribe_request *request = &command.subscribe;
        assert_true(request->channel.len == 0 && request->token.len == 0 && request->delta.len == 0);
        assert_true(request->tf.at == NULL && request->epoch.len == 0 && request->data.at == NULL);
        assert_true(request->offset == 0 && request->flag == 0 && request->type == 0 && !request->recover);
        feed_close(&feed);
    }
}

static void the_other_requests_are_decoded(void **state)
{
    (void)state;
    struct feed feed = feed_open(
        STR("{\"id\":1,\"unsubscribe\":{\"channel\":\"u\"}}\n"
            "{\"id\":2,\"publish\":{\"channel\":\"p\",\"data\":\"x\",\"type\":1,\"key\":\"k\",\"removed\":"
            "true}}\n"
            "{\"id\":3,\"presence\":{\"channel\":\"q\"}}\n"
            "{\"id\":4,\"presence_stats\":{\"channel\":\"s\"}}\n"
            "{\"id\":5,\"history\":{\"channel\":\"h\",\"limit\":-1,\"since\":{\"offset\":9,\"epoch\":\"e\"},"
            "\"reverse\":true}}\n"
            "{\"id\":6,\"history\":{\"channel\":\"h\",\"limit\":1000000000,\"since\":null}}\n"
            "{\"id\":7,\"rpc\":{\"method\":\"m\",\"data\":[1]}}\n"
            "{\"send\":{\"data\":false}}\n"
            "{\"id\":8,\"refresh\":{\"token\":\"r\"}}\n"
            "{\"id\":9,\"sub_refresh\":{\"channel\":\"c\",\"token\":\"t\",\"type\":1,\"track\":[{}],"
            "\"untrack\":[\"k\"]}}\n"
            "{\"id\":10,\"ping\":{}}"));
    struct command command = feed_next(&feed);
    expect_str(command.unsubscribe.channel, "u");
    command = feed_next(&feed);
    expect_str(command.publish.channel, "p");
    expect_str(command.publish.data, "\"x\"");
    expect_str(command.publish.key, "k");
    assert_true(command.publish.type == 1 && command.publish.removed);
    command = feed_next(&feed);
    expect_str(command.presence.channel, "q");
    command = feed_next(&feed);
    expect_str(command.presence_stats.channel, "s");
    command = feed_next(&feed);
    expect_str(command.history.channel, "h");
    expect_str(command.history.since_epoch, "e");
    assert_true(command.history.limit == -1 && command.history.has_since && command.history.reverse);
    assert_true(command.history.since_offset == 9);
    command = feed_next(&feed);
    assert_true(command.history.limit == 1000000000 && !command.history.has_since);
    assert_false(command.history.reverse);
    command = feed_next(&feed);
    expect_str(command.rpc.method, "m");
    expect_str(command.rpc.data, "[1]");
    command = feed_next(&feed);
    assert_int_equal(command.kind, COMMAND_SEND);
    expect_str(command.send.data, "false");
    command = feed_next(&feed);
    expect_str(command.refresh.token, "r");
    command = feed_next(&feed);
    expect_str(command.sub_refresh.channel, "c");
    expect_str(command.sub_refresh.token, "t");
    expect_str(command.sub_refresh.track, "[{}]");
    expect_str(command.sub_refresh.untrack, "[\"k\"]");
    assert_int_equal(command.sub_refresh.type, 1);
    command = feed_next(&feed);
    assert_int_equal(command.kind, COMMAND_PING);
    feed_expect_end(&feed);
    feed_close(&feed);
}

static void a_field_of_the_wrong_type_is_a_bad_request_with_its_id_J05(void **state)
{
    (void)state;
    static const struct {
        enum command_kind kind;
        const char *body;
    } rows[] = {
        {COMMAND_CONNECT, "\"connect\":5"},
        {COMMAND_CONNECT, "\"connect\":[]"},
        {COMMAND_CONNECT, "\"connect\":\"\""},
        {COMMAND_CONNECT, "\"connect\":{\"token\":1}"},
        {COMMAND_CONNECT, "\"connect\":{\"subs\":[]}"},
        {COMMAND_CONNECT, "\"connect\":{\"headers\":\"x\"}"},
        {COMMAND_CONNECT, "\"connect\":{\"name\":{}}"},
        {COMMAND_CONNECT, "\"connect\":{\"flag\":\"1\"}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"channel\":7}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"channel\":[\"a\"]}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"channel\":\"a\\u0000\"}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"channel\":\"\\ud800\"}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"recover\":1}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"recover\":\"true\"}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"epoch\":1}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"tf\":\"x\"}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"type\":2147483648}"},
        {COMMAND_SUBSCRIBE, "\"subscribe\":{\"flag\":9223372036854775808}"},
        {COMMAND_PUBLISH, "\"publish\":{\"removed\":0}"},
        {COMMAND_PUBLISH, "\"publish\":{\"key\":1}"},
        {COMMAND_RPC, "\"rpc\":{\"method\":null,\"data\":1,\"method\":1}"},
        {COMMAND_RPC, "\"rpc\":{\"method\":1}"},
        {COMMAND_SEND, "\"send\":1"},
        {COMMAND_REFRESH, "\"refresh\":{\"token\":true}"},
        {COMMAND_SUB_REFRESH, "\"sub_refresh\":{\"track\":{}}"},
        {COMMAND_SUB_REFRESH, "\"sub_refresh\":{\"untrack\":\"k\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char frame[200];
        snprintf(frame, sizeof frame, "{\"id\":77,%s}", rows[i].body);
        expect_command(frame, rows[i].kind, 77, STATUS_BAD_REQUEST);
    }
}

static void offsets_and_limits_outside_their_type_are_bad_requests_J09(void **state)
{
    (void)state;
    expect_command("{\"id\":1,\"subscribe\":{\"offset\":18446744073709551615}}", COMMAND_SUBSCRIBE, 1,
                   STATUS_OK);
    expect_command("{\"id\":1,\"subscribe\":{\"offset\":9007199254740993}}", COMMAND_SUBSCRIBE, 1, STATUS_OK);
    static const char *const bodies[] = {
        "\"subscribe\":{\"offset\":18446744073709551616}",
        "\"subscribe\":{\"offset\":-1}",
        "\"subscribe\":{\"offset\":1.5}",
        "\"subscribe\":{\"offset\":1e3}",
        "\"history\":{\"limit\":2147483648}",
        "\"history\":{\"limit\":-2147483649}",
        "\"history\":{\"limit\":\"1\"}",
        "\"history\":{\"since\":1}",
        "\"history\":{\"since\":{\"offset\":-1}}",
        "\"history\":{\"since\":{\"epoch\":1}}",
        "\"history\":{\"reverse\":1}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct buf frame = {0};
        buf_printf(&frame, "{\"id\":5,%s}", bodies[i]);
        struct feed feed = feed_open(buf_str(&frame));
        struct command command = feed_next(&feed);
        assert_int_equal(command.id, 5);
        assert_int_equal(command.status, STATUS_BAD_REQUEST);
        feed_close(&feed);
        buf_release(&frame);
    }
    expect_command("{\"id\":1,\"history\":{\"limit\":-2}}", COMMAND_HISTORY, 1, STATUS_OK);
    expect_command("{\"id\":1,\"history\":{\"limit\":2147483647}}", COMMAND_HISTORY, 1, STATUS_OK);
}

static void texts_with_escapes_stay_where_they_are_until_the_next_command_J10(void **state)
{
    (void)state;
    struct buf frame = {0};
    buf_append_lit(&frame, "{\"id\":1,\"subscribe\":{\"channel\":\"\\u0061\\r\\n");
    for (unsigned i = 0; i < 5000; i++) {
        buf_append_char(&frame, 'x');
    }
    buf_append_lit(&frame,
                   "\",\"token\":\"\\\"\",\"epoch\":\"\\/\",\"cursor\":\"\\\\\"}}\n{\"id\":2,\"presence\":"
                   "{\"channel\":\"\\u202e\"}}");
    struct feed feed = feed_open(buf_str(&frame));
    struct command command = feed_next(&feed);
    assert_int_equal(command.status, STATUS_OK);
    assert_int_equal(command.subscribe.channel.len, 5003);
    assert_true(str_starts_with(command.subscribe.channel, STR("a\r\nxxx")));
    expect_str(command.subscribe.token, "\"");
    expect_str(command.subscribe.epoch, "/");
    expect_str(command.subscribe.cursor, "\\");
    command = feed_next(&feed);
    expect_str(command.presence.channel, "\xe2\x80\xae");
    assert_int_equal(feed.scratch.len, 3);
    feed_close(&feed);
    buf_release(&frame);
}

static void a_bare_connect_is_decoded(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct connect_request request;
    assert_int_equal(
        protocol_decode_bare_connect(STR(" {\"token\":\"t\\u0041\",\"subs\":{\"a\":{\"recover\":true}}}\n"),
                                     &request, &scratch),
        PROTOCOL_COMMAND);
    expect_str(request.token, "tA");
    expect_str(request.subs, "{\"a\":{\"recover\":true}}");
    static const char *const empty[] = {"{}", "null", " null\n", "{ }\n"};
    for (size_t i = 0; i < 4; i++) {
        request.token = STR("stale");
        assert_int_equal(protocol_decode_bare_connect(str_from_cstr(empty[i]), &request, &scratch),
                         PROTOCOL_COMMAND);
        assert_int_equal(request.token.len, 0);
    }
    static const char *const bad[] = {"",
                                      "nul",
                                      "[]",
                                      "1",
                                      "\"x\"",
                                      "{\"token\":1}",
                                      "{\"token\":\"a\"}x",
                                      "{}\n{}",
                                      "{\"token\":\"a\",\"token\":\"b\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(protocol_decode_bare_connect(str_from_cstr(bad[i]), &request, &scratch),
                         PROTOCOL_MALFORMED);
    }
    buf_release(&scratch);
}

static void an_emulation_request_carries_a_frame(void **state)
{
    (void)state;
    struct buf scratch = {0}, inner = {0};
    struct emulation_request request;
    assert_int_equal(protocol_decode_emulation(STR("{\"session\":\"6b1f\",\"node\":\"n-1\",\"data\":\"{"
                                                   "\\\"id\\\":2,\\\"subscribe\\\":{\\\"channel\\\":"
                                                   "\\\"test\\\"}}\\n{}\"}"),
                                               &request, &scratch),
                     PROTOCOL_COMMAND);
    expect_str(request.session, "6b1f");
    expect_str(request.node, "n-1");
    expect_str(request.data, "{\"id\":2,\"subscribe\":{\"channel\":\"test\"}}\n{}");
    struct command command;
    assert_int_equal(protocol_next_command(&request.data, &command, &inner), PROTOCOL_COMMAND);
    expect_str(command.subscribe.channel, "test");
    assert_int_equal(protocol_next_command(&request.data, &command, &inner), PROTOCOL_COMMAND);
    assert_int_equal(command.kind, COMMAND_PONG);
    assert_int_equal(protocol_decode_emulation(STR("{\"data\":{}}"), &request, &scratch), PROTOCOL_MALFORMED);
    assert_int_equal(protocol_decode_emulation(STR("x"), &request, &scratch), PROTOCOL_MALFORMED);
    buf_release(&scratch);
    buf_release(&inner);
}

/* -- the examples of PROTOCOL section 17 ----------------------------------------------------------------- */

static void the_first_example_is_decoded(void **state)
{
    (void)state;
    struct feed feed =
        feed_open(STR("{\"id\":1,\"connect\":{\"token\":\"ey…\",\"name\":\"js\"}}\n"
                      "{\"id\":2,\"subscribe\":{\"channel\":\"room:7\",\"flag\":1}}\n"
                      "{\"id\":3,\"publish\":{\"channel\":\"room:7\",\"data\":{\"text\":\"hi\"}}}\n"
                      "{}"));
    struct command command = feed_next(&feed);
    expect_str(command.connect.token, "ey…");
    expect_str(command.connect.name, "js");
    command = feed_next(&feed);
    expect_str(command.subscribe.channel, "room:7");
    assert_int_equal(command.subscribe.flag, 1);
    command = feed_next(&feed);
    expect_str(command.publish.channel, "room:7");
    expect_str(command.publish.data, "{\"text\":\"hi\"}");
    command = feed_next(&feed);
    assert_int_equal(command.kind, COMMAND_PONG);
    feed_expect_end(&feed);
    feed_close(&feed);
}

static void the_other_examples_are_decoded(void **state)
{
    (void)state;
    struct feed feed =
        feed_open(STR("{\"id\":2,\"subscribe\":{\"channel\":\"room:7\",\"recover\":true,\"epoch\":"
                      "\"kQxZbWtR\",\"offset\":42}}\n"
                      "{\"id\":6,\"presence_stats\":{\"channel\":\"room:9\"}}\n"
                      "{\"id\":7,\"subscribe\":{\"channel\":\"delta:x\",\"delta\":\"fossil\"}}"));
    struct command command = feed_next(&feed);
    assert_true(command.subscribe.recover && command.subscribe.offset == 42);
    expect_str(command.subscribe.epoch, "kQxZbWtR");
    command = feed_next(&feed);
    assert_int_equal(command.kind, COMMAND_PRESENCE_STATS);
    command = feed_next(&feed);
    expect_str(command.subscribe.delta, "fossil");
    feed_expect_end(&feed);
    feed_close(&feed);
}

static void the_first_example_is_encoded(void **state)
{
    (void)state;
    struct buf buf = {0}, info = {0};
    protocol_append_connect(
        &buf, 1,
        &(struct connect_view){
            .client = STR("0f6c1d52-…"), .version = STR("1.0.0"), .ping_s = 25, .pong = true});
    expect_encoded(&buf, "{\"id\":1,\"connect\":{\"client\":\"0f6c1d52-…\",\"version\":\"1.0.0\",\"ping\":25,"
                         "\"pong\":true}}");
    protocol_append_subscribe(
        &buf, 2,
        &(struct subscribe_view){
            .recoverable = true, .epoch = STR("kQxZbWtR"), .positioned = true, .offset = 41});
    expect_str(buf_str(&buf), "{\"id\":2,\"subscribe\":{\"recoverable\":true,\"epoch\":\"kQxZbWtR\","
                              "\"offset\":41,\"positioned\":true}}");
    buf_reset(&buf);
    protocol_append_client_info(&info,
                                &(struct client_info_view){.user = STR("42"), .client = STR("0f6c1d52-…")});
    protocol_push_publication(
        &buf, PUSH_WRAPPED, STR("room:7"),
        &(struct publication_view){.data = STR("{\"text\":\"hi\"}"), .info = buf_str(&info), .offset = 42});
    expect_encoded(&buf,
                   "{\"push\":{\"channel\":\"room:7\",\"pub\":{\"data\":{\"text\":\"hi\"},\"info\":{\"user\":"
                   "\"42\",\"client\":\"0f6c1d52-…\"},\"offset\":42}}}");
    protocol_append_publish(&buf, 3);
    expect_encoded(&buf, "{\"id\":3,\"publish\":{}}");
    protocol_append_ping(&buf);
    expect_encoded(&buf, "{}");
    buf_release(&buf);
    buf_release(&info);
}

static void the_recovery_examples_are_encoded(void **state)
{
    (void)state;
    struct buf buf = {0}, items = {0};
    protocol_add_publication(&items, &(struct publication_view){.data = STR("{\"n\":1}"), .offset = 43});
    protocol_add_publication(&items, &(struct publication_view){.data = STR("{\"n\":2}"), .offset = 44});
    protocol_append_subscribe(&buf, 2,
                              &(struct subscribe_view){.recoverable = true,
                                                       .epoch = STR("kQxZbWtR"),
                                                       .publications = buf_str(&items),
                                                       .recovered = true,
                                                       .offset = 42,
                                                       .positioned = true,
                                                       .was_recovering = true});
    expect_encoded(
        &buf, "{\"id\":2,\"subscribe\":{\"recoverable\":true,\"epoch\":\"kQxZbWtR\",\"publications\":["
              "{\"data\":{\"n\":1},\"offset\":43},{\"data\":{\"n\":2},\"offset\":44}],\"recovered\":true,"
              "\"offset\":42,\"positioned\":true,\"was_recovering\":true}}");
    protocol_append_subscribe(&buf, 5,
                              &(struct subscribe_view){.recoverable = true,
                                                       .epoch = STR("Vn0pLs3A"),
                                                       .offset = 12,
                                                       .positioned = true,
                                                       .was_recovering = true});
    expect_encoded(&buf, "{\"id\":5,\"subscribe\":{\"recoverable\":true,\"epoch\":\"Vn0pLs3A\",\"offset\":12,"
                         "\"positioned\":true,\"was_recovering\":true}}");
    protocol_append_presence_stats(&buf, 6, 0, 0);
    expect_encoded(&buf, "{\"id\":6,\"presence_stats\":{\"num_clients\":0,\"num_users\":0}}");
    buf_release(&buf);
    buf_release(&items);
}

static void the_delta_example_is_encoded(void **state)
{
    (void)state;
    struct buf buf = {0};
    protocol_append_subscribe(
        &buf, 7,
        &(struct subscribe_view){
            .recoverable = true, .epoch = STR("hTqM2w1z"), .positioned = true, .delta = true});
    expect_encoded(&buf,
                   "{\"id\":7,\"subscribe\":{\"recoverable\":true,\"epoch\":\"hTqM2w1z\",\"positioned\":true,"
                   "\"delta\":true}}");
    protocol_push_publication(
        &buf, PUSH_WRAPPED, STR("delta:x"),
        &(struct publication_view){.data =
                                       STR("{\"n\":1,\"text\":\"a fairly long text that does not change\"}"),
                                   .data_is_text = true,
                                   .offset = 1});
    expect_encoded(
        &buf, "{\"push\":{\"channel\":\"delta:x\",\"pub\":{\"data\":\"{\\\"n\\\":1,\\\"text\\\":\\\"a fairly "
              "long text that does not change\\\"}\",\"offset\":1}}}");
    protocol_push_publication(
        &buf, PUSH_WRAPPED, STR("delta:x"),
        &(struct publication_view){
            .data = STR("t\n5@0,1:2n@6,3etUDt;"), .data_is_text = true, .offset = 2, .is_delta = true});
    expect_encoded(
        &buf, "{\"push\":{\"channel\":\"delta:x\",\"pub\":{\"data\":\"t\\n5@0,1:2n@6,3etUDt;\",\"offset\":2,"
              "\"delta\":true}}}");
    buf_release(&buf);
}

static void the_examples_of_the_other_transports_are_encoded(void **state)
{
    (void)state;
    struct buf buf = {0}, subs = {0};
    protocol_append_connect(&buf, 1,
                            &(struct connect_view){.client = STR("…"),
                                                   .version = STR("1.0.0"),
                                                   .ping_s = 25,
                                                   .pong = true,
                                                   .session = STR("6b1f…"),
                                                   .node = STR("n-1")});
    expect_encoded(&buf,
                   "{\"id\":1,\"connect\":{\"client\":\"…\",\"version\":\"1.0.0\",\"ping\":25,\"pong\":true,"
                   "\"session\":\"6b1f…\",\"node\":\"n-1\"}}");
    protocol_append_subscribe(&buf, 2, &(struct subscribe_view){0});
    expect_encoded(&buf, "{\"id\":2,\"subscribe\":{}}");
    protocol_add_sub(&subs, STR("#42"), &(struct subscribe_view){0});
    protocol_push_connect(&buf, PUSH_BARE,
                          &(struct connect_view){.client = STR("…"),
                                                 .version = STR("1.0.0"),
                                                 .subs = buf_str(&subs),
                                                 .ping_s = 25,
                                                 .session = STR("…")});
    expect_encoded(&buf,
                   "{\"connect\":{\"client\":\"…\",\"version\":\"1.0.0\",\"subs\":{\"#42\":{}},\"ping\":25,"
                   "\"session\":\"…\"}}");
    protocol_push_publication(&buf, PUSH_BARE, STR("#42"),
                              &(struct publication_view){.data = STR("{\"hello\":1}")});
    expect_encoded(&buf, "{\"channel\":\"#42\",\"pub\":{\"data\":{\"hello\":1}}}");
    buf_release(&buf);
    buf_release(&subs);
}

/* -- encoding -------------------------------------------------------------------------------------------- */

static void a_result_without_fields_is_an_empty_object(void **state)
{
    (void)state;
    struct buf buf = {0};
    protocol_append_unsubscribe(&buf, 4);
    expect_encoded(&buf, "{\"id\":4,\"unsubscribe\":{}}");
    protocol_append_connect(&buf, 4, &(struct connect_view){0});
    expect_encoded(&buf, "{\"id\":4,\"connect\":{}}");
    protocol_append_rpc(&buf, 4, (struct str){0});
    expect_encoded(&buf, "{\"id\":4,\"rpc\":{}}");
    protocol_append_refresh(&buf, 4, &(struct refresh_view){0});
    expect_encoded(&buf, "{\"id\":4,\"refresh\":{}}");
    protocol_append_sub_refresh(&buf, UINT32_MAX, &(struct sub_refresh_view){0});
    expect_encoded(&buf, "{\"id\":4294967295,\"sub_refresh\":{}}");
    buf_release(&buf);
}

static void what_must_always_be_there_is_there(void **state)
{
    (void)state;
    struct buf buf = {0};
    protocol_append_client_info(&buf, &(struct client_info_view){0});
    expect_encoded(&buf, "{\"user\":\"\",\"client\":\"\"}");
    protocol_append_presence(&buf, 1, (struct str){0});
    expect_encoded(&buf, "{\"id\":1,\"presence\":{\"presence\":{}}}");
    protocol_append_presence_stats(&buf, 1, 0, 0);
    expect_encoded(&buf, "{\"id\":1,\"presence_stats\":{\"num_clients\":0,\"num_users\":0}}");
    protocol_append_history(&buf, 1, &(struct history_view){0});
    expect_encoded(&buf, "{\"id\":1,\"history\":{\"publications\":[],\"epoch\":\"\",\"offset\":0}}");
    buf_release(&buf);
}

static void an_error_has_its_code_text_and_mark(void **state)
{
    (void)state;
    struct buf buf = {0};
    protocol_append_error(&buf, 3, STATUS_PERMISSION_DENIED);
    expect_encoded(&buf, "{\"id\":3,\"error\":{\"code\":103,\"message\":\"permission denied\"}}");
    protocol_append_error(&buf, 3, STATUS_TOO_MANY_REQUESTS);
    expect_encoded(
        &buf, "{\"id\":3,\"error\":{\"code\":111,\"message\":\"too many requests\",\"temporary\":true}}");
    protocol_append_error(&buf, 3, STATUS_INVALID_TOKEN);
    expect_encoded(
        &buf, "{\"id\":3,\"error\":{\"code\":100,\"message\":\"internal server error\",\"temporary\":true}}");
    protocol_append_custom_error(&buf, 4, &(struct error_view){.code = 1999, .message = STR("no \"x\"\n")});
    expect_encoded(&buf, "{\"id\":4,\"error\":{\"code\":1999,\"message\":\"no \\\"x\\\"\\n\"}}");
    buf_release(&buf);
}

static void every_field_of_every_result_is_written(void **state)
{
    (void)state;
    struct buf buf = {0}, items = {0}, more = {0};
    struct publication_view publication = {
        .data = STR("1"),
        .info = STR("{\"user\":\"u\",\"client\":\"c\"}"),
        .offset = UINT64_MAX,
        .tags = STR("{\"t\":\"v\"}"),
        .is_delta = true,
        .time_ms = 5,
        .channel = STR("real"),
        .key = STR("k"),
        .removed = true,
        .score = -6,
        .epoch = STR("e"),
        .version = 7,
    };
    protocol_add_publication(&items, &publication);
    protocol_add_publication(&more, &(struct publication_view){.key = STR("gone"), .removed = true});
    struct subscribe_view subscribe = {
        .expires = true,
        .ttl_s = 60,
        .recoverable = true,
        .positioned = true,
        .epoch = STR("e"),
        .offset = 1,
        .publications = buf_str(&items),
        .recovered = true,
        .was_recovering = true,
        .data = STR("{\"d\":1}"),
        .delta = true,
        .type = 1,
        .phase = 2,
        .cursor = STR("cu"),
        .state = buf_str(&more),
        .publish_debounce = 9,
    };
    protocol_append_subscribe(&buf, 1, &subscribe);
    expect_encoded(
        &buf,
        "{\"id\":1,\"subscribe\":{\"expires\":true,\"ttl\":60,\"recoverable\":true,\"epoch\":\"e\","
        "\"publications\":[{\"data\":1,\"info\":{\"user\":\"u\",\"client\":\"c\"},"
        "\"offset\":18446744073709551615,\"tags\":{\"t\":\"v\"},\"delta\":true,\"time\":5,"
        "\"channel\":\"real\",\"key\":\"k\",\"removed\":true,\"score\":-6,\"epoch\":\"e\",\"version\":7}],"
        "\"recovered\":true,\"offset\":1,\"positioned\":true,\"data\":{\"d\":1},\"was_recovering\":true,"
        "\"delta\":true,\"type\":1,\"phase\":2,\"cursor\":\"cu\",\"state\":[{\"key\":\"gone\","
        "\"removed\":true}],\"publish_debounce\":9}}");

    struct buf subs = {0};
    protocol_add_sub(&subs, STR("a\"b"), &(struct subscribe_view){.recoverable = true, .epoch = STR("e")});
    protocol_add_sub(&subs, STR("c"), &(struct subscribe_view){0});
    struct connect_view connect = {
        .client = STR("c"),
        .version = STR("v"),
        .expires = true,
        .ttl_s = 3600,
        .data = STR("[1]"),
        .subs = buf_str(&subs),
        .ping_s = 25,
        .pong = true,
        .session = STR("s"),
        .node = STR("n"),
        .time_ms = INT64_C(1721550000123),
    };
    const char *body = "{\"client\":\"c\",\"version\":\"v\",\"expires\":true,\"ttl\":3600,\"data\":[1],"
                       "\"subs\":{\"a\\\"b\":{\"recoverable\":true,\"epoch\":\"e\"},\"c\":{}},\"ping\":25,"
                       "\"pong\":true,\"session\":\"s\",\"node\":\"n\",\"time\":1721550000123}";
    struct buf expected = {0};
    buf_printf(&expected, "{\"id\":2,\"connect\":%s}%c", body, '\0');
    protocol_append_connect(&buf, 2, &connect);
    expect_encoded(&buf, expected.at);
    buf_reset(&expected);
    buf_printf(&expected, "{\"push\":{\"connect\":%s}}%c", body, '\0');
    protocol_push_connect(&buf, PUSH_WRAPPED, &connect);
    expect_encoded(&buf, expected.at);

    buf_reset(&more);
    protocol_add_presence(&more, STR("c1"), STR("{\"user\":\"u\",\"client\":\"c1\"}"));
    protocol_add_presence(&more, STR("c2"), STR("{\"user\":\"\",\"client\":\"c2\"}"));
    protocol_append_presence(&buf, 3, buf_str(&more));
    expect_encoded(&buf, "{\"id\":3,\"presence\":{\"presence\":{\"c1\":{\"user\":\"u\",\"client\":\"c1\"},"
                         "\"c2\":{\"user\":\"\",\"client\":\"c2\"}}}}");
    protocol_append_presence_stats(&buf, 4, 3, 2);
    expect_encoded(&buf, "{\"id\":4,\"presence_stats\":{\"num_clients\":3,\"num_users\":2}}");
    buf_reset(&more);
    protocol_add_publication(&more, &(struct publication_view){.data = STR("null"), .offset = 1});
    protocol_append_history(
        &buf, 5, &(struct history_view){.publications = buf_str(&more), .epoch = STR("e"), .offset = 1});
    expect_encoded(&buf,
                   "{\"id\":5,\"history\":{\"publications\":[{\"data\":null,\"offset\":1}],\"epoch\":\"e\","
                   "\"offset\":1}}");
    protocol_append_rpc(&buf, 6, STR("1E400"));
    expect_encoded(&buf, "{\"id\":6,\"rpc\":{\"data\":1E400}}");
    protocol_append_refresh(
        &buf, 7,
        &(struct refresh_view){.client = STR("c"), .version = STR("v"), .expires = true, .ttl_s = 1});
    expect_encoded(&buf,
                   "{\"id\":7,\"refresh\":{\"client\":\"c\",\"version\":\"v\",\"expires\":true,\"ttl\":1}}");
    protocol_append_sub_refresh(
        &buf, 8, &(struct sub_refresh_view){.expires = true, .ttl_s = 2, .items = buf_str(&more)});
    expect_encoded(&buf, "{\"id\":8,\"sub_refresh\":{\"expires\":true,\"ttl\":2,\"items\":[{\"data\":null,"
                         "\"offset\":1}]}}");
    buf_release(&buf);
    buf_release(&items);
    buf_release(&more);
    buf_release(&subs);
    buf_release(&expected);
}

static void every_push_has_a_wrapped_and_a_bare_form(void **state)
{
    (void)state;
    struct str channel = STR("a");
    struct str info = STR("{\"user\":\"u\",\"client\":\"c\",\"conn_info\":{\"n\":1},\"chan_info\":[2]}");
    struct buf buf = {0}, built = {0};
    protocol_append_client_info(&built, &(struct client_info_view){.user = STR("u"),
                                                                   .client = STR("c"),
                                                                   .conn_info = STR("{\"n\":1}"),
                                                                   .chan_info = STR("[2]")});
    assert_true(str_equal(buf_str(&built), info));
    protocol_push_join(&buf, PUSH_WRAPPED, channel, info);
    expect_encoded(&buf, "{\"push\":{\"channel\":\"a\",\"join\":{\"info\":{\"user\":\"u\",\"client\":\"c\","
                         "\"conn_info\":{\"n\":1},\"chan_info\":[2]}}}}");
    protocol_push_leave(&buf, PUSH_BARE, channel, STR("{}"));
    expect_encoded(&buf, "{\"channel\":\"a\",\"leave\":{\"info\":{}}}");
    protocol_push_unsubscribe(&buf, PUSH_WRAPPED, channel, &UNSUBSCRIBE_INSUFFICIENT_STATE);
    expect_encoded(&buf,
                   "{\"push\":{\"channel\":\"a\",\"unsubscribe\":{\"code\":2500,\"reason\":\"insufficient "
                   "state\"}}}");
    protocol_push_unsubscribe(&buf, PUSH_BARE, channel, &UNSUBSCRIBE_SERVER);
    expect_encoded(&buf,
                   "{\"channel\":\"a\",\"unsubscribe\":{\"code\":2000,\"reason\":\"server unsubscribe\"}}");
    protocol_push_subscribe(
        &buf, PUSH_WRAPPED, channel,
        &(struct subscribe_push_view){
            .recoverable = true, .positioned = true, .epoch = STR("e"), .offset = 4, .data = STR("{}")});
    expect_encoded(&buf, "{\"push\":{\"channel\":\"a\",\"subscribe\":{\"recoverable\":true,\"epoch\":\"e\","
                         "\"offset\":4,\"positioned\":true,\"data\":{}}}}");
    protocol_push_subscribe(&buf, PUSH_BARE, channel, &(struct subscribe_push_view){0});
    expect_encoded(&buf, "{\"channel\":\"a\",\"subscribe\":{}}");
    protocol_push_message(&buf, PUSH_WRAPPED, STR("\"m\""));
    expect_encoded(&buf, "{\"push\":{\"message\":{\"data\":\"m\"}}}");
    protocol_push_message(&buf, PUSH_BARE, STR("\"m\""));
    expect_encoded(&buf, "{\"message\":{\"data\":\"m\"}}");
    protocol_push_disconnect(&buf, PUSH_WRAPPED, &DISCONNECT_SLOW);
    expect_encoded(&buf, "{\"push\":{\"disconnect\":{\"code\":3008,\"reason\":\"slow\"}}}");
    protocol_push_disconnect(&buf, PUSH_BARE,
                             &(struct disconnect){.code = 4000, .reason = STR("mine \"x\"")});
    expect_encoded(&buf, "{\"disconnect\":{\"code\":4000,\"reason\":\"mine \\\"x\\\"\"}}");
    protocol_push_refresh(&buf, PUSH_WRAPPED, true, 60);
    expect_encoded(&buf, "{\"push\":{\"refresh\":{\"expires\":true,\"ttl\":60}}}");
    protocol_push_refresh(&buf, PUSH_BARE, false, 0);
    expect_encoded(&buf, "{\"refresh\":{}}");
    buf_release(&buf);
    buf_release(&built);
}

static void a_payload_comes_out_as_it_went_in_J13(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "1e2",
        "1E400",
        "0.1000",
        "-0",
        "12345678901234567890123456789",
        "\"\\u0000\\ud800\\u00e9\\/\"",
        "{\"b\":1,\"a\":2,\"b\":3}",
        "{ \"a\" : [ 1 ,\t2 ] }",
        "\"\xc3\xa9\xe2\x80\xa8</script>\"",
        "null",
        "\"\"",
        "[]",
    };
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        struct buf frame = {0}, out = {0}, expected = {0};
        buf_printf(&frame, "{\"id\":1,\"publish\":{\"data\": %s ,\"channel\":\"a\"}}", payloads[i]);
        struct feed feed = feed_open(buf_str(&frame));
        struct command command = feed_next(&feed);
        assert_int_equal(command.status, STATUS_OK);
        protocol_push_publication(&out, PUSH_WRAPPED, command.publish.channel,
                                  &(struct publication_view){.data = command.publish.data});
        buf_printf(&expected, "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":%s}}}%c", payloads[i], '\0');
        expect_encoded(&out, expected.at);
        feed_close(&feed);
        buf_release(&frame);
        buf_release(&out);
        buf_release(&expected);
    }
}

static void line_breaks_of_a_payload_never_reach_the_wire(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct str data = STR("{\n\"a\":\r\n\"x\\n\"}");
    protocol_push_publication(&buf, PUSH_WRAPPED, STR("a"), &(struct publication_view){.data = data});
    expect_encoded(&buf, "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":{ \"a\":  \"x\\n\"}}}}");
    /* As text, as it goes to a subscription with delta, the payload keeps them. */
    protocol_push_publication(&buf, PUSH_WRAPPED, STR("a"),
                              &(struct publication_view){.data = data, .data_is_text = true});
    expect_encoded(
        &buf, "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":\"{\\n\\\"a\\\":\\r\\n\\\"x\\\\n\\\"}\"}}}");
    protocol_append_rpc(&buf, 1, STR("[\n]"));
    expect_encoded(&buf, "{\"id\":1,\"rpc\":{\"data\":[ ]}}");
    buf_release(&buf);
}

static void only_a_ping_has_neither_id_nor_push(void **state)
{
    (void)state;
    /* SDKs take any other such object for a ping (PROTOCOL section 16, trap 1). */
    struct buf buf = {0};
    struct json_member members[] = {{.name = "id"}, {.name = "push"}};
    struct str channel = STR("a");
    for (unsigned i = 0; i < 9; i++) {
        buf_reset(&buf);
        switch (i) {
        case 0: protocol_push_publication(&buf, PUSH_WRAPPED, channel, &(struct publication_view){0}); break;
        case 1: protocol_push_join(&buf, PUSH_WRAPPED, channel, (struct str){0}); break;
        case 2: protocol_push_leave(&buf, PUSH_WRAPPED, channel, (struct str){0}); break;
        case 3: protocol_push_unsubscribe(&buf, PUSH_WRAPPED, channel, &(struct unsubscribe){0}); break;
        case 4: protocol_push_subscribe(&buf, PUSH_WRAPPED, channel, &(struct subscribe_push_view){0}); break;
        case 5: protocol_push_message(&buf, PUSH_WRAPPED, (struct str){0}); break;
        case 6: protocol_push_connect(&buf, PUSH_WRAPPED, &(struct connect_view){0}); break;
        case 7: protocol_push_disconnect(&buf, PUSH_WRAPPED, &(struct disconnect){0}); break;
        case 8: protocol_push_refresh(&buf, PUSH_WRAPPED, false, 0); break;
        }
        assert_int_equal(json_object_read(buf_str(&buf), members, 2, 32), JSON_READ_OK);
        assert_true(members[0].value.at == NULL && members[1].value.at != NULL);
    }
    buf_release(&buf);
}

/* -- codes ----------------------------------------------------------------------------------------------- */

static void disconnects_have_the_codes_of_the_protocol(void **state)
{
    (void)state;
    assert_int_equal(DISCONNECT_CONNECTION_CLOSED.code, 3000);
    assert_int_equal(DISCONNECT_NO_PONG.code, 3012);
    assert_int_equal(DISCONNECT_BAD_REQUEST.code, 3501);
    expect_str(DISCONNECT_BAD_REQUEST.reason, "bad request");
    expect_str(DISCONNECT_FORCE_NO_RECONNECT.reason, "force disconnect");
    assert_int_equal(DISCONNECT_TOO_MANY_ERRORS.code, 3509);
#define ROW(name, number, text) assert_true(DISCONNECT_##name.reason.len <= 123);
    DISCONNECTS(ROW)
#undef ROW
}

static void terminal_codes_are_told_from_the_others(void **state)
{
    (void)state;
    static const struct {
        unsigned code;
        bool terminal;
    } rows[] = {{3000, false}, {3499, false}, {3500, true}, {3999, true},  {4000, false},
                {4499, false}, {4500, true},  {4999, true}, {5000, false}, {1000, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(disconnect_is_terminal(rows[i].code), rows[i].terminal);
    }
    assert_true(unsubscribe_is_final(UNSUBSCRIBE_SERVER.code));
    assert_true(unsubscribe_is_final(2499));
    assert_false(unsubscribe_is_final(2500));
    assert_false(unsubscribe_is_final(UNSUBSCRIBE_EXPIRED.code));
    assert_false(unsubscribe_is_final(UNSUBSCRIBE_STATE_INVALIDATED.code));
}

static void errors_become_disconnects_where_there_are_no_replies(void **state)
{
    (void)state;
    assert_int_equal(disconnect_from_error(109).code, 3005);
    assert_int_equal(disconnect_from_error(110).code, 3005);
    assert_int_equal(disconnect_from_error(111).code, 3013);
    assert_int_equal(disconnect_from_error(103).code, 3507);
    assert_int_equal(disconnect_from_error(100).code, 3004);
    assert_int_equal(disconnect_from_error(1999).code, 3004);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_gives_its_commands_in_order),
        cmocka_unit_test(line_breaks_inside_and_between_commands_are_white_space),
        cmocka_unit_test(what_is_no_run_of_objects_is_malformed_J01),
        cmocka_unit_test(a_broken_command_ends_the_frame_after_those_before_it),
        cmocka_unit_test(an_id_is_a_number_from_1_to_the_largest_32_bit_one_J01),
        cmocka_unit_test(an_object_without_id_is_a_pong_unless_it_is_a_send),
        cmocka_unit_test(of_several_methods_the_first_of_the_protocol_wins_J05),
        cmocka_unit_test(an_unknown_method_keeps_its_id_J05),
        cmocka_unit_test(a_duplicate_member_of_ours_is_refused_J03),
        cmocka_unit_test(nesting_counts_from_the_command_J02),
        cmocka_unit_test(a_connect_is_decoded),
        cmocka_unit_test(a_bad_entry_of_subs_or_headers_is_noticed_J05),
        cmocka_unit_test(a_subscribe_is_decoded),
        cmocka_unit_test(fields_that_are_absent_or_null_are_zero),
        cmocka_unit_test(the_other_requests_are_decoded),
        cmocka_unit_test(a_field_of_the_wrong_type_is_a_bad_request_with_its_id_J05),
        cmocka_unit_test(offsets_and_limits_outside_their_type_are_bad_requests_J09),
        cmocka_unit_test(texts_with_escapes_stay_where_they_are_until_the_next_command_J10),
        cmocka_unit_test(a_bare_connect_is_decoded),
        cmocka_unit_test(an_emulation_request_carries_a_frame),
        cmocka_unit_test(the_first_example_is_decoded),
        cmocka_unit_test(the_other_examples_are_decoded),
        cmocka_unit_test(the_first_example_is_encoded),
        cmocka_unit_test(the_recovery_examples_are_encoded),
        cmocka_unit_test(the_delta_example_is_encoded),
        cmocka_unit_test(the_examples_of_the_other_transports_are_encoded),
        cmocka_unit_test(a_result_without_fields_is_an_empty_object),
        cmocka_unit_test(what_must_always_be_there_is_there),
        cmocka_unit_test(an_error_has_its_code_text_and_mark),
        cmocka_unit_test(every_field_of_every_result_is_written),
        cmocka_unit_test(every_push_has_a_wrapped_and_a_bare_form),
        cmocka_unit_test(a_payload_comes_out_as_it_went_in_J13),
        cmocka_unit_test(line_breaks_of_a_payload_never_reach_the_wire),
        cmocka_unit_test(only_a_ping_has_neither_id_nor_push),
        cmocka_unit_test(disconnects_have_the_codes_of_the_protocol),
        cmocka_unit_test(terminal_codes_are_told_from_the_others),
        cmocka_unit_test(errors_become_disconnects_where_there_are_no_replies),
    };
    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}

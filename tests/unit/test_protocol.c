/* The decoding half of server/protocol.h; test_protocol_encode.c has the encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
    if (frame.len > 0) {
        memcpy(feed.memory + 1, frame.at, frame.len);
    }
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
    };
    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}

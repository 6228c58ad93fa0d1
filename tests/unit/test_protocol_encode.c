/* The encoding half of server/protocol.h; test_protocol.c has the decoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/json_span.h"
#include "server/protocol.h"

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

/* -- the examples of PROTOCOL section 17 ----------------------------------------------------------------- */

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
        struct buf frame = {0}, out = {0}, expected = {0}, scratch = {0};
        buf_printf(&frame, "{\"id\":1,\"publish\":{\"data\": %s ,\"channel\":\"a\"}}", payloads[i]);
        struct str rest = buf_str(&frame);
        struct command command;
        assert_int_equal(protocol_next_command(&rest, &command, &scratch), PROTOCOL_COMMAND);
        assert_int_equal(command.status, STATUS_OK);
        protocol_push_publication(&out, PUSH_WRAPPED, command.publish.channel,
                                  &(struct publication_view){.data = command.publish.data});
        buf_printf(&expected, "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":%s}}}%c", payloads[i], '\0');
        expect_encoded(&out, expected.at);
        buf_release(&scratch);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests_name("protocol_encode", tests, NULL, NULL);
}

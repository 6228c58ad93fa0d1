#include "server/proxy_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define assert_str(actual, expected)                                       \
    do {                                                                   \
        struct str assert_actual = (actual);                               \
        assert_int_equal(assert_actual.len, strlen(expected));             \
        assert_memory_equal(assert_actual.at, expected, strlen(expected)); \
    } while (0)

/* ---- requests ---- */

/* Every field set: what does not belong to the event must not go out. */
static const struct proxy_request full = {
    .client = {"c1", 2},
    .transport = {"websocket", 9},
    .user = {"42", 2},
    .meta = {"{\"m\":1}", 7},
    .data = {"{\"n\":1E400}", 11},
    .name = {"js", 2},
    .version = {"1.0", 3},
    .subs = {"{\"a\":{},\"b\\\"c\":{\"recover\":true}}", 33},
    .channel = {"ns:x", 4},
    .method = {"sum", 3},
};

static void expect_request(enum proxy_event event, const struct proxy_request *request, const char *expected)
{
    struct buf out = {0};
    proxy_append_request(&out, event, request);
    assert_false(out.failed);
    assert_str(buf_str(&out), expected);
    buf_release(&out);
}

#define COMMON "{\"client\":\"c1\",\"transport\":\"websocket\",\"protocol\":\"json\",\"encoding\":\"json\""
#define WITH_USER COMMON ",\"user\":\"42\",\"meta\":{\"m\":1}"

static void each_event_sends_its_own_fields(void **state)
{
    (void)state;
    expect_request(PROXY_CONNECT, &full,
                   COMMON ",\"data\":{\"n\":1E400},\"name\":\"js\",\"version\":\"1.0\","
                          "\"channels\":[\"a\",\"b\\\"c\"]}");
    expect_request(PROXY_REFRESH, &full, WITH_USER "}");
    expect_request(PROXY_SUBSCRIBE, &full, WITH_USER ",\"channel\":\"ns:x\",\"data\":{\"n\":1E400}}");
    expect_request(PROXY_PUBLISH, &full, WITH_USER ",\"channel\":\"ns:x\",\"data\":{\"n\":1E400}}");
    expect_request(PROXY_RPC, &full, WITH_USER ",\"method\":\"sum\",\"data\":{\"n\":1E400}}");
    expect_request(PROXY_SUB_REFRESH, &full, WITH_USER ",\"channel\":\"ns:x\"}");
}

static void absent_fields_are_left_out_but_for_the_user(void **state)
{
    (void)state;
    const struct proxy_request request = {
        .client = STR("c1"), .transport = STR("websocket"), .subs = STR("{}")};
    expect_request(PROXY_CONNECT, &request, COMMON "}");
    expect_request(PROXY_RPC, &request, COMMON ",\"user\":\"\"}");
}

static void texts_are_escaped(void **state)
{
    (void)state;
    struct proxy_request request = {.client = STR("c1"), .transport = STR("websocket")};
    request.user = STR("a\"\\\n");
    request.channel = STR("x\"");
    expect_request(PROXY_SUB_REFRESH, &request, COMMON ",\"user\":\"a\\\"\\\\\\n\",\"channel\":\"x\\\"\"}");
}

/* ---- replies ---- */

static struct proxy_reply read_reply(const char *body, struct buf *scratch)
{
    struct proxy_reply reply;
    buf_reset(scratch);
    proxy_read_reply(str_from_cstr(body), scratch, &reply);
    return reply;
}

static void expect_verdict(const char *body, enum proxy_verdict verdict)
{
    struct buf scratch = {0};
    struct proxy_reply reply = read_reply(body, &scratch);
    if (reply.verdict != verdict) {
        fail_msg("%s: verdict %d", body, (int)reply.verdict);
    }
    buf_release(&scratch);
}

static void one_of_three_is_the_verdict(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct proxy_reply reply = read_reply(" {\"result\": {\"user\" : \"x\"}, \"other\": 1}\n", &scratch);
    assert_int_equal(reply.verdict, PROXY_RESULT);
    assert_str(reply.result, "{\"user\" : \"x\"}");
    reply =
        read_reply("{\"error\":{\"code\":109,\"message\":\"exp\\u00efred\",\"temporary\":true}}", &scratch);
    assert_int_equal(reply.verdict, PROXY_ERROR);
    assert_int_equal(reply.error.code, 109);
    assert_str(reply.error.message, "exp\xc3\xafred");
    assert_true(reply.error.is_temporary);
    reply = read_reply("{\"disconnect\":{\"code\":4500,\"reason\":\"bye\"}}", &scratch);
    assert_int_equal(reply.verdict, PROXY_DISCONNECT);
    assert_int_equal(reply.disconnect.code, 4500);
    assert_str(reply.disconnect.reason, "bye");
    buf_release(&scratch);
}

static void of_several_the_strictest_wins(void **state)
{
    (void)state;
    expect_verdict("{\"result\":{},\"error\":{\"code\":1}}", PROXY_ERROR);
    expect_verdict("{\"result\":{},\"error\":{\"code\":1},\"disconnect\":{\"code\":3000}}", PROXY_DISCONNECT);
    expect_verdict("{\"result\":{},\"error\":null,\"disconnect\":null}", PROXY_RESULT);
}

static void an_object_with_none_of_them_is_nothing(void **state)
{
    (void)state;
    expect_verdict("{}", PROXY_NOTHING);
    expect_verdict("{\"result\":null}", PROXY_NOTHING);
    expect_verdict("{\"Result\":{}}", PROXY_NOTHING);
}

static void codes_have_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        unsigned code;
        enum proxy_verdict verdict;
    } cases[] = {
        {"{\"error\":{\"code\":%u}}", 0, PROXY_FAILURE},
        {"{\"error\":{\"code\":%u}}", 1, PROXY_ERROR},
        {"{\"error\":{\"code\":%u}}", 1999, PROXY_ERROR},
        {"{\"error\":{\"code\":%u}}", 2000, PROXY_FAILURE},
        {"{\"disconnect\":{\"code\":%u}}", 2999, PROXY_FAILURE},
        {"{\"disconnect\":{\"code\":%u}}", 3000, PROXY_DISCONNECT},
        {"{\"disconnect\":{\"code\":%u}}", 4999, PROXY_DISCONNECT},
        {"{\"disconnect\":{\"code\":%u}}", 5000, PROXY_FAILURE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[64];
        snprintf(body, sizeof body, cases[i].format, cases[i].code);
        expect_verdict(body, cases[i].verdict);
    }
}

static void W31_what_is_not_understood_exactly_is_a_failure(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "ok",
        "null",
        "[]",
        "{\"result\":{}",
        "{\"result\":{}} x",
        "{\"result\":{}}{\"result\":{}}",
        "{\"result\":{},\"result\":{}}",
        "{\"result\":[]}",
        "{\"result\":true}",
        "{\"result\":\"x\"}",
        "{\"error\":7}",
        "{\"error\":{}}",
        "{\"error\":{\"code\":\"1\"}}",
        "{\"error\":{\"code\":1.0}}",
        "{\"error\":{\"code\":1,\"message\":7}}",
        "{\"error\":{\"code\":1,\"message\":\"\\ud800\"}}",
        "{\"error\":{\"code\":1,\"temporary\":\"yes\"}}",
        "{\"disconnect\":{\"reason\":\"x\"}}",
        "{\"disconnect\":{\"code\":4000,\"reason\":[]}}",
        "{\"result\":{\"x\":\"\xff\"}}",
        "{\"result\":{\"x\":01}}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        expect_verdict(bodies[i], PROXY_FAILURE);
    }
}

static void a_status_is_what_the_configuration_makes_of_it(void **state)
{
    (void)state;
    struct proxy_transform rows[] = {
        {.status = 404, .code = 404, .text = "gone", .is_temporary = true},
        {.status = 403, .code = 4503, .text = "banned", .is_disconnect = true},
    };
    const struct proxy_transforms transforms = {.at = rows, .count = 2};
    struct proxy_reply reply;
    proxy_reply_from_status(&transforms, 404, &reply);
    assert_int_equal(reply.verdict, PROXY_ERROR);
    assert_int_equal(reply.error.code, 404);
    assert_str(reply.error.message, "gone");
    assert_true(reply.error.is_temporary);
    proxy_reply_from_status(&transforms, 403, &reply);
    assert_int_equal(reply.verdict, PROXY_DISCONNECT);
    assert_int_equal(reply.disconnect.code, 4503);
    proxy_reply_from_status(&transforms, 500, &reply);
    assert_int_equal(reply.verdict, PROXY_FAILURE);
    proxy_reply_from_status(&(struct proxy_transforms){0}, 404, &reply);
    assert_int_equal(reply.verdict, PROXY_FAILURE);
}

/* ---- connect ---- */

static void a_connect_result_is_like_a_token(void **state)
{
    (void)state;
    struct connection_claims claims;
    assert_true(proxy_read_connect(
        STR("{\"user\":\"4\\u0032\",\"expire_at\":2000000000,\"info\":{\"n\":1e2},\"data\":[1E400],"
            "\"meta\":{\"m\":1},\"channels\":[\"ignored\"],\"exp\":1,\"channel\":\"ignored\","
            "\"subs\":{\"a\":{\"data\":1,\"cache_recover\":true,\"override\":{\"presence\":{\"value\":true}}}"
            ","
            "\"b\":{}}}"),
        &claims));
    assert_str(claims.user, "42");
    assert_int_equal(claims.expire_at_s, 2000000000);
    assert_str(claims.info, "{\"n\":1e2}");
    assert_str(claims.data, "[1E400]");
    assert_str(claims.meta, "{\"m\":1}");
    assert_int_equal(claims.sub_count, 2);
    assert_int_equal(claims.channel_count, 0);
    assert_str(claims.subs[0].channel, "a");
    assert_str(claims.subs[0].data, "1");
    assert_true(claims.subs[0].cache_recover);
    assert_false(claims.subs[1].cache_recover);
    assert_int_equal(claims.subs[0].override.presence, OVERRIDE_TRUE);
    connection_claims_release(&claims);
}

static void an_empty_connect_result_is_an_anonymous_user(void **state)
{
    (void)state;
    static const char *const results[] = {
        "{}", "{\"user\":\"\"}",
        ("{\"user\":null,\"expire_at\":null,\"info\":null,\"b64info\":null,\"data\":null,\"channels\":null,"
         "\"subs\":null,\"meta\":null}"),
        "{\"expire_at\":0}"};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct connection_claims claims;
        assert_true(proxy_read_connect(str_from_cstr(results[i]), &claims));
        assert_int_equal(claims.user.len, 0);
        assert_int_equal(claims.expire_at_s, 0);
        assert_int_equal(claims.info.len + claims.data.len + claims.meta.len, 0);
        assert_int_equal(claims.sub_count + claims.channel_count, 0);
        connection_claims_release(&claims);
    }
}

static void base64_wins_and_holds_json(void **state)
{
    (void)state;
    struct connection_claims claims;
    assert_true(
        proxy_read_connect(STR("{\"info\":1,\"b64info\":\"eyJ4IjoxfQ==\",\"b64data\":\"W10=\"}"), &claims));
    assert_str(claims.info, "{\"x\":1}");
    assert_str(claims.data, "[]");
    connection_claims_release(&claims);
    assert_false(proxy_read_connect(STR("{\"b64data\":\"W10\"}"), &claims));  /* no padding */
    assert_false(proxy_read_connect(STR("{\"b64data\":\"Ww==\"}"), &claims)); /* [ */
}

static void W31_a_broken_connect_result_is_none(void **state)
{
    (void)state;
    static const char *const results[] = {
        "{\"user\":7}",
        "{\"user\":\"a\",\"user\":\"b\"}",
        "{\"user\":\"a\",\"us\\u0065r\":\"b\"}",
        "{\"user\":\"\\u0000\"}",
        "{\"expire_at\":-1}",
        "{\"expire_at\":\"1\"}",
        "{\"meta\":[]}",
        "{\"channels\":\"a\"}",
        "{\"channels\":[1]}",
        "{\"subs\":[]}",
        "{\"subs\":{\"a\":1}}",
        "{\"subs\":{\"a\":{},\"a\":{}}}",
        "{\"subs\":{\"a\":{\"cache_recover\":1}}}",
        "{\"subs\":{\"a\":{\"override\":{\"presence\":true}}}}",
    };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct connection_claims claims;
        if (proxy_read_connect(str_from_cstr(results[i]), &claims)) {
            fail_msg("accepted: %s", results[i]);
        }
    }
}

/* ---- the others ---- */

static void a_subscribe_result_is_like_a_subscription_token(void **state)
{
    (void)state;
    struct subscription_claims claims;
    assert_true(proxy_read_subscribe(STR("{\"expire_at\":2000000000,\"info\":{\"i\":1},\"b64data\":\"W10=\","
                                         "\"sub\":\"x\",\"channel\":\"y\","
                                         "\"override\":{\"force_recovery\":{\"value\":false}}}"),
                                     &claims));
    assert_int_equal(claims.expire_at_s, 2000000000);
    assert_str(claims.info, "{\"i\":1}");
    assert_str(claims.data, "[]");
    assert_int_equal(claims.override.force_recovery, OVERRIDE_FALSE);
    assert_int_equal(claims.user.len + claims.channel.len, 0);
    subscription_claims_release(&claims);
    assert_true(proxy_read_subscribe(STR("{}"), &claims));
    subscription_claims_release(&claims);
    assert_false(proxy_read_subscribe(STR("{\"expire_at\":true}"), &claims));
    assert_false(proxy_read_subscribe(STR("{\"info\":1,\"info\":2}"), &claims));
    assert_false(proxy_read_subscribe(STR("{\"override\":1}"), &claims));
}

static void a_refresh_result_says_how_it_goes_on(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct proxy_refresh_result result;
    assert_true(proxy_read_refresh(STR("{\"expire_at\":5,\"b64info\":\"eyJ4IjoxfQ==\",\"meta\":{}}"),
                                   &scratch, &result));
    assert_false(result.is_expired);
    assert_int_equal(result.expire_at_s, 5);
    assert_str(result.info, "{\"x\":1}");
    assert_str(result.meta, "{}");
    assert_true(proxy_read_refresh(STR("{\"expired\":true}"), &scratch, &result));
    assert_true(result.is_expired);
    assert_true(proxy_read_refresh(STR("{}"), &scratch, &result));
    assert_int_equal(result.expire_at_s + result.info.len + result.meta.len, 0);
    assert_false(proxy_read_refresh(STR("{\"expired\":1}"), &scratch, &result));
    assert_false(proxy_read_refresh(STR("{\"expire_at\":-5}"), &scratch, &result));
    assert_false(proxy_read_refresh(STR("{\"meta\":1}"), &scratch, &result));
    buf_release(&scratch);
}

static void a_publish_result_replaces_what_it_names(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct proxy_publish_result result;
    assert_true(
        proxy_read_publish(STR("{\"data\":{\"n\":1E400},\"tags\":{\"a\":\"b\"},\"skip_history\":true,"
                               "\"idempotency_key\":\"k\\n\",\"delta\":true,\"version\":18446744073709551615,"
                               "\"version_epoch\":\"e\"}"),
                           &scratch, &result));
    assert_str(result.data, "{\"n\":1E400}");
    assert_str(result.tags, "{\"a\":\"b\"}");
    assert_str(result.idempotency_key, "k\n");
    assert_str(result.version_epoch, "e");
    assert_true(result.version == UINT64_MAX && result.skip_history && result.delta);
    assert_true(proxy_read_publish(STR("{\"data\":null}"), &scratch, &result));
    assert_int_equal(result.data.len + result.tags.len + result.idempotency_key.len, 0);
    static const char *const broken[] = {
        "{\"tags\":[]}",           "{\"tags\":{\"a\":1}}", "{\"skip_history\":1}",    "{\"version\":-1}",
        "{\"idempotency_key\":1}", "{\"b64data\":\"!\"}",  "{\"data\":1,\"data\":2}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_false(proxy_read_publish(str_from_cstr(broken[i]), &scratch, &result));
    }
    buf_release(&scratch);
}

static void an_rpc_result_has_data_or_none(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct str data;
    assert_true(proxy_read_rpc(STR("{\"data\": [1E400 ] }"), &scratch, &data));
    assert_str(data, "[1E400 ]");
    assert_true(proxy_read_rpc(STR("{}"), &scratch, &data));
    assert_int_equal(data.len, 0);
    assert_false(proxy_read_rpc(STR("{\"b64data\":7}"), &scratch, &data));
    buf_release(&scratch);
}

static void nothing_moves_while_a_reply_and_its_result_are_read(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct proxy_publish_result result;
    struct proxy_reply reply =
        read_reply("{\"result\":{\"idempotency_key\":\"\\u0061\\u0062\",\"version_epoch\":\"\\u0063\","
                   "\"b64data\":\"\\u0057\\u0031\\u0030\\u003d\"}}",
                   &scratch);
    const char *before = scratch.at;
    assert_true(proxy_read_publish(reply.result, &scratch, &result));
    assert_ptr_equal(scratch.at, before);
    assert_str(result.idempotency_key, "ab");
    assert_str(result.version_epoch, "c");
    assert_str(result.data, "[]");
    buf_release(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_sends_its_own_fields),
        cmocka_unit_test(absent_fields_are_left_out_but_for_the_user),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(one_of_three_is_the_verdict),
        cmocka_unit_test(of_several_the_strictest_wins),
        cmocka_unit_test(an_object_with_none_of_them_is_nothing),
        cmocka_unit_test(codes_have_bounds),
        cmocka_unit_test(W31_what_is_not_understood_exactly_is_a_failure),
        cmocka_unit_test(a_status_is_what_the_configuration_makes_of_it),
        cmocka_unit_test(a_connect_result_is_like_a_token),
        cmocka_unit_test(an_empty_connect_result_is_an_anonymous_user),
        cmocka_unit_test(base64_wins_and_holds_json),
        cmocka_unit_test(W31_a_broken_connect_result_is_none),
        cmocka_unit_test(a_subscribe_result_is_like_a_subscription_token),
        cmocka_unit_test(a_refresh_result_says_how_it_goes_on),
        cmocka_unit_test(a_publish_result_replaces_what_it_names),
        cmocka_unit_test(an_rpc_result_has_data_or_none),
        cmocka_unit_test(nothing_moves_while_a_reply_and_its_result_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

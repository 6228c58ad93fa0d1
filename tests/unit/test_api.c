#include "tests/unit/api_room.h"

/* ---- who may call, and how ---- */

static unsigned status_of(const char *answer)
{
    return (unsigned)strtoul(answer, NULL, 10);
}

static void the_key_is_taken_from_three_places_a30(void **state)
{
    (void)state;
    struct str body = STR("{}");
    assert_int_equal(status_of(call_with("/api/info", "X-API-Key: " ROOM_KEY "\r\n", body)), 200);
    assert_int_equal(status_of(call_with("/api/info", "Authorization: apikey " ROOM_KEY "\r\n", body)), 200);
    assert_int_equal(status_of(call_with("/api/info", "Authorization: APIKEY " ROOM_KEY "\r\n", body)), 200);
    assert_int_equal(status_of(call_with("/api/info?a=b&api_key=" ROOM_KEY, "", body)), 200);
    assert_int_equal(room.workers[0]->metrics.api_unauthorized_total, 0);
}

static void a_key_that_is_not_the_key_is_refused_and_counted_a30(void **state)
{
    (void)state;
    const char *headers[] = {
        "",
        "X-API-Key: \r\n",
        "X-API-Key: a-key-of-the-api-that-nobody-know\r\n",
        "X-API-Key: " ROOM_KEY "s\r\n",
        "X-API-Key: A-KEY-OF-THE-API-THAT-NOBODY-KNOWS\r\n",
        "Authorization: Bearer " ROOM_KEY "\r\n",
        "Authorization: " ROOM_KEY "\r\n",
        "Authorization: apikey\r\n",
    };
    size_t count = sizeof headers / sizeof headers[0];
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(call_with("/api/publish", headers[i], STR("{\"channel\":\"c\",\"data\":1}")),
                            "401 Unauthorized");
    }
    assert_string_equal(call_with("/api/publish?api_key=", "", STR("{}")), "401 Unauthorized");
    assert_string_equal(call_with("/api", "", STR("{\"method\":\"info\"}")), "401 Unauthorized");
    assert_string_equal(call_with("/api/batch", "", STR("{}")), "401 Unauthorized");
    assert_int_equal(room.workers[0]->metrics.api_unauthorized_total, count + 3);
    assert_int_equal(room.workers[0]->metrics.api_requests_total, 0);
}

static void without_a_configured_key_every_call_is_refused(void **state)
{
    (void)state;
    room_open("");
    assert_string_equal(call_with("/api/info", "X-API-Key: \r\n", STR("{}")), "401 Unauthorized");
    assert_string_equal(call_with("/api/info?api_key=", "", STR("{}")), "401 Unauthorized");
    room_close();
}

static void an_insecure_api_asks_for_no_key(void **state)
{
    (void)state;
    room_open("\"http_api\": {\"insecure\": true},");
    assert_string_equal(call_with("/api/publish", "", STR("{\"channel\":\"plain:c\",\"data\":1}")),
                        "200 {\"result\":{}}");
    room_close();
}

static void an_unknown_path_is_not_found(void **state)
{
    (void)state;
    expect_call("/api/nothing", "{}", "404 Not Found");
    expect_call("/api/publish/", "{}", "404 Not Found");
    expect_call("/api/Publish", "{}", "404 Not Found");
}

static void what_is_no_json_object_is_refused_j01(void **state)
{
    (void)state;
    const char *bodies[] = {
        "", " ", "[]", "1", "{", "{} x", "{\"channel\":\"c\",\"data\":NaN}", "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        expect_call("/api/publish", bodies[i], "400 the body is not a JSON object");
        expect_call("/api/batch", bodies[i], "400 the body is not a JSON object");
    }
    assert_int_equal(status_of(call_with("/api/info", "X-API-Key: " ROOM_KEY "\r\n", STR("\r\n\t {} \n"))),
                     200);
    assert_int_equal(status_of(call_with("/api/info", "X-API-Key: " ROOM_KEY "\r\n", STR("{}\0"))), 400);
}

static void methods_of_absent_features_are_not_found(void **state)
{
    (void)state;
    const char *not_found = "200 {\"error\":{\"code\":104,\"message\":\"not found\"}}";
    expect_call("/api/map_publish", "{}", not_found);
    expect_call("/api/map_clear", "{}", not_found);
    expect_call("/api/shared_poll_publish", "{}", not_found);
    expect_call("/api/rpc", "{\"method\":\"any\",\"params\":{}}", not_found);
    expect_call("/api/rpc", "{}", BAD_REQUEST);
}

static void transport_mode_answers_errors_as_http_status(void **state)
{
    (void)state;
    const char *headers = "X-API-Key: " ROOM_KEY "\r\nX-Centrifugo-Error-Mode: transport\r\n";
    assert_string_equal(call_with("/api/publish", headers, STR("{\"channel\":\"no:c\",\"data\":1}")),
                        "404 {\"code\":102,\"message\":\"unknown channel\"}");
    assert_string_equal(call_with("/api/rpc", headers, STR("{\"method\":\"m\"}")),
                        "404 {\"code\":104,\"message\":\"not found\"}");
    assert_string_equal(call_with("/api/publish", headers, STR("{}")),
                        "400 {\"code\":107,\"message\":\"bad request\"}");
    assert_string_equal(call_with("/api/presence", headers, STR("{\"channel\":\"plain:c\"}")),
                        "400 {\"code\":108,\"message\":\"not available\"}");
    assert_string_equal(call_with("/api/history", headers,
                                  STR("{\"channel\":\"c\",\"since\":{\"offset\":1,\"epoch\":\"_\"}}")),
                        "416 {\"code\":112,\"message\":\"unrecoverable position\"}");
    assert_string_equal(call_with("/api/publish", headers, STR("{\"channel\":\"plain:c\",\"data\":1}")),
                        "200 {\"result\":{}}");
}

static void transport_mode_can_be_configured(void **state)
{
    (void)state;
    room_open("\"http_api\": {\"insecure\": true, \"error_mode\": \"transport\"},");
    expect_call("/api/publish", "{}", "400 {\"code\":107,\"message\":\"bad request\"}");
    room_close();
}

/* ---- publish ---- */

static void a_publication_gets_the_next_offset(void **state)
{
    (void)state;
    expect_call("/api/publish", "{\"channel\":\"c\",\"data\":{}}",
                "200 {\"result\":{\"offset\":1,\"epoch\":\"E\"}}");
    expect_call("/api/publish", "{\"channel\":\"c\",\"data\":{}}",
                "200 {\"result\":{\"offset\":2,\"epoch\":\"E\"}}");
    expect_call("/api/publish", "{\"channel\":\"c\",\"data\":{},\"skip_history\":true}",
                "200 {\"result\":{}}");
    expect_call("/api/publish", "{\"channel\":\"plain:c\",\"data\":{}}", "200 {\"result\":{}}");
}

static void a_payload_travels_byte_for_byte_j13(void **state)
{
    (void)state;
    call("/api/publish",
         "{\"data\" : {\"a\":1e400 , \"\\u0061\":12345678901234567890.10, \"z\":\"\\ud800\"} ,"
         "\"channel\":\"\\u0063\"}");
    call("/api/publish", "{\"channel\":\"c\",\"data\":null,\"tags\":{\"k\":\"v\"}}");
    call("/api/publish", "{\"channel\":\"c\",\"b64data\":\"eyJiIjoxfQ==\",\"data\":2}");
    expect_call(
        "/api/history", "{\"channel\":\"c\",\"limit\":-1}",
        "200 {\"result\":{\"publications\":["
        "{\"data\":{\"a\":1e400 , \"\\u0061\":12345678901234567890.10, \"z\":\"\\ud800\"},\"offset\":1},"
        "{\"data\":null,\"offset\":2,\"tags\":{\"k\":\"v\"}},"
        "{\"data\":{\"b\":1},\"offset\":3}],\"epoch\":\"E\",\"offset\":3}}");
}

static void parameters_that_are_missing_or_of_another_type_are_refused_j05(void **state)
{
    (void)state;
    const char *bodies[] = {
        "{\"data\":1}",
        "{\"channel\":\"\",\"data\":1}",
        "{\"channel\":null,\"data\":1}",
        "{\"channel\":7,\"data\":1}",
        "{\"channel\":\"c\"}",
        "{\"channel\":\"c\",\"b64data\":\"\"}",
        "{\"channel\":\"c\",\"b64data\":\"?\"}",
        "{\"channel\":\"c\",\"b64data\":\"bm8ganNvbg==\"}",
        "{\"channel\":\"c\",\"data\":1,\"tags\":[]}",
        "{\"channel\":\"c\",\"data\":1,\"tags\":{\"a\":1}}",
        "{\"channel\":\"c\",\"data\":1,\"version\":-1}",
        "{\"channel\":\"c\",\"data\":1,\"version\":1.5}",
        "{\"channel\":\"c\",\"data\":1,\"delta\":1}",
        "{\"channel\":\"c\",\"data\":1,\"idempotency_key\":1}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        expect_call("/api/publish", bodies[i], BAD_REQUEST);
    }
    expect_call("/api/publish",
                "{\"channel\":\"c\",\"data\":1,\"tags\":null,\"version\":null,\"unknown\":[]}",
                "200 {\"result\":{\"offset\":1,\"epoch\":\"E\"}}");
}

static void a_parameter_that_is_there_twice_is_refused_j03(void **state)
{
    (void)state;
    expect_call("/api/publish", "{\"channel\":\"a\",\"data\":1,\"channel\":\"b\"}", BAD_REQUEST);
    expect_call("/api/publish", "{\"channel\":\"a\",\"data\":1,\"d\\u0061ta\":2}", BAD_REQUEST);
}

static void names_with_nul_or_half_a_character_are_refused_j04(void **state)
{
    (void)state;
    expect_call("/api/publish", "{\"channel\":\"a\\u0000b\",\"data\":1}", BAD_REQUEST);
    expect_call("/api/publish", "{\"channel\":\"\\ud800\",\"data\":1}", BAD_REQUEST);
    expect_call("/api/publish", "{\"channel\":\"a\\nb\",\"data\":1}", BAD_REQUEST);
}

static void a_namespace_says_what_its_data_must_be(void **state)
{
    (void)state;
    expect_call("/api/publish", "{\"channel\":\"object:c\",\"data\":1}", BAD_REQUEST);
    expect_call("/api/publish", "{\"channel\":\"object:c\",\"data\":{}}", "200 {\"result\":{}}");
    expect_call("/api/publish", "{\"channel\":\"object:c\",\"b64data\":\"IAp7fQ==\"}", "200 {\"result\":{}}");
    expect_call("/api/publish", "{\"channel\":\"binary:c\"}", "200 {\"result\":{}}");
    expect_call("/api/publish", "{\"channel\":\"binary:c\",\"b64data\":\"AAEC\"}", BAD_REQUEST);
}

static void the_same_key_publishes_once(void **state)
{
    (void)state;
    const char *first = "200 {\"result\":{\"offset\":1,\"epoch\":\"E\"}}";
    expect_call("/api/publish", "{\"channel\":\"c\",\"data\":1,\"idempotency_key\":\"k\"}", first);
    expect_call("/api/publish", "{\"channel\":\"c\",\"data\":2,\"idempotency_key\":\"k\"}", first);
    expect_call(
        "/api/history", "{\"channel\":\"c\",\"limit\":-1}",
        "200 {\"result\":{\"publications\":[{\"data\":1,\"offset\":1}],\"epoch\":\"E\",\"offset\":1}}");
}

static void an_older_version_is_not_published(void **state)
{
    (void)state;
    call("/api/publish", "{\"channel\":\"c\",\"data\":1,\"version\":5}");
    call("/api/publish", "{\"channel\":\"c\",\"data\":2,\"version\":5}");
    call("/api/publish", "{\"channel\":\"c\",\"data\":3,\"version\":1,\"version_epoch\":\"other\"}");
    expect_call("/api/history", "{\"channel\":\"c\",\"limit\":-1}",
                "200 {\"result\":{\"publications\":[{\"data\":1,\"offset\":1},{\"data\":3,\"offset\":2}],"
                "\"epoch\":\"E\",\"offset\":2}}");
}

/* ---- broadcast ---- */

static void a_broadcast_answers_in_the_order_of_its_channels(void **state)
{
    (void)state;
    call("/api/publish", "{\"channel\":\"b\",\"data\":1}");
    expect_call("/api/broadcast", "{\"channels\":[\"a\",\"no:b\",\"plain:c\",\"\",\"b\"],\"data\":{}}",
                "200 {\"result\":{\"responses\":[{\"result\":{\"offset\":1,\"epoch\":\"E\"}},"
                "{\"error\":{\"code\":102,\"message\":\"unknown channel\"}},{\"result\":{}},"
                "{\"error\":{\"code\":107,\"message\":\"bad request\"}},"
                "{\"result\":{\"offset\":2,\"epoch\":\"E\"}}]}}");
}

static void a_broadcast_to_nobody_or_of_nothing_is_refused(void **state)
{
    (void)state;
    const char *bodies[] = {"{\"data\":1}", "{\"channels\":[],\"data\":1}", "{\"channels\":\"a\",\"data\":1}",
                            "{\"channels\":[1],\"data\":1}", "{\"channels\":[\"a\"]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        expect_call("/api/broadcast", bodies[i], BAD_REQUEST);
    }
}

/* {"name":[item,item,…]…, where each %u is the index. */
static char *many(const char *head, const char *item, unsigned count, const char *tail)
{
    struct buf out = {0};
    buf_append_str(&out, str_from_cstr(head));
    for (unsigned i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(&out, ',');
        }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        buf_printf(&out, item, i);
#pragma GCC diagnostic pop
    }
    buf_append_str(&out, str_from_cstr(tail));
    buf_append_char(&out, '\0');
    assert_false(out.failed);
    return out.at;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void a_broadcast_reaches_a_thousand_channels_and_no_more(void **state)
{
    (void)state;
    char *body = many("{\"channels\":[", "\"c%u\"", API_BROADCAST_CHANNELS_MAX, "],\"data\":1}");
    const char *answer = call("/api/broadcast", body);
    assert_int_equal(count_of(answer, "{\"result\":{\"offset\":1,"), API_BROADCAST_CHANNELS_MAX);
    free(body);
    body = many("{\"channels\":[", "\"c%u\"", API_BROADCAST_CHANNELS_MAX + 1, "],\"data\":1}");
    expect_call("/api/broadcast", body,
                "200 {\"error\":{\"code\":107,\"message\":\"bad request: more than 1000 channels in one "
                "broadcast\"}}");
    free(body);
}

/* ---- history and presence ---- */

static void history_pages_in_both_directions(void **state)
{
    (void)state;
    call("/api/broadcast", "{\"channels\":[\"c\",\"c\",\"c\"],\"data\":0}");
    expect_call("/api/history", "{\"channel\":\"c\"}",
                "200 {\"result\":{\"publications\":[],\"epoch\":\"E\",\"offset\":3}}");
    expect_call(
        "/api/history", "{\"channel\":\"c\",\"limit\":1,\"since\":{\"offset\":1}}",
        "200 {\"result\":{\"publications\":[{\"data\":0,\"offset\":2}],\"epoch\":\"E\",\"offset\":3}}");
    expect_call("/api/history", "{\"channel\":\"c\",\"limit\":2,\"reverse\":true}",
                "200 {\"result\":{\"publications\":[{\"data\":0,\"offset\":3},{\"data\":0,\"offset\":2}],"
                "\"epoch\":\"E\",\"offset\":3}}");
    expect_call("/api/history", "{\"channel\":\"c\",\"limit\":-2}", BAD_REQUEST);
    expect_call("/api/history", "{\"channel\":\"c\",\"limit\":1.5}", BAD_REQUEST);
    expect_call("/api/history", "{\"channel\":\"c\",\"since\":{\"offset\":-1}}", BAD_REQUEST);
    expect_call("/api/history", "{\"channel\":\"c\",\"since\":7}", BAD_REQUEST);
    expect_call("/api/history", "{\"channel\":\"plain:c\"}",
                "200 {\"error\":{\"code\":108,\"message\":\"not available\"}}");
    expect_call("/api/history", "{\"channel\":\"no:c\"}",
                "200 {\"error\":{\"code\":102,\"message\":\"unknown channel\"}}");
}

static void history_is_not_cut_at_the_page_of_clients_but_at_a_bound_of_its_own_j09(void **state)
{
    (void)state;
    for (unsigned i = 0; i < room.config->limits_history_page_max + 1; i += API_BROADCAST_CHANNELS_MAX / 2) {
        char *body = many("{\"channels\":[", "\"c\"", API_BROADCAST_CHANNELS_MAX / 2, "],\"data\":1}");
        call("/api/broadcast", body);
        free(body);
    }
    assert_int_equal(count_of(call("/api/history", "{\"channel\":\"c\",\"limit\":301}"), "{\"data\""), 301);
    assert_int_equal(count_of(call("/api/history", "{\"channel\":\"c\",\"limit\":-1}"), "{\"data\""),
                     room.config->limits_history_page_max);
    assert_int_equal(count_of(call("/api/history", "{\"channel\":\"c\",\"limit\":1000000000}"), "{\"data\""),
                     room.config->limits_history_page_max);
}

static void history_that_is_removed_keeps_its_position(void **state)
{
    (void)state;
    call("/api/publish", "{\"channel\":\"c\",\"data\":1}");
    expect_call("/api/history_remove", "{\"channel\":\"c\"}", "200 {\"result\":{}}");
    expect_call("/api/history", "{\"channel\":\"c\",\"limit\":-1}",
                "200 {\"result\":{\"publications\":[],\"epoch\":\"E\",\"offset\":1}}");
    expect_call("/api/history_remove", "{\"channel\":\"plain:c\"}",
                "200 {\"error\":{\"code\":108,\"message\":\"not available\"}}");
    expect_call("/api/history_remove", "{}", BAD_REQUEST);
}

static void free_op(struct op *op)
{
    assert_int_equal(op->status, STATUS_OK);
    op_free(op);
}

/* As a session would. */
static void subscribe(unsigned worker, const char *channel, const char *client, const char *user)
{
    struct op *op = op_new(OP_SUBSCRIBE, 500);
    assert_non_null(op);
    struct buf info = {0};
    buf_printf(&info, "{\"user\":\"%s\",\"client\":\"%s\"}", user, client);
    op->channel = op_text(op, str_from_cstr(channel));
    assert_int_equal(channel_rules_resolve(&room.config->channels, op->channel, &op->options), STATUS_OK);
    op->subscribe.client = op_text(op, str_from_cstr(client));
    op->subscribe.user = op_text(op, str_from_cstr(user));
    op->subscribe.info = op_text(op, buf_str(&info));
    op->subscribe.with_presence = op->options->presence;
    op->done = free_op;
    buf_release(&info);
    hub_start(room.hubs[worker], op);
    for (int i = 0; i < 4; i++) {
        room_turn();
    }
}

static void presence_lists_clients_and_counts_users(void **state)
{
    (void)state;
    subscribe(0, "c", "one", "ann");
    subscribe(1, "c", "two", "ann");
    expect_call("/api/presence", "{\"channel\":\"c\"}",
                "200 {\"result\":{\"presence\":{\"one\":{\"user\":\"ann\",\"client\":\"one\"},"
                "\"two\":{\"user\":\"ann\",\"client\":\"two\"}}}}");
    expect_call("/api/presence_stats", "{\"channel\":\"c\"}",
                "200 {\"result\":{\"num_clients\":2,\"num_users\":1}}");
    expect_call("/api/presence", "{\"channel\":\"empty\"}", "200 {\"result\":{\"presence\":{}}}");
    expect_call("/api/presence_stats", "{\"channel\":\"empty\"}",
                "200 {\"result\":{\"num_clients\":0,\"num_users\":0}}");
    expect_call("/api/presence", "{\"channel\":\"plain:c\"}",
                "200 {\"error\":{\"code\":108,\"message\":\"not available\"}}");
    expect_call("/api/presence_stats", "{\"channel\":\"plain:c\"}",
                "200 {\"error\":{\"code\":108,\"message\":\"not available\"}}");
    expect_call("/api/presence", "{}", BAD_REQUEST);
}

static void a_long_presence_is_cut_and_says_so(void **state)
{
    (void)state;
    room_open("\"http_api\": {\"insecure\": true}, \"limits\": {\"presence_answer_max\": 2},");
    subscribe(0, "c", "1", "a");
    subscribe(0, "c", "2", "a");
    assert_null(strstr(call("/api/presence", "{\"channel\":\"c\"}"), "truncated"));
    subscribe(0, "c", "3", "a");
    const char *answer = call("/api/presence", "{\"channel\":\"c\"}");
    assert_int_equal(count_of(answer, "\"client\""), 2);
    assert_non_null(strstr(answer, "}},\"truncated\":true}}"));
    room_close();
}

/* ---- channels and info ---- */

static void channels_of_all_workers_are_listed_by_name(void **state)
{
    (void)state;
    expect_call("/api/channels", "{}", "200 {\"result\":{\"channels\":{}}}");
    subscribe(0, "plain:b", "1", "");
    subscribe(1, "plain:b", "2", "");
    subscribe(1, "plain:a", "3", "");
    subscribe(1, "plain:\"", "3", "");
    subscribe(0, "news", "4", "");
    expect_call(
        "/api/channels", "{\"pattern\":\"plain:*\"}",
        "200 {\"result\":{\"channels\":{\"plain:\\\"\":{\"num_clients\":1},\"plain:a\":{\"num_clients\":1},"
        "\"plain:b\":{\"num_clients\":2}}}}");
    expect_call("/api/channels", "{\"pattern\":\"new?\"}",
                "200 {\"result\":{\"channels\":{\"news\":{\"num_clients\":1}}}}");
    expect_call("/api/channels", "{\"pattern\":[]}", BAD_REQUEST);
}

static void info_counts_a_user_of_two_workers_once(void **state)
{
    (void)state;
    struct session *sessions[] = {room_join(0, "ann", "c1" DOTS), room_join(1, "ann", "c2" DOTS),
                                  room_join(1, "bob", "c3" DOTS), room_join(0, "", "c4" DOTS)};
    subscribe(0, "a", "c1", "ann");
    subscribe(1, "b", "c2", "ann");
    const char *answer = call("/api/info", "{}");
    assert_true(
        str_starts_with(str_from_cstr(answer),
                        STR("200 {\"result\":{\"nodes\":[{\"uid\":\"the-id\",\"name\":\"the \\\"name\\\"\","
                            "\"version\":\"")));
    assert_non_null(
        strstr(answer, "\"num_clients\":4,\"num_users\":3,\"num_subs\":0,\"num_channels\":2,\"uptime\":"));
    assert_non_null(strstr(answer, "\"process\":{\"cpu\":"));
    for (size_t i = 0; i < 4; i++) {
        room_leave(sessions[i]);
    }
}

/* ---- several at once ---- */

static void a_batch_answers_in_order_whatever_its_commands_are(void **state)
{
    (void)state;
    const char *expected = "200 {\"replies\":[{\"publish\":{\"offset\":1,\"epoch\":\"E\"}},"
                           "{\"presence_stats\":{\"num_clients\":0,\"num_users\":0}},"
                           "{\"error\":{\"code\":102,\"message\":\"unknown channel\"}},"
                           "{\"unsubscribe\":{}},"
                           "{\"broadcast\":{\"responses\":[{\"result\":{\"offset\":2,\"epoch\":\"E\"}}]}}]}";
    const char *commands = "{\"publish\":{\"channel\":\"c\",\"data\":1}},"
                           "{\"presence_stats\":{\"channel\":\"c\"},\"info\":null},"
                           "{\"publish\":{\"channel\":\"no:c\",\"data\":1}},"
                           "{\"unsubscribe\":{\"user\":\"u\"}},"
                           "{\"broadcast\":{\"channels\":[\"c\"],\"data\":1}}";
    struct buf body = {0};
    buf_printf(&body, "{\"commands\":[%s]}%c", commands, 0);
    expect_call("/api/batch", body.at, expected);
    call("/api/history_remove", "{\"channel\":\"c\"}");
    buf_reset(&body);
    buf_printf(
        &body,
        "{\"commands\":[{\"publish\":{\"channel\":\"d\",\"data\":1}},{\"history\":{\"channel\":\"c\"}}],"
        "\"parallel\":true}%c",
        0);
    expect_call("/api/batch", body.at,
                "200 {\"replies\":[{\"publish\":{\"offset\":1,\"epoch\":\"E\"}},"
                "{\"history\":{\"publications\":[],\"epoch\":\"E\",\"offset\":2}}]}");
    buf_release(&body);
}

static void a_command_that_is_not_one_method_is_refused_alone_j05(void **state)
{
    (void)state;
    expect_call(
        "/api/batch",
        "{\"commands\":[{},{\"batch\":{}},{\"nothing\":{}},{\"info\":{},\"publish\":{}},7,{\"publish\":[]},"
        "{\"unsubscribe\":{}}]}",
        "200 {\"replies\":[{\"error\":{\"code\":104,\"message\":\"not found\"}},"
        "{\"error\":{\"code\":104,\"message\":\"not found\"}},{\"error\":{\"code\":104,\"message\":\"not "
        "found\"}},"
        "{\"error\":{\"code\":107,\"message\":\"bad request\"}},{\"error\":{\"code\":107,\"message\":\"bad "
        "request\"}},"
        "{\"error\":{\"code\":107,\"message\":\"bad request\"}},{\"unsubscribe\":{}}]}");
    expect_call("/api/batch", "{}", "200 {\"replies\":[]}");
    expect_call("/api/batch", "{\"commands\":null}", "200 {\"replies\":[]}");
    expect_call("/api/batch", "{\"commands\":{}}", BAD_REQUEST);
    expect_call("/api/batch", "{\"commands\":[],\"parallel\":1}", BAD_REQUEST);
}

static void a_batch_has_a_thousand_commands_and_no_more(void **state)
{
    (void)state;
    static const char *const tails[] = {"]}", "],\"parallel\":true}"};
    for (size_t i = 0; i < 2; i++) {
        char *body = many("{\"commands\":[", "{\"publish\":{\"channel\":\"c%u\",\"data\":1}}",
                          API_COMMANDS_MAX, tails[i]);
        assert_int_equal(count_of(call("/api/batch", body), "{\"publish\":{\"offset\""), API_COMMANDS_MAX);
        free(body);
    }
    char *body = many("{\"commands\":[", "{}", API_COMMANDS_MAX + 1, "]}");
    expect_call(
        "/api/batch", body,
        "200 {\"error\":{\"code\":107,\"message\":\"bad request: more than 1000 commands in one batch\"}}");
    free(body);
}

static void a_thousand_commands_that_end_at_once_do_not_run_inside_each_other(void **state)
{
    (void)state;
    char *body = many("{\"commands\":[", "{\"publish\":{}}", API_COMMANDS_MAX, "]}");
    assert_int_equal(count_of(call("/api/batch", body), "{\"error\":{\"code\":107"), API_COMMANDS_MAX);
    free(body);
}

static void the_legacy_form_answers_line_by_line(void **state)
{
    (void)state;
    expect_call("/api",
                "{\"id\":7,\"method\":\"publish\",\"params\":{\"channel\":\"plain:c\",\"data\":1}}\n"
                "{\"method\":\"unsubscribe\"}\n\n"
                "{\"id\":9,\"method\":\"nothing\"} {\"id\":10,\"method\":\"publish\",\"params\":null}\n",
                "200 {\"id\":7,\"result\":{}}\n{\"result\":{}}\n"
                "{\"id\":9,\"error\":{\"code\":104,\"message\":\"not found\"}}\n"
                "{\"id\":10,\"error\":{\"code\":107,\"message\":\"bad request\"}}");
    expect_call("/api/", "{\"method\":\"unsubscribe\",\"params\":{}}", "200 {\"result\":{}}");
    const char *malformed = "400 the body is not a run of JSON objects";
    expect_call("/api", "", malformed);
    expect_call("/api", "{\"method\":\"publish\",\"params\":{\"channel\":\"c\",\"data\":1}}\nx", malformed);
    expect_call("/api/history", "{\"channel\":\"c\"}",
                "200 {\"result\":{\"publications\":[],\"epoch\":\"E\",\"offset\":0}}");
}

/* ---- when things go wrong ---- */

static void a_caller_that_has_gone_does_no_harm(void **state)
{
    (void)state;
    struct exchange *exchange =
        exchange_new("/api/publish", "X-API-Key: " ROOM_KEY "\r\n", STR("{\"channel\":\"c\",\"data\":1}"));
    api_handle(exchange);
    exchange->connection = NULL;
    room_settle();
    assert_int_equal(room.answer_count, 1);
    expect_call("/api/history", "{\"channel\":\"c\"}",
                "200 {\"result\":{\"publications\":[],\"epoch\":\"E\",\"offset\":1}}");
}

static void forget(void *receiver, struct mail *mail)
{
    (void)receiver;
    (void)mail;
}

static void a_worker_that_is_behind_makes_calls_fail_and_none_hang(void **state)
{
    (void)state;
    struct mail mails[ROOM_MAILS_MAX];
    const char *internal = "200 {\"error\":{\"code\":100,\"message\":\"internal server error\"}}";
    const char *targets[] = {"/api/info", "/api/channels", "/api/disconnect"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t mail = 0; mail < ROOM_MAILS_MAX; mail++) {
            mails[mail].run = forget;
            assert_true(hub_post_from_main(room.hubs[1], &mails[mail]));
        }
        expect_call(targets[i], "{}", internal);
        assert_true(str_starts_with(str_from_cstr(call(targets[i], "{}")), STR("200 {\"result\":{")));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_room, close_room)
    const struct CMUnitTest tests[] = {
        TEST(the_key_is_taken_from_three_places_a30),
        TEST(a_key_that_is_not_the_key_is_refused_and_counted_a30),
        cmocka_unit_test(without_a_configured_key_every_call_is_refused),
        cmocka_unit_test(an_insecure_api_asks_for_no_key),
        TEST(an_unknown_path_is_not_found),
        TEST(what_is_no_json_object_is_refused_j01),
        TEST(methods_of_absent_features_are_not_found),
        TEST(transport_mode_answers_errors_as_http_status),
        cmocka_unit_test(transport_mode_can_be_configured),
        TEST(a_publication_gets_the_next_offset),
        TEST(a_payload_travels_byte_for_byte_j13),
        TEST(parameters_that_are_missing_or_of_another_type_are_refused_j05),
        TEST(a_parameter_that_is_there_twice_is_refused_j03),
        TEST(names_with_nul_or_half_a_character_are_refused_j04),
        TEST(a_namespace_says_what_its_data_must_be),
        TEST(the_same_key_publishes_once),
        TEST(an_older_version_is_not_published),
        TEST(a_broadcast_answers_in_the_order_of_its_channels),
        TEST(a_broadcast_to_nobody_or_of_nothing_is_refused),
        TEST(a_broadcast_reaches_a_thousand_channels_and_no_more),
        TEST(history_pages_in_both_directions),
        TEST(history_is_not_cut_at_the_page_of_clients_but_at_a_bound_of_its_own_j09),
        TEST(history_that_is_removed_keeps_its_position),
        TEST(presence_lists_clients_and_counts_users),
        cmocka_unit_test(a_long_presence_is_cut_and_says_so),
        TEST(channels_of_all_workers_are_listed_by_name),
        TEST(info_counts_a_user_of_two_workers_once),
        TEST(a_batch_answers_in_order_whatever_its_commands_are),
        TEST(a_command_that_is_not_one_method_is_refused_alone_j05),
        TEST(a_batch_has_a_thousand_commands_and_no_more),
        TEST(a_thousand_commands_that_end_at_once_do_not_run_inside_each_other),
        TEST(the_legacy_form_answers_line_by_line),
        TEST(a_caller_that_has_gone_does_no_harm),
        TEST(a_worker_that_is_behind_makes_calls_fail_and_none_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

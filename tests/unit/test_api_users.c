#include "tests/unit/api_room.h"

#include "server/control.h"

/* c1 of ann on worker 0, c2 of ann on worker 1, c3 of bob on worker 1, c4 of nobody on worker 0. */
static struct session *sessions[4];

static int open_room_with_people(void **state)
{
    int result = open_room(state);
    sessions[0] = room_join(0, "ann", "c1" DOTS);
    sessions[1] = room_join(1, "ann", "c2" DOTS);
    sessions[2] = room_join(1, "bob", "c3" DOTS);
    sessions[3] = room_join(0, "", "c4" DOTS);
    return result;
}

static int close_room_with_people(void **state)
{
    for (size_t i = 0; i < 4; i++) {
        room_leave(sessions[i]);
    }
    return close_room(state);
}

#define OK "200 {\"result\":{}}"

/* ---- whom ---- */

static void a_user_is_met_on_every_worker(void **state)
{
    (void)state;
    expect_call("/api/disconnect", "{\"user\":\"ann\"}", OK);
    expect_acts("disconnect(c1 3503 force disconnect) disconnect(c2 3503 force disconnect) ");
}

static void a_client_narrows_and_means_nothing_without_its_user(void **state)
{
    (void)state;
    expect_call("/api/disconnect", "{\"user\":\"ann\",\"client\":\"c2" DOTS "\"}", OK);
    expect_acts("disconnect(c2 3503 force disconnect) ");
    expect_call("/api/disconnect", "{\"user\":\"bob\",\"client\":\"c2" DOTS "\"}", OK);
    expect_call("/api/disconnect", "{\"client\":\"c2" DOTS "\"}", OK);
    expect_call("/api/disconnect", "{\"user\":\"ann\",\"client\":\"c2\"}", OK);
    expect_acts("");
}

static void a_session_narrows_to_nobody_over_websocket(void **state)
{
    (void)state;
    expect_call("/api/disconnect", "{\"user\":\"ann\",\"session\":\"x\"}", OK);
    expect_acts("");
}

static void the_empty_user_is_the_anonymous_one(void **state)
{
    (void)state;
    expect_call("/api/disconnect", "{}", OK);
    expect_acts("disconnect(c4 3503 force disconnect) ");
}

static void a_user_without_connections_is_no_error(void **state)
{
    (void)state;
    expect_call("/api/disconnect", "{\"user\":\"eve\"}", OK);
    expect_call("/api/subscribe", "{\"user\":\"eve\",\"channel\":\"c\"}", OK);
    expect_call("/api/unsubscribe", "{\"user\":\"eve\"}", OK);
    expect_call("/api/refresh", "{\"user\":\"eve\"}", OK);
    expect_acts("");
}

/* ---- what ---- */

static void a_disconnect_has_the_code_and_reason_of_the_caller(void **state)
{
    (void)state;
    expect_call("/api/disconnect",
                "{\"user\":\"bob\",\"disconnect\":{\"code\":4500,\"reason\":\"b\\u0061d\"}}", OK);
    expect_acts("disconnect(c3 4500 bad) ");
    expect_call("/api/disconnect", "{\"user\":\"bob\",\"disconnect\":{\"code\":3000}}", OK);
    expect_call("/api/disconnect", "{\"user\":\"bob\",\"disconnect\":{\"code\":4999}}", OK);
    expect_acts("disconnect(c3 3000 ) disconnect(c3 4999 ) ");
}

static void a_code_or_reason_that_no_close_frame_can_carry_is_refused(void **state)
{
    (void)state;
    struct buf body = {0};
    const unsigned lens[] = {123, 124};
    const char *answers[] = {OK, BAD_REQUEST};
    for (size_t i = 0; i < 2; i++) {
        buf_reset(&body);
        buf_printf(&body, "{\"user\":\"eve\",\"disconnect\":{\"code\":4000,\"reason\":\"%0*d\"}}%c", lens[i],
                   0, 0);
        expect_call("/api/disconnect", body.at, answers[i]);
    }
    buf_release(&body);
    const char *bodies[] = {"{\"disconnect\":{\"code\":2999}}",
                            "{\"disconnect\":{\"code\":5000}}",
                            "{\"disconnect\":{\"code\":-1}}",
                            "{\"disconnect\":{\"reason\":1}}",
                            "{\"disconnect\":7}",
                            "{\"whitelist\":\"c1\"}",
                            "{\"whitelist\":[1]}",
                            "{\"user\":1}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        expect_call("/api/disconnect", bodies[i], BAD_REQUEST);
    }
    expect_acts("");
}

static void clients_of_the_whitelist_are_spared(void **state)
{
    (void)state;
    expect_call("/api/disconnect", "{\"user\":\"ann\",\"whitelist\":[\"other\",\"c1" DOTS "\"]}", OK);
    expect_acts("disconnect(c2 3503 force disconnect) ");
}

static void a_whitelist_has_a_thousand_clients_and_no_more(void **state)
{
    (void)state;
    struct buf body = {0};
    buf_append_lit(&body, "{\"user\":\"ann\",\"whitelist\":[\"c1" DOTS "\"");
    for (size_t i = 1; i < API_WHITELIST_MAX; i++) {
        buf_append_lit(&body, ",\"c2" DOTS "\"");
    }
    buf_append_lit(&body, "]}\0");
    expect_call("/api/disconnect", body.at, OK);
    expect_acts("");
    body.len -= 3;
    buf_append_lit(&body, ",\"c3\"]}\0");
    expect_call("/api/disconnect", body.at,
                "200 {\"error\":{\"code\":107,\"message\":\"bad request: more than 1000 clients in the "
                "whitelist\"}}");
    buf_release(&body);
}

static void a_user_is_subscribed_with_the_options_of_the_caller(void **state)
{
    (void)state;
    expect_call("/api/subscribe", "{\"user\":\"bob\",\"channel\":\"c\"}", OK);
    expect_acts("subscribe(c3 c info= data= expires=0 since=0: -1-1-1-1-1) ");
    expect_call(
        "/api/subscribe",
        "{\"user\":\"bob\",\"channel\":\"c\",\"info\":{\"a\": 1},\"data\":[2],\"expire_at\":1900000000,"
        "\"recover_since\":{\"offset\":7,\"epoch\":\"ep\"},\"override\":{\"presence\":{\"value\":true},"
        "\"join_leave\":{\"value\":false},\"force_push_join_leave\":{},\"force_recovery\":null,"
        "\"force_positioning\":{\"value\":true}}}",
        OK);
    expect_acts("subscribe(c3 c info={\"a\": 1} data=[2] expires=1900000000 since=7:ep 100-11) ");
    expect_call("/api/subscribe",
                "{\"user\":\"bob\",\"channel\":\"c\",\"info\":1,\"b64info\":\"eyJhIjoxfQ==\",\"b64data\":"
                "\"e30\\u003d\"}",
                OK);
    expect_acts("subscribe(c3 c info={\"a\":1} data={} expires=0 since=0: -1-1-1-1-1) ");
}

static void a_subscription_that_cannot_be_is_refused(void **state)
{
    (void)state;
    const char *bodies[] = {"{\"user\":\"bob\"}",
                            "{\"user\":\"bob\",\"channel\":\"c\",\"expire_at\":-1}",
                            "{\"user\":\"bob\",\"channel\":\"c\",\"expire_at\":253402300800}",
                            "{\"user\":\"bob\",\"channel\":\"c\",\"b64data\":\"AAEC\"}",
                            "{\"user\":\"bob\",\"channel\":\"c\",\"recover_since\":1}",
                            "{\"user\":\"bob\",\"channel\":\"c\",\"recover_since\":{\"offset\":-1}}",
                            "{\"user\":\"bob\",\"channel\":\"c\",\"override\":{\"presence\":true}}",
                            "{\"user\":\"bob\",\"channel\":\"c\",\"override\":{\"presence\":{\"value\":1}}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        expect_call("/api/subscribe", bodies[i], BAD_REQUEST);
    }
    expect_call("/api/subscribe", "{\"user\":\"bob\",\"channel\":\"no:c\"}",
                "200 {\"error\":{\"code\":102,\"message\":\"unknown channel\"}}");
    expect_acts("");
}

static void a_user_is_unsubscribed_from_one_channel_or_all(void **state)
{
    (void)state;
    expect_call("/api/unsubscribe", "{\"user\":\"bob\",\"channel\":\"c\"}", OK);
    expect_call("/api/unsubscribe", "{\"user\":\"bob\"}", OK);
    expect_acts("unsubscribe(c3 c 2000) unsubscribe(c3  2000) ");
    expect_call("/api/unsubscribe", "{\"user\":\"bob\",\"channel\":\"no:c\"}",
                "200 {\"error\":{\"code\":102,\"message\":\"unknown channel\"}}");
    expect_acts("");
}

static void a_connection_is_prolonged_or_ends_as_expired(void **state)
{
    (void)state;
    expect_call("/api/refresh", "{\"user\":\"bob\",\"expire_at\":1900000000,\"info\":{\"n\":1}}", OK);
    expect_call("/api/refresh", "{\"user\":\"bob\",\"expired\":true}", OK);
    expect_acts("refresh(c3 1900000000 {\"n\":1}) refresh(c3 expired 0 ) ");
    expect_call("/api/refresh", "{\"user\":\"bob\",\"expire_at\":\"tomorrow\"}", BAD_REQUEST);
    expect_acts("");
}

static void expect_ok(void *context, enum status status)
{
    assert_int_equal(status, STATUS_OK);
    room.answer_count++;
    *(bool *)context = true;
}

static void what_a_request_says_is_copied(void **state)
{
    (void)state;
    char *texts = strdup("bob,reason,c1" DOTS);
    assert_non_null(texts);
    struct str *whitelist = malloc(sizeof *whitelist);
    assert_non_null(whitelist);
    *whitelist = str_make(texts + 11, UUID_TEXT_LEN);
    const struct control_request request = {
        .action = CONTROL_DISCONNECT,
        .user = str_make(texts, 3),
        .code = 4000,
        .reason = str_make(texts + 4, 6),
        .whitelist = whitelist,
        .whitelist_count = 1,
    };
    bool is_done = false;
    control_apply(room.workers[0], &request, expect_ok, &is_done);
    assert_false(is_done); /* never inside the call */
    free(whitelist);
    memset(texts, 'x', strlen(texts));
    free(texts);
    room_settle();
    assert_true(is_done);
    expect_acts("disconnect(c3 4000 reason) ");
}

/* ---- health ---- */

static const char *health(const char *target)
{
    size_t answered = room.answer_count;
    health_handle(exchange_new(target, "", STR("")));
    room_settle();
    assert_int_equal(room.answer_count, answered + 1);
    return room.answer.at;
}

static void the_process_is_alive_while_it_answers(void **state)
{
    (void)state;
    assert_string_equal(health("/health"), "200 {}");
    assert_string_equal(health("/health/live"), "200 {}");
    assert_string_equal(health("/health/"), "404 Not Found");
    assert_string_equal(health("/health/other"), "404 Not Found");
}

static void a_server_that_drains_is_alive_but_not_ready_s11(void **state)
{
    (void)state;
    assert_true(
        str_starts_with(str_from_cstr(health("/health/ready")),
                        STR("200 {\"ready\":true,\"checks\":{\"draining\":{\"ok\":true},\"descriptors\":")));
    atomic_store(&room.server.is_draining, true);
    assert_true(str_starts_with(
        str_from_cstr(health("/health/ready")),
        STR("503 {\"ready\":false,\"checks\":{\"draining\":{\"ok\":false},\"descriptors\":")));
    assert_string_equal(health("/health/live"), "200 {}");
}

static void a_worker_that_does_not_answer_makes_the_server_unready(void **state)
{
    (void)state;
    struct worker *asker = room.workers[0];
    asker->now_ms = 1000;
    timers_run(&asker->timers, asker->now_ms);
    health_handle(exchange_new("/health/ready", "", STR("")));
    assert_false(hub_turn(asker->hub, 100)); /* only the asker takes turns */
    timers_run(&asker->timers, asker->now_ms + READY_TIMEOUT_MS - 1);
    assert_int_equal(room.answer_count, 0);
    timers_run(&asker->timers, asker->now_ms + READY_TIMEOUT_MS + 2 * TIMER_SLOT_MS);
    assert_int_equal(room.answer_count, 1);
    assert_true(str_starts_with(str_from_cstr(room.answer.at), STR("503 {\"ready\":false,")));
    assert_non_null(strstr(room.answer.at, "\"workers\":{\"ok\":false,\"answered\":1,\"count\":2}"));
    room_turn(); /* the late answer meets nobody */
    room_turn();
    assert_int_equal(room.answer_count, 1);
    assert_int_equal(asker->timers.count, 0);
}

static void too_few_descriptors_make_the_server_unready_s07(void **state)
{
    (void)state;
    struct buf out = {0};
    struct health state_of = {.open_fds = 1000 - READY_DESCRIPTORS_MIN, .max_fds = 1000};
    assert_true(health_print(&out, &state_of));
    state_of.open_fds++;
    assert_false(health_print(&out, &state_of));
    state_of.max_fds = 0; /* unknown */
    assert_true(health_print(&out, &state_of));
    buf_release(&out);
}

static void the_init_probe_is_answered(void **state)
{
    (void)state;
    init_handle(exchange_new("/connection/init", "", STR("")));
    assert_string_equal(room.answer.at, "200 {}");
}

static void metrics_are_those_of_all_workers(void **state)
{
    (void)state;
    room.workers[0]->metrics.commands_total = 3;
    room.workers[1]->metrics.commands_total = 4;
    metrics_handle(exchange_new("/metrics", "", STR("")));
    room_settle();
    assert_true(str_starts_with(str_from_cstr(room.answer.at), STR("200 # HELP starling_")));
    assert_non_null(strstr(room.answer.at, "\nstarling_commands_total 7\n"));
    assert_non_null(strstr(room.answer.at, "\nstarling_node_num_clients 4\n"));
    assert_non_null(strstr(room.answer.at, "\nstarling_worker_users 4\n"));
}

static void forget(void *receiver, struct mail *mail)
{
    (void)receiver;
    (void)mail;
}

static void metrics_and_readiness_come_through_full_mailboxes(void **state)
{
    (void)state;
    struct mail mails[ROOM_MAILS_MAX];
    for (size_t i = 0; i < ROOM_MAILS_MAX; i++) {
        mails[i].run = forget;
        assert_true(hub_post_from_main(room.hubs[1], &mails[i]));
    }
    metrics_handle(exchange_new("/metrics", "", STR("")));
    health_handle(exchange_new("/health/ready", "", STR("")));
    room_settle();
    room_settle();
    assert_int_equal(room.answer_count, 2);
    assert_true(str_starts_with(str_from_cstr(room.answer.at), STR("200 ")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_room_with_people, close_room_with_people)
    const struct CMUnitTest tests[] = {
        TEST(a_user_is_met_on_every_worker),
        TEST(a_client_narrows_and_means_nothing_without_its_user),
        TEST(a_session_narrows_to_nobody_over_websocket),
        TEST(the_empty_user_is_the_anonymous_one),
        TEST(a_user_without_connections_is_no_error),
        TEST(a_disconnect_has_the_code_and_reason_of_the_caller),
        TEST(a_code_or_reason_that_no_close_frame_can_carry_is_refused),
        TEST(clients_of_the_whitelist_are_spared),
        TEST(a_whitelist_has_a_thousand_clients_and_no_more),
        TEST(a_user_is_subscribed_with_the_options_of_the_caller),
        TEST(a_subscription_that_cannot_be_is_refused),
        TEST(a_user_is_unsubscribed_from_one_channel_or_all),
        TEST(a_connection_is_prolonged_or_ends_as_expired),
        TEST(what_a_request_says_is_copied),
        TEST(the_process_is_alive_while_it_answers),
        TEST(a_server_that_drains_is_alive_but_not_ready_s11),
        TEST(a_worker_that_does_not_answer_makes_the_server_unready),
        TEST(too_few_descriptors_make_the_server_unready_s07),
        TEST(the_init_probe_is_answered),
        TEST(metrics_are_those_of_all_workers),
        TEST(metrics_and_readiness_come_through_full_mailboxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

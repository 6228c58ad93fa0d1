#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/cluster.h"

static const struct str sparing[] = {{.at = "one", .len = 3}, {.at = "", .len = 0}};

static const struct control_request sample = {
    .action = CONTROL_DISCONNECT,
    .user = {.at = "user\r\n", .len = 6},
    .client = {.at = "client", .len = 6},
    .subscribe = {.channel = {.at = "c", .len = 1},
                  .expire_at_s = UINT64_MAX,
                  .has_recover_since = true,
                  .recover_since = {.offset = 7, .epoch = {.at = "epoch", .len = 5}},
                  .presence = -1,
                  .join_leave = 0,
                  .force_recovery = 1},
    .code = 4999,
    .reason = {.at = "reason", .len = 6},
    .whitelist = sparing,
    .whitelist_count = 2,
    .is_expired = true,
    .info = {.at = "{}", .len = 2},
};

static void a_request_arrives_as_it_was_sent(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct str whitelist[CLUSTER_WHITELIST_MAX], sender;
    struct control_request read;
    cluster_encode(&bytes, STR("node"), &sample);
    assert_true(cluster_decode(buf_str(&bytes), &sender, &read, whitelist));
    assert_true(str_is(sender, "node"));
    assert_int_equal(read.action, CONTROL_DISCONNECT);
    assert_true(str_equal(read.user, sample.user));
    assert_true(str_equal(read.client, sample.client));
    assert_true(str_equal(read.subscribe.recover_since.epoch, STR("epoch")));
    assert_int_equal(read.subscribe.recover_since.offset, 7);
    assert_true(read.subscribe.expire_at_s == UINT64_MAX);
    assert_int_equal(read.subscribe.presence, -1);
    assert_int_equal(read.subscribe.force_recovery, 1);
    assert_int_equal(read.code, 4999);
    assert_true(read.is_expired);
    assert_int_equal(read.whitelist_count, 2);
    assert_true(str_is(read.whitelist[0], "one"));
    buf_release(&bytes);
}

static void d06_a_message_that_is_cut_or_longer_is_ignored(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct str whitelist[CLUSTER_WHITELIST_MAX], sender;
    struct control_request read;
    cluster_encode(&bytes, STR("node"), &sample);
    for (size_t len = 0; len < bytes.len; len++) {
        assert_false(cluster_decode(str_make(bytes.at, len), &sender, &read, whitelist));
    }
    buf_append_char(&bytes, 'x');
    assert_false(cluster_decode(buf_str(&bytes), &sender, &read, whitelist));
    buf_release(&bytes);
}

static void d06_changed_bytes_are_ignored_or_read_within_bounds(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct str whitelist[CLUSTER_WHITELIST_MAX], sender;
    struct control_request read;
    cluster_encode(&bytes, STR("node"), &sample);
    for (size_t i = 0; i < bytes.len; i++) {
        char before = bytes.at[i];
        bytes.at[i] = (char)0xFF;
        if (cluster_decode(buf_str(&bytes), &sender, &read, whitelist)) {
            assert_true(read.action <= CONTROL_REFRESH);
            assert_true(read.code <= 4999);
        }
        bytes.at[i] = before;
    }
    bytes.at[0] = 2; /* another version */
    assert_false(cluster_decode(buf_str(&bytes), &sender, &read, whitelist));
    buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_as_it_was_sent),
        cmocka_unit_test(d06_a_message_that_is_cut_or_longer_is_ignored),
        cmocka_unit_test(d06_changed_bytes_are_ignored_or_read_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

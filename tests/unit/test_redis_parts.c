#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/redis_address.h"
#include "channels/redis_frame.h"
#include "channels/redis_keys.h"
#include "channels/redis_reply.h"

#include <stdlib.h>

/* ---- names ---- */

static struct redis_keys keys;

static void the_partition_and_the_tag_of_a_channel_never_change(void **state)
{
    (void)state;
    struct buf name = {0};
    redis_keys_init(&keys, STR("starling"));
    assert_string_equal(keys.tags[0], "0.178");
    assert_string_equal(keys.tags[1], "1.118");
    assert_string_equal(keys.tags[6], "6.20");
    assert_string_equal(keys.tags[7], "7.1");
    assert_int_equal(redis_crc16(STR("123456789")), 0x31C3);
    redis_key(&name, &keys, REDIS_STREAM, STR("chat:lobby"));
    struct str channel;
    assert_true(redis_channel_from_key(&keys, buf_str(&name), &channel));
    assert_true(str_is(channel, "chat:lobby"));
    buf_release(&name);
}

static void partitions_spread_over_all_slots(void **state)
{
    (void)state;
    redis_keys_init(&keys, STR("p"));
    for (unsigned i = 0; i < REDIS_PARTITIONS; i++) {
        assert_int_equal(redis_crc16(str_from_cstr(keys.tags[i])) % 16384 / 128, i);
    }
}

static void d01_a_channel_of_any_bytes_comes_back_from_its_name(void **state)
{
    (void)state;
    const struct str channels[] = {STR("}:c:x"), STR("{a}:{b}"), STR("\r\n$3"), STR(":"), STR("a b\0c")};
    redis_keys_init(&keys, STR("p"));
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        struct buf name = {0};
        struct str channel;
        redis_key(&name, &keys, REDIS_STREAM, channels[i]);
        assert_true(redis_channel_from_key(&keys, buf_str(&name), &channel));
        assert_true(str_equal(channel, channels[i]));
        buf_release(&name);
    }
    struct str out;
    assert_false(redis_channel_from_key(&keys, STR(""), &out));
    assert_false(redis_channel_from_key(&keys, STR("q:{1}:c:x"), &out));
    assert_false(redis_channel_from_key(&keys, STR("p:{1}:c:"), &out));
    assert_false(redis_channel_from_key(&keys, STR("p:{1"), &out));
    assert_false(redis_channel_from_key(&keys, STR("p:{1}:m:x"), &out));
}

/* ---- frames ---- */

static void a_message_comes_back_from_its_frame(void **state)
{
    (void)state;
    struct buf frame = {0};
    char uid[REDIS_UID_BYTES] = "0123456789abcde";
    struct message *message = message_new(&(struct message_parts){.kind = MESSAGE_PUBLICATION,
                                                                  .wants_delta = true,
                                                                  .channel = STR("c"),
                                                                  .data = STR("1E400"),
                                                                  .info = STR("info"),
                                                                  .tags = STR("{}"),
                                                                  .exclude = STR("client")});
    redis_frame_encode(&frame, message, uid);
    struct message *read = redis_frame_decode(buf_str(&frame), STR("c"), STR("epoch"), 5);
    assert_non_null(read);
    assert_true(str_is(read->data, "1E400"));
    assert_true(str_is(read->info, "info"));
    assert_true(str_is(read->tags, "{}"));
    assert_true(str_is(read->exclude, "client"));
    assert_true(read->wants_delta);
    assert_int_equal(read->offset, 5);
    message_unref(read);
    message_unref(message);
    buf_release(&frame);
}

static void d06_a_frame_that_is_cut_longer_or_of_another_kind_is_none(void **state)
{
    (void)state;
    struct buf frame = {0};
    char uid[REDIS_UID_BYTES] = {0};
    struct message *message =
        message_new(&(struct message_parts){.channel = STR("c"), .data = STR("x"), .info = STR("y")});
    redis_frame_encode(&frame, message, uid);
    for (size_t len = 0; len < frame.len; len++) {
        assert_null(redis_frame_decode(str_make(frame.at, len), STR("c"), STR(""), 0));
    }
    for (size_t i = 0; i < REDIS_FRAME_HEAD_BYTES; i++) {
        char before = frame.at[i];
        frame.at[i] = (char)0xFF;
        struct message *read = redis_frame_decode(buf_str(&frame), STR("c"), STR(""), 0);
        bool is_opaque = i >= 3 && i < 3 + REDIS_UID_BYTES + 8;
        assert_int_equal(read != NULL, is_opaque);
        message_unref(read);
        frame.at[i] = before;
    }
    message_unref(message);
    buf_release(&frame);
}

static void a_published_text_is_split_or_refused(void **state)
{
    (void)state;
    struct str epoch, frame;
    uint64_t offset;
    assert_true(redis_published_split(STR("abc:7:frame:x"), &epoch, &offset, &frame));
    assert_true(str_is(epoch, "abc"));
    assert_int_equal(offset, 7);
    assert_true(str_is(frame, "frame:x"));
    assert_true(redis_published_split(STR("::f"), &epoch, &offset, &frame));
    assert_int_equal(offset, 0);
    const struct str refused[] = {STR(""),     STR(":"),     STR("x"),    STR("x:1"),
                                  STR("x:0:"), STR("x:-1:"), STR(":1:x"), STR("x:99999999999999999999:")};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_false(redis_published_split(refused[i], &epoch, &offset, &frame));
    }
}

/* ---- replies ---- */

static redisReply *parse(const char *text)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static void d02_a_pub_sub_frame_of_another_shape_is_refused(void **state)
{
    (void)state;
    const char *const refused[] = {
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n$7\r\nmessage\r\n$1\r\nc\r\n",
        "*3\r\n:1\r\n$1\r\nc\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n:1\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n*0\r\n",
        "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$-1\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n$1\r\nx\r\n",
        "*3\r\n$5\r\nother\r\n$1\r\nc\r\n:1\r\n",
        "*4\r\n$8\r\npmessage\r\n$1\r\nc\r\n$1\r\nc\r\n$1\r\nx\r\n",
    };
    struct redis_push push;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        redisReply *reply = parse(refused[i]);
        assert_false(redis_push_read(reply, &push));
        freeReplyObject(reply);
    }
    redisReply *reply = parse("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n");
    assert_true(redis_push_read(reply, &push));
    assert_int_equal(push.kind, REDIS_PUSH_MESSAGE);
    assert_true(str_is(push.payload, "x"));
    freeReplyObject(reply);
}

static void d02_a_position_of_another_shape_is_refused(void **state)
{
    (void)state;
    const char *const refused[] = {
        "*5\r\n$1\r\ne\r\n$1\r\n1\r\n$1\r\ni\r\n$1\r\n0\r\n$-1\r\n",
        "*6\r\n$1\r\ne\r\n$1\r\nx\r\n$1\r\ni\r\n$1\r\n0\r\n$-1\r\n$-1\r\n",
        "*6\r\n:1\r\n$1\r\n1\r\n$1\r\ni\r\n$1\r\n0\r\n$-1\r\n$-1\r\n",
        "*6\r\n$1\r\ne\r\n$2\r\n-1\r\n$1\r\ni\r\n$1\r\n0\r\n$-1\r\n$-1\r\n",
        "$1\r\ne\r\n",
        "-ERR x\r\n",
    };
    struct redis_meta meta;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        redisReply *reply = parse(refused[i]);
        assert_false(redis_meta_read(reply, &meta));
        freeReplyObject(reply);
    }
    redisReply *reply = parse("*6\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n");
    assert_true(redis_meta_read(reply, &meta));
    assert_false(meta.is_there);
    freeReplyObject(reply);
}

static void d02_an_entry_of_another_shape_is_refused(void **state)
{
    (void)state;
    const char *const refused[] = {
        "*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nd\r\n$1\r\nx\r\n",
        "*2\r\n$1\r\n1\r\n*2\r\n$1\r\nd\r\n$1\r\nx\r\n",
        "*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\ne\r\n$1\r\nx\r\n",
        "*2\r\n$3\r\n1-0\r\n*1\r\n$1\r\nd\r\n",
        "*2\r\n$3\r\n1-0\r\n$-1\r\n",
        "*1\r\n$3\r\n1-0\r\n",
    };
    uint64_t offset;
    struct str frame;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        redisReply *reply = parse(refused[i]);
        assert_false(redis_entry_read(reply, &offset, &frame));
        freeReplyObject(reply);
    }
}

static void an_instance_is_made_of_what_changes_with_a_life_of_a_primary(void **state)
{
    (void)state;
    const char *text = "redis_version:7.0.15\r\nrun_id:0123456789abcdef0123\r\nrole:master\r\n"
                       "master_replid2:00000000000000000000\r\nsecond_repl_offset:-1\r\nloading:0\r\n";
    struct buf bulk = {0};
    struct redis_info info;
    buf_printf(&bulk, "$%zu\r\n%s\r\n", strlen(text), text);
    buf_append_char(&bulk, '\0');
    redisReply *reply = parse(bulk.at);
    assert_true(redis_info_read(reply, &info));
    assert_string_equal(info.instance, "0123456789ab.000000000000.-1");
    assert_true(info.is_master);
    assert_int_equal(info.version_major, 7);
    freeReplyObject(reply);
    buf_release(&bulk);
    reply = parse("$5\r\nrole:\r\n");
    assert_false(redis_info_read(reply, &info));
    freeReplyObject(reply);
}

/* ---- addresses ---- */

static void addresses_are_read_with_what_they_say_and_defaults_for_the_rest(void **state)
{
    (void)state;
    const struct redis_address defaults = {.user = "u", .password = "p", .database = 3};
    struct redis_address address;
    const char *error;
    assert_true(redis_address_parse(&address, STR("redis"), &defaults, &error));
    assert_string_equal(address.port, "6379");
    assert_string_equal(address.password, "p");
    assert_int_equal(address.database, 3);
    redis_address_release(&address);
    assert_true(redis_address_parse(&address, STR("rediss://me:a%40b@[::1]:7000/2"), &defaults, &error));
    assert_string_equal(address.host, "::1");
    assert_string_equal(address.port, "7000");
    assert_string_equal(address.user, "me");
    assert_string_equal(address.password, "a@b");
    assert_int_equal(address.database, 2);
    assert_true(address.wants_tls);
    assert_true(str_is(address.name, "::1:7000"));
    redis_address_release(&address);
    assert_true(redis_address_parse(&address, STR("unix:///run/redis.sock"), &defaults, &error));
    assert_null(address.host);
    assert_string_equal(address.path, "/run/redis.sock");
    redis_address_release(&address);
    const struct str refused[] = {STR(""),         STR("http://x"), STR("x:0"), STR("x:65536"), STR("x:y"),
                                  STR("redis://"), STR("[::1"),     STR("x/y"), STR("unix://")};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_false(redis_address_parse(&address, refused[i], &defaults, &error));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_partition_and_the_tag_of_a_channel_never_change),
        cmocka_unit_test(partitions_spread_over_all_slots),
        cmocka_unit_test(d01_a_channel_of_any_bytes_comes_back_from_its_name),
        cmocka_unit_test(a_message_comes_back_from_its_frame),
        cmocka_unit_test(d06_a_frame_that_is_cut_longer_or_of_another_kind_is_none),
        cmocka_unit_test(a_published_text_is_split_or_refused),
        cmocka_unit_test(d02_a_pub_sub_frame_of_another_shape_is_refused),
        cmocka_unit_test(d02_a_position_of_another_shape_is_refused),
        cmocka_unit_test(d02_an_entry_of_another_shape_is_refused),
        cmocka_unit_test(an_instance_is_made_of_what_changes_with_a_life_of_a_primary),
        cmocka_unit_test(addresses_are_read_with_what_they_say_and_defaults_for_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "channels/redis_keys.h"

#include "channels/base/hash.h"

#include <stdio.h>

enum { SLOTS = 16384 };

unsigned redis_crc16(struct str s)
{
    unsigned crc = 0;
    for (size_t i = 0; i < s.len; i++) {
        crc ^= (unsigned)(unsigned char)s.at[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000) != 0 ? (crc << 1 ^ 0x1021) & 0xFFFF : crc << 1 & 0xFFFF;
        }
    }
    return crc;
}

/* The first of "7", "7.1", "7.2", … whose slot lies in the partition's share of the slots. */
static void choose_tag(char out[REDIS_TAG_BYTES], unsigned partition)
{
    unsigned share = SLOTS / REDIS_PARTITIONS;
    snprintf(out, REDIS_TAG_BYTES, "%u", partition);
    for (unsigned i = 1; redis_crc16(str_from_cstr(out)) % SLOTS / share != partition; i++) {
        snprintf(out, REDIS_TAG_BYTES, "%u.%u", partition, i);
    }
}

void redis_keys_init(struct redis_keys *keys, struct str prefix)
{
    keys->prefix = prefix;
    for (unsigned i = 0; i < REDIS_PARTITIONS; i++) {
        choose_tag(keys->tags[i], i);
    }
}

unsigned redis_partition(struct str channel)
{
    static const unsigned char no_key[16];
    return (unsigned)(hash_siphash13(no_key, channel.at, channel.len) % REDIS_PARTITIONS);
}

void redis_key(struct buf *out, const struct redis_keys *keys, enum redis_kind kind, struct str channel)
{
    buf_append_str(out, keys->prefix);
    buf_append_lit(out, ":{");
    buf_append_str(out, str_from_cstr(keys->tags[redis_partition(channel)]));
    buf_append_lit(out, "}:");
    buf_append_char(out, (char)kind);
    buf_append_char(out, ':');
    buf_append_str(out, channel);
}

void redis_control_key(struct buf *out, const struct redis_keys *keys, struct str what)
{
    buf_append_str(out, keys->prefix);
    buf_append_lit(out, ":{ctl}:");
    buf_append_str(out, what);
}

bool redis_channel_from_key(const struct redis_keys *keys, struct str name, struct str *channel)
{
    if (!str_starts_with(name, keys->prefix)) {
        return false;
    }
    struct str rest = str_skip(name, keys->prefix.len);
    ptrdiff_t close = str_find(rest, '}');
    if (!str_starts_with(rest, STR(":{")) || close < 0) {
        return false;
    }
    rest = str_skip(rest, (size_t)close);
    if (!str_starts_with(rest, STR("}:c:"))) {
        return false;
    }
    *channel = str_skip(rest, 4);
    return channel->len > 0;
}

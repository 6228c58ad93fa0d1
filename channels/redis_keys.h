/* redis_keys.h - the names of everything that is kept in Redis, and which of them lie together.
 *
 *     starling:{12.345}:c:chat:lobby
 *     prefix    tag     kind channel
 *
 * A channel belongs to one of 128 partitions by a hash that never changes. The partition's tag is in braces,
 * so that all keys of a channel lie on one server of a Redis Cluster; its text is chosen so that the 128 tags
 * spread evenly over the 16384 slots. The channel comes last: its own colons and braces do not matter. The
 * same names are used with one Redis, so that moving to several renames nothing.
 *
 * Thread: any; constant once initialized.   Memory: `prefix` is borrowed.
 */
#ifndef STARLING_CHANNELS_REDIS_KEYS_H
#define STARLING_CHANNELS_REDIS_KEYS_H

#include "channels/base/buf.h"

enum { REDIS_PARTITIONS = 128, REDIS_TAG_BYTES = 12 };

/* What a key holds: the letter in its name. */
enum redis_kind {
    REDIS_META = 'm',        /* hash: epoch, top offset and what they rest on */
    REDIS_STREAM = 'c',      /* stream of publications; its name is the pub/sub channel too */
    REDIS_IDEMPOTENCY = 'i', /* text: position of the publication with that key */
    REDIS_CLIENTS = 'p',     /* hash: client -> lease, user, info */
    REDIS_USERS = 'u',       /* hash: user -> number of clients */
};

struct redis_keys {
    struct str prefix;
    char tags[REDIS_PARTITIONS][REDIS_TAG_BYTES]; /* NUL-terminated */
};

void redis_keys_init(struct redis_keys *keys, struct str prefix);

/* 0 … 127: SipHash-1-3 under a key of zeros, modulo 128. */
unsigned redis_partition(struct str channel);

/* Appends the name. */
void redis_key(struct buf *out, const struct redis_keys *keys, enum redis_kind kind, struct str channel);

/* Appends `prefix:{ctl}:` and what the nodes share: leases, registry, control. */
void redis_control_key(struct buf *out, const struct redis_keys *keys, struct str what);

/* The channel of a pub/sub name made by redis_key(REDIS_STREAM); false: it is none of ours. */
bool redis_channel_from_key(const struct redis_keys *keys, struct str name, struct str *channel);

/* CRC16 of the XMODEM kind, as Redis Cluster takes it; the slot is this modulo 16384. */
unsigned redis_crc16(struct str s);

#endif

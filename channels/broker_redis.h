/* broker_redis.h - channels that live in Redis, so that several nodes are one server.
 *
 * Offset, epoch, history and presence are in Redis; a publication gets its offset there, is stored and
 * published in one script, and comes back to every node by pub/sub, to the publisher's own too. A channel's
 * home worker holds the process's one subscription to it and its place in the stream: what arrives out of
 * order is put right from the stream before any client hears of it. channels/README.md has the rest.
 *
 * Thread: main makes the settings; a broker belongs to its worker and runs on its loop.
 */
#ifndef STARLING_CHANNELS_BROKER_REDIS_H
#define STARLING_CHANNELS_BROKER_REDIS_H

#include "channels/broker.h"
#include "channels/redis_address.h"

struct ev_loop;

enum { REDIS_NODE_BYTES = 9, REDIS_SHARDS_MAX = 64 };

/* What all workers share; borrowed until the last broker is gone. */
struct redis_settings {
    struct redis_address *addresses;
    size_t address_count;
    struct str prefix;
    char node[REDIS_NODE_BYTES]; /* 8 letters, of this process; NUL-terminated */
    uint64_t connect_timeout_ms, io_timeout_ms;
    uint64_t presence_ttl_ms;
    uint64_t position_check_ms; /* how often a quiet channel's position is compared */
    bool is_strict; /* Redis keeps what it has acknowledged: positions of before a restart stay good */
};

/* broker_sink.context of a worker. */
struct redis_options {
    const struct redis_settings *settings;
    struct ev_loop *loop;
    unsigned worker;
    void *owner;
    /* A control message of any node, this one too. On the worker that listens only (NULL on the others). */
    void (*on_control)(void *owner, struct str message);
    /* Control messages may have been missed, and cannot be read again. */
    void (*on_control_missed)(void *owner);
};

/* `sink->context` is a struct redis_options, borrowed. NULL without memory. Connects soon, and serves or
 * refuses without waiting for it. */
struct broker *broker_redis_new(const struct broker_sink *sink);

#endif

/* redis_broker.h - what the files of the Redis broker share: the broker, its channels, its leases.
 *
 *     broker_redis.c     the vtable: what becomes of each kind of op
 *     redis_channel.c    one channel at its home: subscription, place in the stream, repair
 *     redis_recover.c    subscribers that wait for their answer, and what they have missed
 *     redis_presence.c   who is there: leases, joins, leaves, and the sweep after a node that died
 *
 * Private to them.   Thread: the worker's.
 */
#ifndef STARLING_CHANNELS_REDIS_BROKER_H
#define STARLING_CHANNELS_REDIS_BROKER_H

#include "channels/base/must.h"
#include "channels/base/random.h"
#include "channels/base/table.h"
#include "channels/broker_redis.h"
#include "channels/presence.h"
#include "channels/redis_frame.h"
#include "channels/redis_shard.h"

enum {
    LEASE_BYTES = 16,
    LEASE_BEAT_MS = 3000,
    LEASE_LIFE_MS = 15000,
    UNSUBSCRIBE_DELAY_MS = 10000, /* reloads and reconnects find the subscription still there */
    READS_IN_FLIGHT_MAX = 512,
    READ_PAGE = 300,
    BUFFER_MESSAGES_MAX = 1000,
    BUFFER_BYTES_MAX = 1 << 20,
    RECOVER_MAX = 10000, /* publications of one recovery, where the namespace sets no limit */
    SUBSCRIBE_NAMES_MAX = 500,
    SUBSCRIBE_BYTES_MAX = 16 * 1024,
    SUBSCRIBES_PER_TURN = 2000, /* so that a storm leaves room for others */
    TICK_MS = 100,
};

struct redis_broker;

/* The presence of one worker on one shard: entries are worth as much as their lease. */
struct redis_lease {
    char id[LEASE_BYTES];
    bool is_known;   /* it has been beaten once */
    bool must_renew; /* entries may be wrong: a new lease, and everybody joins again */
    bool is_beating;
    uint64_t due_ms;
    struct buf dead; /* leases that have ended, LEASE_BYTES each */
};

struct redis_place {
    struct redis_broker *broker;
    struct redis_shard shard;
    struct redis_lease lease;
    struct link to_subscribe, to_unsubscribe; /* struct redis_channel.in_todo */
};

enum redis_subscription { SUB_NONE, SUB_QUEUED, SUB_SENT, SUB_HELD, SUB_ENDING };

struct redis_place_in_stream {
    bool is_known;
    uint64_t offset;
    uint8_t epoch_len, previous_len;
    char epoch[LIMIT_EPOCH_BYTES];
    /* Strict only: the epoch before, from where to where it is part of this stream. */
    char previous[LIMIT_EPOCH_BYTES];
    uint64_t base, previous_base;
};

/* A channel that this worker is home of, while anybody uses it. */
struct redis_channel {
    UT_hash_handle hh;
    struct redis_broker *broker;
    struct redis_place *place;
    const struct channel_options *options;
    bool is_control, has_history;
    bool is_live; /* subscribed, and what came before has been read */
    bool wants_read;
    enum redis_subscription subscription;
    struct link in_todo, in_reads, in_checks, in_unused;
    struct redis_call *read; /* on its way */
    uint64_t read_ms;        /* when the position was last compared */
    uint64_t unused_ms;
    struct redis_place_in_stream at; /* of the last publication that was delivered */
    struct message **buffer;         /* came while reading, in order */
    size_t buffer_count, buffer_capacity, buffer_bytes;
    bool buffer_overflowed;
    struct link waiting;     /* struct redis_waiter: for the channel to be live */
    struct link recovering;  /* for the next read of what was missed */
    struct link in_recovery; /* for the one on its way */
    struct redis_call *recovery;
    uint64_t recovery_top; /* what is read is up to here; later ones are kept */
    struct message **kept; /* delivered since the recovery was asked for */
    size_t kept_count, kept_capacity;
    bool kept_is_broken;
    struct presence members; /* of this node: their info is the entry's value without the lease */
    uint64_t refresh_ms;     /* when the presence keys get their life prolonged */
    struct link in_members, in_rejoins;
    size_t rejoin_index; /* members that have joined under the newest lease */
    uint64_t subscribed_ms;
    size_t name_len;
    char name[];
};

/* An OP_SUBSCRIBE that waits. */
struct redis_waiter {
    struct link in_list, in_deadlines;
    struct redis_channel *channel;
    struct op *op;
    uint64_t due_ms;
    bool has_joined;
};

struct redis_counters {
    uint64_t resyncs_total, repaired_total, told_total, foreign_total, dropped_total;
};

struct redis_broker {
    struct broker base;
    const struct redis_options *options;
    const struct redis_settings *settings;
    struct redis_keys keys;
    struct ev_timer tick;
    struct ev_prepare send; /* what a turn wants to subscribe and to read */
    struct redis_channel *channels;
    struct redis_channel *control; /* not in the table; NULL: this worker does not listen */
    struct link reads;             /* struct redis_channel.in_reads: want to be read, oldest first */
    struct link checks;            /* in_checks: with history and live, the one read longest ago first */
    struct link unused;            /* in_unused: nobody subscribed, longest first */
    struct link deadlines;         /* struct redis_waiter.in_deadlines */
    struct link members;           /* in_members: with presence */
    struct link rejoins;           /* in_rejoins: whose lease is new */
    size_t reads_in_flight;
    uint64_t uid_prefix, uid_counter;
    uint64_t now_ms;
    bool is_stopping;
    struct redis_counters counters;
    size_t place_count;
    struct redis_place places[];
};

/* ---- broker_redis.c ---- */

struct redis_place *redis_place_of(struct redis_broker *broker, struct str channel);
/* A message for the op's channel, encoded with a new uid. Check `failed`. */
void redis_encode(struct redis_broker *broker, struct buf *out, const struct message *message);
/* Publishes a join or leave, at most once. */
void redis_announce(struct redis_broker *broker, enum message_kind kind, struct str channel, struct str info);
void redis_finish(struct redis_broker *broker, struct op *op, enum status status);

/* ---- redis_channel.c ---- */

struct redis_channel *redis_channel_find(struct redis_broker *broker, struct str name);
/* Made and subscribed where there is none; NULL without memory. */
struct redis_channel *redis_channel_get(struct redis_broker *broker, struct str name,
                                        const struct channel_options *options);
bool redis_channel_open_control(struct redis_broker *broker);
struct str redis_channel_name(const struct redis_channel *channel);
void redis_channel_key(struct buf *out, const struct redis_channel *channel, enum redis_kind kind);
/* Called after every use: notes that nobody uses the channel, or that somebody does again. */
void redis_channel_settle(struct redis_channel *channel);
void redis_channel_free(struct redis_channel *channel);
void redis_channel_on_push(struct redis_place *place, const struct redis_push *push);
void redis_channels_on_sub_ready(struct redis_place *place);
void redis_channels_on_sub_down(struct redis_place *place);
void redis_channels_on_ready(struct redis_place *place);
void redis_channels_tick(struct redis_broker *broker);
/* Sends what waits to be subscribed and read. */
void redis_channels_send(struct redis_broker *broker);
/* Is (epoch, offset) a place on the stream's line that everything after can be read from? */
bool redis_is_valid(const struct redis_broker *broker, const struct redis_place_in_stream *at,
                    struct position since);
struct position redis_position(const struct redis_place_in_stream *at);

/* ---- redis_recover.c ---- */

/* Takes the op. */
void redis_recover_start(struct redis_channel *channel, struct op *op, bool has_joined);
/* The channel is live: answers who waits. */
void redis_recover_on_live(struct redis_channel *channel);
/* A message was delivered to this channel's subscribers. */
void redis_recover_keep(struct redis_channel *channel, struct message *message);
/* The stream jumped: what is being read does not connect to what comes. */
void redis_recover_on_jump(struct redis_channel *channel);
void redis_recover_tick(struct redis_broker *broker);
/* Everybody who waits for this channel is refused. */
void redis_recover_refuse_all(struct redis_channel *channel);
/* The messages of XRANGE, from `first` on without a hole, up to `last` at most; *count of them are new
 * references in an owned array. false: no memory. */
bool redis_entries_take(const redisReply *entries, struct str channel, struct str epoch, uint64_t first,
                        uint64_t last, struct message ***messages, size_t *count);

/* ---- redis_presence.c ---- */

/* Adds the op's client, then goes on with the subscription. Takes the op. */
void redis_presence_join(struct redis_channel *channel, struct op *op);
void redis_presence_leave(struct redis_channel *channel, struct str client, struct str user);
void redis_presence_run(struct redis_broker *broker, struct op *op);
void redis_presence_on_ready(struct redis_place *place, bool is_other);
void redis_presence_tick(struct redis_broker *broker);
void redis_presence_open(struct redis_place *place);
/* The end of the process: the lease is given up. */
void redis_presence_close(struct redis_place *place);

#endif

/* redis_shard.h - one Redis as one worker uses it: a connection for requests, one for pub/sub, and the proof
 * that both lead to the same place.
 *
 *     calls ─▶ queue ─▶ cmd ─▶ Redis ─▶ sub ─▶ on_message
 *                        └─ probe, every second ─┘
 *
 * A call waits at most SHARD_WAIT_MS for a connection and is given up then. One that was sent and not
 * answered is *unknown*: it is sent again, in the old order and before newer ones, where that can do no harm;
 * otherwise it fails. Nothing is acknowledged that Redis did not answer.
 *
 * Both connections must show the same instance (one life of one primary), and what the one publishes must
 * come out of the other: a demoted primary takes publications and answers without an error. Where it does
 * not, both start over.
 *
 * Thread: the worker's.   Memory: one allocation a call.   Limits: SHARD_CALLS_MAX, SHARD_BYTES_MAX waiting.
 */
#ifndef STARLING_CHANNELS_REDIS_SHARD_H
#define STARLING_CHANNELS_REDIS_SHARD_H

#include "channels/redis_keys.h"
#include "channels/redis_link.h"
#include "channels/status.h"

enum {
    SHARD_WAIT_MS = 1000,
    SHARD_CALLS_MAX = 10000,
    SHARD_BYTES_MAX = 16 << 20,
    SHARD_PROBE_MS = 1000,
    SHARD_PROBE_OVERDUE_MS = 3000,
    SHARD_DRAIN_MS = 500, /* at the end: for answers that are still on their way */
};

/* What happens to a call whose answer was lost. */
enum redis_retry {
    REDIS_RETRY_NEVER, /* it fails */
    REDIS_RETRY_SAME,  /* carried out twice it does the same */
    REDIS_RETRY_FLAG,  /* its last byte is set to '1': the script looks whether it was carried out */
};

struct redis_shard;

/* One request; its owner embeds it, or is told by `owner`. */
struct redis_call {
    struct redis_request request; /* while it is in flight */
    struct link waiting;          /* while it is not */
    struct redis_shard *shard;
    struct buf bytes; /* owned; formatted commands */
    unsigned replies;
    enum redis_retry retry;
    bool was_sent;
    uint64_t due_ms; /* given up then, where it was not sent */
    uint64_t born_ms;
    uint64_t not_before_ms;
    /* Runs once, later. STATUS_OK: `reply` is an answer, no error, not checked otherwise. BUSY: Redis could
     * not be reached, or refused, or the outcome is unknown; `reply` is NULL or the error. May start calls.
     */
    void (*done)(struct redis_call *call, enum status status, const redisReply *reply);
    void *owner, *owner2;
};

struct redis_shard_options {
    struct ev_loop *loop;
    const struct redis_address *address;
    const struct redis_keys *keys;
    const char *node; /* in the names of connections and of the probe's channel; of 8 letters */
    unsigned worker;
    uint64_t connect_timeout_ms, io_timeout_ms;
    void *owner;
    /* cmd is ready; `is_other` says whether it is another instance than before. */
    void (*on_ready)(struct redis_shard *shard, bool is_other);
    void (*on_sub_ready)(struct redis_shard *shard);
    void (*on_sub_down)(struct redis_shard *shard);
    /* A frame of pub/sub that is not the probe's. */
    void (*on_push)(struct redis_shard *shard, const struct redis_push *push);
};

struct redis_shard_counters {
    uint64_t calls_total, failed_total, retried_total, probes_lost_total;
};

struct redis_shard {
    struct redis_shard_options options;
    struct redis_link cmd, sub;
    struct link waiting; /* struct redis_call, oldest first */
    size_t waiting_count, waiting_bytes;
    struct link lost; /* while cmd closes: calls that go back to the head of `waiting` */
    bool is_stopping; /* calls fail at once */
    char cmd_name[64], sub_name[64];
    char instance[REDIS_INSTANCE_BYTES]; /* of the last cmd that was ready */
    struct buf probe_channel;
    struct redis_call *probe; /* the call that publishes; NULL: none is on its way */
    uint64_t probe_sent_ns;   /* 0: the last one has arrived */
    uint64_t probe_due_ms;
    uint64_t proven_ms; /* when a probe last arrived; 0: never */
    uint64_t lag_us;    /* of the last probe */
    struct redis_shard_counters counters;
};

bool redis_shard_open(struct redis_shard *shard, const struct redis_shard_options *options);
void redis_shard_tick(struct redis_shard *shard, uint64_t now_ms);
/* From now on nothing waits: calls that wait fail, those in flight are waited for a moment, later ones fail
 * where they cannot be sent at once. */
void redis_shard_stop(struct redis_shard *shard);
void redis_shard_release(struct redis_shard *shard);

/* Returns owned, to be given to redis_shard_call(); NULL without memory. */
struct redis_call *redis_call_new(void (*done)(struct redis_call *, enum status, const redisReply *),
                                  void *owner, enum redis_retry retry);
/* Appends a command; several are answered with the last one's reply. Memory is checked when it is called. */
void redis_call_add(struct redis_call *call, int count, const struct str *arguments);
/* Appends EVALSHA of a script. */
void redis_call_add_script(struct redis_call *call, enum redis_script_index script, int keys, int count,
                           const struct str *arguments);

/* Takes the call: `done` will run, and then it is freed. false: a limit, no memory or stopping: the call was
 * freed and `done` will not run. */
bool redis_shard_call(struct redis_shard *shard, struct redis_call *call);

/* Starts both connections over. */
void redis_shard_restart(struct redis_shard *shard, const char *why);

/* Has a probe arrived lately? */
bool redis_shard_is_proven(const struct redis_shard *shard, uint64_t now_ms, uint64_t within_ms);

#endif

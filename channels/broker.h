/* broker.h - where the state of channels lives: offset, epoch, history, presence.
 *
 * One broker handle per worker, used on that worker's thread only. A worker's broker serves the channels
 * whose home that worker is. broker_memory keeps everything in the process; a networked broker keeps it
 * elsewhere and has the process's one subscription to each channel. The hub cannot tell them apart.
 */
#ifndef STARLING_CHANNELS_BROKER_H
#define STARLING_CHANNELS_BROKER_H

#include "channels/op.h"

struct broker;

/* What one worker's broker may keep in memory: strangers choose how many channels they publish to. Over a
 * bound a request that would need more is refused with STATUS_LIMIT_EXCEEDED, and nothing was stored. 0: no
 * bound. */
struct broker_limits {
    size_t streams_max;         /* channels with history, presence or idempotency keys */
    uint64_t history_bytes_max; /* of all publications kept */
};

/* What the broker calls: set by the hub, runs on the broker's own thread, never frees the broker. */
struct broker_sink {
    void *hub;
    void *context; /* hub_options.broker_context: the broker's own settings */
    /* Gives `op` back with its status; exactly once for each broker_ops.run(). Takes the op. For OP_SUBSCRIBE
     * it stands in stream order with deliver(): publications up to op->top come before, later ones after. */
    void (*finish)(void *hub, struct op *op);
    /* Hands a message to every worker that has subscribers there. Borrows the reference.
     * Called in stream order; for the memory broker after room for it was checked by can_deliver(). */
    void (*deliver)(void *hub, struct message *message);
    /* Is there room for one more delivery in the mailboxes of the workers that want this channel? A broker
     * asks before it accepts a publication, so that what is acknowledged is never dropped on the way; memory
     * for the mails is set aside too. Join and leave messages are sent without asking and may be dropped. */
    bool (*can_deliver)(void *hub, struct str channel);
    /* Number of local subscriptions in the whole process to a channel this worker is home of. */
    uint32_t (*subscriber_count)(void *hub, struct str channel);
    struct broker_limits limits;
};

/* How a broker is, for readiness and metrics. */
struct broker_report {
    bool is_ready;                           /* what is published now arrives */
    uint64_t lag_us;                         /* from publishing to arriving, as last measured */
    uint64_t connects_total, failures_total; /* to elsewhere; calls that did not succeed */
    uint64_t repaired_total;                 /* publications read again because they did not arrive */
    uint64_t told_total;    /* times subscribers were told that they may have missed something */
    uint64_t foreign_total; /* messages that had not the shape of ours */
};

struct broker_ops {
    const char *name;
    /* Runs one op on its home worker. Takes it; gives it back through sink.finish now or later. For
     * OP_SUBSCRIBE the hub has already counted the subscription, so that what is published from now on is
     * delivered after the answer. */
    void (*run)(struct broker *broker, struct op *op);
    /* Called once a second or so with the monotonic time: expires history, idempotency keys and idle streams
     * with a budget per call. */
    void (*tick)(struct broker *broker, uint64_t now_ms);
    /* The end of the process is near: ops that wait are given back, later ones do not wait. NULL: none ever
     * wait. */
    void (*stop)(struct broker *broker);
    void (*free)(struct broker *broker);
    /* NULL: always ready, nothing to report. */
    void (*report)(struct broker *broker, struct broker_report *out);
    /* Sends `message` to every process that shares this broker, this one too. `is_kept`: those that are cut
     * off for a while get it as well. `done` runs once, later: OK where it is on its way, else BUSY. NULL:
     * there are no others. */
    void (*send_control)(struct broker *broker, struct str message, bool is_kept,
                         void (*done)(void *context, enum status status), void *context);
};

/* The head that every broker's struct starts with. */
struct broker {
    const struct broker_ops *ops;
    struct broker_sink sink;
};

/* The broker in this process. NULL without memory. */
struct broker *broker_memory_new(const struct broker_sink *sink);

#endif

/* hub.h - one worker's channels: who is subscribed here, and the fan-out to them.
 *
 * Every worker has a hub and every channel has one home among them: hash(channel) % workers. The home runs
 * the broker for its channels and counts each worker's subscriptions; requests travel there as ops (op.h) and
 * messages come back as mails, so nothing is locked. With one worker all of it happens in one turn.
 *
 *     hub_start(op) ─▶ [home] broker.run ─▶ finish ─▶ [origin] op->done
 *                              └─ deliver ─▶ [each worker with subscribers] hub_deliver: one lookup, one walk
 *
 * Order: mails of one home arrive in the order they were sent. The answer to a subscribe carries the top of
 * the stream, and everything published later is delivered later: there is no gap and no duplicate between
 * them. A subscription that still waits for its answer ignores what is delivered (it is before its position).
 *
 * All subscriptions of a channel on a worker that are positioned share the channel's position: one comparison
 * a publication, not one a subscriber.
 *
 * Thread: the worker's, except hub_post_from_main().   Memory: slabs; no allocation per delivery.
 */
#ifndef STARLING_CHANNELS_HUB_H
#define STARLING_CHANNELS_HUB_H

#include "channels/base/list.h"
#include "channels/base/slab.h"
#include "channels/broker.h"
#include "channels/frame.h"

struct hub;
struct subscriber;
struct subscription;

/* What a session is to the hub. server/ embeds it and never tells channels/ what a socket is. */
struct subscriber {
    const struct subscriber_ops *ops;
    struct link subscriptions; /* struct subscription.in_subscriber, oldest first */
    uint32_t subscription_count;
    uint32_t ops_pending; /* ops that point here; the owner is not freed before it is 0. Kept by the asker */
    enum frame_kind frame_kind;
};

struct subscriber_ops {
    /* Queues one frame by reference (frame_ref). Never blocks, writes to a socket or frees the subscriber.
     * false: the outbox is full and the session has begun to close as a slow consumer. */
    bool (*offer)(struct subscriber *subscriber, struct frame *frame);
    /* The stream jumped: the subscriber may have missed something (PROTOCOL section 7.5). Runs once for a
     * row, after the walk of that publication; nothing more is delivered to the row, since a client that saw
     * what came after the gap would recover from there. May end the subscription, or all of the subscriber's.
     */
    void (*on_insufficient_state)(struct subscriber *subscriber, struct subscription *subscription);
    /* Is this the connection with that client ID? Asked only for messages that exclude one. */
    bool (*is_client)(const struct subscriber *subscriber, struct str client);
};

enum subscription_flags {
    SUBSCRIPTION_LIVE = 1 << 0,       /* the answer has come: deliver */
    SUBSCRIPTION_POSITIONED = 1 << 1, /* continuity is checked */
    SUBSCRIPTION_RECOVERABLE = 1 << 2,
    SUBSCRIPTION_JOIN_LEAVE = 1 << 3, /* wants join and leave pushes */
    SUBSCRIPTION_SERVER_SIDE = 1 << 4,
    SUBSCRIPTION_IN_PRESENCE = 1 << 5, /* the home has a presence entry to remove */
    SUBSCRIPTION_ANNOUNCED = 1 << 6,   /* others were told of the join, and are told of the leave */
    SUBSCRIPTION_MISSED = 1 << 7,      /* the hub's: no longer live, about to be told so */
    SUBSCRIPTION_USER_1 = 1 << 8,      /* this and higher bits are the owner's */
};

/* One row of the many-to-many relation. Unlinking from either side is O(1). */
struct subscription {
    struct link in_subscriber;
    struct channel *channel;
    struct subscriber *subscriber;
    uint32_t index; /* place in the channel's array of members; kept by the hub */
    uint32_t flags; /* the hub sets LIVE and MISSED; the owner the others, by subscription_set_flags() */
    void *extra;    /* the owner's (expiry, chan_info, …); the owner frees it before hub_remove() */
};

struct channel; /* one channel on one worker */

struct hub_counters {
    uint64_t publications_total; /* messages that reached this worker */
    uint64_t deliveries_total;   /* frames accepted by an outbox */
    uint64_t refused_total;      /* offers refused by a full outbox */
    uint64_t insufficient_total; /* times a channel's stream jumped here */
    uint64_t mailbox_full_total; /* ops refused because a mailbox was full */
    uint64_t channel_count;      /* gauges */
    uint64_t subscription_count;
};

struct hub_options {
    unsigned index, worker_count;
    struct hub *const *hubs; /* all hubs by worker, filled before the first turn; borrowed */
    size_t mails_max;        /* mailbox bound */
    void *owner;             /* the worker; hub_owner() gives it back, for mails of the server */
    /* Makes worker `index` run a turn soon. Any thread. */
    void (*wake)(void *owner);
    /* Encodes a message for one kind of transport. Returns owned with one reference, NULL without memory. */
    struct frame *(*encode)(enum frame_kind kind, const struct message *message);
    /* What happens at the home, for whoever wants to tell others; NULL where nobody does. They run on the
     * worker's thread and must not call the hub. The first subscriber of the process came to a channel, or
     * the last one left: always in turn. A publication was accepted: `op` is the request, its message
     * borrowed. */
    void (*on_occupancy)(void *owner, struct str channel, bool is_occupied);
    void (*on_published)(void *owner, const struct op *op);
    struct broker_limits broker_limits; /* of this worker's broker */
    struct broker *(*broker_new)(const struct broker_sink *sink);
    void *broker_context; /* given to it as sink->context; borrowed */
};

/* Returns owned; NULL without memory. */
struct hub *hub_new(const struct hub_options *options);
/* All subscriptions must be gone and no other worker may post any more. Ops and messages that still wait are
 * freed and not done; a mail of the server's own runs with a receiver of NULL, to free what it owns. */
void hub_free(struct hub *hub);
void *hub_owner(struct hub *hub);
unsigned hub_index(const struct hub *hub);

/* Starts an op. Takes it. It is done later in this turn or in a later one (op.h); where the home's mailbox is
 * full it is done with STATUS_BUSY, except for OP_UNSUBSCRIBE, which is never refused: without it the home
 * would count a subscription that is gone, and an earlier OP_SUBSCRIBE was admitted for each. Increments
 * nothing in the subscriber: the asker counts ops_pending. */
void hub_start(struct hub *hub, struct op *op);

/* Makes the local row for a subscription, not yet live; the caller then starts an OP_SUBSCRIBE that names it,
 * and when that is done with STATUS_OK calls hub_go_live(), else hub_remove(). NULL without memory. */
struct subscription *hub_add(struct hub *hub, struct subscriber *subscriber, struct str channel,
                             const struct channel_options *options);
/* From now on publications are delivered to it. `top` is op->top of the answer. Call it in op->done, after
 * the reply was queued. Where `top` is not the position that the channel's other rows share, whoever is
 * behind has missed something and is told later in the turn (on_insufficient_state). */
void hub_go_live(struct hub *hub, struct subscription *subscription, struct position top);
/* Takes the row out, at once and in O(1), also during a walk. The caller starts an OP_UNSUBSCRIBE for each
 * row whose OP_SUBSCRIBE succeeded (also when the session is closing), so that the home's count and presence
 * are right. */
void hub_remove(struct hub *hub, struct subscription *subscription);

/* The subscriber's row for a channel, live or not; NULL when there is none. */
struct subscription *hub_find(struct hub *hub, struct subscriber *subscriber, struct str channel);
struct str channel_name(const struct channel *channel); /* borrowed while the row exists */
const struct channel_options *channel_options_of(const struct channel *channel);
/* The position that all positioned rows of this channel on this worker share; epoch borrowed. */
struct position channel_position(const struct channel *channel);
void subscription_set_flags(struct hub *hub, struct subscription *subscription, uint32_t set, uint32_t clear);

/* Sends a mail of the server's own to worker `to`; mail->run gets that worker's hub. Any worker's thread
 * (`hub` is the sender's). An answer never fails; a question may (false: the caller still owns it). Mails to
 * oneself run later in the same turn. */
bool hub_post(struct hub *hub, unsigned to, struct mail *mail);
void hub_post_answer(struct hub *hub, unsigned to, struct mail *mail);
/* The same from the main thread, to `to` directly. */
bool hub_post_from_main(struct hub *to, struct mail *mail);
/* An answer from a thread that is no worker's. */
void hub_answer_from_outside(struct hub *to, struct mail *mail);

/* Runs everything that waits: own queue and mailbox, until both are empty or `mails_budget` mails were run;
 * then wakes the workers that were sent something. true: there is more, come back without sleeping. */
bool hub_turn(struct hub *hub, size_t mails_budget);

/* What hub_post() and hub_post_answer() have left for others is looked at from here on: they are woken once
 * for all that a turn has sent them, so that they have all of it before them and write it in one go. Before
 * the loop sleeps, if anything may have been posted since hub_turn(). */
void hub_wake_others(struct hub *hub);

/* The configuration has changed: every channel on this worker gets the options that `resolve` finds for its
 * name, and keeps those it has where that is NULL. What a subscription was granted stays. O(channels). */
void hub_reconfigure(struct hub *hub,
                     const struct channel_options *(*resolve)(void *context, struct str channel),
                     void *context);
/* This worker's broker, for what a hub has no business with. Borrowed. */
struct broker *hub_broker(struct hub *hub);
/* No thread runs any more: ops that wait in the broker come back, by the turns that follow. */
void hub_stop(struct hub *hub);

/* Once a second: expiry in the broker. */
void hub_tick(struct hub *hub, uint64_t now_ms);

const struct hub_counters *hub_counters(const struct hub *hub);

/* Walks the channels that this worker is home of: name and subscriptions in the whole process. For surveys.
 * `visit` returns false to stop. */
void hub_each_home_channel(struct hub *hub,
                           bool (*visit)(void *context, struct str channel, uint32_t subscriptions),
                           void *context);
/* How many there are. */
size_t hub_home_channel_count(const struct hub *hub);

/* Bytes or counts for tests and metrics: worker that is home of `channel`. */
unsigned hub_home_of(const struct hub *hub, struct str channel);

#endif

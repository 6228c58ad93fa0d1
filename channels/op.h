/* op.h - one request travelling to its channel's home worker and back.
 *
 *     session ─▶ hub_start(op) ─▶ home worker: broker runs it ─▶ origin worker: op->done(op) ─▶ op_free
 *
 * An op is one allocation: the struct and a copy of every text in it. Whoever holds it owns it: the asker
 * until hub_start(), then the hub and the broker, then `done`, which must free it. `done` runs exactly once,
 * on the thread that started it, in a later step of the turn and never inside hub_start(). A session that is
 * closed while its op is on the way stays allocated until the op is back (subscriber.ops_pending): pointers
 * in an op stay good.
 */
#ifndef STARLING_CHANNELS_OP_H
#define STARLING_CHANNELS_OP_H

#include "channels/base/buf.h"
#include "channels/base/mailbox.h"
#include "channels/base/str.h"
#include "channels/channel_options.h"
#include "channels/limits.h"
#include "channels/message.h"
#include "channels/status.h"

enum op_kind {
    OP_PUBLISH,
    OP_SUBSCRIBE,
    OP_UNSUBSCRIBE,
    OP_PRESENCE,
    OP_PRESENCE_STATS,
    OP_HISTORY,
    OP_HISTORY_REMOVE,
};

/* A place in a stream (PROTOCOL section 7.1). */
struct position {
    uint64_t offset;
    struct str epoch;
};

/* One entry of a presence answer. */
struct presence_entry {
    struct str client;
    struct str info; /* encoded ClientInfo */
};

struct op {
    struct mail mail; /* first: mail->run finds the op by a cast of its own address */
    enum op_kind kind;
    unsigned origin;                       /* worker that started it; set by hub_start() */
    const struct channel_options *options; /* of the channel; lives as long as the process */
    struct str channel;
    void (*done)(struct op *op);
    void *context; /* the asker's, for `done` */
    void *context2;
    uint32_t command_id; /* the asker's, for `done` */

    enum status status;  /* the outcome; the fields below marked 'out' are set on STATUS_OK */
    struct position top; /* out: top of the stream; epoch empty where there is none.
                            publish: the position of this publication */
    union {
        struct {
            struct message *message; /* in: owned by the op until the broker takes it */
            bool skip_history;
            struct str idempotency_key; /* empty: none; acts within the channel */
            uint64_t version;           /* 0: none */
            struct str version_epoch;
            bool was_suppressed; /* out: answered from the idempotency cache, or version not newer */
        } publish;
        struct {
            struct subscription *subscription;   /* local, in state SUBSCRIPTION_STARTING */
            struct str client, user, info;       /* info: encoded ClientInfo, for presence and join */
            bool with_presence, with_join_leave; /* add to presence; announce to others */
            bool wants_position;                 /* the reply carries the top of the stream */
            bool is_recovering;                  /* recover from `since` */
            bool is_cache_mode; /* recovery considers only the newest publication (section 7.6) */
            struct position since;
            uint32_t recover_max; /* most publications to recover; more: not recovered. 0: no limit */
            bool must_recover;    /* not recovered: STATUS_UNRECOVERABLE_POSITION, and not subscribed */
            bool recovered;       /* out */
        } subscribe;
        struct {
            struct str client, user, info;
            bool with_presence, with_join_leave;
        } unsubscribe;
        struct {
            uint32_t limit;                    /* most entries in the answer; 0: no limit */
            struct presence_entry *entries;    /* out: owned by the op, texts too */
            size_t count;                      /* out */
            uint32_t client_count, user_count; /* out: whole numbers, also where entries were cut */
            bool is_cut;                       /* out: there are more than `limit` */
        } presence;
        struct {
            int64_t limit;      /* 0: position only; -1: all */
            uint32_t limit_max; /* cap on the answer; 0: none */
            bool has_since, is_reverse;
            struct position since;
        } history;
    };
    struct message **messages; /* out of subscribe (recovered) and history: references owned by the op */
    size_t message_count;

    char top_epoch[LIMIT_EPOCH_BYTES]; /* what top.epoch points to */
    char *text_at;                     /* room for copied texts: see op_text() */
    size_t text_left;
    char text[];
};

/* Returns owned, zeroed, with room for `text_bytes` of copied text; NULL without memory. */
struct op *op_new(enum op_kind kind, size_t text_bytes);

/* Copies `s` into the op's text room, which must have been asked for. The copy lives as long as the op. */
struct str op_text(struct op *op, struct str s);

/* Frees the op with what it owns: message, messages, entries. NULL is fine. */
void op_free(struct op *op);

/* Sets op->top; the epoch is copied (at most LIMIT_EPOCH_BYTES) into the op itself. */
void op_set_top(struct op *op, uint64_t offset, struct str epoch);

#endif

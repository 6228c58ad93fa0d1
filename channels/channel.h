/* channel.h - one channel on one worker: its rows in order of subscription, and the walk over them.
 *
 *     members   [ A live ][ --- ][ C live ][ D waits ]      hot: 16 bytes a row, all that a walk reads
 *     rows      [   A    ][ --- ][   C    ][    D    ]      cold: the subscription of each
 *
 * A row that leaves becomes a hole, so that leaving is O(1) and safe in the middle of a walk; when half of
 * the array are holes and nobody walks, it is closed up in order.
 *
 * The position is that of the last publication that came by. Positioned rows share it: a publication that is
 * not the next one tells each of them, once (PROTOCOL section 7.5).
 *
 * Private to the hub.   Thread: the worker's.   Memory: one allocation, and one for the array.
 */
#ifndef STARLING_CHANNELS_CHANNEL_H
#define STARLING_CHANNELS_CHANNEL_H

#include "channels/base/table.h"
#include "channels/hub.h"

struct member {
    struct subscriber *subscriber;
    uint32_t flags;      /* of the subscription; 0 in a hole, and then subscriber means nothing */
    uint32_t frame_kind; /* of the subscriber */
};

struct channel {
    UT_hash_handle hh;
    const struct channel_options *options;
    struct member *members; /* `capacity` of them, the array of rows behind them in the same allocation */
    struct subscription **rows;
    uint32_t used;     /* places taken, holes included */
    uint32_t holes;    /* places without a row */
    uint32_t capacity; /* of both arrays */
    uint32_t id;       /* of this object on this thread, never 0: the conflation key of its frames */
    uint32_t walks;    /* walks that are running: rows keep their places meanwhile */
    uint32_t live_positioned_count;
    bool has_position;
    bool mail_waits; /* `mail` is in the hub's own queue: the channel stays until it has run */
    uint8_t epoch_len;
    char epoch[LIMIT_EPOCH_BYTES];
    uint64_t offset;
    struct mail mail; /* brings the news to rows that missed something */
    uint32_t name_len;
    char name[];
};

/* What the walk needs of the hub. */
struct fan_out {
    struct frame *(*encode)(enum frame_kind kind, const struct message *message);
    struct hub_counters *counters;
};

/* Returns owned; NULL without memory. */
struct channel *channel_new(struct str name, const struct channel_options *options);
void channel_free(struct channel *channel);

/* No rows, no walk, no mail: it can go. */
bool channel_is_idle(const struct channel *channel);

/* Gives the row the last place. false: no memory, nothing changed. */
bool channel_add(struct channel *channel, struct subscription *subscription);
void channel_remove(struct channel *channel, struct subscription *subscription);
void channel_set_flags(struct channel *channel, struct subscription *subscription, uint32_t flags);

/* The subscriber's row; NULL when it has none. Looks at whichever has fewer: its rows or the channel's. */
struct subscription *channel_row_of(const struct channel *channel, const struct subscriber *subscriber);

/* Makes the row live at `top`. true: rows are marked SUBSCRIPTION_MISSED and want to be told. */
bool channel_go_live(struct channel *channel, struct subscription *subscription, struct position top);

/* Offers the message to every live row that wants it, then tells those that missed something. */
void channel_deliver(struct channel *channel, const struct message *message, const struct fan_out *fan_out);

/* Tells the rows that are marked SUBSCRIPTION_MISSED, and takes the mark off. */
void channel_tell_missed(struct channel *channel);

#endif

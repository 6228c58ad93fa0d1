#include "channels/channel.h"

#include <stdlib.h>

enum { ROWS_SHRINK_MIN = 16 };

/* Ids of the thread's channels. After 2^32 channels one may come twice, which would only matter to a reader
 * that is still blocked since then. */
static _Thread_local uint32_t last_id;

#define LIVE_POSITIONED (SUBSCRIPTION_LIVE | SUBSCRIPTION_POSITIONED)

_Static_assert(sizeof(struct member) == 16, "four members to a cache line");

struct channel *channel_new(struct str name, const struct channel_options *options)
{
    must(name.len <= UINT32_MAX);
    struct channel *channel = calloc(1, sizeof *channel + name.len);
    if (channel != NULL) {
        channel->options = options;
        last_id += last_id == UINT32_MAX ? 2 : 1;
        channel->id = last_id;
        channel->name_len = (uint32_t)name.len;
        memcpy(channel->name, name.at, name.len);
    }
    return channel;
}

void channel_free(struct channel *channel)
{
    if (channel != NULL) {
        must(channel_is_idle(channel));
        free(channel->members);
        free(channel);
    }
}

struct str channel_name(const struct channel *channel)
{
    return str_make(channel->name, channel->name_len);
}

const struct channel_options *channel_options_of(const struct channel *channel)
{
    return channel->options;
}

struct position channel_position(const struct channel *channel)
{
    return (struct position){.offset = channel->offset,
                             .epoch = str_make(channel->epoch, channel->epoch_len)};
}

bool channel_is_idle(const struct channel *channel)
{
    return channel->used == channel->holes && channel->walks == 0 && !channel->mail_waits;
}

/* Rows. */

/* Gives the arrays another size. Places do not change. false: no memory, nothing changed. */
static bool resize(struct channel *channel, uint32_t capacity)
{
    must(capacity >= channel->used);
    size_t row_bytes = sizeof(struct member) + sizeof(struct subscription *);
    struct member *members = malloc(capacity * row_bytes);
    if (members == NULL) {
        return false;
    }
    struct subscription **rows = (struct subscription **)(void *)(members + capacity);
    if (channel->used > 0) {
        memcpy(members, channel->members, channel->used * sizeof *members);
        memcpy(rows, channel->rows, channel->used * sizeof(struct subscription *));
    }
    free(channel->members);
    channel->members = members;
    channel->rows = rows;
    channel->capacity = capacity;
    return true;
}

/* Moves the rows together, in order. Not during a walk. */
static void close_up(struct channel *channel)
{
    must(channel->walks == 0);
    uint32_t used = 0;
    for (uint32_t i = 0; i < channel->used; i++) {
        if (channel->rows[i] != NULL) {
            channel->members[used] = channel->members[i];
            channel->rows[used] = channel->rows[i];
            channel->rows[used]->index = used;
            used++;
        }
    }
    must(used == channel->used - channel->holes);
    channel->used = used;
    channel->holes = 0;
}

/* After rows have left: half holes and half rows is the most that a walk should have to look at. */
static void tidy(struct channel *channel)
{
    if (channel->walks > 0) {
        return;
    }
    while (channel->used > 0 && channel->rows[channel->used - 1] == NULL) {
        channel->used--;
        channel->holes--;
    }
    if (channel->holes > 0 && channel->holes >= channel->used / 2) {
        close_up(channel);
    }
    if (channel->capacity > ROWS_SHRINK_MIN && channel->used <= channel->capacity / 4) {
        (void)resize(channel, channel->capacity / 2); /* without memory it stays as large as it is */
    }
}

/* Closing up pays only where it makes much room: else a full array with one hole would be moved at each new
 * row. */
static bool make_room(struct channel *channel)
{
    if (channel->walks == 0 && channel->holes > channel->used / 4) {
        close_up(channel);
        return true;
    }
    return resize(channel, channel->capacity == 0 ? 1 : channel->capacity * 2);
}

bool channel_add(struct channel *channel, struct subscription *subscription)
{
    must(channel->used < UINT32_MAX / 2);
    if (channel->used == channel->capacity && !make_room(channel)) {
        return false;
    }
    subscription->index = channel->used++;
    channel->rows[subscription->index] = subscription;
    channel->members[subscription->index] = (struct member){
        .subscriber = subscription->subscriber,
        .frame_kind = subscription->subscriber->frame_kind,
    };
    channel_set_flags(channel, subscription, subscription->flags);
    return true;
}

void channel_set_flags(struct channel *channel, struct subscription *subscription, uint32_t flags)
{
    must(channel->rows[subscription->index] == subscription);
    struct member *member = &channel->members[subscription->index];
    channel->live_positioned_count -= (member->flags & LIVE_POSITIONED) == LIVE_POSITIONED;
    channel->live_positioned_count += (flags & LIVE_POSITIONED) == LIVE_POSITIONED;
    member->flags = flags;
    subscription->flags = flags;
}

void channel_remove(struct channel *channel, struct subscription *subscription)
{
    channel_set_flags(channel, subscription, 0);
    channel->rows[subscription->index] = NULL;
    channel->holes++;
    tidy(channel);
}

struct subscription *channel_row_of(const struct channel *channel, const struct subscriber *subscriber)
{
    if (subscriber->subscription_count <= channel->used) {
        list_each (&subscriber->subscriptions, link) {
            struct subscription *row = container_of(link, struct subscription, in_subscriber);
            if (row->channel == channel) {
                return row;
            }
        }
        return NULL;
    }
    for (uint32_t i = 0; i < channel->used; i++) {
        if (channel->rows[i] != NULL && channel->members[i].subscriber == subscriber) {
            return channel->rows[i];
        }
    }
    return NULL;
}

/* Position. */

static void set_position(struct channel *channel, uint64_t offset, struct str epoch)
{
    must(epoch.len <= sizeof channel->epoch);
    if (epoch.len > 0) {
        memcpy(channel->epoch, epoch.at, epoch.len);
    }
    channel->epoch_len = (uint8_t)epoch.len;
    channel->offset = offset;
    channel->has_position = true;
}

static bool is_same_epoch(const struct channel *channel, struct str epoch)
{
    return str_equal(epoch, str_make(channel->epoch, channel->epoch_len));
}

/* Marks the live positioned rows whose frame kind is in `kinds` (bits). */
static void mark_missed(struct channel *channel, uint32_t kinds)
{
    for (uint32_t i = 0; i < channel->used && channel->live_positioned_count > 0; i++) {
        const struct member *member = &channel->members[i];
        bool is_meant = (kinds >> member->frame_kind & 1) != 0;
        if (is_meant && (member->flags & LIVE_POSITIONED) == LIVE_POSITIONED) {
            uint32_t flags = (member->flags & ~(uint32_t)SUBSCRIPTION_LIVE) | SUBSCRIPTION_MISSED;
            channel_set_flags(channel, channel->rows[i], flags);
        }
    }
}

bool channel_go_live(struct channel *channel, struct subscription *subscription, struct position top)
{
    must((subscription->flags & SUBSCRIPTION_LIVE) == 0);
    uint32_t live = subscription->flags | SUBSCRIPTION_LIVE;
    if ((subscription->flags & SUBSCRIPTION_POSITIONED) == 0 || top.epoch.len == 0) {
        channel_set_flags(channel, subscription, live);
        return false;
    }
    bool is_known = channel->has_position && is_same_epoch(channel, top.epoch);
    if (is_known && channel->offset > top.offset) {
        /* What came in between went past this row. */
        channel_set_flags(channel, subscription, subscription->flags | SUBSCRIPTION_MISSED);
        return true;
    }
    bool is_behind = !is_known || channel->offset < top.offset;
    bool others_missed = is_behind && channel->live_positioned_count > 0;
    if (others_missed) {
        mark_missed(channel, UINT32_MAX);
    }
    set_position(channel, top.offset, top.epoch);
    channel_set_flags(channel, subscription, live);
    return others_missed;
}

/* Delivery. */

enum continuity { NEXT, SEEN, JUMP };

/* Compares the message with the position, which then follows it. */
static enum continuity advance(struct channel *channel, const struct message *message)
{
    if (message->offset == 0) {
        return NEXT; /* not part of a stream */
    }
    bool is_known = channel->has_position && is_same_epoch(channel, message->epoch);
    if (is_known && message->offset <= channel->offset) {
        return SEEN;
    }
    bool is_next = !channel->has_position || (is_known && message->offset == channel->offset + 1);
    set_position(channel, message->offset, message->epoch);
    return is_next ? NEXT : JUMP;
}

static void end_walk(struct channel *channel)
{
    channel->walks--;
    tidy(channel);
}

void channel_tell_missed(struct channel *channel)
{
    uint32_t used = channel->used;
    channel->walks++;
    for (uint32_t i = 0; i < used; i++) {
        struct subscription *subscription = channel->rows[i];
        if (subscription != NULL && (subscription->flags & SUBSCRIPTION_MISSED) != 0) {
            struct subscriber *subscriber = subscription->subscriber;
            channel_set_flags(channel, subscription, subscription->flags & ~(uint32_t)SUBSCRIPTION_MISSED);
            subscriber->ops->on_insufficient_state(subscriber, subscription);
        }
    }
    end_walk(channel);
}

/* The frame of a kind is encoded for its first subscriber and lent to the others. */
struct frames {
    struct frame *of_kind[FRAME_KIND_COUNT];
    uint32_t failed_kinds; /* bits: encoding found no memory */
};

static struct frame *encode(const struct channel *channel, uint32_t kind, const struct message *message,
                            const struct fan_out *fan_out)
{
    struct frame *frame = fan_out->encode((enum frame_kind)kind, message);
    if (frame != NULL && message->kind == MESSAGE_PUBLICATION) {
        bool conflates = channel->options->overflow == OVERFLOW_LATEST_ONLY;
        frame->conflation_key = conflates ? channel->id : 0;
        frame->write_delay_ms = (uint32_t)channel->options->write_delay_ms;
    }
    return frame;
}

static struct frame *frame_of(const struct channel *channel, struct frames *frames, uint32_t kind,
                              const struct message *message, const struct fan_out *fan_out)
{
    if (frames->of_kind[kind] == NULL && (frames->failed_kinds >> kind & 1) == 0) {
        frames->of_kind[kind] = encode(channel, kind, message, fan_out);
        if (frames->of_kind[kind] == NULL) {
            frames->failed_kinds |= UINT32_C(1) << kind;
        }
    }
    return frames->of_kind[kind];
}

/* Offers the message to the rows that have all flags of `wanted` and none of `unwanted`. */
static void walk(struct channel *channel, uint32_t wanted, uint32_t unwanted, const struct message *message,
                 struct frames *frames, const struct fan_out *fan_out)
{
    uint32_t mask = wanted | unwanted;
    uint32_t used = channel->used; /* rows that are added meanwhile wait for their answers */
    channel->walks++;
    for (uint32_t i = 0; i < used; i++) {
        const struct member *member = &channel->members[i];
        if ((member->flags & mask) != wanted) {
            continue;
        }
        struct subscriber *subscriber = member->subscriber;
        if (message->exclude.len > 0 && subscriber->ops->is_client(subscriber, message->exclude)) {
            continue;
        }
        struct frame *frame = frame_of(channel, frames, member->frame_kind, message, fan_out);
        if (frame != NULL && subscriber->ops->offer(subscriber, frame)) {
            fan_out->counters->deliveries_total++;
        } else {
            fan_out->counters->refused_total++;
        }
    }
    end_walk(channel);
}

/* The home says where the stream stands. */
static void follow(struct channel *channel, const struct message *message, const struct fan_out *fan_out)
{
    bool is_known = channel->has_position && is_same_epoch(channel, message->epoch);
    if (is_known && message->offset <= channel->offset) {
        return;
    }
    bool has_missed = channel->has_position && channel->live_positioned_count > 0;
    set_position(channel, message->offset, message->epoch);
    if (has_missed) {
        mark_missed(channel, UINT32_MAX);
        fan_out->counters->insufficient_total++;
        channel_tell_missed(channel);
    }
}

void channel_deliver(struct channel *channel, const struct message *message, const struct fan_out *fan_out)
{
    if (message->is_position) {
        follow(channel, message, fan_out);
        return;
    }
    enum continuity continuity = advance(channel, message);
    if (continuity == SEEN) {
        return;
    }
    uint32_t wanted =
        SUBSCRIPTION_LIVE | (message->kind == MESSAGE_PUBLICATION ? 0 : SUBSCRIPTION_JOIN_LEAVE);
    uint32_t unwanted = continuity == JUMP ? SUBSCRIPTION_POSITIONED : 0;
    struct frames frames = {.failed_kinds = 0};
    walk(channel, wanted, unwanted, message, &frames, fan_out);
    for (size_t kind = 0; kind < FRAME_KIND_COUNT; kind++) {
        frame_unref(frames.of_kind[kind]);
    }
    uint32_t missed_kinds = continuity == JUMP ? UINT32_MAX : message->offset > 0 ? frames.failed_kinds : 0;
    if (missed_kinds != 0 && channel->live_positioned_count > 0) {
        mark_missed(channel, missed_kinds);
        fan_out->counters->insufficient_total++;
        channel_tell_missed(channel);
    }
}

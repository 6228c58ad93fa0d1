#include "channels/redis_broker.h"

#include "channels/base/clock.h"

#include <stdlib.h>

/* A subscriber gets its answer in stream order with the deliveries: everything up to the top that it is told
 * comes before, everything later after. So it is answered only at a moment where the home knows its place in
 * the stream, with that place as the top.
 *
 *     waiting ─ channel is live ─▶ answered
 *                              └─▶ recovering ─ one read for all of them ─▶ in_recovery ─▶ answered
 *
 * What was missed is read once for everybody who asks at the same time: from the oldest place up to where the
 * home stands when it asks (recovery_top). What is delivered while the answer is on its way is kept, and the
 * two parts are put together: no gap, no duplicate. */

enum outcome { ANSWER_NOW, READ_FIRST };

static void waiter_free(struct redis_waiter *waiter)
{
    list_remove(&waiter->in_list);
    list_remove(&waiter->in_deadlines);
    free(waiter);
}

static bool uses_history(const struct op *op)
{
    return channel_has_history(op->options) && (op->subscribe.wants_position || op->subscribe.is_recovering);
}

static void answer(struct redis_waiter *waiter, enum status status)
{
    struct redis_channel *channel = waiter->channel;
    struct redis_broker *broker = channel->broker;
    struct op *op = waiter->op;
    if (status == STATUS_OK && uses_history(op)) {
        struct position top = redis_position(&channel->at);
        op_set_top(op, top.offset, top.epoch);
    }
    if (status == STATUS_OK && op->subscribe.is_recovering && op->subscribe.must_recover &&
        !op->subscribe.recovered) {
        status = STATUS_UNRECOVERABLE_POSITION;
    }
    if (status != STATUS_OK && waiter->has_joined) {
        redis_presence_leave(channel, op->subscribe.client, op->subscribe.user);
    }
    if (status == STATUS_OK && op->subscribe.with_join_leave) {
        /* It goes to Redis and back, so the new subscriber sees its own join after the answer. */
        redis_announce(broker, MESSAGE_JOIN, op->channel, op->subscribe.info);
    }
    waiter_free(waiter);
    redis_finish(broker, op, status);
}

/* ---- judging ---- */

/* How many publications the subscriber has missed; false: nobody can say. */
static bool count_missed(const struct redis_channel *channel, const struct op *op, uint64_t *missed)
{
    struct position since = op->subscribe.since;
    if (since.epoch.len == 0) {
        since.epoch = str_make(channel->at.epoch, channel->at.epoch_len);
        if (since.offset > channel->at.offset) {
            return false;
        }
    } else if (!redis_is_valid(channel->broker, &channel->at, since)) {
        return false;
    }
    *missed = channel->at.offset - since.offset;
    return true;
}

static enum outcome judge(const struct redis_channel *channel, struct op *op)
{
    uint64_t missed = 0;
    if (!uses_history(op) || !op->subscribe.is_recovering) {
        return ANSWER_NOW;
    }
    if (op->subscribe.is_cache_mode) {
        return channel->at.offset == 0 ? ANSWER_NOW : READ_FIRST;
    }
    uint64_t most = op->subscribe.recover_max > 0 ? op->subscribe.recover_max : RECOVER_MAX;
    op->subscribe.recovered = count_missed(channel, op, &missed) && missed <= most;
    return op->subscribe.recovered && missed > 0 ? READ_FIRST : ANSWER_NOW;
}

/* From where on this subscriber wants the stream. */
static uint64_t wanted_from(const struct redis_channel *channel, const struct op *op)
{
    return op->subscribe.is_cache_mode ? channel->at.offset : op->subscribe.since.offset + 1;
}

/* ---- reading ---- */

bool redis_entries_take(const redisReply *entries, struct str channel, struct str epoch, uint64_t first,
                        uint64_t last, struct message ***messages, size_t *count)
{
    *messages = NULL;
    *count = 0;
    if (entries->type != REDIS_REPLY_ARRAY || entries->elements == 0) {
        return true;
    }
    struct message **list = malloc(entries->elements * sizeof(struct message *));
    if (list == NULL) {
        return false;
    }
    size_t taken = 0;
    for (size_t i = 0; i < entries->elements; i++) {
        uint64_t offset;
        struct str frame;
        if (!redis_entry_read(entries->element[i], &offset, &frame) || offset != first + taken ||
            offset > last) {
            break;
        }
        list[taken] = redis_frame_decode(frame, channel, epoch, offset);
        if (list[taken] == NULL) {
            break;
        }
        taken++;
    }
    if (taken == 0) {
        free(list);
        list = NULL;
    }
    *messages = list;
    *count = taken;
    return true;
}

static void drop_kept(struct redis_channel *channel)
{
    for (size_t i = 0; i < channel->kept_count; i++) {
        message_unref(channel->kept[i]);
    }
    free(channel->kept);
    channel->kept = NULL;
    channel->kept_count = channel->kept_capacity = 0;
}

void redis_recover_keep(struct redis_channel *channel, struct message *message)
{
    if (channel->recovery == NULL || channel->kept_is_broken) {
        return;
    }
    if (channel->kept_count == channel->kept_capacity) {
        size_t capacity = channel->kept_capacity == 0 ? 8 : channel->kept_capacity * 2;
        struct message **larger = capacity > BUFFER_MESSAGES_MAX
                                      ? NULL
                                      : realloc(channel->kept, capacity * sizeof(struct message *));
        if (larger == NULL) {
            redis_recover_on_jump(channel);
            return;
        }
        channel->kept = larger;
        channel->kept_capacity = capacity;
    }
    channel->kept[channel->kept_count++] = message_ref(message);
}

void redis_recover_on_jump(struct redis_channel *channel)
{
    channel->kept_is_broken = true;
    drop_kept(channel);
}

/* Gives the op references to what it missed: of `read` (from `first` on, `count` of them) and of what was
 * kept. false: no memory. */
static bool give(const struct redis_channel *channel, struct op *op, struct message *const *read,
                 uint64_t first, size_t count)
{
    uint64_t from = op->subscribe.since.offset + 1;
    size_t skip = from > first ? (size_t)(from - first) : 0;
    size_t of_read = skip < count ? count - skip : 0;
    size_t total = of_read + channel->kept_count;
    if (op->subscribe.is_cache_mode) {
        skip = channel->kept_count > 0 ? 0 : count - 1;
        of_read = channel->kept_count > 0 ? 0 : 1;
        total = 1;
    }
    op->messages = malloc(total * sizeof(struct message *));
    if (op->messages == NULL) {
        return false;
    }
    for (size_t i = 0; i < of_read; i++) {
        op->messages[op->message_count++] = message_ref(read[skip + i]);
    }
    for (size_t i = op->subscribe.is_cache_mode && total > of_read ? channel->kept_count - 1 : 0;
         op->message_count < total; i++) {
        op->messages[op->message_count++] = message_ref(channel->kept[i]);
    }
    return true;
}

/* One subscriber's part of the answer. */
static void answer_with(struct redis_waiter *waiter, struct message *const *read, uint64_t first,
                        size_t count)
{
    const struct redis_channel *channel = waiter->channel;
    struct op *op = waiter->op;
    struct position top = redis_position(&channel->at);
    bool is_whole = !channel->kept_is_broken && first + count == channel->recovery_top + 1;
    if (op->subscribe.is_cache_mode) {
        bool is_there = !channel->kept_is_broken && (count > 0 || channel->kept_count > 0);
        bool is_known =
            op->subscribe.since.offset == top.offset && str_equal(op->subscribe.since.epoch, top.epoch);
        op->subscribe.recovered = is_there;
        bool is_given = !is_there || is_known || give(channel, op, read, first, count);
        answer(waiter, is_given ? STATUS_OK : STATUS_NO_MEMORY);
        return;
    }
    op->subscribe.recovered = is_whole && wanted_from(channel, op) >= first;
    if (op->subscribe.recovered && !give(channel, op, read, first, count)) {
        answer(waiter, STATUS_NO_MEMORY);
        return;
    }
    answer(waiter, STATUS_OK);
}

static void start_recovery(struct redis_channel *channel);

static void on_recovery(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct redis_channel *channel = call->owner;
    if (channel == NULL) {
        return;
    }
    uint64_t first = (uint64_t)(uintptr_t)call->owner2;
    struct message **read = NULL;
    size_t count = 0;
    bool is_read =
        status == STATUS_OK && redis_entries_take(reply, redis_channel_name(channel),
                                                  str_make(channel->at.epoch, channel->at.epoch_len), first,
                                                  channel->recovery_top, &read, &count);
    channel->recovery = NULL;
    struct link *link;
    while ((link = list_pop_front(&channel->in_recovery)) != NULL) {
        struct redis_waiter *waiter = container_of(link, struct redis_waiter, in_list);
        if (is_read) {
            answer_with(waiter, read, first, count);
        } else {
            answer(waiter, STATUS_BUSY);
        }
    }
    for (size_t i = 0; i < count; i++) {
        message_unref(read[i]);
    }
    free(read);
    drop_kept(channel);
    start_recovery(channel);
    redis_channel_settle(channel);
}

/* One read for all that wait for one. */
static void start_recovery(struct redis_channel *channel)
{
    if (channel->recovery != NULL || list_is_empty(&channel->recovering)) {
        return;
    }
    uint64_t first = UINT64_MAX;
    list_each (&channel->recovering, link) {
        uint64_t from = wanted_from(channel, container_of(link, struct redis_waiter, in_list)->op);
        first = from < first ? from : first;
    }
    list_append(&channel->in_recovery, &channel->recovering);
    channel->recovery_top = channel->at.offset;
    channel->kept_is_broken = false;
    struct redis_call *call = redis_call_new(on_recovery, channel, REDIS_RETRY_SAME);
    bool is_sent = false;
    if (call != NULL) {
        struct buf stream = {0}, from = {0}, to = {0};
        redis_channel_key(&stream, channel, REDIS_STREAM);
        buf_printf(&from, "%llu-0", (unsigned long long)first);
        buf_printf(&to, "%llu-0", (unsigned long long)channel->recovery_top);
        redis_call_add(call, 4,
                       (struct str[]){STR("XRANGE"), buf_str(&stream), buf_str(&from), buf_str(&to)});
        buf_release(&stream);
        buf_release(&from);
        buf_release(&to);
        call->owner2 = (void *)(uintptr_t)first;
        is_sent = redis_shard_call(&channel->place->shard, call);
    }
    if (is_sent) {
        channel->recovery = call;
        return;
    }
    struct link *link;
    while ((link = list_pop_front(&channel->in_recovery)) != NULL) {
        answer(container_of(link, struct redis_waiter, in_list), STATUS_BUSY);
    }
}

/* ---- waiting ---- */

void redis_recover_on_live(struct redis_channel *channel)
{
    struct link *link;
    while ((link = list_pop_front(&channel->waiting)) != NULL) {
        struct redis_waiter *waiter = container_of(link, struct redis_waiter, in_list);
        list_remove(&waiter->in_deadlines);
        if (judge(channel, waiter->op) == READ_FIRST) {
            list_push_back(&channel->recovering, &waiter->in_list);
        } else {
            answer(waiter, STATUS_OK);
        }
    }
    start_recovery(channel);
    redis_channel_settle(channel);
}

void redis_recover_start(struct redis_channel *channel, struct op *op, bool has_joined)
{
    struct redis_broker *broker = channel->broker;
    struct redis_waiter *waiter = calloc(1, sizeof *waiter);
    if (waiter == NULL) {
        if (has_joined) {
            redis_presence_leave(channel, op->subscribe.client, op->subscribe.user);
        }
        redis_finish(broker, op, STATUS_NO_MEMORY);
        redis_channel_settle(channel);
        return;
    }
    waiter->channel = channel;
    waiter->op = op;
    waiter->has_joined = has_joined;
    waiter->due_ms = clock_monotonic_ms() + SHARD_WAIT_MS;
    list_init(&waiter->in_list);
    list_init(&waiter->in_deadlines);
    list_push_back(&channel->waiting, &waiter->in_list);
    list_push_back(&broker->deadlines, &waiter->in_deadlines);
    if (channel->is_live) {
        redis_recover_on_live(channel);
    } else {
        redis_channel_settle(channel);
    }
}

/* Redis is away. Who asks for no position is subscribed, and hears of what comes once it is back. */
static void give_up(struct redis_waiter *waiter)
{
    struct redis_channel *channel = waiter->channel;
    answer(waiter, uses_history(waiter->op) ? STATUS_BUSY : STATUS_OK);
    redis_channel_settle(channel);
}

void redis_recover_tick(struct redis_broker *broker)
{
    while (!list_is_empty(&broker->deadlines)) {
        struct redis_waiter *waiter = container_of(broker->deadlines.next, struct redis_waiter, in_deadlines);
        if (waiter->due_ms > broker->now_ms && !broker->is_stopping) {
            return;
        }
        give_up(waiter);
    }
}

void redis_recover_refuse_all(struct redis_channel *channel)
{
    struct link *lists[] = {&channel->waiting, &channel->recovering, &channel->in_recovery};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct link *link;
        while ((link = list_pop_front(lists[i])) != NULL) {
            answer(container_of(link, struct redis_waiter, in_list), STATUS_BUSY);
        }
    }
}

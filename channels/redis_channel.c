#include "channels/redis_broker.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"

#include <errno.h>
#include <stdlib.h>

/* What a channel goes through at its home:
 *
 *     queued ─▶ SUBSCRIBE sent ─▶ confirmed ─▶ reading ─▶ live
 *                                    ▲            │        │  a publication that is not the next one:
 *                                    │            ◀────────┘  buffer it, read from the position
 *              subscription lost ────┘
 *
 * Why there is no gap: the stream is read after the subscription was confirmed, so that whatever the answer
 * lacks comes by pub/sub and lies in the buffer. Why there is no duplicate: offsets. A position that is no
 * longer on the stream's line (Redis came back with less, or the rest was trimmed away) cannot be repaired:
 * then the subscribers are told, once, by a message that carries the new position and nothing else. */

static const struct channel_options control_options = {
    .name = {.at = "#control", .len = 8},
    .history_size = 10000,
    .history_ttl_ms = 10 * 60 * 1000,
    .history_meta_ttl_ms = 24 * 60 * 60 * 1000,
};

static void start_read(struct redis_channel *channel);
static void queue_subscribe(struct redis_channel *channel);

/* ---- names ---- */

struct str redis_channel_name(const struct redis_channel *channel)
{
    return str_make(channel->name, channel->name_len);
}

void redis_channel_key(struct buf *out, const struct redis_channel *channel, enum redis_kind kind)
{
    if (!channel->is_control) {
        redis_key(out, &channel->broker->keys, kind, redis_channel_name(channel));
        return;
    }
    redis_control_key(out, &channel->broker->keys,
                      kind == REDIS_META ? STR("m:#control") : STR("c:#control"));
}

struct position redis_position(const struct redis_place_in_stream *at)
{
    return (struct position){.offset = at->offset, .epoch = str_make(at->epoch, at->epoch_len)};
}

/* ---- table ---- */

struct redis_channel *redis_channel_find(struct redis_broker *broker, struct str name)
{
    struct redis_channel *channel = NULL;
    HASH_FIND(hh, broker->channels, name.at, name.len, channel);
    return channel;
}

static struct redis_channel *channel_new(struct redis_broker *broker, struct str name,
                                         const struct channel_options *options)
{
    struct redis_channel *channel = calloc(1, sizeof *channel + name.len);
    if (channel == NULL) {
        return NULL;
    }
    channel->broker = broker;
    channel->options = options;
    channel->has_history = channel_has_history(options);
    struct link *links[] = {&channel->in_todo,     &channel->in_reads,   &channel->in_checks,
                            &channel->in_unused,   &channel->waiting,    &channel->recovering,
                            &channel->in_recovery, &channel->in_members, &channel->in_rejoins};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        list_init(links[i]);
    }
    memcpy(channel->name, name.at, name.len);
    channel->name_len = name.len;
    return channel;
}

struct redis_channel *redis_channel_get(struct redis_broker *broker, struct str name,
                                        const struct channel_options *options)
{
    struct redis_channel *channel = redis_channel_find(broker, name);
    if (channel != NULL) {
        return channel;
    }
    channel = channel_new(broker, name, options);
    if (channel == NULL) {
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, broker->channels, channel->name, channel->name_len, channel);
    if (!table_added(channel, hh)) {
        free(channel);
        return NULL;
    }
    channel->place = redis_place_of(broker, name);
    queue_subscribe(channel);
    return channel;
}

bool redis_channel_open_control(struct redis_broker *broker)
{
    struct redis_channel *channel = channel_new(broker, control_options.name, &control_options);
    if (channel == NULL) {
        return false;
    }
    channel->is_control = true;
    channel->place = &broker->places[0];
    broker->control = channel;
    queue_subscribe(channel);
    return true;
}

static void drop_buffer(struct redis_channel *channel)
{
    for (size_t i = 0; i < channel->buffer_count; i++) {
        message_unref(channel->buffer[i]);
    }
    free(channel->buffer);
    channel->buffer = NULL;
    channel->buffer_count = channel->buffer_capacity = channel->buffer_bytes = 0;
    channel->buffer_overflowed = false;
}

/* Calls on their way come back without their channel. */
static void forget_calls(struct redis_channel *channel)
{
    if (channel->read != NULL) {
        channel->read->owner = NULL;
    }
    if (channel->recovery != NULL) {
        channel->recovery->owner = NULL;
    }
}

void redis_channel_free(struct redis_channel *channel)
{
    if (!channel->is_control) {
        HASH_DEL(channel->broker->channels, channel);
    }
    redis_recover_refuse_all(channel);
    redis_recover_on_jump(channel);
    forget_calls(channel);
    list_remove(&channel->in_todo);
    list_remove(&channel->in_reads);
    list_remove(&channel->in_checks);
    list_remove(&channel->in_unused);
    list_remove(&channel->in_members);
    list_remove(&channel->in_rejoins);
    drop_buffer(channel);
    presence_release(&channel->members);
    free(channel);
}

/* ---- use ---- */

static bool is_used(const struct redis_channel *channel)
{
    const struct broker_sink *sink = &channel->broker->base.sink;
    return channel->is_control || !list_is_empty(&channel->waiting) || !list_is_empty(&channel->recovering) ||
           !list_is_empty(&channel->in_recovery) || presence_client_count(&channel->members) > 0 ||
           sink->subscriber_count(sink->hub, redis_channel_name(channel)) > 0;
}

void redis_channel_settle(struct redis_channel *channel)
{
    if (is_used(channel)) {
        list_remove(&channel->in_unused);
    } else if (!link_is_listed(&channel->in_unused)) {
        channel->unused_ms = clock_monotonic_ms();
        list_push_back(&channel->broker->unused, &channel->in_unused);
    }
}

/* ---- subscribing ---- */

static void queue_subscribe(struct redis_channel *channel)
{
    channel->subscription = SUB_QUEUED;
    list_remove(&channel->in_todo);
    list_push_back(&channel->place->to_subscribe, &channel->in_todo);
}

/* One SUBSCRIBE or UNSUBSCRIBE of many names from `todo`; returns how many. */
static size_t send_names(struct redis_place *place, struct link *todo, const char *verb,
                         enum redis_subscription sent)
{
    struct str arguments[SUBSCRIBE_NAMES_MAX + 1];
    size_t ends[SUBSCRIBE_NAMES_MAX], count = 0;
    struct buf names = {0}, command = {0};
    struct link taken;
    list_init(&taken);
    while (count < SUBSCRIBE_NAMES_MAX && names.len < SUBSCRIBE_BYTES_MAX && !list_is_empty(todo)) {
        struct link *link = list_pop_front(todo);
        redis_channel_key(&names, container_of(link, struct redis_channel, in_todo), REDIS_STREAM);
        list_push_back(&taken, link);
        ends[count++] = names.len;
    }
    arguments[0] = str_from_cstr(verb);
    for (size_t i = 0, start = 0; i < count && !names.failed; start = ends[i], i++) {
        arguments[i + 1] = str_make(names.at + start, ends[i] - start);
    }
    bool is_sent = count > 0 && !names.failed && redis_format(&command, (int)count + 1, arguments) &&
                   redis_link_send(&place->shard.sub, NULL, 0, buf_str(&command));
    if (is_sent) {
        struct link *link;
        while ((link = list_pop_front(&taken)) != NULL) {
            container_of(link, struct redis_channel, in_todo)->subscription = sent;
        }
    } else {
        list_append(&taken, todo); /* back to where they were, in order */
        list_append(todo, &taken);
    }
    buf_release(&names);
    buf_release(&command);
    return is_sent ? count : 0;
}

static void send_todo(struct redis_place *place)
{
    size_t total = 0, count = 1;
    while (total < SUBSCRIBES_PER_TURN && count > 0 && redis_link_is_ready(&place->shard.sub)) {
        count = send_names(place, &place->to_subscribe, "SUBSCRIBE", SUB_SENT);
        count += send_names(place, &place->to_unsubscribe, "UNSUBSCRIBE", SUB_ENDING);
        total += count;
    }
}

/* ---- delivering ---- */

static void hand_out(struct redis_channel *channel, struct message *message)
{
    struct redis_broker *broker = channel->broker;
    if (channel->is_control) {
        broker->options->on_control(broker->options->owner, message->data);
        return;
    }
    broker->base.sink.deliver(broker->base.sink.hub, message);
}

/* The next publication of the stream. */
static void deliver_next(struct redis_channel *channel, struct message *message)
{
    must(message->offset == channel->at.offset + 1);
    channel->at.offset = message->offset;
    redis_recover_keep(channel, message);
    hand_out(channel, message);
}

/* The subscribers have missed something that nobody can give them: they learn the new position. */
static void tell(struct redis_channel *channel)
{
    struct redis_broker *broker = channel->broker;
    broker->counters.told_total++;
    redis_recover_on_jump(channel);
    if (channel->is_control) {
        broker->options->on_control_missed(broker->options->owner);
        return;
    }
    struct position at = redis_position(&channel->at);
    struct message *message = message_new(&(struct message_parts){
        .is_position = true, .channel = redis_channel_name(channel), .offset = at.offset, .epoch = at.epoch});
    if (message != NULL) { /* without memory the next publication tells them: it is not the next one there */
        broker->base.sink.deliver(broker->base.sink.hub, message);
        message_unref(message);
    }
}

static void go_live(struct redis_channel *channel)
{
    channel->is_live = true;
    if (channel->has_history) {
        list_remove(&channel->in_checks);
        list_push_back(&channel->broker->checks, &channel->in_checks);
        channel->read_ms = channel->broker->now_ms;
    }
    redis_recover_on_live(channel);
}

/* ---- what arrives ---- */

static void buffer_message(struct redis_channel *channel, struct message *message)
{
    size_t bytes = message_bytes(message);
    bool is_full =
        channel->buffer_count >= BUFFER_MESSAGES_MAX || channel->buffer_bytes + bytes > BUFFER_BYTES_MAX;
    if (!is_full && channel->buffer_count == channel->buffer_capacity) {
        size_t capacity = channel->buffer_capacity == 0 ? 8 : channel->buffer_capacity * 2;
        struct message **larger = realloc(channel->buffer, capacity * sizeof(struct message *));
        is_full = larger == NULL;
        if (larger != NULL) {
            channel->buffer = larger;
            channel->buffer_capacity = capacity;
        }
    }
    if (is_full || channel->buffer_overflowed) {
        drop_buffer(channel);
        channel->buffer_overflowed = true; /* read again when the answer is there */
        return;
    }
    channel->buffer[channel->buffer_count++] = message_ref(message);
    channel->buffer_bytes += bytes;
}

static void want_read(struct redis_channel *channel)
{
    if (channel->read == NULL && !link_is_listed(&channel->in_reads)) {
        list_push_back(&channel->broker->reads, &channel->in_reads);
    }
}

static bool is_same_epoch(const struct redis_channel *channel, struct str epoch)
{
    return str_equal(epoch, str_make(channel->at.epoch, channel->at.epoch_len));
}

/* Is there room with every worker that wants it? Else it is read again from the stream, later. */
static bool has_room(const struct redis_channel *channel)
{
    const struct broker_sink *sink = &channel->broker->base.sink;
    return channel->is_control || sink->can_deliver(sink->hub, redis_channel_name(channel));
}

/* A publication of a channel with history. */
static void on_publication(struct redis_channel *channel, struct message *message)
{
    if (channel->is_live && is_same_epoch(channel, message->epoch)) {
        if (message->offset <= channel->at.offset) {
            return;
        }
        if (message->offset == channel->at.offset + 1 && has_room(channel)) {
            deliver_next(channel, message);
            return;
        }
    }
    if (channel->is_live) {
        channel->is_live = false;
        channel->broker->counters.resyncs_total++;
    }
    buffer_message(channel, message);
    want_read(channel);
}

static void on_message(struct redis_channel *channel, struct str payload)
{
    struct redis_broker *broker = channel->broker;
    struct str epoch, frame;
    uint64_t offset;
    struct message *message = NULL;
    errno = 0;
    if (redis_published_split(payload, &epoch, &offset, &frame)) {
        message = redis_frame_decode(frame, redis_channel_name(channel), epoch, offset);
    }
    if (message == NULL) {
        broker->counters.foreign_total += errno == ENOMEM ? 0 : 1;
        return; /* without memory: the next one shows the gap */
    }
    if (channel->has_history && offset > 0) {
        on_publication(channel, message);
    } else if (offset > 0) {
        broker->counters.foreign_total++;
    } else if (has_room(channel)) {
        hand_out(channel, message);
    } else {
        broker->counters.dropped_total++;
    }
    message_unref(message);
}

static void on_subscribed(struct redis_channel *channel)
{
    if (channel->subscription != SUB_SENT) {
        return;
    }
    channel->subscription = SUB_HELD;
    channel->subscribed_ms = clock_monotonic_ms();
    if (channel->has_history) {
        want_read(channel);
    } else {
        go_live(channel);
    }
}

static void on_unsubscribed(struct redis_channel *channel)
{
    if (channel->subscription != SUB_ENDING) {
        return;
    }
    channel->subscription = SUB_NONE;
    if (is_used(channel)) {
        queue_subscribe(channel);
    } else {
        redis_channel_free(channel);
    }
}

static struct redis_channel *channel_of_push(struct redis_broker *broker, struct str name)
{
    struct str channel;
    if (!redis_channel_from_key(&broker->keys, name, &channel)) {
        return NULL;
    }
    if (broker->control != NULL && str_starts_with(str_skip(name, broker->keys.prefix.len), STR(":{ctl}"))) {
        return broker->control;
    }
    return redis_channel_find(broker, channel);
}

void redis_channel_on_push(struct redis_place *place, const struct redis_push *push)
{
    struct redis_channel *channel = channel_of_push(place->broker, push->channel);
    if (channel == NULL || channel->place != place) {
        return;
    }
    switch (push->kind) {
    case REDIS_PUSH_MESSAGE:
        if (channel->subscription == SUB_HELD) {
            on_message(channel, push->payload);
        }
        return;
    case REDIS_PUSH_SUBSCRIBED: on_subscribed(channel); return;
    case REDIS_PUSH_UNSUBSCRIBED: on_unsubscribed(channel); return;
    }
}

/* ---- reading the position, and what is missing ---- */

bool redis_is_valid(const struct redis_broker *broker, const struct redis_place_in_stream *at,
                    struct position since)
{
    if (str_equal(since.epoch, str_make(at->epoch, at->epoch_len))) {
        return at->base <= since.offset && since.offset <= at->offset;
    }
    /* The stream lost nothing when the instance changed: the older epoch's part of the line still holds. */
    return broker->settings->is_strict && at->previous_len > 0 &&
           str_equal(since.epoch, str_make(at->previous, at->previous_len)) &&
           at->previous_base <= since.offset && since.offset <= at->base;
}

static void set_stream(struct redis_place_in_stream *at, const struct redis_meta *meta, uint64_t offset)
{
    at->is_known = true;
    at->offset = offset;
    at->base = meta->base;
    at->previous_base = meta->previous_base;
    at->epoch_len = (uint8_t)meta->epoch.len;
    memcpy(at->epoch, meta->epoch.at, meta->epoch.len);
    at->previous_len = (uint8_t)meta->previous_epoch.len;
    if (meta->previous_epoch.len > 0) {
        memcpy(at->previous, meta->previous_epoch.at, meta->previous_epoch.len);
    }
}

/* Delivers what lies in the buffer and is next. true: nothing is left that does not connect. */
static bool drain_buffer(struct redis_channel *channel)
{
    bool connects = !channel->buffer_overflowed;
    for (size_t i = 0; i < channel->buffer_count && connects; i++) {
        struct message *message = channel->buffer[i];
        if (!is_same_epoch(channel, message->epoch)) {
            connects = false;
        } else if (message->offset == channel->at.offset + 1) {
            connects = has_room(channel);
            if (connects) {
                deliver_next(channel, message);
            }
        } else {
            connects = message->offset <= channel->at.offset;
        }
    }
    drop_buffer(channel);
    return connects;
}

/* Delivers a page of the stream. true: it connects to the position. */
static bool deliver_page(struct redis_channel *channel, const redisReply *entries, uint64_t top)
{
    struct message **messages;
    size_t count;
    uint64_t first = channel->at.offset + 1;
    if (!redis_entries_take(entries, redis_channel_name(channel),
                            str_make(channel->at.epoch, channel->at.epoch_len), first, top, &messages,
                            &count)) {
        return true; /* no memory: the rest is read again */
    }
    bool has_all = true;
    for (size_t i = 0; i < count; i++) {
        has_all = has_all && has_room(channel);
        if (has_all) {
            deliver_next(channel, messages[i]);
            channel->broker->counters.repaired_total++;
        }
        message_unref(messages[i]);
    }
    free(messages);
    return count > 0;
}

/* `entries` is NULL where only the position was asked for. */
static void on_position(struct redis_channel *channel, const struct redis_meta *meta,
                        const redisReply *entries)
{
    struct redis_place_in_stream next = {0};
    set_stream(&next, meta, meta->top);
    if (!channel->at.is_known) {
        channel->at = next;
    } else if (!redis_is_valid(channel->broker, &next, redis_position(&channel->at))) {
        channel->at = next;
        tell(channel);
    } else {
        set_stream(&channel->at, meta, channel->at.offset);
        bool is_behind = channel->at.offset < meta->top;
        if (is_behind && entries != NULL && !deliver_page(channel, entries, meta->top)) {
            channel->at = next;
            tell(channel);
        }
    }
    bool is_there = channel->at.offset >= meta->top;
    if (is_there && drain_buffer(channel)) {
        go_live(channel);
    } else {
        want_read(channel);
    }
}

static void on_touched(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct redis_channel *channel = call->owner;
    struct redis_broker *broker = call->owner2;
    struct redis_meta meta;
    broker->reads_in_flight--;
    if (channel == NULL) {
        return;
    }
    channel->read = NULL;
    if (status != STATUS_OK || !redis_meta_read(reply, &meta) || !meta.is_there) {
        want_read(channel);
        return;
    }
    if (!str_is(meta.instance, channel->place->shard.cmd.info.instance)) {
        want_read(channel);
        redis_shard_restart(&channel->place->shard, "the Redis is another instance than it was");
        return;
    }
    if (channel->subscription != SUB_HELD) {
        return;
    }
    if (channel->at.is_known && meta.top > channel->at.offset) {
        start_read(channel); /* now with the entries */
        return;
    }
    on_position(channel, &meta, NULL);
}

/* The stream was never used, or another instance wrote it last: the script says under which epoch it goes on.
 */
static void touch(struct redis_channel *channel)
{
    struct redis_broker *broker = channel->broker;
    struct redis_call *call = redis_call_new(on_touched, channel, REDIS_RETRY_SAME);
    if (call == NULL) {
        want_read(channel);
        return;
    }
    call->owner2 = broker;
    struct buf meta = {0}, stream = {0}, ttl = {0};
    char candidate[EPOCH_TEXT_LEN];
    random_epoch(candidate);
    redis_channel_key(&meta, channel, REDIS_META);
    redis_channel_key(&stream, channel, REDIS_STREAM);
    buf_append_u64(&ttl, channel->options->history_meta_ttl_ms);
    redis_call_add_script(call, REDIS_SCRIPT_TOUCH, 2, 5,
                          (struct str[]){buf_str(&meta), buf_str(&stream),
                                         str_from_cstr(channel->place->shard.cmd.info.instance),
                                         str_make(candidate, sizeof candidate), buf_str(&ttl)});
    buf_release(&meta);
    buf_release(&stream);
    buf_release(&ttl);
    if (redis_shard_call(&channel->place->shard, call)) {
        channel->read = call;
        channel->is_live = false; /* what comes meanwhile is compared with the answer */
        broker->reads_in_flight++;
    } else {
        want_read(channel);
    }
}

static void on_read(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct redis_channel *channel = call->owner;
    struct redis_broker *broker = call->owner2;
    struct redis_meta meta;
    broker->reads_in_flight--;
    if (channel == NULL) {
        return;
    }
    channel->read = NULL;
    if (channel->subscription != SUB_HELD) {
        return; /* lost meanwhile: read after the next confirmation */
    }
    bool is_answer = status == STATUS_OK && reply->type == REDIS_REPLY_ARRAY && reply->elements >= 1 &&
                     redis_meta_read(reply->element[0], &meta);
    if (!is_answer) {
        want_read(channel);
    } else if (!meta.is_there || !str_is(meta.instance, channel->place->shard.cmd.info.instance)) {
        touch(channel);
    } else {
        on_position(channel, &meta, reply->elements > 1 ? reply->element[1] : NULL);
    }
}

static void start_read(struct redis_channel *channel)
{
    struct redis_broker *broker = channel->broker;
    struct redis_call *call = redis_call_new(on_read, channel, REDIS_RETRY_SAME);
    if (call == NULL) {
        want_read(channel);
        return;
    }
    call->owner2 = broker;
    struct buf meta = {0}, stream = {0}, from = {0}, page = {0};
    redis_channel_key(&meta, channel, REDIS_META);
    redis_channel_key(&stream, channel, REDIS_STREAM);
    buf_printf(&from, "%llu-0", (unsigned long long)channel->at.offset + 1);
    buf_append_u64(&page, READ_PAGE);
    redis_call_add(call, 1, (struct str[]){STR("MULTI")});
    redis_call_add(call, 8,
                   (struct str[]){STR("HMGET"), buf_str(&meta), STR("e"), STR("n"), STR("i"), STR("b"),
                                  STR("p"), STR("pb")});
    if (channel->at.is_known) {
        redis_call_add(call, 6,
                       (struct str[]){STR("XRANGE"), buf_str(&stream), buf_str(&from), STR("+"), STR("COUNT"),
                                      buf_str(&page)});
    }
    redis_call_add(call, 1, (struct str[]){STR("EXEC")});
    buf_release(&meta);
    buf_release(&stream);
    buf_release(&from);
    buf_release(&page);
    if (redis_shard_call(&channel->place->shard, call)) {
        channel->read = call;
        channel->is_live = false; /* what comes meanwhile is compared with the answer */
        broker->reads_in_flight++;
    } else {
        want_read(channel);
    }
}

static void send_reads(struct redis_broker *broker)
{
    enum { LOOKED_AT_MAX = 1000 };
    struct link later;
    list_init(&later);
    for (size_t i = 0;
         i < LOOKED_AT_MAX && broker->reads_in_flight < READS_IN_FLIGHT_MAX && !list_is_empty(&broker->reads);
         i++) {
        struct redis_channel *channel = container_of(broker->reads.next, struct redis_channel, in_reads);
        list_remove(&channel->in_reads);
        if (channel->subscription != SUB_HELD) {
            continue; /* read after it is confirmed */
        }
        if (!redis_link_is_ready(&channel->place->shard.cmd)) {
            list_push_back(&later, &channel->in_reads);
            continue;
        }
        start_read(channel);
        if (channel->read == NULL) {
            break; /* a limit: later */
        }
    }
    list_append(&broker->reads, &later);
}

/* ---- connections come and go ---- */

static void each_of_place(struct redis_place *place, void (*visit)(struct redis_channel *channel))
{
    struct redis_channel *channel, *following;
    HASH_ITER(hh, place->broker->channels, channel, following)
    {
        if (channel->place == place) {
            visit(channel);
        }
    }
    if (place->broker->control != NULL && place == &place->broker->places[0]) {
        visit(place->broker->control);
    }
}

static void on_lost(struct redis_channel *channel)
{
    channel->subscription = SUB_NONE;
    channel->is_live = false;
    list_remove(&channel->in_todo);
    list_remove(&channel->in_reads);
    list_remove(&channel->in_checks);
    drop_buffer(channel);
    if (!is_used(channel)) {
        redis_channel_free(channel);
    } else {
        queue_subscribe(channel);
    }
}

void redis_channels_on_sub_down(struct redis_place *place)
{
    each_of_place(place, on_lost);
}

void redis_channels_on_sub_ready(struct redis_place *place)
{
    struct redis_channel *control = place->broker->control;
    if (control != NULL && control->place == place && link_is_listed(&control->in_todo)) {
        list_remove(&control->in_todo);
        list_push_front(&place->to_subscribe, &control->in_todo);
    }
    send_todo(place);
}

static void check_position(struct redis_channel *channel)
{
    if (channel->subscription == SUB_HELD && channel->has_history) {
        want_read(channel);
    }
}

/* cmd was away: another instance may be behind it. */
void redis_channels_on_ready(struct redis_place *place)
{
    each_of_place(place, check_position);
    send_reads(place->broker);
}

/* ---- time ---- */

static void leave_unused(struct redis_broker *broker)
{
    while (!list_is_empty(&broker->unused)) {
        struct redis_channel *channel = container_of(broker->unused.next, struct redis_channel, in_unused);
        if (channel->unused_ms + UNSUBSCRIBE_DELAY_MS > broker->now_ms) {
            return;
        }
        list_remove(&channel->in_unused);
        if (channel->subscription == SUB_HELD) {
            channel->is_live = false;
            list_remove(&channel->in_reads);
            list_remove(&channel->in_checks);
            list_push_back(&channel->place->to_unsubscribe, &channel->in_todo);
            channel->subscription = SUB_ENDING; /* as soon as it is queued nothing is delivered */
        } else if (channel->subscription == SUB_QUEUED) {
            redis_channel_free(channel);
        } else {
            redis_channel_settle(channel); /* an answer is on its way: look again */
        }
    }
}

static void check_quiet(struct redis_broker *broker)
{
    while (!list_is_empty(&broker->checks)) {
        struct redis_channel *channel = container_of(broker->checks.next, struct redis_channel, in_checks);
        if (channel->read_ms + broker->settings->position_check_ms > broker->now_ms) {
            return;
        }
        list_remove(&channel->in_checks); /* comes back when it was read */
        want_read(channel);
    }
}

void redis_channels_send(struct redis_broker *broker)
{
    for (size_t i = 0; i < broker->place_count; i++) {
        send_todo(&broker->places[i]);
    }
    send_reads(broker);
}

void redis_channels_tick(struct redis_broker *broker)
{
    leave_unused(broker);
    check_quiet(broker);
}

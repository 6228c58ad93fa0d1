#include "channels/broker_redis.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/redis_broker.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RETRY_HISTORY_MIN = 64, /* fewer kept: an unknown publication may have been trimmed away already */
    PROVEN_MS = 5000,       /* without a probe for so long the broker is not ready */
    HISTORY_MAX = 10000,    /* publications of one answer, where the asker sets no limit */
};

static struct redis_broker *self_of(struct broker *broker)
{
    return container_of(broker, struct redis_broker, base);
}

void redis_finish(struct redis_broker *broker, struct op *op, enum status status)
{
    op->status = status;
    broker->base.sink.finish(broker->base.sink.hub, op);
}

/* ---- which Redis ---- */

/* By rendezvous: each partition goes to the shard whose name scores highest with it, so that one shard more
 * takes its share from all others and moves nothing between them. */
struct redis_place *redis_place_of(struct redis_broker *broker, struct str channel)
{
    static const unsigned char no_key[16];
    if (broker->place_count == 1) {
        return &broker->places[0];
    }
    unsigned partition = redis_partition(channel);
    struct redis_place *best = NULL;
    uint64_t best_score = 0;
    for (size_t i = 0; i < broker->place_count; i++) {
        struct str name = broker->places[i].shard.options.address->name;
        uint64_t score = hash_siphash13(no_key, name.at, name.len) + partition * UINT64_C(0x9E3779B97F4A7C15);
        score = hash_siphash13(no_key, &score, sizeof score);
        if (best == NULL || score > best_score) {
            best = &broker->places[i];
            best_score = score;
        }
    }
    return best;
}

static struct redis_shard *shard_of(struct redis_broker *broker, struct str channel)
{
    return &redis_place_of(broker, channel)->shard;
}

/* ---- publish ---- */

void redis_encode(struct redis_broker *broker, struct buf *out, const struct message *message)
{
    char uid[REDIS_UID_BYTES];
    broker->uid_counter++;
    memcpy(uid, &broker->uid_prefix, 8);
    memcpy(uid + 8, &broker->uid_counter, 8);
    redis_frame_encode(out, message, uid);
}

/* Key names are in `keys`; `frame` is what goes out. */
struct publication {
    struct buf meta, stream, idempotency, frame;
    const struct channel_options *options;
    struct str idempotency_key, version_epoch;
    uint64_t version;
};

static bool publication_release(struct publication *publication)
{
    struct buf *all[] = {&publication->meta, &publication->stream, &publication->idempotency,
                         &publication->frame};
    bool is_whole = true;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        is_whole = is_whole && !all[i]->failed;
        buf_release(all[i]);
    }
    return is_whole;
}

static void add_stored(struct redis_call *call, const struct publication *p, const struct redis_shard *shard)
{
    char numbers[6][24], candidate[EPOCH_TEXT_LEN];
    const uint64_t values[] = {clock_wall_ms(),
                               p->options->history_size,
                               p->options->history_ttl_ms,
                               p->options->history_meta_ttl_ms,
                               LIMIT_IDEMPOTENCY_TTL_MS,
                               p->version};
    struct str texts[6];
    for (size_t i = 0; i < 6; i++) {
        int len = snprintf(numbers[i], sizeof numbers[i], "%llu", (unsigned long long)values[i]);
        texts[i] = str_make(numbers[i], (size_t)len);
    }
    random_epoch(candidate);
    struct str idempotency_ttl = p->idempotency_key.len > 0 ? texts[4] : STR("");
    /* The names of all three keys are of one slot; the third is not looked at where there is no key. */
    redis_call_add_script(call, REDIS_SCRIPT_PUBLISH, 3, 14,
                          (struct str[]){buf_str(&p->meta), buf_str(&p->stream), buf_str(&p->idempotency),
                                         str_from_cstr(shard->instance),
                                         str_make(candidate, sizeof candidate), texts[0], texts[1], texts[2],
                                         texts[3], buf_str(&p->frame), idempotency_ttl, texts[5],
                                         p->version_epoch, STR("0")});
}

static void add_unstored(struct redis_call *call, const struct publication *p)
{
    struct buf payload = {0};
    if (p->idempotency_key.len > 0) {
        char ttl[24];
        snprintf(ttl, sizeof ttl, "%d", LIMIT_IDEMPOTENCY_TTL_MS);
        redis_call_add_script(call, REDIS_SCRIPT_PUBLISH_ONCE, 2, 4,
                              (struct str[]){buf_str(&p->stream), buf_str(&p->idempotency),
                                             buf_str(&p->frame), str_from_cstr(ttl)});
        return;
    }
    buf_append_lit(&payload, "::");
    buf_append_str(&payload, buf_str(&p->frame));
    call->bytes.failed = call->bytes.failed || payload.failed;
    redis_call_add(call, 3, (struct str[]){STR("PUBLISH"), buf_str(&p->stream), buf_str(&payload)});
    buf_release(&payload);
}

/* Nobody received it, but this process is subscribed: then the subscription is on another server. */
static void check_receivers(struct redis_broker *broker, const struct redis_call *call, struct str name,
                            uint64_t receivers)
{
    const struct redis_channel *channel = redis_channel_find(broker, name);
    if (receivers == 0 && channel != NULL && channel->subscription == SUB_HELD &&
        call->born_ms > channel->subscribed_ms) {
        redis_shard_restart(call->shard, "a publication did not reach our own subscription");
    }
}

/* What publish.lua and publish_once.lua answer; PUBLISH answers the receivers alone. */
static bool read_published(struct op *op, const redisReply *reply, uint64_t *receivers, bool *is_new)
{
    struct str what, position, epoch;
    uint64_t offset;
    *is_new = true;
    if (redis_count(reply, receivers)) {
        return true;
    }
    if (!redis_is_array(reply, 4) || !redis_text(reply->element[0], &what) ||
        !redis_text(reply->element[1], &position) || !redis_count(reply->element[2], receivers)) {
        return false;
    }
    *is_new = str_is(what, "new");
    op->publish.was_suppressed = !*is_new;
    if (position.len == 0) {
        return true;
    }
    if (!redis_position_split(position, &epoch, &offset)) {
        return false;
    }
    op_set_top(op, offset, epoch);
    return true;
}

static void on_published(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct op *op = call->owner;
    struct redis_broker *broker = call->owner2;
    uint64_t receivers = 0;
    bool is_new = false;
    if (status == STATUS_OK && !read_published(op, reply, &receivers, &is_new)) {
        status = STATUS_BUSY;
    }
    if (status == STATUS_OK && is_new && !broker->is_stopping) {
        check_receivers(broker, call, op->channel, receivers);
    }
    redis_finish(broker, op, status);
}

static enum redis_retry retry_of(const struct op *op, bool keeps)
{
    if (op->publish.idempotency_key.len > 0) {
        return REDIS_RETRY_SAME;
    }
    return keeps && op->options->history_size >= RETRY_HISTORY_MIN ? REDIS_RETRY_FLAG : REDIS_RETRY_NEVER;
}

/* Keys of an unlimited alphabet are hashed where they are long. */
static void idempotency_name(struct buf *out, struct redis_broker *broker, struct str channel, struct str key)
{
    static const unsigned char no_key[16];
    enum { PLAIN_MAX = 64 };
    redis_key(out, &broker->keys, REDIS_IDEMPOTENCY, channel);
    if (key.len > PLAIN_MAX) {
        /* Beginning, length and hash of the whole. */
        uint64_t first = hash_siphash13(no_key, key.at, key.len);
        buf_printf(out, ":%016llx%zu:%.*s", (unsigned long long)first, key.len, PLAIN_MAX, key.at);
        return;
    }
    buf_append_lit(out, ":=");
    buf_append_str(out, key);
}

static void run_publish(struct redis_broker *broker, struct op *op)
{
    bool keeps = channel_has_history(op->options) && !op->publish.skip_history;
    struct redis_shard *shard = shard_of(broker, op->channel);
    if (op->publish.idempotency_key.len > LIMIT_IDEMPOTENCY_KEY_BYTES ||
        op->publish.version_epoch.len > LIMIT_VERSION_EPOCH_BYTES) {
        redis_finish(broker, op, STATUS_BAD_REQUEST);
        return;
    }
    struct redis_call *call = redis_call_new(on_published, op, retry_of(op, keeps));
    if (call == NULL) {
        redis_finish(broker, op, STATUS_NO_MEMORY);
        return;
    }
    call->owner2 = broker;
    op->publish.message->published_ms = clock_wall_ms();
    struct publication publication = {.options = op->options,
                                      .idempotency_key = op->publish.idempotency_key,
                                      .version = op->publish.version,
                                      .version_epoch = op->publish.version_epoch};
    redis_key(&publication.meta, &broker->keys, REDIS_META, op->channel);
    redis_key(&publication.stream, &broker->keys, REDIS_STREAM, op->channel);
    idempotency_name(&publication.idempotency, broker, op->channel, op->publish.idempotency_key);
    redis_encode(broker, &publication.frame, op->publish.message);
    if (keeps) {
        add_stored(call, &publication, shard);
    } else {
        add_unstored(call, &publication);
    }
    call->bytes.failed = !publication_release(&publication) || call->bytes.failed;
    if (!redis_shard_call(shard, call)) {
        redis_finish(broker, op, STATUS_BUSY);
    }
}

static void ignore(struct redis_call *call, enum status status, const redisReply *reply)
{
    (void)call;
    (void)status;
    (void)reply; /* joins and leaves are sent once and may be lost; the presence answer is the truth */
}

void redis_announce(struct redis_broker *broker, enum message_kind kind, struct str channel, struct str info)
{
    struct message *message =
        message_new(&(struct message_parts){.kind = kind, .channel = channel, .info = info});
    struct redis_call *call = message == NULL ? NULL : redis_call_new(ignore, NULL, REDIS_RETRY_NEVER);
    if (call != NULL) {
        struct publication publication = {0};
        message->published_ms = clock_wall_ms();
        redis_key(&publication.stream, &broker->keys, REDIS_STREAM, channel);
        redis_encode(broker, &publication.frame, message);
        add_unstored(call, &publication);
        call->bytes.failed = !publication_release(&publication) || call->bytes.failed;
        (void)redis_shard_call(shard_of(broker, channel), call);
    }
    message_unref(message);
}

/* ---- subscribe and unsubscribe ---- */

static void run_subscribe(struct redis_broker *broker, struct op *op)
{
    struct redis_channel *channel =
        broker->is_stopping ? NULL : redis_channel_get(broker, op->channel, op->options);
    if (channel == NULL) {
        redis_finish(broker, op, broker->is_stopping ? STATUS_BUSY : STATUS_NO_MEMORY);
    } else if (op->subscribe.with_presence) {
        redis_presence_join(channel, op);
    } else {
        redis_recover_start(channel, op, false);
    }
}

/* Leaving is never refused and waits for nobody. */
static void run_unsubscribe(struct redis_broker *broker, struct op *op)
{
    struct redis_channel *channel = redis_channel_find(broker, op->channel);
    if (op->unsubscribe.with_presence && channel != NULL) {
        redis_presence_leave(channel, op->unsubscribe.client, op->unsubscribe.user);
    }
    if (op->unsubscribe.with_join_leave) {
        redis_announce(broker, MESSAGE_LEAVE, op->channel, op->unsubscribe.info);
    }
    redis_finish(broker, op, STATUS_OK);
    if (channel != NULL) {
        redis_channel_settle(channel);
    }
}

/* ---- history ---- */

static void ask_history(struct redis_broker *broker, struct op *op,
                        void (*done)(struct redis_call *, enum status, const redisReply *));

static enum status take_history(struct op *op, const struct redis_meta *meta, const redisReply *entries)
{
    op_set_top(op, meta->top, meta->epoch);
    if (entries->type == REDIS_REPLY_NIL) {
        return STATUS_OK; /* COUNT 0: the position alone */
    }
    if (entries->type != REDIS_REPLY_ARRAY) {
        return STATUS_BUSY;
    }
    op->messages = malloc((entries->elements + 1) * sizeof(struct message *));
    if (op->messages == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < entries->elements; i++) {
        uint64_t offset;
        struct str frame;
        struct message *message = NULL;
        if (redis_entry_read(entries->element[i], &offset, &frame)) {
            message = redis_frame_decode(frame, op->channel, meta->epoch, offset);
        }
        if (message == NULL) {
            return STATUS_BUSY; /* what is kept there is not ours, or there is no memory */
        }
        op->messages[op->message_count++] = message;
    }
    return STATUS_OK;
}

/* false: it is no answer. */
static bool read_history(const redisReply *reply, struct redis_meta *meta)
{
    return redis_is_array(reply, 2) && redis_meta_read(reply->element[0], meta);
}

static void finish_history(struct redis_call *call, const struct redis_meta *meta, const redisReply *reply)
{
    struct op *op = call->owner;
    struct str epoch = op->history.since.epoch;
    bool is_other = op->history.has_since && epoch.len > 0 && !str_equal(epoch, meta->epoch);
    redis_finish(call->owner2, op,
                 is_other ? STATUS_UNRECOVERABLE_POSITION : take_history(op, meta, reply->element[1]));
}

static void on_history_again(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct redis_meta meta;
    if (status == STATUS_OK && read_history(reply, &meta) && meta.is_there) {
        finish_history(call, &meta, reply);
    } else {
        redis_finish(call->owner2, call->owner, STATUS_BUSY);
    }
}

static void on_history_touched(struct redis_call *call, enum status status, const redisReply *reply)
{
    (void)reply;
    if (status == STATUS_OK) {
        ask_history(call->owner2, call->owner, on_history_again);
    } else {
        redis_finish(call->owner2, call->owner, STATUS_BUSY);
    }
}

static void touch_history(struct redis_broker *broker, struct op *op)
{
    struct redis_shard *shard = shard_of(broker, op->channel);
    struct redis_call *call = redis_call_new(on_history_touched, op, REDIS_RETRY_SAME);
    if (call == NULL) {
        redis_finish(broker, op, STATUS_NO_MEMORY);
        return;
    }
    call->owner2 = broker;
    struct buf meta = {0}, stream = {0}, ttl = {0};
    char candidate[EPOCH_TEXT_LEN];
    random_epoch(candidate);
    redis_key(&meta, &broker->keys, REDIS_META, op->channel);
    redis_key(&stream, &broker->keys, REDIS_STREAM, op->channel);
    buf_append_u64(&ttl, op->options->history_meta_ttl_ms);
    redis_call_add_script(call, REDIS_SCRIPT_TOUCH, 2, 5,
                          (struct str[]){buf_str(&meta), buf_str(&stream), str_from_cstr(shard->instance),
                                         str_make(candidate, sizeof candidate), buf_str(&ttl)});
    buf_release(&meta);
    buf_release(&stream);
    buf_release(&ttl);
    if (!redis_shard_call(shard, call)) {
        redis_finish(broker, op, STATUS_BUSY);
    }
}

static void on_history(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct redis_meta meta;
    if (status != STATUS_OK || !read_history(reply, &meta)) {
        redis_finish(call->owner2, call->owner, STATUS_BUSY);
    } else if (!meta.is_there || !str_is(meta.instance, call->shard->instance)) {
        touch_history(call->owner2, call->owner);
    } else {
        finish_history(call, &meta, reply);
    }
}

static void add_range(struct redis_call *call, const struct op *op, struct str stream)
{
    struct buf edge = {0}, count = {0};
    uint64_t since = op->history.has_since ? op->history.since.offset : 0;
    uint64_t limit = op->history.limit < 0 ? HISTORY_MAX : (uint64_t)op->history.limit;
    if (op->history.limit_max > 0 && limit > op->history.limit_max) {
        limit = op->history.limit_max;
    }
    if (op->history.is_reverse) {
        if (op->history.has_since) {
            buf_printf(&edge, "%llu-0", (unsigned long long)since - 1);
        } else {
            buf_append_char(&edge, '+');
        }
    } else {
        buf_printf(&edge, "%llu-0", (unsigned long long)(since == UINT64_MAX ? since : since + 1));
    }
    buf_append_u64(&count, limit);
    redis_call_add(call, 6,
                   (struct str[]){op->history.is_reverse ? STR("XREVRANGE") : STR("XRANGE"), stream,
                                  buf_str(&edge), op->history.is_reverse ? STR("-") : STR("+"), STR("COUNT"),
                                  buf_str(&count)});
    buf_release(&edge);
    buf_release(&count);
}

static void ask_history(struct redis_broker *broker, struct op *op,
                        void (*done)(struct redis_call *, enum status, const redisReply *))
{
    struct redis_call *call = redis_call_new(done, op, REDIS_RETRY_SAME);
    if (call == NULL) {
        redis_finish(broker, op, STATUS_NO_MEMORY);
        return;
    }
    call->owner2 = broker;
    struct buf meta = {0}, stream = {0};
    redis_key(&meta, &broker->keys, REDIS_META, op->channel);
    redis_key(&stream, &broker->keys, REDIS_STREAM, op->channel);
    redis_call_add(call, 1, (struct str[]){STR("MULTI")});
    redis_call_add(call, 8,
                   (struct str[]){STR("HMGET"), buf_str(&meta), STR("e"), STR("n"), STR("i"), STR("b"),
                                  STR("p"), STR("pb")});
    if (op->kind == OP_HISTORY) {
        add_range(call, op, buf_str(&stream));
    } else {
        redis_call_add(call, 2, (struct str[]){STR("DEL"), buf_str(&stream)});
    }
    redis_call_add(call, 1, (struct str[]){STR("EXEC")});
    buf_release(&meta);
    buf_release(&stream);
    if (!redis_shard_call(shard_of(broker, op->channel), call)) {
        redis_finish(broker, op, STATUS_BUSY);
    }
}

static void run_history(struct redis_broker *broker, struct op *op)
{
    if (!channel_has_history(op->options)) {
        redis_finish(broker, op, STATUS_NOT_AVAILABLE);
    } else if (op->history.limit < -1 ||
               (op->history.is_reverse && op->history.has_since && op->history.since.offset == 0)) {
        redis_finish(broker, op, STATUS_BAD_REQUEST);
    } else {
        ask_history(broker, op, on_history);
    }
}

static void on_removed(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct op *op = call->owner;
    struct redis_meta meta;
    bool is_answer = status == STATUS_OK && read_history(reply, &meta);
    if (is_answer && meta.is_there) {
        op_set_top(op, meta.top, meta.epoch);
    }
    redis_finish(call->owner2, op, is_answer ? STATUS_OK : STATUS_BUSY);
}

static void run_history_remove(struct redis_broker *broker, struct op *op)
{
    if (channel_has_history(op->options)) {
        ask_history(broker, op, on_removed);
    } else {
        redis_finish(broker, op, STATUS_NOT_AVAILABLE);
    }
}

/* ---- control ---- */

struct control_call {
    void (*done)(void *context, enum status status);
    void *context;
};

static void on_control_sent(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct control_call *control = call->owner;
    (void)reply;
    control->done(control->context, status);
    free(control);
}

static void redis_send_control(struct broker *base, struct str text, bool is_kept,
                               void (*done)(void *context, enum status status), void *context)
{
    struct redis_broker *broker = self_of(base);
    static const struct channel_options kept = {
        .history_size = 10000, .history_ttl_ms = 600000, .history_meta_ttl_ms = 86400000};
    struct control_call *control = malloc(sizeof *control);
    struct redis_call *call =
        redis_call_new(on_control_sent, control, is_kept ? REDIS_RETRY_FLAG : REDIS_RETRY_NEVER);
    struct message *message = message_new(&(struct message_parts){.channel = STR("#control"), .data = text});
    bool is_started = false;
    if (control != NULL && call != NULL && message != NULL) {
        *control = (struct control_call){.done = done, .context = context};
        struct publication publication = {.options = &kept};
        message->published_ms = clock_wall_ms();
        redis_control_key(&publication.meta, &broker->keys, STR("m:#control"));
        redis_control_key(&publication.stream, &broker->keys, STR("c:#control"));
        redis_control_key(&publication.idempotency, &broker->keys, STR("i:#control"));
        redis_encode(broker, &publication.frame, message);
        if (is_kept) {
            add_stored(call, &publication, &broker->places[0].shard);
        } else {
            add_unstored(call, &publication);
        }
        call->bytes.failed = !publication_release(&publication) || call->bytes.failed;
        is_started = redis_shard_call(&broker->places[0].shard, call);
    } else if (call != NULL) {
        free(call);
    }
    message_unref(message);
    if (!is_started) {
        free(control);
        done(context, STATUS_BUSY);
    }
}

/* ---- the loop ---- */

static struct redis_place *place_of(struct redis_shard *shard)
{
    return shard->options.owner;
}

static void on_ready(struct redis_shard *shard, bool is_other)
{
    struct redis_place *place = place_of(shard);
    redis_presence_on_ready(place, is_other);
    redis_channels_on_ready(place);
}

static void on_sub_ready(struct redis_shard *shard)
{
    redis_channels_on_sub_ready(place_of(shard));
}

static void on_sub_down(struct redis_shard *shard)
{
    redis_channels_on_sub_down(place_of(shard));
}

static void on_push(struct redis_shard *shard, const struct redis_push *push)
{
    redis_channel_on_push(place_of(shard), push);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct redis_broker *broker = timer->data;
    broker->now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < broker->place_count; i++) {
        redis_shard_tick(&broker->places[i].shard, broker->now_ms);
    }
    redis_recover_tick(broker);
    redis_channels_tick(broker);
    redis_presence_tick(broker);
}

static void on_send(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    redis_channels_send(watcher->data);
}

/* ---- the vtable ---- */

static void redis_run(struct broker *base, struct op *op)
{
    struct redis_broker *broker = self_of(base);
    switch (op->kind) {
    case OP_PUBLISH: run_publish(broker, op); return;
    case OP_SUBSCRIBE: run_subscribe(broker, op); return;
    case OP_UNSUBSCRIBE: run_unsubscribe(broker, op); return;
    case OP_PRESENCE:
    case OP_PRESENCE_STATS: redis_presence_run(broker, op); return;
    case OP_HISTORY: run_history(broker, op); return;
    case OP_HISTORY_REMOVE: run_history_remove(broker, op); return;
    }
    must(false && "an op of a known kind");
}

static void redis_tick(struct broker *base, uint64_t now_ms)
{
    (void)base;
    (void)now_ms; /* it has a timer of its own, ten times as often */
}

static void redis_stop(struct broker *base)
{
    struct redis_broker *broker = self_of(base);
    broker->is_stopping = true;
    redis_recover_tick(broker);
    for (size_t i = 0; i < broker->place_count; i++) {
        redis_shard_stop(&broker->places[i].shard);
    }
    redis_recover_tick(broker); /* joins that were answered meanwhile */
}

static void redis_free(struct broker *base)
{
    struct redis_broker *broker = self_of(base);
    broker->is_stopping = true;
    ev_timer_stop(broker->options->loop, &broker->tick);
    ev_prepare_stop(broker->options->loop, &broker->send);
    for (size_t i = 0; i < broker->place_count; i++) {
        redis_presence_close(&broker->places[i]);
    }
    for (size_t i = 0; i < broker->place_count; i++) {
        redis_shard_release(&broker->places[i].shard);
    }
    struct redis_channel *channel, *following;
    HASH_ITER(hh, broker->channels, channel, following)
    {
        redis_channel_free(channel);
    }
    if (broker->control != NULL) {
        redis_channel_free(broker->control);
    }
    free(broker);
}

static void redis_report(struct broker *base, struct broker_report *out)
{
    struct redis_broker *broker = self_of(base);
    uint64_t now_ms = clock_monotonic_ms();
    *out = (struct broker_report){.is_ready = true,
                                  .repaired_total = broker->counters.repaired_total,
                                  .told_total = broker->counters.told_total,
                                  .foreign_total = broker->counters.foreign_total};
    for (size_t i = 0; i < broker->place_count; i++) {
        const struct redis_shard *shard = &broker->places[i].shard;
        out->is_ready = out->is_ready && redis_shard_is_proven(shard, now_ms, PROVEN_MS);
        out->lag_us = shard->lag_us > out->lag_us ? shard->lag_us : out->lag_us;
        out->connects_total += shard->cmd.connects_total + shard->sub.connects_total;
        out->failures_total += shard->counters.failed_total;
    }
}

static bool open_places(struct redis_broker *broker)
{
    const struct redis_settings *settings = broker->settings;
    bool is_open = true;
    for (size_t i = 0; i < broker->place_count; i++) {
        struct redis_place *place = &broker->places[i];
        place->broker = broker;
        list_init(&place->to_subscribe);
        list_init(&place->to_unsubscribe);
        redis_presence_open(place);
        const struct redis_shard_options options = {
            .loop = broker->options->loop,
            .address = &settings->addresses[i],
            .keys = &broker->keys,
            .node = settings->node,
            .worker = broker->options->worker,
            .connect_timeout_ms = settings->connect_timeout_ms,
            .io_timeout_ms = settings->io_timeout_ms,
            .owner = place,
            .on_ready = on_ready,
            .on_sub_ready = on_sub_ready,
            .on_sub_down = on_sub_down,
            .on_push = on_push,
        };
        is_open = redis_shard_open(&place->shard, &options) && is_open;
    }
    return is_open;
}

struct broker *broker_redis_new(const struct broker_sink *sink)
{
    static const struct broker_ops ops = {
        .name = "redis",
        .run = redis_run,
        .tick = redis_tick,
        .stop = redis_stop,
        .free = redis_free,
        .report = redis_report,
        .send_control = redis_send_control,
    };
    const struct redis_options *options = sink->context;
    size_t count = options->settings->address_count;
    struct redis_broker *broker = calloc(1, sizeof *broker + count * sizeof broker->places[0]);
    if (broker == NULL) {
        return NULL;
    }
    broker->base = (struct broker){.ops = &ops, .sink = *sink};
    broker->options = options;
    broker->settings = options->settings;
    broker->place_count = count;
    broker->now_ms = clock_monotonic_ms();
    random_bytes(&broker->uid_prefix, sizeof broker->uid_prefix);
    redis_keys_init(&broker->keys, broker->settings->prefix);
    struct link *lists[] = {&broker->reads,     &broker->checks,  &broker->unused,
                            &broker->deadlines, &broker->members, &broker->rejoins};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        list_init(lists[i]);
    }
    ev_timer_init(&broker->tick, on_tick, 0., TICK_MS / 1000.);
    broker->tick.data = broker;
    ev_timer_start(options->loop, &broker->tick);
    ev_prepare_init(&broker->send, on_send);
    ev_set_priority(&broker->send, -1); /* after the turn, before the connections are flushed */
    broker->send.data = broker;
    ev_prepare_start(options->loop, &broker->send);
    bool is_open = open_places(broker);
    if (!is_open || (options->on_control != NULL && !redis_channel_open_control(broker))) {
        redis_free(&broker->base);
        return NULL;
    }
    return &broker->base;
}

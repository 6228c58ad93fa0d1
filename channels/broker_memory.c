#include "channels/base/clock.h"
#include "channels/base/heap.h"
#include "channels/base/must.h"
#include "channels/base/table.h"
#include "channels/broker.h"
#include "channels/history.h"
#include "channels/idempotency.h"
#include "channels/presence.h"

#include <stdlib.h>

/* Everything this broker knows lies in one table of streams, one for each channel that has something to keep:
 *
 *     stream ─┬─ history      epoch, top, ring          (channels with history)
 *             ├─ presence     clients and users         (channels with presence)
 *             ├─ idempotency  keys of five minutes      (publishers that send them)
 *             └─ due          place in the heap of what expires first
 *
 * A channel that keeps nothing has no stream, and its publications pass through. A stream goes when nothing
 * in it is worth keeping: settle() decides that after every op, and the heap brings back those that only
 * wait. Requests are answered inside run(): there is nothing to wait for.
 *
 * A publication happens whole or not at all: everything that can fail (room for it with every receiver, the
 * ring, the key) comes before the first change. */

/* Publications, keys and streams that one tick lets go; the rest waits for the next. A few milliseconds. */
enum { EXPIRE_BUDGET = 10000 };

struct stream {
    UT_hash_handle hh;
    struct heap_item due;
    struct history history;
    struct presence presence;
    struct idempotency idempotency;
    uint64_t version; /* of the newest versioned publication; 0: none */
    struct str version_epoch;
    char *version_epoch_bytes; /* LIMIT_VERSION_EPOCH_BYTES, owned; NULL until one is used */
    uint64_t used_ms;          /* last use of the position, monotonic */
    uint64_t meta_ttl_ms;      /* how long the position outlives its last use; 0: as long as the process */
    uint64_t counted_bytes;    /* of its history, in broker_memory.history_bytes */
    size_t name_len;
    char name[];
};

struct broker_memory {
    struct broker base;
    uint64_t history_bytes; /* of all streams, as of each one's last settle() */
    struct stream *streams;
    struct heap due;
};

static struct broker_memory *self_of(struct broker *broker)
{
    return container_of(broker, struct broker_memory, base);
}

static void finish(struct broker_memory *self, struct op *op, enum status status)
{
    op->status = status;
    self->base.sink.finish(self->base.sink.hub, op);
}

static void deliver(struct broker_memory *self, struct message *message)
{
    self->base.sink.deliver(self->base.sink.hub, message);
}

static struct str stream_name(const struct stream *stream)
{
    return str_make(stream->name, stream->name_len);
}

static struct stream *stream_find(struct broker_memory *self, struct str channel)
{
    struct stream *stream = NULL;
    HASH_FIND(hh, self->streams, channel.at, channel.len, stream);
    return stream;
}

/* The channel's stream, made where there is none: NO_MEMORY, or LIMIT_EXCEEDED where there are streams_max.
 */
static enum status stream_get(struct broker_memory *self, struct str channel, struct stream **out)
{
    struct stream *stream = stream_find(self, channel);
    size_t streams_max = self->base.sink.limits.streams_max;
    if (stream != NULL) {
        *out = stream;
        return STATUS_OK;
    }
    if (streams_max > 0 && HASH_COUNT(self->streams) >= streams_max) {
        return STATUS_LIMIT_EXCEEDED;
    }
    if (!heap_reserve(&self->due, HASH_COUNT(self->streams) + 1)) {
        return STATUS_NO_MEMORY;
    }
    stream = calloc(1, sizeof *stream + channel.len);
    if (stream == NULL) {
        return STATUS_NO_MEMORY;
    }
    memcpy(stream->name, channel.at, channel.len);
    stream->name_len = channel.len;
    HASH_ADD_KEYPTR(hh, self->streams, stream->name, stream->name_len, stream);
    if (!table_added(stream, hh)) {
        free(stream);
        return STATUS_NO_MEMORY;
    }
    *out = stream;
    return STATUS_OK;
}

static bool history_is_full(const struct broker_memory *self)
{
    uint64_t bytes_max = self->base.sink.limits.history_bytes_max;
    return bytes_max > 0 && self->history_bytes >= bytes_max;
}

static void stream_free(struct broker_memory *self, struct stream *stream)
{
    HASH_DEL(self->streams, stream);
    self->history_bytes -= stream->counted_bytes;
    heap_remove(&self->due, &stream->due);
    history_release(&stream->history);
    presence_release(&stream->presence);
    idempotency_release(&stream->idempotency);
    free(stream->version_epoch_bytes);
    free(stream);
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* When the stream's position may be forgotten; UINT64_MAX: not for now. */
static uint64_t meta_due_ms(const struct stream *stream)
{
    return stream->history.is_open && stream->meta_ttl_ms > 0
               ? saturating_add(stream->used_ms, stream->meta_ttl_ms)
               : UINT64_MAX;
}

/* Nothing that a client could still ask for. */
static bool is_forgettable(struct broker_memory *self, const struct stream *stream, uint64_t now_ms)
{
    if (stream->history.count > 0 || presence_client_count(&stream->presence) > 0 ||
        idempotency_count(&stream->idempotency) > 0) {
        return false;
    }
    if (!stream->history.is_open) {
        return true;
    }
    /* A position that a live subscriber shares is never forgotten: it would meet another epoch. */
    return meta_due_ms(stream) <= now_ms &&
           self->base.sink.subscriber_count(self->base.sink.hub, stream_name(stream)) == 0;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Called after every change: forgets the stream or notes when to look at it again. */
static void settle(struct broker_memory *self, struct stream *stream, uint64_t now_ms)
{
    self->history_bytes += stream->history.bytes - stream->counted_bytes;
    stream->counted_bytes = stream->history.bytes;
    if (is_forgettable(self, stream, now_ms)) {
        stream_free(self, stream);
        return;
    }
    if (meta_due_ms(stream) <= now_ms) {
        stream->used_ms = now_ms; /* something still uses it: look again a whole life later */
    }
    uint64_t due_ms = min_u64(history_due_ms(&stream->history), idempotency_due_ms(&stream->idempotency));
    due_ms = min_u64(due_ms, meta_due_ms(stream));
    if (due_ms == UINT64_MAX) {
        heap_remove(&self->due, &stream->due);
    } else {
        heap_set(&self->due, &stream->due, due_ms);
    }
}

/* Opens the stream's history where it is not, lets go of what is too old, and notes the use. */
static void use_history(struct stream *stream, const struct channel_options *options, uint64_t now_ms)
{
    if (!stream->history.is_open) {
        char epoch[EPOCH_TEXT_LEN];
        random_epoch(epoch);
        history_open(&stream->history, epoch);
    }
    history_expire(&stream->history, now_ms, SIZE_MAX);
    stream->used_ms = now_ms;
    stream->meta_ttl_ms = options->history_meta_ttl_ms;
}

static void set_top(struct op *op, const struct stream *stream)
{
    op_set_top(op, stream->history.top_offset, history_epoch(&stream->history));
}

/* Publish. */

static bool is_newer(const struct stream *stream, const struct op *op)
{
    bool is_same_epoch =
        op->publish.version_epoch.len == 0 || str_equal(op->publish.version_epoch, stream->version_epoch);
    return !is_same_epoch || op->publish.version > stream->version;
}

static bool reserve_version_epoch(struct stream *stream, const struct op *op)
{
    if (op->publish.version_epoch.len > 0 && stream->version_epoch_bytes == NULL) {
        stream->version_epoch_bytes = malloc(LIMIT_VERSION_EPOCH_BYTES);
        return stream->version_epoch_bytes != NULL;
    }
    return true;
}

static void set_version(struct stream *stream, const struct op *op)
{
    struct str epoch = op->publish.version_epoch;
    if (epoch.len > 0) {
        memcpy(stream->version_epoch_bytes, epoch.at, epoch.len);
    }
    stream->version = op->publish.version;
    stream->version_epoch = str_make(stream->version_epoch_bytes, epoch.len);
}

/* Is the op answered by what was published before? Then its position is set. */
static bool is_suppressed(const struct stream *stream, struct op *op, bool keeps, uint64_t now_ms)
{
    uint64_t offset;
    if (op->publish.idempotency_key.len > 0 &&
        idempotency_find(&stream->idempotency, op->publish.idempotency_key, now_ms, &offset)) {
        if (offset > 0) {
            op_set_top(op, offset, history_epoch(&stream->history));
        }
        return true;
    }
    if (keeps && op->publish.version > 0 && !is_newer(stream, op)) {
        set_top(op, stream);
        return true;
    }
    return false;
}

/* Stores the publication in `stream`; what can fail comes first. */
static enum status store(struct stream *stream, struct op *op, bool keeps, uint64_t now_ms)
{
    const struct channel_options *options = op->options;
    if (keeps &&
        (!history_reserve(&stream->history, options->history_size) || !reserve_version_epoch(stream, op))) {
        return STATUS_NO_MEMORY;
    }
    struct idempotency_key *key = NULL;
    if (op->publish.idempotency_key.len > 0) {
        key = idempotency_add(&stream->idempotency, op->publish.idempotency_key, now_ms);
        if (key == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    if (!keeps) {
        return STATUS_OK;
    }
    history_append(&stream->history, op->publish.message, options->history_size,
                   saturating_add(now_ms, options->history_ttl_ms));
    if (op->publish.version > 0) {
        set_version(stream, op);
    }
    if (key != NULL) {
        idempotency_set_offset(key, op->publish.message->offset);
    }
    set_top(op, stream);
    return STATUS_OK;
}

static enum status publish_in_stream(struct broker_memory *self, struct stream *stream, struct op *op,
                                     bool keeps, uint64_t now_ms)
{
    if (keeps) {
        use_history(stream, op->options, now_ms);
    }
    if (is_suppressed(stream, op, keeps, now_ms)) {
        op->publish.was_suppressed = true;
        return STATUS_OK;
    }
    if (!self->base.sink.can_deliver(self->base.sink.hub, op->channel)) {
        return STATUS_BUSY;
    }
    return store(stream, op, keeps, now_ms);
}

static enum status publish(struct broker_memory *self, struct op *op, uint64_t now_ms)
{
    bool keeps = channel_has_history(op->options) && !op->publish.skip_history;
    op->publish.message->published_ms = clock_wall_ms();
    if (!keeps && op->publish.idempotency_key.len == 0) {
        return self->base.sink.can_deliver(self->base.sink.hub, op->channel) ? STATUS_OK : STATUS_BUSY;
    }
    if (op->publish.idempotency_key.len > LIMIT_IDEMPOTENCY_KEY_BYTES ||
        op->publish.version_epoch.len > LIMIT_VERSION_EPOCH_BYTES) {
        return STATUS_BAD_REQUEST;
    }
    if (keeps && history_is_full(self)) {
        return STATUS_LIMIT_EXCEEDED;
    }
    struct stream *stream;
    enum status status = stream_get(self, op->channel, &stream);
    if (status != STATUS_OK) {
        return status;
    }
    status = publish_in_stream(self, stream, op, keeps, now_ms);
    settle(self, stream, now_ms);
    return status;
}

static void run_publish(struct broker_memory *self, struct op *op, uint64_t now_ms)
{
    enum status status = publish(self, op, now_ms);
    if (status == STATUS_OK && !op->publish.was_suppressed) {
        deliver(self, op->publish.message);
    }
    finish(self, op, status);
}

/* Subscribe and unsubscribe. */

/* A join or leave message for the op's channel; NULL without memory. */
static struct message *announcement(enum message_kind kind, const struct op *op, struct str info)
{
    return message_new(&(struct message_parts){.kind = kind, .channel = op->channel, .info = info});
}

static enum status recover(struct stream *stream, struct op *op)
{
    struct history_recovery recovery = {
        .since = op->subscribe.since,
        .recover_max = op->subscribe.recover_max,
        .is_cache_mode = op->subscribe.is_cache_mode,
    };
    struct history_answer answer;
    enum status status = history_recover(&stream->history, &recovery, &answer, &op->subscribe.recovered);
    if (status == STATUS_OK) {
        op->messages = answer.messages;
        op->message_count = answer.count;
    }
    return status;
}

static bool uses_history(const struct op *op)
{
    return channel_has_history(op->options) && (op->subscribe.wants_position || op->subscribe.is_recovering);
}

static bool is_refused(const struct op *op)
{
    return op->subscribe.is_recovering && op->subscribe.must_recover && !op->subscribe.recovered;
}

static enum status subscribe_in_stream(struct stream *stream, struct op *op, uint64_t now_ms)
{
    if (uses_history(op)) {
        use_history(stream, op->options, now_ms);
        set_top(op, stream);
        enum status status = op->subscribe.is_recovering ? recover(stream, op) : STATUS_OK;
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (is_refused(op)) {
        return STATUS_UNRECOVERABLE_POSITION;
    }
    if (op->subscribe.with_presence &&
        !presence_add(&stream->presence, op->subscribe.client, op->subscribe.user, op->subscribe.info)) {
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static enum status subscribe(struct broker_memory *self, struct op *op, uint64_t now_ms)
{
    if (!uses_history(op) && !op->subscribe.with_presence) {
        return is_refused(op) ? STATUS_UNRECOVERABLE_POSITION : STATUS_OK;
    }
    struct stream *stream;
    enum status status = stream_get(self, op->channel, &stream);
    if (status != STATUS_OK) {
        return status;
    }
    status = subscribe_in_stream(stream, op, now_ms);
    settle(self, stream, now_ms);
    return status;
}

static void run_subscribe(struct broker_memory *self, struct op *op, uint64_t now_ms)
{
    struct message *join = NULL;
    if (op->subscribe.with_join_leave) {
        join = announcement(MESSAGE_JOIN, op, op->subscribe.info);
        if (join == NULL) {
            finish(self, op, STATUS_NO_MEMORY);
            return;
        }
    }
    enum status status = subscribe(self, op, now_ms);
    finish(self, op, status);
    if (status == STATUS_OK && join != NULL) {
        deliver(self, join); /* after the answer, so that the new subscriber sees its own join */
    }
    message_unref(join);
}

static void run_unsubscribe(struct broker_memory *self, struct op *op, uint64_t now_ms)
{
    struct stream *stream = stream_find(self, op->channel);
    if (stream != NULL) {
        if (op->unsubscribe.with_presence) {
            presence_remove(&stream->presence, op->unsubscribe.client);
        }
        stream->used_ms = now_ms;
        settle(self, stream, now_ms);
    }
    if (op->unsubscribe.with_join_leave) {
        /* Without memory the others are not told: a client cannot be kept from leaving. */
        struct message *leave = announcement(MESSAGE_LEAVE, op, op->unsubscribe.info);
        if (leave != NULL) {
            deliver(self, leave);
            message_unref(leave);
        }
    }
    finish(self, op, STATUS_OK);
}

/* Presence and history. */

static void run_presence(struct broker_memory *self, struct op *op)
{
    if (!op->options->presence) {
        finish(self, op, STATUS_NOT_AVAILABLE);
        return;
    }
    enum status status = STATUS_OK;
    const struct stream *stream = stream_find(self, op->channel);
    if (stream != NULL) {
        op->presence.client_count = presence_client_count(&stream->presence);
        op->presence.user_count = presence_user_count(&stream->presence);
        if (op->kind == OP_PRESENCE) {
            status = presence_list(&stream->presence, op->presence.limit, &op->presence.entries,
                                   &op->presence.count);
            op->presence.is_cut = op->presence.count < op->presence.client_count;
        }
    }
    finish(self, op, status);
}

static enum status history(struct broker_memory *self, struct op *op, uint64_t now_ms)
{
    struct stream *stream;
    enum status status = stream_get(self, op->channel, &stream);
    if (status != STATUS_OK) {
        return status;
    }
    use_history(stream, op->options, now_ms);
    struct history_query query = {
        .limit = op->history.limit,
        .limit_max = op->history.limit_max,
        .has_since = op->history.has_since,
        .is_reverse = op->history.is_reverse,
        .since = op->history.since,
    };
    struct history_answer answer;
    status = history_read(&stream->history, &query, &answer);
    if (status == STATUS_OK) {
        op->messages = answer.messages;
        op->message_count = answer.count;
        set_top(op, stream);
    }
    settle(self, stream, now_ms);
    return status;
}

static void run_history(struct broker_memory *self, struct op *op, uint64_t now_ms)
{
    finish(self, op, channel_has_history(op->options) ? history(self, op, now_ms) : STATUS_NOT_AVAILABLE);
}

static void run_history_remove(struct broker_memory *self, struct op *op, uint64_t now_ms)
{
    if (!channel_has_history(op->options)) {
        finish(self, op, STATUS_NOT_AVAILABLE);
        return;
    }
    struct stream *stream = stream_find(self, op->channel);
    if (stream != NULL && stream->history.is_open) {
        history_remove(&stream->history);
        set_top(op, stream);
        settle(self, stream, now_ms);
    }
    finish(self, op, STATUS_OK);
}

static void memory_run(struct broker *broker, struct op *op)
{
    struct broker_memory *self = self_of(broker);
    uint64_t now_ms = clock_monotonic_ms();
    switch (op->kind) {
    case OP_PUBLISH: run_publish(self, op, now_ms); return;
    case OP_SUBSCRIBE: run_subscribe(self, op, now_ms); return;
    case OP_UNSUBSCRIBE: run_unsubscribe(self, op, now_ms); return;
    case OP_PRESENCE:
    case OP_PRESENCE_STATS: run_presence(self, op); return;
    case OP_HISTORY: run_history(self, op, now_ms); return;
    case OP_HISTORY_REMOVE: run_history_remove(self, op, now_ms); return;
    }
    must(false && "an op of a known kind");
}

static void memory_tick(struct broker *broker, uint64_t now_ms)
{
    struct broker_memory *self = self_of(broker);
    size_t budget = EXPIRE_BUDGET;
    struct heap_item *due;
    while (budget > 0 && (due = heap_first(&self->due)) != NULL && due->due_ms <= now_ms) {
        struct stream *stream = container_of(due, struct stream, due);
        budget--;
        budget -= history_expire(&stream->history, now_ms, budget);
        budget -= idempotency_expire(&stream->idempotency, now_ms, budget);
        settle(self, stream, now_ms);
    }
}

static void memory_free(struct broker *broker)
{
    struct broker_memory *self = self_of(broker);
    struct stream *stream, *following;
    HASH_ITER(hh, self->streams, stream, following)
    {
        stream_free(self, stream);
    }
    heap_release(&self->due);
    free(self);
}

struct broker *broker_memory_new(const struct broker_sink *sink)
{
    static const struct broker_ops ops = {
        .name = "memory",
        .run = memory_run,
        .tick = memory_tick,
        .free = memory_free,
    };
    struct broker_memory *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->base = (struct broker){.ops = &ops, .sink = *sink};
    return &self->base;
}

#include "channels/redis_broker.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* Who is there is kept in two hashes a channel: client -> value and user -> number of clients. A value begins
 * with a lease:
 *
 *     lease 16 | length of the user 8 (hex) | 'j' or '-': announced | user | info
 *
 * A lease belongs to one worker of one node and is renewed as a whole, by one small script every three
 * seconds, so that a million clients cost nothing while they stay. When a lease was not renewed for fifteen
 * seconds its node is gone: whoever sees that first takes its clients out and tells the others. A worker
 * whose lease was taken away (it was cut off, or Redis lost it) takes a new one and lets everybody join
 * again; nobody is told of a join that still stands. */

enum {
    LENGTH_BYTES = 8,
    VALUE_HEAD_BYTES = LENGTH_BYTES + 1,
    REFRESHES_PER_TICK = 1000,
    REJOIN_CHUNK = 200,
    REJOIN_BYTES_MAX = 1 << 20,
};

static void new_lease(struct redis_lease *lease)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[LEASE_BYTES / 2];
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        lease->id[2 * i] = hex[bytes[i] >> 4];
        lease->id[2 * i + 1] = hex[bytes[i] & 15];
    }
    lease->is_known = false;
    lease->must_renew = false;
}

static struct str lease_id(const struct redis_place *place)
{
    return str_make(place->lease.id, LEASE_BYTES);
}

static void lease_key(struct buf *out, const struct redis_place *place, const char *what, struct str id)
{
    struct buf name = {0};
    buf_append_str(&name, str_from_cstr(what));
    buf_append_str(&name, id);
    redis_control_key(out, &place->broker->keys, buf_str(&name));
    out->failed = out->failed || name.failed;
    buf_release(&name);
}

/* A value, whole or behind its lease. */
struct value {
    struct str user, info;
    bool is_announced;
};

static bool value_read(struct str text, struct value *out)
{
    if (text.len < VALUE_HEAD_BYTES) {
        return false;
    }
    uint64_t len = 0;
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        char c = text.at[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        len = len * 16 + (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    struct str rest = str_skip(text, VALUE_HEAD_BYTES);
    if (len > rest.len) {
        return false;
    }
    out->is_announced = text.at[LENGTH_BYTES] == 'j';
    out->user = str_first(rest, (size_t)len);
    out->info = str_skip(rest, (size_t)len);
    return true;
}

/* ---- join and leave ---- */

/* Adds JOIN, and where it is the first of the channel the entry by which others find it if this node dies. */
static void add_join(struct redis_call *call, const struct redis_channel *channel, struct str client,
                     struct str value)
{
    struct redis_place *place = channel->place;
    struct buf clients = {0}, users = {0}, ttl = {0}, whole = {0}, set = {0};
    struct value parts = {0};
    must(value_read(value, &parts));
    redis_channel_key(&clients, channel, REDIS_CLIENTS);
    redis_channel_key(&users, channel, REDIS_USERS);
    lease_key(&set, place, "np:", lease_id(place));
    buf_append_u64(&ttl, 2 * place->broker->settings->presence_ttl_ms);
    buf_append_str(&whole, lease_id(place));
    buf_append_str(&whole, value);
    redis_call_add(call, 3, (struct str[]){STR("SADD"), buf_str(&set), redis_channel_name(channel)});
    redis_call_add_script(call, REDIS_SCRIPT_JOIN, 2, 6,
                          (struct str[]){buf_str(&clients), buf_str(&users), client, buf_str(&whole),
                                         parts.user, buf_str(&ttl)});
    struct buf *all[] = {&clients, &users, &ttl, &whole, &set};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        call->bytes.failed = call->bytes.failed || all[i]->failed;
        buf_release(all[i]);
    }
}

/* The channel is looked for by name: it may have gone since. */
static void on_joined(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct op *op = call->owner;
    struct redis_broker *broker = call->owner2;
    (void)reply;
    struct redis_channel *channel = redis_channel_find(broker, op->channel);
    if (status == STATUS_OK && channel != NULL) {
        redis_recover_start(channel, op, true);
        return;
    }
    if (channel != NULL) {
        redis_presence_leave(channel, op->subscribe.client, op->subscribe.user);
        redis_channel_settle(channel);
    }
    redis_finish(broker, op, STATUS_BUSY);
}

static bool remember(struct redis_channel *channel, struct str client, struct str user, struct str value)
{
    if (!presence_add(&channel->members, client, user, value)) {
        return false;
    }
    if (!link_is_listed(&channel->in_members)) {
        channel->refresh_ms = clock_monotonic_ms();
        list_push_back(&channel->broker->members, &channel->in_members);
    }
    return true;
}

void redis_presence_join(struct redis_channel *channel, struct op *op)
{
    struct redis_broker *broker = channel->broker;
    struct buf value = {0};
    buf_printf(&value, "%08zx%c", op->subscribe.user.len, op->subscribe.with_join_leave ? 'j' : '-');
    buf_append_str(&value, op->subscribe.user);
    buf_append_str(&value, op->subscribe.info);
    struct redis_call *call = redis_call_new(on_joined, op, REDIS_RETRY_SAME);
    bool is_started = false;
    enum status status = STATUS_NO_MEMORY;
    if (call != NULL && !value.failed &&
        remember(channel, op->subscribe.client, op->subscribe.user, buf_str(&value))) {
        call->owner2 = broker;
        add_join(call, channel, op->subscribe.client, buf_str(&value));
        is_started = redis_shard_call(&channel->place->shard, call);
        status = STATUS_BUSY;
        if (!is_started) {
            presence_remove(&channel->members, op->subscribe.client);
        }
    } else if (call != NULL) {
        buf_release(&call->bytes);
        free(call);
    }
    buf_release(&value);
    if (!is_started) {
        redis_finish(broker, op, status);
        redis_channel_settle(channel);
    }
}

static void on_left(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct redis_place *place = call->owner;
    (void)reply;
    if (status != STATUS_OK) {
        place->lease.must_renew = true; /* an entry stayed: it goes with the lease */
    }
}

void redis_presence_leave(struct redis_channel *channel, struct str client, struct str user)
{
    struct redis_place *place = channel->place;
    presence_remove(&channel->members, client);
    channel->rejoin_index = 0; /* places have moved */
    if (presence_client_count(&channel->members) == 0) {
        list_remove(&channel->in_members);
        list_remove(&channel->in_rejoins);
    }
    struct redis_call *call = redis_call_new(on_left, place, REDIS_RETRY_SAME);
    if (call == NULL) {
        place->lease.must_renew = true;
        return;
    }
    struct buf clients = {0}, users = {0};
    redis_channel_key(&clients, channel, REDIS_CLIENTS);
    redis_channel_key(&users, channel, REDIS_USERS);
    redis_call_add_script(call, REDIS_SCRIPT_LEAVE, 2, 5,
                          (struct str[]){buf_str(&clients), buf_str(&users), client, lease_id(place), user});
    call->bytes.failed = call->bytes.failed || clients.failed || users.failed;
    buf_release(&clients);
    buf_release(&users);
    if (!redis_shard_call(&place->shard, call)) {
        place->lease.must_renew = true;
    }
}

/* ---- reading ---- */

static bool is_dead(const struct redis_place *place, struct str value)
{
    for (size_t at = 0; at + LEASE_BYTES <= place->lease.dead.len; at += LEASE_BYTES) {
        if (value.len >= LEASE_BYTES && memcmp(place->lease.dead.at + at, value.at, LEASE_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* Fills the op's entries from client, value, client, value, … */
static enum status take_entries(const struct redis_place *place, struct op *op, const redisReply *list)
{
    size_t pairs = list->elements / 2, bytes = 0;
    if (list->type != REDIS_REPLY_ARRAY || list->elements % 2 != 0) {
        return STATUS_BUSY;
    }
    for (size_t i = 0; i < list->elements; i++) {
        struct str text;
        if (!redis_text(list->element[i], &text)) {
            return STATUS_BUSY;
        }
        bytes += text.len;
    }
    struct presence_entry *entries = malloc(pairs * sizeof *entries + bytes + 1);
    if (entries == NULL) {
        return STATUS_NO_MEMORY;
    }
    char *at = (char *)(entries + pairs);
    for (size_t i = 0; i < pairs; i++) {
        struct str client = str_make(list->element[2 * i]->str, list->element[2 * i]->len);
        struct str text = str_make(list->element[2 * i + 1]->str, list->element[2 * i + 1]->len);
        struct value value;
        if (is_dead(place, text) || !value_read(str_skip(text, LEASE_BYTES), &value)) {
            continue;
        }
        memcpy(at, client.at, client.len);
        memcpy(at + client.len, value.info.at, value.info.len);
        entries[op->presence.count++] = (struct presence_entry){
            .client = str_make(at, client.len), .info = str_make(at + client.len, value.info.len)};
        at += client.len + value.info.len;
    }
    op->presence.entries = entries;
    return STATUS_OK;
}

static void on_presence(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct op *op = call->owner;
    struct redis_broker *broker = call->owner2;
    bool is_list = op->kind == OP_PRESENCE;
    uint64_t clients, users;
    if (status == STATUS_OK &&
        (!redis_is_array(reply, is_list ? 3 : 2) || !redis_count(reply->element[0], &clients) ||
         !redis_count(reply->element[1], &users))) {
        status = STATUS_BUSY;
    }
    if (status == STATUS_OK) {
        op->presence.client_count = (uint32_t)clients;
        op->presence.user_count = (uint32_t)users;
        if (is_list) {
            status = take_entries(redis_place_of(broker, op->channel), op, reply->element[2]);
            op->presence.is_cut = op->presence.limit > 0 && clients > op->presence.limit;
        }
    }
    redis_finish(broker, op, status);
}

void redis_presence_run(struct redis_broker *broker, struct op *op)
{
    if (!op->options->presence) {
        redis_finish(broker, op, STATUS_NOT_AVAILABLE);
        return;
    }
    struct redis_call *call = redis_call_new(on_presence, op, REDIS_RETRY_SAME);
    if (call == NULL) {
        redis_finish(broker, op, STATUS_NO_MEMORY);
        return;
    }
    call->owner2 = broker;
    struct buf clients = {0}, users = {0}, limit = {0};
    redis_key(&clients, &broker->keys, REDIS_CLIENTS, op->channel);
    redis_key(&users, &broker->keys, REDIS_USERS, op->channel);
    buf_append_u64(&limit, op->presence.limit);
    redis_call_add(call, 1, (struct str[]){STR("MULTI")});
    redis_call_add(call, 2, (struct str[]){STR("HLEN"), buf_str(&clients)});
    redis_call_add(call, 2, (struct str[]){STR("HLEN"), buf_str(&users)});
    if (op->kind == OP_PRESENCE && op->presence.limit > 0) {
        redis_call_add(
            call, 4,
            (struct str[]){STR("HRANDFIELD"), buf_str(&clients), buf_str(&limit), STR("WITHVALUES")});
    } else if (op->kind == OP_PRESENCE) {
        redis_call_add(call, 2, (struct str[]){STR("HGETALL"), buf_str(&clients)});
    }
    redis_call_add(call, 1, (struct str[]){STR("EXEC")});
    buf_release(&clients);
    buf_release(&users);
    buf_release(&limit);
    if (!redis_shard_call(&redis_place_of(broker, op->channel)->shard, call)) {
        redis_finish(broker, op, STATUS_BUSY);
    }
}

/* ---- the sweep after a lease that ended ---- */

struct sweep {
    struct redis_place *place;
    char lease[LEASE_BYTES];
    size_t channels_left; /* whose answer has not come */
    bool has_failed;
};

static void ignore(struct redis_call *call, enum status status, const redisReply *reply)
{
    (void)call;
    (void)status;
    (void)reply; /* what did not succeed is done again by whoever sees it next */
}

static struct str lease_of(const struct sweep *sweep)
{
    return str_make(sweep->lease, LEASE_BYTES);
}

static void end_sweep(struct sweep *sweep)
{
    struct redis_call *call = sweep->has_failed ? NULL : redis_call_new(ignore, NULL, REDIS_RETRY_SAME);
    if (call != NULL) {
        struct buf leases = {0}, set = {0};
        redis_control_key(&leases, &sweep->place->broker->keys, STR("leases"));
        lease_key(&set, sweep->place, "np:", lease_of(sweep));
        redis_call_add(call, 2, (struct str[]){STR("DEL"), buf_str(&set)});
        redis_call_add(call, 3, (struct str[]){STR("ZREM"), buf_str(&leases), lease_of(sweep)});
        buf_release(&leases);
        buf_release(&set);
        (void)redis_shard_call(&sweep->place->shard, call);
    }
    free(sweep);
}

struct sweep_step {
    struct sweep *sweep;
    struct str channel;
    char bytes[];
};

static void on_dropped(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct sweep_step *step = call->owner;
    struct sweep *sweep = step->sweep;
    sweep->has_failed = sweep->has_failed || status != STATUS_OK || reply->type != REDIS_REPLY_ARRAY;
    for (size_t i = 0; !sweep->has_failed && i < reply->elements; i++) {
        struct str text;
        struct value value;
        if (redis_text(reply->element[i], &text) && value_read(str_skip(text, LEASE_BYTES), &value) &&
            value.is_announced) {
            redis_announce(sweep->place->broker, MESSAGE_LEAVE, step->channel, value.info);
        }
    }
    free(step);
    if (--sweep->channels_left == 0) {
        end_sweep(sweep);
    }
}

static bool drop_in(struct sweep *sweep, struct str channel)
{
    struct redis_broker *broker = sweep->place->broker;
    struct sweep_step *step = malloc(sizeof *step + channel.len);
    struct redis_call *call = step == NULL ? NULL : redis_call_new(on_dropped, step, REDIS_RETRY_SAME);
    if (call == NULL) {
        free(step);
        return false;
    }
    step->sweep = sweep;
    memcpy(step->bytes, channel.at, channel.len);
    step->channel = str_make(step->bytes, channel.len);
    struct buf clients = {0}, users = {0};
    redis_key(&clients, &broker->keys, REDIS_CLIENTS, channel);
    redis_key(&users, &broker->keys, REDIS_USERS, channel);
    redis_call_add_script(call, REDIS_SCRIPT_DROP_LEASE, 2, 3,
                          (struct str[]){buf_str(&clients), buf_str(&users), lease_of(sweep)});
    buf_release(&clients);
    buf_release(&users);
    if (!redis_shard_call(&sweep->place->shard, call)) {
        free(step);
        return false;
    }
    return true;
}

static void on_channels(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct sweep *sweep = call->owner;
    if (status != STATUS_OK || reply->type != REDIS_REPLY_ARRAY) {
        free(sweep);
        return;
    }
    log_info("presence_swept", {"lease", log_text(lease_of(sweep))}, {"channels", log_u64(reply->elements)});
    sweep->channels_left = 1; /* this function's own */
    for (size_t i = 0; i < reply->elements; i++) {
        struct str channel;
        if (redis_text(reply->element[i], &channel) && channel.len > 0 &&
            channel.len <= LIMIT_CHANNEL_BYTES && drop_in(sweep, channel)) {
            sweep->channels_left++;
        } else {
            sweep->has_failed = true;
        }
    }
    if (--sweep->channels_left == 0) {
        end_sweep(sweep);
    }
}

static void on_locked(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct sweep *sweep = call->owner;
    struct redis_call *next = NULL;
    if (status == STATUS_OK && reply->type == REDIS_REPLY_STATUS) {
        next = redis_call_new(on_channels, sweep, REDIS_RETRY_SAME);
    }
    if (next != NULL) {
        struct buf set = {0};
        lease_key(&set, sweep->place, "np:", lease_of(sweep));
        redis_call_add(next, 2, (struct str[]){STR("SMEMBERS"), buf_str(&set)});
        buf_release(&set);
        if (redis_shard_call(&sweep->place->shard, next)) {
            return;
        }
    }
    free(sweep); /* another node has the lock, or whoever comes next tries again */
}

static void start_sweep(struct redis_place *place, struct str lease)
{
    struct sweep *sweep = calloc(1, sizeof *sweep);
    struct redis_call *call = sweep == NULL ? NULL : redis_call_new(on_locked, sweep, REDIS_RETRY_NEVER);
    if (call == NULL) {
        free(sweep);
        return;
    }
    sweep->place = place;
    memcpy(sweep->lease, lease.at, LEASE_BYTES);
    struct buf lock = {0};
    lease_key(&lock, place, "sweep:", lease);
    redis_call_add(
        call, 6,
        (struct str[]){STR("SET"), buf_str(&lock), lease_id(place), STR("NX"), STR("PX"), STR("30000")});
    buf_release(&lock);
    if (!redis_shard_call(&place->shard, call)) {
        free(sweep);
    }
}

/* ---- the lease of ours ---- */

/* Some of the channel's clients join under the new lease. true: that was all. */
static bool join_some_again(struct redis_channel *channel)
{
    struct redis_place *place = channel->place;
    struct presence_entry *entries;
    size_t count;
    if (presence_list(&channel->members, 0, &entries, &count) != STATUS_OK) {
        return false;
    }
    while (channel->rejoin_index < count && redis_link_is_ready(&place->shard.cmd) &&
           place->shard.cmd.out.len < REJOIN_BYTES_MAX) {
        struct redis_call *call = redis_call_new(on_left, place, REDIS_RETRY_SAME);
        size_t end =
            channel->rejoin_index + REJOIN_CHUNK < count ? channel->rejoin_index + REJOIN_CHUNK : count;
        for (size_t i = channel->rejoin_index; call != NULL && i < end; i++) {
            add_join(call, channel, entries[i].client, entries[i].info);
        }
        if (call == NULL || !redis_shard_call(&place->shard, call)) {
            break;
        }
        channel->rejoin_index = end;
    }
    free(entries);
    return channel->rejoin_index >= count;
}

/* Everybody who is here joins again, a few thousand a turn. */
static void join_again(struct redis_broker *broker)
{
    struct link later;
    list_init(&later);
    while (!list_is_empty(&broker->rejoins)) {
        struct redis_channel *channel = container_of(broker->rejoins.next, struct redis_channel, in_rejoins);
        list_remove(&channel->in_rejoins);
        if (!join_some_again(channel)) {
            list_push_back(&later, &channel->in_rejoins);
        }
    }
    list_append(&broker->rejoins, &later);
}

static void begin_rejoin(struct redis_place *place)
{
    struct redis_broker *broker = place->broker;
    list_each (&broker->members, link) {
        struct redis_channel *channel = container_of(link, struct redis_channel, in_members);
        if (channel->place == place) {
            channel->rejoin_index = 0;
            list_remove(&channel->in_rejoins);
            list_push_back(&broker->rejoins, &channel->in_rejoins);
        }
    }
}

static void take_dead(struct redis_place *place, const redisReply *list)
{
    buf_reset(&place->lease.dead);
    for (size_t i = 0; i < list->elements; i++) {
        struct str id;
        if (redis_text(list->element[i], &id) && id.len == LEASE_BYTES) {
            buf_append_str(&place->lease.dead, id);
            start_sweep(place, id);
        }
    }
}

static void on_beat(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct redis_place *place = call->owner;
    struct redis_lease *lease = &place->lease;
    uint64_t holds;
    lease->is_beating = false;
    if (status != STATUS_OK || !redis_is_array(reply, 3) || !redis_count(reply->element[0], &holds) ||
        reply->element[2]->type != REDIS_REPLY_ARRAY) {
        return;
    }
    if (holds == 0) {
        lease->must_renew = true;
        lease->due_ms = 0;
    } else if (!lease->is_known) {
        lease->is_known = true;
        begin_rejoin(place);
    }
    take_dead(place, reply->element[2]);
}

static void add_beat(struct redis_call *call, const struct redis_place *place, bool gives_up)
{
    struct buf leases = {0}, life = {0};
    redis_control_key(&leases, &place->broker->keys, STR("leases"));
    buf_append_u64(&life, LEASE_LIFE_MS);
    redis_call_add_script(call, REDIS_SCRIPT_BEAT, 1, 5,
                          (struct str[]){buf_str(&leases), lease_id(place), buf_str(&life),
                                         place->lease.is_known ? STR("0") : STR("1"),
                                         gives_up ? STR("1") : STR("0")});
    buf_release(&leases);
    buf_release(&life);
}

static void beat(struct redis_place *place)
{
    struct redis_lease *lease = &place->lease;
    if (lease->must_renew) {
        new_lease(lease); /* the old one ends by itself, and its entries are swept */
    }
    struct redis_call *call = redis_call_new(on_beat, place, REDIS_RETRY_NEVER);
    if (call == NULL) {
        return;
    }
    add_beat(call, place, false);
    lease->is_beating = redis_shard_call(&place->shard, call);
}

/* The hashes of a channel live as long as somebody prolongs them, so that nothing stays of a dead cluster. */
static void refresh(struct redis_channel *channel)
{
    struct redis_call *call = redis_call_new(ignore, NULL, REDIS_RETRY_SAME);
    if (call == NULL) {
        return;
    }
    struct buf clients = {0}, users = {0}, ttl = {0};
    redis_channel_key(&clients, channel, REDIS_CLIENTS);
    redis_channel_key(&users, channel, REDIS_USERS);
    buf_append_u64(&ttl, 2 * channel->broker->settings->presence_ttl_ms);
    redis_call_add(call, 3, (struct str[]){STR("PEXPIRE"), buf_str(&clients), buf_str(&ttl)});
    redis_call_add(call, 3, (struct str[]){STR("PEXPIRE"), buf_str(&users), buf_str(&ttl)});
    buf_release(&clients);
    buf_release(&users);
    buf_release(&ttl);
    (void)redis_shard_call(&channel->place->shard, call);
}

void redis_presence_on_ready(struct redis_place *place, bool is_other)
{
    place->lease.must_renew = place->lease.must_renew || (is_other && place->lease.is_known);
    place->lease.due_ms = 0;
}

void redis_presence_tick(struct redis_broker *broker)
{
    for (size_t i = 0; i < broker->place_count; i++) {
        struct redis_place *place = &broker->places[i];
        if (redis_link_is_ready(&place->shard.cmd) && !place->lease.is_beating &&
            broker->now_ms >= place->lease.due_ms) {
            place->lease.due_ms = broker->now_ms + LEASE_BEAT_MS;
            beat(place);
        }
    }
    join_again(broker);
    uint64_t half_ms = broker->settings->presence_ttl_ms / 2;
    for (int i = 0; i < REFRESHES_PER_TICK && !list_is_empty(&broker->members); i++) {
        struct redis_channel *channel = container_of(broker->members.next, struct redis_channel, in_members);
        if (channel->refresh_ms + half_ms > broker->now_ms) {
            return;
        }
        channel->refresh_ms = broker->now_ms;
        list_remove(&channel->in_members);
        list_push_back(&broker->members, &channel->in_members);
        refresh(channel);
    }
}

void redis_presence_open(struct redis_place *place)
{
    new_lease(&place->lease);
}

void redis_presence_close(struct redis_place *place)
{
    bool has_left = place->lease.is_known && list_is_empty(&place->broker->members);
    struct redis_call *call = has_left && redis_link_is_ready(&place->shard.cmd)
                                  ? redis_call_new(ignore, NULL, REDIS_RETRY_NEVER)
                                  : NULL;
    if (call != NULL) { /* else entries are left: they go with the lease, in a while */
        struct buf set = {0};
        lease_key(&set, place, "np:", lease_id(place));
        redis_call_add(call, 2, (struct str[]){STR("DEL"), buf_str(&set)});
        buf_release(&set);
        add_beat(call, place, true);
        (void)redis_shard_call(&place->shard, call);
    }
    buf_release(&place->lease.dead);
}

#include "channels/redis_shard.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "channels/base/table.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUSY_RETRY_MS = 100 };

/* ---- calls ---- */

struct redis_call *redis_call_new(void (*done)(struct redis_call *, enum status, const redisReply *),
                                  void *owner, enum redis_retry retry)
{
    struct redis_call *call = calloc(1, sizeof *call);
    if (call != NULL) {
        call->done = done;
        call->owner = owner;
        call->retry = retry;
        list_init(&call->waiting);
        list_init(&call->request.in_flight);
    }
    return call;
}

static void call_free(struct redis_call *call)
{
    buf_release(&call->bytes);
    free(call);
}

void redis_call_add(struct redis_call *call, int count, const struct str *arguments)
{
    (void)redis_format(&call->bytes, count, arguments); /* a failure stays in the buffer */
    call->replies++;
}

void redis_call_add_script(struct redis_call *call, enum redis_script_index script, int keys, int count,
                           const struct str *arguments)
{
    struct str all[24];
    char key_count[8];
    must(count + 3 <= (int)(sizeof all / sizeof all[0]));
    snprintf(key_count, sizeof key_count, "%d", keys);
    all[0] = STR("EVALSHA");
    all[1] = str_from_cstr(redis_scripts[script].sha);
    all[2] = str_from_cstr(key_count);
    for (int i = 0; i < count; i++) {
        all[i + 3] = arguments[i];
    }
    redis_call_add(call, count + 3, all);
}

static void finish(struct redis_call *call, enum status status, const redisReply *reply)
{
    call->shard->counters.failed_total += status == STATUS_OK ? 0 : 1;
    call->done(call, status, reply);
    call_free(call);
}

static void wait_at_end(struct redis_shard *shard, struct redis_call *call)
{
    list_push_back(&shard->waiting, &call->waiting);
    shard->waiting_count++;
    shard->waiting_bytes += call->bytes.len;
}

static void stop_waiting(struct redis_shard *shard, struct redis_call *call)
{
    list_remove(&call->waiting);
    shard->waiting_count--;
    shard->waiting_bytes -= call->bytes.len;
}

static bool try_to_send(struct redis_shard *shard, struct redis_call *call)
{
    bool is_sent = redis_link_send(&shard->cmd, &call->request, call->replies, buf_str(&call->bytes));
    call->was_sent = call->was_sent || is_sent;
    return is_sent;
}

/* Sends what waits, in order. */
static void pump(struct redis_shard *shard, uint64_t now_ms)
{
    while (!list_is_empty(&shard->waiting)) {
        struct redis_call *call = container_of(shard->waiting.next, struct redis_call, waiting);
        if (call->not_before_ms > now_ms || !try_to_send(shard, call)) {
            return;
        }
        stop_waiting(shard, call);
    }
}

static bool may_repeat(const struct redis_shard *shard, const struct redis_call *call)
{
    return !shard->is_stopping && call->retry != REDIS_RETRY_NEVER &&
           clock_monotonic_ms() < call->born_ms + shard->options.io_timeout_ms;
}

static void prepare_repeat(struct redis_shard *shard, struct redis_call *call)
{
    shard->counters.retried_total++;
    if (call->retry == REDIS_RETRY_FLAG) {
        must(call->bytes.len > 3);
        call->bytes.at[call->bytes.len - 3] = '1'; /* before the last CR LF */
    }
    call->due_ms = call->born_ms + shard->options.io_timeout_ms;
}

/* Errors that say: not now, or not here. NULL: any other. */
static const char *restart_reason(struct str word)
{
    if (str_is(word, "NOSCRIPT")) {
        return "Redis has forgotten the scripts";
    }
    if (str_is(word, "READONLY") || str_is(word, "MASTERDOWN")) {
        return "this Redis is a replica";
    }
    if (str_is(word, "LOADING")) {
        return "Redis is loading its data";
    }
    return str_is(word, "NOAUTH") || str_is(word, "NOPERM") ? "the Redis user may not do what is needed"
                                                            : NULL;
}

static void on_answer(struct redis_request *request, const redisReply *reply)
{
    struct redis_call *call = container_of(request, struct redis_call, request);
    struct redis_shard *shard = call->shard;
    if (reply == NULL) {
        if (may_repeat(shard, call)) {
            prepare_repeat(shard, call);
            list_push_back(&shard->lost, &call->waiting);
        } else {
            finish(call, STATUS_BUSY, NULL);
        }
        return;
    }
    struct str word = redis_error_word(reply);
    if (word.len == 0) {
        finish(call, STATUS_OK, reply);
        pump(shard, clock_monotonic_ms()); /* where the limit of the connection made calls wait */
        return;
    }
    const char *reason = restart_reason(word);
    bool is_busy = str_is(word, "BUSY");
    /* An error says that nothing was done, so that any call may be sent again. */
    if ((reason != NULL || is_busy) && !shard->is_stopping &&
        clock_monotonic_ms() < call->born_ms + shard->options.io_timeout_ms) {
        call->not_before_ms = is_busy ? clock_monotonic_ms() + BUSY_RETRY_MS : 0;
        list_push_back(reason != NULL ? &shard->lost : &shard->waiting, &call->waiting);
        if (reason == NULL) {
            shard->waiting_count++;
            shard->waiting_bytes += call->bytes.len;
        }
    } else {
        log_warn("redis_error", {"redis", log_text(shard->options.address->name)}, {"error", log_text(word)});
        finish(call, STATUS_BUSY, reply);
    }
    if (reason != NULL) {
        redis_shard_restart(shard, reason);
    }
}

bool redis_shard_call(struct redis_shard *shard, struct redis_call *call)
{
    call->shard = shard;
    call->request.done = on_answer;
    call->born_ms = clock_monotonic_ms();
    call->due_ms = call->born_ms + SHARD_WAIT_MS;
    shard->counters.calls_total++;
    bool is_full =
        shard->waiting_count >= SHARD_CALLS_MAX || shard->waiting_bytes + call->bytes.len > SHARD_BYTES_MAX;
    if (call->bytes.failed) {
        call_free(call);
        return false;
    }
    if (list_is_empty(&shard->waiting) && try_to_send(shard, call)) {
        return true;
    }
    if (is_full || shard->is_stopping) {
        shard->counters.failed_total++;
        call_free(call);
        return false;
    }
    wait_at_end(shard, call);
    return true;
}

/* Calls that wait keep their order, not their deadlines: all are looked at. */
static void give_up(struct redis_shard *shard, uint64_t now_ms)
{
    struct link gone;
    list_init(&gone);
    list_each_safe (&shard->waiting, link) {
        struct redis_call *call = container_of(link, struct redis_call, waiting);
        if (call->due_ms <= now_ms || shard->is_stopping) {
            stop_waiting(shard, call);
            list_push_back(&gone, &call->waiting);
        }
    }
    struct link *link;
    while ((link = list_pop_front(&gone)) != NULL) {
        finish(container_of(link, struct redis_call, waiting), STATUS_BUSY, NULL);
    }
}

/* ---- connections ---- */

static struct redis_shard *shard_of(struct redis_link *link)
{
    return link->options.owner;
}

void redis_shard_restart(struct redis_shard *shard, const char *why)
{
    redis_link_restart(&shard->cmd, why);
    redis_link_restart(&shard->sub, why);
}

/* Both lead to the same instance, or one of them is not there yet. */
static bool is_same_instance(struct redis_shard *shard)
{
    if (!redis_link_is_ready(&shard->cmd) || !redis_link_is_ready(&shard->sub) ||
        strcmp(shard->cmd.info.instance, shard->sub.info.instance) == 0) {
        return true;
    }
    redis_shard_restart(shard, "the two connections lead to different instances");
    return false;
}

static void begin_probes(struct redis_shard *shard)
{
    if (redis_link_is_ready(&shard->cmd) && redis_link_is_ready(&shard->sub)) {
        shard->probe_sent_ns = 0;
        shard->probe_due_ms = 0;
    }
}

static void on_cmd_ready(struct redis_link *link)
{
    struct redis_shard *shard = shard_of(link);
    if (!is_same_instance(shard)) {
        return;
    }
    bool is_other = shard->instance[0] != '\0' && strcmp(shard->instance, link->info.instance) != 0;
    memcpy(shard->instance, link->info.instance, sizeof shard->instance);
    begin_probes(shard);
    pump(shard, clock_monotonic_ms());
    shard->options.on_ready(shard, is_other);
}

static void on_cmd_down(struct redis_link *cmd)
{
    struct redis_shard *shard = shard_of(cmd);
    list_each (&shard->lost, link) {
        shard->waiting_count++;
        shard->waiting_bytes += container_of(link, struct redis_call, waiting)->bytes.len;
    }
    list_append(&shard->lost, &shard->waiting);
    list_append(&shard->waiting, &shard->lost);
}

static void on_sub_ready(struct redis_link *link)
{
    struct redis_shard *shard = shard_of(link);
    if (!is_same_instance(shard)) {
        return;
    }
    struct buf command = {0};
    if (redis_format(&command, 2, (struct str[]){STR("SUBSCRIBE"), buf_str(&shard->probe_channel)})) {
        (void)redis_link_send(link, NULL, 0, buf_str(&command)); /* unheard probes start it over */
    }
    buf_release(&command);
    begin_probes(shard);
    shard->options.on_sub_ready(shard);
}

static void on_sub_down(struct redis_link *link)
{
    struct redis_shard *shard = shard_of(link);
    shard->probe_sent_ns = 0;
    shard->options.on_sub_down(shard);
}

static bool on_push(struct redis_link *link, const redisReply *reply)
{
    struct redis_shard *shard = shard_of(link);
    struct redis_push push;
    if (!redis_push_read(reply, &push)) {
        return false;
    }
    if (!str_equal(push.channel, buf_str(&shard->probe_channel))) {
        shard->options.on_push(shard, &push);
        return true;
    }
    if (push.kind == REDIS_PUSH_MESSAGE && shard->probe_sent_ns != 0) {
        shard->lag_us = (clock_monotonic_ns() - shard->probe_sent_ns) / 1000;
        shard->probe_sent_ns = 0;
        shard->proven_ms = clock_monotonic_ms();
    }
    return true;
}

/* ---- the probe ---- */

static void on_probe_answer(struct redis_call *call, enum status status, const redisReply *reply)
{
    (void)status;
    (void)reply; /* what counts is that it arrives */
    struct redis_shard *shard = call->owner;
    shard->probe = NULL;
}

/* The role may change without the connection noticing. */
static void on_info(struct redis_call *call, enum status status, const redisReply *reply)
{
    struct redis_shard *shard = call->owner;
    struct redis_info info;
    if (status != STATUS_OK || !redis_link_is_ready(&shard->cmd)) {
        return;
    }
    if (!redis_info_read(reply, &info) || !info.is_master ||
        strcmp(info.instance, shard->cmd.info.instance) != 0) {
        redis_shard_restart(shard, "the Redis has changed its role");
    }
}

static void ask_info(struct redis_shard *shard)
{
    struct redis_call *call = redis_call_new(on_info, shard, REDIS_RETRY_NEVER);
    if (call != NULL) {
        redis_call_add(call, 1, (struct str[]){STR("INFO")});
        (void)redis_shard_call(shard, call);
    }
}

static void send_probe(struct redis_shard *shard, uint64_t now_ms)
{
    shard->probe_due_ms = now_ms + SHARD_PROBE_MS;
    if (shard->probe != NULL) {
        return;
    }
    struct redis_call *call = redis_call_new(on_probe_answer, shard, REDIS_RETRY_NEVER);
    if (call == NULL) {
        return;
    }
    redis_call_add(call, 3, (struct str[]){STR("PUBLISH"), buf_str(&shard->probe_channel), STR("1")});
    if (redis_shard_call(shard, call)) {
        shard->probe = call;
        shard->probe_sent_ns = clock_monotonic_ns();
    }
    ask_info(shard);
}

static void tick_probe(struct redis_shard *shard, uint64_t now_ms)
{
    if (!redis_link_is_ready(&shard->cmd) || !redis_link_is_ready(&shard->sub) || shard->is_stopping) {
        return;
    }
    if (shard->probe_sent_ns != 0) {
        if (clock_monotonic_ns() - shard->probe_sent_ns > (uint64_t)SHARD_PROBE_OVERDUE_MS * 1000000) {
            shard->counters.probes_lost_total++;
            redis_shard_restart(shard, "what is published does not arrive");
        }
    } else if (now_ms >= shard->probe_due_ms) {
        send_probe(shard, now_ms);
    }
}

bool redis_shard_is_proven(const struct redis_shard *shard, uint64_t now_ms, uint64_t within_ms)
{
    return shard->proven_ms != 0 && now_ms < shard->proven_ms + within_ms;
}

/* ---- the shard itself ---- */

void redis_shard_tick(struct redis_shard *shard, uint64_t now_ms)
{
    redis_link_tick(&shard->cmd, now_ms);
    redis_link_tick(&shard->sub, now_ms);
    give_up(shard, now_ms);
    pump(shard, now_ms);
    tick_probe(shard, now_ms);
}

bool redis_shard_open(struct redis_shard *shard, const struct redis_shard_options *options)
{
    *shard = (struct redis_shard){.options = *options};
    list_init(&shard->waiting);
    list_init(&shard->lost);
    snprintf(shard->cmd_name, sizeof shard->cmd_name, "starling-%s-%u-cmd", options->node, options->worker);
    snprintf(shard->sub_name, sizeof shard->sub_name, "starling-%s-%u-sub", options->node, options->worker);
    char name[32];
    snprintf(name, sizeof name, "w:%s.%u", options->node, options->worker);
    redis_control_key(&shard->probe_channel, options->keys, str_from_cstr(name));
    struct redis_link_options link = {
        .loop = options->loop,
        .address = options->address,
        .client_name = shard->cmd_name,
        .connect_timeout_ms = options->connect_timeout_ms,
        .io_timeout_ms = options->io_timeout_ms,
        .owner = shard,
        .on_ready = on_cmd_ready,
        .on_down = on_cmd_down,
    };
    redis_link_open(&shard->cmd, &link);
    link.client_name = shard->sub_name;
    link.is_sub = true;
    link.on_ready = on_sub_ready;
    link.on_down = on_sub_down;
    link.on_push = on_push;
    redis_link_open(&shard->sub, &link);
    return !shard->probe_channel.failed;
}

void redis_shard_stop(struct redis_shard *shard)
{
    shard->is_stopping = true;
    give_up(shard, 0);
    redis_link_drain(&shard->cmd, SHARD_DRAIN_MS);
    if (shard->cmd.request_count > 0) {
        redis_link_restart(&shard->cmd, "stopping");
    }
    give_up(shard, 0);
}

void redis_shard_release(struct redis_shard *shard)
{
    shard->is_stopping = true;
    redis_link_drain(&shard->cmd, SHARD_DRAIN_MS);
    redis_link_release(&shard->cmd);
    redis_link_release(&shard->sub);
    give_up(shard, 0);
    buf_release(&shard->probe_channel);
}

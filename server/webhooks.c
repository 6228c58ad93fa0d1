#include "server/webhooks.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "channels/base/random.h"
#include "server/crypto.h"
#include "server/http_client.h"
#include "server/json_span.h"
#include "server/worker.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RETRY_FIRST_MS = 500,
    RETRY_LAST_MS = 30000,
    SIGNATURE_LEN_MAX = 2 + 20 + 4 + 2 * CRYPTO_SHA256_BYTES,
};

struct event {
    struct event *next;
    size_t len;
    char json[];
};

struct webhooks {
    struct worker *worker;
    struct http_target *target; /* NULL: no endpoint */
    unsigned wanted;            /* bits: 1 << enum webhook_event */
    struct event *first, *last;
    uint32_t count;       /* in the queue, the batch under way included */
    uint32_t batch_count; /* under way, from `first` on; 0: none */
    uint32_t attempt;     /* of that batch, from 1 */
    char delivery[UUID_TEXT_LEN];
    struct timer timer; /* the batch delay, or the wait before another attempt */
};

/* ---- sending ---- */

static void send_batch(struct webhooks *webhooks);

static void on_timer(struct timer *timer)
{
    send_batch(container_of(timer, struct webhooks, timer));
}

static void set_timer(struct webhooks *webhooks, uint64_t wait_ms)
{
    timer_set(&webhooks->worker->timers, &webhooks->timer, webhooks->worker->now_ms + wait_ms);
}

static void drop_batch(struct webhooks *webhooks)
{
    for (; webhooks->batch_count > 0; webhooks->batch_count--) {
        struct event *event = webhooks->first;
        webhooks->first = event->next;
        webhooks->count--;
        free(event);
    }
    if (webhooks->first == NULL) {
        webhooks->last = NULL;
    }
    webhooks->attempt = 0;
    webhooks->worker->metrics.webhook_queue = webhooks->count;
    if (webhooks->count > 0) {
        set_timer(webhooks, webhooks->worker->config->webhooks_batch_delay_ms);
    }
}

/* 4xx says that this batch will never be taken, but for those that ask for patience. */
static bool is_final(const struct http_answer *answer)
{
    return answer->outcome == HTTP_OUTCOME_ANSWER && answer->status >= 400 && answer->status < 500 &&
           answer->status != 408 && answer->status != 425 && answer->status != 429;
}

static void on_answer(void *context, const struct http_answer *answer)
{
    if (answer->outcome == HTTP_OUTCOME_STOPPED) {
        return; /* the worker ends, and the webhooks are freed already */
    }
    struct webhooks *webhooks = context;
    struct worker *worker = webhooks->worker;
    if (answer->outcome == HTTP_OUTCOME_ANSWER && answer->status >= 200 && answer->status < 300) {
        worker->metrics.webhook_sent_total += webhooks->batch_count;
        drop_batch(webhooks);
        return;
    }
    worker->metrics.webhook_failures_total++;
    log_warn("webhook_failed", {"outcome", log_cstr(http_outcome_text(answer->outcome))},
             {"status", log_u64(answer->status)}, {"attempt", log_u64(webhooks->attempt)},
             {"events", log_u64(webhooks->batch_count)});
    if (is_final(answer) || webhooks->attempt >= worker->config->webhooks_attempts) {
        worker->metrics.webhook_dropped_failed_total += webhooks->batch_count;
        drop_batch(webhooks);
        return;
    }
    uint32_t doublings = webhooks->attempt - 1 < 6 ? webhooks->attempt - 1 : 6;
    uint64_t wait_ms = (uint64_t)RETRY_FIRST_MS << doublings;
    wait_ms = wait_ms < RETRY_LAST_MS ? wait_ms : RETRY_LAST_MS;
    set_timer(webhooks, wait_ms / 2 + worker_random(worker, wait_ms / 2 + 1));
}

static struct str sign(const struct webhooks *webhooks, struct str body, char out[SIGNATURE_LEN_MAX + 1])
{
    struct str secret = str_from_cstr(webhooks->worker->config->webhooks_secret);
    unsigned char digest[CRYPTO_SHA256_BYTES];
    char hex[2 * CRYPTO_SHA256_BYTES];
    struct buf signed_text = {0};
    uint64_t now_s = clock_wall_ms() / 1000;
    buf_append_u64(&signed_text, now_s);
    buf_append_char(&signed_text, '.');
    buf_append_str(&signed_text, body);
    if (secret.len == 0 || signed_text.failed) {
        buf_release(&signed_text);
        return STR("");
    }
    crypto_hmac_sha256(secret, buf_str(&signed_text), digest);
    crypto_hex(str_make((const char *)digest, sizeof digest), hex);
    buf_release(&signed_text);
    int len = snprintf(out, SIGNATURE_LEN_MAX + 1, "t=%llu,v1=%.*s", (unsigned long long)now_s,
                       (int)sizeof hex, hex);
    return str_make(out, (size_t)len);
}

static void write_body(const struct webhooks *webhooks, struct buf *body)
{
    buf_append_lit(body, "{\"node\":");
    buf_append_json_string(body, str_from_cstr(webhooks->worker->server->node_name));
    buf_append_lit(body, ",\"events\":[");
    const struct event *event = webhooks->first;
    for (uint32_t i = 0; i < webhooks->batch_count; i++, event = event->next) {
        if (i > 0) {
            buf_append_char(body, ',');
        }
        buf_append(body, event->json, event->len);
    }
    buf_append_lit(body, "]}");
}

static void send_batch(struct webhooks *webhooks)
{
    const struct config *config = webhooks->worker->config;
    if (webhooks->attempt == 0) {
        webhooks->batch_count =
            webhooks->count < config->webhooks_batch_max ? webhooks->count : config->webhooks_batch_max;
        random_uuid(webhooks->delivery);
    }
    webhooks->attempt++;
    struct buf body = {0};
    char signature[SIGNATURE_LEN_MAX + 1];
    write_body(webhooks, &body);
    const struct http_field fields[] = {
        {STR("X-Starling-Delivery"), str_make(webhooks->delivery, UUID_TEXT_LEN)},
        {STR("X-Starling-Signature"), sign(webhooks, buf_str(&body), signature)},
    };
    size_t field_count = fields[1].value.len > 0 ? 2 : 1;
    bool is_sent = !body.failed && http_client_post(webhooks->worker->http, webhooks->target, buf_str(&body),
                                                    fields, field_count, on_answer, webhooks);
    buf_release(&body);
    if (!is_sent) {
        set_timer(webhooks, RETRY_LAST_MS); /* no memory: the attempt does not count */
        webhooks->attempt--;
    }
}

/* ---- queueing ---- */

static void put_text(struct buf *json, const char *name, struct str text)
{
    buf_append_lit(json, ",\"");
    buf_append(json, name, strlen(name));
    buf_append_lit(json, "\":");
    buf_append_json_string(json, text);
}

static void put_raw(struct buf *json, const char *name, struct str raw)
{
    buf_append_lit(json, ",\"");
    buf_append(json, name, strlen(name));
    buf_append_lit(json, "\":");
    json_append_compact_newlines(json, raw);
}

static void write_event(struct buf *json, enum webhook_event event, const struct webhook_view *view)
{
    buf_append_lit(json, "{\"event\":\"");
    buf_append_str(json, str_from_cstr(webhook_event_text(event)));
    buf_append_lit(json, "\",\"time\":");
    buf_append_u64(json, clock_wall_ms());
    if (view->client.len > 0) {
        put_text(json, "client", view->client);
    }
    if (view->has_user) {
        put_text(json, "user", view->user);
    }
    if (view->channel.len > 0) {
        put_text(json, "channel", view->channel);
    }
    if (view->data.len > 0) {
        put_raw(json, "data", view->data);
    }
    if (view->info.len > 0) {
        put_raw(json, "info", view->info);
    }
    if (view->offset > 0) {
        buf_append_lit(json, ",\"offset\":");
        buf_append_u64(json, view->offset);
    }
    if (view->code > 0) {
        buf_append_lit(json, ",\"code\":");
        buf_append_u64(json, view->code);
        put_text(json, "reason", view->reason);
    }
    buf_append_char(json, '}');
}

bool webhooks_want(const struct webhooks *webhooks, enum webhook_event event)
{
    return (webhooks->wanted >> event & 1) != 0;
}

void webhooks_add(struct webhooks *webhooks, enum webhook_event event, const struct webhook_view *view)
{
    if (!webhooks_want(webhooks, event)) {
        return;
    }
    struct worker *worker = webhooks->worker;
    struct buf json = {0};
    struct event *queued = NULL;
    if (webhooks->count < worker->config->webhooks_queue_max) {
        write_event(&json, event, view);
        queued = json.failed ? NULL : malloc(sizeof *queued + json.len);
    }
    if (queued == NULL) {
        buf_release(&json);
        worker->metrics.webhook_dropped_queue_total++;
        log_warn("webhook_queue_full", {"queued", log_u64(webhooks->count)});
        return;
    }
    queued->next = NULL;
    queued->len = json.len;
    memcpy(queued->json, json.at, json.len);
    buf_release(&json);
    if (webhooks->last != NULL) {
        webhooks->last->next = queued;
    } else {
        webhooks->first = queued;
    }
    webhooks->last = queued;
    webhooks->count++;
    worker->metrics.webhook_queue = webhooks->count;
    if (webhooks->batch_count == 0 && !timer_is_set(&webhooks->timer)) {
        set_timer(webhooks, worker->config->webhooks_batch_delay_ms);
    }
}

/* ---- life ---- */

struct webhooks *webhooks_new(struct worker *worker)
{
    const struct config *config = worker->config;
    struct webhooks *webhooks = calloc(1, sizeof *webhooks);
    if (webhooks == NULL) {
        return NULL;
    }
    webhooks->worker = worker;
    timer_init(&webhooks->timer, on_timer);
    if (config->webhooks_endpoint[0] == '\0') {
        return webhooks;
    }
    for (size_t i = 0; i < config->webhooks_events.count; i++) {
        enum webhook_event event;
        if (webhook_event_from_text(config->webhooks_events.at[i], &event)) {
            webhooks->wanted |= 1u << event;
        }
    }
    struct http_target_settings settings =
        http_target_defaults("webhooks", config->webhooks_endpoint, (uint32_t)config->webhooks_timeout_ms);
    webhooks->target = http_target_new(worker->http, &settings);
    if (webhooks->target == NULL) {
        free(webhooks);
        return NULL;
    }
    return webhooks;
}

void webhooks_free(struct webhooks *webhooks)
{
    if (webhooks == NULL) {
        return;
    }
    if (webhooks->count > 0) {
        log_warn("webhooks_lost", {"events", log_u64(webhooks->count)});
    }
    timer_cancel(&webhooks->worker->timers, &webhooks->timer);
    while (webhooks->first != NULL) {
        struct event *event = webhooks->first;
        webhooks->first = event->next;
        free(event);
    }
    free(webhooks);
}

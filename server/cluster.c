#include "server/cluster.h"

#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/worker.h"

#include <stdlib.h>

enum { MESSAGE_VERSION = 1 };

/* ---- bytes ---- */

/* The same walk over the fields writes and reads them, so that both cannot differ. */
struct coder {
    struct buf *out; /* NULL: reading */
    struct str rest;
    bool failed;
};

static void code_number(struct coder *coder, uint64_t *value)
{
    if (coder->out != NULL) {
        for (unsigned i = 0; i < 8; i++) {
            buf_append_char(coder->out, (char)(*value >> (8 * i) & 0xFF));
        }
        return;
    }
    coder->failed = coder->failed || coder->rest.len < 8;
    *value = 0;
    for (unsigned i = 0; i < 8 && !coder->failed; i++) {
        *value |= (uint64_t)(unsigned char)coder->rest.at[i] << (8 * i);
    }
    coder->rest = str_skip(coder->rest, 8);
}

static void code_text(struct coder *coder, struct str *text)
{
    uint64_t len = text->len;
    code_number(coder, &len);
    if (coder->out != NULL) {
        buf_append_str(coder->out, *text);
        return;
    }
    coder->failed = coder->failed || len > coder->rest.len;
    *text = coder->failed ? STR("") : str_first(coder->rest, (size_t)len);
    coder->rest = str_skip(coder->rest, text->len);
}

static void code_bool(struct coder *coder, bool *value)
{
    uint64_t number = *value ? 1 : 0;
    code_number(coder, &number);
    coder->failed = coder->failed || number > 1;
    *value = number == 1;
}

/* -1, 0 or 1 */
static void code_choice(struct coder *coder, signed char *value)
{
    uint64_t number = (uint64_t)(*value + 1);
    code_number(coder, &number);
    coder->failed = coder->failed || number > 2;
    *value = coder->failed ? -1 : (signed char)((int)number - 1);
}

static void code_subscribe(struct coder *coder, struct session_subscribe_options *options)
{
    code_text(coder, &options->channel);
    code_text(coder, &options->info);
    code_text(coder, &options->data);
    code_number(coder, &options->expire_at_s);
    code_bool(coder, &options->has_recover_since);
    code_number(coder, &options->recover_since.offset);
    code_text(coder, &options->recover_since.epoch);
    signed char *const choices[] = {&options->presence, &options->join_leave, &options->force_push_join_leave,
                                    &options->force_recovery, &options->force_positioning};
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        code_choice(coder, choices[i]);
    }
}

static void code_request(struct coder *coder, struct control_request *request)
{
    uint64_t action = request->action, code = request->code;
    code_number(coder, &action);
    code_number(coder, &code);
    coder->failed = coder->failed || action > CONTROL_REFRESH || code > 4999;
    request->action = coder->failed ? CONTROL_REFRESH : (enum control_action)action;
    request->code = (unsigned)code;
    code_text(coder, &request->user);
    code_text(coder, &request->client);
    code_text(coder, &request->session);
    code_subscribe(coder, &request->subscribe);
    code_text(coder, &request->channel);
    code_text(coder, &request->reason);
    code_bool(coder, &request->is_expired);
    code_number(coder, &request->expire_at_s);
    code_text(coder, &request->info);
}

void cluster_encode(struct buf *out, struct str sender, const struct control_request *request)
{
    struct coder coder = {.out = out};
    struct control_request copy = *request;
    uint64_t version = MESSAGE_VERSION, count = request->whitelist_count;
    code_number(&coder, &version);
    code_text(&coder, &sender);
    code_request(&coder, &copy);
    code_number(&coder, &count);
    for (size_t i = 0; i < request->whitelist_count; i++) {
        struct str client = request->whitelist[i];
        code_text(&coder, &client);
    }
}

bool cluster_decode(struct str message, struct str *sender, struct control_request *request,
                    struct str *whitelist)
{
    struct coder coder = {.rest = message};
    uint64_t version = 0, count = 0;
    *request = (struct control_request){0};
    *sender = STR("");
    code_number(&coder, &version);
    if (coder.failed || version != MESSAGE_VERSION) {
        return false;
    }
    code_text(&coder, sender);
    code_request(&coder, request);
    code_number(&coder, &count);
    if (coder.failed || count > CLUSTER_WHITELIST_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        whitelist[i] = STR("");
        code_text(&coder, &whitelist[i]);
    }
    request->whitelist = whitelist;
    request->whitelist_count = (size_t)count;
    return !coder.failed && coder.rest.len == 0;
}

/* ---- sending ---- */

/* Here and elsewhere: two answers make one. */
struct order {
    unsigned left;
    enum status status;
    void (*done)(void *context, enum status status);
    void *context;
};

static void on_part(void *context, enum status status)
{
    struct order *order = context;
    order->status = order->status == STATUS_OK ? status : order->status;
    if (--order->left > 0) {
        return;
    }
    order->done(order->context, order->status);
    free(order);
}

void cluster_control(struct worker *worker, const struct control_request *request,
                     void (*done)(void *context, enum status status), void *context)
{
    struct broker *broker = hub_broker(worker->hub);
    if (broker->ops->send_control == NULL) {
        control_apply(worker, request, done, context);
        return;
    }
    struct order *order = calloc(1, sizeof *order);
    if (order == NULL) {
        done(context, STATUS_NO_MEMORY);
        return;
    }
    *order = (struct order){.left = 2, .done = done, .context = context};
    struct buf message = {0};
    cluster_encode(&message, str_from_cstr(worker->server->node_id), request);
    bool is_good = !message.failed && message.len <= CLUSTER_MESSAGE_BYTES_MAX;
    control_apply(worker, request, on_part, order);
    if (is_good) {
        broker->ops->send_control(broker, buf_str(&message), true, on_part, order);
    } else {
        on_part(order, message.failed ? STATUS_NO_MEMORY : STATUS_LIMIT_EXCEEDED);
    }
    buf_release(&message);
}

/* ---- receiving ---- */

static void on_applied(void *context, enum status status)
{
    (void)context;
    if (status != STATUS_OK) {
        log_warn("control_not_applied", {"why", log_text(status_message(status))});
    }
}

void cluster_on_message(void *context, struct str message)
{
    struct worker *worker = context;
    struct str whitelist[CLUSTER_WHITELIST_MAX];
    struct control_request request;
    struct str sender = STR("");
    if (!cluster_decode(message, &sender, &request, whitelist)) {
        log_debug("control_message_ignored");
    } else if (!str_is(sender, worker->server->node_id)) {
        control_apply(worker, &request, on_applied, NULL);
    }
}

void cluster_on_missed(void *context)
{
    (void)context;
    log_warn("control_messages_missed");
}

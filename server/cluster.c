#include "server/cluster.h"

#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/gather.h"
#include "server/json_span.h"
#include "server/survey.h"
#include "server/worker.h"

#include <stdlib.h>

/* The first number of a message: what it is, and of which shape. */
enum { MESSAGE_VERSION = 1, HELLO_VERSION = 2 };

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

/* ---- who else is there ---- */

struct other_node {
    struct link link;
    char node_id[UUID_TEXT_LEN];
    uint64_t seen_ms;
    struct buf info; /* a JSON object */
};

struct cluster {
    struct link peers;
    size_t peer_count;
    unsigned seconds;
};

static void peer_free(struct cluster *cluster, struct other_node *peer)
{
    list_remove(&peer->link);
    cluster->peer_count--;
    buf_release(&peer->info);
    free(peer);
}

void cluster_free(struct cluster *cluster)
{
    if (cluster != NULL) {
        list_each_safe (&cluster->peers, link) {
            peer_free(cluster, container_of(link, struct other_node, link));
        }
        free(cluster);
    }
}

/* NULL without memory. */
static struct cluster *cluster_of(struct worker *worker)
{
    if (worker->cluster == NULL && (worker->cluster = calloc(1, sizeof *worker->cluster)) != NULL) {
        list_init(&worker->cluster->peers);
    }
    return worker->cluster;
}

static struct other_node *peer_get(struct cluster *cluster, struct str node_id)
{
    list_each (&cluster->peers, link) {
        struct other_node *peer = container_of(link, struct other_node, link);
        if (memcmp(peer->node_id, node_id.at, sizeof peer->node_id) == 0) {
            return peer;
        }
    }
    struct other_node *peer = cluster->peer_count < CLUSTER_PEERS_MAX ? calloc(1, sizeof *peer) : NULL;
    if (peer != NULL) {
        memcpy(peer->node_id, node_id.at, sizeof peer->node_id);
        list_push_back(&cluster->peers, &peer->link);
        cluster->peer_count++;
    }
    return peer;
}

static bool on_hello(struct worker *worker, struct str message)
{
    struct coder coder = {.rest = message};
    struct str sender = STR(""), info = STR("");
    uint64_t version = 0;
    code_number(&coder, &version);
    code_text(&coder, &sender);
    code_text(&coder, &info);
    if (coder.failed || version != HELLO_VERSION || sender.len != UUID_TEXT_LEN ||
        info.len > CLUSTER_HELLO_BYTES_MAX || json_kind(info) != JSON_KIND_OBJECT ||
        !json_validate(info, 4)) {
        return false;
    }
    struct cluster *cluster = cluster_of(worker);
    struct other_node *peer =
        cluster == NULL || str_is(sender, worker->server->node_id) ? NULL : peer_get(cluster, sender);
    if (peer != NULL) {
        peer->seen_ms = worker->now_ms;
        buf_reset(&peer->info);
        buf_append_str(&peer->info, info);
    }
    return true;
}

static void on_hello_sent(void *context, enum status status)
{
    (void)context;
    (void)status; /* the next one follows */
}

static void on_own_info(void *context, enum status status, const struct survey_info *info)
{
    struct worker *worker = context;
    struct broker *broker = hub_broker(worker->hub);
    if (status != STATUS_OK) {
        return;
    }
    struct buf text = {0}, message = {0};
    struct coder coder = {.out = &message};
    uint64_t version = HELLO_VERSION;
    struct str sender = str_from_cstr(worker->server->node_id);
    survey_info_print(&text, worker->server, info);
    struct str body = buf_str(&text);
    code_number(&coder, &version);
    code_text(&coder, &sender);
    code_text(&coder, &body);
    if (!text.failed && !message.failed) {
        broker->ops->send_control(broker, buf_str(&message), false, on_hello_sent, NULL);
    }
    buf_release(&text);
    buf_release(&message);
}

void cluster_tick(struct worker *worker)
{
    struct cluster *cluster = hub_broker(worker->hub)->ops->send_control == NULL ? NULL : cluster_of(worker);
    if (cluster == NULL) {
        return;
    }
    list_each_safe (&cluster->peers, link) {
        struct other_node *peer = container_of(link, struct other_node, link);
        if (peer->seen_ms + CLUSTER_FORGET_MS <= worker->now_ms) {
            peer_free(cluster, peer);
        }
    }
    if (cluster->seconds++ % CLUSTER_HELLO_S == 0) {
        survey_info(worker, on_own_info, worker);
    }
}

struct peers_question {
    void (*done)(void *context, struct str peers);
    void *context;
};

static void visit_peers(struct worker *there, const void *question, void *answer)
{
    (void)question;
    struct buf *out = answer;
    if (there->cluster == NULL) {
        return;
    }
    list_each (&there->cluster->peers, link) {
        buf_append_char(out, ',');
        buf_append_str(out, buf_str(&container_of(link, struct other_node, link)->info));
    }
}

static void on_peers(struct gather *gather, void *context)
{
    struct peers_question *question = context;
    struct buf *answer = gather_answer(gather, 0);
    question->done(question->context, answer == NULL || answer->failed ? STR("") : buf_str(answer));
    free(question);
    for (unsigned i = 0; i < gather_count(gather); i++) {
        answer = gather_answer(gather, i);
        if (answer != NULL) {
            buf_release(answer);
        }
    }
}

void cluster_peers(struct worker *worker, void (*done)(void *context, struct str peers), void *context)
{
    struct peers_question *question = calloc(1, sizeof *question);
    if (question != NULL) {
        *question = (struct peers_question){.done = done, .context = context};
    }
    const struct gather_options options = {
        .visit = visit_peers, .done = on_peers, .context = question, .answer_bytes = sizeof(struct buf)};
    if (question == NULL || !gather_start(worker, &options)) {
        free(question);
        done(context, STR(""));
    }
}

void cluster_on_message(void *context, struct str message)
{
    struct worker *worker = context;
    struct str whitelist[CLUSTER_WHITELIST_MAX];
    struct control_request request;
    struct str sender = STR("");
    if (on_hello(worker, message)) {
        return;
    }
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

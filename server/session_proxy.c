/* session_proxy.c - questions of a session to the event proxy.
 *
 *     command ─▶ session_ask_for_command() ─▶ further commands wait ─▶ answer ─▶ on_reply ─▶ session_go_on()
 *
 * A question counts as an op: a session that closes meanwhile is freed when the answer is back. The command
 * is kept as the text it came in and decoded once more for the answer, so that nobody copies its fields.
 */
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/connection.h"
#include "server/session_private.h"
#include "server/users.h"
#include "server/worker.h"

#include <stdlib.h>

struct question {
    struct session *session;
    session_on_proxy_reply *on_reply;
    struct str text; /* owned */
};

static struct str transport_name(const struct session *session)
{
    switch (session->subscriber.frame_kind) {
    case FRAME_WEBSOCKET_JSON: return STR("websocket");
    case FRAME_KIND_COUNT: break;
    }
    return STR("unknown");
}

static void question_free(struct question *question)
{
    if (question != NULL) {
        free((void *)(uintptr_t)question->text.at);
        free(question);
    }
}

static void on_reply(void *context, const struct proxy_reply *reply, struct buf *scratch)
{
    struct question *question = context;
    if (session_op_done(question->session)) {
        question->on_reply(question->session, question->text, reply, scratch);
    }
    question_free(question);
}

bool session_ask(struct session *session, struct proxy *proxy, enum proxy_event event,
                 struct proxy_request *request, struct str text, session_on_proxy_reply *on_answer)
{
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        return false;
    }
    *question = (struct question){.session = session, .on_reply = on_answer, .text = session_copy_text(text)};
    request->client = session_client(session);
    request->transport = transport_name(session);
    request->user = session->user == NULL ? STR("") : user_name(session->user);
    request->meta = proxy_wants_meta(proxy) ? session->meta : STR("");
    bool has_text = text.len == 0 || question->text.at != NULL;
    if (!has_text || !proxy_ask(proxy, event, request, session->headers, on_reply, question)) {
        question_free(question);
        return false;
    }
    session->subscriber.ops_pending++;
    return true;
}

void session_ask_for_command(struct session *session, struct proxy *proxy, enum proxy_event event,
                             struct proxy_request *request, const struct command *command,
                             session_on_proxy_reply *on_answer)
{
    if (session_ask(session, proxy, event, request, command->text, on_answer)) {
        session_wait(session);
    } else {
        session->was_refused = session->was_refused || command->kind == COMMAND_CONNECT;
        session_reply_error(session, command->id, STATUS_NO_MEMORY);
    }
}

bool session_read_again(struct str text, struct command *command, struct buf *scratch)
{
    enum protocol_result result = protocol_next_command(&text, command, scratch);
    must(result == PROTOCOL_COMMAND); /* it was one before */
    return command->status != STATUS_NO_MEMORY;
}

void session_reply_verdict(struct session *session, uint32_t id, const struct proxy_reply *reply)
{
    switch (reply->verdict) {
    case PROXY_ERROR:
        protocol_append_custom_error(session_reply_buf(), id, &reply->error);
        session_send_reply(session);
        return;
    case PROXY_DISCONNECT: session_disconnect(session, &reply->disconnect); return;
    case PROXY_NOTHING:
    case PROXY_FAILURE: session_reply_error(session, id, STATUS_INTERNAL); return;
    case PROXY_RESULT: break;
    }
    must(!"a result is for the caller to use");
}

struct proxy_reply session_malformed_result(const struct session *session, const char *event)
{
    log_warn("proxy_failed", {"asked", log_cstr(event)}, {"problem", log_cstr("result")},
             {"client", log_text(session_client(session))});
    return (struct proxy_reply){.verdict = PROXY_FAILURE};
}

/* ---- sub_refresh ---- */

static void give_grace(struct session *session, struct session_subscription *extra)
{
    extra->expire_due_ms = session->worker->now_ms + PROXY_GRACE_MS;
    if (session->sub_expire_due_ms == 0 || extra->expire_due_ms < session->sub_expire_due_ms) {
        session->sub_expire_due_ms = extra->expire_due_ms;
    }
}

static void renew_subscription(struct session *session, struct subscription *subscription,
                               const struct proxy_refresh_result *result)
{
    struct session_subscription *extra = subscription->extra;
    if (result->is_expired || (result->expire_at_s != 0 && session_ttl_s(result->expire_at_s) == 0)) {
        session_expire_subscription(session, subscription);
        return;
    }
    if (result->info.len > 0) {
        free((void *)(uintptr_t)extra->info.at);
        extra->info = session_copy_text(result->info);
    }
    session_set_sub_expiry(session, extra, result->expire_at_s);
}

static void on_sub_refresh_reply(struct session *session, struct str channel, const struct proxy_reply *reply,
                                 struct buf *scratch)
{
    struct proxy_refresh_result result;
    struct proxy_reply failure;
    struct subscription *subscription = hub_find(session->worker->hub, &session->subscriber, channel);
    struct session_subscription *extra = subscription == NULL ? NULL : subscription->extra;
    if (extra == NULL || !extra->is_asked_for) {
        return; /* it ended meanwhile */
    }
    extra->is_asked_for = false;
    if (reply->verdict == PROXY_RESULT && !proxy_read_refresh(reply->result, scratch, &result)) {
        failure = session_malformed_result(session, "sub_refresh");
        reply = &failure;
    }
    switch (reply->verdict) {
    case PROXY_RESULT: renew_subscription(session, subscription, &result); break;
    case PROXY_NOTHING: session_expire_subscription(session, subscription); break;
    case PROXY_DISCONNECT: session_disconnect(session, &reply->disconnect); break;
    case PROXY_ERROR:
    case PROXY_FAILURE: give_grace(session, extra); break;
    }
    if (session_is_open(session)) {
        connection_schedule(session->connection);
    }
}

void session_ask_sub_refresh(struct session *session, struct subscription *subscription)
{
    struct session_subscription *extra = subscription->extra;
    struct str channel = channel_name(subscription->channel);
    const struct channel_options *options = channel_options_of(subscription->channel);
    struct proxy *proxy =
        proxies_find(session->worker->proxies, PROXY_SUB_REFRESH, options->sub_refresh_proxy_name);
    struct proxy_request request = {.channel = channel};
    if (proxy != NULL &&
        session_ask(session, proxy, PROXY_SUB_REFRESH, &request, channel, on_sub_refresh_reply)) {
        extra->expire_due_ms = 0; /* the answer sets it */
        extra->is_asked_for = true;
    } else {
        give_grace(session, extra);
    }
}

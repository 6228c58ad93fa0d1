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
    must(false && "a result is for the caller to use");
}

struct proxy_reply session_malformed_result(const struct session *session, const char *event)
{
    log_warn("proxy_failed", {"asked", log_cstr(event)}, {"problem", log_cstr("result")},
             {"client", log_text(session_client(session))});
    return (struct proxy_reply){.verdict = PROXY_FAILURE};
}

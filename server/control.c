#include "server/control.h"

#include "channels/base/must.h"
#include "server/gather.h"
#include "server/users.h"
#include "server/worker.h"

#include <stdlib.h>

/* A request on its way, with what its texts point to behind it. */
struct control {
    struct control_request request;
    void (*done)(void *context, enum status status);
    void *context;
    char *text_at; /* where the next text goes */
    struct str whitelist[];
};

/* ---- copying ---- */

enum { TEXT_COUNT = 9 };

/* All texts of a request but the whitelist. */
static void list_texts(struct control_request *request, struct str *texts[TEXT_COUNT])
{
    struct str *const all[TEXT_COUNT] = {
        &request->user,    &request->client, &request->session,        &request->subscribe.channel,
        &request->channel, &request->reason, &request->subscribe.info, &request->subscribe.data,
        &request->info,
    };
    memcpy(texts, all, sizeof all);
}

static size_t text_bytes(const struct control_request *request)
{
    struct control_request copy = *request;
    struct str *texts[TEXT_COUNT];
    list_texts(&copy, texts);
    size_t bytes = request->subscribe.recover_since.epoch.len;
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        bytes += texts[i]->len;
    }
    for (size_t i = 0; i < request->whitelist_count; i++) {
        bytes += request->whitelist[i].len;
    }
    return bytes;
}

static void keep_text(struct control *control, struct str *text)
{
    if (text->len > 0) {
        memcpy(control->text_at, text->at, text->len);
    }
    text->at = control->text_at;
    control->text_at += text->len;
}

static struct control *control_new(const struct control_request *request)
{
    size_t list_bytes = request->whitelist_count * sizeof(struct str);
    /* One byte more, so that an empty text at the end has an address too. */
    struct control *control = calloc(1, sizeof *control + list_bytes + text_bytes(request) + 1);
    if (control == NULL) {
        return NULL;
    }
    control->request = *request;
    control->request.whitelist = control->whitelist;
    control->text_at = (char *)control->whitelist + list_bytes;
    struct str *texts[TEXT_COUNT];
    list_texts(&control->request, texts);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        keep_text(control, texts[i]);
    }
    keep_text(control, &control->request.subscribe.recover_since.epoch);
    for (size_t i = 0; i < request->whitelist_count; i++) {
        control->whitelist[i] = request->whitelist[i];
        keep_text(control, &control->whitelist[i]);
    }
    return control;
}

/* ---- carrying out ---- */

bool control_matches(const struct control_request *request, struct str client)
{
    if (request->session.len > 0 || (request->client.len > 0 && !str_equal(request->client, client))) {
        return false;
    }
    for (size_t i = 0; i < request->whitelist_count; i++) {
        if (str_equal(request->whitelist[i], client)) {
            return false;
        }
    }
    return true;
}

static void act(struct session *session, const struct control_request *request)
{
    switch (request->action) {
    case CONTROL_SUBSCRIBE: session_subscribe(session, &request->subscribe); return;
    case CONTROL_UNSUBSCRIBE:
        session_unsubscribe(session, request->channel,
                            &(struct unsubscribe){.code = request->code, .reason = request->reason});
        return;
    case CONTROL_DISCONNECT:
        session_disconnect(session, &(struct disconnect){.code = request->code, .reason = request->reason});
        return;
    case CONTROL_REFRESH:
        session_refresh(session, request->is_expired, request->expire_at_s, request->info);
        return;
    }
}

static void visit(struct worker *there, const void *question, void *answer)
{
    (void)answer;
    const struct control_request *request = &((const struct control *)question)->request;
    struct link *sessions = users_find(there->users, request->user);
    if (sessions == NULL) {
        return;
    }
    list_each_safe (sessions, link) {
        struct session *session = container_of(link, struct session, in_user);
        must(session->magic == SESSION_MAGIC);
        if (control_matches(request, session_client(session))) {
            act(session, request);
        }
    }
}

static void on_all_back(struct gather *gather, void *context)
{
    struct control *control = context;
    control->done(control->context, gather_missing_count(gather) == 0 ? STATUS_OK : STATUS_BUSY);
    free(control);
}

void control_apply(struct worker *worker, const struct control_request *request,
                   void (*done)(void *context, enum status status), void *context)
{
    struct control *control = control_new(request);
    if (control == NULL) {
        done(context, STATUS_NO_MEMORY);
        return;
    }
    control->done = done;
    control->context = context;
    const struct gather_options options = {
        .visit = visit,
        .done = on_all_back,
        .question = control,
        .context = control,
    };
    if (!gather_start(worker, &options)) {
        free(control);
        done(context, STATUS_NO_MEMORY);
    }
}

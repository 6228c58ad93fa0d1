#include "server/http_client.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/http_client_private.h"

#include <stdlib.h>

enum { KEPT_CONNECTIONS_MAX = 64 }; /* open connections without a request */

enum request_place { REQUEST_WAITING, REQUEST_IN_FLIGHT, REQUEST_ENDED };

struct request {
    struct link link; /* by place: target->waiting, target->in_flight, client->ended */
    enum request_place place;
    struct http_target *target;
    CURL *easy;                /* while IN_FLIGHT */
    struct curl_slist *fields; /* the target's, then its own */
    struct buf body, answer;
    uint32_t head_bytes;
    bool is_too_large;
    bool is_get;
    bool was_allowed; /* by the breaker, which is told how it went */
    uint64_t started_ms;
    enum http_outcome outcome; /* once ENDED */
    unsigned status;
    http_done *done;
    void *context;
};

struct watched_socket {
    ev_io io;
    struct http_client *client;
};

const char *http_outcome_text(enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_OUTCOME_ANSWER: return "answer";
    case HTTP_OUTCOME_UNREACHABLE: return "unreachable";
    case HTTP_OUTCOME_TIMEOUT: return "timeout";
    case HTTP_OUTCOME_BROKEN: return "broken";
    case HTTP_OUTCOME_TOO_LARGE: return "too_large";
    case HTTP_OUTCOME_BUSY: return "busy";
    case HTTP_OUTCOME_OPEN: return "breaker_open";
    case HTTP_OUTCOME_STOPPED: return "stopped";
    case HTTP_OUTCOME_NO_MEMORY: return "no_memory";
    case HTTP_OUTCOME_COUNT: break;
    }
    return "unknown";
}

/* ---- requests ---- */

static void request_free(struct request *request)
{
    if (request != NULL) {
        must(request->easy == NULL);
        curl_slist_free_all(request->fields);
        buf_release(&request->body);
        buf_release(&request->answer);
        free(request);
    }
}

static void start_waiting(struct http_target *target);

static bool has_answered(enum http_outcome outcome)
{
    return outcome == HTTP_OUTCOME_ANSWER || outcome == HTTP_OUTCOME_TOO_LARGE;
}

static void request_end(struct request *request, enum http_outcome outcome);

static void end_all(struct link *requests, enum http_outcome outcome)
{
    list_each_safe (requests, link) {
        request_end(container_of(link, struct request, link), outcome);
    }
}

static void tell_breaker(struct http_target *target, enum http_outcome outcome)
{
    bool was_open = target->breaker.is_open;
    breaker_record(&target->breaker, has_answered(outcome), clock_monotonic_ms());
    if (!was_open && target->breaker.is_open) {
        log_warn("backend_given_up", {"backend", log_cstr(target->name)},
                 {"last", log_cstr(http_outcome_text(outcome))},
                 {"failures", log_u64(target->breaker.failures)});
        end_all(&target->waiting, HTTP_OUTCOME_OPEN);
    } else if (was_open && !target->breaker.is_open) {
        log_info("backend_answers_again", {"backend", log_cstr(target->name)});
    }
}

static void set_ended_soon(struct http_client *client)
{
    if (!ev_is_active(&client->ended_soon)) {
        ev_timer_set(&client->ended_soon, 0., 0.);
        ev_timer_start(client->loop, &client->ended_soon);
    }
}

/* From any place to ENDED; `done` runs from the loop. */
static void request_end(struct request *request, enum http_outcome outcome)
{
    struct http_target *target = request->target;
    must(request->place != REQUEST_ENDED);
    if (request->place == REQUEST_IN_FLIGHT) {
        (void)curl_multi_remove_handle(target->client->multi, request->easy);
        http_target_return_easy(target, request->easy);
        request->easy = NULL;
        target->counters.in_flight--;
    } else if (link_is_listed(&request->link)) {
        target->counters.waiting--;
    }
    list_remove(&request->link);
    request->place = REQUEST_ENDED;
    request->outcome = outcome;
    list_push_back(&target->client->ended, &request->link);
    set_ended_soon(target->client);
    if (request->was_allowed && outcome != HTTP_OUTCOME_OPEN && outcome != HTTP_OUTCOME_STOPPED) {
        tell_breaker(target, outcome);
    }
}

static void on_ended_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct http_client *client = timer->data;
    struct link now;
    struct link *link;
    list_init(&now);
    list_append(&now, &client->ended); /* what `done` posts and ends at once waits for the next time */
    while ((link = list_pop_front(&now)) != NULL) {
        struct request *request = container_of(link, struct request, link);
        struct http_counters *counters = &request->target->counters;
        uint64_t duration_ms = clock_monotonic_ms() - request->started_ms;
        struct http_answer answer = {.outcome = request->outcome,
                                     .duration_ms =
                                         (uint32_t)(duration_ms < UINT32_MAX ? duration_ms : UINT32_MAX)};
        if (request->outcome == HTTP_OUTCOME_ANSWER) {
            answer.status = request->status;
            answer.body = buf_str(&request->answer);
        }
        counters->outcomes[request->outcome]++;
        counters->duration_ms += duration_ms;
        request->done(request->context, &answer);
        request_free(request);
    }
}

/* ---- libcurl's callbacks: none of them ends a request ---- */

static size_t on_answer_bytes(char *bytes, size_t size, size_t count, void *data)
{
    struct request *request = data;
    size_t len = size * count;
    if (request->answer.len + len > request->target->settings.answer_bytes_max) {
        request->is_too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    buf_append(&request->answer, bytes, len);
    return request->answer.failed ? CURL_WRITEFUNC_ERROR : len;
}

static size_t on_head_bytes(char *bytes, size_t size, size_t count, void *data)
{
    (void)bytes;
    struct request *request = data;
    size_t len = size * count;
    request->head_bytes += (uint32_t)len; /* libcurl gives one line of at most 100 KiB */
    request->is_too_large = request->head_bytes > request->target->settings.answer_bytes_max;
    return request->is_too_large ? 0 : len;
}

static enum http_outcome outcome_of(const struct request *request, CURLcode code)
{
    if (request->is_too_large || code == CURLE_FILESIZE_EXCEEDED) {
        return HTTP_OUTCOME_TOO_LARGE;
    }
    if (request->answer.failed) {
        return HTTP_OUTCOME_NO_MEMORY;
    }
    switch (code) {
    case CURLE_OK: return HTTP_OUTCOME_ANSWER;
    case CURLE_OUT_OF_MEMORY: return HTTP_OUTCOME_NO_MEMORY;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE: return HTTP_OUTCOME_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT: {
        curl_off_t pretransfer_us = 0;
        (void)curl_easy_getinfo(request->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us);
        return pretransfer_us == 0 ? HTTP_OUTCOME_UNREACHABLE : HTTP_OUTCOME_TIMEOUT;
    }
    default: return HTTP_OUTCOME_BROKEN;
    }
}

/* Ends what libcurl has finished. */
static void collect(struct http_client *client)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        struct request *request = NULL;
        long status = 0;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        struct http_target *target = request->target;
        enum http_outcome outcome = outcome_of(request, code);
        request->status = (unsigned)status;
        request_end(request, outcome);
        start_waiting(target);
    }
}

static void on_socket_event(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    struct http_client *client = container_of(io, struct watched_socket, io)->client;
    int running;
    int action =
        ((events & EV_READ) != 0 ? CURL_CSELECT_IN : 0) | ((events & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    (void)curl_multi_socket_action(client->multi, io->fd, action, &running); /* may free the watcher */
    collect(client);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct http_client *client = timer->data;
    int running;
    (void)curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(client);
}

static int on_watch(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
    (void)easy;
    struct http_client *client = data;
    struct watched_socket *watched = socket_data;
    if (what == CURL_POLL_REMOVE) {
        if (watched != NULL) {
            ev_io_stop(client->loop, &watched->io);
            free(watched);
        }
        return 0;
    }
    if (watched == NULL) {
        watched = calloc(1, sizeof *watched);
        if (watched == NULL) {
            return -1;
        }
        watched->client = client;
        ev_io_init(&watched->io, on_socket_event, fd, EV_NONE);
        (void)curl_multi_assign(client->multi, fd, watched);
    }
    int events = ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) | ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0);
    ev_io_stop(client->loop, &watched->io);
    ev_io_set(&watched->io, fd, events);
    ev_io_start(client->loop, &watched->io);
    return 0;
}

static int on_set_timer(CURLM *multi, long timeout_ms, void *data)
{
    (void)multi;
    struct http_client *client = data;
    ev_timer_stop(client->loop, &client->timer);
    if (timeout_ms >= 0) {
        ev_now_update(client->loop); /* the loop's time may be that of the beginning of a long turn */
        ev_timer_set(&client->timer, (double)timeout_ms / 1000., 0.);
        ev_timer_start(client->loop, &client->timer);
    }
    return 0;
}

/* ---- starting ---- */

static bool set_method(CURL *easy, const struct request *request)
{
    if (request->is_get) {
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    }
    return curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.at == NULL ? "" : request->body.at) ==
               CURLE_OK;
}

static bool set_request(CURL *easy, struct request *request, long timeout_ms)
{
    return curl_easy_setopt(easy, CURLOPT_PRIVATE, request) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer_bytes) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, request) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head_bytes) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, request) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->fields) == CURLE_OK &&
           set_method(easy, request) && curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK;
}

static uint64_t elapsed_ms(const struct request *request)
{
    return clock_monotonic_ms() - request->started_ms;
}

/* `request` is on no list. */
static void start(struct request *request)
{
    struct http_target *target = request->target;
    uint64_t waited_ms = elapsed_ms(request);
    if (waited_ms >= target->settings.timeout_ms) {
        request_end(request, HTTP_OUTCOME_TIMEOUT);
        return;
    }
    CURL *easy = http_target_take_easy(target);
    if (easy == NULL) {
        request_end(request, HTTP_OUTCOME_NO_MEMORY);
        return;
    }
    if (!set_request(easy, request, (long)(target->settings.timeout_ms - waited_ms)) ||
        curl_multi_add_handle(target->client->multi, easy) != CURLM_OK) {
        http_target_return_easy(target, easy);
        request_end(request, HTTP_OUTCOME_NO_MEMORY);
        return;
    }
    request->easy = easy;
    request->place = REQUEST_IN_FLIGHT;
    list_push_back(&target->in_flight, &request->link);
    target->counters.in_flight++;
}

static struct request *oldest_waiting(const struct http_target *target)
{
    return list_is_empty(&target->waiting) ? NULL : container_of(target->waiting.next, struct request, link);
}

static void on_wait_end(struct ev_loop *loop, ev_timer *timer, int events);

/* Sets the timer to when the oldest that waits has waited too long. */
static void set_wait_end(struct http_target *target)
{
    struct http_client *client = target->client;
    struct request *oldest = oldest_waiting(target);
    ev_timer_stop(client->loop, &target->wait_end);
    if (oldest != NULL) {
        uint64_t waited_ms = elapsed_ms(oldest);
        uint64_t left_ms =
            waited_ms < target->settings.timeout_ms ? target->settings.timeout_ms - waited_ms : 0;
        ev_now_update(client->loop);
        ev_timer_init(&target->wait_end, on_wait_end, (double)left_ms / 1000., 0.);
        target->wait_end.data = target;
        ev_timer_start(client->loop, &target->wait_end);
    }
}

static void on_wait_end(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct http_target *target = timer->data;
    struct request *oldest;
    while ((oldest = oldest_waiting(target)) != NULL && elapsed_ms(oldest) >= target->settings.timeout_ms) {
        request_end(oldest, HTTP_OUTCOME_TIMEOUT);
    }
    set_wait_end(target);
}

static void start_waiting(struct http_target *target)
{
    struct request *oldest;
    if (list_is_empty(&target->waiting)) {
        return;
    }
    while (target->counters.in_flight < target->settings.in_flight_max &&
           (oldest = oldest_waiting(target)) != NULL) {
        list_remove(&oldest->link);
        target->counters.waiting--;
        start(oldest);
    }
    set_wait_end(target);
}

static void wait_for_place(struct request *request)
{
    struct http_target *target = request->target;
    bool is_first = list_is_empty(&target->waiting);
    list_push_back(&target->waiting, &request->link);
    target->counters.waiting++;
    if (is_first) {
        set_wait_end(target);
    }
}

/* Sends a request, lets it wait or ends it at once. */
static bool begin(struct http_client *client, struct http_target *target, bool is_get, struct str body,
                  const struct http_field *fields, size_t field_count, http_done *done, void *context)
{
    must(target->client == client);
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        return false;
    }
    list_init(&request->link);
    request->is_get = is_get;
    request->target = target;
    request->done = done;
    request->context = context;
    request->started_ms = clock_monotonic_ms();
    buf_append_str(&request->body, body);
    if (request->body.failed || !http_lines_append_list(&request->fields, target->fields) ||
        !http_lines_append_fields(&request->fields, fields, field_count)) {
        request_free(request);
        return false;
    }
    target->counters.requests++;
    bool has_place = target->counters.in_flight < target->settings.in_flight_max;
    if (client->is_stopping) {
        request_end(request, HTTP_OUTCOME_STOPPED);
    } else if (!has_place && target->counters.waiting >= target->settings.waiting_max) {
        request_end(request, HTTP_OUTCOME_BUSY);
    } else if (!breaker_allows(&target->breaker, request->started_ms)) {
        request_end(request, HTTP_OUTCOME_OPEN);
    } else if (has_place) {
        request->was_allowed = true;
        start(request);
    } else {
        request->was_allowed = true;
        wait_for_place(request);
    }
    return true;
}

bool http_client_post(struct http_client *client, struct http_target *target, struct str body,
                      const struct http_field *fields, size_t field_count, http_done *done, void *context)
{
    return begin(client, target, false, body, fields, field_count, done, context);
}

bool http_client_get(struct http_client *client, struct http_target *target, http_done *done, void *context)
{
    return begin(client, target, true, STR(""), NULL, 0, done, context);
}

/* ---- the client ---- */

struct http_client *http_client_new(struct ev_loop *loop, const char **error)
{
    *error = "no memory for the HTTP client";
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return NULL;
    }
    if ((curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS) == 0) {
        *error = "this libcurl resolves names synchronously: one with the threaded resolver is needed";
        curl_global_cleanup();
        return NULL;
    }
    struct http_client *client = calloc(1, sizeof *client);
    CURLM *multi = client == NULL ? NULL : curl_multi_init();
    if (multi == NULL) {
        free(client);
        curl_global_cleanup();
        return NULL;
    }
    client->multi = multi;
    client->loop = loop;
    list_init(&client->ended);
    list_init(&client->targets);
    ev_timer_init(&client->timer, on_timer, 0., 0.);
    client->timer.data = client;
    ev_timer_init(&client->ended_soon, on_ended_soon, 0., 0.);
    client->ended_soon.data = client;
    (void)curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_watch);
    (void)curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    (void)curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_set_timer);
    (void)curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    (void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS_MAX);
    (void)curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    client->is_stopping = true;
    list_each (&client->targets, link) {
        struct http_target *target = container_of(link, struct http_target, link);
        end_all(&target->waiting, HTTP_OUTCOME_STOPPED);
        end_all(&target->in_flight, HTTP_OUTCOME_STOPPED);
    }
    while (!list_is_empty(&client->ended)) {
        on_ended_soon(client->loop, &client->ended_soon, 0);
    }
    struct link *link;
    while ((link = list_pop_front(&client->targets)) != NULL) {
        http_target_free(container_of(link, struct http_target, link));
    }
    (void)curl_multi_cleanup(client->multi); /* closes the kept connections, by way of on_watch() */
    ev_timer_stop(client->loop, &client->timer);
    ev_timer_stop(client->loop, &client->ended_soon);
    free(client);
    curl_global_cleanup();
}

void http_client_count(const struct http_client *client, struct http_counters *out)
{
    *out = (struct http_counters){0};
    list_each (&client->targets, link) {
        const struct http_counters *counters = &container_of(link, struct http_target, link)->counters;
        out->requests += counters->requests;
        out->duration_ms += counters->duration_ms;
        out->in_flight += counters->in_flight;
        out->waiting += counters->waiting;
        for (size_t i = 0; i < HTTP_OUTCOME_COUNT; i++) {
            out->outcomes[i] += counters->outcomes[i];
        }
    }
}

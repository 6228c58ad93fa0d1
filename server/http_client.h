/* http_client.h - requests to backends of the application: event proxy, key sets.
 *
 *     post ─▶ breaker open? ──────────────── yes ─▶ fails at once
 *              └ no ─▶ a free place? ─ no ─▶ waits in the target's queue, until its time is up
 *                       └ yes ─▶ libcurl ─▶ done(answer)
 *
 * libcurl's multi interface on the worker's own loop, by socket and timer callbacks: no thread, no polling,
 * nothing that waits. Names are resolved by libcurl's threaded resolver (http_client_new() insists on it), so
 * that a slow DNS server holds nobody up either; a resolution that outlives its request is left to end by
 * itself. Connections are kept alive and shared by all targets of the client.
 *
 * A backend is trusted to be asked, not to behave: redirects are not followed, only http and https are
 * spoken, cookies and the environment's http_proxy do not exist, the answer is cut off by size and time. A
 * POST that meets a kept connection which the backend is just closing is sent once more on a new one; the
 * backend may see it twice.
 *
 * Thread: the worker's; http_client_new() and http_target_new() on main before it runs.
 * Memory: heap; a request owns a copy of its body and headers. Idle libcurl handles are kept per target, at
 * most in_flight_max.   Limits: per target, struct http_target_settings.   Source: THREATS section 0, W31.
 */
#ifndef STARLING_SERVER_HTTP_CLIENT_H
#define STARLING_SERVER_HTTP_CLIENT_H

#include "channels/base/buf.h"
#include "channels/base/str.h"
#include "server/http_field.h"

struct ev_loop;
struct http_client;
struct http_target;

enum http_outcome {
    HTTP_OUTCOME_ANSWER,      /* a whole answer; any status */
    HTTP_OUTCOME_UNREACHABLE, /* no such name, refused, TLS failed, or no connection in time */
    HTTP_OUTCOME_TIMEOUT,
    HTTP_OUTCOME_BROKEN,    /* closed early, or no HTTP */
    HTTP_OUTCOME_TOO_LARGE, /* head or body */
    HTTP_OUTCOME_BUSY,      /* the queue is full; nothing was sent */
    HTTP_OUTCOME_OPEN,      /* the breaker is open; nothing was sent */
    HTTP_OUTCOME_STOPPED,   /* the client is being freed */
    HTTP_OUTCOME_NO_MEMORY,
    HTTP_OUTCOME_COUNT
};

/* "timeout", "too_large", …; static, for logs. */
const char *http_outcome_text(enum http_outcome outcome);

struct http_answer {
    enum http_outcome outcome;
    unsigned status;      /* 0 but for HTTP_OUTCOME_ANSWER */
    struct str body;      /* borrowed for the call */
    uint32_t duration_ms; /* since the post, waiting included */
};

/* Runs exactly once for a post, on the same thread, never inside it. It may post again. */
typedef void http_done(void *context, const struct http_answer *answer);

struct http_target_settings {
    const char *name; /* what the log calls it; never the URL, which may hold a password. Copied */
    const char *url;
    uint32_t timeout_ms;         /* the whole of it, waiting for a place included */
    uint32_t connect_timeout_ms; /* of that, until TCP and TLS are up */
    uint32_t answer_bytes_max;   /* body, and the same again for the head */
    uint32_t in_flight_max;
    uint32_t waiting_max;
    uint32_t failures_max; /* in a row; see breaker.h */
    uint32_t open_ms;
    const struct http_field *fields; /* sent with every request; copied */
    size_t field_count;
    const char *ca_pem; /* the authorities to trust instead of the system's; NULL: the system's. Copied */
};

/* The limits of THREATS section 0. */
struct http_target_settings http_target_defaults(const char *name, const char *url, uint32_t timeout_ms);

struct http_counters {
    uint64_t requests;                     /* posts */
    uint64_t outcomes[HTTP_OUTCOME_COUNT]; /* of requests that are done */
    uint64_t duration_ms;                  /* sum over requests that are done */
    uint32_t in_flight, waiting;           /* now */
};

/* NULL: no memory, or this libcurl resolves names while everybody waits; *error (static) says which. `loop`
 * is the worker's. */
struct http_client *http_client_new(struct ev_loop *loop, const char **error);

/* Whatever is under way ends here, with HTTP_OUTCOME_STOPPED; then targets and client are freed. NULL is
 * fine. */
void http_client_free(struct http_client *client);

/* Is this an absolute http or https URL without user and password? Those belong into a header. */
bool http_url_is_valid(const char *url);

/* A backend to post to; owned by the client. NULL without memory, or where libcurl refuses a setting. */
struct http_target *http_target_new(struct http_client *client, const struct http_target_settings *settings);

/* Posts JSON. `fields` come after the target's own; unsafe ones are left out. All arguments are copied.
 * false: no memory, and `done` will not run. */
bool http_client_post(struct http_client *client, struct http_target *target, struct str body,
                      const struct http_field *fields, size_t field_count, http_done *done, void *context);

/* Gets the target's URL; otherwise as http_client_post(). */
bool http_client_get(struct http_client *client, struct http_target *target, http_done *done, void *context);

/* Sums over the client's targets. */
void http_client_count(const struct http_client *client, struct http_counters *out);
const struct http_counters *http_target_counters(const struct http_target *target);

#endif

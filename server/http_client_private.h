/* http_client_private.h - what the files of the HTTP client share: http_client.c (requests, libcurl's multi
 * interface on the loop), http_client_target.c (targets, handles, header lines).
 */
#ifndef STARLING_SERVER_HTTP_CLIENT_PRIVATE_H
#define STARLING_SERVER_HTTP_CLIENT_PRIVATE_H

#include "channels/base/list.h"
#include "server/breaker.h"
#include "server/http_client.h"

#include <curl/curl.h>
#include <ev.h>

struct http_client {
    CURLM *multi;
    struct ev_loop *loop;
    ev_timer timer;      /* libcurl's */
    ev_timer ended_soon; /* set while `ended` has requests: `done` must not run inside the post */
    struct link ended;   /* struct request.link */
    struct link targets; /* struct http_target.link */
    bool is_stopping;
};

struct http_target {
    struct link link;
    struct http_client *client;
    char *url, *name;
    struct curl_slist *fields; /* the first headers of every request */
    char *ca_pem;
    struct http_target_settings settings; /* its pointers are not used after http_target_new() */
    struct breaker breaker;
    struct link waiting, in_flight; /* struct request.link, oldest first */
    ev_timer wait_end;              /* set while somebody waits: when the oldest one's time is up */
    CURL **idle;                    /* handles that are ready to be used again */
    size_t idle_count;
    struct http_counters counters;
};

/* A handle with everything set that is the same for all requests of the target; NULL without memory. */
CURL *http_target_take_easy(struct http_target *target);
/* Puts it away for the next request, or frees it. */
void http_target_return_easy(struct http_target *target, CURL *easy);

/* Nothing is waiting or in flight. NULL is fine. */
void http_target_free(struct http_target *target);

/* Append header lines; unsafe fields are left out. false: no memory. */
bool http_lines_append_fields(struct curl_slist **list, const struct http_field *fields, size_t count);
bool http_lines_append_list(struct curl_slist **list, const struct curl_slist *more);

#endif

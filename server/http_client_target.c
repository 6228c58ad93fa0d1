#include "channels/base/must.h"
#include "server/http_client_private.h"
#include "server/version.h"

#include <stdlib.h>

enum {
    CONNECT_TIMEOUT_MS = 1000,
    ANSWER_BYTES_MAX = 64 * 1024,
    IN_FLIGHT_MAX = 256,
    WAITING_MAX = 1024,
    FAILURES_MAX = 10,
    OPEN_MS = 1000,
};

/* ---- header lines ---- */

/* false: no memory. */
static bool append_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *grown = curl_slist_append(*list, line);
    *list = grown != NULL ? grown : *list;
    return grown != NULL;
}

static bool append_field(struct curl_slist **list, const struct http_field *field)
{
    struct buf line = {0};
    if (!http_field_is_safe(field)) { /* a blank value, too, would tell libcurl to leave its own header out */
        return true;
    }
    buf_append_str(&line, field->name);
    buf_append_lit(&line, ": ");
    buf_append_str(&line, str_trim(field->value));
    buf_append_char(&line, '\0');
    bool is_appended = !line.failed && append_line(list, line.at);
    buf_release(&line);
    return is_appended;
}

bool http_lines_append_fields(struct curl_slist **list, const struct http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!append_field(list, &fields[i])) {
            return false;
        }
    }
    return true;
}

bool http_lines_append_list(struct curl_slist **list, const struct curl_slist *more)
{
    for (; more != NULL; more = more->next) {
        if (!append_line(list, more->data)) {
            return false;
        }
    }
    return true;
}

/* ---- handles ---- */

static CURL *new_easy(const struct http_target *target)
{
    CURL *easy = curl_easy_init();
    if (easy == NULL) {
        return NULL;
    }
    const struct http_target_settings *settings = &target->settings;
    CURLcode codes[] = {
        curl_easy_setopt(easy, CURLOPT_URL, target->url),
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"),
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L),
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1),
        curl_easy_setopt(easy, CURLOPT_PROXY, ""), /* none, whatever the environment says */
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "starling/" STARLING_VERSION),
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_timeout_ms),
        curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, (long)settings->answer_bytes_max),
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L),
        /* Without it, giving up on a name that is still being resolved waits for the resolver. */
        curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L),
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] != CURLE_OK) {
            curl_easy_cleanup(easy);
            return NULL;
        }
    }
    if (target->ca_pem != NULL) {
        struct curl_blob blob = {.data = target->ca_pem, .len = strlen(target->ca_pem)};
        if (curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob) != CURLE_OK) {
            curl_easy_cleanup(easy);
            return NULL;
        }
    }
    return easy;
}

CURL *http_target_take_easy(struct http_target *target)
{
    return target->idle_count > 0 ? target->idle[--target->idle_count] : new_easy(target);
}

void http_target_return_easy(struct http_target *target, CURL *easy)
{
    if (target->idle_count < target->settings.in_flight_max) {
        target->idle[target->idle_count++] = easy;
    } else {
        curl_easy_cleanup(easy);
    }
}

/* ---- targets ---- */

struct http_target_settings http_target_defaults(const char *name, const char *url, uint32_t timeout_ms)
{
    return (struct http_target_settings){.name = name,
                                         .url = url,
                                         .timeout_ms = timeout_ms,
                                         .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                         .answer_bytes_max = ANSWER_BYTES_MAX,
                                         .in_flight_max = IN_FLIGHT_MAX,
                                         .waiting_max = WAITING_MAX,
                                         .failures_max = FAILURES_MAX,
                                         .open_ms = OPEN_MS};
}

bool http_url_is_valid(const char *url)
{
    CURLU *parts = curl_url();
    char *scheme = NULL;
    bool is_valid = parts != NULL &&
                    curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
                    curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                    (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(parts);
    return is_valid;
}

void http_target_free(struct http_target *target)
{
    if (target == NULL) {
        return;
    }
    must(target->counters.in_flight == 0 && target->counters.waiting == 0);
    ev_timer_stop(target->client->loop, &target->wait_end);
    for (size_t i = 0; i < target->idle_count; i++) {
        curl_easy_cleanup(target->idle[i]);
    }
    free((void *)target->idle);
    curl_slist_free_all(target->fields);
    list_remove(&target->link);
    free(target->ca_pem);
    free(target->url);
    free(target->name);
    free(target);
}

struct http_target *http_target_new(struct http_client *client, const struct http_target_settings *settings)
{
    struct http_target *target = calloc(1, sizeof *target);
    if (target == NULL) {
        return NULL;
    }
    must(settings->in_flight_max > 0 && settings->timeout_ms > 0);
    target->client = client;
    target->settings = *settings;
    list_init(&target->link);
    list_init(&target->waiting);
    list_init(&target->in_flight);
    breaker_init(&target->breaker, settings->failures_max, settings->open_ms);
    target->url = str_to_cstr(str_from_cstr(settings->url));
    target->name = str_to_cstr(str_from_cstr(settings->name));
    target->idle = calloc(settings->in_flight_max, sizeof *target->idle);
    target->ca_pem = settings->ca_pem == NULL ? NULL : str_to_cstr(str_from_cstr(settings->ca_pem));
    bool is_made = target->url != NULL && target->name != NULL && target->idle != NULL &&
                   (settings->ca_pem == NULL || target->ca_pem != NULL) &&
                   append_line(&target->fields, "Content-Type: application/json") &&
                   append_line(&target->fields, "Expect:") && /* never: it costs a round trip */
                   http_lines_append_fields(&target->fields, settings->fields, settings->field_count);
    CURL *easy =
        is_made ? new_easy(target) : NULL; /* so that bad settings show here, not at the first post */
    if (easy == NULL) {
        http_target_free(target);
        return NULL;
    }
    http_target_return_easy(target, easy);
    list_push_back(&client->targets, &target->link);
    return target;
}

const struct http_counters *http_target_counters(const struct http_target *target)
{
    return &target->counters;
}

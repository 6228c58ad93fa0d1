#include "server/proxy.h"

#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/http.h"
#include "server/http_client.h"
#include "server/pem.h"

#include <stdlib.h>

enum {
    FIELDS_MAX = 64,   /* headers of a client that go into one request */
    IN_FLIGHT_MIN = 8, /* of one worker, however many there are */
    HTTP_OK = 200,
};

struct proxy {
    struct proxy_options options; /* texts are the configuration's */
    struct http_client *client;
    struct http_target *target;
};

struct proxies {
    const struct config *config;
    struct proxy *events[PROXY_EVENT_COUNT]; /* NULL: no endpoint */
    struct proxy **named;                    /* as config->proxies */
    bool has_rpc;
};

/* ---- headers of a client ---- */

/* "Name: value\r\n" each: neither part has a line break in it. */
struct proxy_headers {
    struct buf sent, emulated;
};

static struct proxy_headers *headers_of(struct proxy_headers **headers)
{
    if (*headers == NULL) {
        *headers = calloc(1, sizeof **headers);
    }
    return *headers;
}

void proxy_headers_free(struct proxy_headers *headers)
{
    if (headers != NULL) {
        buf_release(&headers->sent);
        buf_release(&headers->emulated);
        free(headers);
    }
}

static void append_line(struct buf *lines, struct str name, struct str value)
{
    buf_append_str(lines, name);
    buf_append_lit(lines, ": ");
    buf_append_str(lines, value);
    buf_append_lit(lines, "\r\n");
}

static bool next_line(struct str *rest, struct http_field *out)
{
    if (rest->at == NULL || rest->len == 0) {
        return false;
    }
    struct str line = str_next(rest, '\n');
    line.len--; /* the CR */
    out->name = str_next(&line, ':');
    out->value = str_skip(line, 1);
    return true;
}

static bool list_has(const struct str_list *names, struct str name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (str_equal_nocase(names->at[i], name)) {
            return true;
        }
    }
    return false;
}

/* Does any proxy pass this header on? */
static bool is_wanted(const struct proxies *proxies, struct str name, bool is_emulated)
{
    for (int event = 0; event < PROXY_EVENT_COUNT; event++) {
        const struct proxy *proxy = proxies->events[event];
        if (proxy != NULL && list_has(is_emulated ? &proxy->options.proxy_emulated_headers
                                                  : &proxy->options.proxy_http_headers,
                                      name)) {
            return true;
        }
    }
    for (size_t i = 0; i < proxies->config->proxy_count; i++) {
        const struct proxy_options *options = &proxies->config->proxies[i];
        if (list_has(is_emulated ? &options->proxy_emulated_headers : &options->proxy_http_headers, name)) {
            return true;
        }
    }
    return false;
}

bool proxies_keep_headers(const struct proxies *proxies, const struct http_request *request,
                          struct proxy_headers **headers)
{
    for (size_t i = 0; i < request->header_count; i++) {
        struct str name = request->headers[i].name;
        if (!is_wanted(proxies, name, false)) {
            continue;
        }
        if (headers_of(headers) == NULL) {
            return false;
        }
        append_line(&(*headers)->sent, name, request->headers[i].value);
    }
    return *headers == NULL || !(*headers)->sent.failed;
}

enum status proxies_keep_emulated(const struct proxies *proxies, struct str connect_headers, size_t bytes_max,
                                  struct proxy_headers **headers)
{
    struct buf scratch = {0};
    struct http_field field;
    struct str rest = connect_headers;
    enum status status = STATUS_OK;
    if (connect_headers.len == 0) {
        return STATUS_OK;
    }
    if (!buf_reserve(&scratch, connect_headers.len)) {
        return STATUS_NO_MEMORY;
    }
    enum protocol_result result = PROTOCOL_END;
    while (status == STATUS_OK &&
           (result = protocol_next_header(&rest, &field.name, &field.value, &scratch)) == PROTOCOL_COMMAND) {
        if (!is_wanted(proxies, field.name, true) || !http_field_is_safe(&field)) {
            continue;
        }
        if (headers_of(headers) == NULL) {
            status = STATUS_NO_MEMORY;
        } else {
            append_line(&(*headers)->emulated, field.name, field.value);
            status = (*headers)->emulated.failed            ? STATUS_NO_MEMORY
                     : (*headers)->emulated.len > bytes_max ? STATUS_BAD_REQUEST
                                                            : STATUS_OK;
        }
    }
    buf_release(&scratch);
    return status == STATUS_OK && result == PROTOCOL_MALFORMED ? STATUS_BAD_REQUEST : status;
}

static bool fields_have(const struct http_field *fields, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_nocase(fields[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* What of a client's headers goes to this proxy. A header that really came wins over an emulated one: it may
 * have been set by a proxy in front that vouches for it. */
static size_t collect_fields(const struct proxy_options *options, const struct proxy_headers *headers,
                             struct http_field fields[FIELDS_MAX])
{
    size_t count = 0;
    struct http_field field;
    if (headers == NULL) {
        return 0;
    }
    struct str rest = buf_str(&headers->sent);
    while (count < FIELDS_MAX && next_line(&rest, &field)) {
        if (list_has(&options->proxy_http_headers, field.name)) {
            fields[count++] = field;
        }
    }
    size_t sent_count = count;
    rest = buf_str(&headers->emulated);
    while (count < FIELDS_MAX && next_line(&rest, &field)) {
        if (list_has(&options->proxy_emulated_headers, field.name) &&
            !fields_have(fields, sent_count, field.name)) {
            fields[count++] = field;
        }
    }
    return count;
}

/* ---- asking ---- */

struct question {
    const struct proxy *proxy;
    enum proxy_event event;
    proxy_on_reply *on_reply;
    void *context;
};

static const char *const event_names[PROXY_EVENT_COUNT] = {
    [PROXY_CONNECT] = "connect", [PROXY_REFRESH] = "refresh", [PROXY_SUBSCRIBE] = "subscribe",
    [PROXY_PUBLISH] = "publish", [PROXY_RPC] = "rpc",         [PROXY_SUB_REFRESH] = "sub_refresh",
};

static void log_failure(const struct question *question, const struct http_answer *answer)
{
    bool has_answered = answer->outcome == HTTP_OUTCOME_ANSWER;
    if (answer->outcome == HTTP_OUTCOME_STOPPED) {
        return;
    }
    log_warn("proxy_failed", {"asked", log_cstr(event_names[question->event])},
             {"proxy", log_cstr(question->proxy->options.name)},
             {"problem", log_cstr(!has_answered               ? http_outcome_text(answer->outcome)
                                  : answer->status == HTTP_OK ? "malformed"
                                                              : "status")},
             {"status", log_u64(answer->status)}, {"after_ms", log_u64(answer->duration_ms)});
}

static void on_answer(void *context, const struct http_answer *answer)
{
    struct question *question = context;
    struct proxy_reply reply = {.verdict = PROXY_FAILURE};
    struct buf scratch = {0};
    if (answer->outcome == HTTP_OUTCOME_ANSWER && answer->status == HTTP_OK) {
        proxy_read_reply(answer->body, &scratch, &reply);
        bool may_say_nothing = question->event == PROXY_CONNECT || question->event == PROXY_REFRESH ||
                               question->event == PROXY_SUB_REFRESH;
        if (reply.verdict == PROXY_NOTHING && !may_say_nothing) {
            reply.verdict = PROXY_FAILURE;
        }
    } else if (answer->outcome == HTTP_OUTCOME_ANSWER) {
        proxy_reply_from_status(&question->proxy->options.proxy_transforms, answer->status, &reply);
    }
    if (reply.verdict == PROXY_FAILURE) {
        log_failure(question, answer);
    }
    question->on_reply(question->context, &reply, &scratch);
    buf_release(&scratch);
    free(question);
}

bool proxy_ask(struct proxy *proxy, enum proxy_event event, const struct proxy_request *request,
               const struct proxy_headers *headers, proxy_on_reply *on_reply, void *context)
{
    struct http_field fields[FIELDS_MAX];
    struct buf body = {0};
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        return false;
    }
    *question = (struct question){.proxy = proxy, .event = event, .on_reply = on_reply, .context = context};
    proxy_append_request(&body, event, request);
    bool is_asked = !body.failed &&
                    http_client_post(proxy->client, proxy->target, buf_str(&body), fields,
                                     collect_fields(&proxy->options, headers, fields), on_answer, question);
    buf_release(&body);
    if (!is_asked) {
        free(question);
    }
    return is_asked;
}

bool proxy_wants_meta(const struct proxy *proxy)
{
    return proxy->options.proxy_include_connection_meta;
}

/* ---- which ---- */

static struct proxy *proxy_new(const struct proxy_options *options, struct http_client *client,
                               unsigned worker_count)
{
    struct http_target_settings settings =
        http_target_defaults(options->name, options->proxy_endpoint, (uint32_t)options->proxy_timeout_ms);
    settings.in_flight_max /= worker_count;
    settings.in_flight_max = settings.in_flight_max < IN_FLIGHT_MIN ? IN_FLIGHT_MIN : settings.in_flight_max;
    settings.waiting_max /= worker_count;
    struct http_field *fields = calloc(options->proxy_static_headers.count + 1, sizeof *fields);
    struct proxy *proxy = calloc(1, sizeof *proxy);
    char *pem = NULL;
    struct buf why = {0};
    bool is_good = fields != NULL && proxy != NULL &&
                   (options->proxy_tls_server_ca[0] == '\0' ||
                    pem_load(options->proxy_tls_server_ca, "http.tls.server_ca_pem of a proxy", &pem, &why));
    if (why.len > 0) {
        log_error("proxy_certificate", {"reason", log_text(buf_str(&why))});
    }
    buf_release(&why);
    for (size_t i = 0; is_good && i < options->proxy_static_headers.count; i++) {
        struct str line = options->proxy_static_headers.at[i];
        fields[i].name = str_next(&line, ':');
        fields[i].value = str_trim(line);
    }
    settings.fields = fields;
    settings.field_count = options->proxy_static_headers.count;
    settings.ca_pem = pem;
    if (is_good) {
        proxy->options = *options;
        proxy->client = client;
        proxy->target = http_target_new(client, &settings);
        is_good = proxy->target != NULL;
    }
    free(fields);
    pem_free(pem);
    if (!is_good) {
        free(proxy);
        return NULL;
    }
    return proxy;
}

static bool is_enabled(const struct config *config, enum proxy_event event)
{
    switch (event) {
    case PROXY_CONNECT: return config->client_proxy_connect_enabled;
    case PROXY_REFRESH: return config->client_proxy_refresh_enabled;
    case PROXY_SUBSCRIBE:
    case PROXY_PUBLISH:
    case PROXY_RPC:
    case PROXY_SUB_REFRESH: return true;
    case PROXY_EVENT_COUNT: break;
    }
    return false;
}

static bool has_rpc(const struct config *config)
{
    return config->rpc_without_namespace_proxy_enabled || config->rpc_namespace_count > 0;
}

struct proxies *proxies_new(const struct config *config, struct http_client *client, unsigned worker_count)
{
    struct proxies *proxies = calloc(1, sizeof *proxies);
    if (proxies == NULL) {
        return NULL;
    }
    proxies->config = config;
    proxies->has_rpc = has_rpc(config);
    proxies->named = calloc(config->proxy_count + 1, sizeof *proxies->named);
    bool is_good = proxies->named != NULL;
    for (int event = 0; is_good && event < PROXY_EVENT_COUNT; event++) {
        struct proxy_options options = config_proxy(config, (enum proxy_event)event);
        if (options.proxy_endpoint[0] != '\0' && is_enabled(config, (enum proxy_event)event)) {
            proxies->events[event] = proxy_new(&options, client, worker_count);
            is_good = proxies->events[event] != NULL;
        }
    }
    for (size_t i = 0; is_good && i < config->proxy_count; i++) {
        proxies->named[i] = proxy_new(&config->proxies[i], client, worker_count);
        is_good = proxies->named[i] != NULL;
    }
    if (!is_good) {
        proxies_free(proxies);
        return NULL;
    }
    return proxies;
}

void proxies_free(struct proxies *proxies)
{
    if (proxies == NULL) {
        return;
    }
    for (int event = 0; event < PROXY_EVENT_COUNT; event++) {
        free(proxies->events[event]); /* the target is the client's */
    }
    for (size_t i = 0; proxies->named != NULL && i < proxies->config->proxy_count; i++) {
        free(proxies->named[i]);
    }
    free((void *)proxies->named);
    free(proxies);
}

struct proxy *proxies_find(const struct proxies *proxies, enum proxy_event event, const char *name)
{
    if (name == NULL || name[0] == '\0' || strcmp(name, "default") == 0) {
        return proxies->events[event];
    }
    const struct proxy_options *options = config_find_proxy(proxies->config, name);
    return options == NULL ? NULL : proxies->named[options - proxies->config->proxies];
}

/* The options of the namespace with that name; NULL: it is not configured. */
static const struct rpc_options *find_rpc_namespace(const struct config *config, struct str name)
{
    for (size_t i = 0; i < config->rpc_namespace_count; i++) {
        if (str_is(name, config->rpc_namespaces[i].name)) {
            return &config->rpc_namespaces[i];
        }
    }
    return NULL;
}

enum status proxies_find_rpc(const struct proxies *proxies, struct str method, struct proxy **out)
{
    const struct config *config = proxies->config;
    if (!proxies->has_rpc) {
        return STATUS_NOT_AVAILABLE;
    }
    char boundary = config->rpc_namespace_boundary;
    ptrdiff_t index = boundary == '\0' ? -1 : str_find(method, boundary);
    const char *name = config->rpc_without_namespace_proxy_name;
    bool is_proxied = config->rpc_without_namespace_proxy_enabled;
    if (index >= 0) {
        const struct rpc_options *options = find_rpc_namespace(config, str_first(method, (size_t)index));
        if (options == NULL) {
            return STATUS_METHOD_NOT_FOUND;
        }
        name = options->rpc_proxy_name;
        is_proxied = options->rpc_proxy_enabled;
    }
    struct proxy *proxy = is_proxied ? proxies_find(proxies, PROXY_RPC, name) : NULL;
    if (proxy == NULL) {
        return STATUS_NOT_AVAILABLE;
    }
    *out = proxy;
    return STATUS_OK;
}

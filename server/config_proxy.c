/* config_proxy.c - the proxy objects of the configuration: which there are, and whether they can work. */
#include "server/config_internal.h"
#include "server/http_client.h"
#include "server/http_field.h"

#include <ctype.h>

/* The proxy_options of an event from its rows; `field` is the prefix of their names. */
#define PROXY_OF(config, field, path)                                              \
    {                                                                              \
        .name = (path), .proxy_endpoint = (config)->field##endpoint,               \
        .proxy_timeout_ms = (config)->field##timeout_ms,                           \
        .proxy_http_headers = (config)->field##http_headers,                       \
        .proxy_emulated_headers = (config)->field##emulated_headers,               \
        .proxy_include_connection_meta = (config)->field##include_connection_meta, \
        .proxy_tls_server_ca = (config)->field##tls_server_ca,                     \
        .proxy_static_headers = (config)->field##static_headers,                   \
        .proxy_transforms = (config)->field##transforms,                           \
    }

struct proxy_options config_proxy(const struct config *config, enum proxy_event event)
{
    const struct proxy_options proxies[PROXY_EVENT_COUNT] = {
        [PROXY_CONNECT] = PROXY_OF(config, client_proxy_connect_, "client.proxy.connect"),
        [PROXY_REFRESH] = PROXY_OF(config, client_proxy_refresh_, "client.proxy.refresh"),
        [PROXY_SUBSCRIBE] = PROXY_OF(config, channel_proxy_subscribe_, "channel.proxy.subscribe"),
        [PROXY_PUBLISH] = PROXY_OF(config, channel_proxy_publish_, "channel.proxy.publish"),
        [PROXY_RPC] = PROXY_OF(config, rpc_proxy_, "rpc.proxy"),
        [PROXY_SUB_REFRESH] = PROXY_OF(config, channel_proxy_sub_refresh_, "channel.proxy.sub_refresh"),
    };
    return proxies[event];
}

const struct proxy_options *config_find_proxy(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->proxy_count; i++) {
        if (strcmp(config->proxies[i].name, name) == 0) {
            return &config->proxies[i];
        }
    }
    return NULL;
}

/* ---- checks ---- */

enum { HEADERS_MAX = 32 };

struct proxy_checker {
    const struct config *config;
    struct config_report *report;
};

#define ERROR(checker, ...) config_note((checker)->report, CONFIG_NOTE_ERROR, __VA_ARGS__)

/* Headers that belong to the request itself: to pass on a client's would change what the request is. */
static bool is_reserved_header(struct str name)
{
    static const char *const reserved[] = {
        "Connection", "Content-Length", "Content-Type",      "Expect", "Host", "Keep-Alive",
        "TE",         "Trailer",        "Transfer-Encoding", "Upgrade"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (str_equal_nocase(name, str_from_cstr(reserved[i]))) {
            return true;
        }
    }
    return false;
}

static void check_header_list(struct proxy_checker *checker, const char *place, const char *option,
                              const struct str_list *names)
{
    if (names->count > HEADERS_MAX) {
        ERROR(checker, "'%s.%s' has more than %d entries", place, option, HEADERS_MAX);
    }
    for (size_t i = 0; i < names->count; i++) {
        struct str line = names->at[i];
        struct str name =
            str_next(&line, ':'); /* static ones are lines, and were checked when they were read */
        if (is_reserved_header(name)) {
            ERROR(checker, "'%s.%s': %.*s is set by the server", place, option, STR_ARG(name));
        } else if (!http_field_is_safe(&(struct http_field){.name = name, .value = STR("x")})) {
            ERROR(checker, "'%s.%s': an entry is no name of a header", place, option);
        }
    }
}

/* Only https, or http: the answer decides who gets in, so it should not come from anywhere else. */
static void check_proxy(struct proxy_checker *checker, const struct proxy_options *proxy, bool is_used)
{
    if (proxy->proxy_endpoint[0] == '\0') {
        if (is_used) {
            ERROR(checker, "'%s.endpoint' is needed: http or https URL", proxy->name);
        }
        return;
    }
    if (!http_url_is_valid(proxy->proxy_endpoint)) {
        ERROR(checker, "'%s.endpoint' must be an http or https URL without user and password", proxy->name);
    }
    check_header_list(checker, proxy->name, "http_headers", &proxy->proxy_http_headers);
    check_header_list(checker, proxy->name, "emulated_headers", &proxy->proxy_emulated_headers);
    check_header_list(checker, proxy->name, "http.static_headers", &proxy->proxy_static_headers);
}

static void check_names(struct proxy_checker *checker)
{
    const struct config *config = checker->config;
    for (size_t i = 0; i < config->proxy_count; i++) {
        const struct proxy_options *proxy = &config->proxies[i];
        bool is_good = proxy->name[0] != '\0';
        for (const char *c = proxy->name; *c != '\0'; c++) {
            is_good = is_good && (isalnum((unsigned char)*c) || strchr("-_.", *c) != NULL);
        }
        if (!is_good) {
            ERROR(checker, "'proxies': a name is letters, digits, hyphens, underscores or dots");
        } else if (strcmp(proxy->name, "default") == 0) {
            ERROR(checker, "'proxies': the name default stands for the event's own object");
        } else if (config_find_proxy(config, proxy->name) != proxy) {
            ERROR(checker, "'proxies': %s occurs twice", proxy->name);
        }
        check_proxy(checker, proxy, true);
    }
    for (size_t i = 0; i < config->rpc_namespace_count; i++) {
        const char *name = config->rpc_namespaces[i].name;
        bool is_twice = false;
        for (size_t j = 0; j < i; j++) {
            is_twice = is_twice || strcmp(config->rpc_namespaces[j].name, name) == 0;
        }
        if (name[0] == '\0' || is_twice) {
            ERROR(checker, "'rpc.namespaces': a name is empty or occurs twice");
        }
    }
}

/* An option names a proxy: is it there? */
static void check_use(struct proxy_checker *checker, const char *place, const char *option, bool is_enabled,
                      const char *name, enum proxy_event event)
{
    if (!is_enabled) {
        return;
    }
    if (strcmp(name, "default") == 0 || name[0] == '\0') {
        struct proxy_options proxy = config_proxy(checker->config, event);
        if (proxy.proxy_endpoint[0] == '\0') {
            ERROR(checker, "%s: %s needs %s.endpoint", place, option, proxy.name);
        }
    } else if (config_find_proxy(checker->config, name) == NULL) {
        ERROR(checker, "%s: %s asks for a proxy that is not in proxies", place, option);
    }
}

static void check_channel_uses(struct proxy_checker *checker, const struct channel_options *options)
{
    struct buf place = {0};
    if (options->name.len == 0) {
        buf_append_lit(&place, "channel.without_namespace");
    } else {
        buf_printf(&place, "namespace '%.*s'", STR_ARG(options->name));
    }
    buf_append_char(&place, '\0');
    const char *text = place.failed ? "a namespace" : place.at;
    check_use(checker, text, "subscribe_proxy_enabled", options->subscribe_proxy_enabled,
              options->subscribe_proxy_name, PROXY_SUBSCRIBE);
    check_use(checker, text, "publish_proxy_enabled", options->publish_proxy_enabled,
              options->publish_proxy_name, PROXY_PUBLISH);
    check_use(checker, text, "sub_refresh_proxy_enabled", options->sub_refresh_proxy_enabled,
              options->sub_refresh_proxy_name, PROXY_SUB_REFRESH);
    buf_release(&place);
}

void config_check_proxies(const struct config *config, struct config_report *report)
{
    struct proxy_checker checker = {.config = config, .report = report};
    for (int event = 0; event < PROXY_EVENT_COUNT; event++) {
        struct proxy_options proxy = config_proxy(config, (enum proxy_event)event);
        bool is_used = (event == PROXY_CONNECT && config->client_proxy_connect_enabled) ||
                       (event == PROXY_REFRESH && config->client_proxy_refresh_enabled);
        check_proxy(&checker, &proxy, is_used);
    }
    check_names(&checker);
    check_channel_uses(&checker, &config->channels.without_namespace);
    for (size_t i = 0; i < config->channels.namespace_count; i++) {
        check_channel_uses(&checker, &config->channels.namespaces[i]);
    }
    check_use(&checker, "rpc.without_namespace", "proxy_enabled", config->rpc_without_namespace_proxy_enabled,
              config->rpc_without_namespace_proxy_name, PROXY_RPC);
    for (size_t i = 0; i < config->rpc_namespace_count; i++) {
        check_use(&checker, "rpc.namespaces", "proxy_enabled", config->rpc_namespaces[i].rpc_proxy_enabled,
                  config->rpc_namespaces[i].rpc_proxy_name, PROXY_RPC);
    }
    if (config->client_proxy_refresh_enabled && !config->client_proxy_connect_enabled) {
        config_note(report, CONFIG_NOTE_WARNING,
                    "client.proxy.refresh does nothing without client.proxy.connect");
    }
}

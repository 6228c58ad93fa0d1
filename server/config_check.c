#include "channels/base/random.h"
#include "server/config_internal.h"
#include "server/config_keys.h"
#include "server/crypto.h"
#include "server/http_client.h"
#include "server/login_thread.h"
#include "server/password.h"
#include "server/webhook_events.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum { SECRET_BYTES_MIN = 32 };

struct checker {
    struct config *config;
    struct config_report *report;
    bool allows_weak; /* --insecure, --dev or client.insecure */
    bool file_is_public;
};

#define ERROR(checker, ...) config_note((checker)->report, CONFIG_NOTE_ERROR, __VA_ARGS__)
#define WARN(checker, ...) config_note((checker)->report, CONFIG_NOTE_WARNING, __VA_ARGS__)

/* Computed defaults */

static uint64_t read_number(const char *path)
{
    char line[32] = "";
    uint64_t value = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return UINT64_MAX;
    }
    if (fgets(line, sizeof line, file) == NULL) {
        line[0] = '\0';
    }
    (void)fclose(file); /* read only: nothing can be lost */
    line[strcspn(line, "\n")] = '\0';
    return str_to_u64(str_from_cstr(line), UINT64_MAX, &value) ? value : UINT64_MAX; /* "max" = none */
}

/* What this process may use: the machine's memory, or what its control group leaves of it. */
static uint64_t memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : CONFIG_GIB;
    uint64_t limits[] = {read_number("/sys/fs/cgroup/memory.max"),
                         read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes")};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        bytes = limits[i] < bytes ? limits[i] : bytes;
    }
    return bytes;
}

static uint32_t core_count(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) {
        return 1;
    }
    int count = CPU_COUNT(&cores);
    return count < 1 ? 1 : count > 64 ? 64 : (uint32_t)count;
}

static bool compute_node_name(struct config *config)
{
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') {
        memcpy(host, "localhost", sizeof "localhost");
    }
    struct buf name = {0};
    buf_printf(&name, "%s_%u", host, config->http_server_port);
    bool is_set = !name.failed && option_set_text(&config_rows[CONFIG_INDEX_node_name], config,
                                                  buf_str(&name), NULL) == STATUS_OK;
    buf_release(&name);
    config->origins[CONFIG_INDEX_node_name] = ORIGIN_COMPUTED;
    return is_set;
}

/* Sessions of --dev need no secret in a file: they end with the process. */
static bool make_dev_keys(struct config *config)
{
    unsigned char bytes[SECRET_BYTES_MIN];
    char secret[2 * SECRET_BYTES_MIN];
    random_bytes(bytes, sizeof bytes);
    crypto_hex(str_make((const char *)bytes, sizeof bytes), secret);
    config->origins[CONFIG_INDEX_session_keys] = ORIGIN_COMPUTED;
    return signed_cookie_keys_add(&config->session_keys, config->session_key_version,
                                  str_make(secret, sizeof secret));
}

static bool compute(struct config *config)
{
    if (config->is_dev && config->session_keys.count == 0 && !make_dev_keys(config)) {
        return false;
    }
    if (config->http_server_workers == 0) {
        config->http_server_workers = core_count();
        config->origins[CONFIG_INDEX_http_server_workers] = ORIGIN_COMPUTED;
    }
    if (config->limits_outbox_total == 0) {
        uint64_t quarter = memory_bytes() / 4;
        config->limits_outbox_total = quarter < 16 * CONFIG_MIB ? 16 * CONFIG_MIB : quarter;
        config->origins[CONFIG_INDEX_limits_outbox_total] = ORIGIN_COMPUTED;
    }
    if (config->limits_history_total == 0) {
        uint64_t quarter = memory_bytes() / 4;
        config->limits_history_total = quarter < 16 * CONFIG_MIB ? 16 * CONFIG_MIB : quarter;
        config->origins[CONFIG_INDEX_limits_history_total] = ORIGIN_COMPUTED;
    }
    return config->node_name[0] != '\0' || compute_node_name(config);
}

/* Addresses */

/* false: no memory. */
static bool parse_trusted_proxies(struct checker *checker)
{
    struct config *config = checker->config;
    const struct str_list *list = &config->http_server_trusted_proxies;
    config->trusted_networks = calloc(list->count + 1, sizeof *config->trusted_networks);
    if (config->trusted_networks == NULL) {
        return false;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (network_parse(list->at[i], &config->trusted_networks[config->trusted_network_count])) {
            config->trusted_network_count++;
        } else {
            ERROR(checker,
                  "'http_server.trusted_proxies': '%.*s' is not an address or a network like 10.0.0.0/8",
                  STR_ARG(list->at[i]));
        }
    }
    return true;
}

/* Channels */

static void resolve_options(const struct config *config, struct channel_options *options)
{
    if (options->history_meta_ttl_ms == 0) {
        options->history_meta_ttl_ms = config->channel_history_meta_ttl_ms;
    }
    if (options->publication_data_format == DATA_FORMAT_ANY) {
        options->publication_data_format = config->channel_publication_data_format;
    }
}

static void fill_rules(struct config *config)
{
    struct channel_rules *rules = &config->channels;
    rules->max_length = config->channel_max_length;
    rules->private_prefix = config->channel_private_prefix;
    rules->namespace_boundary = config->channel_namespace_boundary;
    rules->user_boundary = config->channel_user_boundary;
    rules->user_separator = config->channel_user_separator;
    resolve_options(config, &rules->without_namespace);
    for (size_t i = 0; i < rules->namespace_count; i++) {
        resolve_options(config, &rules->namespaces[i]);
    }
}

static bool name_is_good(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!isalnum((unsigned char)c) && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return name.len >= 2;
}

static void check_options(struct checker *checker, const struct channel_options *options)
{
    struct str place = options->name.len == 0 ? STR("channel.without_namespace") : options->name;
    const char *kind = options->name.len == 0 ? "" : "namespace ";
    if ((options->history_size > 0) != (options->history_ttl_ms > 0)) {
        ERROR(checker, "%s'%.*s': history_size and history_ttl must be set both or not at all", kind,
              STR_ARG(place));
    }
    if (options->history_ttl_ms % CONFIG_SECOND != 0) {
        ERROR(checker, "%s'%.*s': history_ttl must be whole seconds", kind, STR_ARG(place));
    }
    if (options->history_ttl_ms > options->history_meta_ttl_ms) {
        ERROR(checker, "%s'%.*s': history_ttl must not be longer than history_meta_ttl", kind,
              STR_ARG(place));
    }
    if ((options->force_recovery || options->allow_recovery) && !channel_has_history(options)) {
        ERROR(checker, "%s'%.*s': recovery needs history_size and history_ttl", kind, STR_ARG(place));
    }
    if (options->auto_cache_recover &&
        !(options->force_recovery && options->force_recovery_mode == RECOVERY_CACHE)) {
        ERROR(checker, "%s'%.*s': auto_cache_recover needs force_recovery and force_recovery_mode cache",
              kind, STR_ARG(place));
    }
    if (options->force_push_join_leave && !options->join_leave) {
        WARN(checker, "%s'%.*s': force_push_join_leave does nothing without join_leave", kind,
             STR_ARG(place));
    }
    bool is_stream = options->force_recovery_mode == RECOVERY_STREAM;
    bool is_positioned = options->force_positioning || options->allow_positioning;
    if (options->overflow == OVERFLOW_LATEST_ONLY &&
        (is_positioned || (is_stream && (options->force_recovery || options->allow_recovery)))) {
        ERROR(checker,
              "%s'%.*s': overflow latest_only leaves gaps, so it excludes positioning and stream recovery",
              kind, STR_ARG(place));
    }
}

static void check_boundaries(struct checker *checker)
{
    const struct channel_rules *rules = &checker->config->channels;
    const char letters[] = {rules->private_prefix, rules->namespace_boundary, rules->user_boundary,
                            rules->user_separator};
    for (size_t i = 0; i < sizeof letters; i++) {
        for (size_t j = 0; j < i; j++) {
            if (letters[i] != '\0' && letters[i] == letters[j]) {
                ERROR(checker, "channel.private_prefix, namespace_boundary, user_boundary and user_separator "
                               "must differ");
                return;
            }
        }
    }
}

static void check_channels(struct checker *checker)
{
    struct channel_rules *rules = &checker->config->channels;
    check_boundaries(checker);
    check_options(checker, &rules->without_namespace);
    for (size_t i = 0; i < rules->namespace_count; i++) {
        struct str name = rules->namespaces[i].name;
        if (!name_is_good(name)) {
            ERROR(checker,
                  "namespace '%.*s': a name is at least two letters, digits, hyphens, underscores or dots",
                  STR_ARG(name));
        } else if (rules->namespace_boundary != '\0' && str_find(name, rules->namespace_boundary) >= 0) {
            ERROR(checker, "namespace '%.*s': the name contains channel.namespace_boundary", STR_ARG(name));
        }
        check_options(checker, &rules->namespaces[i]);
    }
    if (!channel_rules_sort(rules)) {
        ERROR(checker, "'channel.namespaces': a name occurs twice");
    }
}

static void check_personal_channels(struct checker *checker)
{
    const struct config *config = checker->config;
    struct str name =
        str_from_cstr(config->client_subscribe_to_user_personal_channel_personal_channel_namespace);
    if (!config->client_subscribe_to_user_personal_channel_enabled) {
        return;
    }
    const struct channel_options *options = channel_rules_find(&config->channels, name);
    if (options == NULL) {
        ERROR(checker, "client.subscribe_to_user_personal_channel: namespace '%.*s' does not exist",
              STR_ARG(name));
        return;
    }
    if (config->channel_user_boundary == '\0') {
        ERROR(checker, "client.subscribe_to_user_personal_channel needs channel.user_boundary");
    }
    if (config->client_subscribe_to_user_personal_channel_single_connection && !options->presence) {
        ERROR(checker, "client.subscribe_to_user_personal_channel.single_connection needs presence in its "
                       "namespace");
    }
    if (options->allow_subscribe_for_client && !options->allow_user_limited_channels) {
        WARN(checker, "personal channels are open to every user: set allow_user_limited_channels in their "
                      "namespace");
    }
}

/* Secrets */

static void note_weak(struct checker *checker, const char *path, const char *problem)
{
    config_note(checker->report, checker->allows_weak ? CONFIG_NOTE_WARNING : CONFIG_NOTE_ERROR, "'%s' %s%s",
                path, problem, checker->allows_weak ? "" : " (--insecure accepts it)");
}

/* Secrets of documentation and tutorials, which everybody knows, and words that stand for one. */
static bool is_well_known(struct str secret)
{
    static const char *const known[] = {
        "bbe7d157-a253-4094-9759-06a8236543f9",
        "d7627bb6-2292-4911-82e1-615c0ed3eebb",
        "changeme",
        "change-me",
        "change_me",
        "replace-me",
        "replace_me",
        "your-secret",
        "your_secret",
        "example",
        "_GENERATE_YOUR_OWN_RANDOM_", /* Tornado's demos */
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct str word = str_from_cstr(known[i]);
        for (struct str rest = secret; rest.len >= word.len; rest = str_skip(rest, 1)) {
            if (str_equal_nocase(str_first(rest, word.len), word)) {
                return true;
            }
        }
    }
    bool is_one_byte = secret.len > 0;
    for (size_t i = 1; i < secret.len; i++) {
        is_one_byte = is_one_byte && secret.at[i] == secret.at[0];
    }
    return is_one_byte;
}

static void check_secret(struct checker *checker, const char *path, struct str secret, bool is_hmac)
{
    if (is_hmac && secret.len < SECRET_BYTES_MIN) {
        note_weak(checker, path, "is shorter than 32 bytes");
    }
    if (is_well_known(secret)) {
        note_weak(checker, path, "is a sample that everybody knows, make one with genconfig");
    }
}

/* THREATS A05, A32. A TLS key is usually given by path, and then the file holds no secret. */
static void check_secrets(struct checker *checker)
{
    bool file_holds_secret = false;
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct option_row *row = &config_rows[i];
        bool is_in_file = checker->config->origins[i] == ORIGIN_FILE;
        const void *at = (const char *)checker->config + row->offset;
        const struct signed_cookie_keys *keys = row->type == VALUE_keys ? at : NULL;
        for (size_t j = 0; keys != NULL && j < keys->count; j++) {
            check_secret(checker, row->path, keys->at[j].secret, true);
            file_holds_secret = file_holds_secret || is_in_file;
        }
        if (row->type != VALUE_secret) {
            continue;
        }
        struct str secret = str_from_cstr(*(const char *const *)at);
        if (secret.len == 0) {
            continue;
        }
        bool is_tls_key = i == CONFIG_INDEX_http_server_tls_key_pem;
        if (!is_tls_key) {
            check_secret(checker, row->path, secret, strstr(row->path, "hmac_") != NULL);
        }
        file_holds_secret =
            file_holds_secret || (is_in_file && (!is_tls_key || strstr(secret.at, "-----BEGIN") != NULL));
    }
    if (file_holds_secret && checker->file_is_public) {
        config_note(checker->report, checker->allows_weak ? CONFIG_NOTE_WARNING : CONFIG_NOTE_ERROR,
                    "the file holds secrets and everybody may read it: chmod o-r%s",
                    checker->allows_weak ? "" : " (--insecure accepts it)");
    }
}

static void check_expression(struct checker *checker, enum config_option_index index)
{
    const struct option_row *row = &config_rows[index];
    struct buf why = {0};
    const char *pattern = *(const char *const *)(const void *)((const char *)checker->config + row->offset);
    regex_t *regex = pattern[0] == '\0' ? NULL : regex_from_text(str_from_cstr(pattern), &why);
    if (regex == NULL && pattern[0] != '\0') {
        ERROR(checker, "'%s' %.*s", row->path, STR_ARG(buf_str(&why)));
    }
    regex_free(regex);
    buf_release(&why);
}

static void check_tokens(struct checker *checker)
{
    const struct config *config = checker->config;
    check_expression(checker, CONFIG_INDEX_client_token_audience_regex);
    check_expression(checker, CONFIG_INDEX_client_token_issuer_regex);
    check_expression(checker, CONFIG_INDEX_client_subscription_token_audience_regex);
    check_expression(checker, CONFIG_INDEX_client_subscription_token_issuer_regex);
    if ((config->client_token_audience[0] != '\0' && config->client_token_audience_regex[0] != '\0') ||
        (config->client_token_issuer[0] != '\0' && config->client_token_issuer_regex[0] != '\0') ||
        (config->client_subscription_token_audience[0] != '\0' &&
         config->client_subscription_token_audience_regex[0] != '\0') ||
        (config->client_subscription_token_issuer[0] != '\0' &&
         config->client_subscription_token_issuer_regex[0] != '\0')) {
        ERROR(checker, "a token's audience (issuer) and audience_regex (issuer_regex) exclude each other");
    }
    bool has_key = config->client_token_hmac_secret_key[0] != '\0' ||
                   config->client_token_rsa_public_key[0] != '\0' ||
                   config->client_token_ecdsa_public_key[0] != '\0' ||
                   config->client_token_ed25519_public_key[0] != '\0';
    bool has_subscription_key = config->client_subscription_token_hmac_secret_key[0] != '\0' ||
                                config->client_subscription_token_rsa_public_key[0] != '\0' ||
                                config->client_subscription_token_ecdsa_public_key[0] != '\0' ||
                                config->client_subscription_token_ed25519_public_key[0] != '\0';
    if (config->client_subscription_token_enabled && !has_subscription_key) {
        ERROR(checker, "client.subscription_token.enabled needs a key in client.subscription_token");
    }
    if (!config->client_subscription_token_enabled && has_subscription_key) {
        WARN(checker, "keys in client.subscription_token do nothing until it is enabled");
    }
    if (!has_key && !config->client_insecure && !config->client_allow_anonymous_connect_without_token &&
        !config->client_proxy_connect_enabled && !config->client_cookie_auth_enabled) {
        WARN(checker, "no client can connect: set a key in client.token, enable client.cookie_auth or "
                      "client.proxy.connect, or allow anonymous users");
    }
}

static bool admits_all_origins(const struct config *config)
{
    for (size_t i = 0; i < config->client_allowed_origins.count; i++) {
        if (str_is(config->client_allowed_origins.at[i], "*")) {
            return true;
        }
    }
    return false;
}

static void check_openness(struct checker *checker)
{
    const struct config *config = checker->config;
    for (size_t i = 0; i < config->client_allowed_origins.count; i++) {
        struct str origin = config->client_allowed_origins.at[i];
        if (!str_is(origin, "*") && strstr(origin.at, "://") == NULL) {
            ERROR(checker, "'client.allowed_origins': an origin is like https://example.com, or *");
        }
    }
    bool asks_nobody = config->client_insecure || config->client_allow_anonymous_connect_without_token;
    if (admits_all_origins(config) && asks_nobody) {
        WARN(checker, "every website may connect its visitors: client.allowed_origins is * and no token is "
                      "needed");
    }
    if (config->client_insecure && !config->is_dev) {
        WARN(checker, "client.insecure: everybody may connect, publish and read everything");
    }
    if (config->http_api_insecure && !config->is_dev) {
        WARN(checker, "http_api.insecure: everybody who reaches the port may call the server API");
    }
    if (!config->http_api_disabled && !config->http_api_insecure && config->http_api_key[0] == '\0') {
        WARN(checker, "the server API refuses every call: set http_api.key");
    }
}

/* Cookies */

/* A token of RFC 6265 section 4.1.1. */
static bool is_cookie_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (c <= 0x20 || c >= 0x7F || strchr("()<>@,;:\\\"/[]?={}", c) != NULL) {
            return false;
        }
    }
    return name.len > 0;
}

static void check_keys(struct checker *checker, const char *section, const struct signed_cookie_keys *keys,
                       uint32_t key_version)
{
    if (keys->count == 0) {
        ERROR(checker, "%s needs secrets in keys, like {\"1\": \"...\"}", section);
    } else if (signed_cookie_key_find(keys, key_version) == NULL) {
        ERROR(checker, "'%s.key_version' is %u, and keys has no such version", section,
              (unsigned)key_version);
    }
}

static void check_cookie_auth(struct checker *checker)
{
    const struct config *config = checker->config;
    struct str from = str_from_cstr(config->client_cookie_auth_user_from);
    if (!config->client_cookie_auth_enabled) {
        if (config->client_cookie_auth_keys.count > 0) {
            WARN(checker, "keys in client.cookie_auth do nothing until it is enabled");
        }
        return;
    }
    check_keys(checker, "client.cookie_auth", &config->client_cookie_auth_keys,
               config->client_cookie_auth_key_version);
    if (!is_cookie_name(str_from_cstr(config->client_cookie_auth_name))) {
        ERROR(checker, "'client.cookie_auth.name' is no name of a cookie");
    }
    if (!str_is(from, "value") && !(str_starts_with(from, STR("json:")) && from.len > 5)) {
        ERROR(checker, "'client.cookie_auth.user_from' must be value, or json:FIELD");
    }
    /* THREATS H07: browsers send cookies along whichever page asks. */
    if (admits_all_origins(config)) {
        ERROR(checker,
              "client.cookie_auth and client.allowed_origins * exclude each other: every website could "
              "connect as its visitors");
    }
}

/* THREATS A33. */
static void check_admin(struct checker *checker)
{
    const struct config *config = checker->config;
    if (config->is_dev || config->admin_enabled) {
        check_keys(checker, "session", &config->session_keys, config->session_key_version);
    }
    if (!config->admin_enabled) {
        return;
    }
    if (config->admin_password_hash[0] == '\0') {
        ERROR(checker, "admin.enabled needs admin.password_hash, make it with starling hashpassword");
    } else if (!password_hash_is_valid(config->admin_password_hash)) {
        ERROR(checker, "'admin.password_hash' is no Argon2id hash, make it with starling hashpassword");
    }
    if (config->admin_user[0] == '\0' || strlen(config->admin_user) > LOGIN_USER_BYTES_MAX) {
        ERROR(checker, "admin.enabled needs an admin.user of 1 to 128 bytes");
    }
}

/* Endpoints and times */

static void check_key_set(struct checker *checker, const char *url, const char *option)
{
    if (url[0] != '\0' && !http_url_is_valid(url)) {
        ERROR(checker, "'%s' must be a URL like https://login.example/jwks.json", option);
    } else if (str_starts_with(str_from_cstr(url), STR("http://"))) {
        WARN(checker, "'%s' is fetched without TLS: whoever is on the way can make tokens", option);
    }
}

static void check_webhooks(struct checker *checker)
{
    const struct config *config = checker->config;
    check_key_set(checker, config->client_token_jwks_public_endpoint, "client.token.jwks_public_endpoint");
    check_key_set(checker, config->client_subscription_token_jwks_public_endpoint,
                  "client.subscription_token.jwks_public_endpoint");
    if (config->webhooks_endpoint[0] == '\0') {
        return;
    }
    if (!http_url_is_valid(config->webhooks_endpoint)) {
        ERROR(checker, "'webhooks.endpoint' must be a URL like https://backend.example/events, without a "
                       "password in it");
    }
    for (size_t i = 0; i < config->webhooks_events.count; i++) {
        enum webhook_event event;
        if (!webhook_event_from_text(config->webhooks_events.at[i], &event)) {
            ERROR(checker,
                  "'webhooks.events': '%.*s' is none of connected, disconnected, subscribed, unsubscribed, "
                  "occupied, vacated, published",
                  STR_ARG(config->webhooks_events.at[i]));
        }
    }
    if (config->webhooks_secret[0] == '\0') {
        WARN(checker, "webhooks are not signed: set webhooks.secret");
    }
}

static void check_paths(struct checker *checker)
{
    const struct config *config = checker->config;
    const struct {
        const char *option;
        const char *path;
        bool is_on;
    } paths[] = {
        {"http_api.handler_prefix", config->http_api_handler_prefix, !config->http_api_disabled},
        {"websocket.handler_prefix", config->websocket_handler_prefix, !config->websocket_disabled},
        {"health.handler_prefix", config->health_handler_prefix, config->health_enabled},
        {"prometheus.handler_prefix", config->prometheus_handler_prefix, config->prometheus_enabled},
        {"init.handler_prefix", config->init_handler_prefix, config->init_enabled},
        {"session.handler_prefix", config->session_handler_prefix, config->is_dev || config->admin_enabled},
        {"debug.echo_path", config->debug_echo_path, config->debug_echo_path[0] != '\0'},
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct str path = str_from_cstr(paths[i].path);
        bool is_good = path.len >= 2 && path.at[0] == '/' && path.at[path.len - 1] != '/';
        for (size_t j = 0; j < path.len; j++) {
            is_good = is_good && path.at[j] > 0x20 && path.at[j] < 0x7F && strchr("?#%", path.at[j]) == NULL;
        }
        if (paths[i].is_on && !is_good) {
            ERROR(checker, "'%s' must be a path like /api", paths[i].option);
        }
        for (size_t j = 0; j < i; j++) {
            if (paths[i].is_on && paths[j].is_on && str_is(path, paths[j].path)) {
                ERROR(checker, "'%s' and '%s' are the same path", paths[j].option, paths[i].option);
            }
        }
    }
}

static void check_relations(struct checker *checker)
{
    const struct config *config = checker->config;
    if (config->client_pong_timeout_ms >= config->client_ping_interval_ms) {
        ERROR(checker, "client.pong_timeout must be shorter than client.ping_interval");
    }
    if (config->http_server_tls_enabled &&
        (config->http_server_tls_cert_pem[0] == '\0' || config->http_server_tls_key_pem[0] == '\0')) {
        ERROR(checker, "http_server.tls.enabled needs cert_pem and key_pem");
    }
    if (config->http_server_internal_port != 0 &&
        config->http_server_internal_port == config->http_server_port) {
        ERROR(checker, "http_server.internal_port must differ from http_server.port");
    }
    if (config->http_server_internal_address.count > 0 && config->http_server_internal_port == 0 &&
        !config->is_dev) {
        WARN(checker, "http_server.internal_address does nothing without http_server.internal_port");
    }
    if (config->shutdown_drain_ms > config->shutdown_timeout_ms) {
        ERROR(checker, "shutdown.drain must not be longer than shutdown.timeout");
    }
    if (config->limits_http_header_size > config->limits_http_headers_size) {
        ERROR(checker, "limits.http_header_size must not be larger than limits.http_headers_size");
    }
    if (config->client_queue_max_size < config->websocket_message_size_limit) {
        ERROR(checker, "client.queue_max_size must hold one message of websocket.message_size_limit");
    }
    if (config->limits_outbox_total < config->client_queue_max_size) {
        ERROR(checker, "limits.outbox_total must hold one queue of client.queue_max_size");
    }
    if (config->limits_ws_control_burst < config->limits_ws_control_rate ||
        config->limits_command_burst < config->limits_command_rate ||
        config->limits_connection_burst_per_ip < config->limits_connection_rate_per_ip ||
        config->limits_user_publish_burst < config->limits_user_publish_rate ||
        config->limits_ip_publish_burst < config->limits_ip_publish_rate ||
        config->limits_channel_publish_burst < config->limits_channel_publish_rate) {
        WARN(checker, "limits: a burst below its rate keeps the rate from being reached");
    }
}

bool config_finish(struct config *config, const struct config_source *source, bool file_is_public,
                   struct config_report *report)
{
    struct checker checker = {
        .config = config,
        .report = report,
        .allows_weak = source->allows_weak_secrets || config->is_dev || config->client_insecure,
        .file_is_public = file_is_public,
    };
    if (!compute(config)) {
        return false;
    }
    if (!parse_trusted_proxies(&checker)) {
        return false;
    }
    fill_rules(config);
    check_channels(&checker);
    check_personal_channels(&checker);
    check_secrets(&checker);
    check_tokens(&checker);
    check_openness(&checker);
    check_cookie_auth(&checker);
    check_admin(&checker);
    check_paths(&checker);
    check_webhooks(&checker);
    config_check_proxies(config, report);
    check_relations(&checker);
    return true;
}

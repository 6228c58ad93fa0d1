#include "server/generation.h"

#include "channels/base/log.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/pem.h"
#include "server/tls_certificate.h"

#include <stdlib.h>

/* What is decided once: sockets, threads, and tables that are made for a size. */
static const enum config_option_index restart_only[] = {
    CONFIG_INDEX_http_server_address,
    CONFIG_INDEX_http_server_port,
    CONFIG_INDEX_http_server_internal_address,
    CONFIG_INDEX_http_server_internal_port,
    CONFIG_INDEX_http_server_tls_enabled,
    CONFIG_INDEX_http_server_workers,
    CONFIG_INDEX_node_name,
    CONFIG_INDEX_pid_file,
    CONFIG_INDEX_client_connection_limit,
    CONFIG_INDEX_client_channel_position_check_delay_ms,
    CONFIG_INDEX_client_token_jwks_public_endpoint,
    CONFIG_INDEX_client_token_jwks_cache_ttl_ms,
    CONFIG_INDEX_client_subscription_token_enabled,
    CONFIG_INDEX_client_subscription_token_jwks_public_endpoint,
    CONFIG_INDEX_client_subscription_token_jwks_cache_ttl_ms,
    CONFIG_INDEX_admin_enabled,
    CONFIG_INDEX_admin_user,
    CONFIG_INDEX_admin_password_hash,
    CONFIG_INDEX_webhooks_endpoint,
    CONFIG_INDEX_webhooks_events,
    CONFIG_INDEX_webhooks_timeout_ms,
    CONFIG_INDEX_limits_outbox_total,
    CONFIG_INDEX_limits_streams_max,
    CONFIG_INDEX_limits_history_total,
    CONFIG_INDEX_limits_mailbox_size,
    CONFIG_INDEX_limits_accepts_per_turn,
};

static bool open_verifier(struct token_verifier **out, const struct config *config, bool for_subscription,
                          struct buf *why)
{
    struct token_settings settings;
    struct str error = STR("");
    token_settings_from_config(config, for_subscription, &settings);
    if (token_verifier_open(out, &settings, &error) != STATUS_OK) {
        buf_printf(why, "client.%s: %.*s", for_subscription ? "subscription_token" : "token", STR_ARG(error));
        return false;
    }
    return true;
}

static bool load_certificate(struct generation *generation, struct buf *why)
{
    const struct config *config = generation->config;
    const char *error;
    if (!config->http_server_tls_enabled) {
        return true;
    }
    if (!pem_load(config->http_server_tls_cert_pem, "http_server.tls.cert_pem", &generation->tls_cert, why) ||
        !pem_load(config->http_server_tls_key_pem, "http_server.tls.key_pem", &generation->tls_key, why)) {
        return false;
    }
    if (!tls_certificate_check(generation->tls_cert, generation->tls_key, &error)) {
        buf_printf(why, "http_server.tls: %s", error);
        return false;
    }
    return true;
}

/* Takes nothing unless it succeeds. */
static struct generation *generation_new(struct config *config, struct buf *why)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL) {
        buf_append_lit(why, "no memory");
        return NULL;
    }
    generation->config = config;
    generation->number = 1;
    if (!open_verifier(&generation->connection_tokens, config, false, why) ||
        !open_verifier(&generation->subscription_tokens, config, true, why) ||
        !load_certificate(generation, why)) {
        generation_free(generation);
        return NULL;
    }
    return generation;
}

struct generation *generation_first(struct config *config, struct buf *why)
{
    return generation_new(config, why);
}

static void log_warnings(const struct config_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        if (report->notes[i].kind != CONFIG_NOTE_ERROR) {
            log_warn("config_warning", {"warning", log_cstr(report->notes[i].text)});
        }
    }
}

static void say_first_error(const struct config_report *report, struct buf *why)
{
    for (size_t i = 0; i < report->count; i++) {
        if (report->notes[i].kind == CONFIG_NOTE_ERROR) {
            buf_append_str(why, str_from_cstr(report->notes[i].text));
            if (report->error_count > 1) {
                buf_printf(why, " (and %zu more)", report->error_count - 1);
            }
            return;
        }
    }
    buf_append_lit(why, "no memory");
}

/* The engine's connections and what it keeps are made once, too. */
static bool needs_restart(enum config_option_index index)
{
    for (size_t i = 0; i < sizeof restart_only / sizeof restart_only[0]; i++) {
        if (restart_only[i] == index) {
            return true;
        }
    }
    return str_starts_with(str_from_cstr(config_option_path(index)), STR("engine."));
}

/* What cannot change keeps its value. A lower connection limit can. */
static bool keep_what_needs_a_restart(struct config *config, const struct config *current)
{
    for (int i = 0; i < CONFIG_OPTION_COUNT; i++) {
        enum config_option_index index = (enum config_option_index)i;
        bool is_lower_limit = index == CONFIG_INDEX_client_connection_limit &&
                              config->client_connection_limit <= current->client_connection_limit;
        if (!needs_restart(index) || is_lower_limit || config_option_equal(config, current, index)) {
            continue;
        }
        log_warn("config_needs_restart", {"option", log_cstr(config_option_path(index))});
        if (!config_option_copy(config, current, index)) {
            return false;
        }
    }
    return true;
}

struct generation *generation_next(struct generation *current, const struct config_source *source,
                                   struct buf *why)
{
    struct config *config = NULL;
    struct config_report report = {0};
    struct generation *next = NULL;
    if (current->number >= GENERATIONS_MAX) {
        buf_append_lit(why, "read too many times: restart the server");
        return NULL;
    }
    if (config_load(&config, source, &report) != STATUS_OK) {
        say_first_error(&report, why);
    } else if (!keep_what_needs_a_restart(config, current->config)) {
        buf_append_lit(why, "no memory");
    } else {
        log_warnings(&report);
        next = generation_new(config, why);
    }
    config_report_release(&report);
    if (next == NULL) {
        config_free(config);
        return NULL;
    }
    next->owns_config = true;
    next->older = current;
    next->number = current->number + 1;
    if (next->number >= GENERATIONS_WARN) {
        log_warn("config_read_often", {"times", log_u64(next->number)}, {"max", log_u64(GENERATIONS_MAX)});
    }
    return next;
}

void generation_free(struct generation *generation)
{
    while (generation != NULL) {
        struct generation *older = generation->older;
        token_verifier_free(generation->connection_tokens);
        token_verifier_free(generation->subscription_tokens);
        pem_free(generation->tls_cert);
        pem_free(generation->tls_key);
        if (generation->owns_config) {
            config_free(generation->config);
        }
        free(generation);
        generation = older;
    }
}

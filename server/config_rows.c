#include "server/config_internal.h"

#include <ctype.h>

const struct option_row config_rows[CONFIG_OPTION_COUNT] = {
#define CONFIG_ROW(field, path, type, value, min, max, meaning) \
    {path, value, meaning, VALUE_##type, offsetof(struct config, field), min, max},
    CONFIG_OPTIONS(CONFIG_ROW)
#undef CONFIG_ROW
};

const struct option_row channel_option_rows[CHANNEL_OPTION_COUNT] = {
#define CHANNEL_ROW(field, key, type, value, min, max, meaning) \
    {key, value, meaning, VALUE_##type, offsetof(struct channel_options, field), min, max},
    CHANNEL_OPTIONS(CHANNEL_ROW)
#undef CHANNEL_ROW
};

/* Paths and sections of Centrifugo that have no row here (SERVER_API section 8). Whoever adds such a feature
 * adds its rows and takes the name off this list. */
static const char *const unsupported_paths[] = {
    "admin.external",
    "admin.handler_prefix",
    "admin.insecure",
    "admin.password",
    "admin.secret",
    "admin.web_path",
    "admin.web_proxy_address",
    "broker",
    "channel.proxy.map_publish",
    "channel.proxy.map_remove",
    "channel.proxy.shared_poll_refresh",
    "channel.proxy.subscribe_stream",
    "client.channel_position_max_time_lag",
    "client.concurrency",
    "client.connect_code_to_unidirectional_disconnect",
    "client.insecure_skip_token_signature_verify",
    "client.subscription_token.insecure_skip_jwks_endpoint_safety_check",
    "client.token.insecure_skip_jwks_endpoint_safety_check",
    "client.presence_update_interval",
    "client.user_id_http_header",
    "consumers",
    "controller",
    "debug.enabled",
    "debug.handler_prefix",
    "emulation",
    "enable_unreleased_features",
    "engine.redis.client_name",
    "engine.redis.cluster_address",
    "engine.redis.force_resp2",
    "engine.redis.history_use_lists",
    "engine.redis.presence_hash_field_ttl",
    "engine.redis.presence_user_mapping",
    "engine.redis.replica_client",
    "engine.redis.sentinel_address",
    "engine.redis.sentinel_client_name",
    "engine.redis.sentinel_master_name",
    "engine.redis.sentinel_password",
    "engine.redis.sentinel_tls",
    "engine.redis.sentinel_user",
    "graphite",
    "grpc_api",
    "http_api.external",
    "http_server.h2c_external",
    "http_server.http3",
    "http_server.internal_tls",
    "http_server.tls_autocert",
    "http_server.tls_external",
    "http_stream",
    "map_broker",
    "node.info_metrics_aggregate_interval",
    "opentelemetry",
    "presence_manager",
    "prometheus.instrument_http_handlers",
    "prometheus.native_histograms",
    "prometheus.recovered_publications_histogram",
    "redis",
    "shared_poll",
    "sse",
    "swagger",
    "uni_grpc",
    "uni_http_stream",
    "uni_sse",
    "uni_websocket",
    "usage_stats",
    "websocket.compression",
    "websocket.compression_level",
    "websocket.compression_min_size",
    "websocket.decompressed_message_size_limit",
    "websocket.read_buffer_size",
    "websocket.use_write_buffer_pool",
    "websocket.write_buffer_size",
    "webtransport",
};

static const char *const unsupported_channel_options[] = {
    "allow_tags_filter",
    "allowed_delta_types",
    "delta_publish",
    "map",
    "map_clients_presence_channel_prefix",
    "map_users_presence_channel_prefix",
    "shared_poll",
    "subscribe_stream_proxy_bidirectional",
    "subscribe_stream_proxy_enabled",
    "subscribe_stream_proxy_name",
    "subscription_type",
};

/* What proxy objects of Centrifugo have besides, wherever one stands. */
static const char *const unsupported_proxy_options[] = {
    "binary_encoding",
    "grpc",
    "grpc_metadata",
    "http.tls.cert_pem",
    "http.tls.client_ca_pem",
    "http.tls.enabled",
    "http.tls.insecure_skip_verify",
    "http.tls.key_pem",
    "http.tls.server_name",
};
static const char *const proxy_objects[] = {
    "client.proxy.connect.",
    "client.proxy.refresh.",
    "channel.proxy.subscribe.",
    "channel.proxy.publish.",
    "channel.proxy.sub_refresh.",
    "rpc.proxy.",
    "proxies.",
};

static const struct option_row *find(const struct option_row *rows, size_t count, struct str path)
{
    for (size_t i = 0; i < count; i++) {
        if (str_is(path, rows[i].path)) {
            return &rows[i];
        }
    }
    return NULL;
}

const struct option_row *config_row_find(struct str path)
{
    return find(config_rows, CONFIG_OPTION_COUNT, path);
}

const struct option_row *channel_option_row_find(struct str key)
{
    return find(channel_option_rows, CHANNEL_OPTION_COUNT, key);
}

/* `path` itself, or something below it. */
static bool covers(const char *section, struct str path)
{
    struct str name = str_from_cstr(section);
    return str_starts_with(path, name) && (path.len == name.len || path.at[name.len] == '.');
}

static bool is_unsupported_in_proxy(struct str key)
{
    for (size_t i = 0; i < sizeof unsupported_proxy_options / sizeof unsupported_proxy_options[0]; i++) {
        if (covers(unsupported_proxy_options[i], key)) {
            return true;
        }
    }
    return false;
}

bool config_is_unsupported(struct str path)
{
    for (size_t i = 0; i < sizeof proxy_objects / sizeof proxy_objects[0]; i++) {
        struct str object = str_from_cstr(proxy_objects[i]);
        if (str_starts_with(path, object) && is_unsupported_in_proxy(str_skip(path, object.len))) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof unsupported_paths / sizeof unsupported_paths[0]; i++) {
        if (covers(unsupported_paths[i], path)) {
            return true;
        }
    }
    return false;
}

bool channel_option_is_unsupported(struct str key)
{
    for (size_t i = 0; i < sizeof unsupported_channel_options / sizeof unsupported_channel_options[0]; i++) {
        if (covers(unsupported_channel_options[i], key)) {
            return true;
        }
    }
    return false;
}

bool config_is_section(struct str path)
{
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        struct str row = str_from_cstr(config_rows[i].path);
        if (str_starts_with(row, path) && row.len > path.len && row.at[path.len] == '.') {
            return true;
        }
    }
    return false;
}

void environment_name(struct buf *out, struct str path)
{
    buf_append_lit(out, "STARLING_");
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.at[i];
        buf_append_char(out, isalnum(c) ? (char)toupper(c) : '_');
    }
}

/* The form in which names are compared: lower case, one kind of separator. */
static struct str normalized(struct str name, char *out, size_t size)
{
    struct str cut = str_first(name, size);
    for (size_t i = 0; i < cut.len; i++) {
        unsigned char c = (unsigned char)cut.at[i];
        out[i] = isalnum(c) ? (char)tolower(c) : '_';
    }
    return str_make(out, cut.len);
}

const struct option_row *option_row_nearest(const struct option_row *rows, size_t count, struct str key)
{
    char key_bytes[128];
    char row_bytes[128];
    struct str wanted = normalized(key, key_bytes, sizeof key_bytes);
    const struct option_row *nearest = NULL;
    size_t nearest_distance = 2 + wanted.len / 8;
    for (size_t i = 0; i < count && wanted.len >= 3; i++) {
        struct str candidate = normalized(str_from_cstr(rows[i].path), row_bytes, sizeof row_bytes);
        bool lacks_section = str_ends_with(candidate, wanted) && candidate.len > wanted.len &&
                             candidate.at[candidate.len - wanted.len - 1] == '_';
        size_t distance = lacks_section ? 0 : edit_distance(wanted, candidate, nearest_distance);
        if (distance < nearest_distance || (nearest == NULL && distance == nearest_distance)) {
            nearest = &rows[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}

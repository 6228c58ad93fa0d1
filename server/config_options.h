/* config_options.h - every option of the server that is not an option of a namespace.
 *
 * One row per option: field of struct config, path in the file, type, default as one would write it, smallest
 * and largest value in the unit of the field, meaning. The row makes the field, the parser, the range check,
 * the environment name, the flag and the table of deploy/README.md. No limit can be switched off: its row
 * starts above 0, or says what 0 means. Paths and meanings are those of SERVER_API section 8; `limits` is
 * ours (THREATS section 0).
 *
 * Types: boolean; uint; ms (text like 25s, 1h30m, 500ms); bytes (a number or 64KiB, 1MiB, 2GiB); unix_time
 * (seconds); text; secret (text that is never printed); list (of texts); letter (one character or none);
 * headers (a JSON object of texts); transforms (a JSON list, config_maps.h); keys (a JSON object of secrets
 * by version, config_keys.h); the rest are names of enums in config.h.
 */
#ifndef STARLING_SERVER_CONFIG_OPTIONS_H
#define STARLING_SERVER_CONFIG_OPTIONS_H

#define CONFIG_SECOND 1000ull
#define CONFIG_MINUTE (60 * CONFIG_SECOND)
#define CONFIG_HOUR (60 * CONFIG_MINUTE)
#define CONFIG_DAY (24 * CONFIG_HOUR)
#define CONFIG_KIB 1024ull
#define CONFIG_MIB (1024 * CONFIG_KIB)
#define CONFIG_GIB (1024 * CONFIG_MIB)

/* clang-format off */
#define CONFIG_OPTIONS_SERVER(X)                                                                                       \
    X(http_server_address,             "http_server.address",             list,    "",       0, 0,     "addresses to listen on; empty = all") \
    X(http_server_port,                "http_server.port",                uint,    "8000",   0, 65535, "port to listen on; 0 = any free one, the log says which") \
    X(http_server_internal_address,    "http_server.internal_address",    list,    "",       0, 0,     "addresses of the internal port; empty = as http_server.address") \
    X(http_server_internal_port,       "http_server.internal_port",       uint,    "0",      0, 65535, "separate port for API, metrics, health and debug; 0 = on the main port") \
    X(http_server_tls_enabled,         "http_server.tls.enabled",         boolean, "false",  0, 1,     "serve TLS on the main port") \
    X(http_server_tls_cert_pem,        "http_server.tls.cert_pem",        text,    "",       0, 0,     "certificate chain: file path, PEM text or base64 of it") \
    X(http_server_tls_key_pem,         "http_server.tls.key_pem",         secret,  "",       0, 0,     "private key: file path, PEM text or base64 of it") \
    X(http_server_trusted_proxies,     "http_server.trusted_proxies",     list,    "",       0, 0,     "addresses and networks like 10.0.0.0/8 of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; empty = nobody's") \
    X(http_server_workers,             "http_server.workers",             uint,    "0",      0, 64,    "worker threads; 0 = one per core") \
    X(log_level,                       "log.level",                       log_level,  "info", 0, 6,    "lowest level that is logged") \
    X(log_format,                      "log.format",                      log_format, "auto", 0, 2,    "line format; auto = text on a terminal, else json") \
    X(log_file,                        "log.file",                        text,    "",       0, 0,     "file to append log lines to; empty = standard output") \
    X(engine_type,                     "engine.type",                     engine_type, "memory", 0, 0, "where channels live") \
    X(node_name,                       "node.name",                       text,    "",       0, 0,     "name of this node; empty = host name and port") \
    X(pid_file,                        "pid_file",                        text,    "",       0, 0,     "file to write the process id to; empty = none") \
    X(shutdown_timeout_ms,             "shutdown.timeout",                ms,      "30s",    0, CONFIG_HOUR, "longest a stop may take; 0 = stop at once") \
    X(shutdown_drain_ms,               "shutdown.drain",                  ms,      "10s",    0, CONFIG_HOUR, "part of the stop over which connections are closed; 0 = all at once")

#define CONFIG_TOKEN_OPTIONS(X, field, path)                                                                           \
    X(field##_hmac_secret_key,                     path ".hmac_secret_key",                     secret,    "",    0, 0, "HMAC secret of tokens, 32 bytes or more; empty = no HMAC tokens") \
    X(field##_hmac_previous_secret_key,            path ".hmac_previous_secret_key",            secret,    "",    0, 0, "HMAC secret before the last rotation, still accepted; empty = none") \
    X(field##_hmac_previous_secret_key_valid_until, path ".hmac_previous_secret_key_valid_until", unix_time, "0", 0, 253402300799, "Unix seconds until which the previous secret is accepted; 0 = no end") \
    X(field##_rsa_public_key,                      path ".rsa_public_key",                      text,      "",    0, 0, "RSA public key of tokens, PEM; empty = no RSA tokens") \
    X(field##_ecdsa_public_key,                    path ".ecdsa_public_key",                    text,      "",    0, 0, "EC public key of tokens, PEM; empty = no ECDSA tokens") \
    X(field##_ed25519_public_key,                  path ".ed25519_public_key",                  text,      "",    0, 0, "Ed25519 public key of tokens, PEM; empty = no EdDSA tokens") \
    X(field##_key_ids,                             path ".key_ids",                             list,      "",    0, 0, "values of kid that tokens may carry; empty = none, a token with kid is refused") \
    X(field##_audience,                            path ".audience",                            text,      "",    0, 0, "what aud must be; empty = anything") \
    X(field##_audience_regex,                      path ".audience_regex",                      text,      "",    0, 0, "POSIX extended expression that aud must match; empty = anything") \
    X(field##_issuer,                              path ".issuer",                              text,      "",    0, 0, "what iss must be; empty = anything") \
    X(field##_issuer_regex,                        path ".issuer_regex",                        text,      "",    0, 0, "POSIX extended expression that iss must match; empty = anything") \
    X(field##_jwks_public_endpoint,                path ".jwks_public_endpoint",                text,      "",    0, 0, "URL of the key set that tokens with a kid are verified with, http or https; empty = none") \
    X(field##_jwks_cache_ttl_ms,                   path ".jwks_cache_ttl",                      ms,        "1h",  CONFIG_SECOND, CONFIG_DAY, "age at which the key set is fetched again; it is also when a kid is unknown, but not more often than every 5 s") \
    X(field##_user_id_claim,                       path ".user_id_claim",                       text,      "",    0, 0, "claim that holds the user; empty = sub")

/* One object that says how a backend is asked (SERVER_API section 6.11): as it stands in client.proxy, channel.proxy and
 * rpc.proxy, and with an empty `path` as an entry of `proxies`. */
#define CONFIG_PROXY_OPTIONS(X, field, path)                                                                           \
    X(field##endpoint,                  path "endpoint",                  text,    "",       0, 0,     "URL that is asked, http or https") \
    X(field##timeout_ms,                path "timeout",                   ms,      "1s",     10, 5 * CONFIG_MINUTE, "longest a request may take, waiting for a free place included") \
    X(field##http_headers,              path "http_headers",              list,    "",       0, 0,     "headers of the client's HTTP request that are passed on; empty = none") \
    X(field##emulated_headers,          path "emulated_headers",          list,    "",       0, 0,     "headers that clients may send in connect commands and that are passed on; empty = none") \
    X(field##include_connection_meta,   path "include_connection_meta",   boolean, "false",  0, 1,     "pass the connection's meta on") \
    X(field##tls_server_ca,             path "http.tls.server_ca_pem",    text,    "",       0, 0,     "authorities to trust: file path, PEM text or base64 of it; empty = the system's") \
    X(field##static_headers,            path "http.static_headers",       headers, "",       0, 0,     "headers of every request; values are never printed") \
    X(field##transforms,                path "http.status_to_code_transforms", transforms, "", 0, 0,   "what clients get for an HTTP status other than 200: [{status_code, to_error or to_disconnect}]")

#define CONFIG_ENABLED_PROXY_OPTIONS(X, field, path, event)                                                            \
    X(field##enabled,                   path "enabled",                   boolean, "false",  0, 1,     event)         \
    CONFIG_PROXY_OPTIONS(X, field, path)

/* Who answers RPC methods: of rpc.without_namespace, and of an entry of rpc.namespaces. */
#define CONFIG_RPC_OPTIONS(X, field, path)                                                                             \
    X(field##proxy_enabled,             path "proxy_enabled",             boolean, "false",  0, 1,     "ask a proxy") \
    X(field##proxy_name,                path "proxy_name",                text,    "default", 0, 0,    "which: a name of proxies, or default = rpc.proxy")

/* What has a name in a list: entries of `proxies` and `rpc.namespaces`. */
#define CONFIG_NAME_OPTION(X)                                                                                          \
    X(name,                             "name",                           text,    "",       0, 0,     "what other options call it")

#define CONFIG_OPTIONS_PROXY(X)                                                                                        \
    CONFIG_ENABLED_PROXY_OPTIONS(X, client_proxy_connect_, "client.proxy.connect.", "ask when a client connects without a token") \
    CONFIG_ENABLED_PROXY_OPTIONS(X, client_proxy_refresh_, "client.proxy.refresh.", "ask when a connection that the connect proxy accepted expires") \
    CONFIG_PROXY_OPTIONS(X, channel_proxy_subscribe_, "channel.proxy.subscribe.")                                      \
    CONFIG_PROXY_OPTIONS(X, channel_proxy_publish_, "channel.proxy.publish.")                                          \
    CONFIG_PROXY_OPTIONS(X, channel_proxy_sub_refresh_, "channel.proxy.sub_refresh.")                                  \
    CONFIG_PROXY_OPTIONS(X, rpc_proxy_, "rpc.proxy.")                                                                  \
    CONFIG_RPC_OPTIONS(X, rpc_without_namespace_, "rpc.without_namespace.")                                            \
    X(rpc_namespace_boundary,          "rpc.namespace_boundary",          letter,  ":",      0, 0,     "ends the namespace in a method; empty = no namespaces") \
    X(rpc_ping_enabled,                "rpc.ping.enabled",                boolean, "false",  0, 1,     "answer the method rpc.ping.method with {}") \
    X(rpc_ping_method,                 "rpc.ping.method",                 text,    "ping",   0, 0,     "see rpc.ping.enabled")

#define CONFIG_OPTIONS_WEBHOOKS(X)                                                                                     \
    X(webhooks_endpoint,               "webhooks.endpoint",               text,    "",       0, 0,     "URL that events are posted to, http or https; empty = none are") \
    X(webhooks_events,                 "webhooks.events",                 list,    "connected disconnected subscribed unsubscribed occupied vacated", 0, 0, "events that are posted; published has to be named") \
    X(webhooks_secret,                 "webhooks.secret",                 secret,  "",       0, 0,     "key of the HMAC-SHA256 in X-Starling-Signature; empty = not signed") \
    X(webhooks_batch_max,              "webhooks.batch_max",              uint,    "100",    1, 10000, "events in one request") \
    X(webhooks_batch_delay_ms,         "webhooks.batch_delay",            ms,      "100ms",  0, CONFIG_MINUTE, "how long an event may wait for others; 0 = not at all") \
    X(webhooks_timeout_ms,             "webhooks.timeout",                ms,      "5s",     10, 5 * CONFIG_MINUTE, "longest a request may take") \
    X(webhooks_attempts,               "webhooks.attempts",               uint,    "8",      1, 100,   "how often a request is tried, with growing pauses of up to 30s, before its events are dropped") \
    X(webhooks_queue_max,              "webhooks.queue_max",              uint,    "10000",  1, 10000000, "events of one worker that wait; more are dropped and counted")

#define CONFIG_OPTIONS_CLIENT(X)                                                                                       \
    X(client_allowed_origins,          "client.allowed_origins",          list,    "",       0, 0,     "origins that browsers may connect from, * matches any run; empty = the server's own only") \
    CONFIG_TOKEN_OPTIONS(X, client_token, "client.token")                                                              \
    X(client_subscription_token_enabled, "client.subscription_token.enabled", boolean, "false", 0, 1, "subscription tokens have their own keys, those below") \
    CONFIG_TOKEN_OPTIONS(X, client_subscription_token, "client.subscription_token")                                    \
    X(client_allow_anonymous_connect_without_token, "client.allow_anonymous_connect_without_token", boolean, "false", 0, 1, "clients without a token connect as anonymous users") \
    X(client_disallow_anonymous_connection_tokens,  "client.disallow_anonymous_connection_tokens",  boolean, "false", 0, 1, "refuse connection tokens without a user") \
    X(client_ping_interval_ms,         "client.ping_interval",            ms,      "25s",    CONFIG_SECOND, CONFIG_HOUR, "silence before the server pings") \
    X(client_pong_timeout_ms,          "client.pong_timeout",             ms,      "8s",     CONFIG_SECOND, CONFIG_HOUR, "wait for the pong, less than client.ping_interval") \
    X(client_stale_close_delay_ms,     "client.stale_close_delay",        ms,      "10s",    CONFIG_SECOND, CONFIG_HOUR, "time to send a connect command") \
    X(client_expired_close_delay_ms,   "client.expired_close_delay",      ms,      "25s",    0, CONFIG_DAY,    "time to refresh an expired connection; 0 = closed as it expires") \
    X(client_expired_sub_close_delay_ms, "client.expired_sub_close_delay", ms,     "25s",    0, CONFIG_DAY,    "time to refresh an expired subscription; 0 = ended as it expires") \
    X(client_channel_limit,            "client.channel_limit",            uint,    "128",    1, 65535, "channels of one connection") \
    X(client_queue_max_size,           "client.queue_max_size",           bytes,   "1MiB",   4 * CONFIG_KIB, 1 * CONFIG_GIB, "bytes queued for one connection before it is slow") \
    X(client_channel_position_check_delay_ms, "client.channel_position_check_delay", ms, "40s", CONFIG_SECOND, CONFIG_HOUR, "how often positions are compared with the stream in Redis; with the memory engine each publication is checked as it comes") \
    X(client_connection_limit,         "client.connection_limit",         uint,    "10000",  1, 10000000, "connections of this node") \
    X(client_user_connection_limit,    "client.user_connection_limit",    uint,    "100",    1, 10000000, "connections of one user on this node; anonymous users are not counted") \
    X(client_connection_rate_limit,    "client.connection_rate_limit",    uint,    "1000",   1, 10000000, "new connections a second on this node") \
    X(client_connect_include_server_time, "client.connect_include_server_time", boolean, "false", 0, 1, "put the server's time into connect replies") \
    X(client_history_max_publication_limit,  "client.history_max_publication_limit",  uint, "300", 1, 1000000, "publications in one answer to a client's history command") \
    X(client_recovery_max_publication_limit, "client.recovery_max_publication_limit", uint, "300", 1, 1000000, "publications in one recovery; more means not recovered") \
    X(client_insecure,                 "client.insecure",                 boolean, "false",  0, 1,     "no authentication at all: for development only") \
    X(client_subscribe_to_user_personal_channel_enabled, "client.subscribe_to_user_personal_channel.enabled", boolean, "false", 0, 1, "subscribe each user to their personal channel") \
    X(client_subscribe_to_user_personal_channel_personal_channel_namespace, "client.subscribe_to_user_personal_channel.personal_channel_namespace", text, "", 0, 0, "namespace of personal channels; empty = none") \
    X(client_subscribe_to_user_personal_channel_single_connection, "client.subscribe_to_user_personal_channel.single_connection", boolean, "false", 0, 1, "a new connection of a user ends the older ones")

#define CONFIG_OPTIONS_COOKIES(X)                                                                                      \
    X(client_cookie_auth_enabled,      "client.cookie_auth.enabled",      boolean, "false",  0, 1,     "the signed cookie of an application (Tornado's set_signed_cookie) says who connects without a token") \
    X(client_cookie_auth_name,         "client.cookie_auth.name",         text,    "user",   0, 0,     "name of that cookie") \
    X(client_cookie_auth_keys,         "client.cookie_auth.keys",         keys,    "",       0, 0,     "its secrets by key version; the cookie_secret of an application that has only one is version 0") \
    X(client_cookie_auth_key_version,  "client.cookie_auth.key_version",  uint,    "0",      0, 4294967295, "version of the key that signs (gencookie), the others are accepted too; 0 = the key of version 0") \
    X(client_cookie_auth_max_age_days, "client.cookie_auth.max_age_days", uint,    "31",     1, 3650,  "days after which a cookie is refused") \
    X(client_cookie_auth_user_from,    "client.cookie_auth.user_from",    text,    "value",  0, 0,     "where the user is: value, or json:FIELD of a value that is a JSON object") \
    X(session_handler_prefix,          "session.handler_prefix",          text,    "/session", 0, 0,   "path of signing in and out, there with --dev or admin.enabled") \
    X(session_keys,                    "session.keys",                    keys,    "",       0, 0,     "secrets of session cookies by key version") \
    X(session_key_version,             "session.key_version",             uint,    "0",      0, 4294967295, "version of the key that signs session cookies, the others are accepted and signed anew; 0 = the key of version 0") \
    X(session_max_age_ms,              "session.max_age",                 ms,      "24h",    CONFIG_MINUTE, 31 * CONFIG_DAY, "how long a session lasts") \
    X(admin_enabled,                   "admin.enabled",                   boolean, "false",  0, 1,     "an administrator may sign in from a browser and call the server API, on the internal port where there is one") \
    X(admin_user,                      "admin.user",                      text,    "admin",  0, 0,     "name of the administrator") \
    X(admin_password_hash,             "admin.password_hash",             secret,  "",       0, 0,     "Argon2id hash of the password; hashpassword makes it")

#define CONFIG_OPTIONS_CHANNEL(X)                                                                                      \
    X(channel_max_length,              "channel.max_length",              uint,    "255",    1, 1024,  "bytes of a channel name") \
    X(channel_private_prefix,          "channel.private_prefix",          letter,  "$",      0, 0,     "first character of channels that need a subscription token; empty = none") \
    X(channel_namespace_boundary,      "channel.namespace_boundary",      letter,  ":",      0, 0,     "ends the namespace in a name; empty = no namespaces") \
    X(channel_user_boundary,           "channel.user_boundary",           letter,  "#",      0, 0,     "starts the list of users in a name; empty = none") \
    X(channel_user_separator,          "channel.user_separator",          letter,  ",",      0, 0,     "separates users in a name; empty = one user only") \
    X(channel_history_meta_ttl_ms,     "channel.history_meta_ttl",        ms,      "720h",   CONFIG_SECOND, 3650 * CONFIG_DAY, "how long offset and epoch of a channel outlive its last publication") \
    X(channel_publication_data_format, "channel.publication_data_format", data_format, "",   0, 3,     "check of published data, for namespaces that set none; empty = not empty")

#define CONFIG_OPTIONS_ENGINE(X)                                                                                       \
    X(engine_redis_address,            "engine.redis.address",            list,    "127.0.0.1:6379", 0, 0, "where Redis is: host:port, redis://user:password@host:port/db, rediss://… or unix:///path; several share the channels") \
    X(engine_redis_user,               "engine.redis.user",               text,    "",       0, 0,     "user of Redis; empty = the default one") \
    X(engine_redis_password,           "engine.redis.password",           secret,  "",       0, 0,     "password of Redis; empty = none") \
    X(engine_redis_db,                 "engine.redis.db",                 uint,    "0",      0, 65535, "number of the database, 0 = the first") \
    X(engine_redis_prefix,             "engine.redis.prefix",             text,    "starling", 0, 0,   "what every key and channel in Redis begins with; nodes of one cluster have the same") \
    X(engine_redis_connect_timeout_ms, "engine.redis.connect_timeout",    ms,      "1s",     100, CONFIG_MINUTE, "longest a connection to Redis may take") \
    X(engine_redis_io_timeout_ms,      "engine.redis.io_timeout",         ms,      "4s",     1500, CONFIG_MINUTE, "longest Redis may take to answer") \
    X(engine_redis_presence_ttl_ms,    "engine.redis.presence_ttl",       ms,      "60s",    10 * CONFIG_SECOND, CONFIG_HOUR, "how long presence outlives the last node of a cluster") \
    X(engine_redis_durability,         "engine.redis.durability",         durability, "relaxed", 0, 1, "what a restart of Redis means: relaxed = positions end, strict = Redis keeps what it acknowledged") \
    X(engine_redis_tls_enabled,        "engine.redis.tls.enabled",        boolean, "false",  0, 1,     "speak TLS to Redis") \
    X(engine_redis_tls_server_ca_pem,  "engine.redis.tls.server_ca_pem",  text,    "",       0, 0,     "certificate authorities of Redis: file path, PEM text or base64 of it; empty = the system's") \
    X(engine_redis_tls_server_name,    "engine.redis.tls.server_name",    text,    "",       0, 0,     "name that Redis must prove; empty = the host of its address") \
    X(engine_redis_tls_cert_pem,       "engine.redis.tls.cert_pem",       text,    "",       0, 0,     "certificate of this server for Redis; empty = none") \
    X(engine_redis_tls_key_pem,        "engine.redis.tls.key_pem",        secret,  "",       0, 0,     "key of that certificate") \
    X(engine_redis_tls_insecure_skip_verify, "engine.redis.tls.insecure_skip_verify", boolean, "false", 0, 1, "believe any certificate: for development only")

#define CONFIG_OPTIONS_ENDPOINTS(X)                                                                                    \
    X(http_api_disabled,               "http_api.disabled",               boolean, "false",  0, 1,     "no server API") \
    X(http_api_handler_prefix,         "http_api.handler_prefix",         text,    "/api",   0, 0,     "path of the server API") \
    X(http_api_key,                    "http_api.key",                    secret,  "",       0, 0,     "key that API calls carry; empty = calls are refused") \
    X(http_api_error_mode,             "http_api.error_mode",             error_mode, "",    0, 1,     "how errors are answered: in the body with status 200, or as HTTP status (transport)") \
    X(http_api_insecure,               "http_api.insecure",               boolean, "false",  0, 1,     "API calls need no key: for development only") \
    X(websocket_disabled,              "websocket.disabled",              boolean, "false",  0, 1,     "no WebSocket endpoint") \
    X(websocket_handler_prefix,        "websocket.handler_prefix",        text,    "/connection/websocket", 0, 0, "path of the WebSocket endpoint") \
    X(websocket_message_size_limit,    "websocket.message_size_limit",    bytes,   "64KiB",  1 * CONFIG_KIB, 64 * CONFIG_MIB, "bytes of one message of a client") \
    X(websocket_write_timeout_ms,      "websocket.write_timeout",         ms,      "1s",     100, CONFIG_HOUR, "longest a closing connection may take to read what it was sent") \
    X(health_enabled,                  "health.enabled",                  boolean, "true",   0, 1,     "health endpoints") \
    X(health_handler_prefix,           "health.handler_prefix",           text,    "/health", 0, 0,    "path of the health endpoints") \
    X(prometheus_enabled,              "prometheus.enabled",              boolean, "false",  0, 1,     "metrics endpoint") \
    X(prometheus_handler_prefix,       "prometheus.handler_prefix",       text,    "/metrics", 0, 0,   "path of the metrics endpoint") \
    X(init_enabled,                    "init.enabled",                    boolean, "false",  0, 1,     "endpoint that answers {} to clients that probe") \
    X(init_handler_prefix,             "init.handler_prefix",             text,    "/connection/init", 0, 0, "path of the init endpoint") \
    X(pages_enabled,                   "pages.enabled",                   boolean, "true",   0, 1,     "built-in pages: chat, feed, admin") \
    X(debug_echo_path,                 "debug.echo_path",                 text,    "",       0, 0,     "path of a WebSocket that answers what it gets, for conformance tests; empty = none")

#define CONFIG_OPTIONS_LIMITS(X)                                                                                       \
    X(limits_http_head_timeout_ms,     "limits.http_head_timeout",        ms,      "10s",    100, CONFIG_HOUR, "from accept, or the last answer's end, to a whole request head") \
    X(limits_http_body_timeout_ms,     "limits.http_body_timeout",        ms,      "10s",    100, CONFIG_HOUR, "from the head to the whole body") \
    X(limits_http_keepalive_timeout_ms, "limits.http_keepalive_timeout",  ms,      "60s",    100, CONFIG_HOUR, "silence between requests") \
    X(limits_http_keepalive_requests,  "limits.http_keepalive_requests",  uint,    "1000",   1, 10000000, "requests on one connection") \
    X(limits_http_request_line_size,   "limits.http_request_line_size",   bytes,   "8KiB",   256, 1 * CONFIG_MIB, "bytes of a request line") \
    X(limits_http_header_size,         "limits.http_header_size",         bytes,   "8KiB",   256, 1 * CONFIG_MIB, "bytes of one header line") \
    X(limits_http_headers_size,        "limits.http_headers_size",        bytes,   "16KiB",  1 * CONFIG_KIB, 4 * CONFIG_MIB, "bytes of all header lines") \
    X(limits_http_header_count,        "limits.http_header_count",        uint,    "64",     8, 64,  "header lines") \
    X(limits_http_body_size,           "limits.http_body_size",           bytes,   "1MiB",   1 * CONFIG_KIB, 256 * CONFIG_MIB, "bytes of an API call's body") \
    X(limits_http_small_body_size,     "limits.http_small_body_size",     bytes,   "64KiB",  1 * CONFIG_KIB, 16 * CONFIG_MIB, "bytes of every other body") \
    X(limits_ws_fragments,             "limits.ws_fragments",             uint,    "1024",   1, 1000000, "fragments of one message") \
    X(limits_ws_empty_fragments,       "limits.ws_empty_fragments",       uint,    "64",     1, 1000000, "empty fragments of one message") \
    X(limits_ws_control_rate,          "limits.ws_control_rate",          uint,    "20",     1, 1000000, "control frames a second from one connection") \
    X(limits_ws_control_burst,         "limits.ws_control_burst",         uint,    "40",     1, 1000000, "control frames at once from one connection") \
    X(limits_commands_per_message,     "limits.commands_per_message",     uint,    "128",    1, 65535, "commands in one message") \
    X(limits_command_rate,             "limits.command_rate",             uint,    "200",    1, 1000000, "commands a second from one connection") \
    X(limits_command_burst,            "limits.command_burst",            uint,    "400",    1, 1000000, "commands at once from one connection") \
    X(limits_user_publish_mode,        "limits.user_publish_mode",        limit_mode, "off", 0, 2,     "what happens over limits.user_publish_rate: nothing, it is counted and logged, or error 111") \
    X(limits_user_publish_rate,        "limits.user_publish_rate",        uint,    "100",    1, 1000000, "publications a second of one user over all connections; anonymous users are not counted") \
    X(limits_user_publish_burst,       "limits.user_publish_burst",       uint,    "200",    1, 1000000, "publications at once of one user") \
    X(limits_ip_publish_mode,          "limits.ip_publish_mode",          limit_mode, "off", 0, 2,     "what happens over limits.ip_publish_rate") \
    X(limits_ip_publish_rate,          "limits.ip_publish_rate",          uint,    "500",    1, 1000000, "publications a second of clients with one address") \
    X(limits_ip_publish_burst,         "limits.ip_publish_burst",         uint,    "1000",   1, 1000000, "publications at once of clients with one address") \
    X(limits_channel_publish_mode,     "limits.channel_publish_mode",     limit_mode, "off", 0, 2,     "what happens over limits.channel_publish_rate") \
    X(limits_channel_publish_rate,     "limits.channel_publish_rate",     uint,    "1000",   1, 1000000, "publications a second of clients into one channel; those of the server API are not counted") \
    X(limits_channel_publish_burst,    "limits.channel_publish_burst",    uint,    "2000",   1, 1000000, "publications at once of clients into one channel") \
    X(limits_json_depth,               "limits.json_depth",               uint,    "32",     4, 512,   "nesting of JSON from a client") \
    X(limits_token_size,               "limits.token_size",               bytes,   "8KiB",   512, 64 * CONFIG_KIB, "bytes of a token") \
    X(limits_user_channel_limit,       "limits.user_channel_limit",       uint,    "1024",   1, 10000000, "channels that all connections of one user asked to subscribe to; anonymous users are not counted") \
    X(limits_connections_per_ip,       "limits.connections_per_ip",       uint,    "1000",   1, 10000000, "connections from one address") \
    X(limits_connection_rate_per_ip,   "limits.connection_rate_per_ip",   uint,    "50",     1, 10000000, "new connections a second from one address") \
    X(limits_connection_burst_per_ip,  "limits.connection_burst_per_ip",  uint,    "100",    1, 10000000, "new connections at once from one address") \
    X(limits_outbox_stall_ms,          "limits.outbox_stall",             ms,      "10s",    100, CONFIG_HOUR, "time in which a reader must take at least one byte") \
    X(limits_outbox_age_ms,            "limits.outbox_age",               ms,      "30s",    100, CONFIG_HOUR, "age of the oldest frame waiting for a reader") \
    X(limits_outbox_total,             "limits.outbox_total",             bytes,   "0",      0, 1024 * CONFIG_GIB, "bytes queued for all connections; 0 = a quarter of the memory") \
    X(limits_streams_max,              "limits.streams_max",              uint,    "1000000", 1, 1000000000, "channels that history, presence or idempotency keys are kept for") \
    X(limits_history_total,            "limits.history_total",            bytes,   "0",      0, 1024 * CONFIG_GIB, "bytes of all publications in history; 0 = a quarter of the memory") \
    X(limits_mailbox_size,             "limits.mailbox_size",             uint,    "65536",  64, 16777216, "messages waiting for one worker") \
    X(limits_accepts_per_turn,         "limits.accepts_per_turn",         uint,    "64",     1, 65535, "connections a worker accepts before it looks at others") \
    X(limits_presence_answer_max,      "limits.presence_answer_max",      uint,    "1000",   1, 1000000, "clients in one presence answer") \
    X(limits_history_page_max,         "limits.history_page_max",         uint,    "10000",  1, 1000000, "publications in one history answer of the server API")

#define CONFIG_OPTIONS(X)       \
    CONFIG_OPTIONS_SERVER(X)    \
    CONFIG_OPTIONS_CLIENT(X)    \
    CONFIG_OPTIONS_COOKIES(X)   \
    CONFIG_OPTIONS_CHANNEL(X)   \
    CONFIG_OPTIONS_ENGINE(X)    \
    CONFIG_OPTIONS_PROXY(X)     \
    CONFIG_OPTIONS_WEBHOOKS(X)  \
    CONFIG_OPTIONS_ENDPOINTS(X) \
    CONFIG_OPTIONS_LIMITS(X)
/* clang-format on */

#endif

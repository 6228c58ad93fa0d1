#include "server/engine.h"

#include "channels/base/random.h"
#include "channels/broker_redis.h"
#include "channels/redis_tls.h"
#include "server/config.h"
#include "server/pem.h"

#include <stdio.h>
#include <stdlib.h>

/* What the workers see, and what only the end needs. */
struct engine {
    struct redis_settings settings;
    struct redis_tls_context *tls;
    struct redis_address addresses[];
};

static bool fail(const char *option, const char *why)
{
    (void)fprintf(stderr, "error: %s: %s\n", option, why);
    return false;
}

static bool load_pem(const char *value, const char *option, char **out)
{
    struct buf why = {0};
    *out = NULL;
    bool is_loaded = value[0] == '\0' || pem_load(value, option, out, &why);
    if (!is_loaded) {
        (void)fprintf(stderr, "error: %.*s\n", STR_ARG(buf_str(&why)));
    }
    buf_release(&why);
    return is_loaded;
}

static bool open_tls(struct engine *engine, const struct config *config)
{
    char *authorities = NULL, *certificate = NULL, *key = NULL;
    const char *error = NULL;
    bool is_loaded =
        load_pem(config->engine_redis_tls_server_ca_pem, "engine.redis.tls.server_ca_pem", &authorities) &&
        load_pem(config->engine_redis_tls_cert_pem, "engine.redis.tls.cert_pem", &certificate) &&
        load_pem(config->engine_redis_tls_key_pem, "engine.redis.tls.key_pem", &key);
    if (is_loaded) {
        engine->tls = redis_tls_context_new(
            &(struct redis_tls_settings){
                .ca_pem = authorities == NULL ? "" : authorities,
                .cert_pem = certificate == NULL ? "" : certificate,
                .key_pem = key == NULL ? "" : key,
                .server_name = config->engine_redis_tls_server_name,
                .skips_verification = config->engine_redis_tls_insecure_skip_verify,
            },
            &error);
    }
    pem_free(authorities);
    pem_free(certificate);
    pem_free(key);
    if (is_loaded && engine->tls == NULL) {
        return fail("engine.redis.tls", error);
    }
    return is_loaded;
}

static bool read_addresses(struct engine *engine, const struct config *config)
{
    const struct redis_address defaults = {
        .user = config->engine_redis_user,
        .password = config->engine_redis_password,
        .database = config->engine_redis_db,
    };
    bool wants_tls = config->engine_redis_tls_enabled;
    for (size_t i = 0; i < config->engine_redis_address.count; i++) {
        const char *error;
        struct redis_address *address = &engine->addresses[i];
        if (!redis_address_parse(address, config->engine_redis_address.at[i], &defaults, &error)) {
            return fail("engine.redis.address", error);
        }
        engine->settings.address_count++;
        wants_tls = wants_tls || address->wants_tls;
        for (size_t j = 0; j < i; j++) {
            if (str_equal(address->name, engine->addresses[j].name)) {
                return fail("engine.redis.address", "an address occurs twice");
            }
        }
    }
    if (wants_tls && !open_tls(engine, config)) {
        return false;
    }
    for (size_t i = 0; i < engine->settings.address_count; i++) {
        struct redis_address *address = &engine->addresses[i];
        bool has_tls = address->wants_tls || config->engine_redis_tls_enabled;
        address->tls = has_tls && address->host != NULL ? engine->tls : NULL;
    }
    return true;
}

bool engine_open(struct redis_settings **out, const struct config *config)
{
    *out = NULL;
    if (config->engine_type == CONFIG_ENGINE_MEMORY) {
        return true;
    }
    size_t count = config->engine_redis_address.count;
    struct str prefix = str_from_cstr(config->engine_redis_prefix);
    if (count == 0 || count > REDIS_SHARDS_MAX) {
        return fail("engine.redis.address", "must be 1 to 64 addresses");
    }
    if (prefix.len == 0 || prefix.len > 64 || str_find(prefix, '{') >= 0 || str_find(prefix, '}') >= 0) {
        return fail("engine.redis.prefix", "must be 1 to 64 characters without braces");
    }
    struct engine *engine = calloc(1, sizeof *engine + count * sizeof engine->addresses[0]);
    if (engine == NULL) {
        return fail("engine.redis", "no memory");
    }
    engine->settings = (struct redis_settings){
        .addresses = engine->addresses,
        .prefix = prefix,
        .connect_timeout_ms = config->engine_redis_connect_timeout_ms,
        .io_timeout_ms = config->engine_redis_io_timeout_ms,
        .presence_ttl_ms = config->engine_redis_presence_ttl_ms,
        .position_check_ms = config->client_channel_position_check_delay_ms,
        .is_strict = config->engine_redis_durability == DURABILITY_STRICT,
    };
    random_epoch(engine->settings.node);
    if (!read_addresses(engine, config)) {
        engine_close(&engine->settings);
        return false;
    }
    *out = &engine->settings;
    return true;
}

void engine_close(struct redis_settings *settings)
{
    if (settings == NULL) {
        return;
    }
    struct engine *engine = (struct engine *)settings; /* its first member */
    for (size_t i = 0; i < settings->address_count; i++) {
        redis_address_release(&engine->addresses[i]);
    }
    redis_tls_context_free(engine->tls);
    free(engine);
}

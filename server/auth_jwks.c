#include "server/auth_jwks.h"

#include "channels/base/hash.h"
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/crypto.h"
#include "server/http_client.h"
#include "server/worker.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <stdlib.h>

enum { NUMBER_BYTES_MAX = 2048, ABSENCES = 64, ABSENCE_LIFE_MS = 60000 };

struct jwks_key {
    struct str kid; /* owned */
    struct token_verifier *verifier;
};

/* A kid that was not in the set when it was first asked for. */
struct absence {
    uint64_t kid_hash;
    uint64_t asked_ms; /* monotonic; 0: free */
};

struct jwks {
    struct worker *worker;
    struct http_target *target;
    struct token_settings settings;
    uint64_t cache_ttl_ms;
    struct jwks_key keys[JWKS_KEYS_MAX];
    size_t key_count;
    struct absence absences[ABSENCES];
    size_t absence_next;
    bool has_set, is_fetching;
    uint64_t tried_ms, fetched_ms; /* monotonic: the last fetch, and the last that brought a set */
};

/* ---- one key ---- */

/* A member that holds a big-endian number or a coordinate, base64url. Returns its length, 0 where it is not
 * that. */
static size_t read_bytes(const json_t *key, const char *name, unsigned char out[NUMBER_BYTES_MAX])
{
    const json_t *member = json_object_get(key, name);
    size_t len = 0;
    if (!json_is_string(member) ||
        !crypto_base64url_decode(str_make(json_string_value(member), json_string_length(member)), out,
                                 NUMBER_BYTES_MAX, &len)) {
        return 0;
    }
    return len;
}

static EVP_PKEY *key_from_params(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = params == NULL ? NULL : EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_key(const json_t *json)
{
    unsigned char modulus[NUMBER_BYTES_MAX], exponent[NUMBER_BYTES_MAX];
    size_t modulus_len = read_bytes(json, "n", modulus), exponent_len = read_bytes(json, "e", exponent);
    if (modulus_len == 0 || exponent_len == 0) {
        return NULL;
    }
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(modulus, (int)modulus_len, NULL);
    BIGNUM *e = BN_bin2bn(exponent, (int)exponent_len, NULL);
    if (builder != NULL && n != NULL && e != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        key = key_from_params("RSA", builder);
    }
    BN_free(n);
    BN_free(e);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *ec_key(const json_t *json)
{
    static const struct {
        const char *curve, *group;
        size_t bytes;
    } curves[] = {{"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}, {"P-521", "secp521r1", 66}};
    const char *curve = json_string_value(json_object_get(json, "crv"));
    unsigned char point[1 + 2 * NUMBER_BYTES_MAX], x[NUMBER_BYTES_MAX], y[NUMBER_BYTES_MAX];
    size_t x_len = read_bytes(json, "x", x), y_len = read_bytes(json, "y", y);
    for (size_t i = 0; curve != NULL && i < sizeof curves / sizeof curves[0]; i++) {
        size_t bytes = curves[i].bytes;
        if (strcmp(curve, curves[i].curve) != 0 || x_len != bytes || y_len != bytes) {
            continue;
        }
        point[0] = 4; /* uncompressed (SEC 1 section 2.3.3) */
        memcpy(point + 1, x, bytes);
        memcpy(point + 1 + bytes, y, bytes);
        EVP_PKEY *key = NULL;
        OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
        if (builder != NULL &&
            OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curves[i].group, 0) == 1 &&
            OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * bytes) == 1) {
            key = key_from_params("EC", builder);
        }
        OSSL_PARAM_BLD_free(builder);
        return key;
    }
    return NULL;
}

static EVP_PKEY *ed25519_key(const json_t *json)
{
    unsigned char x[NUMBER_BYTES_MAX];
    const char *curve = json_string_value(json_object_get(json, "crv"));
    size_t len = read_bytes(json, "x", x);
    return curve != NULL && strcmp(curve, "Ed25519") == 0 && len == 32
               ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, len)
               : NULL;
}

/* Key types that can sign for us (RFC 7518 section 6.1, RFC 8037 section 2). */
static const struct family {
    const char *type;
    EVP_PKEY *(*read)(const json_t *json);
} families[] = {{"RSA", rsa_key}, {"EC", ec_key}, {"OKP", ed25519_key}};

static void take_key(const json_t *json, void (*take)(void *, struct str, const char *, const char *),
                     void *context)
{
    const char *type = json_string_value(json_object_get(json, "kty"));
    const char *use = json_string_value(json_object_get(json, "use"));
    const json_t *kid = json_object_get(json, "kid");
    size_t kid_len = json_is_string(kid) ? json_string_length(kid) : 0;
    if (type == NULL || kid_len == 0 || kid_len > JWKS_KID_BYTES_MAX ||
        (use != NULL && strcmp(use, "sig") != 0)) {
        return;
    }
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        EVP_PKEY *key = strcmp(type, families[i].type) == 0 ? families[i].read(json) : NULL;
        BIO *bio = key == NULL ? NULL : BIO_new(BIO_s_mem());
        char *pem = NULL;
        if (bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1 && BIO_write(bio, "", 1) == 1) {
            BIO_get_mem_data(bio, &pem);
            take(context, str_make(json_string_value(kid), kid_len), type, pem);
        }
        BIO_free(bio);
        EVP_PKEY_free(key);
    }
    ERR_clear_error(); /* as in auth.c: it would look like an error of the next TLS call */
}

int jwks_read(struct str json,
              void (*take)(void *context, struct str kid, const char *family, const char *pem), void *context)
{
    json_t *set = json_loadb(json.at, json.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *keys = json_object_get(set, "keys");
    int count = json_is_array(keys) ? (int)json_array_size(keys) : -1;
    for (int i = 0; i < count && i < JWKS_KEYS_MAX; i++) {
        take_key(json_array_get(keys, (size_t)i), take, context);
    }
    json_decref(set);
    return count;
}

bool token_key_id(struct str token, struct buf *scratch, struct str *out)
{
    char text[TOKEN_HEADER_BYTES_MAX];
    size_t len = 0;
    ptrdiff_t dot = str_find(token, '.');
    if (dot < 0 || !crypto_base64url_decode(str_first(token, (size_t)dot), text, sizeof text, &len)) {
        return false;
    }
    json_t *header = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *kid = json_object_get(header, "kid");
    bool has_kid = json_is_string(kid);
    if (has_kid) {
        buf_reset(scratch);
        buf_append(scratch, json_string_value(kid), json_string_length(kid));
        *out = buf_str(scratch);
    }
    json_decref(header);
    return has_kid && !scratch->failed;
}

/* ---- the set ---- */

static void forget_keys(struct jwks *jwks)
{
    for (size_t i = 0; i < jwks->key_count; i++) {
        free((void *)(uintptr_t)jwks->keys[i].kid.at);
        token_verifier_free(jwks->keys[i].verifier);
    }
    jwks->key_count = 0;
}

static void add_key(void *context, struct str kid, const char *family, const char *pem)
{
    struct jwks *jwks = context;
    struct token_settings settings = jwks->settings;
    struct str error = STR("");
    settings.key_ids = &kid;
    settings.key_id_count = 1;
    settings.rsa_public_key = strcmp(family, "RSA") == 0 ? pem : NULL;
    settings.ecdsa_public_key = strcmp(family, "EC") == 0 ? pem : NULL;
    settings.ed25519_public_key = strcmp(family, "OKP") == 0 ? pem : NULL;
    struct jwks_key key = {.kid = str_make(str_to_cstr(kid), kid.len)};
    if (key.kid.at == NULL || token_verifier_open(&key.verifier, &settings, &error) != STATUS_OK) {
        log_warn("jwks_key_refused", {"kid", log_text(kid)}, {"reason", log_text(error)});
        free((void *)(uintptr_t)key.kid.at);
        return;
    }
    jwks->keys[jwks->key_count++] = key;
}

static void on_answer(void *context, const struct http_answer *answer)
{
    if (answer->outcome == HTTP_OUTCOME_STOPPED) {
        return; /* the worker ends, and the set is freed already */
    }
    struct jwks *jwks = context;
    jwks->is_fetching = false;
    struct jwks fresh = {.settings = jwks->settings};
    bool is_answer = answer->outcome == HTTP_OUTCOME_ANSWER && answer->status == 200;
    int count = is_answer ? jwks_read(answer->body, add_key, &fresh) : -1;
    if (count < 0 || fresh.key_count == 0) {
        log_warn("jwks_fetch_failed", {"outcome", log_cstr(http_outcome_text(answer->outcome))},
                 {"status", log_u64(answer->status)}, {"keys", log_i64(count)});
        forget_keys(&fresh);
        return;
    }
    forget_keys(jwks);
    memcpy(jwks->keys, fresh.keys, sizeof jwks->keys);
    jwks->key_count = fresh.key_count;
    jwks->has_set = true;
    jwks->fetched_ms = jwks->worker->now_ms;
    log_info("jwks_fetched", {"keys", log_u64(jwks->key_count)});
}

static void fetch(struct jwks *jwks)
{
    if (jwks->is_fetching) {
        return;
    }
    jwks->tried_ms = jwks->worker->now_ms;
    jwks->is_fetching = http_client_get(jwks->worker->http, jwks->target, on_answer, jwks);
}

struct jwks *jwks_new(struct worker *worker, const char *url, uint64_t cache_ttl_ms,
                      const struct token_settings *settings)
{
    struct jwks *jwks = calloc(1, sizeof *jwks);
    if (jwks == NULL) {
        return NULL;
    }
    jwks->worker = worker;
    jwks->cache_ttl_ms = cache_ttl_ms;
    jwks->settings = *settings;
    jwks->settings.hmac_secret_key = jwks->settings.hmac_previous_secret_key = NULL;
    struct http_target_settings target = http_target_defaults("jwks", url, JWKS_TIMEOUT_MS);
    jwks->target = http_target_new(worker->http, &target);
    if (jwks->target == NULL) {
        free(jwks);
        return NULL;
    }
    return jwks;
}

void jwks_free(struct jwks *jwks)
{
    if (jwks != NULL) {
        forget_keys(jwks);
        free(jwks);
    }
}

void jwks_start(struct jwks *jwks)
{
    fetch(jwks);
}

/* Was the set fetched after this kid was first asked for, and still does not have it? Else notes that it was
 * asked for. */
static bool is_absent(struct jwks *jwks, struct str kid)
{
    uint64_t hash = hash_str(kid), now_ms = jwks->worker->now_ms;
    for (size_t i = 0; i < ABSENCES; i++) {
        struct absence *absence = &jwks->absences[i];
        if (absence->kid_hash == hash && absence->asked_ms != 0 &&
            now_ms - absence->asked_ms < ABSENCE_LIFE_MS) {
            return jwks->has_set && jwks->fetched_ms > absence->asked_ms;
        }
    }
    jwks->absences[jwks->absence_next] = (struct absence){.kid_hash = hash, .asked_ms = now_ms};
    jwks->absence_next = (jwks->absence_next + 1) % ABSENCES;
    return false;
}

enum status jwks_find(struct jwks *jwks, struct str kid, const struct token_verifier **out)
{
    uint64_t now_ms = jwks->worker->now_ms;
    if (jwks->has_set && now_ms - jwks->fetched_ms >= jwks->cache_ttl_ms &&
        now_ms - jwks->tried_ms >= JWKS_UNKNOWN_WAIT_MS) {
        fetch(jwks); /* a key that was taken out of the set goes with its answer */
    }
    for (size_t i = 0; i < jwks->key_count; i++) {
        if (str_equal(jwks->keys[i].kid, kid)) {
            *out = jwks->keys[i].verifier;
            return STATUS_OK;
        }
    }
    if (is_absent(jwks, kid)) {
        return STATUS_INVALID_TOKEN;
    }
    if (now_ms - jwks->tried_ms >= JWKS_UNKNOWN_WAIT_MS) {
        fetch(jwks);
    }
    return STATUS_BUSY;
}

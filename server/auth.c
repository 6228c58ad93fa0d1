#include "server/auth.h"

#include "server/auth_claims.h"
#include "server/config.h"
#include "server/crypto.h"

#include <cjose/cjose.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium/crypto_core_ed25519.h>

#include <stdlib.h>

enum key_family { KEY_HMAC, KEY_RSA, KEY_EC, KEY_ED25519 };

/* One signature algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1). */
struct algorithm {
    const char *name;
    enum key_family family;
    size_t signature_bytes; /* 0: as many as the RSA modulus has */
};

static const struct algorithm algorithms[] = {
    {"HS256", KEY_HMAC, 32}, {"HS384", KEY_HMAC, 48},    {"HS512", KEY_HMAC, 64}, {"RS256", KEY_RSA, 0},
    {"RS384", KEY_RSA, 0},   {"RS512", KEY_RSA, 0},      {"ES256", KEY_EC, 64},   {"ES384", KEY_EC, 96},
    {"ES512", KEY_EC, 132},  {"EdDSA", KEY_ED25519, 64},
};

/* A curve, and the only algorithm that may use it (RFC 7518 section 3.4). */
struct curve {
    const char *group;
    const char *algorithm;
    cjose_jwk_ec_curve id;
    size_t coordinate_bytes;
};

static const struct curve curves[] = {
    {"prime256v1", "ES256", CJOSE_JWK_EC_P_256, 32},
    {"secp384r1", "ES384", CJOSE_JWK_EC_P_384, 48},
    {"secp521r1", "ES512", CJOSE_JWK_EC_P_521, 66},
};

enum { RSA_BYTES_MAX = 2048, COORDINATE_BYTES_MAX = 66 };

struct token_verifier {
    cjose_jwk_t *hmac, *hmac_previous, *rsa, *ecdsa; /* NULL where not configured */
    EVP_PKEY *ed25519;                               /* as well */
    uint64_t hmac_previous_until_s;                  /* 0 = no end */
    size_t rsa_bytes;                                /* of the modulus */
    const struct curve *curve;                       /* of `ecdsa` */
    struct str *key_ids;                             /* owned, and so are their texts */
    size_t key_id_count;
    size_t token_bytes_max;
    struct claim_rules rules;
};

/* -- keys ------------------------------------------------------------------------------------------------ */

static enum status open_hmac(cjose_jwk_t **out, const char *secret, bool allow_short, struct str *out_error)
{
    struct str text = str_from_cstr(secret);
    if (str_starts_with(text, STR("-----BEGIN"))) {
        *out_error = STR("an HMAC secret must not be a PEM key");
        return STATUS_BAD_REQUEST;
    }
    if (text.len < TOKEN_SECRET_BYTES_MIN && !allow_short) {
        *out_error = STR("an HMAC secret must have at least 32 bytes");
        return STATUS_BAD_REQUEST;
    }
    *out = cjose_jwk_create_oct_spec((const uint8_t *)text.at, text.len, NULL);
    return *out == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

/* Instead of OpenSSL's own callback, which would ask on the terminal. */
static int no_password(char *buffer, int size, int for_writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)for_writing;
    (void)arg;
    return -1;
}

/* Reads a public key or the one of a certificate. Returns it owned, or NULL. */
static EVP_PKEY *read_public_key(const char *pem)
{
    EVP_PKEY *key = NULL;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    if (bio == NULL) {
        return NULL;
    }
    if (strstr(pem, "-----BEGIN CERTIFICATE-----") != NULL) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL);
        key = certificate == NULL ? NULL : X509_get_pubkey(certificate);
        X509_free(certificate);
    } else {
        key = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    }
    BIO_free(bio);
    return key;
}

/* Is the key well made: the point on its curve, the modulus and exponent odd? */
static bool is_sound(EVP_PKEY *key)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool sound = context != NULL && EVP_PKEY_public_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    return sound;
}

/* Writes a number of the key big-endian: in `bytes` bytes, or in as many as it takes where that is 0.
 * Returns how many, 0 on failure. `out` holds RSA_BYTES_MAX. */
static size_t read_number(EVP_PKEY *key, const char *name, uint8_t *out, size_t bytes)
{
    BIGNUM *number = NULL;
    if (EVP_PKEY_get_bn_param(key, name, &number) != 1) {
        return 0;
    }
    int wanted = bytes == 0 ? BN_num_bytes(number) : (int)bytes;
    int written = wanted > RSA_BYTES_MAX ? -1 : BN_bn2binpad(number, out, wanted);
    BN_free(number);
    return written < 0 ? 0 : (size_t)written;
}

static enum status open_rsa(struct token_verifier *verifier, const char *pem, struct str *out_error)
{
    EVP_PKEY *key = read_public_key(pem);
    enum status status = STATUS_BAD_REQUEST;
    if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        *out_error = STR("rsa_public_key is not an RSA public key in PEM form");
    } else if (EVP_PKEY_get_bits(key) < TOKEN_RSA_BITS_MIN) {
        *out_error = STR("rsa_public_key must have at least 2048 bits");
    } else if (EVP_PKEY_get_bits(key) > RSA_BYTES_MAX * 8 || !is_sound(key)) {
        *out_error = STR("rsa_public_key is not a sound key of at most 16384 bits");
    } else {
        uint8_t modulus[RSA_BYTES_MAX], exponent[RSA_BYTES_MAX];
        cjose_jwk_rsa_keyspec spec = {
            .n = modulus,
            .nlen = read_number(key, OSSL_PKEY_PARAM_RSA_N, modulus, 0),
            .e = exponent,
            .elen = read_number(key, OSSL_PKEY_PARAM_RSA_E, exponent, 0),
        };
        verifier->rsa = cjose_jwk_create_RSA_spec(&spec, NULL);
        verifier->rsa_bytes = spec.nlen;
        status = verifier->rsa == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    }
    EVP_PKEY_free(key);
    return status;
}

/* The curve of a key; NULL: none that a token may use. */
static const struct curve *find_curve(EVP_PKEY *key)
{
    char group[64];
    size_t len = 0;
    if (EVP_PKEY_get_group_name(key, group, sizeof group, &len) != 1) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (str_is(str_make(group, len), curves[i].group)) {
            return &curves[i];
        }
    }
    return NULL;
}

static enum status open_ecdsa(struct token_verifier *verifier, const char *pem, struct str *out_error)
{
    EVP_PKEY *key = read_public_key(pem);
    enum status status = STATUS_BAD_REQUEST;
    const struct curve *curve = NULL;
    if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) {
        *out_error = STR("ecdsa_public_key is not an EC public key in PEM form");
    } else if ((curve = find_curve(key)) == NULL || !is_sound(key)) {
        *out_error = STR("ecdsa_public_key is not a sound key on P-256, P-384 or P-521");
    } else {
        uint8_t x[RSA_BYTES_MAX], y[RSA_BYTES_MAX];
        cjose_jwk_ec_keyspec spec = {
            .crv = curve->id,
            .x = x,
            .xlen = read_number(key, OSSL_PKEY_PARAM_EC_PUB_X, x, curve->coordinate_bytes),
            .y = y,
            .ylen = read_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, y, curve->coordinate_bytes),
        };
        verifier->ecdsa = cjose_jwk_create_EC_spec(&spec, NULL);
        verifier->curve = curve;
        status = verifier->ecdsa == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    }
    EVP_PKEY_free(key);
    return status;
}

/* On the curve, in its one spelling, and in the group of prime order: with a key of small order anybody could
 * make signatures that hold. */
static bool is_sound_ed25519(EVP_PKEY *key)
{
    unsigned char point[crypto_core_ed25519_BYTES];
    size_t len = sizeof point;
    return EVP_PKEY_get_raw_public_key(key, point, &len) == 1 && len == sizeof point &&
           crypto_core_ed25519_is_valid_point(point) == 1;
}

static enum status open_ed25519(struct token_verifier *verifier, const char *pem, struct str *out_error)
{
    EVP_PKEY *key = read_public_key(pem);
    if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
        *out_error = STR("ed25519_public_key is not an Ed25519 public key in PEM form");
    } else if (!is_sound_ed25519(key)) {
        *out_error = STR("ed25519_public_key is not a sound key");
    } else {
        verifier->ed25519 = key;
        return STATUS_OK;
    }
    EVP_PKEY_free(key);
    return STATUS_BAD_REQUEST;
}

static enum status open_keys(struct token_verifier *verifier, const struct token_settings *settings,
                             struct str *out_error)
{
    enum status status = STATUS_OK;
    if (setting_is_set(settings->hmac_secret_key)) {
        status = open_hmac(&verifier->hmac, settings->hmac_secret_key, settings->allow_short_hmac, out_error);
    }
    if (status == STATUS_OK && setting_is_set(settings->hmac_previous_secret_key)) {
        status = open_hmac(&verifier->hmac_previous, settings->hmac_previous_secret_key,
                           settings->allow_short_hmac, out_error);
    }
    if (status == STATUS_OK && setting_is_set(settings->rsa_public_key)) {
        status = open_rsa(verifier, settings->rsa_public_key, out_error);
    }
    if (status == STATUS_OK && setting_is_set(settings->ecdsa_public_key)) {
        status = open_ecdsa(verifier, settings->ecdsa_public_key, out_error);
    }
    if (status == STATUS_OK && setting_is_set(settings->ed25519_public_key)) {
        status = open_ed25519(verifier, settings->ed25519_public_key, out_error);
    }
    return status;
}

static enum status copy_key_ids(struct token_verifier *verifier, const struct token_settings *settings)
{
    if (settings->key_id_count == 0) {
        return STATUS_OK;
    }
    verifier->key_ids = calloc(settings->key_id_count, sizeof *verifier->key_ids);
    if (verifier->key_ids == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < settings->key_id_count; i++) {
        char *text = str_to_cstr(settings->key_ids[i]);
        if (text == NULL) {
            return STATUS_NO_MEMORY;
        }
        verifier->key_ids[verifier->key_id_count++] = str_make(text, settings->key_ids[i].len);
    }
    return STATUS_OK;
}

enum status token_verifier_open(struct token_verifier **out, const struct token_settings *settings,
                                struct str *out_error)
{
    if (settings->leeway_s > TOKEN_LEEWAY_S_MAX) {
        *out_error = STR("the leeway for token times must be at most 60 seconds");
        return STATUS_BAD_REQUEST;
    }
    if (settings->token_bytes_max > TOKEN_BYTES_MAX_LIMIT) {
        *out_error = STR("the longest token must be at most 1 MiB");
        return STATUS_BAD_REQUEST;
    }
    enum status status = STATUS_NO_MEMORY;
    struct token_verifier *verifier = calloc(1, sizeof *verifier);
    if (verifier == NULL) {
        goto done;
    }
    verifier->token_bytes_max =
        settings->token_bytes_max == 0 ? TOKEN_BYTES_MAX_DEFAULT : settings->token_bytes_max;
    verifier->hmac_previous_until_s = settings->hmac_previous_secret_key_valid_until_s;
    status = open_keys(verifier, settings, out_error);
    if (status == STATUS_OK) {
        status = copy_key_ids(verifier, settings);
    }
    if (status == STATUS_OK) {
        status = claim_rules_init(&verifier->rules, settings, out_error);
    }
done:
    /* What OpenSSL noted about a bad key must not look like an error of the next TLS call of this thread. */
    ERR_clear_error();
    if (status == STATUS_OK) {
        *out = verifier;
    } else {
        if (status == STATUS_NO_MEMORY) {
            *out_error = STR("no memory");
        }
        token_verifier_free(verifier);
    }
    return status;
}

void token_verifier_free(struct token_verifier *verifier)
{
    if (verifier == NULL) {
        return;
    }
    cjose_jwk_release(verifier->hmac);
    cjose_jwk_release(verifier->hmac_previous);
    cjose_jwk_release(verifier->rsa);
    cjose_jwk_release(verifier->ecdsa);
    EVP_PKEY_free(verifier->ed25519);
    for (size_t i = 0; i < verifier->key_id_count; i++) {
        free((void *)(uintptr_t)verifier->key_ids[i].at);
    }
    free(verifier->key_ids);
    claim_rules_release(&verifier->rules);
    free(verifier);
}

/* -- header ---------------------------------------------------------------------------------------------- */

/* Members that say where to take a key from, or that the rest means something else. */
static const char *const refused_members[] = {"jku", "jwk", "x5u", "x5c", "crit", "b64"};

/* A kid decides nothing, since there is one key of each family; but one that the configuration does not know
 * belongs to a key that is not ours. */
static bool kid_is_listed(const struct token_verifier *verifier, const json_t *kid)
{
    if (!json_is_string(kid)) {
        return false;
    }
    struct str text = str_make(json_string_value(kid), json_string_length(kid));
    for (size_t i = 0; i < verifier->key_id_count; i++) {
        if (str_equal(text, verifier->key_ids[i])) {
            return true;
        }
    }
    return false;
}

static const struct algorithm *find_algorithm(struct str name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (str_is(name, algorithms[i].name)) {
            return &algorithms[i];
        }
    }
    return NULL;
}

/* Does a configured key allow the algorithm? */
static bool is_possible(const struct token_verifier *verifier, const struct algorithm *algorithm)
{
    switch (algorithm->family) {
    case KEY_HMAC: return verifier->hmac != NULL || verifier->hmac_previous != NULL;
    case KEY_RSA: return verifier->rsa != NULL;
    case KEY_EC:
        return verifier->ecdsa != NULL && str_is(str_from_cstr(algorithm->name), verifier->curve->algorithm);
    case KEY_ED25519: return verifier->ed25519 != NULL;
    }
    return false;
}

/* Returns the algorithm that the header picks, or NULL and the rule that refused it. */
static const struct algorithm *check_header(const struct token_verifier *verifier, const json_t *header,
                                            const char **out_rule)
{
    if (!json_is_object(header)) {
        *out_rule = "the header is not a JSON object without duplicate members";
        return NULL;
    }
    for (size_t i = 0; i < sizeof refused_members / sizeof refused_members[0]; i++) {
        if (json_object_get(header, refused_members[i]) != NULL) {
            *out_rule = "the header brings a key or demands an extension (jku, jwk, x5u, x5c, crit, b64)";
            return NULL;
        }
    }
    const json_t *kid = json_object_get(header, "kid");
    if (kid != NULL && !kid_is_listed(verifier, kid)) {
        *out_rule = "kid in the header is not listed in key_ids";
        return NULL;
    }
    const json_t *type = json_object_get(header, "typ");
    if (type != NULL && !json_is_string(type)) {
        *out_rule = "typ in the header is not a text";
        return NULL;
    }
    const json_t *name = json_object_get(header, "alg");
    const struct algorithm *algorithm =
        json_is_string(name) ? find_algorithm(str_make(json_string_value(name), json_string_length(name)))
                             : NULL;
    if (algorithm == NULL) {
        *out_rule = "alg is none of HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, EdDSA";
        return NULL;
    }
    if (!is_possible(verifier, algorithm)) {
        *out_rule = "no configured key allows the alg of the token";
        return NULL;
    }
    return algorithm;
}

static const struct algorithm *read_header(const struct token_verifier *verifier, struct str part,
                                           const char **out_rule)
{
    char text[TOKEN_HEADER_BYTES_MAX];
    size_t len = 0;
    if (!crypto_base64url_decode(part, text, sizeof text, &len)) {
        *out_rule = "the header is not base64url, or longer than 1024 bytes";
        return NULL;
    }
    json_t *header = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const struct algorithm *algorithm = check_header(verifier, header, out_rule);
    json_decref(header);
    return algorithm;
}

/* -- signature ------------------------------------------------------------------------------------------- */

/* header.payload.signature */
struct token_parts {
    struct str whole, header, payload, signature;
};

static bool split(struct str token, struct token_parts *out)
{
    struct str rest = token;
    out->whole = token;
    out->header = str_next(&rest, '.');
    out->payload = str_next(&rest, '.');
    out->signature = rest;
    return out->header.len > 0 && out->payload.len > 0 && out->signature.len > 0 &&
           str_find(out->signature, '.') < 0;
}

/* Is the signature strict base64url of exactly the bytes that the algorithm makes? */
static bool has_right_length(const struct token_verifier *verifier, const struct algorithm *algorithm,
                             struct str signature)
{
    unsigned char bytes[RSA_BYTES_MAX];
    size_t len = 0;
    size_t expected = algorithm->family == KEY_RSA ? verifier->rsa_bytes : algorithm->signature_bytes;
    return crypto_base64url_decode(signature, bytes, sizeof bytes, &len) && len == expected;
}

/* OK, INVALID_TOKEN or NO_MEMORY. */
static enum status verify_with(const cjose_jwk_t *key, struct str token)
{
    cjose_err error = {.code = CJOSE_ERR_NONE};
    cjose_jws_t *jws = cjose_jws_import(token.at, token.len, &error);
    bool holds = jws != NULL && cjose_jws_verify(jws, key, &error);
    cjose_jws_release(jws);
    /* A failed verification leaves errors in OpenSSL's queue of this thread, where SSL_get_error() would take
     * them for a failure of whichever TLS connection comes next. */
    ERR_clear_error();
    if (holds) {
        return STATUS_OK;
    }
    return error.code == CJOSE_ERR_NO_MEMORY ? STATUS_NO_MEMORY : STATUS_INVALID_TOKEN;
}

static bool previous_secret_is_valid(const struct token_verifier *verifier, uint64_t wall_ms)
{
    if (verifier->hmac_previous == NULL) {
        return false;
    }
    uint64_t wall_s = wall_ms / 1000 + (wall_ms % 1000 != 0); /* rounded up: not a moment too long */
    return verifier->hmac_previous_until_s == 0 || wall_s <= verifier->hmac_previous_until_s;
}

static enum status verify_hmac(const struct token_verifier *verifier, struct str token, uint64_t wall_ms)
{
    enum status status = verifier->hmac == NULL ? STATUS_INVALID_TOKEN : verify_with(verifier->hmac, token);
    if (status == STATUS_INVALID_TOKEN && previous_secret_is_valid(verifier, wall_ms)) {
        status = verify_with(verifier->hmac_previous, token);
    }
    return status;
}

/* cjose knows no EdDSA. The signature covers the text before the last dot, without hashing it first (RFC 8032
 * section 5.1.7), and OpenSSL refuses an S that is not below the order: there is no second spelling of it. */
static enum status verify_ed25519(EVP_PKEY *key, struct str token)
{
    unsigned char signature[64];
    size_t len = 0;
    ptrdiff_t dot = str_find_last(token, '.');
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL) {
        return STATUS_NO_MEMORY;
    }
    bool holds =
        crypto_base64url_decode(str_skip(token, (size_t)dot + 1), signature, sizeof signature, &len) &&
        EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestVerify(context, signature, len, (const unsigned char *)token.at, (size_t)dot) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error(); /* as in verify_with() */
    return holds ? STATUS_OK : STATUS_INVALID_TOKEN;
}

static enum status verify_signature(const struct token_verifier *verifier, const struct algorithm *algorithm,
                                    struct str token, uint64_t wall_ms)
{
    switch (algorithm->family) {
    case KEY_HMAC: return verify_hmac(verifier, token, wall_ms);
    case KEY_RSA: return verify_with(verifier->rsa, token);
    case KEY_EC: return verify_with(verifier->ecdsa, token);
    case KEY_ED25519: return verify_ed25519(verifier->ed25519, token);
    }
    return STATUS_INVALID_TOKEN;
}

/* Everything up to the claims. OK: *payload is the decoded payload, owned by the caller. */
static enum status open_token(const struct token_verifier *verifier, struct str token, uint64_t wall_ms,
                              char **payload, size_t *payload_bytes, const char **out_rule)
{
    if (token.len > verifier->token_bytes_max) {
        *out_rule = "the token is too long";
        return STATUS_INVALID_TOKEN;
    }
    struct token_parts parts;
    if (!split(token, &parts)) {
        *out_rule = "the token has not three parts";
        return STATUS_INVALID_TOKEN;
    }
    const struct algorithm *algorithm = read_header(verifier, parts.header, out_rule);
    if (algorithm == NULL) {
        return STATUS_INVALID_TOKEN;
    }
    if (!has_right_length(verifier, algorithm, parts.signature)) {
        *out_rule = "the signature is not base64url of the length that alg makes";
        return STATUS_INVALID_TOKEN;
    }
    size_t capacity = CRYPTO_BASE64_BYTES_MAX(parts.payload.len);
    char *bytes = malloc(capacity);
    if (bytes == NULL) {
        *out_rule = "no memory";
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_INVALID_TOKEN;
    size_t len = 0;
    if (!crypto_base64url_decode(parts.payload, bytes, capacity, &len)) {
        *out_rule = "the payload is not base64url";
        goto fail;
    }
    status = verify_signature(verifier, algorithm, token, wall_ms);
    if (status != STATUS_OK) {
        *out_rule = status == STATUS_NO_MEMORY ? "no memory" : "the signature does not hold";
        goto fail;
    }
    *payload = bytes;
    *payload_bytes = len;
    return STATUS_OK;
fail:
    free(bytes);
    return status;
}

static enum status report(enum status status, const char *rule, struct token_refusal *refusal)
{
    if (status != STATUS_OK && refusal != NULL) {
        refusal->rule = rule;
    }
    return status;
}

enum status token_verify_connection(const struct token_verifier *verifier, struct str token, uint64_t wall_ms,
                                    struct connection_claims *out, struct token_refusal *refusal)
{
    const char *rule = "";
    char *payload = NULL;
    size_t bytes = 0;
    enum status status = open_token(verifier, token, wall_ms, &payload, &bytes, &rule);
    if (status == STATUS_OK) {
        status = claims_read_connection(&verifier->rules, payload, bytes, wall_ms, out, &rule);
    }
    return report(status, rule, refusal);
}

enum status token_verify_subscription(const struct token_verifier *verifier, struct str token,
                                      uint64_t wall_ms, struct subscription_claims *out,
                                      struct token_refusal *refusal)
{
    const char *rule = "";
    char *payload = NULL;
    size_t bytes = 0;
    enum status status = open_token(verifier, token, wall_ms, &payload, &bytes, &rule);
    if (status == STATUS_OK) {
        status = claims_read_subscription(&verifier->rules, payload, bytes, wall_ms, out, &rule);
    }
    return report(status, rule, refusal);
}

/* -- making ---------------------------------------------------------------------------------------------- */

enum status token_sign_hs256(const char *secret, struct str claims, struct buf *out)
{
    if (!setting_is_set(secret)) {
        return STATUS_BAD_REQUEST;
    }
    cjose_jws_t *jws = NULL;
    const char *text = NULL;
    cjose_jwk_t *key = cjose_jwk_create_oct_spec((const uint8_t *)secret, strlen(secret), NULL);
    cjose_header_t *header = cjose_header_new(NULL);
    bool made = key != NULL && header != NULL &&
                cjose_header_set(header, CJOSE_HDR_ALG, CJOSE_HDR_ALG_HS256, NULL) &&
                cjose_header_set(header, "typ", "JWT", NULL);
    if (made) {
        jws = cjose_jws_sign(key, header, (const uint8_t *)claims.at, claims.len, NULL);
        made = jws != NULL && cjose_jws_export(jws, &text, NULL);
    }
    if (made) {
        buf_append_str(out, str_from_cstr(text));
        made = !out->failed;
    }
    cjose_jws_release(jws);
    cjose_header_release(header);
    cjose_jwk_release(key);
    return made ? STATUS_OK : STATUS_NO_MEMORY;
}

/* -- configuration --------------------------------------------------------------------------------------- */

/* clang-format off */
#define SETTINGS_FROM(config, prefix)                                                                      \
    {                                                                                                      \
        .hmac_secret_key = (config)->prefix##_hmac_secret_key,                                             \
        .hmac_previous_secret_key = (config)->prefix##_hmac_previous_secret_key,                           \
        .hmac_previous_secret_key_valid_until_s = (config)->prefix##_hmac_previous_secret_key_valid_until, \
        .rsa_public_key = (config)->prefix##_rsa_public_key,                                               \
        .ecdsa_public_key = (config)->prefix##_ecdsa_public_key,                                           \
        .ed25519_public_key = (config)->prefix##_ed25519_public_key,                                       \
        .audience = (config)->prefix##_audience,                                                           \
        .audience_regex = (config)->prefix##_audience_regex,                                               \
        .issuer = (config)->prefix##_issuer,                                                               \
        .issuer_regex = (config)->prefix##_issuer_regex,                                                   \
        .user_id_claim = (config)->prefix##_user_id_claim,                                                 \
        .key_ids = (config)->prefix##_key_ids.at,                                                          \
        .key_id_count = (config)->prefix##_key_ids.count,                                                  \
        .token_bytes_max = (size_t)(config)->limits_token_size,                                            \
        /* The configuration has refused short secrets already, unless --insecure or --dev allow them. */ \
        .allow_short_hmac = true,                                                                          \
    }
/* clang-format on */

void token_settings_from_config(const struct config *config, bool for_subscription,
                                struct token_settings *out)
{
    if (for_subscription && config->client_subscription_token_enabled) {
        *out = (struct token_settings)SETTINGS_FROM(config, client_subscription_token);
    } else {
        *out = (struct token_settings)SETTINGS_FROM(config, client_token);
    }
}

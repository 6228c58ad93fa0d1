#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/auth.h"
#include "server/crypto.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define OLD_SECRET "fedcba9876543210fedcba9876543210"
#define OTHER_SECRET "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* Now, for every test that does not say otherwise. */
static const uint64_t now_ms = UINT64_C(1700000000000);

/* -- keys and tokens, made without the code under test --------------------------------------------------- */

struct test_key {
    EVP_PKEY *key;
    char *pem; /* the public half */
};

static struct test_key rsa_2048, rsa_1024, ec_256, ec_384, ec_521, ec_k1;

static char *public_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char *pem = str_to_cstr(str_make(bytes, (size_t)len));
    BIO_free(bio);
    return pem;
}

static struct test_key make_rsa(unsigned bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);
    assert_non_null(key);
    return (struct test_key){.key = key, .pem = public_pem(key)};
}

static struct test_key make_ec(const char *curve)
{
    EVP_PKEY *key = EVP_EC_gen(curve);
    assert_non_null(key);
    return (struct test_key){.key = key, .pem = public_pem(key)};
}

static void free_key(struct test_key *key)
{
    EVP_PKEY_free(key->key);
    free(key->pem);
}

static int make_keys(void **state)
{
    (void)state;
    rsa_2048 = make_rsa(2048);
    rsa_1024 = make_rsa(1024);
    ec_256 = make_ec("P-256");
    ec_384 = make_ec("P-384");
    ec_521 = make_ec("P-521");
    ec_k1 = make_ec("secp256k1");
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    free_key(&rsa_2048);
    free_key(&rsa_1024);
    free_key(&ec_256);
    free_key(&ec_384);
    free_key(&ec_521);
    free_key(&ec_k1);
    return 0;
}

static void append_base64url(struct buf *out, struct str bytes)
{
    char *text = malloc(CRYPTO_BASE64_LEN(bytes.len) + 1);
    buf_append(out, text, crypto_base64url_encode(bytes, text));
    free(text);
}

static void append_signing_input(struct buf *out, struct str header, struct str payload)
{
    append_base64url(out, header);
    buf_append_char(out, '.');
    append_base64url(out, payload);
}

static void append_hmac(struct buf *out, enum crypto_digest digest, const char *secret)
{
    unsigned char mac[CRYPTO_DIGEST_BYTES_MAX];
    size_t len = crypto_hmac(digest, str_from_cstr(secret), buf_str(out), mac);
    buf_append_char(out, '.');
    append_base64url(out, str_make((const char *)mac, len));
}

/* Everything below returns an owned NUL-terminated token. */
static char *finish_token(struct buf *out)
{
    buf_append_char(out, '\0');
    assert_false(out->failed);
    return out->at;
}

static char *hmac_token(enum crypto_digest digest, const char *secret, const char *header,
                        const char *payload)
{
    struct buf out = {0};
    append_signing_input(&out, str_from_cstr(header), str_from_cstr(payload));
    append_hmac(&out, digest, secret);
    return finish_token(&out);
}

/* The token that most tests use: HS256 with the configured secret. */
static char *token_with(const char *payload)
{
    return hmac_token(CRYPTO_SHA256, SECRET, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", payload);
}

static char *token_with_header(const char *header)
{
    return hmac_token(CRYPTO_SHA256, SECRET, header, "{\"sub\":\"42\"}");
}

static size_t digest_sign(EVP_PKEY *key, const EVP_MD *md, struct str text, unsigned char *out,
                          size_t out_max)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = out_max;
    assert_int_equal(EVP_DigestSignInit(context, NULL, md, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(context, out, &len, (const unsigned char *)text.at, text.len), 1);
    EVP_MD_CTX_free(context);
    return len;
}

static char *rsa_token(const struct test_key *key, const EVP_MD *md, const char *header, const char *payload)
{
    struct buf out = {0};
    unsigned char signature[512];
    append_signing_input(&out, str_from_cstr(header), str_from_cstr(payload));
    size_t len = digest_sign(key->key, md, buf_str(&out), signature, sizeof signature);
    buf_append_char(&out, '.');
    append_base64url(&out, str_make((const char *)signature, len));
    return finish_token(&out);
}

enum ec_form { EC_RAW, EC_DER, EC_ZERO_R, EC_ZERO_S, EC_ORDER_R, EC_SHORT, EC_LONG };

static char *ec_token_as(const struct test_key *key, const EVP_MD *md, int coordinate_bytes,
                         const char *header, const char *payload, enum ec_form form)
{
    struct buf out = {0};
    unsigned char der[256], raw[140] = {0};
    append_signing_input(&out, str_from_cstr(header), str_from_cstr(payload));
    size_t der_len = digest_sign(key->key, md, buf_str(&out), der, sizeof der);
    const unsigned char *at = der;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)der_len);
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, coordinate_bytes);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + coordinate_bytes, coordinate_bytes);
    if (form == EC_ZERO_R) {
        memset(raw, 0, (size_t)coordinate_bytes);
    } else if (form == EC_ZERO_S) {
        memset(raw + coordinate_bytes, 0, (size_t)coordinate_bytes);
    } else if (form == EC_ORDER_R) {
        EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
        BN_bn2binpad(EC_GROUP_get0_order(group), raw, coordinate_bytes);
        EC_GROUP_free(group);
    }
    size_t raw_len = 2 * (size_t)coordinate_bytes;
    raw_len = form == EC_SHORT ? raw_len - 1 : form == EC_LONG ? raw_len + 1 : raw_len;
    buf_append_char(&out, '.');
    append_base64url(&out, form == EC_DER ? str_make((const char *)der, der_len)
                                          : str_make((const char *)raw, raw_len));
    ECDSA_SIG_free(signature);
    return finish_token(&out);
}

static char *ec_token(const struct test_key *key, const EVP_MD *md, int coordinate_bytes, const char *header,
                      const char *payload)
{
    return ec_token_as(key, md, coordinate_bytes, header, payload, EC_RAW);
}

/* -- what a test asks ------------------------------------------------------------------------------------ */

static struct token_verifier *open_verifier(struct token_settings settings)
{
    struct token_verifier *verifier = NULL;
    struct str error = {0};
    assert_int_equal(token_verifier_open(&verifier, &settings, &error), STATUS_OK);
    assert_non_null(verifier);
    return verifier;
}

static struct token_settings hmac_settings(void)
{
    return (struct token_settings){.hmac_secret_key = SECRET};
}

static void expect_settings_refused(struct token_settings settings, const char *error_part)
{
    struct token_verifier *verifier = NULL;
    struct str error = {0};
    assert_int_equal(token_verifier_open(&verifier, &settings, &error), STATUS_BAD_REQUEST);
    assert_null(verifier);
    if (strstr(error.at, error_part) == NULL) {
        fail_msg("'%s' says nothing of '%s'", error.at, error_part);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static enum status connection_status_at(const struct token_verifier *verifier, const char *token,
                                        uint64_t wall_ms)
{
    struct connection_claims claims = {0};
    struct token_refusal refusal = {0};
    enum status status = token_verify_connection(verifier, str_from_cstr(token), wall_ms, &claims, &refusal);
    if (status == STATUS_OK) {
        connection_claims_release(&claims);
    } else {
        assert_non_null(refusal.rule);
        assert_true(strlen(refusal.rule) > 5);
    }
    assert_int_equal(ERR_peek_error(), 0);
    return status;
}

/* Takes the token. */
static void expect_connection_at(struct token_settings settings, char *token, uint64_t wall_ms,
                                 enum status expected)
{
    struct token_verifier *verifier = open_verifier(settings);
    enum status status = connection_status_at(verifier, token, wall_ms);
    if (status != expected) {
        fail_msg("status %d instead of %d for %s", status, expected, token);
    }
    token_verifier_free(verifier);
    free(token);
}

static void expect_connection(struct token_settings settings, char *token, enum status expected)
{
    expect_connection_at(settings, token, now_ms, expected);
}

/* An HS256 token over this payload, for connecting. */
static void expect_payload(const char *payload, enum status expected)
{
    expect_connection(hmac_settings(), token_with(payload), expected);
}

static void expect_header(const char *header, enum status expected)
{
    expect_connection(hmac_settings(), token_with_header(header), expected);
}

static void expect_subscription_payload(const char *payload, enum status expected)
{
    struct token_verifier *verifier = open_verifier(hmac_settings());
    struct subscription_claims claims = {0};
    char *token = token_with(payload);
    enum status status = token_verify_subscription(verifier, str_from_cstr(token), now_ms, &claims, NULL);
    assert_int_equal(status, expected);
    if (status == STATUS_OK) {
        subscription_claims_release(&claims);
    }
    free(token);
    token_verifier_free(verifier);
}

static struct connection_claims read_connection(struct token_settings settings, const char *payload)
{
    struct token_verifier *verifier = open_verifier(settings);
    struct connection_claims claims = {0};
    struct token_refusal refusal = {0};
    char *token = token_with(payload);
    enum status status = token_verify_connection(verifier, str_from_cstr(token), now_ms, &claims, &refusal);
    if (status != STATUS_OK) {
        fail_msg("%s: %s", payload, refusal.rule);
    }
    /* What the claims hold must outlive the token and the verifier. */
    memset(token, 'x', strlen(token));
    free(token);
    token_verifier_free(verifier);
    return claims;
}

static struct subscription_claims read_subscription(const char *payload)
{
    struct token_verifier *verifier = open_verifier(hmac_settings());
    struct subscription_claims claims = {0};
    struct token_refusal refusal = {0};
    char *token = token_with(payload);
    enum status status = token_verify_subscription(verifier, str_from_cstr(token), now_ms, &claims, &refusal);
    if (status != STATUS_OK) {
        fail_msg("%s: %s", payload, refusal.rule);
    }
    memset(token, 'x', strlen(token));
    free(token);
    token_verifier_free(verifier);
    return claims;
}

#define assert_str(value, literal)                                    \
    do {                                                              \
        struct str found_ = (value);                                  \
        if (!str_is(found_, literal)) {                               \
            fail_msg("'%.*s' is not '%s'", STR_ARG(found_), literal); \
        }                                                             \
    } while (0)

/* -- algorithms ------------------------------------------------------------------------------------------ */

static void every_hmac_algorithm_is_accepted(void **state)
{
    (void)state;
    expect_connection(hmac_settings(), hmac_token(CRYPTO_SHA256, SECRET, "{\"alg\":\"HS256\"}", "{}"),
                      STATUS_OK);
    expect_connection(hmac_settings(), hmac_token(CRYPTO_SHA384, SECRET, "{\"alg\":\"HS384\"}", "{}"),
                      STATUS_OK);
    expect_connection(hmac_settings(), hmac_token(CRYPTO_SHA512, SECRET, "{\"alg\":\"HS512\"}", "{}"),
                      STATUS_OK);
}

static void every_rsa_algorithm_is_accepted(void **state)
{
    (void)state;
    struct token_settings settings = {.rsa_public_key = rsa_2048.pem};
    expect_connection(settings, rsa_token(&rsa_2048, EVP_sha256(), "{\"alg\":\"RS256\"}", "{}"), STATUS_OK);
    expect_connection(settings, rsa_token(&rsa_2048, EVP_sha384(), "{\"alg\":\"RS384\"}", "{}"), STATUS_OK);
    expect_connection(settings, rsa_token(&rsa_2048, EVP_sha512(), "{\"alg\":\"RS512\"}", "{}"), STATUS_OK);
}

static void every_ecdsa_algorithm_is_accepted_on_its_curve(void **state)
{
    (void)state;
    expect_connection((struct token_settings){.ecdsa_public_key = ec_256.pem},
                      ec_token(&ec_256, EVP_sha256(), 32, "{\"alg\":\"ES256\"}", "{}"), STATUS_OK);
    expect_connection((struct token_settings){.ecdsa_public_key = ec_384.pem},
                      ec_token(&ec_384, EVP_sha384(), 48, "{\"alg\":\"ES384\"}", "{}"), STATUS_OK);
    expect_connection((struct token_settings){.ecdsa_public_key = ec_521.pem},
                      ec_token(&ec_521, EVP_sha512(), 66, "{\"alg\":\"ES512\"}", "{}"), STATUS_OK);
}

static void keys_of_all_families_serve_side_by_side(void **state)
{
    (void)state;
    struct token_settings settings = {
        .hmac_secret_key = SECRET, .rsa_public_key = rsa_2048.pem, .ecdsa_public_key = ec_256.pem};
    expect_connection(settings, token_with("{}"), STATUS_OK);
    expect_connection(settings, rsa_token(&rsa_2048, EVP_sha256(), "{\"alg\":\"RS256\"}", "{}"), STATUS_OK);
    expect_connection(settings, ec_token(&ec_256, EVP_sha256(), 32, "{\"alg\":\"ES256\"}", "{}"), STATUS_OK);
}

#define RFC7515_PAYLOAD                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
    "cnVlfQ"

static const uint64_t rfc7515_exp_ms = UINT64_C(1300819380) * 1000;

static char *public_pem_of_der(const void *der, size_t len)
{
    const unsigned char *at = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)len);
    assert_non_null(key);
    char *pem = public_pem(key);
    EVP_PKEY_free(key);
    return pem;
}

static void the_hs256_example_of_rfc_7515_holds_until_it_expires(void **state)
{
    (void)state;
    static const char token[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC7515_PAYLOAD
                                ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    char secret[65] = {0};
    size_t len = 0;
    assert_true(crypto_base64url_decode(
        STR("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"), secret,
        64, &len));
    struct token_settings settings = {.hmac_secret_key = secret, .issuer = "joe"};
    expect_connection_at(settings, strdup(token), rfc7515_exp_ms - 1, STATUS_OK);
    expect_connection_at(settings, strdup(token), rfc7515_exp_ms, STATUS_TOKEN_EXPIRED);
}

static void the_rs256_example_of_rfc_7515_holds(void **state)
{
    (void)state;
    static const char modulus[] =
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-"
        "yRT-"
        "SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
        "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
        "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    static const char token[] =
        "eyJhbGciOiJSUzI1NiJ9." RFC7515_PAYLOAD
        ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
        "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
        "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07"
        "Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
        "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6Lbg"
        "GY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    /* SubjectPublicKeyInfo around the modulus and the exponent 65537. */
    static const unsigned char head[] = {0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48,
                                         0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x82, 0x01,
                                         0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00};
    static const unsigned char tail[] = {0x02, 0x03, 0x01, 0x00, 0x01};
    unsigned char der[sizeof head + 256 + sizeof tail];
    size_t len = 0;
    memcpy(der, head, sizeof head);
    assert_true(crypto_base64url_decode(str_from_cstr(modulus), der + sizeof head, 256, &len));
    assert_int_equal(len, 256);
    memcpy(der + sizeof head + 256, tail, sizeof tail);
    char *pem = public_pem_of_der(der, sizeof der);
    expect_connection_at((struct token_settings){.rsa_public_key = pem}, strdup(token), rfc7515_exp_ms - 1,
                         STATUS_OK);
    free(pem);
}

static void the_es256_example_of_rfc_7515_holds(void **state)
{
    (void)state;
    static const char token[] =
        "eyJhbGciOiJFUzI1NiJ9." RFC7515_PAYLOAD
        ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    static const unsigned char head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                         0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                         0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    unsigned char der[sizeof head + 64];
    size_t len = 0;
    memcpy(der, head, sizeof head);
    assert_true(crypto_base64url_decode(STR("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), der + sizeof head,
                                        32, &len));
    assert_true(crypto_base64url_decode(STR("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
                                        der + sizeof head + 32, 32, &len));
    char *pem = public_pem_of_der(der, sizeof der);
    expect_connection_at((struct token_settings){.ecdsa_public_key = pem}, strdup(token), rfc7515_exp_ms - 1,
                         STATUS_OK);
    free(pem);
}

static void A01_the_header_cannot_choose_an_algorithm_that_no_key_allows(void **state)
{
    (void)state;
    expect_header("{\"alg\":\"HS256\"}", STATUS_OK);
    expect_header("{\"alg\":\"none\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"None\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"NONE\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"\"}", STATUS_INVALID_TOKEN);
    expect_header("{}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":null}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":[\"HS256\"]}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256 \"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\" HS256\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"hs256\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\\u0000\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS384\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"RS256\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"ES256\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"PS256\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"EdDSA\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"dir\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"alg\":\"HS256\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"none\",\"alg\":\"HS256\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"typ\":1}", STATUS_INVALID_TOKEN);
    expect_header("[\"HS256\"]", STATUS_INVALID_TOKEN);
    expect_header("\"HS256\"", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\"} x", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\"", STATUS_INVALID_TOKEN);
}

static void A01_a_token_of_alg_none_without_signature_is_refused(void **state)
{
    (void)state;
    struct buf out = {0};
    append_signing_input(&out, STR("{\"alg\":\"none\"}"), STR("{\"sub\":\"42\"}"));
    buf_append_char(&out, '.');
    expect_connection(hmac_settings(), finish_token(&out), STATUS_INVALID_TOKEN);
}

static void A01_a_public_key_is_never_an_hmac_secret(void **state)
{
    (void)state;
    static const char header[] = "{\"alg\":\"HS256\"}";
    struct token_settings public_only = {.rsa_public_key = rsa_2048.pem, .ecdsa_public_key = ec_256.pem};
    struct token_settings with_hmac = public_only;
    with_hmac.hmac_secret_key = SECRET;
    expect_connection(public_only, hmac_token(CRYPTO_SHA256, rsa_2048.pem, header, "{}"),
                      STATUS_INVALID_TOKEN);
    expect_connection(public_only, hmac_token(CRYPTO_SHA256, ec_256.pem, header, "{}"), STATUS_INVALID_TOKEN);
    expect_connection(with_hmac, hmac_token(CRYPTO_SHA256, rsa_2048.pem, header, "{}"), STATUS_INVALID_TOKEN);
    expect_connection(with_hmac, hmac_token(CRYPTO_SHA256, ec_256.pem, header, "{}"), STATUS_INVALID_TOKEN);
    expect_connection(with_hmac, hmac_token(CRYPTO_SHA256, "", header, "{}"), STATUS_INVALID_TOKEN);
}

static void A01_no_key_at_all_refuses_every_token(void **state)
{
    (void)state;
    expect_connection((struct token_settings){0}, token_with("{}"), STATUS_INVALID_TOKEN);
    expect_connection((struct token_settings){.hmac_secret_key = ""}, token_with("{}"), STATUS_INVALID_TOKEN);
    expect_connection((struct token_settings){.hmac_secret_key = ""},
                      hmac_token(CRYPTO_SHA256, "", "{\"alg\":\"HS256\"}", "{}"), STATUS_INVALID_TOKEN);
}

static void A02_members_that_name_a_key_or_an_extension_are_refused(void **state)
{
    (void)state;
    expect_header("{\"alg\":\"HS256\",\"kid\":\"1\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"kid\":\"' or 1=1 --\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1/k\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"x5u\":\"http://127.0.0.1/k\"}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"x5c\":[\"AA\"]}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"crit\":[]}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"b64\":false}", STATUS_INVALID_TOKEN);
    expect_header("{\"alg\":\"HS256\",\"cty\":\"x\",\"other\":1}", STATUS_OK);
}

static void A02_a_kid_must_be_listed_exactly(void **state)
{
    (void)state;
    static const struct str key_ids[] = {{"main", 4}, {"2024-01", 7}};
    struct token_settings settings = hmac_settings();
    settings.key_ids = key_ids;
    settings.key_id_count = 2;
    expect_connection(settings, token_with("{}"), STATUS_OK);
    expect_connection(settings, token_with_header("{\"alg\":\"HS256\",\"kid\":\"main\"}"), STATUS_OK);
    expect_connection(settings, token_with_header("{\"alg\":\"HS256\",\"kid\":\"2024-01\"}"), STATUS_OK);
    static const char *const refused[] = {
        "{\"alg\":\"HS256\",\"kid\":\"mai\"}",     "{\"alg\":\"HS256\",\"kid\":\"main \"}",
        "{\"alg\":\"HS256\",\"kid\":\"Main\"}",    "{\"alg\":\"HS256\",\"kid\":[\"main\"]}",
        "{\"alg\":\"HS256\",\"kid\":null}",        "{\"alg\":\"HS256\",\"kid\":\"\"}",
        "{\"alg\":\"HS256\",\"kid\":\"../main\"}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        expect_connection(settings, token_with_header(refused[i]), STATUS_INVALID_TOKEN);
    }
}

static void A02_a_header_of_1024_bytes_is_the_longest(void **state)
{
    (void)state;
    for (size_t bytes = 1023; bytes <= 1025; bytes++) {
        char header[1100];
        size_t fill = bytes - strlen("{\"alg\":\"HS256\",\"x\":\"\"}");
        int len = snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"x\":\"%0*d\"}", (int)fill, 0);
        assert_int_equal(len, bytes);
        expect_header(header, bytes <= 1024 ? STATUS_OK : STATUS_INVALID_TOKEN);
    }
}

/* Every token that differs in one bit from a valid one. */
static void expect_every_flip_refused(struct token_settings settings, char *token)
{
    struct token_verifier *verifier = open_verifier(settings);
    assert_int_equal(connection_status_at(verifier, token, now_ms), STATUS_OK);
    struct str text = str_from_cstr(token);
    for (size_t bit = 0; bit < text.len * 8; bit++) {
        struct connection_claims claims = {0};
        token[bit / 8] = (char)(token[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(token_verify_connection(verifier, text, now_ms, &claims, NULL),
                         STATUS_INVALID_TOKEN);
        token[bit / 8] = (char)(token[bit / 8] ^ 1 << bit % 8);
    }
    token_verifier_free(verifier);
    free(token);
}

static void A03_one_flipped_bit_anywhere_is_refused(void **state)
{
    (void)state;
    expect_every_flip_refused(hmac_settings(), token_with("{\"sub\":\"4\"}"));
    expect_every_flip_refused(hmac_settings(), token_with("{\"sub\":\"42\"}"));
    expect_every_flip_refused(hmac_settings(),
                              hmac_token(CRYPTO_SHA512, SECRET, "{\"alg\":\"HS512\"}", "{}"));
    expect_every_flip_refused((struct token_settings){.rsa_public_key = rsa_2048.pem},
                              rsa_token(&rsa_2048, EVP_sha256(), "{\"alg\":\"RS256\"}", "{}"));
    expect_every_flip_refused((struct token_settings){.ecdsa_public_key = ec_256.pem},
                              ec_token(&ec_256, EVP_sha256(), 32, "{\"alg\":\"ES256\"}", "{}"));
}

static void A03_signatures_of_another_length_are_refused(void **state)
{
    (void)state;
    char *token = token_with("{\"sub\":\"42\"}");
    size_t len = strlen(token);
    struct token_verifier *verifier = open_verifier(hmac_settings());
    for (size_t cut = 1; cut < len; cut++) {
        struct connection_claims claims = {0};
        char *shorter = malloc(len - cut); /* exactly as long, so that a read past it shows */
        memcpy(shorter, token, len - cut);
        assert_int_equal(
            token_verify_connection(verifier, str_make(shorter, len - cut), now_ms, &claims, NULL),
            STATUS_INVALID_TOKEN);
        free(shorter);
    }
    char longer[512];
    snprintf(longer, sizeof longer, "%sA", token);
    assert_int_equal(connection_status_at(verifier, longer, now_ms), STATUS_INVALID_TOKEN);
    snprintf(longer, sizeof longer, "%sAAAA", token);
    assert_int_equal(connection_status_at(verifier, longer, now_ms), STATUS_INVALID_TOKEN);
    token_verifier_free(verifier);
    free(token);
}

static void A03_base64_has_one_spelling(void **state)
{
    (void)state;
    struct token_verifier *verifier = open_verifier(hmac_settings());
    char *token = token_with("{\"sub\":\"42\"}");
    char changed[512];
    static const char *const ends[] = {"=", "==", " ", "\n", "\r\n", "\t", "."};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(changed, sizeof changed, "%s%s", token, ends[i]);
        assert_int_equal(connection_status_at(verifier, changed, now_ms), STATUS_INVALID_TOKEN);
        snprintf(changed, sizeof changed, "%s%s", ends[i], token);
        assert_int_equal(connection_status_at(verifier, changed, now_ms), STATUS_INVALID_TOKEN);
    }
    /* 32 bytes leave two unused bits in the last character. */
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *last = &token[strlen(token) - 1];
    size_t value = (size_t)(strchr(digits, *last) - digits);
    for (size_t unused = 1; unused < 4; unused++) {
        *last = digits[value | unused];
        assert_int_equal(connection_status_at(verifier, token, now_ms), STATUS_INVALID_TOKEN);
    }
    free(token);
    token_verifier_free(verifier);
}

static void A03_the_base64_alphabet_for_files_is_refused(void **state)
{
    (void)state;
    /* "?" and ">" in a payload make '_' and '-'; '/' and '+' in their place are signed over as they are. */
    struct buf out = {0};
    buf_append_lit(&out, "eyJhbGciOiJIUzI1NiJ9.eyJ4Ijoi+/8ifQ");
    append_hmac(&out, CRYPTO_SHA256, SECRET);
    expect_connection(hmac_settings(), finish_token(&out), STATUS_INVALID_TOKEN);
    struct buf padded = {0};
    buf_append_lit(&padded, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIifQ==");
    append_hmac(&padded, CRYPTO_SHA256, SECRET);
    expect_connection(hmac_settings(), finish_token(&padded), STATUS_INVALID_TOKEN);
}

static void A04_ecdsa_signatures_of_wrong_form_or_range_are_refused(void **state)
{
    (void)state;
    static const enum ec_form forms[] = {EC_DER, EC_ZERO_R, EC_ZERO_S, EC_ORDER_R, EC_SHORT, EC_LONG};
    struct token_settings settings = {.ecdsa_public_key = ec_256.pem};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        expect_connection(settings,
                          ec_token_as(&ec_256, EVP_sha256(), 32, "{\"alg\":\"ES256\"}", "{}", forms[i]),
                          STATUS_INVALID_TOKEN);
    }
}

static void A04_a_curve_serves_its_own_algorithm_only(void **state)
{
    (void)state;
    struct token_settings settings = {.ecdsa_public_key = ec_384.pem};
    expect_connection(settings, ec_token(&ec_384, EVP_sha384(), 48, "{\"alg\":\"ES384\"}", "{}"), STATUS_OK);
    expect_connection(settings, ec_token(&ec_384, EVP_sha256(), 48, "{\"alg\":\"ES256\"}", "{}"),
                      STATUS_INVALID_TOKEN);
    expect_connection(settings, ec_token(&ec_384, EVP_sha512(), 48, "{\"alg\":\"ES512\"}", "{}"),
                      STATUS_INVALID_TOKEN);
    expect_connection((struct token_settings){.ecdsa_public_key = ec_256.pem},
                      ec_token(&ec_256, EVP_sha384(), 48, "{\"alg\":\"ES384\"}", "{}"), STATUS_INVALID_TOKEN);
}

static void A05_weak_or_wrong_keys_stop_the_start(void **state)
{
    (void)state;
    expect_settings_refused((struct token_settings){.hmac_secret_key = "0123456789abcdef0123456789abcde"},
                            "at least 32 bytes");
    expect_settings_refused(
        (struct token_settings){.hmac_secret_key = SECRET, .hmac_previous_secret_key = "short"},
        "at least 32 bytes");
    expect_settings_refused((struct token_settings){.hmac_secret_key = rsa_2048.pem}, "PEM");
    expect_settings_refused((struct token_settings){.rsa_public_key = rsa_1024.pem}, "2048 bits");
    expect_settings_refused((struct token_settings){.rsa_public_key = ec_256.pem}, "not an RSA public key");
    expect_settings_refused((struct token_settings){.rsa_public_key = "nonsense"}, "not an RSA public key");
    expect_settings_refused((struct token_settings){.ecdsa_public_key = rsa_2048.pem},
                            "not an EC public key");
    expect_settings_refused((struct token_settings){.ecdsa_public_key = ec_k1.pem}, "P-256, P-384 or P-521");
    expect_settings_refused((struct token_settings){.leeway_s = 61}, "60 seconds");
    expect_settings_refused((struct token_settings){.token_bytes_max = (1 << 20) + 1}, "1 MiB");
}

static void A05_an_ed25519_key_is_not_taken_for_another(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    char *pem = public_pem(key);
    expect_settings_refused((struct token_settings){.rsa_public_key = pem}, "not an RSA public key");
    expect_settings_refused((struct token_settings){.ecdsa_public_key = pem}, "not an EC public key");
    free(pem);
    EVP_PKEY_free(key);
}

static void A05_a_private_key_is_not_taken_for_a_public_one(void **state)
{
    (void)state;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, rsa_2048.key, NULL, NULL, 0, NULL, NULL), 1);
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char *pem = str_to_cstr(str_make(bytes, (size_t)len));
    expect_settings_refused((struct token_settings){.rsa_public_key = pem}, "not an RSA public key");
    free(pem);
    BIO_free(bio);
}

static void A05_a_short_secret_works_where_development_allows_it(void **state)
{
    (void)state;
    struct token_settings settings = {.hmac_secret_key = "secret", .allow_short_hmac = true};
    expect_connection(settings, hmac_token(CRYPTO_SHA256, "secret", "{\"alg\":\"HS256\"}", "{}"), STATUS_OK);
}

static void the_key_of_a_certificate_is_a_public_key(void **state)
{
    (void)state;
    X509 *certificate = X509_new();
    X509_set_pubkey(certificate, rsa_2048.key);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    assert_true(X509_sign(certificate, rsa_2048.key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char *pem = str_to_cstr(str_make(bytes, (size_t)len));
    expect_connection((struct token_settings){.rsa_public_key = pem},
                      rsa_token(&rsa_2048, EVP_sha256(), "{\"alg\":\"RS256\"}", "{}"), STATUS_OK);
    free(pem);
    BIO_free(bio);
    X509_free(certificate);
}

static void the_previous_secret_serves_until_its_deadline(void **state)
{
    (void)state;
    struct token_settings settings = {.hmac_secret_key = SECRET,
                                      .hmac_previous_secret_key = OLD_SECRET,
                                      .hmac_previous_secret_key_valid_until_s = now_ms / 1000};
    static const char header[] = "{\"alg\":\"HS256\"}";
    expect_connection_at(settings, hmac_token(CRYPTO_SHA256, OLD_SECRET, header, "{}"), now_ms - 1,
                         STATUS_OK);
    expect_connection_at(settings, hmac_token(CRYPTO_SHA256, OLD_SECRET, header, "{}"), now_ms, STATUS_OK);
    expect_connection_at(settings, hmac_token(CRYPTO_SHA256, OLD_SECRET, header, "{}"), now_ms + 1,
                         STATUS_INVALID_TOKEN);
    expect_connection_at(settings, hmac_token(CRYPTO_SHA256, SECRET, header, "{}"), now_ms + 1, STATUS_OK);
    expect_connection_at(settings, hmac_token(CRYPTO_SHA256, OTHER_SECRET, header, "{}"), now_ms,
                         STATUS_INVALID_TOKEN);
    settings.hmac_previous_secret_key_valid_until_s = 0;
    expect_connection_at(settings, hmac_token(CRYPTO_SHA256, OLD_SECRET, header, "{}"), now_ms * 1000,
                         STATUS_OK);
}

/* -- times ----------------------------------------------------------------------------------------------- */

static void A06_times_that_are_no_positive_number_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {
        "\"1800000000\"",
        "true",
        "false",
        "null",
        "-1",
        "-0",
        "0",
        "0.0",
        "1e400",
        "NaN",
        "[]",
        "{}",
        "Infinity",
        "9007199254740992",
        "9.1e15",
        "1e999",
        "0x7f",
        "01",
        "\"\"",
        "99999999999999999999999999999999999999999999",
    };
    static const char *const claims[] = {"exp", "nbf", "iat"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (size_t k = 0; k < sizeof claims / sizeof claims[0]; k++) {
            char payload[128];
            snprintf(payload, sizeof payload, "{\"sub\":\"1\",\"%s\":%s}", claims[k], values[i]);
            expect_payload(payload, STATUS_INVALID_TOKEN);
        }
    }
}

static void A06_exp_holds_until_its_second_begins(void **state)
{
    (void)state;
    expect_connection_at(hmac_settings(), token_with("{\"exp\":1700000000}"), now_ms - 1, STATUS_OK);
    expect_connection_at(hmac_settings(), token_with("{\"exp\":1700000000}"), now_ms, STATUS_TOKEN_EXPIRED);
    expect_connection_at(hmac_settings(), token_with("{\"exp\":1700000000.5}"), now_ms + 499, STATUS_OK);
    expect_connection_at(hmac_settings(), token_with("{\"exp\":1700000000.5}"), now_ms + 500,
                         STATUS_TOKEN_EXPIRED);
    expect_connection_at(hmac_settings(), token_with("{\"exp\":1.7e9}"), now_ms, STATUS_TOKEN_EXPIRED);
    expect_connection_at(hmac_settings(), token_with("{\"exp\":1}"), now_ms, STATUS_TOKEN_EXPIRED);
    expect_connection_at(hmac_settings(), token_with("{\"exp\":9007199254740991}"), now_ms, STATUS_OK);
}

static void A06_nbf_holds_from_its_second_on(void **state)
{
    (void)state;
    expect_connection_at(hmac_settings(), token_with("{\"nbf\":1700000000}"), now_ms - 1,
                         STATUS_TOKEN_EXPIRED);
    expect_connection_at(hmac_settings(), token_with("{\"nbf\":1700000000}"), now_ms, STATUS_OK);
}

static void A06_the_leeway_applies_to_both_and_ends(void **state)
{
    (void)state;
    struct token_settings settings = hmac_settings();
    settings.leeway_s = 60;
    expect_connection_at(settings, token_with("{\"exp\":1700000000}"), now_ms + 59999, STATUS_OK);
    expect_connection_at(settings, token_with("{\"exp\":1700000000}"), now_ms + 60000, STATUS_TOKEN_EXPIRED);
    expect_connection_at(settings, token_with("{\"nbf\":1700000000}"), now_ms - 60000, STATUS_OK);
    expect_connection_at(settings, token_with("{\"nbf\":1700000000}"), now_ms - 60001, STATUS_TOKEN_EXPIRED);
}

static void an_expired_token_with_another_fault_is_invalid(void **state)
{
    (void)state;
    expect_payload("{\"exp\":1}", STATUS_TOKEN_EXPIRED);
    expect_payload("{\"exp\":1,\"sub\":7}", STATUS_INVALID_TOKEN);
    expect_payload("{\"exp\":1,\"channel\":\"news\"}", STATUS_INVALID_TOKEN);
    expect_connection(hmac_settings(),
                      hmac_token(CRYPTO_SHA256, OTHER_SECRET, "{\"alg\":\"HS256\"}", "{\"exp\":1}"),
                      STATUS_INVALID_TOKEN);
}

static void expire_at_decides_over_exp_and_zero_means_never(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        uint64_t expire_at_s;
    } rows[] = {
        {"{}", 0},
        {"{\"exp\":1800000000}", 1800000000},
        {"{\"exp\":1800000000.9}", 1800000000},
        {"{\"exp\":1800000000,\"expire_at\":1900000000}", 1900000000},
        {"{\"exp\":1800000000,\"expire_at\":0}", 0},
        {"{\"expire_at\":1600000000}", 1600000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct connection_claims claims = read_connection(hmac_settings(), rows[i].payload);
        assert_int_equal(claims.expire_at_s, rows[i].expire_at_s);
        connection_claims_release(&claims);
    }
    expect_payload("{\"expire_at\":-1}", STATUS_INVALID_TOKEN);
    expect_payload("{\"expire_at\":0.5}", STATUS_INVALID_TOKEN);
    expect_payload("{\"expire_at\":null}", STATUS_INVALID_TOKEN);
    expect_payload("{\"expire_at\":\"0\"}", STATUS_INVALID_TOKEN);
}

/* -- issuer, audience, user ------------------------------------------------------------------------------ */

static void A07_the_audience_must_hold_ours_exactly(void **state)
{
    (void)state;
    struct token_settings settings = hmac_settings();
    settings.audience = "chat";
    static const struct {
        const char *payload;
        enum status status;
    } rows[] = {
        {"{\"aud\":\"chat\"}", STATUS_OK},
        {"{\"aud\":[\"chat\"]}", STATUS_OK},
        {"{\"aud\":[\"mail\",\"chat\"]}", STATUS_OK},
        {"{\"aud\":\"ch\\u0061t\"}", STATUS_OK},
        {"{}", STATUS_INVALID_TOKEN},
        {"{\"aud\":null}", STATUS_INVALID_TOKEN},
        {"{\"aud\":\"\"}", STATUS_INVALID_TOKEN},
        {"{\"aud\":[]}", STATUS_INVALID_TOKEN},
        {"{\"aud\":\"Chat\"}", STATUS_INVALID_TOKEN},
        {"{\"aud\":\"chat \"}", STATUS_INVALID_TOKEN},
        {"{\"aud\":\"chat,mail\"}", STATUS_INVALID_TOKEN},
        {"{\"aud\":[\"mail\"]}", STATUS_INVALID_TOKEN},
        {"{\"aud\":[\"chat\",1]}", STATUS_INVALID_TOKEN},
        {"{\"aud\":[[\"chat\"]]}", STATUS_INVALID_TOKEN},
        {"{\"aud\":{\"chat\":1}}", STATUS_INVALID_TOKEN},
        {"{\"aud\":1}", STATUS_INVALID_TOKEN},
        {"{\"aud\":\"chat\\u0000\"}", STATUS_INVALID_TOKEN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_connection(settings, token_with(rows[i].payload), rows[i].status);
    }
}

static void A07_the_issuer_must_be_ours_exactly(void **state)
{
    (void)state;
    struct token_settings settings = hmac_settings();
    settings.issuer = "https://a.example";
    expect_connection(settings, token_with("{\"iss\":\"https://a.example\"}"), STATUS_OK);
    expect_connection(settings, token_with("{\"iss\":\"https://a.example/\"}"), STATUS_INVALID_TOKEN);
    expect_connection(settings, token_with("{\"iss\":[\"https://a.example\"]}"), STATUS_INVALID_TOKEN);
    expect_connection(settings, token_with("{}"), STATUS_INVALID_TOKEN);
}

static void A07_expressions_decide_where_they_are_configured(void **state)
{
    (void)state;
    struct token_settings settings = hmac_settings();
    settings.audience_regex = "^chat-[0-9]+$";
    settings.issuer_regex = "^https://[a-z]+\\.example$";
    expect_connection(settings, token_with("{\"aud\":\"chat-7\",\"iss\":\"https://a.example\"}"), STATUS_OK);
    expect_connection(settings, token_with("{\"aud\":[\"x\",\"chat-7\"],\"iss\":\"https://a.example\"}"),
                      STATUS_OK);
    expect_connection(settings, token_with("{\"aud\":\"chat-\",\"iss\":\"https://a.example\"}"),
                      STATUS_INVALID_TOKEN);
    expect_connection(settings, token_with("{\"aud\":\"chat-7\",\"iss\":\"https://axexample\"}"),
                      STATUS_INVALID_TOKEN);
    expect_connection(settings, token_with("{\"aud\":\"chat-7\"}"), STATUS_INVALID_TOKEN);
    expect_connection(settings, token_with("{\"iss\":\"https://a.example\"}"), STATUS_INVALID_TOKEN);
}

static void A07_expressions_of_other_dialects_stop_the_start(void **state)
{
    (void)state;
    static const char *const patterns[] = {"(?P<tenant>[a-z]+)", "(?i)chat", "chat\\d+", "chat\\", "(", "[a"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        expect_settings_refused((struct token_settings){.audience_regex = patterns[i]}, "POSIX");
        expect_settings_refused((struct token_settings){.issuer_regex = patterns[i]}, "POSIX");
    }
    expect_settings_refused((struct token_settings){.audience = "a", .audience_regex = "a"},
                            "exclude each other");
    expect_settings_refused((struct token_settings){.issuer = "a", .issuer_regex = "a"},
                            "exclude each other");
}

static void the_user_is_sub_and_anonymous_where_that_is_absent(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        const char *user;
    } rows[] = {
        {"{\"sub\":\"42\"}", "42"},     {"{}", ""},
        {"{\"sub\":\"\"}", ""},         {"{\"sub\":null}", ""},
        {"{\"sub\":\"\\u00e9\"}", "é"}, {"{\"sub\":\"a\\/b\"}", "a/b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct connection_claims claims = read_connection(hmac_settings(), rows[i].payload);
        assert_str(claims.user, rows[i].user);
        connection_claims_release(&claims);
    }
    expect_payload("{\"sub\":42}", STATUS_INVALID_TOKEN);
    expect_payload("{\"sub\":[\"42\"]}", STATUS_INVALID_TOKEN);
    expect_payload("{\"sub\":\"a\\u0000b\"}", STATUS_INVALID_TOKEN);
    expect_payload("{\"sub\":\"\\ud800\"}", STATUS_INVALID_TOKEN);
    expect_payload("{\"jti\":7}", STATUS_INVALID_TOKEN);
}

static void another_claim_can_be_the_user(void **state)
{
    (void)state;
    struct token_settings settings = hmac_settings();
    settings.user_id_claim = "uid";
    struct connection_claims claims = read_connection(settings, "{\"sub\":\"1\",\"uid\":\"2\"}");
    assert_str(claims.user, "2");
    connection_claims_release(&claims);
    settings.user_id_claim = "jti";
    claims = read_connection(settings, "{\"sub\":\"1\",\"jti\":\"3\"}");
    assert_str(claims.user, "3");
    connection_claims_release(&claims);
    claims = read_connection(settings, "{\"sub\":\"1\"}");
    assert_str(claims.user, "");
    connection_claims_release(&claims);
    settings.user_id_claim = "uid";
    expect_connection(settings, token_with("{\"sub\":\"1\",\"uid\":2}"), STATUS_INVALID_TOKEN);
    expect_connection(settings, token_with("{\"uid\":\"1\",\"uid\":\"2\"}"), STATUS_INVALID_TOKEN);
}

/* -- shape ----------------------------------------------------------------------------------------------- */

static void A08_anything_but_three_parts_is_refused(void **state)
{
    (void)state;
    struct token_verifier *verifier = open_verifier(hmac_settings());
    static const char *const tokens[] = {
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        "a..c",
        ".b.c",
        "a.b.",
        "a.b.c.d",
        "eyJhbGciOiJIUzI1NiJ9..",
        "eyJhbGciOiJIUzI1NiJ9.e30.",
    };
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        assert_int_equal(connection_status_at(verifier, tokens[i], now_ms), STATUS_INVALID_TOKEN);
    }
    char dots[200];
    memset(dots, '.', sizeof dots);
    dots[sizeof dots - 1] = '\0';
    assert_int_equal(connection_status_at(verifier, dots, now_ms), STATUS_INVALID_TOKEN);
    char *token = token_with("{}");
    char more[512];
    snprintf(more, sizeof more, "%s.e30", token);
    assert_int_equal(connection_status_at(verifier, more, now_ms), STATUS_INVALID_TOKEN);
    free(token);
    token_verifier_free(verifier);
}

static void A08_the_longest_token_is_token_bytes_max(void **state)
{
    (void)state;
    char *token = token_with("{\"sub\":\"0123456789\"}");
    size_t len = strlen(token);
    struct token_settings settings = hmac_settings();
    settings.token_bytes_max = len - 1;
    expect_connection(settings, strdup(token), STATUS_INVALID_TOKEN);
    settings.token_bytes_max = len;
    expect_connection(settings, strdup(token), STATUS_OK);
    settings.token_bytes_max = len + 1;
    expect_connection(settings, strdup(token), STATUS_OK);
    free(token);
}

/* A valid token of exactly `bytes` bytes, or of one more where base64 has no such length. */
static char *token_of_length(size_t bytes)
{
    char *payload = malloc(bytes + 1);
    for (size_t fill = bytes / 4 * 3 - 100;; fill++) {
        snprintf(payload, bytes + 1, "{\"sub\":\"%0*d\"}", (int)fill, 0);
        char *token = token_with(payload);
        if (strlen(token) >= bytes) {
            free(payload);
            return token;
        }
        free(token);
    }
}

static void A08_tokens_over_8_kib_are_refused_by_default(void **state)
{
    (void)state;
    bool at_limit = false;
    for (size_t bytes = 8190; bytes <= 8194; bytes++) {
        char *token = token_of_length(bytes);
        size_t len = strlen(token);
        at_limit = at_limit || len == 8192;
        expect_connection(hmac_settings(), token, len <= 8192 ? STATUS_OK : STATUS_INVALID_TOKEN);
    }
    assert_true(at_limit);
    expect_connection(hmac_settings(), token_of_length(40000), STATUS_INVALID_TOKEN);
}

static void A08_the_body_must_be_an_object_without_duplicates(void **state)
{
    (void)state;
    expect_payload("{}", STATUS_OK);
    expect_payload(" {\"a\" : 1}\n", STATUS_OK);
    static const char *const payloads[] = {
        "",
        " ",
        "[]",
        "\"x\"",
        "1",
        "null",
        "{",
        "{}{}",
        "{} x",
        "{\"sub\":\"1\",\"sub\":\"1\"}",
        "{\"sub\":\"1\",\"s\\u0075b\":\"2\"}",
        "{\"x\":1,\"x\":2}",
        "{\"x\":1,\"y\":2,\"\\u0078\":3}",
        "{\"\\ud800\":1}",
        "{\"sub\":\"\xff\"}",
        "{\"sub\":'1'}",
        "{\"exp\":01}",
    };
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        expect_payload(payloads[i], STATUS_INVALID_TOKEN);
    }
}

static void A08_nesting_is_bounded(void **state)
{
    (void)state;
    static const struct {
        size_t depth; /* of the payload, the object around it included */
        enum status status;
    } rows[] = {{31, STATUS_OK}, {32, STATUS_OK}, {33, STATUS_INVALID_TOKEN}, {2800, STATUS_INVALID_TOKEN}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf payload = {0};
        buf_append_lit(&payload, "{\"info\":");
        for (size_t k = 1; k < rows[i].depth; k++) {
            buf_append_char(&payload, '[');
        }
        for (size_t k = 1; k < rows[i].depth; k++) {
            buf_append_char(&payload, ']');
        }
        buf_append(&payload, "}", 2);
        expect_payload(payload.at, rows[i].status);
        buf_release(&payload);
    }
}

/* -- connection claims ----------------------------------------------------------------------------------- */

static void info_and_meta_are_the_bytes_of_the_token(void **state)
{
    (void)state;
    struct connection_claims claims = read_connection(
        hmac_settings(),
        "{\"info\": {\"n\": 1E400, \"b\":12345678901234567890,\n \"u\":\"\\u00e9\\/\"} ,\"meta\":{ }}");
    assert_str(claims.info, "{\"n\": 1E400, \"b\":12345678901234567890,\n \"u\":\"\\u00e9\\/\"}");
    assert_str(claims.meta, "{ }");
    connection_claims_release(&claims);
    claims = read_connection(hmac_settings(), "{\"info\":null,\"meta\":null,\"b64info\":null}");
    assert_null(claims.info.at);
    assert_null(claims.meta.at);
    connection_claims_release(&claims);
    expect_payload("{\"meta\":[]}", STATUS_INVALID_TOKEN);
}

static void b64info_is_decoded_and_wins(void **state)
{
    (void)state;
    struct connection_claims claims =
        read_connection(hmac_settings(), "{\"info\":1,\"b64info\":\"eyJhIjogMX0=\"}");
    assert_str(claims.info, "{\"a\": 1}");
    connection_claims_release(&claims);
    claims = read_connection(hmac_settings(), "{\"b64info\":\"Ij8\\/Ig==\"}");
    assert_str(claims.info, "\"?\?\"");
    connection_claims_release(&claims);
    claims = read_connection(hmac_settings(), "{\"info\":1,\"b64info\":\"\"}");
    assert_str(claims.info, "1");
    connection_claims_release(&claims);
    expect_payload("{\"b64info\":\"eyJhIjogMX0\"}", STATUS_INVALID_TOKEN);
    expect_payload("{\"b64info\":\"bm90IGpzb24=\"}", STATUS_INVALID_TOKEN);
    expect_payload("{\"b64info\":\"!\"}", STATUS_INVALID_TOKEN);
    expect_payload("{\"b64info\":1}", STATUS_INVALID_TOKEN);
}

static void channels_are_listed_in_order(void **state)
{
    (void)state;
    struct connection_claims claims =
        read_connection(hmac_settings(), "{\"channels\":[\"news\",\"chat:\\u0069ndex\",\"x\"]}");
    assert_int_equal(claims.channel_count, 3);
    assert_str(claims.channels[0], "news");
    assert_str(claims.channels[1], "chat:index");
    assert_str(claims.channels[2], "x");
    assert_int_equal(claims.sub_count, 0);
    connection_claims_release(&claims);
    expect_payload("{\"channels\":[]}", STATUS_OK);
    expect_payload("{\"channels\":null}", STATUS_OK);
    expect_payload("{\"channels\":\"news\"}", STATUS_INVALID_TOKEN);
    expect_payload("{\"channels\":[1]}", STATUS_INVALID_TOKEN);
    expect_payload("{\"channels\":[null]}", STATUS_INVALID_TOKEN);
    expect_payload("{\"channels\":{\"news\":1}}", STATUS_INVALID_TOKEN);
}

static void subs_carry_options_and_win_over_channels(void **state)
{
    (void)state;
    struct connection_claims claims = read_connection(
        hmac_settings(),
        "{\"channels\":[\"old\"],\"subs\":{\"a\":{},\"\\u0062\":{\"info\":{\"x\":1},\"b64data\":\"Mg==\","
        "\"override\":{\"presence\":{\"value\":true},\"join_leave\":{\"value\":false},\"force_recovery\":{},"
        "\"force_positioning\":null,\"unknown\":1}},\"c\":null}}");
    assert_int_equal(claims.channel_count, 0);
    assert_int_equal(claims.sub_count, 3);
    assert_str(claims.subs[0].channel, "a");
    assert_null(claims.subs[0].info.at);
    assert_int_equal(claims.subs[0].override.presence, OVERRIDE_UNSET);
    assert_str(claims.subs[1].channel, "b");
    assert_str(claims.subs[1].info, "{\"x\":1}");
    assert_str(claims.subs[1].data, "2");
    assert_int_equal(claims.subs[1].override.presence, OVERRIDE_TRUE);
    assert_int_equal(claims.subs[1].override.join_leave, OVERRIDE_FALSE);
    assert_int_equal(claims.subs[1].override.force_recovery, OVERRIDE_FALSE);
    assert_int_equal(claims.subs[1].override.force_positioning, OVERRIDE_UNSET);
    assert_int_equal(claims.subs[1].override.force_push_join_leave, OVERRIDE_UNSET);
    assert_str(claims.subs[2].channel, "c");
    connection_claims_release(&claims);
}

static void subs_of_wrong_shape_are_refused(void **state)
{
    (void)state;
    expect_payload("{\"subs\":{}}", STATUS_OK);
    static const char *const payloads[] = {
        "{\"subs\":[\"a\"]}",
        "{\"subs\":\"a\"}",
        "{\"subs\":{\"a\":1}}",
        "{\"subs\":{\"a\":{},\"a\":{}}}",
        "{\"subs\":{\"a\":{},\"\\u0061\":{}}}",
        "{\"subs\":{\"a\\u0000\":{}}}",
        "{\"subs\":{\"a\":{\"info\":1,\"info\":2}}}",
        "{\"subs\":{\"a\":{\"b64info\":\"x\"}}}",
        "{\"subs\":{\"a\":{\"b64data\":\"x\"}}}",
        "{\"subs\":{\"a\":{\"override\":[]}}}",
        "{\"subs\":{\"a\":{\"override\":{\"presence\":true}}}}",
        "{\"subs\":{\"a\":{\"override\":{\"presence\":{\"value\":1}}}}}",
        "{\"subs\":{\"a\":{\"override\":{\"presence\":{\"value\":true,\"value\":false}}}}}",
        "{\"subs\":{\"a\":{},\"b\":1}}",
    };
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        expect_payload(payloads[i], STATUS_INVALID_TOKEN);
    }
}

/* -- subscription claims --------------------------------------------------------------------------------- */

static void a_subscription_token_says_who_where_and_with_what(void **state)
{
    (void)state;
    struct subscription_claims claims = read_subscription(
        "{\"sub\":\"42\",\"channel\":\"news\",\"client\":\"c1\",\"exp\":1800000000,\"info\":{\"a\":1},"
        "\"data\":[ 1 ],\"override\":{\"presence\":{\"value\":true}}}");
    assert_str(claims.user, "42");
    assert_str(claims.channel, "news");
    assert_str(claims.client, "c1");
    assert_int_equal(claims.expire_at_s, 1800000000);
    assert_str(claims.info, "{\"a\":1}");
    assert_str(claims.data, "[ 1 ]");
    assert_int_equal(claims.override.presence, OVERRIDE_TRUE);
    subscription_claims_release(&claims);
    claims = read_subscription("{\"channel\":\"news\",\"client\":\"\",\"b64data\":\"MQ==\",\"data\":2}");
    assert_str(claims.user, "");
    assert_null(claims.client.at);
    assert_null(claims.info.at);
    assert_str(claims.data, "1");
    subscription_claims_release(&claims);
}

static void subscription_claims_of_wrong_kind_are_refused(void **state)
{
    (void)state;
    expect_subscription_payload("{\"channel\":\"news\"}", STATUS_OK);
    expect_subscription_payload("{\"channel\":1}", STATUS_INVALID_TOKEN);
    expect_subscription_payload("{\"channel\":\"\"}", STATUS_INVALID_TOKEN);
    expect_subscription_payload("{\"channel\":null}", STATUS_INVALID_TOKEN);
    expect_subscription_payload("{\"channel\":[\"news\"]}", STATUS_INVALID_TOKEN);
    expect_subscription_payload("{\"channel\":\"news\",\"client\":1}", STATUS_INVALID_TOKEN);
    expect_subscription_payload("{\"channel\":\"news\",\"override\":1}", STATUS_INVALID_TOKEN);
    expect_subscription_payload("{\"channel\":\"news\",\"b64info\":\"x\"}", STATUS_INVALID_TOKEN);
    expect_subscription_payload("{\"channel\":\"news\",\"exp\":1}", STATUS_TOKEN_EXPIRED);
}

static void A09_one_kind_of_token_is_not_the_other(void **state)
{
    (void)state;
    expect_subscription_payload("{\"sub\":\"42\"}", STATUS_INVALID_TOKEN);
    expect_subscription_payload("{\"sub\":\"42\",\"channels\":[\"news\"]}", STATUS_INVALID_TOKEN);
    expect_payload("{\"sub\":\"42\",\"channel\":\"news\"}", STATUS_INVALID_TOKEN);
    expect_payload("{\"sub\":\"42\",\"channel\":\"\"}", STATUS_INVALID_TOKEN);
    expect_payload("{\"sub\":\"42\",\"channel\":1}", STATUS_INVALID_TOKEN);
}

static void A10_one_token_serves_many_times(void **state)
{
    (void)state;
    struct token_verifier *verifier = open_verifier(hmac_settings());
    char *token = token_with("{\"sub\":\"42\"}");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(connection_status_at(verifier, token, now_ms), STATUS_OK);
    }
    free(token);
    token_verifier_free(verifier);
}

/* -- the rest -------------------------------------------------------------------------------------------- */

static void a_refused_token_leaves_the_claims_alone_and_is_not_named(void **state)
{
    (void)state;
    struct token_verifier *verifier = open_verifier(hmac_settings());
    struct connection_claims claims = {.user = STR("before")};
    struct token_refusal refusal = {0};
    char *token = token_with("{\"sub\":\"someone\",\"exp\":5}");
    assert_int_equal(token_verify_connection(verifier, str_from_cstr(token), now_ms, &claims, &refusal),
                     STATUS_TOKEN_EXPIRED);
    assert_str(claims.user, "before");
    assert_string_equal(refusal.rule, "exp is past");
    free(token);
    token_verifier_free(verifier);
}

static void what_we_sign_we_accept(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_int_equal(token_sign_hs256(SECRET, STR("{\"sub\":\"42\"}"), &out), STATUS_OK);
    expect_connection(hmac_settings(), finish_token(&out), STATUS_OK);
    struct buf none = {0};
    assert_int_equal(token_sign_hs256("", STR("{}"), &none), STATUS_BAD_REQUEST);
    assert_int_equal(token_sign_hs256(NULL, STR("{}"), &none), STATUS_BAD_REQUEST);
    assert_int_equal(none.len, 0);
}

struct thread_task {
    const struct token_verifier *verifier;
    const char *tokens[3];
    bool all_right;
};

static void *verify_often(void *arg)
{
    struct thread_task *task = arg;
    task->all_right = true;
    for (int i = 0; i < 50; i++) {
        for (size_t k = 0; k < 3; k++) {
            struct connection_claims claims = {0};
            if (token_verify_connection(task->verifier, str_from_cstr(task->tokens[k]), now_ms, &claims,
                                        NULL) != STATUS_OK) {
                task->all_right = false;
            } else {
                connection_claims_release(&claims);
            }
        }
    }
    return NULL;
}

static void all_threads_may_use_one_verifier(void **state)
{
    (void)state;
    struct token_verifier *verifier = open_verifier((struct token_settings){.hmac_secret_key = SECRET,
                                                                            .rsa_public_key = rsa_2048.pem,
                                                                            .ecdsa_public_key = ec_256.pem,
                                                                            .audience_regex = "^a"});
    char *tokens[3] = {
        token_with("{\"aud\":\"a\"}"),
        rsa_token(&rsa_2048, EVP_sha256(), "{\"alg\":\"RS256\"}", "{\"aud\":\"a\"}"),
        ec_token(&ec_256, EVP_sha256(), 32, "{\"alg\":\"ES256\"}", "{\"aud\":\"a\"}"),
    };
    struct thread_task tasks[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        tasks[i] = (struct thread_task){.verifier = verifier, .tokens = {tokens[0], tokens[1], tokens[2]}};
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &tasks[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(tasks[i].all_right);
    }
    for (size_t i = 0; i < 3; i++) {
        free(tokens[i]);
    }
    token_verifier_free(verifier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_hmac_algorithm_is_accepted),
        cmocka_unit_test(every_rsa_algorithm_is_accepted),
        cmocka_unit_test(every_ecdsa_algorithm_is_accepted_on_its_curve),
        cmocka_unit_test(keys_of_all_families_serve_side_by_side),
        cmocka_unit_test(the_hs256_example_of_rfc_7515_holds_until_it_expires),
        cmocka_unit_test(the_rs256_example_of_rfc_7515_holds),
        cmocka_unit_test(the_es256_example_of_rfc_7515_holds),
        cmocka_unit_test(A01_the_header_cannot_choose_an_algorithm_that_no_key_allows),
        cmocka_unit_test(A01_a_token_of_alg_none_without_signature_is_refused),
        cmocka_unit_test(A01_a_public_key_is_never_an_hmac_secret),
        cmocka_unit_test(A01_no_key_at_all_refuses_every_token),
        cmocka_unit_test(A02_members_that_name_a_key_or_an_extension_are_refused),
        cmocka_unit_test(A02_a_kid_must_be_listed_exactly),
        cmocka_unit_test(A02_a_header_of_1024_bytes_is_the_longest),
        cmocka_unit_test(A03_one_flipped_bit_anywhere_is_refused),
        cmocka_unit_test(A03_signatures_of_another_length_are_refused),
        cmocka_unit_test(A03_base64_has_one_spelling),
        cmocka_unit_test(A03_the_base64_alphabet_for_files_is_refused),
        cmocka_unit_test(A04_ecdsa_signatures_of_wrong_form_or_range_are_refused),
        cmocka_unit_test(A04_a_curve_serves_its_own_algorithm_only),
        cmocka_unit_test(A05_weak_or_wrong_keys_stop_the_start),
        cmocka_unit_test(A05_an_ed25519_key_is_not_taken_for_another),
        cmocka_unit_test(A05_a_private_key_is_not_taken_for_a_public_one),
        cmocka_unit_test(A05_a_short_secret_works_where_development_allows_it),
        cmocka_unit_test(the_key_of_a_certificate_is_a_public_key),
        cmocka_unit_test(the_previous_secret_serves_until_its_deadline),
        cmocka_unit_test(A06_times_that_are_no_positive_number_are_refused),
        cmocka_unit_test(A06_exp_holds_until_its_second_begins),
        cmocka_unit_test(A06_nbf_holds_from_its_second_on),
        cmocka_unit_test(A06_the_leeway_applies_to_both_and_ends),
        cmocka_unit_test(an_expired_token_with_another_fault_is_invalid),
        cmocka_unit_test(expire_at_decides_over_exp_and_zero_means_never),
        cmocka_unit_test(A07_the_audience_must_hold_ours_exactly),
        cmocka_unit_test(A07_the_issuer_must_be_ours_exactly),
        cmocka_unit_test(A07_expressions_decide_where_they_are_configured),
        cmocka_unit_test(A07_expressions_of_other_dialects_stop_the_start),
        cmocka_unit_test(the_user_is_sub_and_anonymous_where_that_is_absent),
        cmocka_unit_test(another_claim_can_be_the_user),
        cmocka_unit_test(A08_anything_but_three_parts_is_refused),
        cmocka_unit_test(A08_the_longest_token_is_token_bytes_max),
        cmocka_unit_test(A08_tokens_over_8_kib_are_refused_by_default),
        cmocka_unit_test(A08_the_body_must_be_an_object_without_duplicates),
        cmocka_unit_test(A08_nesting_is_bounded),
        cmocka_unit_test(info_and_meta_are_the_bytes_of_the_token),
        cmocka_unit_test(b64info_is_decoded_and_wins),
        cmocka_unit_test(channels_are_listed_in_order),
        cmocka_unit_test(subs_carry_options_and_win_over_channels),
        cmocka_unit_test(subs_of_wrong_shape_are_refused),
        cmocka_unit_test(a_subscription_token_says_who_where_and_with_what),
        cmocka_unit_test(subscription_claims_of_wrong_kind_are_refused),
        cmocka_unit_test(A09_one_kind_of_token_is_not_the_other),
        cmocka_unit_test(A10_one_token_serves_many_times),
        cmocka_unit_test(a_refused_token_leaves_the_claims_alone_and_is_not_named),
        cmocka_unit_test(what_we_sign_we_accept),
        cmocka_unit_test(all_threads_may_use_one_verifier),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/auth.h"
#include "server/crypto.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <stdlib.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define HEADER "{\"alg\":\"EdDSA\"}"

static const uint64_t now_ms = UINT64_C(1700000000000);

enum { KEY_BYTES = 32, SIGNATURE_BYTES = 64 };

struct test_key {
    EVP_PKEY *key;
    char *pem; /* the public half */
};

static struct test_key ours, theirs;

/* -- keys and tokens, made without the code under test --------------------------------------------------- */

static char *public_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    long len = BIO_get_mem_data(bio, &bytes);
    char *pem = str_to_cstr(str_make(bytes, (size_t)len));
    BIO_free(bio);
    return pem;
}

static char *pem_of_point(const unsigned char point[KEY_BYTES])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, KEY_BYTES);
    assert_non_null(key);
    char *pem = public_pem(key);
    EVP_PKEY_free(key);
    return pem;
}

static int make_keys(void **state)
{
    (void)state;
    struct test_key *keys[] = {&ours, &theirs};
    for (size_t i = 0; i < 2; i++) {
        keys[i]->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        assert_non_null(keys[i]->key);
        keys[i]->pem = public_pem(keys[i]->key);
    }
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(ours.key);
    EVP_PKEY_free(theirs.key);
    free(ours.pem);
    free(theirs.pem);
    return 0;
}

static void append_base64url(struct buf *out, struct str bytes)
{
    char text[512];
    assert_true(CRYPTO_BASE64_LEN(bytes.len) <= sizeof text);
    buf_append(out, text, crypto_base64url_encode(bytes, text));
}

static void sign(EVP_PKEY *key, struct str text, unsigned char out[SIGNATURE_BYTES])
{
    size_t len = SIGNATURE_BYTES;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, NULL, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(context, out, &len, (const unsigned char *)text.at, text.len), 1);
    EVP_MD_CTX_free(context);
}

/* Appends a token whose signature is cut or filled with zeros to `signature_bytes`; NUL-terminated. */
static void make_token(struct buf *out, EVP_PKEY *key, const char *header, const char *payload,
                       size_t signature_bytes)
{
    unsigned char signature[SIGNATURE_BYTES + 1] = {0};
    append_base64url(out, str_from_cstr(header));
    buf_append_char(out, '.');
    append_base64url(out, str_from_cstr(payload));
    sign(key, buf_str(out), signature);
    buf_append_char(out, '.');
    append_base64url(out, str_make((const char *)signature, signature_bytes));
    buf_append_char(out, '\0');
    out->len--;
}

/* -- what a test asks ------------------------------------------------------------------------------------ */

static enum status verify(const struct token_settings *settings, struct str token, const char **rule)
{
    struct token_verifier *verifier = NULL;
    struct connection_claims claims = {0};
    struct token_refusal refusal = {0};
    struct str error = {0};
    assert_int_equal(token_verifier_open(&verifier, settings, &error), STATUS_OK);
    enum status status = token_verify_connection(verifier, token, now_ms, &claims, &refusal);
    *rule = refusal.rule;
    connection_claims_release(&claims);
    token_verifier_free(verifier);
    assert_int_equal(ERR_peek_error(), 0);
    return status;
}

static void expect(struct token_settings settings, EVP_PKEY *key, const char *header, enum status expected)
{
    struct buf token = {0};
    const char *rule = NULL;
    make_token(&token, key, header, "{\"sub\":\"42\"}", SIGNATURE_BYTES);
    assert_int_equal(verify(&settings, buf_str(&token), &rule), expected);
    buf_release(&token);
}

static struct token_settings our_settings(void)
{
    return (struct token_settings){.ed25519_public_key = ours.pem};
}

static void expect_key_refused(const char *pem, const char *error_part)
{
    struct token_verifier *verifier = NULL;
    struct str error = STR("");
    struct token_settings settings = {.ed25519_public_key = pem};
    assert_int_equal(token_verifier_open(&verifier, &settings, &error), STATUS_BAD_REQUEST);
    assert_null(verifier);
    assert_non_null(strstr(error.at, error_part));
    assert_int_equal(ERR_peek_error(), 0);
}

static void a_token_of_the_configured_key_is_accepted(void **state)
{
    (void)state;
    expect(our_settings(), ours.key, HEADER, STATUS_OK);
    expect(our_settings(), theirs.key, HEADER, STATUS_INVALID_TOKEN);
}

static void the_signature_of_the_rfc_8037_example_holds(void **state)
{
    (void)state;
    unsigned char point[KEY_BYTES];
    size_t len = 0;
    const char *rule = "";
    assert_true(crypto_base64url_decode(STR("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"), point,
                                        sizeof point, &len));
    char *pem = pem_of_point(point);
    struct token_settings settings = {.ed25519_public_key = pem};
    /* Its payload is no JSON: what refuses it comes after the signature. */
    assert_int_equal(verify(&settings,
                            STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
                                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvp"
                                "Ar_MuM0KAg"),
                            &rule),
                     STATUS_INVALID_TOKEN);
    assert_null(strstr(rule, "signature"));
    assert_int_equal(verify(&settings,
                            STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
                                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvp"
                                "Ar_MuM0KAA"),
                            &rule),
                     STATUS_INVALID_TOKEN);
    assert_string_equal(rule, "the signature does not hold");
    free(pem);
}

static void keys_of_all_families_serve_side_by_side(void **state)
{
    (void)state;
    struct token_settings settings = our_settings();
    settings.hmac_secret_key = SECRET;
    expect(settings, ours.key, HEADER, STATUS_OK);
    struct buf token = {0};
    const char *rule = NULL;
    assert_int_equal(token_sign_hs256(SECRET, STR("{\"sub\":\"42\"}"), &token), STATUS_OK);
    assert_int_equal(verify(&settings, buf_str(&token), &rule), STATUS_OK);
    buf_release(&token);
}

static void A01_the_header_cannot_choose_another_algorithm_for_the_key(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"alg\":\"eddsa\"}", "{\"alg\":\"EDDSA\"}",   "{\"alg\":\"EdDSA \"}",  "{\"alg\":\"Ed25519\"}",
        "{\"alg\":\"Ed448\"}", "{\"alg\":\"none\"}",    "{\"alg\":\"HS256\"}",   "{\"alg\":\"RS256\"}",
        "{\"alg\":\"ES256\"}", "{\"alg\":[\"EdDSA\"]}", "{\"crv\":\"Ed25519\"}",
    };
    struct token_settings all = our_settings();
    all.hmac_secret_key = SECRET;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        expect(our_settings(), ours.key, headers[i], STATUS_INVALID_TOKEN);
        expect(all, ours.key, headers[i], STATUS_INVALID_TOKEN);
    }
    expect((struct token_settings){.hmac_secret_key = SECRET}, ours.key, HEADER, STATUS_INVALID_TOKEN);
    expect((struct token_settings){0}, ours.key, HEADER, STATUS_INVALID_TOKEN);
}

static void A01_the_public_key_is_never_an_hmac_secret(void **state)
{
    (void)state;
    unsigned char point[KEY_BYTES];
    size_t len = sizeof point;
    char raw[KEY_BYTES + 1] = {0};
    assert_int_equal(EVP_PKEY_get_raw_public_key(ours.key, point, &len), 1);
    memcpy(raw, point, sizeof point);
    const char *const secrets[] = {ours.pem, raw};
    for (size_t i = 0; i < 2; i++) {
        struct buf token = {0};
        const char *rule = NULL;
        struct token_settings settings = our_settings();
        assert_int_equal(token_sign_hs256(secrets[i], STR("{\"sub\":\"42\"}"), &token), STATUS_OK);
        assert_int_equal(verify(&settings, buf_str(&token), &rule), STATUS_INVALID_TOKEN);
        buf_release(&token);
    }
}

static void A03_one_flipped_bit_anywhere_is_refused(void **state)
{
    (void)state;
    struct buf token = {0};
    struct token_settings settings = our_settings();
    struct token_verifier *verifier = NULL;
    struct str error = {0};
    make_token(&token, ours.key, HEADER, "{\"sub\":\"42\"}", SIGNATURE_BYTES);
    assert_int_equal(token_verifier_open(&verifier, &settings, &error), STATUS_OK);
    for (size_t bit = 0; bit < token.len * 8; bit++) {
        struct connection_claims claims = {0};
        token.at[bit / 8] = (char)(token.at[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(token_verify_connection(verifier, buf_str(&token), now_ms, &claims, NULL),
                         STATUS_INVALID_TOKEN);
        token.at[bit / 8] = (char)(token.at[bit / 8] ^ 1 << bit % 8);
    }
    token_verifier_free(verifier);
    buf_release(&token);
}

static void A03_signatures_of_another_length_are_refused(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, SIGNATURE_BYTES - 1, SIGNATURE_BYTES + 1};
    struct token_settings settings = our_settings();
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct buf token = {0};
        const char *rule = NULL;
        make_token(&token, ours.key, HEADER, "{}", lengths[i]);
        assert_int_equal(verify(&settings, buf_str(&token), &rule), STATUS_INVALID_TOKEN);
        assert_non_null(strstr(rule, "length"));
        buf_release(&token);
    }
}

static void A03_the_same_signature_plus_the_group_order_is_refused(void **state)
{
    (void)state;
    static const unsigned char order[KEY_BYTES] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                                   0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    unsigned char signature[SIGNATURE_BYTES];
    struct buf token = {0};
    const char *rule = NULL;
    struct token_settings settings = our_settings();
    append_base64url(&token, STR(HEADER));
    buf_append_char(&token, '.');
    append_base64url(&token, STR("{}"));
    sign(ours.key, buf_str(&token), signature);
    unsigned carry = 0;
    for (size_t i = 0; i < KEY_BYTES; i++) {
        carry += (unsigned)signature[KEY_BYTES + i] + order[i];
        signature[KEY_BYTES + i] = (unsigned char)carry;
        carry >>= 8;
    }
    buf_append_char(&token, '.');
    append_base64url(&token, str_make((const char *)signature, sizeof signature));
    assert_int_equal(verify(&settings, buf_str(&token), &rule), STATUS_INVALID_TOKEN);
    assert_string_equal(rule, "the signature does not hold");
    buf_release(&token);
}

static void A05_other_keys_are_not_taken_for_an_ed25519_key(void **state)
{
    (void)state;
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    EVP_PKEY *ed448 = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
    EVP_PKEY *x25519 = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY *const keys[] = {ec, ed448, x25519};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char *pem = public_pem(keys[i]);
        expect_key_refused(pem, "not an Ed25519 public key");
        free(pem);
        EVP_PKEY_free(keys[i]);
    }
    expect_key_refused("nonsense", "not an Ed25519 public key");
}

static void A05_a_point_of_small_order_is_refused(void **state)
{
    (void)state;
    static const unsigned char points[][KEY_BYTES] = {
        {1},                                    /* the neutral element */
        {0},                                    /* order 4 */
        {0xec, [1 ... 30] = 0xff, [31] = 0x7f}, /* order 2 */
        {0xed, [1 ... 30] = 0xff, [31] = 0x7f}, /* 0 in another spelling */
    };
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        char *pem = pem_of_point(points[i]);
        expect_key_refused(pem, "not a sound key");
        free(pem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_of_the_configured_key_is_accepted),
        cmocka_unit_test(the_signature_of_the_rfc_8037_example_holds),
        cmocka_unit_test(keys_of_all_families_serve_side_by_side),
        cmocka_unit_test(A01_the_header_cannot_choose_another_algorithm_for_the_key),
        cmocka_unit_test(A01_the_public_key_is_never_an_hmac_secret),
        cmocka_unit_test(A03_one_flipped_bit_anywhere_is_refused),
        cmocka_unit_test(A03_signatures_of_another_length_are_refused),
        cmocka_unit_test(A03_the_same_signature_plus_the_group_order_is_refused),
        cmocka_unit_test(A05_other_keys_are_not_taken_for_an_ed25519_key),
        cmocka_unit_test(A05_a_point_of_small_order_is_refused),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}

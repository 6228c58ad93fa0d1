#include "server/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_hex(const unsigned char *bytes, size_t len, const char *expected)
{
    char text[2 * CRYPTO_DIGEST_BYTES_MAX + 1] = "";
    crypto_hex(str_make((const char *)bytes, len), text);
    text[2 * len] = '\0';
    assert_string_equal(text, expected);
}

static void digests_match_their_published_vectors(void **state)
{
    (void)state;
    unsigned char out[CRYPTO_DIGEST_BYTES_MAX];
    crypto_sha1(STR("abc"), out);
    assert_hex(out, CRYPTO_SHA1_BYTES, "a9993e364706816aba3e25717850c26c9cd0d89d");
    crypto_sha256(STR("abc"), out);
    assert_hex(out, CRYPTO_SHA256_BYTES, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256((struct str){0}, out);
    assert_hex(out, CRYPTO_SHA256_BYTES, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(crypto_hash(CRYPTO_SHA384, STR("abc"), out), 48);
    assert_int_equal(crypto_hash(CRYPTO_SHA512, STR("abc"), out), 64);
}

static void hmac_matches_rfc_4231_case_2(void **state)
{
    (void)state;
    unsigned char out[CRYPTO_DIGEST_BYTES_MAX];
    crypto_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(crypto_hmac(CRYPTO_SHA512, STR("Jefe"), STR("what do ya want for nothing?"), out), 64);
    assert_hex(out, 64,
               "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
               "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
}

static void hmac_takes_an_empty_key_as_empty_not_as_the_last_one(void **state)
{
    (void)state;
    unsigned char out[CRYPTO_DIGEST_BYTES_MAX];
    crypto_hmac_sha256(STR("another key"), STR("x"), out);
    crypto_hmac_sha256((struct str){0}, (struct str){0}, out);
    assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void equal_compares_content_and_length(void **state)
{
    (void)state;
    assert_true(crypto_equal(STR("secret"), STR("secret")));
    assert_false(crypto_equal(STR("secret"), STR("secreT")));
    assert_false(crypto_equal(STR("secret"), STR("secre")));
    assert_false(crypto_equal(STR("secret"), STR("secret1")));
    assert_false(crypto_equal(STR("secret"), (struct str){0}));
    assert_true(crypto_equal((struct str){0}, STR("")));
}

/* RFC 4648 section 10. */
static const struct {
    const char *plain, *base64, *base64url;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
};

static void base64_follows_rfc_4648_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct str plain = str_from_cstr(vectors[i].plain);
        char text[16];
        size_t len = crypto_base64_encode(plain, text);
        assert_int_equal(len, CRYPTO_BASE64_LEN(plain.len));
        assert_true(str_is(str_make(text, len), vectors[i].base64));
        len = crypto_base64url_encode(plain, text);
        assert_true(str_is(str_make(text, len), vectors[i].base64url));

        unsigned char bytes[16];
        assert_true(crypto_base64_decode(str_from_cstr(vectors[i].base64), bytes, sizeof bytes, &len));
        assert_true(str_equal(str_make((char *)bytes, len), plain));
        assert_true(crypto_base64url_decode(str_from_cstr(vectors[i].base64url), bytes, sizeof bytes, &len));
        assert_true(str_equal(str_make((char *)bytes, len), plain));
    }
}

static void base64_refuses_every_second_spelling(void **state)
{
    (void)state;
    static const char *const bad[] = {"Zg",       "Zg=",  "Zg===",    "Zh==",       "Zm9=",
                                      "Zm9v====", "Z===", "====",     "=",          "Zm 9",
                                      "Zm9v\n",   "Zm9-", "Zg==Zg==", "Z\xc3\xa9v", "A"};
    unsigned char bytes[16];
    size_t len = 99;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(crypto_base64_decode(str_from_cstr(bad[i]), bytes, sizeof bytes, &len));
    }
    static const char *const bad_url[] = {"Zg==", "Zh", "Z", "Zm9v=", "Zm9+", "Zm9/", "Zm9vZ", "Zm9\0"};
    for (size_t i = 0; i < sizeof bad_url / sizeof bad_url[0]; i++) {
        assert_false(crypto_base64url_decode(str_make(bad_url[i], i == 7 ? 4 : strlen(bad_url[i])), bytes,
                                             sizeof bytes, &len));
    }
    assert_int_equal(len, 99);
}

static void base64_never_writes_past_the_room_it_was_given(void **state)
{
    (void)state;
    unsigned char *bytes = malloc(3); /* the exact size, so that the sanitizer sees a fourth */
    size_t len;
    assert_true(crypto_base64_decode(STR("Zm9v"), bytes, 3, &len));
    assert_false(crypto_base64_decode(STR("Zm9vYg=="), bytes, 3, &len));
    assert_false(crypto_base64_decode(STR("Zm9v"), bytes, 2, &len));
    free(bytes);
}

static void hex_a26_takes_lower_case_of_the_exact_length_only(void **state)
{
    (void)state;
    unsigned char bytes[2];
    assert_true(crypto_hex_decode(STR("0aff"), bytes, 2));
    assert_int_equal(bytes[0], 0x0a);
    assert_int_equal(bytes[1], 0xff);
    assert_false(crypto_hex_decode(STR("0AFF"), bytes, 2));
    assert_false(crypto_hex_decode(STR("0af"), bytes, 2));
    assert_false(crypto_hex_decode(STR("0aff0"), bytes, 2));
    assert_false(crypto_hex_decode(STR("0aff00"), bytes, 2));
    assert_false(crypto_hex_decode(STR(" aff"), bytes, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_match_their_published_vectors),
        cmocka_unit_test(hmac_matches_rfc_4231_case_2),
        cmocka_unit_test(hmac_takes_an_empty_key_as_empty_not_as_the_last_one),
        cmocka_unit_test(equal_compares_content_and_length),
        cmocka_unit_test(base64_follows_rfc_4648_both_ways),
        cmocka_unit_test(base64_refuses_every_second_spelling),
        cmocka_unit_test(base64_never_writes_past_the_room_it_was_given),
        cmocka_unit_test(hex_a26_takes_lower_case_of_the_exact_length_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

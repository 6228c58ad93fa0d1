#include "server/crypto.h"

#include "channels/base/must.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

static EVP_MD *algorithms[CRYPTO_SHA512 + 1];

static void fetch_algorithms(void)
{
    static const char *const names[] = {[CRYPTO_SHA1] = "SHA1",
                                        [CRYPTO_SHA256] = "SHA256",
                                        [CRYPTO_SHA384] = "SHA384",
                                        [CRYPTO_SHA512] = "SHA512"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        algorithms[i] = EVP_MD_fetch(NULL, names[i], NULL);
        must(algorithms[i] != NULL);
    }
}

/* Fetched once: EVP_sha1() and the like are looked up by name in every call that uses them, which costs more
 * than the digest of a handshake's key. */
static const EVP_MD *digest_algorithm(enum crypto_digest digest)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    must(digest <= CRYPTO_SHA512);
    must(pthread_once(&once, fetch_algorithms) == 0);
    return algorithms[digest];
}

size_t crypto_hash(enum crypto_digest digest, struct str text, unsigned char out[CRYPTO_DIGEST_BYTES_MAX])
{
    unsigned len = 0;
    int ok = EVP_Digest(text.at, text.len, out, &len, digest_algorithm(digest), NULL);
    must(ok == 1);
    return len;
}

size_t crypto_hmac(enum crypto_digest digest, struct str key, struct str text,
                   unsigned char out[CRYPTO_DIGEST_BYTES_MAX])
{
    unsigned len = 0;
    must(key.len <= INT32_MAX);
    /* A NULL key would mean "the key of the last call" to libcrypto, not an empty one. */
    const void *key_at = key.len == 0 ? "" : key.at;
    const unsigned char *result = HMAC(digest_algorithm(digest), key_at, (int)key.len,
                                       (const unsigned char *)text.at, text.len, out, &len);
    must(result != NULL);
    return len;
}

void crypto_sha1(struct str text, unsigned char out[CRYPTO_SHA1_BYTES])
{
    unsigned char digest[CRYPTO_DIGEST_BYTES_MAX];
    crypto_hash(CRYPTO_SHA1, text, digest);
    memcpy(out, digest, CRYPTO_SHA1_BYTES);
}

void crypto_sha256(struct str text, unsigned char out[CRYPTO_SHA256_BYTES])
{
    unsigned char digest[CRYPTO_DIGEST_BYTES_MAX];
    crypto_hash(CRYPTO_SHA256, text, digest);
    memcpy(out, digest, CRYPTO_SHA256_BYTES);
}

void crypto_hmac_sha256(struct str key, struct str text, unsigned char out[CRYPTO_SHA256_BYTES])
{
    unsigned char digest[CRYPTO_DIGEST_BYTES_MAX];
    crypto_hmac(CRYPTO_SHA256, key, text, digest);
    memcpy(out, digest, CRYPTO_SHA256_BYTES);
}

bool crypto_equal(struct str a, struct str b)
{
    if (a.len == b.len) {
        return a.len == 0 || CRYPTO_memcmp(a.at, b.at, a.len) == 0;
    }
    unsigned char digest_a[CRYPTO_SHA256_BYTES], digest_b[CRYPTO_SHA256_BYTES];
    crypto_sha256(a, digest_a);
    crypto_sha256(b, digest_b);
    return CRYPTO_memcmp(digest_a, digest_b, sizeof digest_a) == 0;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Without padding: 1 byte left over gives 2 characters, 2 give 3. */
static size_t encode(const char digits[64], struct str bytes, char *out)
{
    const unsigned char *in = (const unsigned char *)bytes.at;
    size_t n = 0, i = 0;
    for (; i + 3 <= bytes.len; i += 3) {
        unsigned group = (unsigned)in[i] << 16 | (unsigned)in[i + 1] << 8 | in[i + 2];
        out[n++] = digits[group >> 18];
        out[n++] = digits[group >> 12 & 63];
        out[n++] = digits[group >> 6 & 63];
        out[n++] = digits[group & 63];
    }
    if (i < bytes.len) {
        bool has_second = i + 1 < bytes.len;
        unsigned group = (unsigned)in[i] << 16 | (has_second ? (unsigned)in[i + 1] << 8 : 0);
        out[n++] = digits[group >> 18];
        out[n++] = digits[group >> 12 & 63];
        if (has_second) {
            out[n++] = digits[group >> 6 & 63];
        }
    }
    return n;
}

size_t crypto_base64_encode(struct str bytes, char *out)
{
    size_t len = encode(base64_digits, bytes, out);
    while (len % 4 != 0) {
        out[len++] = '=';
    }
    return len;
}

size_t crypto_base64url_encode(struct str bytes, char *out)
{
    return encode(base64url_digits, bytes, out);
}

/* The value of a digit, or -1. */
static int digit_value(unsigned char c, char digit62, char digit63)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == (unsigned char)digit62 ? 62 : c == (unsigned char)digit63 ? 63 : -1;
}

/* `text` without its padding. */
static bool decode(const char digits[64], struct str text, unsigned char *out, size_t out_max,
                   size_t *out_len)
{
    size_t bytes = text.len / 4 * 3 + (text.len % 4 == 0 ? 0 : text.len % 4 - 1);
    if (text.len % 4 == 1 || bytes > out_max) {
        return false;
    }
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit_value((unsigned char)text.at[i], digits[62], digits[63]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[n++] = (unsigned char)(bits >> bit_count);
            bits &= (1u << bit_count) - 1;
        }
    }
    if (bits != 0) {
        return false; /* the bits after the last byte: another spelling of the same bytes */
    }
    must(n == bytes);
    *out_len = n;
    return true;
}

bool crypto_base64_decode(struct str text, void *out, size_t out_max, size_t *out_len)
{
    if (text.len % 4 != 0) {
        return false;
    }
    for (int padding = 0; padding < 2 && text.len > 0 && text.at[text.len - 1] == '='; padding++) {
        text.len--;
    }
    return decode(base64_digits, text, out, out_max, out_len);
}

bool crypto_base64url_decode(struct str text, void *out, size_t out_max, size_t *out_len)
{
    return decode(base64url_digits, text, out, out_max, out_len);
}

static const char hex_digits[] = "0123456789abcdef";

void crypto_hex(struct str bytes, char *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.at[i];
        out[2 * i] = hex_digits[byte >> 4];
        out[2 * i + 1] = hex_digits[byte & 15];
    }
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool crypto_hex_decode(struct str text, void *out, size_t bytes)
{
    if (text.len % 2 != 0 || text.len / 2 != bytes) {
        return false;
    }
    unsigned char *out_bytes = out;
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_value(text.at[2 * i]), low = hex_value(text.at[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out_bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* fuzz_cookie.c - bytes as a signed cookie, as the signed part of one whose signature holds, as its value,
 * and as an XSRF token.
 *
 * What is read must come out again as it was: a cookie and a token have one spelling each.
 */
#include "channels/base/must.h"
#include "channels/base/utf8.h"
#include "server/cookie_auth.h"
#include "server/crypto.h"
#include "server/signed_cookie.h"
#include "server/xsrf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW_S 1700000000ull

static struct signed_cookie_key key = {.version = 1, .secret = {SECRET, sizeof SECRET - 1}};
static const struct signed_cookie_keys keys = {.at = &key, .count = 1};

static void check_cookie(struct str cookie)
{
    static struct signed_cookie out;
    struct signed_cookie_use use = {
        .keys = &keys, .key_version = 1, .name = STR("user"), .now_s = NOW_S, .max_age_s = 31 * 86400};
    const char *rule = NULL;
    struct buf again = {0};
    if (!signed_cookie_read(&use, cookie, &out, &rule)) {
        must(rule != NULL);
        return;
    }
    use.now_s = out.time_s;
    must(signed_cookie_write(&use, signed_cookie_value(&out), &again));
    must(again.failed || str_equal(buf_str(&again), cookie));
    buf_release(&again);
}

static void check_user(const char *user_from, struct str value)
{
    struct buf user = {0};
    const char *rule = NULL;
    if (cookie_auth_user_of(user_from, value, &user, &rule)) {
        must(user.len > 0 && user.len <= COOKIE_USER_BYTES_MAX && utf8_is_valid(buf_str(&user)));
        must(memchr(user.at, '\0', user.len) == NULL && memchr(user.at, '\n', user.len) == NULL);
    } else {
        must(rule != NULL && user.len == 0);
    }
    buf_release(&user);
}

static void check_xsrf(struct str text)
{
    struct xsrf_token token, again;
    char written[XSRF_TEXT_MAX];
    const char *rule = NULL;
    if (!xsrf_read(text, NOW_S, &token)) {
        must(!xsrf_check(text, text, NOW_S, &rule) && rule != NULL);
        return;
    }
    must(xsrf_check(text, text, NOW_S, &rule));
    must(xsrf_read(str_make(written, xsrf_write(&token, written)), NOW_S, &again));
    must(memcmp(token.bytes, again.bytes, sizeof token.bytes) == 0 && token.time_s == again.time_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_make((const char *)data, size);
    unsigned char digest[CRYPTO_SHA256_BYTES];
    char signature[2 * CRYPTO_SHA256_BYTES];
    struct buf cookie = {0};
    check_cookie(input);
    crypto_hmac_sha256(key.secret, input, digest);
    crypto_hex(str_make((const char *)digest, sizeof digest), signature);
    buf_append_str(&cookie, input);
    buf_append(&cookie, signature, sizeof signature);
    if (!cookie.failed) {
        check_cookie(buf_str(&cookie));
    }
    buf_release(&cookie);
    check_user("value", input);
    check_user("json:id", input);
    check_xsrf(input);
    return 0;
}

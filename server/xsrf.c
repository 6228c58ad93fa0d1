#include "server/xsrf.h"

#include "channels/base/must.h"
#include "channels/base/random.h"
#include "server/crypto.h"
#include "server/http.h"

#include <stdio.h>

void xsrf_make(struct xsrf_token *out, uint64_t now_s)
{
    random_bytes(out->bytes, sizeof out->bytes);
    out->time_s = now_s;
}

static void apply_mask(const unsigned char mask[XSRF_MASK_BYTES], const unsigned char in[XSRF_TOKEN_BYTES],
                       unsigned char out[XSRF_TOKEN_BYTES])
{
    for (size_t i = 0; i < XSRF_TOKEN_BYTES; i++) {
        out[i] = in[i] ^ mask[i % XSRF_MASK_BYTES];
    }
}

size_t xsrf_write_masked(const struct xsrf_token *token, const unsigned char mask[XSRF_MASK_BYTES],
                         char out[XSRF_TEXT_MAX])
{
    unsigned char masked[XSRF_TOKEN_BYTES];
    char mask_hex[2 * XSRF_MASK_BYTES];
    char masked_hex[2 * XSRF_TOKEN_BYTES];
    apply_mask(mask, token->bytes, masked);
    crypto_hex(str_make((const char *)mask, XSRF_MASK_BYTES), mask_hex);
    crypto_hex(str_make((const char *)masked, XSRF_TOKEN_BYTES), masked_hex);
    int len = snprintf(out, XSRF_TEXT_MAX, "2|%.*s|%.*s|%llu", (int)sizeof mask_hex, mask_hex,
                       (int)sizeof masked_hex, masked_hex, (unsigned long long)token->time_s);
    must(len > 0 && len < XSRF_TEXT_MAX);
    return (size_t)len;
}

size_t xsrf_write(const struct xsrf_token *token, char out[XSRF_TEXT_MAX])
{
    unsigned char mask[XSRF_MASK_BYTES];
    random_bytes(mask, sizeof mask);
    return xsrf_write_masked(token, mask, out);
}

bool xsrf_read(struct str text, uint64_t now_s, struct xsrf_token *out)
{
    unsigned char mask[XSRF_MASK_BYTES];
    unsigned char masked[XSRF_TOKEN_BYTES];
    uint64_t time_s = 0;
    struct str rest = text;
    bool is_good = str_is(str_next(&rest, '|'), "2") &&
                   crypto_hex_decode(str_next(&rest, '|'), mask, sizeof mask) &&
                   crypto_hex_decode(str_next(&rest, '|'), masked, sizeof masked) &&
                   str_to_u64(rest, INT64_MAX, &time_s);
    bool is_stale = time_s < now_s && now_s - time_s > XSRF_AGE_S_MAX;
    bool is_ahead = time_s > now_s && time_s - now_s > XSRF_AHEAD_S_MAX;
    if (!is_good || is_stale || is_ahead) {
        return false;
    }
    apply_mask(mask, masked, out->bytes);
    out->time_s = time_s;
    return true;
}

bool xsrf_check(struct str cookie, struct str given, uint64_t now_s, const char **rule)
{
    struct xsrf_token expected, token;
    if (cookie.len == 0 || given.len == 0) {
        *rule = cookie.len == 0 ? "the cookie _xsrf is missing" : "the XSRF token is missing";
        return false;
    }
    if (!xsrf_read(cookie, now_s, &expected) || !xsrf_read(given, now_s, &token)) {
        *rule = "the XSRF token is malformed or stale";
        return false;
    }
    if (!crypto_equal(str_make((const char *)expected.bytes, sizeof expected.bytes),
                      str_make((const char *)token.bytes, sizeof token.bytes))) {
        *rule = "the XSRF token is not that of the cookie _xsrf";
        return false;
    }
    return true;
}

struct str xsrf_given(const struct http_request *request, struct str form, struct buf *scratch)
{
    size_t before = scratch->len;
    if (form.len > 0 && http_query_get(form, XSRF_COOKIE, scratch) && !scratch->failed) {
        return str_skip(buf_str(scratch), before);
    }
    struct str header = http_header(request, "X-XSRFToken");
    return header.at != NULL ? header : http_header(request, "X-CSRFToken");
}

/* fuzz_token.c - bytes as a token, and as the header and payload of a token that is signed right.
 *
 * The first finds faults before the signature, the second those behind it, where a holder of the key could
 * send anything. Input: HEADER newline PAYLOAD for the second; as it is for the first.
 */
#include "channels/base/must.h"
#include "server/auth.h"
#include "server/crypto.h"
#include "server/json_span.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "0123456789abcdef0123456789abcdef"

static const uint64_t now_ms = UINT64_C(1700000000000);

static void check_json(struct str json)
{
    must(json.at == NULL || json_validate(json, TOKEN_DEPTH_MAX));
}

static bool check_connection(const struct token_verifier *verifier, struct str token)
{
    struct connection_claims claims;
    struct token_refusal refusal = {0};
    if (token_verify_connection(verifier, token, now_ms, &claims, &refusal) != STATUS_OK) {
        must(refusal.rule != NULL && *refusal.rule != '\0');
        return false;
    }
    check_json(claims.info);
    check_json(claims.meta);
    must(claims.channel_count == 0 || claims.sub_count == 0);
    for (size_t i = 0; i < claims.sub_count; i++) {
        must(memchr(claims.subs[i].channel.at, 0, claims.subs[i].channel.len) == NULL);
        check_json(claims.subs[i].info);
        check_json(claims.subs[i].data);
    }
    for (size_t i = 0; i < claims.channel_count; i++) {
        must(memchr(claims.channels[i].at, 0, claims.channels[i].len) == NULL);
    }
    connection_claims_release(&claims);
    return true;
}

static bool check_subscription(const struct token_verifier *verifier, struct str token)
{
    struct subscription_claims claims;
    struct token_refusal refusal = {0};
    if (token_verify_subscription(verifier, token, now_ms, &claims, &refusal) != STATUS_OK) {
        must(refusal.rule != NULL && *refusal.rule != '\0');
        return false;
    }
    must(claims.channel.len > 0);
    check_json(claims.info);
    check_json(claims.data);
    subscription_claims_release(&claims);
    return true;
}

static void append_base64url(struct buf *out, struct str bytes)
{
    if (buf_reserve(out, CRYPTO_BASE64_LEN(bytes.len) + 1)) {
        out->len += crypto_base64url_encode(bytes, out->at + out->len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct token_verifier *verifier;
    if (verifier == NULL) {
        struct token_settings settings = {
            .hmac_secret_key = SECRET, .issuer_regex = "^(|a.*)$", .token_bytes_max = 65536};
        struct str error;
        must(token_verifier_open(&verifier, &settings, &error) == STATUS_OK);
    }
    struct str input = str_make((const char *)data, size);
    must(!(check_connection(verifier, input) && check_subscription(verifier, input)));

    struct str payload = input;
    struct str header = str_next(&payload, '\n');
    struct buf token = {0};
    unsigned char mac[CRYPTO_DIGEST_BYTES_MAX];
    append_base64url(&token, header);
    buf_append_char(&token, '.');
    append_base64url(&token, payload);
    size_t mac_len = crypto_hmac(CRYPTO_SHA256, STR(SECRET), buf_str(&token), mac);
    buf_append_char(&token, '.');
    append_base64url(&token, str_make((const char *)mac, mac_len));
    if (!token.failed) {
        bool connects = check_connection(verifier, buf_str(&token));
        bool subscribes = check_subscription(verifier, buf_str(&token));
        must(!connects || !subscribes);
    }
    buf_release(&token);
    return 0;
}

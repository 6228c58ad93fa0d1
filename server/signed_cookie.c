#include "server/signed_cookie.h"

#include "server/crypto.h"

enum { SIGNATURE_LEN = 2 * CRYPTO_SHA256_BYTES };

const struct signed_cookie_key *signed_cookie_key_find(const struct signed_cookie_keys *keys,
                                                       uint32_t version)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->at[i].version == version) {
            return &keys->at[i];
        }
    }
    return NULL;
}

static void sign(struct str secret, struct str text, char out[SIGNATURE_LEN])
{
    unsigned char digest[CRYPTO_SHA256_BYTES];
    crypto_hmac_sha256(secret, text, digest);
    crypto_hex(str_make((const char *)digest, sizeof digest), out);
}

/* Takes "length:text|" off the front. The length is only ever compared with what is there. */
static bool take_field(struct str *rest, struct str *out)
{
    uint64_t len = 0;
    ptrdiff_t colon = str_find(*rest, ':');
    if (colon < 0 || !str_to_u64(str_first(*rest, (size_t)colon), SIGNED_COOKIE_BYTES_MAX, &len)) {
        return false;
    }
    struct str text = str_skip(*rest, (size_t)colon + 1);
    if (text.len <= len || text.at[len] != '|') {
        return false;
    }
    *out = str_first(text, (size_t)len);
    *rest = str_skip(text, (size_t)len + 1);
    return true;
}

struct fields {
    struct str key_version, time, name, value, signature;
    struct str signed_text; /* everything before the signature */
};

static bool split(struct str cookie, struct fields *out)
{
    struct str rest = str_skip(cookie, 2); /* "2|" */
    bool is_whole = take_field(&rest, &out->key_version) && take_field(&rest, &out->time) &&
                    take_field(&rest, &out->name) && take_field(&rest, &out->value);
    if (!is_whole) {
        return false;
    }
    out->signature = rest;
    out->signed_text = str_first(cookie, cookie.len - rest.len);
    return true;
}

static bool is_signed(const struct signed_cookie_key *key, const struct fields *fields)
{
    char expected[SIGNATURE_LEN];
    sign(key->secret, fields->signed_text, expected);
    return fields->signature.len == sizeof expected &&
           crypto_equal(fields->signature, str_make(expected, sizeof expected));
}

bool signed_cookie_read(const struct signed_cookie_use *use, struct str cookie, struct signed_cookie *out,
                        const char **rule)
{
    struct fields fields;
    uint64_t version = 0;
    if (cookie.len > SIGNED_COOKIE_BYTES_MAX) {
        *rule = "the cookie is too long";
        return false;
    }
    if (!str_starts_with(cookie, STR("2|"))) {
        *rule = "the cookie is not a signed one of version 2";
        return false;
    }
    if (!split(cookie, &fields) || !str_to_u64(fields.key_version, UINT32_MAX, &version)) {
        *rule = "the cookie's fields are malformed";
        return false;
    }
    const struct signed_cookie_key *key = signed_cookie_key_find(use->keys, (uint32_t)version);
    if (key == NULL) {
        *rule = "the cookie's key version is not configured";
        return false;
    }
    if (!is_signed(key, &fields)) {
        *rule = "the cookie's signature does not hold";
        return false;
    }
    /* From here on it is what a holder of the key wrote. */
    if (!str_equal(fields.name, use->name)) {
        *rule = "the cookie was signed under another name";
        return false;
    }
    if (!str_to_u64(fields.time, INT64_MAX, &out->time_s)) {
        *rule = "the cookie's time is not a number";
        return false;
    }
    if (out->time_s < use->now_s && use->now_s - out->time_s > use->max_age_s) {
        *rule = "the cookie is too old";
        return false;
    }
    if (out->time_s > use->now_s && out->time_s - use->now_s > SIGNED_COOKIE_AHEAD_S_MAX) {
        *rule = "the cookie is from the future";
        return false;
    }
    if (!crypto_base64_decode(fields.value, out->value, sizeof out->value, &out->value_len)) {
        *rule = "the cookie's value is not base64";
        return false;
    }
    out->key_version = (uint32_t)version;
    return true;
}

static void append_field(struct buf *out, struct str text)
{
    buf_append_u64(out, text.len);
    buf_append_char(out, ':');
    buf_append_str(out, text);
    buf_append_char(out, '|');
}

static void append_number(struct buf *out, uint64_t number)
{
    struct buf digits = {0};
    buf_append_u64(&digits, number);
    out->failed = out->failed || digits.failed;
    append_field(out, buf_str(&digits));
    buf_release(&digits);
}

bool signed_cookie_write(const struct signed_cookie_use *use, struct str value, struct buf *out)
{
    const struct signed_cookie_key *key = signed_cookie_key_find(use->keys, use->key_version);
    char encoded[CRYPTO_BASE64_LEN(SIGNED_COOKIE_VALUE_BYTES_MAX)];
    char signature[SIGNATURE_LEN];
    size_t before = out->len;
    if (key == NULL || value.len > SIGNED_COOKIE_VALUE_BYTES_MAX) {
        return false;
    }
    buf_append_lit(out, "2|");
    append_number(out, use->key_version);
    append_number(out, use->now_s);
    append_field(out, use->name);
    append_field(out, str_make(encoded, crypto_base64_encode(value, encoded)));
    if (out->failed || out->len - before + SIGNATURE_LEN > SIGNED_COOKIE_BYTES_MAX) {
        out->len = before;
        return false;
    }
    sign(key->secret, str_make(out->at + before, out->len - before), signature);
    buf_append(out, signature, sizeof signature);
    return !out->failed;
}

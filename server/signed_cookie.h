/* signed_cookie.h - signed cookies as Tornado makes them (version 2): bytes in, value out, and back.
 *
 *     2|1:1|10:1700000000|4:user|8:YWxpY2U=|4e78…3624
 *     │ │   │             │      │          └ hex HMAC-SHA256 of everything before it, the last bar included
 *     │ │   │             │      └ value in base64
 *     │ │   │             └ name of the cookie
 *     │ │   └ time of signing, Unix seconds
 *     │ └ version of the key; each field is length, colon, text
 *     └ version of the format
 *
 * Several keys may be configured: the current one signs, all verify, so that keys can be rotated. The reader
 * is stricter than Tornado: every number has one spelling, the time may not be more than a day ahead, version
 * 1 (SHA-1) does not exist. A value is signed, not encrypted.
 *
 * Thread: any; nothing here has state.   Memory: none allocated; the value is decoded into the result.
 * Limits: SIGNED_COOKIE_BYTES_MAX, what browsers keep.   Source: tornado.web.create_signed_value and
 * decode_signed_value, THREATS A20 to A27.
 */
#ifndef STARLING_SERVER_SIGNED_COOKIE_H
#define STARLING_SERVER_SIGNED_COOKIE_H

#include "channels/base/buf.h"
#include "channels/base/str.h"

enum {
    SIGNED_COOKIE_BYTES_MAX = 4096,
    SIGNED_COOKIE_VALUE_BYTES_MAX = SIGNED_COOKIE_BYTES_MAX / 4 * 3,
    SIGNED_COOKIE_AHEAD_S_MAX = 24 * 3600,
};

struct signed_cookie_key {
    uint32_t version;
    struct str secret; /* ends with a NUL behind its length where the configuration owns it */
};

/* Borrowed by the functions below. */
struct signed_cookie_keys {
    struct signed_cookie_key *at;
    size_t count;
};

struct signed_cookie {
    uint64_t time_s;
    uint32_t key_version;
    size_t value_len;
    char value[SIGNED_COOKIE_VALUE_BYTES_MAX]; /* any bytes */
};

/* Which key, which name, and when: what a cookie is read or written under. */
struct signed_cookie_use {
    const struct signed_cookie_keys *keys;
    uint32_t key_version; /* signs; the others only verify */
    struct str name;
    uint64_t now_s;     /* Unix seconds */
    uint64_t max_age_s; /* for reading */
};

/* The key of that version, or NULL. */
const struct signed_cookie_key *signed_cookie_key_find(const struct signed_cookie_keys *keys,
                                                       uint32_t version);

/* Is this a cookie of that name that one of the keys has signed, neither too old nor from the future? false:
 * *out is meaningless, and *rule (static text) says which check refused it. */
bool signed_cookie_read(const struct signed_cookie_use *use, struct str cookie, struct signed_cookie *out,
                        const char **rule);

/* Appends a cookie over `value`, signed by the key of use->key_version. false: there is no such key, or the
 * cookie would be longer than SIGNED_COOKIE_BYTES_MAX; then nothing was appended. */
bool signed_cookie_write(const struct signed_cookie_use *use, struct str value, struct buf *out);

static inline struct str signed_cookie_value(const struct signed_cookie *cookie)
{
    return str_make(cookie->value, cookie->value_len);
}

#endif

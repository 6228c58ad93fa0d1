/* xsrf.h - tokens that show that a request comes from a page of ours: double submit, as Tornado does it
 * (version 2).
 *
 *     2|deadbeef|deacbcecdaa8b8e8d6a4b4e4d2a0b0e0|1300000000
 *     │ │        │                                └ time of making, Unix seconds
 *     │ │        └ 16 random bytes, each XORed with a byte of the mask, hex
 *     │ └ mask, 4 bytes, hex, new in every answer: a compressed answer cannot be searched for the token
 * (BREACH) └ version of the format
 *
 * The same token must come twice: in the cookie `_xsrf`, which the browser sends by itself, and in the header
 * X-XSRFToken or X-CSRFToken or the form field `_xsrf`, which only a page of the same origin can write. A
 * Tornado application on the same host can share the cookie.
 *
 * Thread: any; nothing here has state.   Memory: none.   Source: tornado.web.RequestHandler.xsrf_token and
 * check_xsrf_cookie, THREATS H43.
 */
#ifndef STARLING_SERVER_XSRF_H
#define STARLING_SERVER_XSRF_H

#include "channels/base/str.h"

struct buf;
struct http_request;

#define XSRF_COOKIE "_xsrf"

enum {
    XSRF_TOKEN_BYTES = 16,
    XSRF_MASK_BYTES = 4,
    XSRF_TEXT_MAX = 64,              /* of the written form */
    XSRF_AGE_S_MAX = 31 * 24 * 3600, /* an older token is stale */
    XSRF_AHEAD_S_MAX = 24 * 3600,
};

struct xsrf_token {
    unsigned char bytes[XSRF_TOKEN_BYTES];
    uint64_t time_s; /* Unix seconds */
};

/* A new random one. */
void xsrf_make(struct xsrf_token *out, uint64_t now_s);

/* Writes the text form under a new random mask, or under a given one; returns its length. */
size_t xsrf_write(const struct xsrf_token *token, char out[XSRF_TEXT_MAX]);
size_t xsrf_write_masked(const struct xsrf_token *token, const unsigned char mask[XSRF_MASK_BYTES],
                         char out[XSRF_TEXT_MAX]);

/* Reads a text form: strict, neither stale nor from the future. false: *out is untouched. */
bool xsrf_read(struct str text, uint64_t now_s, struct xsrf_token *out);

/* Do both hold the same token? Compared in constant time. false: *rule (static text) says what is wrong. */
bool xsrf_check(struct str cookie, struct str given, uint64_t now_s, const char **rule);

/* What a request gives beside the cookie: the form field of `form` (application/x-www-form-urlencoded, may be
 * empty), else the header. Borrowed from the request or from `scratch`; .at is NULL when there is none. */
struct str xsrf_given(const struct http_request *request, struct str form, struct buf *scratch);

#endif

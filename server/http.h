/* http.h - HTTP/1.1 for a server: request heads and bodies in, response heads out.
 *
 *     bytes ──▶ http_read_head() ──▶ struct http_request ──▶ routes, http_upgrade_check()
 *     bytes ──▶ http_body_read() ──▶ pieces of the body
 *
 * Strict on purpose (RFC 9112): where two servers could disagree on what a message means or where it ends, it
 * is refused, and the connection with it. So no bare CR or LF, no folded headers, no second Content-Length
 * even if equal, no transfer coding but "chunked". Every byte is judged when it comes, so that noise, a TLS
 * hello or an endless header is refused at the byte that decides and not at a deadline.
 *
 * Thread: any.   Memory: none but the two buffers that are passed in to be appended to.   Rows H01 to H08 and
 * H20 to H29 of the threat list.   http.c reads heads and bodies, http_fields.c looks into requests,
 * http_response.c writes.
 */
#ifndef STARLING_SERVER_HTTP_H
#define STARLING_SERVER_HTTP_H

#include "channels/base/buf.h"
#include "channels/base/str.h"

enum {
    HTTP_HEADERS_MAX = 64,
    HTTP_METHOD_BYTES_MAX = 24,           /* longer is noise */
    HTTP_CHUNK_EXTENSION_BYTES_MAX = 256, /* of all chunks of one body */
    HTTP_ORIGIN_BYTES_MAX = 300
};

struct http_limits {
    size_t request_line_bytes_max; /* without its line end; 8192; else 414 */
    size_t header_bytes_max;       /* one header line without its line end; 8192; else 431 */
    size_t headers_bytes_max;      /* all header lines with their line ends; 16384; else 431 */
    size_t header_count_max;       /* at most HTTP_HEADERS_MAX; else 431 */
    uint64_t body_bytes_max;       /* a larger Content-Length is refused with the head: 413 */
};

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_OTHER /* in refused requests only: unknown methods are answered 501 */
};

struct http_header {
    struct str name;  /* as sent: compare without case */
    struct str value; /* without the spaces around it; may hold bytes above 127 */
};

/* Written by http_read_head(). All slices point into its buffer and are valid as long as that is. */
struct http_request {
    enum http_method method;
    uint8_t version_minor; /* 0 or 1 */
    bool keep_alive;
    bool is_chunked;
    bool has_content_length;
    bool expect_continue;     /* the client waits for "100 Continue" before it sends the body */
    unsigned refusal_status;  /* with HTTP_REFUSED: what to answer before the connection is dropped */
    const char *refusal_text; /* static */
    size_t head_bytes;        /* the body, or the next request, begins here */
    uint64_t content_length;  /* 0 without one; a body on GET is the caller's to read and discard (H21) */
    struct str method_text;
    struct str target; /* as sent */
    struct str
        path; /* begins with '/', or is "*"; percent-encoded, never looked up undecoded in a file system */
    struct str query; /* what follows '?', percent-encoded; .at is NULL without '?' */
    size_t header_count;
    struct http_header headers[HTTP_HEADERS_MAX];
};

/* Where reading the head goes on. All zero is the start of a request. */
struct http_scan {
    uint32_t at;            /* bytes that were judged */
    uint32_t line;          /* where the current line began */
    uint32_t line_stop;     /* where it must have ended */
    uint32_t headers_bytes; /* of the header lines that are complete */
    uint16_t header_count;
    uint8_t part;
};

enum http_result {
    HTTP_MORE,   /* the head is not complete, and fine so far */
    HTTP_HEAD,   /* *out is filled; out->head_bytes were used */
    HTTP_REFUSED /* out->refusal_status and refusal_text; nothing else of *out is meaningful */
};

/* Reads the request head at the start of at[0 … len). After HTTP_MORE call again with the same bytes, at any
 * address, and more behind them; `scan` remembers how far it was, so that a head in single bytes costs two
 * passes and not n. Statuses: 400, 413, 414, 417, 431, 501, 505. `out` needs no initialisation. */
enum http_result http_read_head(const char *at, size_t len, const struct http_limits *limits,
                                struct http_scan *scan, struct http_request *out);

/* ---- bodies ---- */

enum http_body_result {
    HTTP_BODY_MORE,  /* everything was taken */
    HTTP_BODY_PIECE, /* *out_piece points to bytes of the body in the buffer */
    HTTP_BODY_DONE,  /* the body is complete; what is left belongs to the next request. Says so again if asked
                      */
    HTTP_BODY_REFUSED /* refusal_status 400 or 413; the connection cannot go on */
};

struct http_body_reader {
    uint64_t bytes_left;     /* of the body, or of the current chunk */
    uint64_t bytes_left_max; /* what further chunks may hold */
    uint16_t extension_bytes;
    uint8_t digit_count; /* of the chunk size being read */
    uint8_t part;
    unsigned refusal_status;
    const char *refusal_text; /* static */
};

/* A body longer than `body_bytes_max` is refused (413) by the first read, before any of it is taken, or for
 * chunks by the size that passes the limit. */
void http_body_reader_init(struct http_body_reader *reader, const struct http_request *request,
                           uint64_t body_bytes_max);

/* Takes bytes from the front of *at. Chunks are strict: hexadecimal size, short extensions (ignored), CRLF,
 * no trailers. Call until it says something else than HTTP_BODY_PIECE. */
enum http_body_result http_body_read(struct http_body_reader *reader, const char **at, size_t *len,
                                     struct str *out_piece);

/* The value of a hexadecimal digit in either case, or -1. */
int http_hex_value(char c);

/* ---- looking into a request (http_fields.c) ---- */

/* The first header of that name, case ignored; .at is NULL when there is none. */
struct str http_header(const struct http_request *request, const char *name);
size_t http_header_count(const struct http_request *request, const char *name);

/* Is `token` (case ignored) in the comma-separated lists of the headers of that name? */
bool http_header_has_token(const struct http_request *request, const char *name, const char *token);

/* The first entry of a comma-separated list that is one of known[0 … n), as the known text; .at is NULL when
 * none is (H08). Case matters, as in subprotocols. */
struct str http_pick_token(struct str list, const char *const *known, size_t n);

/* An answer that refuses a request; header_name is NULL where none goes with it. All texts are static. */
struct http_refusal {
    unsigned status;
    const char *text;
    const char *header_name;
    const char *header_value;
};

/* Is this a WebSocket opening handshake that can be accepted (RFC 6455 section 4.2.1)? false: *out says why:
 * 400, 403 (two Origin headers), 405 with Allow, 426 with Sec-WebSocket-Version (H01 to H05). */
bool http_upgrade_check(const struct http_request *request, struct http_refusal *out);

/* Does a pattern allow this Origin (H06)? "*" allows all; else scheme, host and port must be equal in lower
 * case, or the pattern's host begins with "*." for one or more whole labels. The port of the scheme may be
 * left out on either side. What is no origin, "null" included, is allowed by "*" only. Absent headers are the
 * caller's matter, and so is a request with two of them outside of http_upgrade_check(). */
bool http_origin_is_allowed(struct str origin, const struct str *patterns, size_t count);

/* Origin "http://chat.example:8000" and Host "chat.example:8000" are the same place. A page that came by
 * plain HTTP is not that of an endpoint known to be reached by TLS (`is_https`); whether it is by TLS is not
 * known behind a proxy that is not trusted. */
bool http_origin_is_own(struct str origin, struct str host, bool is_https);
/* Can this pattern ever allow something? For the configuration. */
bool http_origin_pattern_is_valid(struct str pattern);

/* Appends the decoded value of the first parameter `name` ('+' is a space). false: absent, or it has a broken
 * percent escape; then nothing was appended. The value may hold any byte. */
bool http_query_get(struct str query, const char *name, struct buf *out_decoded);

/* The value of the first cookie of that name, without quotes around it; .at is NULL when there is none (A27).
 */
struct str http_cookie(const struct http_request *request, const char *name);

/* ---- writing responses (http_response.c) ---- */

/* "HTTP/1.1 404 Not Found". */
void http_response_begin(struct buf *out, unsigned status);

/* For values of ours: a CR, LF or NUL in one is a bug. */
void http_response_header(struct buf *out, const char *name, struct str value);

/* For values that may hold what a peer sent: with a control character in it nothing is written, and false. */
bool http_response_header_checked(struct buf *out, const char *name, struct str value);

/* One of these ends the head. A bodiless response is 101, 204 or 304. */
void http_response_end(struct buf *out, uint64_t content_length);
void http_response_end_chunked(struct buf *out);
void http_response_end_bodiless(struct buf *out);

/* One chunk of a chunked body; an empty text writes nothing, since that would end the body. */
void http_response_chunk(struct buf *out, struct str text);
void http_response_last_chunk(struct buf *out);

/* "Not Found"; "Unknown" for what the server never sends. */
const char *http_status_text(unsigned status);

#endif

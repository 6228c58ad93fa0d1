/* transcript.h - what a codec said about some bytes, as one line of text that tests can compare.
 *
 * The bytes are handed over in pieces, each in a heap block of its exact size, so that a sanitizer sees every
 * read behind the end and every use of a piece that is gone. Whatever the pieces, the line must be the same.
 */
#ifndef STARLING_TESTS_TRANSCRIPT_H
#define STARLING_TESTS_TRANSCRIPT_H

#include "channels/base/buf.h"
#include "server/http.h"
#include "server/websocket.h"

/* Where to cut: piece lengths are taken from `pattern` over and over (0 counts as 256); without a pattern the
 * first piece has `first` bytes and the second the rest. */
struct cut {
    struct str pattern;
    size_t first;
};

/* `text(Hello) ping(x) close(1000 bye) error(1002)`; bytes outside printable ASCII as \xNN. `prepared` is an
 * initialised reader; it is released. */
void transcript_of_websocket(struct buf *out, struct websocket_reader *prepared, struct str bytes,
                             struct cut cut);

/* `GET /path?query 1.1 keep Host=a body(…)`, one after the other, or `refused 400`. What a head announces as
 * its body is read behind it. The unread bytes move to another address with every piece, as a growing buffer
 * does. */
void transcript_of_http(struct buf *out, const struct http_limits *limits, struct str bytes, struct cut cut);

/* Appends `s` with everything but printable ASCII as \xNN; above 64 bytes only length and hash. */
void transcript_append_escaped(struct buf *out, struct str s);

#endif

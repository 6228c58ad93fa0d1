/* tls_stream.h - a blocking connection for our own command line: TCP, with TLS where it is asked for.
 *
 * Opening tells its steps apart (name, connection, TLS), so that `doctor` can say which one failed. A
 * certificate that does not verify is reported and the connection goes on unless `must_verify` is set: what
 * lies behind it is worth looking at too.
 *
 * Thread: one per stream.   Memory: heap.   Limits: every wait ends after timeout_ms.
 */
#ifndef STARLING_SERVER_TLS_STREAM_H
#define STARLING_SERVER_TLS_STREAM_H

#include "channels/base/buf.h"

struct tls_stream;

enum stream_step { STREAM_NAME, STREAM_CONNECTION, STREAM_TLS, STREAM_OPEN };

struct stream_options {
    const char *host, *port;
    bool is_tls;
    bool must_verify;
    int timeout_ms;
};

/* STREAM_OPEN: *out is owned by the caller. Else the step that failed, and `why` got the reason, printable.
 */
enum stream_step stream_open(struct tls_stream **out, const struct stream_options *options, struct buf *why);

/* "192.0.2.1" or "2001:db8::1": whom it is connected to. */
const char *stream_address(const struct tls_stream *stream);

/* Appends "TLSv1.3, certificate of localhost until 2027-01-01". true: the certificate is valid for the host;
 * else `why` got what is wrong with it. For streams with TLS. */
bool stream_certificate(const struct tls_stream *stream, struct buf *out, struct buf *why);

bool stream_send(struct tls_stream *stream, const void *bytes, size_t len, struct buf *why);

/* Waits up to `timeout_ms` (-1: for ever) for some bytes. false: `why` got the reason. */
bool stream_receive(struct tls_stream *stream, int timeout_ms, void *out, size_t size, size_t *out_len,
                    struct buf *why);

/* NULL is fine. */
void stream_close(struct tls_stream *stream);

#endif

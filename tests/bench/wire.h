/* wire.h - WebSocket frames and the upgrade, written a second time for the measuring programs.
 *
 * A load generator that used the server's own codec could not see a mistake in it: both ends would agree on
 * the same wrong bytes. This one knows only what RFC 6455 sections 4 and 5 need for measuring: no extension,
 * no fragments (the server never fragments), and a fixed Sec-WebSocket-Key, so that the expected
 * Sec-WebSocket-Accept is a constant and no digest is needed.
 *
 * Pure functions over the caller's memory. Thread: any.
 */
#ifndef STARLING_BENCH_WIRE_H
#define STARLING_BENCH_WIRE_H

#include "channels/base/buf.h"

enum wire_opcode {
    WIRE_CONTINUATION = 0,
    WIRE_TEXT = 1,
    WIRE_BINARY = 2,
    WIRE_CLOSE = 8,
    WIRE_PING = 9,
    WIRE_PONG = 10,
};

enum {
    WIRE_HEAD_MAX = 14, /* two bytes, an eight-byte length and a mask: RFC 6455 section 5.2 */
};

/* The key of the example in RFC 6455 section 1.3 and the answer it must get. */
#define WIRE_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WIRE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* One frame, its payload borrowed from the buffer that was read. */
struct wire_frame {
    enum wire_opcode opcode;
    struct str payload;
};

enum wire_result {
    WIRE_FRAME,      /* one whole frame was read */
    WIRE_INCOMPLETE, /* more bytes are needed */
    WIRE_BROKEN,     /* not a frame this side may receive */
};

/* Who sent the bytes: clients mask, servers must not (RFC 6455 section 5.1). */
enum wire_sender {
    WIRE_FROM_SERVER,
    WIRE_FROM_CLIENT,
};

/* Reads the frame at the start of bytes[0..len) and unmasks a client's in place. *used is the frame's whole
 * length; both out-parameters are written only with WIRE_FRAME. */
enum wire_result wire_next(char *bytes, size_t len, enum wire_sender sender, struct wire_frame *frame,
                           size_t *used);

/* Appends one unmasked frame, as a server sends it. */
void wire_put_server_frame(struct buf *out, enum wire_opcode opcode, struct str payload);

/* Appends one masked frame, as a client sends it. Each call takes another mask. */
void wire_put_client_frame(struct buf *out, enum wire_opcode opcode, struct str payload);

/* Appends the request for an upgrade at `path`. */
void wire_put_upgrade_request(struct buf *out, const char *path);

/* Appends the answer to it. */
void wire_put_upgrade_answer(struct buf *out);

/* Length of the HTTP head at the start of the bytes with its empty line, or 0 while it is not complete. */
size_t wire_http_head(struct str bytes);

/* True for a head that accepts the upgrade: status 101 and the one right Sec-WebSocket-Accept. */
bool wire_is_upgrade_answer(struct str head);

/* The number after `name` (such as "content-length:", lower case) in an HTTP head; -1 when it is not there.
 */
long wire_http_number(struct str head, const char *name);

#endif

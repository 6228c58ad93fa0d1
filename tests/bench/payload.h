/* payload.h - what the load generator publishes: a JSON object that says who sent it, which one it is and
 * when.
 *
 *     {"q":"PPPPPPPPSSSSSSSSTTTTTTTTTTTTTTTT","x":"abcdefgh…"}
 *
 * P is the publisher, S its sequence number, T the monotonic clock in nanoseconds, all hexadecimal, so that
 * every payload of a run has the same length. The padding is checked byte for byte on arrival. Thread: any.
 */
#ifndef STARLING_BENCH_PAYLOAD_H
#define STARLING_BENCH_PAYLOAD_H

#include "channels/base/buf.h"

enum {
    PAYLOAD_BYTES_MIN = 48, /* the object above with one letter of padding */
};

struct payload {
    uint32_t publisher;
    uint32_t number;
    uint64_t sent_ns;
};

/* A payload of `bytes` in all, to be filled in for each message. Owned by the caller: buf_release(). */
struct buf payload_template(size_t bytes);

/* Writes the three numbers into a template. */
void payload_write(struct buf *payload_bytes, const struct payload *values);

/* Reads what starts at text.at; the text may go on behind the object. false: it is not the template's length,
 * shape and padding. */
bool payload_read(struct str text, const struct buf *expected, struct payload *out);

#endif

/* sequence.h - whether one subscriber got everything one publisher sent, once, and in order.
 *
 * A publisher numbers its messages from 0. The receiver's sequence knows the next number it expects and which
 * of the 64 before it have come, and sorts every arrival into: fresh and in order, fresh but late (out of
 * order), or extra. What has never come by the end is lost. Thread: the one that owns it.
 */
#ifndef STARLING_BENCH_SEQUENCE_H
#define STARLING_BENCH_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

struct sequence {
    uint32_t next; /* the number after the highest that has come */
    uint64_t seen; /* bit i: number next - 1 - i has come */
};

/* Counts over many sequences. A run is right when all but `delivered` are 0. */
struct tally {
    uint64_t delivered;    /* fresh ones */
    uint64_t lost;         /* gaps not filled so far; final after sequence_end() */
    uint64_t extra;        /* came again, or so late that it cannot be told */
    uint64_t out_of_order; /* came after a later one */
    uint64_t corrupt;      /* not what was published */
};

/* Counts the arrival of `number`; true when it is fresh. */
bool sequence_take(struct sequence *sequence, struct tally *tally, uint32_t number);

/* Counts as lost what is missing of the first `published` numbers. Call once, at the end. */
void sequence_end(const struct sequence *sequence, struct tally *tally, uint32_t published);

#endif

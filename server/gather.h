/* gather.h - asks every worker of the process the same thing, and calls back when all have answered.
 *
 *     asker ─ question ─▶ visit() on worker 0 ─ answer ─┐
 *           ─ question ─▶ visit() on worker 1 ─ answer ─┼─▶ done() on the asker's worker
 *           ─ question ─▶ …                             ┘
 *
 * A worker's state is seen by itself only, so whoever wants to know or to change something everywhere sends
 * each worker a mail with a function to run there. The question is shared and constant on the way; each
 * answer is written by one worker and read by the asker once it is back, so nothing is locked.
 *
 * Thread: the asker's worker, but for visit().   Memory: one allocation with room for all answers; freed
 * after done(). What an answer owns on the heap is done()'s to free.   Limits: the mailboxes; with
 * `is_urgent` none, for questions whose number is bounded by the connections that ask.
 */
#ifndef STARLING_SERVER_GATHER_H
#define STARLING_SERVER_GATHER_H

#include <stdbool.h>
#include <stddef.h>

struct gather;
struct worker;

struct gather_options {
    /* Runs once on each worker's own thread. `answer` is zeroed and `answer_bytes` large. */
    void (*visit)(struct worker *there, const void *question, void *answer);
    /* Runs once on the asker's thread, in a later step of the turn and never inside gather_start(). */
    void (*done)(struct gather *gather, void *context);
    const void *question; /* borrowed until done(), by all threads: nobody changes it */
    void *context;        /* for done() */
    size_t answer_bytes;
    bool is_urgent; /* also where a mailbox is full */
};

/* Returns the question on its way, borrowed until done() returns; NULL: no memory, and nothing was asked. */
struct gather *gather_start(struct worker *worker, const struct gather_options *options);

/* How many workers there are; how many of them have answered so far. */
unsigned gather_count(const struct gather *gather);
unsigned gather_answered_count(const struct gather *gather);

/* For done(): how many were not reached because their mailbox was full. */
unsigned gather_missing_count(const struct gather *gather);

/* For done(): the answer of worker `index`, borrowed until done() returns; NULL where it was not reached. */
void *gather_answer(struct gather *gather, unsigned index);

#endif

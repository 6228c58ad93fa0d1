/* mailbox.h - how one worker hands something to another.
 *
 *     worker A ──post──▶ ┌───────────┐
 *     worker B ──post──▶ │  mailbox  │ ──take all, oldest first──▶ the worker that owns it
 *     main     ──post──▶ └───────────┘
 *
 * A mail is a struct that somebody embeds, with the function that the owner's worker runs for it. Posting is
 * one compare-and-swap; taking is one exchange for everything there is. Mails of one sender arrive in the
 * order they were posted: order in a channel depends on that. The only lock-free structure of the program,
 * and with the counters its only atomics.
 *
 * Bound: mailbox_post() refuses at `mails_max`. Answers use mailbox_post_answer(), which never refuses: an
 * answer exists only for a mail that was accepted, so their number is bounded by the same limit at the asking
 * side.
 */
#ifndef STARLING_BASE_MAILBOX_H
#define STARLING_BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mail {
    struct mail *next;
    /* Runs once, on the receiving worker's thread, which then owns the mail. `receiver` is that worker's hub.
     */
    void (*run)(void *receiver, struct mail *mail);
};

struct mailbox {
    _Atomic(struct mail *) newest; /* written by all senders, taken by the owner */
    atomic_size_t mail_count;      /* up by senders, down by the owner */
    size_t mails_max;
};

void mailbox_init(struct mailbox *mailbox, size_t mails_max);

/* Any thread. false: full, and the sender still owns `mail`. *was_empty tells the sender to wake the owner.
 */
bool mailbox_post(struct mailbox *mailbox, struct mail *mail, bool *was_empty);
void mailbox_post_answer(struct mailbox *mailbox, struct mail *mail, bool *was_empty);

/* Any thread: are at least `count` places free? A moment later it may differ. */
bool mailbox_has_room(struct mailbox *mailbox, size_t count);

/* Owner only: all mails, oldest first, linked by `next`; NULL when there are none. */
struct mail *mailbox_take(struct mailbox *mailbox);

#endif

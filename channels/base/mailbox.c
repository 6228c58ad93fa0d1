#include "channels/base/mailbox.h"

void mailbox_init(struct mailbox *mailbox, size_t mails_max)
{
    atomic_init(&mailbox->newest, NULL);
    atomic_init(&mailbox->mail_count, 0);
    mailbox->mails_max = mails_max;
}

static void push(struct mailbox *mailbox, struct mail *mail, bool *was_empty)
{
    /* Release pairs with the acquire in mailbox_take(): what the sender wrote into the mail is seen there. */
    struct mail *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        mail->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &newest, mail, memory_order_release,
                                                    memory_order_relaxed));
    *was_empty = newest == NULL;
}

bool mailbox_post(struct mailbox *mailbox, struct mail *mail, bool *was_empty)
{
    size_t before = atomic_fetch_add_explicit(&mailbox->mail_count, 1, memory_order_relaxed);
    if (before >= mailbox->mails_max) {
        atomic_fetch_sub_explicit(&mailbox->mail_count, 1, memory_order_relaxed);
        return false;
    }
    push(mailbox, mail, was_empty);
    return true;
}

void mailbox_post_answer(struct mailbox *mailbox, struct mail *mail, bool *was_empty)
{
    atomic_fetch_add_explicit(&mailbox->mail_count, 1, memory_order_relaxed);
    push(mailbox, mail, was_empty);
}

bool mailbox_has_room(struct mailbox *mailbox, size_t count)
{
    return atomic_load_explicit(&mailbox->mail_count, memory_order_relaxed) + count <= mailbox->mails_max;
}

struct mail *mailbox_take(struct mailbox *mailbox)
{
    if (atomic_load_explicit(&mailbox->newest, memory_order_relaxed) == NULL) {
        return NULL;
    }
    struct mail *newest = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct mail *oldest = NULL;
    size_t count = 0;
    while (newest != NULL) { /* the list is newest first: turn it round */
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
        count++;
    }
    atomic_fetch_sub_explicit(&mailbox->mail_count, count, memory_order_relaxed);
    return oldest;
}

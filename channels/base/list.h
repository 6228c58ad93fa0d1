/* list.h - intrusive doubly linked lists: the link is a member of the thing that is listed.
 *
 * The head is a link too. An unlinked link points to itself, so that removing twice is harmless and "is it on
 * a list?" is one comparison. Nothing is allocated, everything but list_count() is O(1).
 */
#ifndef STARLING_BASE_LIST_H
#define STARLING_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *next;
    struct link *prev;
};

static inline void list_init(struct link *link)
{
    link->next = link;
    link->prev = link;
}

static inline bool list_is_empty(const struct link *head)
{
    return head->next == head;
}

static inline bool link_is_listed(const struct link *link)
{
    return link->next != link;
}

static inline void list_push_back(struct link *head, struct link *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void list_push_front(struct link *head, struct link *link)
{
    link->next = head->next;
    link->prev = head;
    head->next->prev = link;
    head->next = link;
}

static inline void list_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Takes the first link off; NULL when the list is empty. */
static inline struct link *list_pop_front(struct link *head)
{
    if (list_is_empty(head)) {
        return NULL;
    }
    struct link *first = head->next;
    list_remove(first);
    return first;
}

/* Moves everything of `from` to the end of `to`. */
static inline void list_append(struct link *to, struct link *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

static inline size_t list_count(const struct link *head)
{
    size_t count = 0;
    for (const struct link *link = head->next; link != head; link = link->next) {
        count++;
    }
    return count;
}

/* The body must not unlink `link`; list_each_safe allows just that. */
#define list_each(head, link) for (struct link *link = (head)->next; link != (head); link = link->next)
#define list_each_safe(head, link)                                                    \
    for (struct link *link = (head)->next, *link##_next = link->next; link != (head); \
         link = link##_next, link##_next = link->next)

#endif

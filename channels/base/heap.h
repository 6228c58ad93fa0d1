/* heap.h - what is due first: a binary heap of items that somebody embeds.
 *
 * Finding the earliest is O(1), adding, moving and removing O(log n), and nothing ever looks at all items: a
 * hundred thousand things that wait cost nothing until their time comes. Room is reserved when a thing is
 * made, so that putting it in later cannot fail.
 */
#ifndef STARLING_BASE_HEAP_H
#define STARLING_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: in no heap. */
struct heap_item {
    uint64_t due_ms;
    size_t place; /* index in the heap + 1; 0: in none */
};

/* Zeroed: empty. */
struct heap {
    struct heap_item **items;
    size_t count, capacity;
};

/* Makes room for `count` items in all. false: no memory, nothing changed. */
bool heap_reserve(struct heap *heap, size_t count);

/* Puts `item` in, or moves it, so that it is due at `due_ms`. There must be room. */
void heap_set(struct heap *heap, struct heap_item *item, uint64_t due_ms);

/* Takes `item` out; it is no error when it is in none. */
void heap_remove(struct heap *heap, struct heap_item *item);

/* The item that is due first; NULL when empty. */
static inline struct heap_item *heap_first(const struct heap *heap)
{
    return heap->count > 0 ? heap->items[0] : NULL;
}

/* Frees the array; items that are still in it are forgotten. */
void heap_release(struct heap *heap);

#endif

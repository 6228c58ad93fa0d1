#include "channels/base/heap.h"

#include "channels/base/must.h"

#include <stdlib.h>

enum { HEAP_ITEMS_MIN = 16 };

bool heap_reserve(struct heap *heap, size_t count)
{
    if (count <= heap->capacity) {
        return true;
    }
    size_t capacity = heap->capacity < HEAP_ITEMS_MIN ? HEAP_ITEMS_MIN : heap->capacity;
    while (capacity < count) {
        capacity *= 2;
    }
    struct heap_item **items = realloc(heap->items, capacity * sizeof(struct heap_item *));
    if (items == NULL) {
        return false;
    }
    heap->items = items;
    heap->capacity = capacity;
    return true;
}

static void put(struct heap *heap, size_t index, struct heap_item *item)
{
    heap->items[index] = item;
    item->place = index + 1;
}

static void sift_up(struct heap *heap, struct heap_item *item)
{
    size_t index = item->place - 1;
    while (index > 0 && heap->items[(index - 1) / 2]->due_ms > item->due_ms) {
        put(heap, index, heap->items[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(heap, index, item);
}

static void sift_down(struct heap *heap, struct heap_item *item)
{
    size_t index = item->place - 1;
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && heap->items[child + 1]->due_ms < heap->items[child]->due_ms) {
            child++;
        }
        if (heap->items[child]->due_ms >= item->due_ms) {
            break;
        }
        put(heap, index, heap->items[child]);
        index = child;
    }
    put(heap, index, item);
}

void heap_set(struct heap *heap, struct heap_item *item, uint64_t due_ms)
{
    item->due_ms = due_ms;
    if (item->place == 0) {
        must(heap->count < heap->capacity);
        put(heap, heap->count++, item);
    }
    must(heap->items[item->place - 1] == item);
    sift_up(heap, item);
    sift_down(heap, item);
}

void heap_remove(struct heap *heap, struct heap_item *item)
{
    if (item->place == 0) {
        return;
    }
    size_t index = item->place - 1;
    must(heap->items[index] == item);
    item->place = 0;
    struct heap_item *last = heap->items[--heap->count];
    if (last != item) {
        put(heap, index, last);
        sift_up(heap, last);
        sift_down(heap, last);
    }
}

void heap_release(struct heap *heap)
{
    free(heap->items);
    *heap = (struct heap){0};
}

/* pick.h - the first few of many: what a page of a long list needs.
 *
 * Rows are offered in any order; the first `rows_max` of them in the order of `compare` are kept. That order
 * lies in a heap with the last kept row on top, so a row that comes too late costs one comparison, and a page
 * of a hundred out of a hundred thousand is found in one walk without sorting or copying the rest.
 *
 * Thread: any.   Memory: one array of rows_max rows, from pick_init() to pick_release().
 */
#ifndef STARLING_SERVER_PICK_H
#define STARLING_SERVER_PICK_H

#include <stdbool.h>
#include <stddef.h>

struct pick {
    char *rows; /* a heap, and in order after pick_sort() */
    size_t row_bytes, rows_max;
    size_t count;
    int (*compare)(const void *left, const void *right); /* as of qsort(); no two rows are equal */
};

/* false: no memory; pick_release() is fine then. `rows_max` is at least 1. */
bool pick_init(struct pick *pick, size_t row_bytes, size_t rows_max,
               int (*compare)(const void *left, const void *right));
void pick_release(struct pick *pick);

/* Copies the row where it is among the first. O(1) where it is not, else O(log rows_max). */
void pick_offer(struct pick *pick, const void *row);

/* Puts the kept rows in order; nothing is offered after that. */
void pick_sort(struct pick *pick);

static inline void *pick_at(const struct pick *pick, size_t index)
{
    return pick->rows + index * pick->row_bytes;
}

#endif

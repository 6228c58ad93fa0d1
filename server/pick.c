#include "server/pick.h"

#include "channels/base/must.h"

#include <stdlib.h>
#include <string.h>

bool pick_init(struct pick *pick, size_t row_bytes, size_t rows_max,
               int (*compare)(const void *left, const void *right))
{
    must(rows_max > 0);
    *pick = (struct pick){.row_bytes = row_bytes, .rows_max = rows_max, .compare = compare};
    pick->rows = calloc(rows_max, row_bytes);
    return pick->rows != NULL;
}

void pick_release(struct pick *pick)
{
    free(pick->rows);
    pick->rows = NULL;
}

/* Moves the row at `index` up while it belongs after its parent. */
static void sift_up(struct pick *pick, size_t index, const void *row)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (pick->compare(row, pick_at(pick, parent)) <= 0) {
            break;
        }
        memcpy(pick_at(pick, index), pick_at(pick, parent), pick->row_bytes);
        index = parent;
    }
    memcpy(pick_at(pick, index), row, pick->row_bytes);
}

/* Replaces the top by `row` and moves it down while a child belongs after it. */
static void sift_down(struct pick *pick, const void *row)
{
    size_t index = 0;
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= pick->count) {
            break;
        }
        if (child + 1 < pick->count && pick->compare(pick_at(pick, child + 1), pick_at(pick, child)) > 0) {
            child++;
        }
        if (pick->compare(row, pick_at(pick, child)) >= 0) {
            break;
        }
        memcpy(pick_at(pick, index), pick_at(pick, child), pick->row_bytes);
        index = child;
    }
    memcpy(pick_at(pick, index), row, pick->row_bytes);
}

void pick_offer(struct pick *pick, const void *row)
{
    if (pick->count < pick->rows_max) {
        pick->count++;
        sift_up(pick, pick->count - 1, row);
    } else if (pick->compare(row, pick_at(pick, 0)) < 0) {
        sift_down(pick, row);
    }
}

void pick_sort(struct pick *pick)
{
    qsort(pick->rows, pick->count, pick->row_bytes, pick->compare);
}

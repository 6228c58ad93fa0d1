/* slab.h - objects of one size, close together, given back to the system when a peak has passed.
 *
 * Objects are cut from 64 KiB blocks, so that what is allocated in a row lies in a row: a walk over
 * subscribers in accept order goes forward in memory. A block whose last object was freed goes back to the
 * system (one empty block is kept). Finding the block of an object is a mask of its address.
 *
 * Thread: the one that owns the slab.   Memory: slab_new() objects are zeroed.
 */
#ifndef STARLING_BASE_SLAB_H
#define STARLING_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab {
    size_t object_bytes;        /* rounded up to the alignment of max_align_t */
    struct slab_block *partial; /* blocks with a free object, the one used last first */
    size_t object_count;        /* objects handed out */
    size_t block_count;
    size_t empty_count; /* blocks kept without an object in them: 0 or 1 */
};

enum { SLAB_BLOCK_BYTES = 64 * 1024 };

/* `object_bytes` at most a sixteenth of a block. */
void slab_init(struct slab *slab, size_t object_bytes);

/* Returns an owned, zeroed object, or NULL without memory. O(1). */
void *slab_new(struct slab *slab);

/* Takes `object` back; NULL is fine. O(1). */
void slab_free(struct slab *slab, void *object);

/* Frees all blocks. Every object must have come back, except in tests of abandoned state. */
void slab_release(struct slab *slab);

#endif

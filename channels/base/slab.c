#include "channels/base/slab.h"

#include "channels/base/must.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* Lies at the start of its 64 KiB, which is aligned to 64 KiB. */
struct slab_block {
    struct slab_block *next, *prev; /* in slab->partial; NULL when full or at the ends */
    void *free_list;                /* objects that came back */
    size_t used;                    /* objects handed out */
    size_t fresh;                   /* objects never handed out start at this index */
    size_t capacity;
};

#ifdef SLOW_CHECKS
/* Under the sanitizers every object is an allocation of its own, so that they see use after free. */

void slab_init(struct slab *slab, size_t object_bytes)
{
    *slab = (struct slab){.object_bytes = object_bytes};
}

void *slab_new(struct slab *slab)
{
    void *object = calloc(1, slab->object_bytes);
    if (object != NULL) {
        slab->object_count++;
    }
    return object;
}

void slab_free(struct slab *slab, void *object)
{
    if (object != NULL) {
        must(slab->object_count > 0);
        slab->object_count--;
        free(object);
    }
}

void slab_release(struct slab *slab)
{
    *slab = (struct slab){.object_bytes = slab->object_bytes};
}

#else

static size_t header_bytes(void)
{
    size_t align = alignof(max_align_t);
    return (sizeof(struct slab_block) + align - 1) / align * align;
}

void slab_init(struct slab *slab, size_t object_bytes)
{
    size_t align = alignof(max_align_t);
    *slab = (struct slab){.object_bytes = (object_bytes + align - 1) / align * align};
    must(slab->object_bytes >= sizeof(void *));
    must(slab->object_bytes <= SLAB_BLOCK_BYTES / 16);
}

static void partial_push(struct slab *slab, struct slab_block *block)
{
    block->prev = NULL;
    block->next = slab->partial;
    if (slab->partial != NULL) {
        slab->partial->prev = block;
    }
    slab->partial = block;
}

static void partial_remove(struct slab *slab, struct slab_block *block)
{
    if (block->prev != NULL) {
        block->prev->next = block->next;
    } else {
        slab->partial = block->next;
    }
    if (block->next != NULL) {
        block->next->prev = block->prev;
    }
    block->next = block->prev = NULL;
}

static struct slab_block *block_new(struct slab *slab)
{
    struct slab_block *block = aligned_alloc(SLAB_BLOCK_BYTES, SLAB_BLOCK_BYTES);
    if (block == NULL) {
        return NULL;
    }
    *block = (struct slab_block){.capacity = (SLAB_BLOCK_BYTES - header_bytes()) / slab->object_bytes};
    slab->block_count++;
    slab->empty_count++;
    partial_push(slab, block);
    return block;
}

void *slab_new(struct slab *slab)
{
    struct slab_block *block = slab->partial;
    if (block == NULL && (block = block_new(slab)) == NULL) {
        return NULL;
    }
    if (block->used == 0) {
        slab->empty_count--;
    }
    void *object = block->free_list;
    if (object != NULL) {
        memcpy(&block->free_list, object, sizeof(void *));
    } else {
        object = (char *)block + header_bytes() + block->fresh * slab->object_bytes;
        block->fresh++;
    }
    block->used++;
    if (block->used == block->capacity) {
        partial_remove(slab, block);
    }
    slab->object_count++;
    memset(object, 0, slab->object_bytes);
    return object;
}

void slab_free(struct slab *slab, void *object)
{
    if (object == NULL) {
        return;
    }
    struct slab_block *block = (struct slab_block *)((uintptr_t)object & ~(uintptr_t)(SLAB_BLOCK_BYTES - 1));
    must(block->used > 0);
    if (block->used == block->capacity) {
        partial_push(slab, block);
    }
    memcpy(object, &block->free_list, sizeof(void *));
    block->free_list = object;
    block->used--;
    slab->object_count--;
    if (block->used > 0) {
        return;
    }
    if (slab->empty_count > 0) {
        partial_remove(slab, block);
        slab->block_count--;
        free(block);
        return;
    }
    /* The kept block starts over, so that its next objects lie in a row again. */
    slab->empty_count++;
    block->free_list = NULL;
    block->fresh = 0;
}

void slab_release(struct slab *slab)
{
    must(slab->object_count == 0);
    while (slab->partial != NULL) {
        struct slab_block *block = slab->partial;
        partial_remove(slab, block);
        free(block);
    }
    *slab = (struct slab){.object_bytes = slab->object_bytes};
}

#endif

#include "tests/support/fail_alloc.h"

#include <errno.h>

/* What the linker puts in place of the names, and what it leaves the real ones under. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);

static _Thread_local size_t allocation_count;
static _Thread_local size_t fails_at;
static _Thread_local bool is_armed, has_failed;

void fail_alloc_at(size_t n)
{
    fails_at = allocation_count + n;
    is_armed = true;
    has_failed = false;
}

bool fail_alloc_stop(void)
{
    is_armed = false;
    return has_failed;
}

size_t fail_alloc_count(void)
{
    return allocation_count;
}

static bool fails_now(void)
{
    bool fails = is_armed && allocation_count == fails_at;
    allocation_count++;
    if (fails) {
        is_armed = false;
        has_failed = true;
        errno = ENOMEM;
    }
    return fails;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails_now() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails_now() ? NULL : __real_aligned_alloc(alignment, size);
}

/* fail_alloc.h - memory that runs out when a test says so.
 *
 * Test binaries are linked with --wrap for malloc, calloc, realloc and aligned_alloc, so the code under test
 * needs no seam. Libraries that are linked dynamically allocate as ever. Each thread has its own state.
 *
 *     bool failed = true;
 *     for (size_t n = 0; failed; n++) {     the first allocation fails, then the second, … until none does
 *         fail_alloc_at(n);
 *         … do the thing …
 *         failed = fail_alloc_stop();
 *         … check that it happened whole or not at all …
 *     }
 */
#ifndef STARLING_TESTS_FAIL_ALLOC_H
#define STARLING_TESTS_FAIL_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* From now on the n-th allocation of this thread (from 0) fails, once. */
void fail_alloc_at(size_t n);

/* Ends that. true: an allocation failed since fail_alloc_at(). */
bool fail_alloc_stop(void);

/* Allocations of this thread since it started. */
size_t fail_alloc_count(void);

#endif

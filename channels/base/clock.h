/* clock.h - the two clocks, and the one that tests set.
 *
 * Timers and ages use the monotonic clock: the wall clock may jump. Wall time is for tokens and for what
 * people read. Thread: any. A test that calls clock_set_for_test() freezes both until it moves them again.
 */
#ifndef STARLING_BASE_CLOCK_H
#define STARLING_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since an arbitrary start; never goes back. */
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_ns(void);

/* Milliseconds since the Unix epoch. */
uint64_t clock_wall_ms(void);

/* Freezes both clocks at the given milliseconds; (0, 0) gives them back to the system. Tests only. */
void clock_set_for_test(uint64_t monotonic_ms, uint64_t wall_ms);
/* Moves both frozen clocks forward. Tests only. */
void clock_advance_for_test(uint64_t ms);

#endif

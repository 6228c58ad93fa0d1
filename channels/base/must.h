/* must.h - stop at once when an invariant of ours is broken.
 *
 * A must() that fails is a bug of this program, never of a peer: input is validated, not asserted. The
 * process stops with file, line and condition, and the supervisor restarts it: a server that goes on with a
 * broken invariant could deliver one client's message to another. must_slow() is for checks that cost more
 * than a comparison and exists in sanitizer builds only.
 */
#ifndef STARLING_BASE_MUST_H
#define STARLING_BASE_MUST_H

_Noreturn void must_failed(const char *file, int line, const char *condition);

#define must(condition) ((condition) ? (void)0 : must_failed(__FILE__, __LINE__, #condition))

#ifdef SLOW_CHECKS
#define must_slow(condition) must(condition)
#else
#define must_slow(condition) ((void)0)
#endif

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif

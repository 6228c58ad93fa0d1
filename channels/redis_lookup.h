/* redis_lookup.h - names to addresses without waiting for them.
 *
 * getaddrinfo() may take many seconds, so a thread does it and wakes the loop. A lookup that is given up goes
 * on by itself and frees what it found.   Thread: the loop's.
 */
#ifndef STARLING_CHANNELS_REDIS_LOOKUP_H
#define STARLING_CHANNELS_REDIS_LOOKUP_H

#include <ev.h>
#include <netdb.h>

struct redis_lookup;

/* Calls `done` on the loop, later, with the addresses, borrowed for the call, or NULL. The lookup is gone
 * then. NULL: no memory or no thread, and `done` will not be called. */
struct redis_lookup *redis_lookup_start(struct ev_loop *loop, const char *host, const char *port,
                                        void (*done)(void *context, const struct addrinfo *found),
                                        void *context);
/* `done` will not be called. NULL is fine. */
void redis_lookup_cancel(struct redis_lookup *lookup);

#endif

/* timers.h - the worker's timing wheel: deadlines of connections at the cost of two pointers.
 *
 * 1024 slots of 64 ms, about 65 s a round; a deadline further away stays in its slot and is looked at once a
 * round. Setting, moving and cancelling are O(1), where the timers of libwebsockets are a sorted list: 182 µs
 * a connect at 10,000 connections. A timer fires up to one slot late and never early.
 *
 * Thread: the worker's.   Memory: embedded in what the deadline is for.
 */
#ifndef STARLING_SERVER_TIMERS_H
#define STARLING_SERVER_TIMERS_H

#include "channels/base/list.h"

#include <stdint.h>

enum { TIMER_SLOT_COUNT = 1024, TIMER_SLOT_MS = 64 };

struct timer {
    struct link link;
    uint64_t due_ms; /* monotonic; meaningful while it is set */
    void (*fire)(struct timer *timer);
};

struct timers {
    struct link slots[TIMER_SLOT_COUNT];
    uint64_t now_ms; /* the last slot that was run has passed */
    size_t count;
};

void timers_init(struct timers *timers, uint64_t now_ms);

static inline void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    list_init(&timer->link);
    timer->due_ms = 0;
    timer->fire = fire;
}

/* Sets or moves `timer` to the monotonic time `due_ms`; one that has passed fires in the next run. */
void timer_set(struct timers *timers, struct timer *timer, uint64_t due_ms);
void timer_cancel(struct timers *timers, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
    return link_is_listed(&timer->link);
}

/* Fires what is due at `now_ms`. `fire` may set, move or cancel any timer. */
void timers_run(struct timers *timers, uint64_t now_ms);

#endif

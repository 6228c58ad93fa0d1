#include "server/timers.h"

#include "channels/base/must.h"

void timers_init(struct timers *timers, uint64_t now_ms)
{
    for (size_t i = 0; i < TIMER_SLOT_COUNT; i++) {
        list_init(&timers->slots[i]);
    }
    timers->now_ms = now_ms;
    timers->count = 0;
}

void timer_set(struct timers *timers, struct timer *timer, uint64_t due_ms)
{
    must(timer->fire != NULL);
    if (link_is_listed(&timer->link)) {
        list_remove(&timer->link);
    } else {
        timers->count++;
    }
    timer->due_ms = due_ms;
    /* The slot whose end lies at or behind the deadline; one that has passed goes to the slot that runs next.
     */
    uint64_t at_ms = due_ms > timers->now_ms ? due_ms : timers->now_ms;
    list_push_back(&timers->slots[at_ms / TIMER_SLOT_MS % TIMER_SLOT_COUNT], &timer->link);
}

void timer_cancel(struct timers *timers, struct timer *timer)
{
    if (link_is_listed(&timer->link)) {
        list_remove(&timer->link);
        timers->count--;
    }
}

static void run_slot(struct timers *timers, struct link *slot, uint64_t now_ms)
{
    /* Taken off as a whole first, so that a timer that sets itself again into this slot waits for the next
     * run. */
    struct link taken;
    list_init(&taken);
    list_append(&taken, slot);
    struct link *link;
    while ((link = list_pop_front(&taken)) != NULL) {
        struct timer *timer = container_of(link, struct timer, link);
        if (timer->due_ms > now_ms) {
            list_push_back(slot, link);
        } else {
            timers->count--;
            timer->fire(timer);
        }
    }
}

void timers_run(struct timers *timers, uint64_t now_ms)
{
    uint64_t first = timers->now_ms / TIMER_SLOT_MS, last = now_ms / TIMER_SLOT_MS;
    if (last <= first) {
        return;
    }
    /* After a long stall one round visits every slot. */
    uint64_t slot_count = last - first < TIMER_SLOT_COUNT ? last - first : TIMER_SLOT_COUNT;
    timers->now_ms = last * TIMER_SLOT_MS;
    for (uint64_t i = 0; i < slot_count; i++) {
        run_slot(timers, &timers->slots[(first + i) % TIMER_SLOT_COUNT], timers->now_ms);
    }
}

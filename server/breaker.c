#include "server/breaker.h"

#include "channels/base/must.h"

void breaker_init(struct breaker *breaker, uint32_t failures_max, uint32_t open_ms)
{
    must(failures_max > 0);
    *breaker = (struct breaker){.failures_max = failures_max, .open_ms = open_ms};
}

bool breaker_allows(struct breaker *breaker, uint64_t now_ms)
{
    if (!breaker->is_open) {
        return true;
    }
    if (breaker->is_probing || now_ms < breaker->probe_due_ms) {
        return false;
    }
    breaker->is_probing = true;
    return true;
}

static void open_until(struct breaker *breaker, uint64_t probe_due_ms)
{
    breaker->is_open = true;
    breaker->is_probing = false;
    breaker->probe_due_ms = probe_due_ms;
}

void breaker_record(struct breaker *breaker, bool has_answered, uint64_t now_ms)
{
    if (has_answered) {
        breaker->failures = 0;
        breaker->is_open = false;
        breaker->is_probing = false;
        return;
    }
    if (breaker->failures < breaker->failures_max) {
        breaker->failures++;
    }
    bool has_just_broken = !breaker->is_open && breaker->failures >= breaker->failures_max;
    if (has_just_broken || breaker->is_probing) {
        open_until(breaker, now_ms + breaker->open_ms);
    }
}

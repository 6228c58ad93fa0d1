#include "tests/bench/scenario.h"

void report_latency(struct report *report, const struct latency *latency)
{
    report_add(report, "p50_us", (double)latency_quantile_ns(latency, 0.50) / 1e3);
    report_add(report, "p99_us", (double)latency_quantile_ns(latency, 0.99) / 1e3);
    report_add(report, "max_us", (double)latency->max_ns / 1e3);
}

void report_tally(struct report *report, const struct tally *tally)
{
    report_add_zero(report, "lost", (double)tally->lost);
    report_add_zero(report, "extra", (double)tally->extra);
    report_add_zero(report, "out_of_order", (double)tally->out_of_order);
    report_add_zero(report, "corrupt", (double)tally->corrupt);
}

void report_pool(struct report *report, const struct pool *pool)
{
    report_add_zero(report, "connections_failed", (double)pool->failed);
    report_add_zero(report, "broken_frames", (double)pool->broken);
}

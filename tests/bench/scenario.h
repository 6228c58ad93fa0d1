/* scenario.h - the kinds of load. Each runs once, fills the report and returns; load.c has them in a table.
 */
#ifndef STARLING_BENCH_SCENARIO_H
#define STARLING_BENCH_SCENARIO_H

#include "tests/bench/latency.h"
#include "tests/bench/pool.h"
#include "tests/bench/report.h"
#include "tests/bench/sequence.h"
#include "tests/bench/window.h"

/* One publisher, many subscribers of one channel; some of them may stop reading. */
void scenario_fanout(const struct options *options, struct report *report);

/* Rooms in which every member publishes and every member receives. */
void scenario_chat(const struct options *options, struct report *report);

/* Connections with one command outstanding each. */
void scenario_request(const struct options *options, struct report *report);

/* Connections that do nothing: memory, and processor time over a window of pings. */
void scenario_idle(const struct options *options, struct report *report);

/* Memory before a peak of connections, at it, and ten seconds after. */
void scenario_peak(const struct options *options, struct report *report);

/* The price of one more connection. */
void scenario_connect(const struct options *options, struct report *report);

/* Connect, subscribe, leave, again and again. */
void scenario_churn(const struct options *options, struct report *report);

/* Publications by HTTP on keep-alive connections. */
void scenario_api(const struct options *options, struct report *report);

/* Figures that several scenarios have. */
void report_latency(struct report *report, const struct latency *latency);
void report_tally(struct report *report, const struct tally *tally);
void report_pool(struct report *report, const struct pool *pool);

#endif

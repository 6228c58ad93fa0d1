#include "tests/bench/scenario.h"

#include "tests/bench/holders.h"
#include "tests/bench/process.h"

#include <poll.h>
#include <stdio.h>

/* Memory is what the server's process has more of than before the first connection, divided by their number:
 * so it needs a server that has just started. The kernel's socket buffers are not in it; they are the same
 * for every server, and empty. */
enum {
    SETTLE_MS = 300,
};

void scenario_idle(const struct options *options, struct report *report)
{
    struct process_memory before = {0}, after = {0};
    struct holders holders;
    struct window window;
    if (!process_memory(options->server_pid, &before)) {
        fprintf(stderr, "load: idle needs --pid of a running server\n");
    }
    uint64_t cpu_ns = process_cpu_ns(options->server_pid);
    bool is_open = holders_start(&holders, options, options->connections);
    double connections = options->connections;
    (void)poll(NULL, 0, SETTLE_MS);
    cpu_ns = process_cpu_ns(options->server_pid) - cpu_ns;
    (void)process_memory(options->server_pid, &after);
    uint64_t pings = holders_pings(&holders);
    window_open(&window, options);
    (void)poll(NULL, 0, (int)(options->seconds * 1000));
    window_close(&window);
    pings = holders_pings(&holders) - pings;
    report_add(report, "connections", connections);
    report_add(report, "rss_bytes", ((double)after.rss_bytes - (double)before.rss_bytes) / connections);
    report_add(report, "pss_bytes", ((double)after.pss_bytes - (double)before.pss_bytes) / connections);
    report_add(report, "rss_start_mib", (double)before.rss_bytes / 1048576);
    report_add(report, "connect_cpu_us", (double)cpu_ns / 1e3 / connections);
    report_add(report, "seconds", window.seconds);
    report_add(report, "idle_cpu_percent", (double)window.server_cpu_ns / window.seconds / 1e7);
    report_add(report, "idle_cpu_us_per_s",
               (double)window.server_cpu_ns / 1e3 / window.seconds / (connections > 0 ? connections : 1));
    report_add(report, "pings", (double)pings);
    report_add(report, "ping_cpu_us", pings == 0 ? 0 : (double)window.server_cpu_ns / 1e3 / (double)pings);
    if (window.is_counting) {
        report_add(report, "calls_all_per_second", (double)window.calls.all / window.seconds);
    }
    report_add_zero(report, "not_opened", is_open ? 0 : 1);
    report_add_zero(report, "connections_failed", (double)holders_failed(&holders));
    holders_stop(&holders);
}

#include "tests/bench/window.h"

#include "channels/base/clock.h"
#include "tests/bench/process.h"

#include <stdio.h>

void window_open(struct window *window, const struct options *options)
{
    *window = (struct window){.options = options};
    if (options->counts_calls && options->server_pid != 0) {
        window->is_counting = calls_start(&window->counter, options->server_pid, options->wants_strace);
        if (!window->is_counting) {
            fprintf(stderr, "load: neither perf nor strace can watch process %d\n", (int)options->server_pid);
        }
    }
    window->server_cpu_ns = process_cpu_ns(options->server_pid);
    window->own_cpu_ns = process_own_cpu_ns();
    window->started_ns = clock_monotonic_ns();
}

void window_close(struct window *window)
{
    uint64_t now = clock_monotonic_ns();
    window->seconds = (double)(now - window->started_ns) / 1e9;
    window->own_cpu_ns = process_own_cpu_ns() - window->own_cpu_ns;
    window->server_cpu_ns = process_cpu_ns(window->options->server_pid) - window->server_cpu_ns;
    if (window->is_counting) {
        window->is_counting = calls_stop(&window->counter, &window->calls);
    }
}

void window_report(const struct window *window, struct report *report, double count)
{
    double divisor = count > 0 ? count : 1;
    report_add(report, "count", count);
    report_add(report, "seconds", window->seconds);
    report_add(report, "per_second", count / window->seconds);
    if (window->options->server_pid != 0) {
        report_add(report, "server_cpu_us", (double)window->server_cpu_ns / 1e3 / divisor);
        report_add(report, "server_busy_percent", (double)window->server_cpu_ns / window->seconds / 1e7);
    }
    report_add(report, "generator_busy_percent", (double)window->own_cpu_ns / window->seconds / 1e7);
    if (window->is_counting) {
        report_add(report, "calls_send", (double)window->calls.send / divisor);
        report_add(report, "calls_receive", (double)window->calls.receive / divisor);
        report_add(report, "calls_epoll_wait", (double)window->calls.wait / divisor);
        report_add(report, "calls_epoll_ctl", (double)window->calls.control / divisor);
        report_add(report, "calls_all", (double)window->calls.all / divisor);
    }
}

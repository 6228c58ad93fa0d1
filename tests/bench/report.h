/* report.h - the figures of one scenario, printed for people or as one line of JSON.
 *
 * Figures keep the order in which they were added. Thread: the main one. Memory: fixed.
 */
#ifndef STARLING_BENCH_REPORT_H
#define STARLING_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    REPORT_FIGURES_MAX = 48,
};

struct report {
    const char *scenario, *label; /* borrowed; they come from the command line */
    struct figure {
        const char *name; /* a literal; ends in its unit */
        double value;
    } figures[REPORT_FIGURES_MAX];
    size_t count;
    bool is_failed; /* something was lost, doubled, misplaced or refused: the exit status says so too */
};

void report_add(struct report *report, const char *name, double value);

/* A figure that must be 0; any other value makes the report a failed one. */
void report_add_zero(struct report *report, const char *name, double value);

void report_print(const struct report *report, bool as_json);

#endif

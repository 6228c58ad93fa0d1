#include "tests/bench/report.h"

#include "channels/base/must.h"

#include <math.h>
#include <stdio.h>

void report_add(struct report *report, const char *name, double value)
{
    must(report->count < REPORT_FIGURES_MAX);
    report->figures[report->count++] = (struct figure){name, value};
}

void report_add_zero(struct report *report, const char *name, double value)
{
    report_add(report, name, value);
    report->is_failed = report->is_failed || !(value >= 0 && value <= 0);
}

/* Whole numbers without a point, small ones with three digits behind it. */
static int decimals_for(double value)
{
    return value >= 1e6 || fabs(value - rint(value)) < 1e-9 ? 0 : 3;
}

void report_print(const struct report *report, bool as_json)
{
    if (!as_json) {
        printf("%s %s: %s\n", report->scenario, report->label, report->is_failed ? "FAILED" : "ok");
        for (size_t i = 0; i < report->count; i++) {
            const struct figure *figure = &report->figures[i];
            printf("  %-32s %.*f\n", figure->name, decimals_for(figure->value), figure->value);
        }
        return;
    }
    printf("{\"scenario\":\"%s\",\"label\":\"%s\",\"ok\":%s", report->scenario, report->label,
           report->is_failed ? "false" : "true");
    for (size_t i = 0; i < report->count; i++) {
        const struct figure *figure = &report->figures[i];
        printf(",\"%s\":%.*f", figure->name, decimals_for(figure->value), figure->value);
    }
    printf("}\n");
}

/* load.c - the load generator: arguments, and which scenario they mean.
 *
 *     load SCENARIO --port N [--pid PID] [options]      load --help lists both
 *
 * Exit status 0: every message came once, in order and unchanged, and no connection failed; 1: not so;
 * 2: wrong arguments.
 */
#include "channels/base/must.h"
#include "tests/bench/holders.h"
#include "tests/bench/payload.h"
#include "tests/bench/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    void (*run)(const struct options *, struct report *);
    const char *help;
} scenarios[] = {
    {"fanout", scenario_fanout, "one publisher, --connections subscribers of one channel"},
    {"chat", scenario_chat, "--rooms of --members who all publish and all receive"},
    {"request", scenario_request, "--connections with one command outstanding each"},
    {"peak", scenario_peak, "--connections more for a while: what memory is left of them"},
    {"idle", scenario_idle, "--connections that do nothing: memory, processor time"},
    {"connect", scenario_connect, "the price of --connections more"},
    {"churn", scenario_churn, "connect, subscribe, leave, --concurrency at once"},
    {"api", scenario_api, "publications by HTTP on --connections"},
};

enum option_type {
    OPTION_UINT,
    OPTION_REAL,
    OPTION_TEXT,
    OPTION_FLAG,
};

/* Each option is one row; its value lands at `offset` of struct options, or goes through `other`. */
static const struct option_row {
    const char *name;
    enum option_type type;
    size_t offset;
    const char *help;
} option_rows[] = {
    {"--path", OPTION_TEXT, offsetof(struct options, path), "of the WebSocket endpoint"},
    {"--prefix", OPTION_TEXT, offsetof(struct options, prefix), "of all channel names"},
    {"--request", OPTION_TEXT, offsetof(struct options, request), "history, presence_stats, rpc, publish"},
    {"--label", OPTION_TEXT, offsetof(struct options, label), "for the report"},
    {"--connections", OPTION_UINT, offsetof(struct options, connections), ""},
    {"--rooms", OPTION_UINT, offsetof(struct options, rooms), ""},
    {"--members", OPTION_UINT, offsetof(struct options, members), "of each room"},
    {"--in-flight", OPTION_UINT, offsetof(struct options, in_flight), "publications on their way at once"},
    {"--concurrency", OPTION_UINT, offsetof(struct options, concurrency), "connections being opened at once"},
    {"--level", OPTION_UINT, offsetof(struct options, level), "idle connections held open meanwhile"},
    {"--rate", OPTION_REAL, offsetof(struct options, rate), "publications/s (chat: of each member)"},
    {"--seconds", OPTION_REAL, offsetof(struct options, seconds), "length of the measured window"},
    {"--warmup", OPTION_REAL, offsetof(struct options, warmup_seconds), "seconds before it"},
    {"--patience", OPTION_UINT, offsetof(struct options, patience_ms), "ms until what is missing is lost"},
    {"--stalled", OPTION_REAL, offsetof(struct options, stalled_percent), "percent that stop reading"},
    {"--tls", OPTION_FLAG, offsetof(struct options, is_secure), "TLS; certificates are not checked"},
    {"--latest-only", OPTION_FLAG, offsetof(struct options, is_latest_only), "stalled readers may miss some"},
    {"--own-channels", OPTION_FLAG, offsetof(struct options, has_own_channels), "one for each connection"},
    {"--syscalls", OPTION_FLAG, offsetof(struct options, counts_calls), "count the server's system calls"},
    {"--strace", OPTION_FLAG, offsetof(struct options, wants_strace), "by strace even where perf works"},
    {"--json", OPTION_FLAG, offsetof(struct options, prints_json), "one line of JSON"},
};

static int usage(void)
{
    printf(
        "usage: load SCENARIO --port N [--pid PID] [--plain] [--messages N] [--payload BYTES] [options]\n\n");
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        printf("  %-16s %s\n", scenarios[i].name, scenarios[i].help);
    }
    printf("\n");
    for (size_t i = 0; i < sizeof option_rows / sizeof *option_rows; i++) {
        printf("  %-16s %s\n", option_rows[i].name, option_rows[i].help);
    }
    return 2;
}

static bool number(const char *text, double max, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= 0 && *out <= max;
}

static bool set_option(struct options *options, const struct option_row *row, const char *value)
{
    char *field = (char *)options + row->offset;
    double parsed = 0;
    if ((row->type == OPTION_UINT || row->type == OPTION_REAL) && !number(value, 1e9, &parsed)) {
        return false;
    }
    switch (row->type) {
    case OPTION_UINT: *(uint32_t *)(void *)field = (uint32_t)parsed; break;
    case OPTION_REAL: *(double *)(void *)field = parsed; break;
    case OPTION_TEXT: *(const char **)(void *)field = value; break;
    case OPTION_FLAG: *(bool *)(void *)field = true; break;
    }
    return true;
}

/* The options whose types stand alone. */
static bool set_other(struct options *options, const char *name, const char *value)
{
    double parsed;
    if (value == NULL || !number(value, 1e9, &parsed)) {
        return false;
    }
    if (strcmp(name, "--port") == 0 && parsed >= 1 && parsed <= 65535) {
        options->port = (uint16_t)parsed;
    } else if (strcmp(name, "--pid") == 0) {
        options->server_pid = (pid_t)parsed;
    } else if (strcmp(name, "--messages") == 0) {
        options->messages = (uint64_t)parsed;
    } else if (strcmp(name, "--payload") == 0 && parsed >= (double)PAYLOAD_BYTES_MIN) {
        options->payload_bytes = (size_t)parsed;
    } else {
        return false;
    }
    return true;
}

static bool parse(struct options *options, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        const struct option_row *row = NULL;
        for (size_t j = 0; j < sizeof option_rows / sizeof *option_rows; j++) {
            row = strcmp(argv[i], option_rows[j].name) == 0 ? &option_rows[j] : row;
        }
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool takes_value = row == NULL || row->type != OPTION_FLAG;
        bool is_good;
        if (strcmp(argv[i], "--plain") == 0) {
            options->dialect = DIALECT_PLAIN;
            continue;
        }
        if (row != NULL) {
            is_good = (!takes_value || value != NULL) && set_option(options, row, value);
        } else {
            is_good = set_other(options, argv[i], value);
        }
        if (!is_good) {
            fprintf(stderr, "load: what is '%s'?\n", argv[i]);
            return false;
        }
        i += takes_value ? 1 : 0;
    }
    return options->port != 0 && options->connections > 0 && options->rooms > 0 && options->members > 0 &&
           options->in_flight > 0 && options->in_flight <= 1000 && options->concurrency > 0;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Runs a scenario while other processes hold the `level` of idle connections. */
static void run(void (*scenario)(const struct options *, struct report *), const struct options *options,
                struct report *report)
{
    struct holders holders;
    bool is_open = holders_start(&holders, options, options->level);
    if (is_open) {
        scenario(options, report);
    }
    report_add(report, "level", options->level);
    report_add_zero(report, "level_failed", is_open ? (double)holders_failed(&holders) : options->level);
    holders_stop(&holders);
}

int main(int argc, char **argv)
{
    struct options options = {
        .path = "/connection/websocket",
        .prefix = "bench:",
        .request = "history",
        .label = "server",
        .connections = 100,
        .rooms = 100,
        .members = 10,
        .in_flight = 1,
        .concurrency = 64,
        .level = 0,
        .seconds = 1,
        .warmup_seconds = 0.2,
        .patience_ms = 5000,
        .payload_bytes = 128,
    };
    struct report report = {0};
    if (argc < 2 || !parse(&options, argc, argv)) {
        return usage();
    }
    raise_descriptor_limit();
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(argv[1], scenarios[i].name) == 0) {
            report.scenario = scenarios[i].name;
            report.label = options.label;
            run(scenarios[i].run, &options, &report);
            report_print(&report, options.prints_json);
            return report.is_failed ? 1 : 0;
        }
    }
    return usage();
}

#include "server/metrics.h"

#include "channels/base/clock.h"
#include "server/exchange.h"
#include "server/gather.h"
#include "server/users.h"
#include "server/version.h"
#include "server/worker.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* What becomes of a row when workers are summed, and what it is called in the text. */
enum metric_kind { METRIC_counter, METRIC_gauge, METRIC_maximum };

struct metric {
    size_t offset; /* of the field in struct metrics */
    enum metric_kind kind;
    const char *name, *labels, *help;
};

static const struct metric metrics[] = {
#define METRIC_ROW(field, kind, name, labels, help) \
    {offsetof(struct metrics, field), METRIC_##kind, name, labels, help},
    METRICS(METRIC_ROW)
#undef METRIC_ROW
};

enum { METRIC_COUNT = sizeof metrics / sizeof metrics[0] };

static uint64_t *field_of(struct metrics *of, const struct metric *metric)
{
    return (uint64_t *)(void *)((char *)of + metric->offset);
}

static uint64_t value_of(const struct metrics *of, const struct metric *metric)
{
    return *(const uint64_t *)(const void *)((const char *)of + metric->offset);
}

void metrics_add(struct metrics *sum, const struct metrics *from)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        uint64_t *total = field_of(sum, &metrics[i]);
        uint64_t value = value_of(from, &metrics[i]);
        if (metrics[i].kind != METRIC_maximum) {
            *total += value;
        } else if (value > *total) {
            *total = value;
        }
    }
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        sum->reply_errors[i] += from->reply_errors[i];
    }
}

/* ---- the process ---- */

static uint64_t resident_bytes(void)
{
    uint64_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%*u %" SCNu64, &pages) != 1) {
            pages = 0;
        }
        (void)fclose(file); /* only read */
    }
    long page_bytes = sysconf(_SC_PAGESIZE);
    return page_bytes > 0 ? pages * (uint64_t)page_bytes : 0;
}

/* Linux from 6.2 on says how many there are as the size of the folder; before, they have to be counted. */
static uint64_t open_fds(void)
{
    struct stat folder;
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0) {
        return (uint64_t)folder.st_size;
    }
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    uint64_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(dir);              /* only read */
    return count > 0 ? count - 1 : 0; /* one of them was for the walk */
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void metrics_read_process(struct metrics_process *process)
{
    struct rusage usage;
    struct rlimit limit;
    process->resident_bytes = resident_bytes();
    process->open_fds = open_fds();
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        process->cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        process->max_fds = limit.rlim_cur;
    }
}

/* ---- the text ---- */

/* A label's value: backslash, quote and line feed are escaped (exposition format 0.0.4). */
static void append_label_value(struct buf *out, struct str value)
{
    buf_append_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        if (c == '\\' || c == '"') {
            buf_append_char(out, '\\');
        }
        if (c == '\n') {
            buf_append_lit(out, "\\n");
        } else {
            buf_append_char(out, c);
        }
    }
    buf_append_char(out, '"');
}

static void append_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void append_rows(struct buf *out, const struct metrics *sum)
{
    const char *family = "";
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metric *metric = &metrics[i];
        if (strcmp(family, metric->name) != 0) { /* rows of one family stand together */
            family = metric->name;
            const char *type = metric->kind == METRIC_counter ? "counter" : "gauge";
            buf_printf(out, "# HELP starling_%s %s\n# TYPE starling_%s %s\n", family, metric->help, family,
                       type);
        }
        buf_printf(out, "starling_%s", metric->name);
        if (metric->labels[0] != '\0') {
            buf_printf(out, "{%s}", metric->labels);
        }
        buf_printf(out, " %" PRIu64 "\n", value_of(sum, metric));
    }
}

static bool is_first_of_code(unsigned status)
{
    for (unsigned before = 0; before < status; before++) {
        if (status_code((enum status)before) == status_code((enum status)status)) {
            return false;
        }
    }
    return true;
}

/* Several statuses travel under one code: one row each code. Those without a code never travel. */
static void append_reply_errors(struct buf *out, const struct metrics *sum)
{
    append_family(out, "starling_client_num_reply_errors", "counter", "error replies to clients, by code");
    for (unsigned status = 0; status < STATUS_COUNT; status++) {
        unsigned code = status_code((enum status)status);
        if (code == 0 || !is_first_of_code(status)) {
            continue;
        }
        uint64_t count = 0;
        for (unsigned other = status; other < STATUS_COUNT; other++) {
            count += status_code((enum status)other) == code ? sum->reply_errors[other] : 0;
        }
        buf_printf(out, "starling_client_num_reply_errors{code=\"%u\"} %" PRIu64 "\n", code, count);
    }
}

static void append_gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
    append_family(out, name, "gauge", help);
    buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void append_process(struct buf *out, const struct metrics_process *process)
{
    append_family(out, "starling_node_build", "gauge", "always 1; the version is a label");
    buf_append_lit(out, "starling_node_build{version=");
    append_label_value(out, STR(STARLING_VERSION));
    buf_append_lit(out, "} 1\n");
    append_gauge(out, "starling_workers", "worker threads", process->worker_count);
    append_gauge(out, "starling_uptime_seconds", "time since the start", process->uptime_s);
    append_family(out, "process_cpu_seconds_total", "counter", "processor time used, user and system");
    buf_printf(out, "process_cpu_seconds_total %.2f\n", process->cpu_s);
    append_gauge(out, "process_resident_memory_bytes", "memory in use", process->resident_bytes);
    append_gauge(out, "process_open_fds", "open file descriptors", process->open_fds);
    append_gauge(out, "process_max_fds", "most file descriptors that may be open", process->max_fds);
}

void metrics_print(struct buf *out, const struct metrics *sum, const struct metrics_process *process)
{
    append_rows(out, sum);
    append_reply_errors(out, sum);
    append_process(out, process);
}

/* ---- all workers ---- */

void metrics_update(struct worker *worker)
{
    const struct hub_counters *counters = hub_counters(worker->hub);
    struct metrics *own = &worker->metrics;
    own->publications_total = counters->publications_total;
    own->deliveries_total = counters->deliveries_total;
    own->deliveries_refused_total = counters->refused_total;
    own->insufficient_state_total = counters->insufficient_total;
    own->mailbox_full_total = counters->mailbox_full_total;
    own->channels = counters->channel_count;
    own->subscriptions = counters->subscription_count;
    own->users = users_count(worker->users);
    own->outbox_bytes = worker->outbox_bytes;
    struct broker *broker = hub_broker(worker->hub);
    if (broker->ops->report != NULL) {
        struct broker_report report;
        broker->ops->report(broker, &report);
        own->broker_lag_us_max = report.lag_us;
        own->broker_connects_total = report.connects_total;
        own->broker_failures_total = report.failures_total;
        own->broker_repaired_total = report.repaired_total;
        own->broker_told_total = report.told_total;
        own->broker_foreign_total = report.foreign_total;
    }
}

struct collection {
    void (*done)(void *context, const struct metrics *sum);
    void *context;
};

static void visit(struct worker *there, const void *question, void *answer)
{
    (void)question;
    metrics_update(there);
    memcpy(answer, &there->metrics, sizeof there->metrics);
}

static void on_collected(struct gather *gather, void *context)
{
    struct collection *collection = context;
    struct metrics sum = {0};
    for (unsigned i = 0; i < gather_count(gather); i++) {
        const struct metrics *answer = gather_answer(gather, i);
        if (answer != NULL) {
            metrics_add(&sum, answer);
        }
    }
    collection->done(collection->context, &sum);
    free(collection);
}

bool metrics_collect(struct worker *worker, void (*done)(void *context, const struct metrics *sum),
                     void *context)
{
    struct collection *collection = calloc(1, sizeof *collection);
    if (collection == NULL) {
        return false;
    }
    *collection = (struct collection){.done = done, .context = context};
    const struct gather_options options = {
        .visit = visit,
        .done = on_collected,
        .context = collection,
        .answer_bytes = sizeof(struct metrics),
        .is_urgent = true,
    };
    if (gather_start(worker, &options) == NULL) {
        free(collection);
        return false;
    }
    return true;
}

/* ---- the handler ---- */

static void on_sum(void *context, const struct metrics *sum)
{
    struct exchange *exchange = context;
    const struct server *server = exchange->worker->server;
    struct metrics_process process = {
        .worker_count = server->worker_count,
        .uptime_s = (clock_monotonic_ms() - server->started_monotonic_ms) / 1000,
    };
    struct buf out = {0};
    metrics_read_process(&process);
    metrics_print(&out, sum, &process);
    if (out.failed) {
        exchange_refuse(exchange, 500, NULL);
    } else {
        exchange_respond(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&out));
    }
    buf_release(&out);
}

void metrics_handle(struct exchange *exchange)
{
    if (!metrics_collect(exchange->worker, on_sum, exchange)) {
        exchange_refuse(exchange, 500, NULL);
    }
}

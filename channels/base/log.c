#include "channels/base/log.h"

#include "channels/base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_BYTES_MAX = 256, LINE_BYTES_MAX = 4096, WARNINGS_PER_SECOND = 10, WARNING_SLOTS = 64 };

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error", "fatal", "none"};

/* Written by main, read by every thread; relaxed, because each is right by itself. */
static atomic_int log_fd = 1;
static atomic_int log_lowest = LOG_INFO;
static atomic_int log_form = LOG_FORMAT_TEXT;

static int get(atomic_int *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void set(atomic_int *value, int to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

/* How often each warning may be written. The slot is chosen by the address of the event's name, which is a
 * literal; two events that share a slot share its budget. Relaxed atomics: a warning too many does no harm.
 */
static struct {
    _Atomic uint64_t second;
    atomic_uint written;
    atomic_uint suppressed;
} warnings[WARNING_SLOTS];

void log_open(int fd, enum log_level lowest, enum log_format format)
{
    set(&log_fd, fd);
    set(&log_lowest, (int)lowest);
    set(&log_form, (int)format);
}

bool log_switch(int fd, enum log_level lowest, enum log_format format)
{
    int old = get(&log_fd);
    if (old <= STDERR_FILENO) {
        set(&log_fd, fd);
    } else if (fd != old) {
        /* A thread may be about to write to the old number, so that it stays a log. */
        if (dup3(fd, old, O_CLOEXEC) < 0) {
            return false;
        }
        if (fd > STDERR_FILENO) {
            (void)close(fd); /* its file has the old number now */
        }
    }
    set(&log_lowest, (int)lowest);
    set(&log_form, (int)format);
    return true;
}

enum log_level log_level(void)
{
    return (enum log_level)get(&log_lowest);
}

bool log_level_from_text(struct str text, enum log_level *out)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (str_is(text, level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* A line on the stack: no allocation, so that running out of memory can be logged. */
struct line {
    char bytes[LINE_BYTES_MAX];
    size_t len;
};

static void put(struct line *line, const char *bytes, size_t len)
{
    size_t room = sizeof line->bytes - 1 - line->len; /* one byte stays for the newline */
    size_t taken = len < room ? len : room;
    memcpy(line->bytes + line->len, bytes, taken);
    line->len += taken;
}

static void put_cstr(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Printable ASCII as it is, everything else as \u00XX of its byte: no terminal or log reader can be tricked.
 */
static void put_escaped(struct line *line, struct str text)
{
    struct str cut = str_first(text, VALUE_BYTES_MAX);
    put(line, "\"", 1);
    for (size_t i = 0; i < cut.len; i++) {
        unsigned char c = (unsigned char)cut.at[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            put(line, cut.at + i, 1);
        } else {
            char escape[8];
            int len = snprintf(escape, sizeof escape, "\\u%04x", c);
            put(line, escape, (size_t)len);
        }
    }
    if (cut.len < text.len) {
        put_cstr(line, "...");
    }
    put(line, "\"", 1);
}

static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c != '\0' && strchr("-_.:/#@$,", c) != NULL);
        if (!plain) {
            return false;
        }
    }
    return text.len > 0 && text.len <= VALUE_BYTES_MAX;
}

static void put_value(struct line *line, const struct log_value *value)
{
    char number[24];
    switch (value->kind) {
    case LOG_VALUE_TEXT:
        if (get(&log_form) == LOG_FORMAT_TEXT && is_plain(value->text)) {
            put(line, value->text.at, value->text.len);
        } else {
            put_escaped(line, value->text);
        }
        return;
    case LOG_VALUE_U64: snprintf(number, sizeof number, "%llu", (unsigned long long)value->u64); break;
    case LOG_VALUE_I64: snprintf(number, sizeof number, "%lld", (long long)value->i64); break;
    case LOG_VALUE_BOOL: snprintf(number, sizeof number, "%s", value->u64 != 0 ? "true" : "false"); break;
    }
    put_cstr(line, number);
}

static void put_key(struct line *line, const char *key)
{
    if (get(&log_form) == LOG_FORMAT_JSON) {
        put_cstr(line, ",\"");
        put_cstr(line, key);
        put_cstr(line, "\":");
    } else {
        put_cstr(line, " ");
        put_cstr(line, key);
        put_cstr(line, "=");
    }
}

static bool warning_may_pass(const char *event, unsigned *suppressed)
{
    size_t slot = ((uintptr_t)event >> 3) % WARNING_SLOTS;
    uint64_t second = clock_monotonic_ms() / 1000;
    if (atomic_exchange_explicit(&warnings[slot].second, second, memory_order_relaxed) != second) {
        atomic_store_explicit(&warnings[slot].written, 0, memory_order_relaxed);
    }
    if (atomic_fetch_add_explicit(&warnings[slot].written, 1, memory_order_relaxed) >= WARNINGS_PER_SECOND) {
        atomic_fetch_add_explicit(&warnings[slot].suppressed, 1, memory_order_relaxed);
        return false;
    }
    *suppressed = atomic_exchange_explicit(&warnings[slot].suppressed, 0, memory_order_relaxed);
    return true;
}

static void put_time(struct line *line)
{
    uint64_t wall_ms = clock_wall_ms();
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char text[40];
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(text + len, sizeof text - len, ".%03uZ", (unsigned)(wall_ms % 1000));
    put(line, text, len);
}

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    if (level < log_level() || log_level() == LOG_NONE) {
        return;
    }
    unsigned suppressed = 0;
    if (level == LOG_WARN && !warning_may_pass(event, &suppressed)) {
        return;
    }
    struct line line = {.len = 0};
    if (get(&log_form) == LOG_FORMAT_JSON) {
        put_cstr(&line, "{\"time\":\"");
        put_time(&line);
        put_cstr(&line, "\",\"level\":\"");
        put_cstr(&line, level_names[level]);
        put_cstr(&line, "\",\"event\":\"");
        put_cstr(&line, event);
        put_cstr(&line, "\"");
    } else {
        put_time(&line);
        put_cstr(&line, " ");
        put_cstr(&line, level_names[level]);
        put_cstr(&line, " ");
        put_cstr(&line, event);
    }
    for (size_t i = 0; i < count; i++) {
        if (fields[i].key != NULL) {
            put_key(&line, fields[i].key);
            put_value(&line, &fields[i].value);
        }
    }
    if (suppressed > 0) {
        put_key(&line, "suppressed");
        put_value(&line, &(struct log_value){.kind = LOG_VALUE_U64, .u64 = suppressed});
    }
    if (get(&log_form) == LOG_FORMAT_JSON) {
        if (line.len >= sizeof line.bytes - 1) {
            line.len = sizeof line.bytes - 2; /* room for the brace: a cut line is still closed */
        }
        put_cstr(&line, "}");
    }
    line.bytes[line.len++] = '\n';
    /* A log that cannot be written must not stop the server: the line is lost. */
    ssize_t ignored = write(get(&log_fd), line.bytes, line.len);
    (void)ignored;
}

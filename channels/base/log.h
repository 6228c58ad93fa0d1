/* log.h - one event, one line: `level event key=value …` on stdout, or JSON.
 *
 *     log_info("session_closed", {"session", log_u64(id)}, {"code", log_u64(3008)}, {"channel",
 * log_text(name)});
 *
 * Values are typed so that what a peer sent is always escaped and cut at 256 bytes (THREATS P08). Secrets,
 * tokens, cookies and message bodies are never passed here. `info` is for life cycle, `warn` for what a
 * person should act on, `debug` for the rest. Warnings of one event are limited to 10 a second for the
 * process; the next one that passes says how many were held back (`suppressed=n`).
 *
 * Thread: any. One write(2) per line, so that lines of threads do not mix. A log that cannot be written (disk
 * full, reader gone) loses its line and nothing else.
 */
#ifndef STARLING_BASE_LOG_H
#define STARLING_BASE_LOG_H

#include "channels/base/str.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL, LOG_NONE };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_value {
    enum { LOG_VALUE_TEXT, LOG_VALUE_U64, LOG_VALUE_I64, LOG_VALUE_BOOL } kind;
    struct str text;
    uint64_t u64;
    int64_t i64;
};

struct log_field {
    const char *key;
    struct log_value value;
};

static inline struct log_value log_text(struct str text)
{
    return (struct log_value){.kind = LOG_VALUE_TEXT, .text = text};
}
static inline struct log_value log_cstr(const char *text)
{
    return log_text(str_from_cstr(text));
}
static inline struct log_value log_u64(uint64_t value)
{
    return (struct log_value){.kind = LOG_VALUE_U64, .u64 = value};
}
static inline struct log_value log_i64(int64_t value)
{
    return (struct log_value){.kind = LOG_VALUE_I64, .i64 = value};
}
static inline struct log_value log_bool(bool value)
{
    return (struct log_value){.kind = LOG_VALUE_BOOL, .u64 = value};
}

/* Main, before other threads start. `fd` is where lines go (1 by default); log does not close it. */
void log_open(int fd, enum log_level lowest, enum log_format format);
/* The same while threads run: a line goes to the old place or to the new one, none is lost. Takes `fd`,
 * unless it is one of the standard ones. false: it could not be put in place, and everything stays as it was.
 */
bool log_switch(int fd, enum log_level lowest, enum log_format format);
enum log_level log_level(void);

/* true: text was a level name of the configuration ("info", "none", …) and *out is set. */
bool log_level_from_text(struct str text, enum log_level *out);

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t count);

/* Use: log_warn("event", {"key", log_u64(1)}, {"other", log_text(s)}); fields may be left out. */
#define LOG_FIELDS(...)                      \
    (const struct log_field[]){__VA_ARGS__}, \
        sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)
#define log_at(level, event, ...)                                                \
    do {                                                                         \
        if ((level) >= log_level()) {                                            \
            log_event((level), (event), LOG_FIELDS({NULL, {0}}, ##__VA_ARGS__)); \
        }                                                                        \
    } while (0)
#define log_debug(event, ...) log_at(LOG_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...) log_at(LOG_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...) log_at(LOG_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) log_at(LOG_ERROR, event, ##__VA_ARGS__)

#endif

/* config.h - the options of the server: where they come from and what they are.
 *
 *     defaults ─▶ file (JSON or YAML) ─▶ environment STARLING_… ─▶ flags ─▶ --dev ─▶ checks ─▶ struct config
 *
 * Later wins. Every option is one row of config_options.h or, for namespaces, of channels/channel_options.h.
 * A key that is no option is a warning that names the nearest one; a bad value is an error that names the
 * key, the value and what is allowed. All of them are collected, so that one run shows every mistake. Secrets
 * appear in no message and in no print.
 *
 * Thread: main loads; afterwards the struct never changes and every thread reads it. Memory: one owner;
 * everything in it lives until config_free(). Limits: files of CONFIG_FILE_BYTES_MAX, nesting of
 * CONFIG_DEPTH_MAX, CONFIG_NAMESPACES_MAX namespaces. Source: SERVER_API sections 7 and 8, EXPERIENCE D.
 */
#ifndef STARLING_SERVER_CONFIG_H
#define STARLING_SERVER_CONFIG_H

#include "channels/base/log.h"
#include "channels/base/str.h"
#include "channels/permissions.h"
#include "channels/status.h"
#include "server/address.h"
#include "server/config_options.h"
#include "server/signed_cookie.h"

#include <stdio.h>

enum { CONFIG_FILE_BYTES_MAX = 4 << 20, CONFIG_DEPTH_MAX = 16, CONFIG_NAMESPACES_MAX = 1024 };

enum config_log_format { CONFIG_LOG_AUTO, CONFIG_LOG_TEXT, CONFIG_LOG_JSON };
enum config_engine { CONFIG_ENGINE_MEMORY, CONFIG_ENGINE_REDIS };
/* What Redis is trusted with: nothing, or what it has acknowledged (channels/README.md). */
enum config_durability { DURABILITY_RELAXED, DURABILITY_STRICT };
/* ERROR_MODE_BODY: status 200 and an `error` object; ERROR_MODE_TRANSPORT: an HTTP status (SERVER_API 2). */
/* What happens over a limit: nothing, it is counted and logged, it is refused. */
enum config_limit_mode { LIMIT_MODE_OFF, LIMIT_MODE_SOFT, LIMIT_MODE_HARD };
enum config_error_mode { ERROR_MODE_BODY, ERROR_MODE_TRANSPORT };

/* Each text ends with a NUL behind its length as well. */
struct str_list {
    struct str *at;
    size_t count;
};

/* What a client gets when a proxy's backend answers with this HTTP status. */
struct proxy_transform {
    unsigned status;
    bool is_disconnect; /* else an error reply */
    bool is_temporary;  /* of an error */
    unsigned code;
    const char *text; /* message or reason */
};

struct proxy_transforms {
    struct proxy_transform *at;
    size_t count;
};

/* The C type of each row type. Texts are never NULL: an empty option is "". */
#define CONFIG_FIELD_boolean bool
#define CONFIG_FIELD_uint uint32_t
#define CONFIG_FIELD_ms uint64_t
#define CONFIG_FIELD_bytes uint64_t
#define CONFIG_FIELD_unix_time uint64_t
#define CONFIG_FIELD_text const char *
#define CONFIG_FIELD_secret const char *
#define CONFIG_FIELD_list struct str_list
#define CONFIG_FIELD_letter char
#define CONFIG_FIELD_headers struct str_list /* "Name: value" */
#define CONFIG_FIELD_transforms struct proxy_transforms
#define CONFIG_FIELD_keys struct signed_cookie_keys
#define CONFIG_FIELD_log_level enum log_level
#define CONFIG_FIELD_log_format enum config_log_format
#define CONFIG_FIELD_engine_type enum config_engine
#define CONFIG_FIELD_durability enum config_durability
#define CONFIG_FIELD_error_mode enum config_error_mode
#define CONFIG_FIELD_limit_mode enum config_limit_mode
#define CONFIG_FIELD_data_format enum data_format

enum config_option_index {
#define CONFIG_INDEX(field, path, type, value, min, max, meaning) CONFIG_INDEX_##field,
    CONFIG_OPTIONS(CONFIG_INDEX)
#undef CONFIG_INDEX
        CONFIG_OPTION_COUNT
};

enum config_origin {
    ORIGIN_DEFAULT,
    ORIGIN_FILE,
    ORIGIN_ENVIRONMENT,
    ORIGIN_FLAG,
    ORIGIN_DEV,
    ORIGIN_COMPUTED
};

#define CONFIG_FIELD(field, path, type, value, min, max, meaning) CONFIG_FIELD_##type field;
/* One proxy object: an entry of `proxies`, or what config_proxy() makes of the options of an event. */
struct proxy_options {
    CONFIG_NAME_OPTION(CONFIG_FIELD)
    CONFIG_PROXY_OPTIONS(CONFIG_FIELD, proxy_, "")
};

/* An entry of rpc.namespaces. */
struct rpc_options {
    CONFIG_NAME_OPTION(CONFIG_FIELD)
    CONFIG_RPC_OPTIONS(CONFIG_FIELD, rpc_, "")
};
#undef CONFIG_FIELD

struct config {
#define CONFIG_FIELD(field, path, type, value, min, max, meaning) CONFIG_FIELD_##type field;
    CONFIG_OPTIONS(CONFIG_FIELD)
#undef CONFIG_FIELD
    struct channel_rules channels;    /* channel.* of the rows above, and the namespaces */
    struct network *trusted_networks; /* http_server.trusted_proxies, parsed */
    size_t trusted_network_count;
    bool is_dev; /* --dev: loopback, no authentication, demo namespaces */
    unsigned char
        origins[CONFIG_OPTION_COUNT]; /* enum config_origin of each option, by config_option_index */
    enum config_origin namespaces_origin;
    enum config_origin without_namespace_origin;
    /* Lists of named objects (config_objects.h). */
    struct proxy_options *proxies;
    struct rpc_options *rpc_namespaces;
    size_t proxy_count, rpc_namespace_count;
    enum config_origin proxies_origin, rpc_namespaces_origin;
};

/* What the event proxy is asked about (SERVER_API section 6). */
enum proxy_event {
    PROXY_CONNECT,
    PROXY_REFRESH,
    PROXY_SUBSCRIBE,
    PROXY_PUBLISH,
    PROXY_RPC,
    PROXY_SUB_REFRESH,
    PROXY_EVENT_COUNT
};

/* The event's own object, which "default" stands for; its texts are the configuration's. `name` is its path.
 */
struct proxy_options config_proxy(const struct config *config, enum proxy_event event);

/* The entry of `proxies` with that name; NULL: there is none. */
const struct proxy_options *config_find_proxy(const struct config *config, const char *name);

/* One flag, already split: --client.ping_interval=25s. */
struct config_flag {
    struct str path;
    struct str value;
};

enum config_format { CONFIG_JSON, CONFIG_YAML };

/* Where to read; all of it borrowed for the call. */
struct config_source {
    const char *file;          /* path ending in .json, .yaml or .yml; NULL = no file */
    struct str text;           /* instead of `file`: its content; at == NULL = none */
    enum config_format format; /* of `text` */
    char *const *environment;  /* like environ(7); NULL = none */
    const struct config_flag *flags;
    size_t flag_count;
    bool is_dev;              /* --dev */
    const char *dev_address;  /* --dev-address: listen there instead of loopback; NULL = loopback */
    bool allows_weak_secrets; /* --insecure: short, well-known or world-readable secrets only warn */
};

enum config_note_kind {
    CONFIG_NOTE_WARNING,
    CONFIG_NOTE_UNKNOWN, /* an unknown key or variable: a warning, and an error for checkconfig --strict */
    CONFIG_NOTE_ERROR,
};

struct config_note {
    enum config_note_kind kind;
    char *text; /* one line, printable, without secrets */
};

/* What was found wrong. Start with {0}; release with config_report_release(). */
struct config_report {
    struct config_note *notes;
    size_t count;
    size_t error_count;
    size_t unknown_count;
    size_t dropped_count; /* notes beyond the first 200 */
};

void config_report_release(struct config_report *report);

/* Prints "error: …" and "warning: …" lines. */
void config_report_print(const struct config_report *report, FILE *out);

/* Reads, merges and checks. OK: *out is owned by the caller, `report` may hold warnings. BAD_REQUEST:
 * `report` says why, *out is untouched. NO_MEMORY. */
enum status config_load(struct config **out, const struct config_source *source,
                        struct config_report *report);

/* NULL is fine. */
void config_free(struct config *config);

/* For what a new configuration may not change while the server runs. */
const char *config_option_path(enum config_option_index index);
bool config_option_equal(const struct config *a, const struct config *b, enum config_option_index index);
/* Gives `to` the value that `from` has. false: no memory. */
bool config_option_copy(struct config *to, const struct config *from, enum config_option_index index);

/* What --dev means, without the address: client.insecure, http_api.insecure, the endpoints switched on, and
 * the namespaces chat, typing and feed where the configuration has none of that name. config_load() calls it
 * for source.is_dev. false: no memory. */
bool config_dev(struct config *config);

/* Every option with its value and where that came from; secrets as ***. For --print-config. */
void config_print(const struct config *config, FILE *out);

/* The options as Markdown tables. For configdoc and deploy/README.md. */
void config_print_markdown(FILE *out);

#endif

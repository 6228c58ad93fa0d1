/* config_internal.h - what the files server/config*.c share: the rows, and how a mistake is noted.
 *
 *     config_options.h, channel_options.h ─▶ config_rows.c ─▶ config.c (sources) ─▶ config_check.c
 * (relations) └──────────▶ config_print.c
 */
#ifndef STARLING_SERVER_CONFIG_INTERNAL_H
#define STARLING_SERVER_CONFIG_INTERNAL_H

#include "server/config_text.h"
#include "server/config_value.h"

enum channel_option_index {
#define CHANNEL_INDEX(field, key, type, value, min, max, meaning) CHANNEL_INDEX_##field,
    CHANNEL_OPTIONS(CHANNEL_INDEX)
#undef CHANNEL_INDEX
        CHANNEL_OPTION_COUNT
};

extern const struct option_row config_rows[CONFIG_OPTION_COUNT];          /* offsets in struct config */
extern const struct option_row channel_option_rows[CHANNEL_OPTION_COUNT]; /* in struct channel_options */

/* NULL: no such row. */
const struct option_row *config_row_find(struct str path);
const struct option_row *channel_option_row_find(struct str key);

/* The row of `rows` that somebody who wrote `key` probably meant, or NULL. Case, '.', '_' and missing
 * sections do not count as differences. */
const struct option_row *option_row_nearest(const struct option_row *rows, size_t count, struct str key);

/* Is this a path, or the section of one, that Centrifugo has and this server does not? */
bool config_is_unsupported(struct str path);
bool channel_option_is_unsupported(struct str key);

/* Is `path` a section: do rows start with it and a dot? */
bool config_is_section(struct str path);

/* Appends STARLING_CLIENT_PING_INTERVAL for client.ping_interval. */
void environment_name(struct buf *out, struct str path);

void config_note(struct config_report *report, enum config_note_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends a namespace with the defaults; NULL: no memory. The array may move: earlier pointers are stale. */
struct channel_options *config_add_namespace(struct config *config, struct str name);

/* Checks the proxy objects and that what is named exists (config_proxy.c). */
void config_check_proxies(const struct config *config, struct config_report *report);

/* Frees the namespaces, not those without. */
void config_clear_namespaces(struct config *config);

/* Applies file, environment and flags, in this order. BAD_REQUEST: the file could not be read as a whole, so
 * that checking what is left would only confuse; other mistakes are in `report`. *file_is_public: others may
 * read it. NO_MEMORY. */
enum status config_apply_sources(struct config *config, const struct config_source *source,
                                 struct config_report *report, bool *file_is_public);

/* Computes what defaults leave open (workers, outbox_total, node.name, channel rules), then checks relations
 * between options. `file_is_public`: others may read the file. false: no memory. */
bool config_finish(struct config *config, const struct config_source *source, bool file_is_public,
                   struct config_report *report);

#endif

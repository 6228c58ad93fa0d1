/* config_objects.h - options that are lists of named objects: `proxies` and `rpc.namespaces`.
 *
 * Internal to server/config*.c. An entry is a struct whose first member is its name, described by rows like
 * all other options; a source replaces the whole list. Environment and flags give it as JSON. Thread: any.
 * Memory: the configuration owns the entries.   Limits: CONFIG_OBJECTS_MAX entries in a list.
 */
#ifndef STARLING_SERVER_CONFIG_OBJECTS_H
#define STARLING_SERVER_CONFIG_OBJECTS_H

#include "server/config_internal.h"

enum { CONFIG_OBJECTS_MAX = 256 };

struct object_list {
    const char *path;
    const struct option_row *rows; /* offsets in an entry */
    size_t row_count;
    size_t entry_bytes;
    size_t entries_offset, count_offset, origin_offset; /* in struct config */
};

/* NULL: no list has this path, or this environment name without STARLING_. */
const struct object_list *object_list_find(struct str path);
const struct object_list *object_list_find_variable(struct str name);

/* Replaces the list by `value`; mistakes go to `report`, which calls the source `label`. NO_MEMORY, else OK.
 */
enum status object_list_load(const struct object_list *list, struct config *config, const json_t *value,
                             enum config_origin origin, const char *label, struct config_report *report);
/* The same from JSON text. */
enum status object_list_load_text(const struct object_list *list, struct config *config, struct str text,
                                  enum config_origin origin, const char *label, struct config_report *report);

/* For all lists. */
void object_lists_release(struct config *config);

/* Calls `print` for every option of every entry that is not at its default. */
void object_lists_print(const struct config *config,
                        void (*print)(FILE *out, struct str path, struct str value,
                                      enum config_origin origin),
                        FILE *out);

/* The lists there are: 0 … count - 1. */
extern const size_t object_list_count;
const struct object_list *object_list_at(size_t index);

#endif

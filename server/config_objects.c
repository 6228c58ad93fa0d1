#include "server/config_objects.h"

#include <stdlib.h>

#define ROW(field, key, type, value, min, max, meaning) \
    {key, value, meaning, VALUE_##type, offsetof(ROW_STRUCT, field), min, max},
#define ROW_STRUCT struct proxy_options
static const struct option_row proxy_rows[] = {CONFIG_NAME_OPTION(ROW) CONFIG_PROXY_OPTIONS(ROW, proxy_, "")};
#undef ROW_STRUCT
#define ROW_STRUCT struct rpc_options
static const struct option_row rpc_rows[] = {CONFIG_NAME_OPTION(ROW) CONFIG_RPC_OPTIONS(ROW, rpc_, "")};
#undef ROW_STRUCT
#undef ROW

static const struct object_list lists[] = {
    {"proxies", proxy_rows, sizeof proxy_rows / sizeof proxy_rows[0], sizeof(struct proxy_options),
     offsetof(struct config, proxies), offsetof(struct config, proxy_count),
     offsetof(struct config, proxies_origin)},
    {"rpc.namespaces", rpc_rows, sizeof rpc_rows / sizeof rpc_rows[0], sizeof(struct rpc_options),
     offsetof(struct config, rpc_namespaces), offsetof(struct config, rpc_namespace_count),
     offsetof(struct config, rpc_namespaces_origin)},
};

const size_t object_list_count = sizeof lists / sizeof lists[0];

const struct object_list *object_list_at(size_t index)
{
    return &lists[index];
}

const struct object_list *object_list_find(struct str path)
{
    for (size_t i = 0; i < object_list_count; i++) {
        if (str_is(path, lists[i].path)) {
            return &lists[i];
        }
    }
    return NULL;
}

const struct object_list *object_list_find_variable(struct str name)
{
    const struct object_list *found = NULL;
    for (size_t i = 0; i < object_list_count && found == NULL; i++) {
        struct buf variable = {0};
        environment_name(&variable, str_from_cstr(lists[i].path));
        found = str_equal(str_skip(buf_str(&variable), strlen("STARLING_")), name) ? &lists[i] : NULL;
        buf_release(&variable);
    }
    return found;
}

/* ---- the fields of struct config ---- */

static void **entries_of(const struct object_list *list, struct config *config)
{
    return (void **)(void *)((char *)config + list->entries_offset);
}

static size_t *count_of(const struct object_list *list, struct config *config)
{
    return (size_t *)(void *)((char *)config + list->count_offset);
}

static void release_entry(const struct object_list *list, void *entry)
{
    for (size_t i = 0; i < list->row_count; i++) {
        option_release(&list->rows[i], entry);
    }
}

static void clear(const struct object_list *list, struct config *config)
{
    char *entries = *entries_of(list, config);
    for (size_t i = 0; i < *count_of(list, config); i++) {
        release_entry(list, entries + i * list->entry_bytes);
    }
    free(entries);
    *entries_of(list, config) = NULL;
    *count_of(list, config) = 0;
}

void object_lists_release(struct config *config)
{
    for (size_t i = 0; i < object_list_count; i++) {
        clear(&lists[i], config);
    }
}

/* ---- loading ---- */

struct entry_loader {
    const struct object_list *list;
    void *entry;
    struct str name; /* in notes: proxies.NAME.key */
    const char *label;
    struct config_report *report;
    enum status status; /* NO_MEMORY, or OK */
};

static const struct option_row *find_row(const struct object_list *list, struct str key)
{
    for (size_t i = 0; i < list->row_count; i++) {
        if (str_is(key, list->rows[i].path)) {
            return &list->rows[i];
        }
    }
    return NULL;
}

static bool is_section(const struct object_list *list, struct str key)
{
    for (size_t i = 0; i < list->row_count; i++) {
        struct str row = str_from_cstr(list->rows[i].path);
        if (str_starts_with(row, key) && row.len > key.len && row.at[key.len] == '.') {
            return true;
        }
    }
    return false;
}

static void note(struct entry_loader *loader, enum config_note_kind kind, struct str key, struct str problem)
{
    struct buf path = {0};
    buf_printf(&path, "%s.%.*s.%.*s", loader->list->path, STR_ARG(loader->name), STR_ARG(key));
    config_note(loader->report, kind, "'%.*s' in %s %.*s", STR_ARG(buf_str(&path)), loader->label,
                STR_ARG(problem));
    buf_release(&path);
}

static void note_unknown(struct entry_loader *loader, struct str key)
{
    const struct object_list *list = loader->list;
    const struct option_row *nearest = option_row_nearest(list->rows, list->row_count, key);
    struct buf full = {0};
    struct buf problem = {0};
    buf_printf(&full, "%s.%.*s", list->path, STR_ARG(key));
    if (config_is_unsupported(buf_str(&full))) {
        buf_append_lit(&problem, "is known to Centrifugo, not supported yet");
    } else {
        buf_append_lit(&problem, "is no option");
        if (nearest != NULL) {
            buf_printf(&problem, ", did you mean '%s'?", nearest->path);
        }
    }
    note(loader, CONFIG_NOTE_UNKNOWN, key, buf_str(&problem));
    buf_release(&full);
    buf_release(&problem);
}

static void load_entry(struct entry_loader *loader, const json_t *object, struct str prefix);

static void load_value(struct entry_loader *loader, struct str key, const json_t *value)
{
    const struct option_row *row = find_row(loader->list, key);
    struct buf why = {0};
    if (row != NULL && !json_is_null(value)) {
        enum status status = option_set_json(row, loader->entry, value, &why);
        if (status == STATUS_NO_MEMORY) {
            loader->status = status;
        } else if (status != STATUS_OK) {
            note(loader, CONFIG_NOTE_ERROR, key, buf_str(&why));
        }
    } else if (row == NULL && is_section(loader->list, key) && json_is_object(value)) {
        load_entry(loader, value, key);
    } else if (row == NULL && is_section(loader->list, key) && !json_is_null(value)) {
        note(loader, CONFIG_NOTE_ERROR, key, STR("must be an object"));
    } else if (row == NULL && !is_section(loader->list, key)) {
        note_unknown(loader, key);
    }
    buf_release(&why);
}

/* The depth is bounded by the rows: only sections are entered. */
static void load_entry(struct entry_loader *loader, const json_t *object, struct str prefix)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        struct buf full = {0};
        buf_append_str(&full, prefix);
        buf_append_str(&full, prefix.len > 0 ? STR(".") : STR(""));
        buf_append_str(&full, str_from_cstr(key));
        if (full.failed) {
            loader->status = STATUS_NO_MEMORY;
        } else {
            load_value(loader, buf_str(&full), value);
        }
        buf_release(&full);
    }
}

/* A new entry with the defaults; NULL without memory. The list has room for it. */
static void *add_entry(const struct object_list *list, struct config *config)
{
    char *entry = *entries_of(list, config);
    entry += *count_of(list, config) * list->entry_bytes;
    for (size_t i = 0; i < list->row_count; i++) {
        if (!option_set_preset(&list->rows[i], entry)) {
            release_entry(list, entry);
            return NULL;
        }
    }
    (*count_of(list, config))++;
    return entry;
}

enum status object_list_load(const struct object_list *list, struct config *config, const json_t *value,
                             enum config_origin origin, const char *label, struct config_report *report)
{
    size_t count = json_array_size(value);
    if (json_is_null(value)) {
        return STATUS_OK;
    }
    if (!json_is_array(value) || count > CONFIG_OBJECTS_MAX) {
        config_note(report, CONFIG_NOTE_ERROR, "'%s' in %s must be a list of at most %d objects", list->path,
                    label, CONFIG_OBJECTS_MAX);
        return STATUS_OK;
    }
    clear(list, config);
    *(enum config_origin *)(void *)((char *)config + list->origin_offset) = origin;
    *entries_of(list, config) = count == 0 ? NULL : calloc(count, list->entry_bytes);
    for (size_t i = 0; i < count; i++) {
        const json_t *object = json_array_get(value, i);
        const json_t *name = json_object_get(object, "name");
        if (!json_is_string(name)) {
            config_note(report, CONFIG_NOTE_ERROR, "'%s' in %s: entry %zu is no object with a name",
                        list->path, label, i + 1);
            continue;
        }
        struct entry_loader loader = {.list = list,
                                      .entry =
                                          *entries_of(list, config) == NULL ? NULL : add_entry(list, config),
                                      .name = str_make(json_string_value(name), json_string_length(name)),
                                      .label = label,
                                      .report = report,
                                      .status = STATUS_OK};
        if (loader.entry == NULL) {
            return STATUS_NO_MEMORY;
        }
        load_entry(&loader, object, STR(""));
        if (loader.status != STATUS_OK) {
            return loader.status;
        }
    }
    return STATUS_OK;
}

enum status object_list_load_text(const struct object_list *list, struct config *config, struct str text,
                                  enum config_origin origin, const char *label, struct config_report *report)
{
    json_error_t error;
    json_t *value = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL) {
        config_note(report, CONFIG_NOTE_ERROR, "'%s' in %s is not JSON (column %d)", list->path, label,
                    error.column);
        return STATUS_OK;
    }
    enum status status = object_list_load(list, config, value, origin, label, report);
    json_decref(value);
    return status;
}

/* ---- printing ---- */

void object_lists_print(const struct config *config,
                        void (*print)(FILE *out, struct str path, struct str value,
                                      enum config_origin origin),
                        FILE *out)
{
    struct buf path = {0};
    struct buf value = {0};
    for (size_t i = 0; i < object_list_count; i++) {
        const struct object_list *list = &lists[i];
        const char *entry = *(void *const *)(const void *)((const char *)config + list->entries_offset);
        size_t count = *(const size_t *)(const void *)((const char *)config + list->count_offset);
        enum config_origin origin =
            *(const enum config_origin *)(const void *)((const char *)config + list->origin_offset);
        for (; count > 0; count--, entry += list->entry_bytes) {
            const char *name = *(const char *const *)(const void *)entry;
            for (size_t j = 1; j < list->row_count; j++) {
                if (option_is_preset(&list->rows[j], entry)) {
                    continue;
                }
                buf_reset(&path);
                buf_reset(&value);
                buf_printf(&path, "%s.%s.%s", list->path, name, list->rows[j].path);
                option_print(&list->rows[j], entry, &value);
                print(out, buf_str(&path), buf_str(&value), origin);
            }
        }
    }
    buf_release(&path);
    buf_release(&value);
}

#include "server/config_file.h"
#include "server/config_internal.h"
#include "server/config_objects.h"

#include <ctype.h>
#include <stdlib.h>

enum { SECRET_FILE_BYTES_MAX = 64 * 1024 };

/* One run of config_apply_sources(). */
struct loader {
    struct config *config;
    const struct config_source *source;
    struct config_report *report;
    const char *file_label; /* what the file is called in notes */
    bool file_is_public;
    bool is_out_of_memory;
};

/* Setting one option. A subject begins the sentence that a bad value gets: "'log.level' in starling.json". */

static void note_bad_value(struct loader *loader, struct str subject, enum status status,
                           const struct buf *why)
{
    if (status == STATUS_NO_MEMORY) {
        loader->is_out_of_memory = true;
    } else if (status != STATUS_OK) {
        config_note(loader->report, CONFIG_NOTE_ERROR, "%.*s %.*s", STR_ARG(subject), STR_ARG(buf_str(why)));
    }
}

/* `origin` of the server's option; namespaces keep theirs as a whole. */
static void mark_origin(struct loader *loader, const struct option_row *row, const void *base,
                        enum config_origin origin)
{
    struct config *config = loader->config;
    if (base == config) {
        config->origins[row - config_rows] = (unsigned char)origin;
    } else if (base == &config->channels.without_namespace) {
        config->without_namespace_origin = origin;
    } else {
        config->namespaces_origin = origin;
    }
}

static void set_text(struct loader *loader, const struct option_row *row, void *base, struct str text,
                     enum config_origin origin, struct str subject)
{
    struct buf why = {0};
    enum status status = option_set_text(row, base, text, &why);
    if (status == STATUS_OK) {
        mark_origin(loader, row, base, origin);
    }
    note_bad_value(loader, subject, status, &why);
    buf_release(&why);
}

static void set_json(struct loader *loader, const struct option_row *row, void *base, const json_t *value,
                     enum config_origin origin, struct str subject)
{
    struct buf why = {0};
    if (json_is_null(value)) {
        return; /* "key:" without a value in YAML: as if it were not there */
    }
    enum status status = option_set_json(row, base, value, &why);
    if (status == STATUS_OK) {
        mark_origin(loader, row, base, origin);
    }
    note_bad_value(loader, subject, status, &why);
    buf_release(&why);
}

/* What kind of row an unknown key might have meant, and how the note about it reads. */
struct unknown {
    enum config_note_kind kind;
    struct str shown;         /* begins the sentence */
    struct str key;           /* is compared with the rows */
    bool is_namespace_option; /* with those of namespaces */
    struct str prefix;        /* stands before the row's path in the advice */
};

static void note_unknown(struct loader *loader, const struct unknown *unknown)
{
    bool is_unsupported = unknown->is_namespace_option ? channel_option_is_unsupported(unknown->key)
                                                       : config_is_unsupported(unknown->key);
    const struct option_row *nearest =
        unknown->is_namespace_option
            ? option_row_nearest(channel_option_rows, CHANNEL_OPTION_COUNT, unknown->key)
            : option_row_nearest(config_rows, CONFIG_OPTION_COUNT, unknown->key);
    if (is_unsupported) {
        config_note(loader->report, unknown->kind, "%.*s is known to Centrifugo, not supported yet",
                    STR_ARG(unknown->shown));
    } else if (nearest == NULL) {
        config_note(loader->report, unknown->kind, "%.*s is no option", STR_ARG(unknown->shown));
    } else {
        config_note(loader->report, unknown->kind, "%.*s is no option, did you mean '%.*s%s'?",
                    STR_ARG(unknown->shown), STR_ARG(unknown->prefix), nearest->path);
    }
}

/* File */

static void subject_in_file(struct loader *loader, struct str path, struct buf *out)
{
    append_quoted(out, path);
    buf_printf(out, " in %s", loader->file_label);
}

static void load_options_object(struct loader *loader, const json_t *object, struct channel_options *options,
                                struct str path, enum config_origin origin)
{
    const char *key;
    json_t *value;
    struct buf prefix = {0};
    buf_append_str(&prefix, path);
    buf_append_char(&prefix, '.');
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const struct option_row *row = channel_option_row_find(str_from_cstr(key));
        struct buf full = {0};
        struct buf subject = {0};
        buf_append_str(&full, buf_str(&prefix));
        buf_append_str(&full, str_from_cstr(key));
        subject_in_file(loader, buf_str(&full), &subject);
        bool is_name = options != &loader->config->channels.without_namespace && strcmp(key, "name") == 0;
        if (row != NULL) {
            set_json(loader, row, options, value, origin, buf_str(&subject));
        } else if (!is_name) {
            note_unknown(loader, &(struct unknown){.kind = CONFIG_NOTE_UNKNOWN,
                                                   .shown = buf_str(&subject),
                                                   .key = str_from_cstr(key),
                                                   .is_namespace_option = true,
                                                   .prefix = buf_str(&prefix)});
        }
        buf_release(&full);
        buf_release(&subject);
    }
    buf_release(&prefix);
}

/* Replaces the namespaces by those of a list of objects. */
static void load_namespaces(struct loader *loader, const json_t *list, enum config_origin origin)
{
    struct config *config = loader->config;
    if (!json_is_array(list) || json_array_size(list) > CONFIG_NAMESPACES_MAX) {
        config_note(loader->report, CONFIG_NOTE_ERROR,
                    "'channel.namespaces' in %s must be a list of at most %d objects", loader->file_label,
                    CONFIG_NAMESPACES_MAX);
        return;
    }
    config_clear_namespaces(config);
    config->namespaces_origin = origin;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *object = json_array_get(list, i);
        const json_t *name = json_object_get(object, "name");
        if (!json_is_string(name)) {
            config_note(loader->report, CONFIG_NOTE_ERROR,
                        "'channel.namespaces' in %s: entry %zu is no object with a name", loader->file_label,
                        i + 1);
            continue;
        }
        struct str text = str_make(json_string_value(name), json_string_length(name));
        struct channel_options *options = config_add_namespace(config, text);
        struct buf path = {0};
        buf_printf(&path, "channel.namespaces.%.*s", STR_ARG(text));
        if (options == NULL || path.failed) {
            loader->is_out_of_memory = true;
        } else {
            load_options_object(loader, object, options, buf_str(&path), origin);
        }
        buf_release(&path);
    }
}

static void load_object(struct loader *loader, const json_t *object, struct str path);

static void load_list(struct loader *loader, const struct object_list *list, const json_t *value)
{
    if (object_list_load(list, loader->config, value, ORIGIN_FILE, loader->file_label, loader->report) !=
        STATUS_OK) {
        loader->is_out_of_memory = true;
    }
}

static void load_list_text(struct loader *loader, const struct object_list *list, struct str text,
                           enum config_origin origin)
{
    if (object_list_load_text(list, loader->config, text, origin, loader->file_label, loader->report) !=
        STATUS_OK) {
        loader->is_out_of_memory = true;
    }
}

static void load_member(struct loader *loader, struct str path, const json_t *value)
{
    const struct option_row *row = config_row_find(path);
    struct buf subject = {0};
    subject_in_file(loader, path, &subject);
    if (row != NULL) {
        set_json(loader, row, loader->config, value, ORIGIN_FILE, buf_str(&subject));
    } else if (str_is(path, "channel.namespaces")) {
        load_namespaces(loader, value, ORIGIN_FILE);
    } else if (object_list_find(path) != NULL) {
        load_list(loader, object_list_find(path), value);
    } else if (str_is(path, "channel.without_namespace") && json_is_object(value)) {
        load_options_object(loader, value, &loader->config->channels.without_namespace, path, ORIGIN_FILE);
    } else if (config_is_section(path) && json_is_object(value)) {
        load_object(loader, value, path);
    } else if ((config_is_section(path) || str_is(path, "channel.without_namespace")) &&
               !json_is_null(value)) {
        config_note(loader->report, CONFIG_NOTE_ERROR, "%.*s must be an object", STR_ARG(buf_str(&subject)));
    } else if (!config_is_section(path)) {
        note_unknown(loader,
                     &(struct unknown){.kind = CONFIG_NOTE_UNKNOWN, .shown = buf_str(&subject), .key = path});
    }
    buf_release(&subject);
}

/* The depth is bounded by the tables: only sections are entered. */
static void load_object(struct loader *loader, const json_t *object, struct str path)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        struct buf full = {0};
        buf_append_str(&full, path);
        if (path.len > 0) {
            buf_append_char(&full, '.');
        }
        buf_append_str(&full, str_from_cstr(key));
        if (full.failed) {
            loader->is_out_of_memory = true;
        } else {
            load_member(loader, buf_str(&full), value);
        }
        buf_release(&full);
    }
}

/* false: there is no tree to read options from, and `report` says why. */
static bool load_file(struct loader *loader)
{
    const struct config_source *source = loader->source;
    struct buf content = {0};
    struct buf why = {0};
    struct str text = source->text;
    enum config_format format = source->format;
    bool is_read = true;
    bool has_text = source->file != NULL || text.at != NULL;
    json_t *root = NULL;
    if (source->file != NULL) {
        if (!config_format_of(source->file, &format)) {
            buf_printf(&why, "'%s' must end in .json, .yaml or .yml", source->file);
            is_read = false;
        } else {
            is_read = config_read_file(source->file, CONFIG_FILE_BYTES_MAX, &content, &loader->file_is_public,
                                       &why);
        }
        text = buf_str(&content);
    }
    if (!is_read) {
        config_note(loader->report, CONFIG_NOTE_ERROR, "%.*s", STR_ARG(buf_str(&why)));
    } else if (has_text) {
        root = config_parse(format, text, &why);
        if (root == NULL) {
            config_note(loader->report, CONFIG_NOTE_ERROR, "%s: %.*s", loader->file_label,
                        STR_ARG(buf_str(&why)));
        } else {
            load_object(loader, root, (struct str){0});
        }
    }
    bool is_good = is_read && (!has_text || root != NULL);
    json_decref(root);
    buf_release(&content);
    buf_release(&why);
    return is_good;
}

/* Environment */

/* Does `name` begin with the environment form of `path`? Then *rest is what follows. */
static bool environment_starts(struct str name, struct str path, struct str *rest)
{
    if (name.len < path.len) {
        return false;
    }
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.at[i];
        if (name.at[i] != (isalnum(c) ? (char)toupper(c) : '_')) {
            return false;
        }
    }
    *rest = str_skip(name, path.len);
    return true;
}

/* The row whose environment form is `name`; *is_file: with _FILE behind it. */
static const struct option_row *find_environment(const struct option_row *rows, size_t count, struct str name,
                                                 bool *is_file)
{
    const struct option_row *with_file = NULL;
    for (size_t i = 0; i < count; i++) {
        struct str rest;
        if (!environment_starts(name, str_from_cstr(rows[i].path), &rest)) {
            continue;
        }
        if (rest.len == 0) {
            *is_file = false;
            return &rows[i];
        }
        if (str_is(rest, "_FILE") && option_is_text(&rows[i])) {
            with_file = &rows[i];
        }
    }
    *is_file = true;
    return with_file;
}

/* NAME_FILE holds the path of a file with the value: how containers are given secrets. */
static void set_from_file(struct loader *loader, const struct option_row *row, void *base, struct str path,
                          struct str subject)
{
    struct buf content = {0};
    struct buf why = {0};
    bool is_public;
    char *path_text = str_to_cstr(path);
    if (path_text == NULL) {
        loader->is_out_of_memory = true;
    } else if (config_read_file(path_text, SECRET_FILE_BYTES_MAX, &content, &is_public, &why)) {
        struct str text = buf_str(&content);
        while (text.len > 0 && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r')) {
            text.len--;
        }
        set_text(loader, row, base, text, ORIGIN_ENVIRONMENT, subject);
    } else {
        config_note(loader->report, CONFIG_NOTE_ERROR, "%.*s: %.*s", STR_ARG(subject),
                    STR_ARG(buf_str(&why)));
    }
    free(path_text);
    buf_release(&content);
    buf_release(&why);
}

/* What Kubernetes and Docker links put into the environment for a service that is called starling. */
static bool is_service_variable(struct str name)
{
    return str_starts_with(name, STR("SERVICE_")) || str_is(name, "PORT") ||
           str_starts_with(name, STR("PORT_"));
}

/* The namespace whose environment form begins `name`; of several the longest, since a_b also begins with a.
 */
static struct channel_options *find_namespace_variable(struct config *config, struct str name,
                                                       struct str *key)
{
    struct channel_options *found = NULL;
    for (size_t i = 0; i < config->channels.namespace_count; i++) {
        struct channel_options *options = &config->channels.namespaces[i];
        struct str rest;
        if (environment_starts(name, options->name, &rest) && str_starts_with(rest, STR("_")) &&
            (found == NULL || options->name.len > found->name.len)) {
            found = options;
            *key = str_skip(rest, 1);
        }
    }
    return found;
}

static void note_unknown_variable(struct loader *loader, struct str name)
{
    char path[128];
    struct buf suggestion = {0};
    struct str cut = str_first(name, sizeof path);
    for (size_t i = 0; i < cut.len; i++) {
        path[i] = (char)tolower((unsigned char)cut.at[i]);
    }
    const struct option_row *nearest =
        option_row_nearest(config_rows, CONFIG_OPTION_COUNT, str_make(path, cut.len));
    if (nearest != NULL) {
        environment_name(&suggestion, str_from_cstr(nearest->path));
        config_note(loader->report, CONFIG_NOTE_UNKNOWN, "STARLING_%.*s is no option, did you mean %.*s?",
                    STR_ARG(name), STR_ARG(buf_str(&suggestion)));
    } else {
        config_note(loader->report, CONFIG_NOTE_UNKNOWN, "STARLING_%.*s is no option", STR_ARG(name));
    }
    buf_release(&suggestion);
}

static void load_variable(struct loader *loader, struct str name, struct str value)
{
    struct config *config = loader->config;
    bool is_file = false;
    void *base = config;
    const struct option_row *row = find_environment(config_rows, CONFIG_OPTION_COUNT, name, &is_file);
    struct str key = {0};
    if (row == NULL && environment_starts(name, STR("channel.without_namespace."), &key)) {
        base = &config->channels.without_namespace;
    } else if (row == NULL && environment_starts(name, STR("channel.namespaces."), &key)) {
        struct str rest = key;
        base = find_namespace_variable(config, rest, &key);
    }
    if (row == NULL && key.len > 0 && base != NULL) {
        row = find_environment(channel_option_rows, CHANNEL_OPTION_COUNT, key, &is_file);
    }
    struct buf subject = {0};
    buf_printf(&subject, "STARLING_%.*s", STR_ARG(name));
    if (row == NULL && object_list_find_variable(name) != NULL) {
        load_list_text(loader, object_list_find_variable(name), value, ORIGIN_ENVIRONMENT);
    } else if (row == NULL) {
        note_unknown_variable(loader, name);
    } else if (is_file) {
        set_from_file(loader, row, base, value, buf_str(&subject));
    } else {
        set_text(loader, row, base, value, ORIGIN_ENVIRONMENT, buf_str(&subject));
    }
    buf_release(&subject);
}

/* A JSON list of objects, or names with spaces between them. */
static void load_namespaces_text(struct loader *loader, struct str value, enum config_origin origin)
{
    if (str_starts_with(str_trim(value), STR("["))) {
        json_error_t error;
        json_t *list = json_loadb(value.at, value.len, JSON_REJECT_DUPLICATES, &error);
        if (list == NULL) {
            config_note(loader->report, CONFIG_NOTE_ERROR,
                        "'channel.namespaces' in %s is not JSON (column %d)", loader->file_label,
                        error.column);
        } else {
            load_namespaces(loader, list, origin);
        }
        json_decref(list);
        return;
    }
    config_clear_namespaces(loader->config);
    loader->config->namespaces_origin = origin;
    while (value.at != NULL) {
        struct str name = str_trim(str_next(&value, ' '));
        if (name.len > 0 && loader->config->channels.namespace_count < CONFIG_NAMESPACES_MAX &&
            config_add_namespace(loader->config, name) == NULL) {
            loader->is_out_of_memory = true;
        }
    }
}

/* Calls `take` with every STARLING_ variable that is not empty: Compose sets variables that nobody gave to
 * "". */
static void each_variable(struct loader *loader,
                          void (*take)(struct loader *, struct str name, struct str value))
{
    for (char *const *entry = loader->source->environment; entry != NULL && *entry != NULL; entry++) {
        struct str variable = str_from_cstr(*entry);
        struct str name = str_next(&variable, '=');
        if (str_starts_with(name, STR("STARLING_")) && variable.len > 0) {
            take(loader, str_skip(name, strlen("STARLING_")), variable);
        }
    }
}

static void take_namespaces_variable(struct loader *loader, struct str name, struct str value)
{
    if (str_is(name, "CHANNEL_NAMESPACES")) {
        load_namespaces_text(loader, value, ORIGIN_ENVIRONMENT);
    }
}

static void take_other_variable(struct loader *loader, struct str name, struct str value)
{
    if (!str_is(name, "CHANNEL_NAMESPACES") && !is_service_variable(name)) {
        load_variable(loader, name, value);
    }
}

static void load_environment(struct loader *loader)
{
    loader->file_label = "the environment";
    each_variable(loader, take_namespaces_variable); /* first: other variables may set options of them */
    each_variable(loader, take_other_variable);
}

/* Flags */

static void load_flag(struct loader *loader, const struct config_flag *flag)
{
    const struct option_row *row = config_row_find(flag->path);
    void *base = loader->config;
    struct str prefix = STR("channel.without_namespace.");
    if (row == NULL && str_starts_with(flag->path, prefix)) {
        row = channel_option_row_find(str_skip(flag->path, prefix.len));
        base = &loader->config->channels.without_namespace;
    }
    struct buf subject = {0};
    buf_printf(&subject, "--%.*s", STR_ARG(flag->path));
    if (row != NULL && flag->value.at == NULL && row->type != VALUE_boolean) {
        config_note(loader->report, CONFIG_NOTE_ERROR, "%.*s needs a value", STR_ARG(buf_str(&subject)));
    } else if (row != NULL) {
        struct str value = flag->value.at == NULL ? STR("true") : flag->value;
        set_text(loader, row, base, value, ORIGIN_FLAG, buf_str(&subject));
    } else if (str_is(flag->path, "channel.namespaces") && flag->value.at != NULL) {
        load_namespaces_text(loader, flag->value, ORIGIN_FLAG);
    } else if (object_list_find(flag->path) != NULL && flag->value.at != NULL) {
        load_list_text(loader, object_list_find(flag->path), flag->value, ORIGIN_FLAG);
    } else {
        /* An error: a flag is typed for this very run, so it must mean something. */
        note_unknown(loader, &(struct unknown){.kind = CONFIG_NOTE_ERROR,
                                               .shown = buf_str(&subject),
                                               .key = flag->path,
                                               .prefix = STR("--")});
    }
    buf_release(&subject);
}

static void load_flags(struct loader *loader)
{
    loader->file_label = "the flags";
    for (size_t i = 0; i < loader->source->flag_count; i++) {
        load_flag(loader, &loader->source->flags[i]);
    }
}

enum status config_apply_sources(struct config *config, const struct config_source *source,
                                 struct config_report *report, bool *file_is_public)
{
    struct loader loader = {
        .config = config,
        .source = source,
        .report = report,
        .file_label = source->file == NULL ? "the configuration" : source->file,
    };
    bool has_tree = load_file(&loader);
    load_environment(&loader);
    load_flags(&loader);
    *file_is_public = loader.file_is_public;
    if (loader.is_out_of_memory) {
        return STATUS_NO_MEMORY;
    }
    return has_tree ? STATUS_OK : STATUS_BAD_REQUEST;
}

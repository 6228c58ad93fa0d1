#include "server/config.h"

#include "server/config_internal.h"
#include "server/config_objects.h"

#include <stdarg.h>
#include <stdlib.h>

enum { NOTES_MAX = 200 };

/* Notes */

void config_note(struct config_report *report, enum config_note_kind kind, const char *format, ...)
{
    struct buf text = {0};
    char line[512];
    va_list args;
    report->error_count += kind == CONFIG_NOTE_ERROR;
    report->unknown_count += kind == CONFIG_NOTE_UNKNOWN;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    struct config_note *grown = NULL;
    if (len >= 0 && report->count < NOTES_MAX) {
        grown = realloc(report->notes, (report->count + 1) * sizeof *grown);
    }
    if (grown == NULL) {
        report->dropped_count++;
        return;
    }
    report->notes = grown;
    for (const char *c = line; *c != '\0'; c++) {
        buf_append_char(&text, (unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7F ? '?' : *c);
    }
    buf_append_char(&text, '\0');
    if (text.failed) {
        buf_release(&text);
        report->dropped_count++;
        return;
    }
    report->notes[report->count++] = (struct config_note){.kind = kind, .text = text.at};
}

void config_report_release(struct config_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        free(report->notes[i].text);
    }
    free(report->notes);
    *report = (struct config_report){0};
}

void config_report_print(const struct config_report *report, FILE *out)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct config_note *note = &report->notes[i];
        (void)fprintf(out, "%s: %s\n", note->kind == CONFIG_NOTE_ERROR ? "error" : "warning", note->text);
    }
    if (report->dropped_count > 0) {
        (void)fprintf(out, "warning: %zu more are not shown\n", report->dropped_count);
    }
}

/* Life */

static void free_options(struct channel_options *options)
{
    for (size_t i = 0; i < CHANNEL_OPTION_COUNT; i++) {
        option_release(&channel_option_rows[i], options);
    }
    free((char *)(uintptr_t)options->name.at);
    options->name = (struct str){0};
}

static bool preset_options(struct channel_options *options)
{
    for (size_t i = 0; i < CHANNEL_OPTION_COUNT; i++) {
        if (!option_set_preset(&channel_option_rows[i], options)) {
            return false;
        }
    }
    return true;
}

void config_clear_namespaces(struct config *config)
{
    for (size_t i = 0; i < config->channels.namespace_count; i++) {
        free_options(&config->channels.namespaces[i]);
    }
    free(config->channels.namespaces);
    config->channels.namespaces = NULL;
    config->channels.namespace_count = 0;
}

struct channel_options *config_add_namespace(struct config *config, struct str name)
{
    struct channel_rules *rules = &config->channels;
    struct channel_options *grown = realloc(rules->namespaces, (rules->namespace_count + 1) * sizeof *grown);
    if (grown == NULL) {
        return NULL;
    }
    rules->namespaces = grown;
    struct channel_options *added = &grown[rules->namespace_count];
    *added = (struct channel_options){0};
    added->name = str_make(str_to_cstr(name), name.len);
    if (added->name.at == NULL || !preset_options(added)) {
        free_options(added);
        return NULL;
    }
    rules->namespace_count++;
    return added;
}

static struct config *config_new(void)
{
    struct config *config = calloc(1, sizeof *config);
    if (config == NULL) {
        return NULL;
    }
    config->channels = channel_rules_default();
    bool is_good = preset_options(&config->channels.without_namespace);
    for (size_t i = 0; i < CONFIG_OPTION_COUNT && is_good; i++) {
        is_good = option_set_preset(&config_rows[i], config);
    }
    if (!is_good) {
        config_free(config);
        return NULL;
    }
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        option_release(&config_rows[i], config);
    }
    config_clear_namespaces(config);
    object_lists_release(config);
    free_options(&config->channels.without_namespace);
    free(config->trusted_networks);
    free(config);
}

/* --dev */

static bool set_namespace(struct config *config, struct str name, const char *const *pairs)
{
    for (size_t i = 0; i < config->channels.namespace_count; i++) {
        if (str_equal(config->channels.namespaces[i].name, name)) {
            return true; /* the configuration's own wins */
        }
    }
    struct channel_options *options = config_add_namespace(config, name);
    for (; options != NULL && *pairs != NULL; pairs += 2) {
        const struct option_row *row = channel_option_row_find(str_from_cstr(pairs[0]));
        if (option_set_text(row, options, str_from_cstr(pairs[1]), NULL) != STATUS_OK) {
            return false;
        }
    }
    return options != NULL;
}

bool config_dev(struct config *config)
{
    static const char *const everyone[] = {
        "allow_subscribe_for_client",  "allow_subscribe_for_anonymous", "allow_publish_for_client",
        "allow_publish_for_anonymous", "allow_presence_for_client",     "allow_presence_for_anonymous",
        "allow_history_for_client",    "allow_history_for_anonymous",   NULL};
    static const char *const chat[] = {
        "presence",       "true",         "join_leave", "true",        "force_push_join_leave",
        "true",           "history_size", "300",        "history_ttl", "24h",
        "force_recovery", "true",         NULL};
    static const char *const typing[] = {NULL};
    static const char *const feed[] = {"presence", "true",           "history_size", "300", "history_ttl",
                                       "10m",      "force_recovery", "true",         NULL};
    /* Values that change in place: whoever falls behind is sent the newest only. */
    static const char *const board[] = {"overflow", "latest_only", NULL};
    static const enum config_option_index switched_on[] = {
        CONFIG_INDEX_client_insecure, CONFIG_INDEX_http_api_insecure, CONFIG_INDEX_prometheus_enabled,
        CONFIG_INDEX_init_enabled,    CONFIG_INDEX_health_enabled,    CONFIG_INDEX_pages_enabled};
    static const struct {
        struct str name;
        const char *const *pairs;
    } namespaces[] = {
        {{"chat", 4}, chat}, {{"typing", 6}, typing}, {{"feed", 4}, feed}, {{"board", 5}, board}};

    config->is_dev = true;
    for (size_t i = 0; i < sizeof switched_on / sizeof switched_on[0]; i++) {
        (void)option_set_text(&config_rows[switched_on[i]], config, STR("true"),
                              NULL); /* a bool takes "true" */
        config->origins[switched_on[i]] = ORIGIN_DEV;
    }
    for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++) {
        size_t before = config->channels.namespace_count;
        if (!set_namespace(config, namespaces[i].name, namespaces[i].pairs)) {
            return false;
        }
        if (config->channels.namespace_count == before) {
            continue;
        }
        for (const char *const *key = everyone; *key != NULL; key++) {
            (void)option_set_text(channel_option_row_find(str_from_cstr(*key)),
                                  &config->channels.namespaces[before], STR("true"), NULL);
        }
        config->namespaces_origin =
            config->namespaces_origin == ORIGIN_DEFAULT ? ORIGIN_DEV : config->namespaces_origin;
    }
    return true;
}

static bool is_loopback(struct str address)
{
    return str_starts_with(address, STR("127.")) || str_is(address, "::1") || str_is(address, "[::1]") ||
           str_is(address, "localhost");
}

/* Without --dev-address the server that asks nobody who they are is reachable from this machine only. */
static bool apply_dev(struct config *config, const struct config_source *source, struct config_report *report)
{
    static const enum config_option_index lists[] = {CONFIG_INDEX_http_server_address,
                                                     CONFIG_INDEX_http_server_internal_address};
    const char *wanted = source->dev_address;
    bool is_good = config_dev(config);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && is_good; i++) {
        const struct option_row *row = &config_rows[lists[i]];
        const struct str_list *list =
            i == 0 ? &config->http_server_address : &config->http_server_internal_address;
        for (size_t j = 0; j < list->count && wanted == NULL; j++) {
            if (!is_loopback(list->at[j])) {
                config_note(report, CONFIG_NOTE_ERROR,
                            "--dev listens on loopback only: give another address with --dev-address");
            }
        }
        if (list->count == 0 || wanted != NULL) {
            struct str text = wanted == NULL ? STR("127.0.0.1 ::1") : str_from_cstr(wanted);
            is_good = option_set_text(row, config, text, NULL) == STATUS_OK;
            config->origins[lists[i]] = ORIGIN_DEV;
        }
    }
    return is_good;
}

enum status config_load(struct config **out, const struct config_source *source, struct config_report *report)
{
    enum status status = STATUS_NO_MEMORY;
    bool file_is_public = false;
    struct config *config = config_new();
    if (config == NULL) {
        goto done;
    }
    status = config_apply_sources(config, source, report, &file_is_public);
    if (status != STATUS_OK) {
        goto done;
    }
    if ((source->is_dev && !apply_dev(config, source, report)) ||
        !config_finish(config, source, file_is_public, report)) {
        status = STATUS_NO_MEMORY;
        goto done;
    }
    status = report->error_count > 0 ? STATUS_BAD_REQUEST : STATUS_OK;
done:
    if (status == STATUS_OK) {
        *out = config;
    } else {
        config_free(config);
    }
    return status;
}

/* Options one by one */

const char *config_option_path(enum config_option_index index)
{
    return config_rows[index].path;
}

/* Secrets print as "***", and texts need not go through JSON. NULL: of another type. */
static const char *text_of(const struct config *config, const struct option_row *row)
{
    bool is_text = row->type == VALUE_text || row->type == VALUE_secret;
    const char *text = NULL;
    if (is_text) {
        memcpy(&text, (const char *)config + row->offset, sizeof text);
    }
    return text;
}

bool config_option_equal(const struct config *a, const struct config *b, enum config_option_index index)
{
    const struct option_row *row = &config_rows[index];
    if (text_of(a, row) != NULL) {
        return strcmp(text_of(a, row), text_of(b, row)) == 0;
    }
    struct buf of_a = {0}, of_b = {0};
    option_print(row, a, &of_a);
    option_print(row, b, &of_b);
    bool is_equal = !of_a.failed && !of_b.failed && str_equal(buf_str(&of_a), buf_str(&of_b));
    buf_release(&of_a);
    buf_release(&of_b);
    return is_equal;
}

bool config_option_copy(struct config *to, const struct config *from, enum config_option_index index)
{
    const struct option_row *row = &config_rows[index];
    if (text_of(from, row) != NULL) {
        return option_set_text(row, to, str_from_cstr(text_of(from, row)), NULL) == STATUS_OK;
    }
    struct buf text = {0};
    option_print(row, from, &text);
    json_t *value = text.failed ? NULL : json_loadb(text.at, text.len, JSON_DECODE_ANY, NULL);
    bool is_set = value != NULL && option_set_json(row, to, value, NULL) == STATUS_OK;
    json_decref(value);
    buf_release(&text);
    return is_set;
}

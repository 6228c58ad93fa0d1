#include "server/config_internal.h"
#include "server/config_objects.h"

static const char *const origin_names[] = {"default", "file", "environment", "flag", "--dev", "computed"};

_Static_assert(ORIGIN_DEFAULT == 0 && ORIGIN_COMPUTED == 5, "origin_names names them");

static void print_line(FILE *out, struct str path, struct str value, enum config_origin origin)
{
    (void)fprintf(out, "%-55.*s %-30.*s %s\n", STR_ARG(path), STR_ARG(value), origin_names[origin]);
}

/* The options that are not at their default, each under its full path. */
static void print_options(FILE *out, const struct channel_options *options, enum config_origin origin)
{
    struct buf path = {0};
    struct buf value = {0};
    if (options->name.len > 0) {
        buf_printf(&path, "channel.namespaces.%.*s", STR_ARG(options->name));
        print_line(out, buf_str(&path), STR(""), origin);
    }
    for (size_t i = 0; i < CHANNEL_OPTION_COUNT; i++) {
        const struct option_row *row = &channel_option_rows[i];
        buf_reset(&path);
        buf_reset(&value);
        if (option_is_preset(row, options)) {
            continue;
        }
        if (options->name.len == 0) {
            buf_printf(&path, "channel.without_namespace.%s", row->path);
        } else {
            buf_printf(&path, "channel.namespaces.%.*s.%s", STR_ARG(options->name), row->path);
        }
        option_print(row, options, &value);
        print_line(out, buf_str(&path), buf_str(&value), origin);
    }
    buf_release(&path);
    buf_release(&value);
}

void config_print(const struct config *config, FILE *out)
{
    struct buf value = {0};
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        buf_reset(&value);
        option_print(&config_rows[i], config, &value);
        print_line(out, str_from_cstr(config_rows[i].path), buf_str(&value),
                   (enum config_origin)config->origins[i]);
    }
    print_options(out, &config->channels.without_namespace, config->without_namespace_origin);
    for (size_t i = 0; i < config->channels.namespace_count; i++) {
        print_options(out, &config->channels.namespaces[i], config->namespaces_origin);
    }
    object_lists_print(config, print_line, out);
    buf_release(&value);
}

static void print_rows(FILE *out, const struct option_row *rows, size_t count, struct str section)
{
    struct buf range = {0};
    (void)fprintf(out, "| option | default | values | meaning |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < count; i++) {
        const struct option_row *row = &rows[i];
        struct str path = str_from_cstr(row->path);
        ptrdiff_t dot = str_find(path, '.');
        if (section.at != NULL && !str_equal(str_first(path, dot < 0 ? 0 : (size_t)dot), section)) {
            continue;
        }
        buf_reset(&range);
        option_print_range(row, &range);
        bool has_preset = row->preset[0] != '\0';
        (void)fprintf(out, "| `%s` | %s%s%s | %.*s | %s |\n", row->path, has_preset ? "`" : "", row->preset,
                      has_preset ? "`" : "", STR_ARG(buf_str(&range)), row->meaning);
    }
    (void)fprintf(out, "\n");
    buf_release(&range);
}

void config_print_markdown(FILE *out)
{
    struct str done = {0};
    (void)fprintf(out, "### Options without a section\n\n");
    print_rows(out, config_rows, CONFIG_OPTION_COUNT, STR(""));
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        struct str path = str_from_cstr(config_rows[i].path);
        ptrdiff_t dot = str_find(path, '.');
        struct str section = str_first(path, dot < 0 ? 0 : (size_t)dot);
        if (section.len == 0 || str_equal(section, done)) {
            continue;
        }
        bool is_seen = false;
        for (size_t j = 0; j < i && !is_seen; j++) {
            struct str earlier = str_from_cstr(config_rows[j].path);
            is_seen = str_starts_with(earlier, section) && earlier.len > section.len &&
                      earlier.at[section.len] == '.';
        }
        if (!is_seen) {
            (void)fprintf(out, "### %.*s\n\n", STR_ARG(section));
            print_rows(out, config_rows, CONFIG_OPTION_COUNT, section);
        }
        done = section;
    }
    (void)fprintf(out, "### channel.without_namespace, and each of channel.namespaces beside its name\n\n");
    print_rows(out, channel_option_rows, CHANNEL_OPTION_COUNT, (struct str){0});
    for (size_t i = 0; i < object_list_count; i++) {
        const struct object_list *list = object_list_at(i);
        (void)fprintf(out, "### each of %s\n\n", list->path);
        print_rows(out, list->rows, list->row_count, (struct str){0});
    }
}

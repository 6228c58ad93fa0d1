#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/config.h"
#include "server/config_file.h"

#include <stdlib.h>

/* Runs at the top of the repository, where `make unit` runs it. */

static void print_into(struct buf *out, void (*print)(const struct config *, FILE *),
                       const struct config *config)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    print(config, file);
    long len = ftell(file);
    assert_true(len > 0);
    rewind(file);
    assert_true(buf_reserve(out, (size_t)len));
    out->len = fread(out->at, 1, (size_t)len, file);
    assert_int_equal(out->len, len);
    assert_int_equal(fclose(file), 0);
}

static struct config *load_strictly(const char *path)
{
    struct config_source source = {.file = path};
    struct config_report report = {0};
    struct config *config = NULL;
    enum status status = config_load(&config, &source, &report);
    if (status != STATUS_OK || report.unknown_count > 0) {
        config_report_print(&report, stderr);
        fail_msg("%s is refused", path);
    }
    config_report_release(&report);
    return config;
}

static void the_examples_pass_the_strict_check_and_mean_the_same(void **state)
{
    (void)state;
    struct config *json = load_strictly("deploy/starling.example.json");
    struct config *yaml = load_strictly("deploy/starling.example.yaml");
    struct buf from_json = {0};
    struct buf from_yaml = {0};
    print_into(&from_json, config_print, json);
    print_into(&from_yaml, config_print, yaml);
    assert_int_equal(json->channels.namespace_count, 4);
    assert_true(str_equal(buf_str(&from_json), buf_str(&from_yaml)));
    buf_release(&from_json);
    buf_release(&from_yaml);
    config_free(json);
    config_free(yaml);
}

static void print_markdown(const struct config *unused, FILE *out)
{
    (void)unused;
    config_print_markdown(out);
}

static void the_tables_of_the_readme_are_those_of_configdoc(void **state)
{
    static const char begin[] = "<!-- options begin -->\n\n";
    static const char end[] = "<!-- options end -->\n";
    struct buf readme = {0};
    struct buf tables = {0};
    bool is_public;
    (void)state;
    assert_true(config_read_file("deploy/README.md", CONFIG_FILE_BYTES_MAX, &readme, &is_public, &tables));
    buf_append_char(&readme, '\0');
    const char *from = strstr(readme.at, begin);
    const char *to = strstr(readme.at, end);
    assert_non_null(from);
    assert_non_null(to);
    from += sizeof begin - 1;
    print_into(&tables, print_markdown, NULL);
    if (!str_equal(buf_str(&tables), str_make(from, (size_t)(to - from)))) {
        fail_msg(
            "deploy/README.md is out of date: put the output of `starling configdoc` between its markers");
    }
    buf_release(&readme);
    buf_release(&tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_pass_the_strict_check_and_mean_the_same),
        cmocka_unit_test(the_tables_of_the_readme_are_those_of_configdoc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

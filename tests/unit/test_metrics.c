#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/metrics.h"

#include <stdio.h>
#include <stdlib.h>

static char *print(const struct metrics *sum)
{
    struct buf out = {0};
    const struct metrics_process process = {.worker_count = 4,
                                            .uptime_s = 90,
                                            .resident_bytes = 1 << 20,
                                            .cpu_s = 1.5,
                                            .open_fds = 12,
                                            .max_fds = 1024};
    metrics_print(&out, sum, &process);
    buf_append_char(&out, '\0');
    assert_false(out.failed);
    return out.at;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void a_row_has_its_help_its_type_and_its_value(void **state)
{
    (void)state;
    struct metrics sum = {.commands_total = 18446744073709551615u, .clients = 3};
    char *text = print(&sum);
    assert_non_null(strstr(text, "# HELP starling_commands_total commands from clients\n"
                                 "# TYPE starling_commands_total counter\n"
                                 "starling_commands_total 18446744073709551615\n"));
    assert_non_null(strstr(text, "# TYPE starling_node_num_clients gauge\nstarling_node_num_clients 3\n"));
    assert_non_null(strstr(text, "# TYPE starling_loop_lag_microseconds_max gauge\n"));
    free(text);
}

static void rows_of_one_name_share_help_and_type(void **state)
{
    (void)state;
    struct metrics sum = {.limited_connections_total = 1, .limited_rate_total = 2, .limited_user_total = 5};
    char *text = print(&sum);
    assert_int_equal(count_of(text, "# TYPE starling_connections_limited_total "), 1);
    assert_non_null(strstr(text, "\nstarling_connections_limited_total{limit=\"connections\"} 1\n"
                                 "starling_connections_limited_total{limit=\"rate\"} 2\n"));
    assert_non_null(strstr(text, "\nstarling_connections_limited_total{limit=\"user\"} 5\n"));
    free(text);
}

/* A scraper refuses a text in which a family comes twice or a sample has no family. */
static void every_family_comes_once_and_every_sample_follows_its_own(void **state)
{
    (void)state;
    struct metrics sum = {0};
    char *text = print(&sum);
    char family[128] = "";
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL && rest != NULL) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_int_equal(sscanf(line + 7, "%127s", family), 1);
        } else if (line[0] != '#') {
            char sample[128];
            assert_int_equal(sscanf(line, "%127[a-z_]", sample), 1);
            assert_string_equal(sample, family);
        }
    }
    assert_string_equal(line, ""); /* the text ends with a line end */
    free(text);

    text = print(&sum);
    const char *next = text;
    while ((next = strstr(next, "# TYPE ")) != NULL) {
        char declared[160];
        assert_int_equal(sscanf(next, "# TYPE %127s", family), 1);
        (void)snprintf(declared, sizeof declared, "# TYPE %s ", family);
        assert_int_equal(count_of(text, declared), 1);
        next++;
    }
    free(text);
}

static void error_replies_are_counted_by_their_code(void **state)
{
    (void)state;
    struct metrics sum = {0};
    sum.reply_errors[STATUS_INTERNAL] = 1;
    sum.reply_errors[STATUS_NO_MEMORY] = 2;
    sum.reply_errors[STATUS_BUSY] = 4;
    sum.reply_errors[STATUS_BAD_REQUEST] = 8;
    char *text = print(&sum);
    assert_non_null(strstr(text, "\nstarling_client_num_reply_errors{code=\"100\"} 7\n"));
    assert_non_null(strstr(text, "\nstarling_client_num_reply_errors{code=\"107\"} 8\n"));
    assert_int_equal(count_of(text, "code=\"100\""), 1);
    assert_int_equal(count_of(text, "code=\"0\""), 0);
    free(text);
}

static void the_process_is_described_under_the_usual_names(void **state)
{
    (void)state;
    struct metrics sum = {0};
    char *text = print(&sum);
    assert_non_null(strstr(text, "\nprocess_cpu_seconds_total 1.50\n"));
    assert_non_null(strstr(text, "\nprocess_resident_memory_bytes 1048576\n"));
    assert_non_null(strstr(text, "\nprocess_open_fds 12\n"));
    assert_non_null(strstr(text, "\nprocess_max_fds 1024\n"));
    assert_non_null(strstr(text, "\nstarling_uptime_seconds 90\n"));
    assert_non_null(strstr(text, "\nstarling_workers 4\n"));
    free(text);
}

static void sums_add_counters_and_gauges_and_keep_the_largest_maximum(void **state)
{
    (void)state;
    struct metrics sum = {.commands_total = 1, .clients = 10, .loop_lag_us_max = 500};
    struct metrics from = {.commands_total = 2, .clients = 5, .loop_lag_us_max = 400};
    from.reply_errors[STATUS_EXPIRED] = 3;
    metrics_add(&sum, &from);
    metrics_add(&sum, &from);
    assert_int_equal(sum.commands_total, 5);
    assert_int_equal(sum.clients, 20);
    assert_int_equal(sum.loop_lag_us_max, 500);
    assert_int_equal(sum.reply_errors[STATUS_EXPIRED], 6);
    from.loop_lag_us_max = 501;
    metrics_add(&sum, &from);
    assert_int_equal(sum.loop_lag_us_max, 501);
}

static void the_process_can_read_itself(void **state)
{
    (void)state;
    struct metrics_process before = {0}, with_one_more = {0};
    metrics_read_process(&before);
    FILE *file = fopen("/dev/null", "re");
    assert_non_null(file);
    metrics_read_process(&with_one_more);
    assert_int_equal(fclose(file), 0);
    assert_true(before.resident_bytes > 4096);
    assert_int_equal(with_one_more.open_fds, before.open_fds + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_has_its_help_its_type_and_its_value),
        cmocka_unit_test(rows_of_one_name_share_help_and_type),
        cmocka_unit_test(every_family_comes_once_and_every_sample_follows_its_own),
        cmocka_unit_test(error_replies_are_counted_by_their_code),
        cmocka_unit_test(the_process_is_described_under_the_usual_names),
        cmocka_unit_test(sums_add_counters_and_gauges_and_keep_the_largest_maximum),
        cmocka_unit_test(the_process_can_read_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

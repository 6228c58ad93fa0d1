#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/cli.h"
#include "server/config.h"
#include "server/cookie_auth.h"
#include "server/password.h"
#include "server/version.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Every test runs in an empty folder of its own, with both outputs going to files. */
struct run {
    int code;
    bool was_served;
    uint32_t port; /* of the configuration that serve got */
    bool is_dev;
    char out[65536];
    char err[65536];
};

static struct run run;

static int fake_serve(struct config *config, const struct config_source *source)
{
    (void)source;
    run.was_served = true;
    run.port = config->http_server_port;
    run.is_dev = config->is_dev;
    return 0;
}

static int redirect(int fd, const char *path, int *saved)
{
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0);
    *saved = dup(fd);
    assert_true(*saved >= 0);
    assert_true(dup2(file, fd) >= 0);
    return file;
}

static void restore(int fd, int saved, int file, char *text, size_t size)
{
    assert_true(dup2(saved, fd) >= 0);
    assert_int_equal(close(saved), 0);
    ssize_t len = pread(file, text, size - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    assert_int_equal(close(file), 0);
}

/* Runs `starling` with up to seven arguments, the last one NULL. */
static void starling(const char *const *arguments)
{
    char *argv[9] = {(char *)(uintptr_t) "starling"};
    int argc = 1;
    int saved_out;
    int saved_err;
    for (; arguments[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
    }
    run = (struct run){0};
    (void)fflush(stdout); /* what the test framework printed belongs to the terminal */
    int out = redirect(STDOUT_FILENO, ".out", &saved_out);
    int err = redirect(STDERR_FILENO, ".err", &saved_err);
    run.code = cli_main(argc, argv, fake_serve);
    (void)fflush(stdout);
    (void)fflush(stderr);
    restore(STDOUT_FILENO, saved_out, out, run.out, sizeof run.out);
    restore(STDERR_FILENO, saved_err, err, run.err, sizeof run.err);
}

#define STARLING(...) starling((const char *const[]){__VA_ARGS__, NULL})

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static void read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
}

static int enter_folder(void **state)
{
    static char path[32];
    (void)snprintf(path, sizeof path, "/tmp/starling-cli-XXXXXX");
    assert_non_null(mkdtemp(path));
    assert_int_equal(chdir(path), 0);
    *state = path;
    return 0;
}

static int leave_folder(void **state)
{
    DIR *folder = opendir(".");
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            assert_int_equal(unlink(entry->d_name), 0);
        }
    }
    assert_int_equal(closedir(folder), 0);
    assert_int_equal(chdir("/"), 0);
    return rmdir(*state);
}

static void without_a_command_the_server_runs(void **state)
{
    (void)state;
    starling((const char *const[]){NULL});
    assert_int_equal(run.code, CLI_OK);
    assert_true(run.was_served);
    assert_int_equal(run.port, 8000);
    STARLING("serve", "-p", "9001");
    assert_true(run.was_served);
    assert_int_equal(run.port, 9001);
    STARLING("--port=9002");
    assert_int_equal(run.port, 9002);
    STARLING("--http_server.port", "9003");
    assert_int_equal(run.port, 9003);
    STARLING("--dev", "--client.insecure", "-p", "9004");
    assert_int_equal(run.port, 9004);
    assert_true(run.is_dev);
}

static void the_file_of_the_current_folder_is_found(void **state)
{
    (void)state;
    write_file("starling.yaml", "http_server: {port: 9005}\n");
    starling((const char *const[]){NULL});
    assert_int_equal(run.port, 9005);
    write_file("other.json", "{\"http_server\": {\"port\": 9006}}");
    STARLING("-c", "other.json");
    assert_int_equal(run.port, 9006);
    STARLING("--config=other.json");
    assert_int_equal(run.port, 9006);
    STARLING("--dev");
    assert_int_equal(run.port, 8000);
}

static void wrong_arguments_and_configurations_exit_with_2_and_do_not_serve(void **state)
{
    static const char *const cases[][4] = {
        {"nonsense"},
        {"serve", "extra"},
        {"-x"},
        {"-c"},
        {"-c", "missing.json"},
        {"--http_server.port=99999"},
        {"--http_server.port"},
        {"--no.such.option=1"},
        {"--dev-address"},
        {"serve", "--strict"},
        {"--client.insecure", "true"},
        {"genconfig", "x"},
        {"genconfig", "-c"},
        {"genconfig", "-c", "a.toml"},
        {"configdoc", "x"},
        {"version", "x"},
        {"checkconfig", "x"},
        {"--dev", "-a", "0.0.0.0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        starling(cases[i]);
        if (run.code != CLI_USAGE || run.was_served || strstr(run.err, "error: ") == NULL) {
            fail_msg("%s %s: code %d, %s", cases[i][0], cases[i][1] == NULL ? "" : cases[i][1], run.code,
                     run.err);
        }
        assert_string_equal(run.out, "");
    }
}

static void every_command_explains_itself_with_one_example(void **state)
{
    static const char *const names[] = {
        "serve",         "genconfig", "checkconfig",  "configdoc", "gentoken", "gensubtoken", "checktoken",
        "checksubtoken", "gencookie", "hashpassword", "pub",       "sub",      "version"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        STARLING(names[i], "--help");
        assert_int_equal(run.code, CLI_OK);
        assert_false(run.was_served);
        assert_non_null(strstr(run.out, names[i]));
        const char *example = strstr(run.out, "example: starling ");
        assert_non_null(example);
        assert_null(strstr(example + 1, "example: "));
        STARLING("help", names[i]);
        assert_non_null(strstr(run.out, "example: starling "));
    }
    STARLING("help");
    assert_int_equal(run.code, CLI_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_non_null(strstr(run.out, names[i]));
    }
    STARLING("--help");
    assert_non_null(strstr(run.out, "starling --dev"));
}

static void genconfig_writes_a_file_that_checkconfig_accepts_and_serve_runs(void **state)
{
    static const char *const files[] = {"starling.json", "b.yaml"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct stat about;
        STARLING("genconfig", "-c", files[i]);
        assert_int_equal(run.code, CLI_OK);
        assert_int_equal(stat(files[i], &about), 0);
        assert_int_equal(about.st_mode & 0777, 0600);
        STARLING("checkconfig", "--strict", "-c", files[i]);
        assert_int_equal(run.code, CLI_OK);
        assert_string_equal(run.err, "");
        STARLING("-c", files[i]);
        assert_true(run.was_served);
    }
}

static void genconfig_makes_new_secrets_each_time_and_never_overwrites(void **state)
{
    char first[4096];
    char second[4096];
    (void)state;
    STARLING("genconfig", "-c", "a.json");
    STARLING("genconfig", "-c", "b.json");
    read_file("a.json", first, sizeof first);
    read_file("b.json", second, sizeof second);
    assert_string_not_equal(first, second);
    STARLING("genconfig", "-c", "a.json");
    assert_int_equal(run.code, CLI_FAILED);
    assert_non_null(strstr(run.err, "cannot write 'a.json': File exists"));
    read_file("a.json", second, sizeof second);
    assert_string_equal(first, second);
}

static void hash_input(const char *input)
{
    write_file("in.txt", input);
    assert_non_null(freopen("in.txt", "r", stdin));
    STARLING("hashpassword");
}

static void hashpassword_prints_a_hash_of_the_line_it_reads(void **state)
{
    (void)state;
    static const char *const inputs[] = {"correct horse\n", "correct horse", "correct horse\nmore\n"};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        hash_input(inputs[i]);
        assert_int_equal(run.code, CLI_OK);
        assert_string_equal(run.err, "");
        run.out[strcspn(run.out, "\n")] = '\0';
        assert_true(password_hash_is_valid(run.out));
        assert_true(password_matches(run.out, STR("correct horse")));
    }
}

static void hashpassword_takes_8_to_1024_bytes_and_none_as_an_argument(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        int code;
    } cases[] = {{0, CLI_FAILED}, {7, CLI_FAILED}, {8, CLI_OK},
                 {9, CLI_OK},     {1024, CLI_OK},  {1025, CLI_FAILED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[1100] = {0};
        memset(line, 'a', cases[i].len);
        line[cases[i].len] = '\n';
        hash_input(line);
        assert_int_equal(run.code, cases[i].code);
    }
    STARLING("hashpassword", "correct horse");
    assert_int_equal(run.code, CLI_USAGE);
}

static void gencookie_makes_what_the_server_reads(void **state)
{
    (void)state;
    static const char *const froms[] = {"value", "json:id"};
    for (size_t i = 0; i < sizeof froms / sizeof froms[0]; i++) {
        char text[512];
        (void)snprintf(
            text, sizeof text,
            "{\"client\":{\"cookie_auth\":{\"enabled\":true,\"name\":\"login\",\"user_from\":\"%s\","
            "\"keys\":{\"3\":\"k3VrPq8sW2mXz7Lt0BnJcYd5HfGaUe1R\"},\"key_version\":3}}}",
            froms[i]);
        write_file("c.json", text);
        STARLING("gencookie", "-c", "c.json", "-u", "J\xc3\xb6rg \"x\"");
        assert_int_equal(run.code, CLI_OK);
        struct config *config = NULL;
        struct config_report report = {0};
        struct config_source source = {.file = "c.json", .allows_weak_secrets = true};
        struct buf user = {0};
        const char *rule = "";
        assert_int_equal(config_load(&config, &source, &report), STATUS_OK);
        struct str cookie = str_first(str_from_cstr(run.out), strcspn(run.out, "\n"));
        assert_true(str_is(str_next(&cookie, '='), "login"));
        uint64_t now_s = (uint64_t)time(NULL);
        assert_true(cookie_auth_read(config, cookie, now_s, &user, &rule));
        assert_true(str_is(buf_str(&user), "J\xc3\xb6rg \"x\""));
        buf_release(&user);
        config_free(config);
        config_report_release(&report);
    }
    STARLING("gencookie", "-c", "c.json");
    assert_int_equal(run.code, CLI_USAGE);
    write_file("empty.json", "{}");
    STARLING("gencookie", "-c", "empty.json", "-u", "42");
    assert_int_equal(run.code, CLI_FAILED);
    assert_non_null(strstr(run.err, "key_version"));
}

static void checkconfig_exits_with_1_when_something_is_wrong(void **state)
{
    (void)state;
    write_file("a.json", "{\"client\": {\"ping_interval\": \"1\"}}");
    STARLING("checkconfig", "-c", "a.json");
    assert_int_equal(run.code, CLI_FAILED);
    assert_non_null(strstr(run.err, "error: 'client.ping_interval' in a.json is '1', must be 1s to 1h"));
    assert_non_null(strstr(run.err, "refused: a.json"));
    assert_string_equal(run.out, "");
}

static void checkconfig_takes_unknown_keys_and_variables_for_errors_when_strict(void **state)
{
    (void)state;
    write_file("a.json", "{\"client\": {\"ping_intervall\": \"30s\"}}");
    STARLING("checkconfig", "-c", "a.json");
    assert_int_equal(run.code, CLI_OK);
    assert_non_null(strstr(run.err, "did you mean 'client.ping_interval'?"));
    STARLING("checkconfig", "-s", "-c", "a.json");
    assert_int_equal(run.code, CLI_FAILED);
    write_file("a.json", "{}");
    STARLING("checkconfig", "-s", "-c", "a.json");
    assert_int_equal(run.code, CLI_OK);
    assert_int_equal(setenv("STARLING_LOG_LEVELL", "info", 1), 0);
    STARLING("checkconfig", "-s", "-c", "a.json");
    assert_int_equal(run.code, CLI_FAILED);
    assert_int_equal(unsetenv("STARLING_LOG_LEVELL"), 0);
}

static void print_config_prints_and_does_not_serve(void **state)
{
    (void)state;
    STARLING("--dev", "--print-config", "-p", "9010");
    assert_int_equal(run.code, CLI_OK);
    assert_false(run.was_served);
    assert_non_null(strstr(run.out, "9010"));
    assert_non_null(strstr(run.out, "channel.namespaces.chat.presence"));
}

static void the_version_is_printed_as_text_and_json(void **state)
{
    (void)state;
    STARLING("version");
    assert_string_equal(run.out, "starling " STARLING_VERSION "\n");
    STARLING("--version");
    assert_string_equal(run.out, "starling " STARLING_VERSION "\n");
    STARLING("version", "--json");
    assert_non_null(strstr(run.out, "{\"name\":\"starling\",\"version\":\"" STARLING_VERSION "\""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_command_the_server_runs),
        TEST(the_file_of_the_current_folder_is_found),
        TEST(wrong_arguments_and_configurations_exit_with_2_and_do_not_serve),
        TEST(every_command_explains_itself_with_one_example),
        TEST(genconfig_writes_a_file_that_checkconfig_accepts_and_serve_runs),
        TEST(genconfig_makes_new_secrets_each_time_and_never_overwrites),
        TEST(hashpassword_prints_a_hash_of_the_line_it_reads),
        TEST(hashpassword_takes_8_to_1024_bytes_and_none_as_an_argument),
        TEST(gencookie_makes_what_the_server_reads),
        TEST(checkconfig_exits_with_1_when_something_is_wrong),
        TEST(checkconfig_takes_unknown_keys_and_variables_for_errors_when_strict),
        TEST(print_config_prints_and_does_not_serve),
        TEST(the_version_is_printed_as_text_and_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/config.h"
#include "server/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "k3VrPq8sW2mXz7Lt0BnJcYd5HfGaUe1R"
#define QUIET \
    "\"client\": {\"allow_anonymous_connect_without_token\": true}, \"http_api\": {\"key\": \"k3VrPq8sW2\"}"

struct load {
    struct config *config; /* NULL: refused */
    struct config_report report;
    enum status status;
};

static struct load load(const struct config_source *source)
{
    struct load load = {0};
    load.status = config_load(&load.config, source, &load.report);
    assert_int_equal(load.status == STATUS_OK, load.config != NULL);
    assert_int_equal(load.status == STATUS_OK, load.report.error_count == 0);
    return load;
}

static struct load load_json(const char *text)
{
    return load(&(struct config_source){.text = str_from_cstr(text), .format = CONFIG_JSON});
}

static struct load load_yaml(const char *text)
{
    return load(&(struct config_source){.text = str_from_cstr(text), .format = CONFIG_YAML});
}

static struct load load_environment(const char *const *environment)
{
    return load(&(struct config_source){.environment = (char *const *)(uintptr_t)environment});
}

static struct load load_flag(const char *path, const char *value)
{
    struct config_flag flag = {str_from_cstr(path), str_from_cstr(value)};
    return load(&(struct config_source){.flags = &flag, .flag_count = 1});
}

static void unload(struct load *load)
{
    config_free(load->config);
    config_report_release(&load->report);
}

static const struct config_note *find_note(const struct load *load, const char *part)
{
    for (size_t i = 0; i < load->report.count; i++) {
        if (strstr(load->report.notes[i].text, part) != NULL) {
            return &load->report.notes[i];
        }
    }
    return NULL;
}

static void expect_note(const struct load *load, enum config_note_kind kind, const char *part)
{
    const struct config_note *note = find_note(load, part);
    if (note == NULL) {
        config_report_print(&load->report, stderr);
        fail_msg("no note says: %s", part);
        return;
    }
    assert_int_equal(note->kind, kind);
}

static void expect_json_error(const char *text, const char *part)
{
    struct load refused = load_json(text);
    assert_int_equal(refused.status, STATUS_BAD_REQUEST);
    expect_note(&refused, CONFIG_NOTE_ERROR, part);
    unload(&refused);
}

static void expect_json_accepted(const char *text)
{
    struct load accepted = load_json(text);
    if (accepted.status != STATUS_OK) {
        config_report_print(&accepted.report, stderr);
    }
    assert_int_equal(accepted.status, STATUS_OK);
    unload(&accepted);
}

static void expect_yaml_error(const char *text, const char *part)
{
    struct load refused = load_yaml(text);
    assert_int_equal(refused.status, STATUS_BAD_REQUEST);
    expect_note(&refused, CONFIG_NOTE_ERROR, part);
    unload(&refused);
}

/* Tables */

static void every_default_parses_and_is_within_its_range(void **state)
{
    (void)state;
    struct load defaults = load(&(struct config_source){0});
    assert_int_equal(defaults.status, STATUS_OK);
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        if (defaults.config->origins[i] == ORIGIN_DEFAULT) {
            assert_true(option_is_preset(&config_rows[i], defaults.config));
        }
    }
    unload(&defaults);
}

static void the_defaults_are_those_of_the_threat_table(void **state)
{
    (void)state;
    struct load defaults = load(&(struct config_source){0});
    const struct config *config = defaults.config;
    assert_int_equal(config->http_server_port, 8000);
    assert_int_equal(config->http_server_address.count, 0);
    assert_int_equal(config->client_ping_interval_ms, 25000);
    assert_int_equal(config->client_pong_timeout_ms, 8000);
    assert_int_equal(config->client_queue_max_size, 1048576);
    assert_int_equal(config->websocket_message_size_limit, 65536);
    assert_int_equal(config->limits_http_headers_size, 16384);
    assert_int_equal(config->limits_json_depth, 32);
    assert_int_equal(config->client_connection_limit, 10000);
    assert_int_equal(config->log_level, LOG_INFO);
    assert_string_equal(config->http_api_handler_prefix, "/api");
    assert_int_equal(config->channel_history_meta_ttl_ms, 720ull * 3600 * 1000);
    assert_int_equal(config->channels.max_length, 255);
    assert_int_equal(config->channels.private_prefix, '$');
    assert_false(config->client_insecure);
    unload(&defaults);
}

/* Sources */

static void a_json_file_sets_options_of_every_type(void **state)
{
    (void)state;
    struct load it = load_json("{\"http_server\": {\"port\": 9000, \"address\": \"127.0.0.1\"},"
                               " \"log\": {\"level\": \"debug\", \"format\": \"json\"},"
                               " \"client\": {\"ping_interval\": \"1m\", \"insecure\": true,"
                               "   \"queue_max_size\": 131072,"
                               "   \"allowed_origins\": [\"https://a.example.com\", \"https://*.b.test\"],"
                               "   \"token\": {\"hmac_secret_key\": \"" SECRET "\"}},"
                               " \"channel\": {\"private_prefix\": \"\"},"
                               " \"websocket\": {\"message_size_limit\": \"128KiB\"}}");
    assert_int_equal(it.status, STATUS_OK);
    assert_int_equal(it.config->http_server_port, 9000);
    assert_int_equal(it.config->http_server_address.count, 1);
    assert_string_equal(it.config->http_server_address.at[0].at, "127.0.0.1");
    assert_int_equal(it.config->log_level, LOG_DEBUG);
    assert_int_equal(it.config->log_format, CONFIG_LOG_JSON);
    assert_int_equal(it.config->client_ping_interval_ms, 60000);
    assert_true(it.config->client_insecure);
    assert_int_equal(it.config->client_allowed_origins.count, 2);
    assert_string_equal(it.config->client_allowed_origins.at[1].at, "https://*.b.test");
    assert_string_equal(it.config->client_token_hmac_secret_key, SECRET);
    assert_int_equal(it.config->channels.private_prefix, '\0');
    assert_int_equal(it.config->websocket_message_size_limit, 131072);
    unload(&it);
}

static void a_yaml_file_means_the_same_as_json(void **state)
{
    (void)state;
    struct load it =
        load_yaml("# a comment\n"
                  "http_server:\n"
                  "  port: 9000\n"
                  "client:\n"
                  "  insecure: true\n"
                  "  ping_interval: 1m\n"
                  "  allowed_origins:\n"
                  "    - https://a.example.com\n"
                  "    - 'https://b.test'\n"
                  "  token:\n"
                  "    audience: \"12345\"\n"
                  "    issuer: 12345\n"
                  "log:\n"
                  "  file:\n"
                  "channel:\n"
                  "  namespaces: [{name: chat, presence: true, history_size: 10, history_ttl: 1m}]\n");
    assert_int_equal(it.status, STATUS_OK);
    assert_int_equal(it.config->http_server_port, 9000);
    assert_int_equal(it.config->client_ping_interval_ms, 60000);
    assert_int_equal(it.config->client_allowed_origins.count, 2);
    assert_string_equal(it.config->client_token_audience, "12345");
    assert_string_equal(it.config->client_token_issuer, "12345");
    assert_string_equal(it.config->log_file, "");
    assert_int_equal(it.config->channels.namespace_count, 1);
    assert_int_equal(it.config->channels.namespaces[0].history_ttl_ms, 60000);
    unload(&it);
}

static void an_empty_yaml_file_sets_nothing(void **state)
{
    (void)state;
    struct load it = load_yaml("# nothing\n");
    assert_int_equal(it.status, STATUS_OK);
    unload(&it);
}

static void yaml_that_could_mean_something_else_is_refused_with_its_line(void **state)
{
    (void)state;
    expect_yaml_error("a: &x 1\n", "line 1: anchors");
    expect_yaml_error("log: &x\n  level: info\n", "line 1: anchors");
    expect_yaml_error("log:\n  level: *x\n", "line 2: aliases");
    expect_yaml_error("log:\n  level: info\n  level: warn\n", "line 3: a key occurs twice");
    expect_yaml_error("log:\n  <<: {level: info}\n", "line 2: merge keys");
    expect_yaml_error("log: !!map {}\n", "line 1: tags");
    expect_yaml_error("log: !secret x\n", "line 1: tags");
    expect_yaml_error("log: {}\n---\nlog: {}\n", "line 2: a second document");
    expect_yaml_error("log: {}\n? [a]\n: 1\n", "line 2: a key must be a text");
    expect_yaml_error("log:\n  file: \"a\\0b\"\n", "line 2: a text contains a NUL");
    expect_yaml_error("log:\n\tlevel: info\n", "line 2:");
    expect_yaml_error("log: {level: info\n", "line ");
    expect_yaml_error("- a\n- b\n", "not one object");
    expect_yaml_error("just text\n", "not one object");
    expect_yaml_error("a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", "nested too deep");
}

static void json_that_is_broken_is_refused_with_its_line_and_without_its_content(void **state)
{
    (void)state;
    expect_json_error("{\n\"log\": {\"level\": \"info\",}}", "line 2");
    expect_json_error("{\"log\": {}, \"log\": {}}", "a key occurs twice");
    expect_json_error("[]", "not one object");
    expect_json_error("", "line ");
    struct load it =
        load_json("{\"client\": {\"token\": {\"hmac_secret_key\": \"" SECRET "\" \"" SECRET "\"}}}");
    assert_int_equal(it.status, STATUS_BAD_REQUEST);
    assert_null(find_note(&it, SECRET));
    unload(&it);
}

static void later_sources_win(void **state)
{
    (void)state;
    char *const environment[] = {(char[]){"STARLING_HTTP_SERVER_PORT=9002"},
                                 (char[]){"STARLING_LOG_LEVEL=warn"}, NULL};
    struct config_flag flags[] = {{STR("http_server.port"), STR("9003")}};
    struct config_source source = {.text = STR("{\"http_server\": {\"port\": 9001, \"workers\": 3},"
                                               " \"log\": {\"level\": \"debug\"}}")};
    struct load it = load(&source);
    assert_int_equal(it.config->http_server_port, 9001);
    unload(&it);
    source.environment = environment;
    it = load(&source);
    assert_int_equal(it.config->http_server_port, 9002);
    unload(&it);
    source.flags = flags;
    source.flag_count = 1;
    it = load(&source);
    assert_int_equal(it.config->http_server_port, 9003);
    assert_int_equal(it.config->log_level, LOG_WARN);
    assert_int_equal(it.config->http_server_workers, 3);
    assert_int_equal(it.config->origins[CONFIG_INDEX_http_server_port], ORIGIN_FLAG);
    assert_int_equal(it.config->origins[CONFIG_INDEX_log_level], ORIGIN_ENVIRONMENT);
    assert_int_equal(it.config->origins[CONFIG_INDEX_http_server_workers], ORIGIN_FILE);
    assert_int_equal(it.config->origins[CONFIG_INDEX_pid_file], ORIGIN_DEFAULT);
    unload(&it);
}

static void the_environment_sets_lists_namespaces_and_their_options(void **state)
{
    (void)state;
    const char *const environment[] = {"STARLING_CLIENT_ALLOWED_ORIGINS=https://a.test  https://b.test",
                                       "STARLING_CHANNEL_NAMESPACES_NS1_PRESENCE=true",
                                       "STARLING_CHANNEL_NAMESPACES_NS1_X_HISTORY_SIZE=5",
                                       "STARLING_CHANNEL_NAMESPACES_NS1_X_HISTORY_TTL=5s",
                                       "STARLING_CHANNEL_NAMESPACES=ns1 ns1-x",
                                       "STARLING_CHANNEL_WITHOUT_NAMESPACE_JOIN_LEAVE=true",
                                       "STARLING_HTTP_API_KEY=",
                                       "STARLING_SERVICE_HOST=10.0.0.1",
                                       "STARLING_PORT=tcp://10.0.0.1:8000",
                                       "STARLING_PORT_8000_TCP_ADDR=10.0.0.1",
                                       "PATH=/bin",
                                       NULL};
    struct load it = load_environment(environment);
    assert_int_equal(it.status, STATUS_OK);
    assert_int_equal(it.report.unknown_count, 0);
    assert_int_equal(it.config->client_allowed_origins.count, 2);
    assert_string_equal(it.config->client_allowed_origins.at[1].at, "https://b.test");
    assert_int_equal(it.config->channels.namespace_count, 2);
    assert_true(channel_rules_find(&it.config->channels, STR("ns1"))->presence);
    assert_int_equal(channel_rules_find(&it.config->channels, STR("ns1"))->history_size, 0);
    assert_int_equal(channel_rules_find(&it.config->channels, STR("ns1-x"))->history_size, 5);
    assert_true(it.config->channels.without_namespace.join_leave);
    unload(&it);
}

static void namespaces_may_be_json_in_the_environment_and_replace_those_of_the_file(void **state)
{
    (void)state;
    char *const environment[] = {
        (char[]){"STARLING_CHANNEL_NAMESPACES=[{\"name\": \"feed\", \"presence\": true}]"}, NULL};
    struct config_source source = {.text = STR("{\"channel\": {\"namespaces\": [{\"name\": \"chat\"}]}}"),
                                   .environment = environment};
    struct load it = load(&source);
    assert_int_equal(it.config->channels.namespace_count, 1);
    assert_true(str_is(it.config->channels.namespaces[0].name, "feed"));
    assert_true(it.config->channels.namespaces[0].presence);
    unload(&it);
}

static void a_secret_may_come_from_a_file_that_the_environment_names(void **state)
{
    (void)state;
    char path[] = "/tmp/starling-test-XXXXXX";
    char variable[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, SECRET "\n", sizeof SECRET), sizeof SECRET);
    assert_int_equal(close(fd), 0);
    (void)snprintf(variable, sizeof variable, "STARLING_CLIENT_TOKEN_HMAC_SECRET_KEY_FILE=%s", path);
    const char *const environment[] = {variable, NULL};
    struct load it = load_environment(environment);
    assert_string_equal(it.config->client_token_hmac_secret_key, SECRET);
    unload(&it);
    assert_int_equal(unlink(path), 0);
    it = load_environment(environment);
    assert_int_equal(it.status, STATUS_BAD_REQUEST);
    expect_note(&it, CONFIG_NOTE_ERROR, "cannot read");
    unload(&it);
}

/* Mistakes */

static void an_unknown_key_is_a_warning_that_names_the_nearest(void **state)
{
    static const struct {
        const char *json;
        const char *advice;
    } cases[] = {
        {"{\"client\": {\"ping_intervall\": \"25s\"}}", "did you mean 'client.ping_interval'?"},
        {"{\"clinet\": {\"ping_interval\": \"25s\"}}", "'clinet' in the configuration is no option"},
        {"{\"port\": 8000}", "did you mean 'http_server.port'?"},
        {"{\"token_hmac_secret_key\": \"x\"}", "did you mean 'client.token.hmac_secret_key'?"},
        {"{\"channel\": {\"namespaces\": [{\"name\": \"chat\", \"presense\": true}]}}",
         "did you mean 'channel.namespaces.chat.presence'?"},
        {"{\"channel\": {\"without_namespace\": {\"recover\": true}}}",
         "'channel.without_namespace.recover' in the configuration is no option"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct load it = load_json(cases[i].json);
        assert_int_equal(it.status, STATUS_OK);
        assert_int_equal(it.report.unknown_count, 1);
        expect_note(&it, CONFIG_NOTE_UNKNOWN, cases[i].advice);
        unload(&it);
    }
}

static void options_of_centrifugo_that_are_missing_are_called_so(void **state)
{
    (void)state;
    struct load it = load_json("{\"grpc_api\": {\"enabled\": true}, \"client\": {\"proxy\": {\"connect\": "
                               "{\"grpc\": {}}}, \"concurrency\": 3},"
                               " \"channel\": {\"namespaces\": [{\"name\": \"chat\", \"map\": {}}]}}");
    assert_int_equal(it.report.unknown_count, 4);
    expect_note(&it, CONFIG_NOTE_UNKNOWN,
                "'grpc_api' in the configuration is known to Centrifugo, not supported yet");
    expect_note(&it, CONFIG_NOTE_UNKNOWN, "'client.concurrency' in the configuration is known to Centrifugo");
    expect_note(&it, CONFIG_NOTE_UNKNOWN, "'client.proxy.connect.grpc' in the configuration is known");
    expect_note(&it, CONFIG_NOTE_UNKNOWN, "'channel.namespaces.chat.map' in the configuration is known");
    unload(&it);
}

static void an_unknown_environment_variable_is_a_warning_that_names_the_nearest(void **state)
{
    (void)state;
    const char *const environment[] = {"STARLING_CLIENT_PING_INTERVALL=25s", "STARLING_QQQQQQ=1", NULL};
    struct load it = load_environment(environment);
    assert_int_equal(it.report.unknown_count, 2);
    expect_note(&it, CONFIG_NOTE_UNKNOWN, "did you mean STARLING_CLIENT_PING_INTERVAL?");
    expect_note(&it, CONFIG_NOTE_UNKNOWN, "STARLING_QQQQQQ is no option");
    unload(&it);
}

static void an_unknown_flag_stops_the_start(void **state)
{
    (void)state;
    struct load it = load_flag("http_server.prot", "1");
    assert_int_equal(it.status, STATUS_BAD_REQUEST);
    expect_note(&it, CONFIG_NOTE_ERROR, "did you mean '--http_server.port'?");
    unload(&it);
}

static void a_flag_without_a_value_switches_a_boolean_on(void **state)
{
    (void)state;
    struct config_flag flags[] = {{STR("client.insecure"), {NULL, 0}},
                                  {STR("channel.without_namespace.presence"), {NULL, 0}}};
    struct load it = load(&(struct config_source){.flags = flags, .flag_count = 2});
    assert_true(it.config->client_insecure);
    assert_true(it.config->channels.without_namespace.presence);
    unload(&it);
    flags[0].path = STR("http_server.port");
    it = load(&(struct config_source){.flags = flags, .flag_count = 1});
    expect_note(&it, CONFIG_NOTE_ERROR, "--http_server.port needs a value");
    unload(&it);
}

static void a_bad_value_is_named_with_its_option_and_range(void **state)
{
    (void)state;
    expect_json_error("{\"client\": {\"ping_interval\": \"500ms\"}}",
                      "'client.ping_interval' in the configuration is '500ms', must be 1s to 1h");
    expect_json_error("{\"client\": {\"ping_interval\": 25}}",
                      "is '25', must be 1s to 1h (with a unit, like 25s)");
    expect_json_error("{\"http_server\": {\"port\": 65536}}", "is '65536', must be 0 to 65535");
    expect_json_error("{\"http_server\": {\"port\": -1}}", "is '-1'");
    expect_json_error("{\"http_server\": {\"port\": 80.5}}", "is 'a fraction'");
    expect_json_error("{\"http_server\": {\"port\": true}}", "is 'true'");
    expect_json_error("{\"log\": {\"level\": \"loud\"}}",
                      "must be trace, debug, info, warn, error, fatal, none");
    expect_json_error("{\"log\": {\"file\": {}}}", "is 'an object', must be a text");
    expect_json_error("{\"log\": \"debug\"}", "'log' in the configuration must be an object");
    expect_json_error("{\"engine\": {\"type\": \"nats\"}}", "is 'nats', must be memory, redis");
    expect_json_error("{\"client\": {\"insecure\": \"yes\"}}", "must be true or false");
    expect_json_error("{\"client\": {\"allowed_origins\": [1]}}", "must be a list of texts");
    expect_json_error("{\"channel\": {\"private_prefix\": \"ab\"}}", "one punctuation character");
    expect_json_error("{\"channel\": {\"private_prefix\": \"a\"}}", "one punctuation character");
    expect_json_error(
        "{\"channel\": {\"namespaces\": [{\"name\": \"chat\", \"history_size\": 1000001}]}}",
        "'channel.namespaces.chat.history_size' in the configuration is '1000001', must be 0 to 1000000");
    expect_json_error("{\"channel\": {\"without_namespace\": {\"overflow\": \"drop\"}}}",
                      "must be disconnect, latest_only");
    expect_json_error("{\"channel\": {\"without_namespace\": {\"channel_regex\": \"(\"}}}",
                      "is no expression");
    expect_json_error("{\"channel\": {\"namespaces\": {}}}", "must be a list");
    expect_json_error("{\"channel\": {\"namespaces\": [{}]}}", "entry 1 is no object with a name");
    struct load it = load_flag("log.level", "loud");
    expect_note(&it, CONFIG_NOTE_ERROR, "--log.level is 'loud', must be");
    unload(&it);
    const char *const environment[] = {"STARLING_LOG_LEVEL=loud", NULL};
    it = load_environment(environment);
    expect_note(&it, CONFIG_NOTE_ERROR, "STARLING_LOG_LEVEL is 'loud', must be");
    unload(&it);
}

static void P08_notes_are_printable_and_hold_no_secret(void **state)
{
    (void)state;
    struct load it = load_json("{\"client\": {\"token\": {\"hmac_secret_key\": [\"" SECRET "\"]}},"
                               " \"log\": {\"level\": \"\\u001b[31m\"}, \"a\\nb\": 1}");
    assert_int_equal(it.status, STATUS_BAD_REQUEST);
    expect_note(&it, CONFIG_NOTE_ERROR, "is ***, must be a text");
    for (size_t i = 0; i < it.report.count; i++) {
        assert_null(strstr(it.report.notes[i].text, SECRET));
        for (const char *c = it.report.notes[i].text; *c != '\0'; c++) {
            assert_true(*c >= 0x20 && *c < 0x7F);
        }
    }
    unload(&it);
}

static void the_number_of_notes_is_bounded(void **state)
{
    struct buf text = {0};
    (void)state;
    buf_append_lit(&text, "{");
    for (int i = 0; i < 300; i++) {
        buf_printf(&text, "%s\"key%d\": 1", i == 0 ? "" : ",", i);
    }
    buf_append_lit(&text, "}");
    struct load it = load(&(struct config_source){.text = buf_str(&text)});
    assert_int_equal(it.report.count, 200);
    assert_int_equal(it.report.unknown_count, 300);
    assert_true(it.report.dropped_count >= 100);
    unload(&it);
    buf_release(&text);
}

/* Relations */

static void channel_options_that_contradict_each_other_are_refused(void **state)
{
#define OPTIONS(text) "{\"channel\": {\"without_namespace\": {" text "}}}"
    (void)state;
    expect_json_error(OPTIONS("\"history_size\": 1"), "both or not at all");
    expect_json_error(OPTIONS("\"history_ttl\": \"1s\""), "both or not at all");
    expect_json_error(OPTIONS("\"history_size\": 1, \"history_ttl\": \"1500ms\""), "whole seconds");
    expect_json_error(OPTIONS("\"history_size\": 1, \"history_ttl\": \"721h\""), "history_meta_ttl");
    expect_json_error(OPTIONS("\"history_size\": 1, \"history_ttl\": \"2m\", \"history_meta_ttl\": \"1m\""),
                      "history_meta_ttl");
    expect_json_accepted(
        OPTIONS("\"history_size\": 1, \"history_ttl\": \"1m\", \"history_meta_ttl\": \"1m\""));
    expect_json_accepted(OPTIONS("\"history_size\": 1, \"history_ttl\": \"720h\""));
    expect_json_error(OPTIONS("\"force_recovery\": true"), "recovery needs");
    expect_json_error(OPTIONS("\"allow_recovery\": true"), "recovery needs");
    expect_json_error(OPTIONS("\"auto_cache_recover\": true"), "auto_cache_recover needs");
    expect_json_error(OPTIONS("\"auto_cache_recover\": true, \"force_recovery\": true, \"history_size\": 1,"
                              " \"history_ttl\": \"1m\""),
                      "auto_cache_recover needs");
    expect_json_accepted(
        OPTIONS("\"auto_cache_recover\": true, \"force_recovery\": true, \"history_size\": 1,"
                " \"history_ttl\": \"1m\", \"force_recovery_mode\": \"cache\""));
#undef OPTIONS
}

static void namespace_names_are_checked(void **state)
{
#define NAMES(text) "{\"channel\": {\"namespaces\": [" text "]}}"
    (void)state;
    expect_json_accepted(NAMES("{\"name\": \"ab\"}, {\"name\": \"A-b_c.9\"}"));
    expect_json_error(NAMES("{\"name\": \"a\"}"), "at least two");
    expect_json_error(NAMES("{\"name\": \"\"}"), "at least two");
    expect_json_error(NAMES("{\"name\": \"a b\"}"), "at least two");
    expect_json_error(NAMES("{\"name\": \"a:b\"}"), "at least two");
    expect_json_error(NAMES("{\"name\": \"ab\"}, {\"name\": \"cd\"}, {\"name\": \"ab\"}"), "occurs twice");
    expect_json_error("{\"channel\": {\"namespace_boundary\": \".\", \"namespaces\": [{\"name\": \"a.b\"}]}}",
                      "namespace_boundary");
    expect_json_error("{\"channel\": {\"namespace_boundary\": \"#\"}}", "must differ");
#undef NAMES
}

static void namespaces_inherit_what_they_leave_open(void **state)
{
    (void)state;
    struct load it =
        load_json("{\"channel\": {\"history_meta_ttl\": \"10h\", \"publication_data_format\": \"json\","
                  " \"namespaces\": [{\"name\": \"own\", \"history_meta_ttl\": \"1h\","
                  " \"publication_data_format\": \"json_object\"}, {\"name\": \"open\"}]}}");
    const struct channel_options *own = channel_rules_find(&it.config->channels, STR("own"));
    const struct channel_options *open = channel_rules_find(&it.config->channels, STR("open"));
    assert_int_equal(own->history_meta_ttl_ms, 3600000);
    assert_int_equal(own->publication_data_format, DATA_FORMAT_JSON_OBJECT);
    assert_int_equal(open->history_meta_ttl_ms, 36000000);
    assert_int_equal(open->publication_data_format, DATA_FORMAT_JSON);
    assert_int_equal(it.config->channels.without_namespace.history_meta_ttl_ms, 36000000);
    unload(&it);
}

static void options_of_the_server_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    expect_json_error("{\"client\": {\"ping_interval\": \"8s\"}}", "client.pong_timeout must be shorter");
    expect_json_accepted("{\"client\": {\"ping_interval\": \"8001ms\"}}");
    expect_json_error("{\"http_server\": {\"tls\": {\"enabled\": true}}}", "needs cert_pem and key_pem");
    expect_json_error("{\"http_server\": {\"internal_port\": 8000}}", "must differ");
    expect_json_error("{\"shutdown\": {\"timeout\": \"9s\"}}", "shutdown.drain");
    expect_json_error("{\"limits\": {\"http_header_size\": \"32KiB\"}}", "limits.http_header_size");
    expect_json_error("{\"client\": {\"queue_max_size\": 65535}}", "client.queue_max_size");
    expect_json_accepted("{\"client\": {\"queue_max_size\": 65536}}");
    expect_json_error("{\"limits\": {\"outbox_total\": 1048575}}", "limits.outbox_total");
    expect_json_error("{\"http_api\": {\"handler_prefix\": \"api\"}}", "must be a path");
    expect_json_error("{\"http_api\": {\"handler_prefix\": \"/a b\"}}", "must be a path");
    expect_json_error("{\"http_api\": {\"handler_prefix\": \"/health\"}}", "are the same path");
    expect_json_accepted(
        "{\"http_api\": {\"handler_prefix\": \"/health\"}, \"health\": {\"enabled\": false}}");
    expect_json_error("{\"client\": {\"allowed_origins\": [\"example.com\"]}}", "an origin is like");
    expect_json_error("{\"client\": {\"token\": {\"audience\": \"a\", \"audience_regex\": \"b\"}}}",
                      "exclude");
    expect_json_error("{\"client\": {\"token\": {\"issuer_regex\": \"(\"}}}", "is no expression");
    expect_json_error("{\"client\": {\"subscription_token\": {\"enabled\": true}}}", "needs a key");
    expect_json_error("{\"client\": {\"subscribe_to_user_personal_channel\": {\"enabled\": true,"
                      " \"personal_channel_namespace\": \"user\"}}}",
                      "namespace 'user' does not exist");
    expect_json_error("{\"client\": {\"subscribe_to_user_personal_channel\": {\"enabled\": true,"
                      " \"single_connection\": true}}}",
                      "needs presence");
}

static void A05_a_short_hmac_secret_is_refused_unless_it_is_asked_for(void **state)
{
    (void)state;
    expect_json_error("{\"client\": {\"token\": {\"hmac_secret_key\": \"k3VrPq8sW2mXz7Lt0BnJcYd5HfGaUe1\"}}}",
                      "shorter than 32 bytes");
    expect_json_accepted("{\"client\": {\"token\": {\"hmac_secret_key\": \"" SECRET "\"}}}");
    expect_json_accepted("{\"client\": {\"token\": {\"hmac_secret_key\": \"" SECRET "x\"}}}");
    expect_json_error("{\"client\": {\"token\": {\"hmac_previous_secret_key\": \"short\"}}}",
                      "shorter than 32");
    expect_json_accepted("{\"client\": {\"insecure\": true, \"token\": {\"hmac_secret_key\": \"short\"}}}");
    struct config_source source = {.text = STR("{\"client\": {\"token\": {\"hmac_secret_key\": \"short\"}}}"),
                                   .allows_weak_secrets = true};
    struct load it = load(&source);
    expect_note(&it, CONFIG_NOTE_WARNING, "shorter than 32 bytes");
    unload(&it);
}

static void A32_a_secret_that_everybody_knows_is_refused(void **state)
{
    (void)state;
    expect_json_error("{\"http_api\": {\"key\": \"d7627bb6-2292-4911-82e1-615c0ed3eebb\"}}",
                      "everybody knows");
    expect_json_error("{\"http_api\": {\"key\": \"please-Change-Me\"}}", "everybody knows");
    expect_json_error("{\"http_api\": {\"key\": \"aaaaaaaaaaaaaaaa\"}}", "everybody knows");
    expect_json_error(
        "{\"client\": {\"token\": {\"hmac_secret_key\": \"an-example-secret-of-32-bytes-or-more\"}}}",
        "everybody knows");
}

static void A32_a_file_with_secrets_that_everybody_may_read_is_refused(void **state)
{
    static const char text[] = "{\"http_api\": {\"key\": \"" SECRET "\"}}";
    char path[] = "/tmp/starling-test-XXXXXX.json";
    struct config_source source = {.file = path};
    int fd = mkstemps(path, 5);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(fchmod(fd, 0640), 0);
    struct load it = load(&source);
    assert_int_equal(it.status, STATUS_OK);
    unload(&it);
    assert_int_equal(fchmod(fd, 0644), 0);
    it = load(&source);
    expect_note(&it, CONFIG_NOTE_ERROR, "everybody may read it");
    unload(&it);
    source.allows_weak_secrets = true;
    it = load(&source);
    expect_note(&it, CONFIG_NOTE_WARNING, "everybody may read it");
    unload(&it);
    source.allows_weak_secrets = false;
    assert_int_equal(ftruncate(fd, 2), 0);
    assert_int_equal(pwrite(fd, "{}", 2, 0), 2);
    it = load(&source);
    assert_int_equal(it.status, STATUS_OK);
    unload(&it);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
}

static void a_file_that_is_missing_or_of_another_kind_is_refused(void **state)
{
    (void)state;
    struct load it = load(&(struct config_source){.file = "/nonexistent/starling.json"});
    expect_note(&it, CONFIG_NOTE_ERROR, "cannot read '/nonexistent/starling.json': No such file");
    assert_int_equal(it.report.count, 1);
    unload(&it);
    it = load(&(struct config_source){.file = "starling.toml"});
    expect_note(&it, CONFIG_NOTE_ERROR, "must end in .json, .yaml or .yml");
    unload(&it);
}

static void H07_every_origin_together_with_no_token_is_warned_of(void **state)
{
    (void)state;
    struct load it = load_json("{\"client\": {\"allowed_origins\": [\"*\"],"
                               " \"allow_anonymous_connect_without_token\": true}}");
    expect_note(&it, CONFIG_NOTE_WARNING, "every website may connect");
    unload(&it);
}

static void a_sound_configuration_has_no_notes(void **state)
{
    (void)state;
    struct load it = load_json("{" QUIET "}");
    assert_int_equal(it.report.count, 0);
    unload(&it);
}

/* Computed values, --dev, printing */

static void what_defaults_leave_open_is_computed(void **state)
{
    (void)state;
    struct load it = load(&(struct config_source){0});
    assert_true(it.config->http_server_workers >= 1 && it.config->http_server_workers <= 64);
    assert_true(it.config->limits_outbox_total >= 16 * CONFIG_MIB);
    assert_true(strlen(it.config->node_name) > 5);
    assert_int_equal(it.config->origins[CONFIG_INDEX_limits_outbox_total], ORIGIN_COMPUTED);
    unload(&it);
}

static void dev_mode_is_open_and_on_loopback_only(void **state)
{
    (void)state;
    struct config_source source = {.is_dev = true};
    struct load it = load(&source);
    assert_int_equal(it.status, STATUS_OK);
    assert_int_equal(it.report.count, 0);
    assert_true(it.config->is_dev);
    assert_true(it.config->client_insecure);
    assert_true(it.config->http_api_insecure);
    assert_int_equal(it.config->http_server_address.count, 2);
    assert_string_equal(it.config->http_server_address.at[0].at, "127.0.0.1");
    assert_string_equal(it.config->http_server_address.at[1].at, "::1");
    assert_int_equal(it.config->channels.namespace_count, 4);
    const struct channel_options *chat = channel_rules_find(&it.config->channels, STR("chat"));
    assert_true(chat->presence && chat->join_leave && chat->force_push_join_leave && chat->force_recovery);
    assert_int_equal(chat->history_size, 300);
    assert_int_equal(chat->history_ttl_ms, 24 * 3600 * 1000);
    assert_true(chat->allow_publish_for_client && chat->allow_history_for_anonymous);
    assert_false(channel_has_history(channel_rules_find(&it.config->channels, STR("typing"))));
    assert_int_equal(channel_rules_find(&it.config->channels, STR("board"))->overflow, OVERFLOW_LATEST_ONLY);
    const struct channel_options *feed = channel_rules_find(&it.config->channels, STR("feed"));
    assert_int_equal(feed->history_ttl_ms, 600000);
    assert_true(feed->presence && feed->force_recovery);
    unload(&it);
}

static void dev_mode_on_another_address_must_be_spelled_out(void **state)
{
    (void)state;
    struct config_flag flag = {STR("http_server.address"), STR("0.0.0.0")};
    struct config_source source = {.is_dev = true, .flags = &flag, .flag_count = 1};
    struct load it = load(&source);
    assert_int_equal(it.status, STATUS_BAD_REQUEST);
    expect_note(&it, CONFIG_NOTE_ERROR, "--dev-address");
    unload(&it);
    flag.value = STR("127.0.0.2");
    it = load(&source);
    assert_int_equal(it.status, STATUS_OK);
    assert_string_equal(it.config->http_server_address.at[0].at, "127.0.0.2");
    unload(&it);
    source.dev_address = "0.0.0.0";
    it = load(&source);
    assert_int_equal(it.status, STATUS_OK);
    assert_int_equal(it.config->http_server_address.count, 1);
    assert_string_equal(it.config->http_server_address.at[0].at, "0.0.0.0");
    unload(&it);
}

static void dev_mode_keeps_a_namespace_that_the_file_has(void **state)
{
    (void)state;
    struct config_source source = {.is_dev = true,
                                   .text = STR("{\"channel\": {\"namespaces\": [{\"name\": \"chat\"}]}}")};
    struct load it = load(&source);
    assert_int_equal(it.config->channels.namespace_count, 4);
    assert_false(channel_rules_find(&it.config->channels, STR("chat"))->presence);
    unload(&it);
}

static void print(const struct config *config, char *text, size_t size)
{
    FILE *out = tmpfile();
    assert_non_null(out);
    config_print(config, out);
    rewind(out);
    text[fread(text, 1, size - 1, out)] = '\0';
    assert_int_equal(fclose(out), 0);
}

static void the_printed_configuration_names_values_and_sources_and_masks_secrets(void **state)
{
    (void)state;
    struct config_flag flag = {STR("http_server.port"), STR("9003")};
    struct config_source source = {
        .text =
            STR("{\"client\": {\"token\": {\"hmac_secret_key\": \"" SECRET "\"}, \"ping_interval\": \"90s\"},"
                " \"channel\": {\"namespaces\": [{\"name\": \"chat\", \"presence\": true}]}}"),
        .flags = &flag,
        .flag_count = 1};
    struct load it = load(&source);
    static char text[65536];
    print(it.config, text, sizeof text);
    assert_null(strstr(text, SECRET));
    assert_non_null(strstr(text, "\"***\""));
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        assert_non_null(strstr(text, config_rows[i].path));
    }
    assert_non_null(strstr(text, "\"1m30s\""));
    const char *port = strstr(text, "http_server.port");
    assert_non_null(port);
    assert_non_null(strstr(port, "9003"));
    assert_true(strstr(port, "flag") < strchr(port, '\n'));
    assert_non_null(strstr(text, "channel.namespaces.chat.presence"));
    unload(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_parses_and_is_within_its_range),
        cmocka_unit_test(the_defaults_are_those_of_the_threat_table),
        cmocka_unit_test(a_json_file_sets_options_of_every_type),
        cmocka_unit_test(a_yaml_file_means_the_same_as_json),
        cmocka_unit_test(an_empty_yaml_file_sets_nothing),
        cmocka_unit_test(yaml_that_could_mean_something_else_is_refused_with_its_line),
        cmocka_unit_test(json_that_is_broken_is_refused_with_its_line_and_without_its_content),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(the_environment_sets_lists_namespaces_and_their_options),
        cmocka_unit_test(namespaces_may_be_json_in_the_environment_and_replace_those_of_the_file),
        cmocka_unit_test(a_secret_may_come_from_a_file_that_the_environment_names),
        cmocka_unit_test(an_unknown_key_is_a_warning_that_names_the_nearest),
        cmocka_unit_test(options_of_centrifugo_that_are_missing_are_called_so),
        cmocka_unit_test(an_unknown_environment_variable_is_a_warning_that_names_the_nearest),
        cmocka_unit_test(an_unknown_flag_stops_the_start),
        cmocka_unit_test(a_flag_without_a_value_switches_a_boolean_on),
        cmocka_unit_test(a_bad_value_is_named_with_its_option_and_range),
        cmocka_unit_test(P08_notes_are_printable_and_hold_no_secret),
        cmocka_unit_test(the_number_of_notes_is_bounded),
        cmocka_unit_test(channel_options_that_contradict_each_other_are_refused),
        cmocka_unit_test(namespace_names_are_checked),
        cmocka_unit_test(namespaces_inherit_what_they_leave_open),
        cmocka_unit_test(options_of_the_server_that_contradict_each_other_are_refused),
        cmocka_unit_test(A05_a_short_hmac_secret_is_refused_unless_it_is_asked_for),
        cmocka_unit_test(A32_a_secret_that_everybody_knows_is_refused),
        cmocka_unit_test(A32_a_file_with_secrets_that_everybody_may_read_is_refused),
        cmocka_unit_test(a_file_that_is_missing_or_of_another_kind_is_refused),
        cmocka_unit_test(H07_every_origin_together_with_no_token_is_warned_of),
        cmocka_unit_test(a_sound_configuration_has_no_notes),
        cmocka_unit_test(what_defaults_leave_open_is_computed),
        cmocka_unit_test(dev_mode_is_open_and_on_loopback_only),
        cmocka_unit_test(dev_mode_on_another_address_must_be_spelled_out),
        cmocka_unit_test(dev_mode_keeps_a_namespace_that_the_file_has),
        cmocka_unit_test(the_printed_configuration_names_values_and_sources_and_masks_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

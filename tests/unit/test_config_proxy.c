#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>

/* Keeps warnings about other things away. */
#define QUIET "\"http_api\": {\"key\": \"k3VrPq8sW2\"}"
#define CONNECT \
    "\"client\": {\"proxy\": {\"connect\": {\"enabled\": true, \"endpoint\": \"http://b/connect\"}}}"

struct load {
    struct config *config; /* NULL: refused */
    struct config_report report;
};

static struct load load_source(const struct config_source *source)
{
    struct load load = {0};
    (void)config_load(&load.config, source, &load.report);
    return load;
}

static struct load load_json(const char *text)
{
    return load_source(&(struct config_source){.text = str_from_cstr(text), .format = CONFIG_JSON});
}

static void unload(struct load *load)
{
    config_free(load->config);
    config_report_release(&load->report);
}

static void expect_note(const struct load *load, enum config_note_kind kind, const char *part)
{
    for (size_t i = 0; i < load->report.count; i++) {
        if (load->report.notes[i].kind == kind && strstr(load->report.notes[i].text, part) != NULL) {
            return;
        }
    }
    config_report_print(&load->report, stderr);
    fail_msg("no note says: %s", part);
}

static void expect_error(const char *json, const char *part)
{
    struct load refused = load_json(json);
    assert_null(refused.config);
    expect_note(&refused, CONFIG_NOTE_ERROR, part);
    unload(&refused);
}

static struct load load_quiet(const char *json)
{
    struct load accepted = load_json(json);
    if (accepted.report.count != 0) {
        config_report_print(&accepted.report, stderr);
    }
    assert_int_equal(accepted.report.count, 0);
    assert_non_null(accepted.config);
    return accepted;
}

static void a_proxy_object_is_read_with_all_its_options(void **state)
{
    (void)state;
    struct load it = load_quiet(
        "{" QUIET ", \"client\": {\"proxy\": {\"connect\": {\"enabled\": true,"
        " \"endpoint\": \"https://backend:3000/connect\", \"timeout\": \"250ms\","
        " \"http_headers\": [\"Cookie\", \"X-Real-Ip\"], \"emulated_headers\": [\"Authorization\"],"
        " \"include_connection_meta\": true, \"http\": {\"static_headers\": {\"X-Key\": \"secret, word\"},"
        " \"status_to_code_transforms\": ["
        "  {\"status_code\": 404, \"to_error\": {\"code\": 404, \"message\": \"gone\", \"temporary\": true}},"
        "  {\"status_code\": 403, \"to_disconnect\": {\"code\": 4503, \"reason\": \"go\"}}]}}}}}");
    struct proxy_options proxy = config_proxy(it.config, PROXY_CONNECT);
    assert_string_equal(proxy.name, "client.proxy.connect");
    assert_string_equal(proxy.proxy_endpoint, "https://backend:3000/connect");
    assert_int_equal(proxy.proxy_timeout_ms, 250);
    assert_int_equal(proxy.proxy_http_headers.count, 2);
    assert_true(str_is(proxy.proxy_http_headers.at[1], "X-Real-Ip"));
    assert_true(str_is(proxy.proxy_emulated_headers.at[0], "Authorization"));
    assert_true(proxy.proxy_include_connection_meta);
    assert_int_equal(proxy.proxy_static_headers.count, 1);
    assert_true(str_is(proxy.proxy_static_headers.at[0], "X-Key: secret, word"));
    assert_int_equal(proxy.proxy_transforms.count, 2);
    assert_int_equal(proxy.proxy_transforms.at[0].status, 404);
    assert_false(proxy.proxy_transforms.at[0].is_disconnect);
    assert_true(proxy.proxy_transforms.at[0].is_temporary);
    assert_string_equal(proxy.proxy_transforms.at[0].text, "gone");
    assert_true(proxy.proxy_transforms.at[1].is_disconnect);
    assert_int_equal(proxy.proxy_transforms.at[1].code, 4503);
    unload(&it);
}

static void every_event_has_an_object_of_its_own(void **state)
{
    (void)state;
    static const struct {
        enum proxy_event event;
        const char *json;
    } cases[] = {
        {PROXY_REFRESH, "{\"client\": {\"proxy\": {\"refresh\": {\"endpoint\": \"http://b/\"}}}}"},
        {PROXY_SUBSCRIBE, "{\"channel\": {\"proxy\": {\"subscribe\": {\"endpoint\": \"http://b/\"}}}}"},
        {PROXY_PUBLISH, "{\"channel\": {\"proxy\": {\"publish\": {\"endpoint\": \"http://b/\"}}}}"},
        {PROXY_SUB_REFRESH, "{\"channel\": {\"proxy\": {\"sub_refresh\": {\"endpoint\": \"http://b/\"}}}}"},
        {PROXY_RPC, "{\"rpc\": {\"proxy\": {\"endpoint\": \"http://b/\"}}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct load it = load_json(cases[i].json);
        assert_non_null(it.config);
        for (int event = 0; event < PROXY_EVENT_COUNT; event++) {
            struct proxy_options proxy = config_proxy(it.config, (enum proxy_event)event);
            assert_string_equal(proxy.proxy_endpoint, event == (int)cases[i].event ? "http://b/" : "");
            assert_int_equal(proxy.proxy_timeout_ms, 1000);
        }
        unload(&it);
    }
}

static void named_proxies_are_found_by_name(void **state)
{
    (void)state;
    struct load it = load_quiet(
        "{" QUIET ", " CONNECT ", \"proxies\": [{\"name\": \"a\", \"endpoint\": \"http://a/\"},"
        " {\"name\": \"b\", \"endpoint\": \"http://b/\", \"timeout\": \"3s\","
        "  \"http\": {\"static_headers\": {\"X\": \"y\"}}}],"
        " \"rpc\": {\"namespaces\": [{\"name\": \"math\", \"proxy_enabled\": true, \"proxy_name\": \"b\"}]},"
        " \"channel\": {\"namespaces\": [{\"name\": \"chat\", \"subscribe_proxy_enabled\": true,"
        "  \"subscribe_proxy_name\": \"a\"}]}}");
    assert_string_equal(config_find_proxy(it.config, "a")->proxy_endpoint, "http://a/");
    assert_int_equal(config_find_proxy(it.config, "a")->proxy_timeout_ms, 1000);
    assert_int_equal(config_find_proxy(it.config, "b")->proxy_timeout_ms, 3000);
    assert_int_equal(config_find_proxy(it.config, "b")->proxy_static_headers.count, 1);
    assert_null(config_find_proxy(it.config, "c"));
    assert_int_equal(it.config->rpc_namespace_count, 1);
    assert_string_equal(it.config->rpc_namespaces[0].rpc_proxy_name, "b");
    assert_string_equal(it.config->channels.namespaces[0].subscribe_proxy_name, "a");
    assert_string_equal(it.config->channels.namespaces[0].publish_proxy_name, "default");
    unload(&it);
}

static void what_is_enabled_must_have_an_endpoint(void **state)
{
    (void)state;
    expect_error("{\"client\": {\"proxy\": {\"connect\": {\"enabled\": true}}}}",
                 "'client.proxy.connect.endpoint' is needed");
    expect_error("{\"channel\": {\"without_namespace\": {\"subscribe_proxy_enabled\": true}}}",
                 "channel.without_namespace: subscribe_proxy_enabled needs channel.proxy.subscribe.endpoint");
    expect_error("{\"channel\": {\"namespaces\": [{\"name\": \"chat\", \"publish_proxy_enabled\": true}]}}",
                 "namespace 'chat': publish_proxy_enabled needs channel.proxy.publish.endpoint");
    expect_error("{\"rpc\": {\"without_namespace\": {\"proxy_enabled\": true}}}",
                 "proxy_enabled needs rpc.proxy.endpoint");
    expect_error("{\"proxies\": [{\"name\": \"a\"}]}", "'a.endpoint' is needed");
}

static void what_is_named_must_exist(void **state)
{
    (void)state;
    expect_error("{\"channel\": {\"namespaces\": [{\"name\": \"chat\", \"sub_refresh_proxy_enabled\": true,"
                 " \"sub_refresh_proxy_name\": \"x\"}]}}",
                 "namespace 'chat': sub_refresh_proxy_enabled asks for a proxy that is not in proxies");
    expect_error(
        "{\"rpc\": {\"namespaces\": [{\"name\": \"m\", \"proxy_enabled\": true, \"proxy_name\": \"x\"}]}}",
        "rpc.namespaces: proxy_enabled asks for a proxy that is not in proxies");
}

static void names_are_good_and_there_once(void **state)
{
    (void)state;
    expect_error("{\"proxies\": [{\"name\": \"default\", \"endpoint\": \"http://a/\"}]}",
                 "default stands for");
    expect_error("{\"proxies\": [{\"name\": \"a b\", \"endpoint\": \"http://a/\"}]}", "a name is letters");
    expect_error("{\"proxies\": [{\"name\": \"\", \"endpoint\": \"http://a/\"}]}", "a name is letters");
    expect_error("{\"proxies\": [{\"endpoint\": \"http://a/\"}]}", "entry 1 is no object with a name");
    expect_error("{\"proxies\": [7]}", "entry 1 is no object with a name");
    expect_error("{\"proxies\": {}}", "must be a list of at most 256 objects");
    expect_error("{\"proxies\": [{\"name\": \"a\", \"endpoint\": \"http://a/\"},"
                 " {\"name\": \"a\", \"endpoint\": \"http://b/\"}]}",
                 "a occurs twice");
    expect_error("{\"rpc\": {\"namespaces\": [{\"name\": \"m\"}, {\"name\": \"m\"}]}}", "occurs twice");
}

static void an_endpoint_is_an_http_url(void **state)
{
    (void)state;
    static const char *const urls[] = {"backend:3000", "/connect", "grpc://backend:3000",
                                       "file:///etc/passwd", "http://user:password@backend/"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"rpc\": {\"proxy\": {\"endpoint\": \"%s\"}}}", urls[i]);
        expect_error(json, "'rpc.proxy.endpoint' must be an http or https URL");
    }
}

static void headers_of_the_request_itself_are_not_passed_on(void **state)
{
    (void)state;
    expect_error(
        "{\"rpc\": {\"proxy\": {\"endpoint\": \"http://b\", \"http_headers\": [\"content-length\"]}}}",
        "content-length is set by the server");
    expect_error("{\"rpc\": {\"proxy\": {\"endpoint\": \"http://b\", \"emulated_headers\": [\"Host\"]}}}",
                 "Host is set by the server");
    expect_error("{\"rpc\": {\"proxy\": {\"endpoint\": \"http://b\", \"http_headers\": [\"X Y\"]}}}",
                 "is no name of a header");
    expect_error("{\"rpc\": {\"proxy\": {\"endpoint\": \"http://b\","
                 " \"http\": {\"static_headers\": {\"Content-Type\": \"text/plain\"}}}}}",
                 "Content-Type is set by the server");
}

static void broken_maps_are_refused_without_showing_them(void **state)
{
    (void)state;
#define HTTP(text) "{\"rpc\": {\"proxy\": {\"http\": {" text "}}}}"
    expect_error(HTTP("\"static_headers\": {\"X-Key\": \"sec\\nret\"}"),
                 "has 'X-Key', which is no header name");
    expect_error(HTTP("\"static_headers\": {\"X-Key\": 7}"), "has 'X-Key'");
    expect_error(HTTP("\"static_headers\": [\"X\"]"), "is a list, must be an object of texts");
    expect_error(HTTP("\"static_headers\": \"X: y\""), "is a text, must be an object of texts");
    expect_error(HTTP("\"status_to_code_transforms\": {}"), "is an object, must be a list of objects");
    expect_error(HTTP("\"status_to_code_transforms\": [{\"status_code\": 404}]"),
                 "to_error or to_disconnect");
    expect_error(
        HTTP("\"status_to_code_transforms\": [{\"status_code\": 99, \"to_error\": {\"code\": 400}}]"),
        "status_code");
    expect_error(HTTP("\"status_to_code_transforms\": [{\"status_code\": 404, \"to_error\": {\"code\": 0}}]"),
                 "1 to 1999");
    expect_error(
        HTTP("\"status_to_code_transforms\": [{\"status_code\": 404, \"to_error\": {\"code\": 2000}}]"),
        "1 to 1999");
    expect_error(
        HTTP("\"status_to_code_transforms\": [{\"status_code\": 404, \"to_disconnect\": {\"code\": 2999}}]"),
        "3000 to 4999");
    expect_error(
        HTTP("\"status_to_code_transforms\": [{\"status_code\": 404, \"to_disconnect\": {\"code\": 5000}}]"),
        "3000 to 4999");
#undef HTTP
}

static void unknown_keys_of_an_entry_are_warnings(void **state)
{
    (void)state;
    struct load it =
        load_json("{\"proxies\": [{\"name\": \"a\", \"endpoint\": \"http://a/\", \"timeot\": \"1s\","
                  " \"grpc\": {\"tls\": {}}, \"http\": {\"static_header\": {}}}]}");
    assert_int_equal(it.report.unknown_count, 3);
    expect_note(&it, CONFIG_NOTE_UNKNOWN,
                "'proxies.a.timeot' in the configuration is no option, did you mean 'timeout'?");
    expect_note(&it, CONFIG_NOTE_UNKNOWN, "'proxies.a.grpc' in the configuration is known to Centrifugo");
    expect_note(&it, CONFIG_NOTE_UNKNOWN, "'proxies.a.http.static_header'");
    unload(&it);
}

static void environment_and_flags_give_objects_as_json(void **state)
{
    (void)state;
    const char *const environment[] = {
        "STARLING_PROXIES=[{\"name\": \"a\", \"endpoint\": \"http://a/\"}]",
        "STARLING_RPC_NAMESPACES=[{\"name\": \"m\", \"proxy_enabled\": true, \"proxy_name\": \"a\"}]",
        "STARLING_RPC_PROXY_HTTP_STATIC_HEADERS={\"X-A\": \"b\"}",
        "STARLING_RPC_PROXY_HTTP_HEADERS=Cookie Origin", NULL};
    const struct config_flag flag = {STR("client.proxy.connect.http.status_to_code_transforms"),
                                     STR("[{\"status_code\": 404, \"to_error\": {\"code\": 400}}]")};
    struct load it = load_source(&(struct config_source){
        .environment = (char *const *)(uintptr_t)environment, .flags = &flag, .flag_count = 1});
    assert_non_null(it.config);
    assert_non_null(config_find_proxy(it.config, "a"));
    assert_string_equal(it.config->rpc_namespaces[0].rpc_proxy_name, "a");
    assert_true(str_is(it.config->rpc_proxy_static_headers.at[0], "X-A: b"));
    assert_int_equal(it.config->rpc_proxy_http_headers.count, 2);
    assert_string_equal(config_proxy(it.config, PROXY_CONNECT).proxy_transforms.at[0].text, "");
    unload(&it);
    const char *const broken[] = {"STARLING_PROXIES=a b", NULL};
    it = load_source(&(struct config_source){.environment = (char *const *)(uintptr_t)broken});
    expect_note(&it, CONFIG_NOTE_ERROR, "'proxies' in the environment is not JSON");
    unload(&it);
}

static void values_of_headers_are_never_printed(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    struct load it =
        load_quiet("{" QUIET ", " CONNECT ", \"proxies\": [{\"name\": \"a\", \"endpoint\": \"http://a/\","
                   " \"http\": {\"static_headers\": {\"X-Key\": \"hunter2\"}}}],"
                   " \"rpc\": {\"proxy\": {\"http\": {\"static_headers\": {\"X-Key\": \"hunter2\"},"
                   " \"status_to_code_transforms\": [{\"status_code\": 404,"
                   " \"to_error\": {\"code\": 404, \"message\": \"gone\"}}]}}}}");
    FILE *out = open_memstream(&text, &len);
    config_print(it.config, out);
    (void)fclose(out);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "proxies.a.http.static_headers"));
    assert_non_null(strstr(text, "{\"X-Key\": \"***\"}"));
    assert_non_null(
        strstr(text, "[{\"status_code\": 404, \"to_error\": {\"code\": 404, \"message\": \"gone\"}}]"));
    free(text);
    unload(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proxy_object_is_read_with_all_its_options),
        cmocka_unit_test(every_event_has_an_object_of_its_own),
        cmocka_unit_test(named_proxies_are_found_by_name),
        cmocka_unit_test(what_is_enabled_must_have_an_endpoint),
        cmocka_unit_test(what_is_named_must_exist),
        cmocka_unit_test(names_are_good_and_there_once),
        cmocka_unit_test(an_endpoint_is_an_http_url),
        cmocka_unit_test(headers_of_the_request_itself_are_not_passed_on),
        cmocka_unit_test(broken_maps_are_refused_without_showing_them),
        cmocka_unit_test(unknown_keys_of_an_entry_are_warnings),
        cmocka_unit_test(environment_and_flags_give_objects_as_json),
        cmocka_unit_test(values_of_headers_are_never_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

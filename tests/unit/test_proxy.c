#include "server/proxy.h"

#include "server/http.h"
#include "server/http_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include <cmocka.h>

struct bench {
    struct ev_loop *loop;
    struct http_client *client;
    struct config *config;
    struct proxies *proxies;
};

static struct bench bench_open(const char *json)
{
    struct bench bench = {.loop = ev_loop_new(EVFLAG_AUTO)};
    struct config_report report = {0};
    const char *error;
    const struct config_source source = {.text = str_from_cstr(json), .format = CONFIG_JSON};
    enum status status = config_load(&bench.config, &source, &report);
    config_report_print(&report, stderr);
    config_report_release(&report);
    assert_int_equal(status, STATUS_OK);
    bench.client = http_client_new(bench.loop, &error);
    assert_non_null(bench.client);
    bench.proxies = proxies_new(bench.config, bench.client, 2);
    assert_non_null(bench.proxies);
    return bench;
}

static void bench_close(struct bench *bench)
{
    http_client_free(bench->client);
    proxies_free(bench->proxies);
    config_free(bench->config);
    ev_loop_destroy(bench->loop);
}

#define QUIET "\"http_api\": {\"key\": \"k3VrPq8sW2\"}, "
#define ANONYMOUS "\"client\": {\"allow_anonymous_connect_without_token\": true}"

/* ---- which ---- */

static void default_is_the_events_own_and_names_are_those_of_the_list(void **state)
{
    (void)state;
    struct bench bench = bench_open(
        "{" QUIET "\"client\": {\"proxy\": {\"connect\": {\"enabled\": true, \"endpoint\": \"http://c\"},"
        " \"refresh\": {\"endpoint\": \"http://r\"}}},"
        " \"channel\": {\"proxy\": {\"publish\": {\"endpoint\": \"http://p\"}}},"
        " \"proxies\": [{\"name\": \"a\", \"endpoint\": \"http://a\"}, {\"name\": \"b\", \"endpoint\": "
        "\"http://b\"}]}");
    struct proxy *publish = proxies_find(bench.proxies, PROXY_PUBLISH, "default");
    assert_non_null(publish);
    assert_ptr_equal(proxies_find(bench.proxies, PROXY_PUBLISH, ""), publish);
    assert_ptr_equal(proxies_find(bench.proxies, PROXY_PUBLISH, NULL), publish);
    struct proxy *a = proxies_find(bench.proxies, PROXY_PUBLISH, "a");
    assert_non_null(a);
    assert_ptr_equal(proxies_find(bench.proxies, PROXY_SUBSCRIBE, "a"), a);
    assert_ptr_not_equal(proxies_find(bench.proxies, PROXY_SUBSCRIBE, "b"), a);
    assert_null(proxies_find(bench.proxies, PROXY_SUBSCRIBE, "c"));
    assert_null(proxies_find(bench.proxies, PROXY_SUBSCRIBE, "default"));
    assert_non_null(proxies_find(bench.proxies, PROXY_CONNECT, NULL));
    assert_null(proxies_find(bench.proxies, PROXY_REFRESH, NULL)); /* it has an endpoint and is not enabled */
    bench_close(&bench);
}

static void without_rpc_every_method_is_not_available(void **state)
{
    (void)state;
    struct bench bench = bench_open("{" QUIET ANONYMOUS "}");
    struct proxy *proxy = NULL;
    assert_int_equal(proxies_find_rpc(bench.proxies, STR("x"), &proxy), STATUS_NOT_AVAILABLE);
    assert_int_equal(proxies_find_rpc(bench.proxies, STR("x:y"), &proxy), STATUS_NOT_AVAILABLE);
    assert_int_equal(proxies_find_rpc(bench.proxies, STR(""), &proxy), STATUS_NOT_AVAILABLE);
    bench_close(&bench);
}

static void the_part_before_the_boundary_picks_the_namespace_of_a_method(void **state)
{
    (void)state;
    struct bench bench = bench_open(
        "{" QUIET ANONYMOUS ", \"proxies\": [{\"name\": \"m\", \"endpoint\": \"http://m\"}],"
        " \"rpc\": {\"namespaces\": [{\"name\": \"math\", \"proxy_enabled\": true, \"proxy_name\": \"m\"},"
        " {\"name\": \"off\"}]}}");
    struct proxy *proxy = NULL;
    assert_int_equal(proxies_find_rpc(bench.proxies, STR("math:sum"), &proxy), STATUS_OK);
    assert_ptr_equal(proxy, proxies_find(bench.proxies, PROXY_RPC, "m"));
    assert_int_equal(proxies_find_rpc(bench.proxies, STR("math:a:b"), &proxy), STATUS_OK);
    assert_int_equal(proxies_find_rpc(bench.proxies, STR("mat:sum"), &proxy), STATUS_METHOD_NOT_FOUND);
    assert_int_equal(proxies_find_rpc(bench.proxies, STR(":sum"), &proxy), STATUS_METHOD_NOT_FOUND);
    assert_int_equal(proxies_find_rpc(bench.proxies, STR("off:x"), &proxy), STATUS_NOT_AVAILABLE);
    assert_int_equal(proxies_find_rpc(bench.proxies, STR("math"), &proxy), STATUS_NOT_AVAILABLE);
    bench_close(&bench);
}

static void without_a_boundary_methods_have_no_namespace(void **state)
{
    (void)state;
    struct bench bench =
        bench_open("{" QUIET ANONYMOUS ", \"rpc\": {\"proxy\": {\"endpoint\": \"http://m\"},"
                   " \"without_namespace\": {\"proxy_enabled\": true}, \"namespace_boundary\": \"\"}}");
    struct proxy *proxy = NULL;
    assert_int_equal(proxies_find_rpc(bench.proxies, STR("a:b"), &proxy), STATUS_OK);
    bench_close(&bench);
}

/* ---- headers ---- */

static struct http_request read_head(const char *head)
{
    static const struct http_limits limits = {.request_line_bytes_max = 8192,
                                              .header_bytes_max = 8192,
                                              .headers_bytes_max = 16384,
                                              .header_count_max = 64};
    struct http_scan scan = {0};
    struct http_request request;
    assert_int_equal(http_read_head(head, strlen(head), &limits, &scan, &request), HTTP_HEAD);
    return request;
}

static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nX-Other: c\r\n\r\n";

static void where_no_proxy_lists_a_header_none_is_kept(void **state)
{
    (void)state;
    struct http_request request = read_head(handshake);
    struct proxy_headers *headers = NULL;
    struct bench bench = bench_open("{" QUIET ANONYMOUS "}");
    assert_true(proxies_keep_headers(bench.proxies, &request, &headers));
    assert_null(headers);
    assert_int_equal(proxies_keep_emulated(bench.proxies, STR("{\"Cookie\":\"x\"}"), 100, &headers),
                     STATUS_OK);
    assert_null(headers);
    bench_close(&bench);
}

static const char with_headers[] =
    "{" QUIET ANONYMOUS
    ", \"proxies\": [{\"name\": \"a\", \"endpoint\": \"http://a\", \"http_headers\": [\"cookie\"],"
    " \"emulated_headers\": [\"X-App\"]}]}";

static void what_some_proxy_lists_is_kept(void **state)
{
    (void)state;
    struct http_request request = read_head(handshake);
    struct proxy_headers *headers = NULL;
    struct bench bench = bench_open(with_headers);
    assert_true(proxies_keep_headers(bench.proxies, &request, &headers));
    assert_non_null(headers);
    proxy_headers_free(headers);
    headers = NULL;
    assert_int_equal(proxies_keep_emulated(bench.proxies, STR("{\"x-APP\":\"1\"}"), 100, &headers),
                     STATUS_OK);
    assert_non_null(headers);
    proxy_headers_free(headers);
    bench_close(&bench);
}

static void emulated_headers_are_an_object_of_texts_within_a_bound(void **state)
{
    (void)state;
    struct proxy_headers *headers = NULL;
    struct bench bench = bench_open(with_headers);
    /* "X-App: 12\r\n" has 11 bytes. */
    assert_int_equal(proxies_keep_emulated(bench.proxies, STR("{\"X-App\":\"12\"}"), 11, &headers),
                     STATUS_OK);
    proxy_headers_free(headers);
    headers = NULL;
    assert_int_equal(proxies_keep_emulated(bench.proxies, STR("{\"X-App\":\"12\"}"), 10, &headers),
                     STATUS_BAD_REQUEST);
    proxy_headers_free(headers);
    headers = NULL;
    assert_int_equal(proxies_keep_emulated(bench.proxies, STR("{\"X-App\":12}"), 100, &headers),
                     STATUS_BAD_REQUEST);
    assert_int_equal(proxies_keep_emulated(bench.proxies, STR("{\"X-App\":\"a\\r\\nb\"}"), 100, &headers),
                     STATUS_OK);
    assert_int_equal(proxies_keep_emulated(bench.proxies, STR(""), 100, &headers), STATUS_OK);
    assert_null(headers);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_is_the_events_own_and_names_are_those_of_the_list),
        cmocka_unit_test(without_rpc_every_method_is_not_available),
        cmocka_unit_test(the_part_before_the_boundary_picks_the_namespace_of_a_method),
        cmocka_unit_test(without_a_boundary_methods_have_no_namespace),
        cmocka_unit_test(where_no_proxy_lists_a_header_none_is_kept),
        cmocka_unit_test(what_some_proxy_lists_is_kept),
        cmocka_unit_test(emulated_headers_are_an_object_of_texts_within_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

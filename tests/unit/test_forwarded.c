#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/forwarded.h"

#include <stdio.h>

static const unsigned char proxy[ADDRESS_BYTES] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
static const unsigned char stranger[ADDRESS_BYTES] = {[10] = 0xff, 0xff, 203, 0, 113, 9};

static struct network networks[2];
static const struct trusted_proxies trusted = {networks, 2};

static int set_up(void **state)
{
    (void)state;
    return network_parse(STR("10.0.0.0/8"), &networks[0]) && network_parse(STR("fd00::/8"), &networks[1])
               ? 0
               : -1;
}

static struct http_request request_of(const char *name, const char *first, const char *second)
{
    struct http_request request = {.header_count = 0};
    const char *const values[] = {first, second};
    for (size_t i = 0; i < 2 && values[i] != NULL; i++) {
        request.headers[request.header_count++] =
            (struct http_header){.name = str_from_cstr(name), .value = str_from_cstr(values[i])};
    }
    return request;
}

static void expect(const unsigned char peer[ADDRESS_BYTES], const struct http_request *request,
                   const char *expected)
{
    unsigned char address[ADDRESS_BYTES];
    char text[ADDRESS_TEXT_MAX];
    forwarded_address(&trusted, peer, request, address);
    (void)address_text(address, text);
    assert_string_equal(text, expected);
}

static void expect_for(const unsigned char peer[ADDRESS_BYTES], const char *header, const char *expected)
{
    struct http_request request = request_of("X-Forwarded-For", header, NULL);
    expect(peer, &request, expected);
}

static void h50_what_an_untrusted_peer_forwards_is_ignored(void **state)
{
    (void)state;
    expect_for(stranger, "198.51.100.7", "203.0.113.9");
    struct http_request request = request_of("Forwarded", "for=198.51.100.7", NULL);
    expect(stranger, &request, "203.0.113.9");
}

static void h50_the_first_untrusted_address_from_the_right_is_the_client(void **state)
{
    (void)state;
    expect_for(proxy, "198.51.100.7", "198.51.100.7");
    expect_for(proxy, "198.51.100.7, 10.0.0.2", "198.51.100.7");
    expect_for(proxy, "1.1.1.1, 198.51.100.7,10.0.0.3 ,\t10.0.0.2", "198.51.100.7");
    expect_for(proxy, "2001:db8::1, fd00::5", "2001:db8::1");
}

static void h50_what_a_client_wrote_itself_is_not_even_parsed(void **state)
{
    (void)state;
    expect_for(proxy, "10.9.9.9, nonsense, 198.51.100.7, 10.0.0.2", "198.51.100.7");
}

static void h50_several_headers_are_one_list(void **state)
{
    (void)state;
    struct http_request request = request_of("x-forwarded-for", "198.51.100.7", "10.0.0.3, 10.0.0.2");
    expect(proxy, &request, "198.51.100.7");
}

static void h50_where_every_hop_is_trusted_the_farthest_is_the_client(void **state)
{
    (void)state;
    expect_for(proxy, "10.0.0.4, 10.0.0.3", "10.0.0.4");
}

static void h50_a_malformed_entry_leaves_the_peer(void **state)
{
    static const char *const headers[] = {"",
                                          "unknown",
                                          "198.51.100.7,",
                                          ",",
                                          "1.2.3",
                                          "1.2.3.4.5",
                                          "1.2.3.4:99999",
                                          "[::1",
                                          "[1.2.3.4]",
                                          "::1]:5",
                                          "1.2.3.4 5.6.7.8",
                                          "1.2.3.4:",
                                          "0x7f.1",
                                          "nonsense, 10.0.0.2"};
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        expect_for(proxy, headers[i], "10.0.0.1");
    }
}

static void h50_ports_and_brackets_are_understood(void **state)
{
    (void)state;
    expect_for(proxy, "198.51.100.7:4711", "198.51.100.7");
    expect_for(proxy, "198.51.100.7:65535", "198.51.100.7");
    expect_for(proxy, "[2001:db8::1]:4711", "2001:db8::1");
    expect_for(proxy, "[2001:db8::1]", "2001:db8::1");
}

static void h51_forwarded_is_read_where_there_is_no_other(void **state)
{
    (void)state;
    struct http_request request =
        request_of("Forwarded", "for=1.1.1.1, For=\"[2001:db8::1]:80\";proto=https, by=x;for=10.0.0.2", NULL);
    expect(proxy, &request, "2001:db8::1");
    request = request_of("Forwarded", "for=_hidden", NULL);
    expect(proxy, &request, "10.0.0.1");
    request = request_of("Forwarded", "proto=https", NULL);
    expect(proxy, &request, "10.0.0.1");
    request = request_of("Forwarded", "for=198.51.100.7;by=\"a,b\"", NULL);
    expect(proxy, &request, "198.51.100.7");
    request = request_of("Forwarded", "for=1.1.1.1", NULL);
    request.headers[request.header_count++] =
        (struct http_header){.name = STR("X-Forwarded-For"), .value = STR("198.51.100.7")};
    expect(proxy, &request, "198.51.100.7");
}

static void h51_the_scheme_comes_from_us_or_from_a_trusted_peer(void **state)
{
    (void)state;
    struct http_request https = request_of("X-Forwarded-Proto", "https", NULL);
    struct http_request http = request_of("X-Forwarded-Proto", "https, http", NULL);
    struct http_request none = request_of("X-Forwarded-Proto", NULL, NULL);
    assert_true(forwarded_is_https(&trusted, proxy, &https, false));
    assert_false(forwarded_is_https(&trusted, proxy, &http, false));
    assert_false(forwarded_is_https(&trusted, proxy, &none, false));
    assert_false(forwarded_is_https(&trusted, stranger, &https, false));
    assert_true(forwarded_is_https(&trusted, stranger, &none, true));
}

static void a_network_has_the_addresses_of_its_prefix_and_no_others(void **state)
{
    static const struct {
        const char *network, *inside, *outside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        {"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
        {"192.0.2.4/31", "192.0.2.5", "192.0.2.6"},
        {"192.0.2.4/32", "192.0.2.4", "192.0.2.5"},
        {"192.0.2.4", "192.0.2.4", "192.0.2.5"},
        {"0.0.0.0/0", "203.0.113.1", "2001:db8::1"},
        {"2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"},
        {"::1/128", "::1", "::2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct network network;
        unsigned char inside[ADDRESS_BYTES], outside[ADDRESS_BYTES];
        assert_true(network_parse(str_from_cstr(cases[i].network), &network));
        assert_true(address_parse(str_from_cstr(cases[i].inside), inside));
        assert_true(address_parse(str_from_cstr(cases[i].outside), outside));
        assert_true(networks_have(&network, 1, inside));
        assert_false(networks_have(&network, 1, outside));
    }
}

static void what_is_no_network_is_refused(void **state)
{
    static const char *const texts[] = {
        "",           "/8",           "10.0.0.0/",   "10.0.0.0/33", "::/129",       "10.0.0.0/08",
        "10.1.0.0/8", "10.0.0.0/8/8", "10.0.0.0/-1", "all",         "fe80::1%eth0", "10.0.0"};
    struct network network;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(network_parse(str_from_cstr(texts[i]), &network));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(h50_what_an_untrusted_peer_forwards_is_ignored),
        cmocka_unit_test(h50_the_first_untrusted_address_from_the_right_is_the_client),
        cmocka_unit_test(h50_what_a_client_wrote_itself_is_not_even_parsed),
        cmocka_unit_test(h50_several_headers_are_one_list),
        cmocka_unit_test(h50_where_every_hop_is_trusted_the_farthest_is_the_client),
        cmocka_unit_test(h50_a_malformed_entry_leaves_the_peer),
        cmocka_unit_test(h50_ports_and_brackets_are_understood),
        cmocka_unit_test(h51_forwarded_is_read_where_there_is_no_other),
        cmocka_unit_test(h51_the_scheme_comes_from_us_or_from_a_trusted_peer),
        cmocka_unit_test(a_network_has_the_addresses_of_its_prefix_and_no_others),
        cmocka_unit_test(what_is_no_network_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

#include "server/http.h"
#include "tests/support/transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct http_limits limits = {.request_line_bytes_max = 8192,
                                          .header_bytes_max = 8192,
                                          .headers_bytes_max = 16384,
                                          .header_count_max = 64,
                                          .body_bytes_max = 65536};

/* ---- what the codec says, however the bytes arrive ---- */

static void expect_cut(const struct http_limits *some_limits, struct str input, struct cut cut,
                       const char *expected)
{
    struct buf out = {0};
    transcript_of_http(&out, some_limits, input, cut);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, expected);
    buf_release(&out);
}

/* Whole, in single bytes, in threes, and (short input only) cut in two at every position: all the same. */
static void expect_with(const struct http_limits *some_limits, struct str input, const char *expected)
{
    expect_cut(some_limits, input, (struct cut){.first = input.len}, expected);
    expect_cut(some_limits, input, (struct cut){.pattern = STR("\3\1\7")}, expected);
    if (input.len < 20000) {
        expect_cut(some_limits, input, (struct cut){.pattern = STR("\1")}, expected);
    }
    for (size_t first = 1; first < input.len && input.len < 2000; first++) {
        expect_cut(some_limits, input, (struct cut){.first = first}, expected);
    }
}

#define expect(literal, expected) expect_with(&limits, STR(literal), (expected))

/* Each of these heads, written without the version line's end and the host, is refused with `status`. */
static void expect_refused_headers(unsigned status, const struct str *headers, size_t count)
{
    char expected[32];
    snprintf(expected, sizeof expected, "refused %u", status);
    for (size_t i = 0; i < count; i++) {
        struct buf input = {0};
        buf_append_lit(&input, "POST / HTTP/1.1\r\nHost: a\r\n");
        buf_append_str(&input, headers[i]);
        buf_append_lit(&input, "\r\n\r\n");
        expect_with(&limits, buf_str(&input), expected);
        buf_release(&input);
    }
}

#define refused_headers(status, ...)                                    \
    expect_refused_headers((status), (const struct str[]){__VA_ARGS__}, \
                           sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))

static void append_filled(struct buf *out, char c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_char(out, c);
    }
}

/* The request of a whole head that must be fine. */
static struct http_request parsed(struct str input)
{
    struct http_request request;
    struct http_scan scan = {0};
    assert_int_equal(http_read_head(input.at, input.len, &limits, &scan, &request), HTTP_HEAD);
    return request;
}

#define assert_str(got, expected) assert_true(str_is((got), (expected)))

/* ---- heads ---- */

static void a_request_is_taken_apart_into_slices(void **state)
{
    (void)state;
    struct str input = STR("POST /api/publish?x=1&y=%20?z HTTP/1.1\r\nHost: example.com:8000\r\nX-Empty:\r\n"
                           "Content-Length: 5\r\nX-Spaces: \t a  b \t \r\nX-High: \xc3\xbc\r\n\r\nhello");
    struct http_request request = parsed(input);
    assert_int_equal(request.method, HTTP_METHOD_POST);
    assert_str(request.target, "/api/publish?x=1&y=%20?z");
    assert_str(request.path, "/api/publish");
    assert_str(request.query, "x=1&y=%20?z");
    assert_int_equal(request.version_minor, 1);
    assert_true(request.keep_alive);
    assert_int_equal(request.content_length, 5);
    assert_int_equal(request.head_bytes, input.len - 5);
    assert_int_equal(request.header_count, 5);
    assert_str(http_header(&request, "HOST"), "example.com:8000");
    assert_str(http_header(&request, "x-spaces"), "a  b");
    assert_int_equal(http_header(&request, "x-empty").len, 0);
    assert_non_null(http_header(&request, "x-empty").at);
    assert_null(http_header(&request, "x-none").at);
    assert_int_equal(http_header_count(&request, "host"), 1);
    expect_with(&limits, input,
                "POST /api/publish?x=1&y=%20?z 1.1 keep Host=example.com:8000 X-Empty= Content-Length=5 "
                "X-Spaces=a  b "
                "X-High=\\xc3\\xbc body(hello)");
}

static void all_known_methods_are_recognised(void **state)
{
    (void)state;
    static const char *const names[] = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf input = {0};
        buf_printf(&input, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", names[i]);
        assert_int_equal(parsed(buf_str(&input)).method, HTTP_METHOD_GET + i);
        buf_release(&input);
    }
}

static void pipelined_requests_come_one_after_the_other(void **state)
{
    (void)state;
    expect(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 "
        "HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /1 1.1 keep Host=a POST /2 1.1 keep Host=a Content-Length=3 body(abc) GET /3 1.1 keep Host=a");
}

static void one_empty_line_before_a_request_is_forgiven(void **state)
{
    (void)state;
    expect("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 keep Host=a");
    expect("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400");
    expect("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400");
    expect("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400");
}

static void keep_alive_follows_version_and_connection(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n",
           "GET / 1.1 drop Host=a Connection=foo, Close");
    expect("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 drop");
    expect("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 1.0 keep Connection=Keep-Alive");
    expect("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
           "GET / 1.0 drop Connection=keep-alive Connection=close");
}

static void expectations_other_than_continue_are_refused(void **state)
{
    (void)state;
    expect("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
           "PUT / 1.1 keep expects Host=a Expect=100-Continue Content-Length=1 body(x)");
    expect("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
           "GET / 1.1 keep Host=a Expect=100-continue");
    expect("GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", "refused 417");
}

/* ---- the opening handshake ---- */

#define HANDSHAKE_START "GET /ws HTTP/1.1\r\nHost: a\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

/* 101, or the status that the handshake is refused with. */
static unsigned upgrade_status(struct str input, struct http_refusal *refusal)
{
    *refusal = (struct http_refusal){0};
    struct http_request request = parsed(input);
    if (http_upgrade_check(&request, refusal)) {
        return 101;
    }
    assert_non_null(refusal->text);
    return refusal->status;
}

static void expect_upgrade_of(unsigned status, struct str input)
{
    struct http_refusal refusal;
    assert_int_equal(upgrade_status(input, &refusal), status);
}

#define expect_upgrade(status, literal) expect_upgrade_of((status), STR(literal "\r\n"))

static void a_handshake_without_exactly_one_good_key_is_refused_h01(void **state)
{
    (void)state;
    expect_upgrade(101, HANDSHAKE_START UPGRADE VERSION KEY);
    expect_upgrade(400, HANDSHAKE_START UPGRADE VERSION);
    expect_upgrade(400, HANDSHAKE_START UPGRADE VERSION "Sec-WebSocket-Key:\r\n");
    expect_upgrade(400, HANDSHAKE_START UPGRADE VERSION "Sec-WebSocket-Key: not base64 at all!!\r\n");
    expect_upgrade(400, HANDSHAKE_START UPGRADE VERSION "Sec-WebSocket-Key: AAAA\r\n");
    expect_upgrade(400, HANDSHAKE_START UPGRADE VERSION KEY KEY);
    expect_upgrade(400, HANDSHAKE_START UPGRADE VERSION
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==\r\n");
}

static void a_handshake_of_another_version_is_told_ours_h02(void **state)
{
    (void)state;
    static const char *const versions[] = {"", "12", "8", "14", "013", "13, 8", "x"};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct buf input = {0};
        buf_printf(&input, HANDSHAKE_START UPGRADE KEY "Sec-WebSocket-Version: %s\r\n\r\n", versions[i]);
        struct http_refusal refusal;
        assert_int_equal(upgrade_status(buf_str(&input), &refusal), 426);
        assert_string_equal(refusal.header_name, "Sec-WebSocket-Version");
        assert_string_equal(refusal.header_value, "13");
        buf_release(&input);
    }
    expect_upgrade(426, HANDSHAKE_START UPGRADE KEY);
    expect_upgrade(426, HANDSHAKE_START UPGRADE KEY VERSION VERSION);
}

static void a_handshake_needs_get_http_1_1_and_one_host_h03(void **state)
{
    (void)state;
    struct http_refusal refusal;
    assert_int_equal(
        upgrade_status(STR("POST /ws HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY "\r\n"), &refusal), 405);
    assert_string_equal(refusal.header_name, "Allow");
    assert_string_equal(refusal.header_value, "GET");
    expect_upgrade(405, "HEAD /ws HTTP/1.1\r\nHost: a\r\n" UPGRADE VERSION KEY);
    expect_upgrade(400, "GET /ws HTTP/1.0\r\nHost: a\r\n" UPGRADE VERSION KEY);
    expect("GET /ws HTTP/1.1\r\n" UPGRADE VERSION KEY "\r\n", "refused 400");
    expect("GET /ws HTTP/1.1\r\nHost: a\r\nhost: a\r\n" UPGRADE VERSION KEY "\r\n", "refused 400");
}

static void connection_is_a_list_in_any_case_h04(void **state)
{
    (void)state;
    expect_upgrade(101,
                   HANDSHAKE_START "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" VERSION KEY);
    expect_upgrade(101, HANDSHAKE_START "Connection: ,, uPGRADE\t,\r\nUpgrade: websocket\r\n" VERSION KEY);
    expect_upgrade(101, HANDSHAKE_START "Connection: keep-alive\r\nConnection: upgrade\r\n"
                                        "Upgrade: websocket\r\n" VERSION KEY);
    expect_upgrade(400, HANDSHAKE_START "Connection: keep-alive\r\nUpgrade: websocket\r\n" VERSION KEY);
    expect_upgrade(400, HANDSHAKE_START "Connection: upgraded\r\nUpgrade: websocket\r\n" VERSION KEY);
    expect_upgrade(400, HANDSHAKE_START "Upgrade: websocket\r\n" VERSION KEY);
}

static void nothing_but_websocket_is_upgraded_to_h05(void **state)
{
    (void)state;
    static const char *const tokens[] = {"h2c",        "TLS/1.0",       "",        "websocket2",
                                         "web socket", "\"websocket\"", "foo, bar"};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct buf input = {0};
        buf_printf(&input, HANDSHAKE_START VERSION KEY "Connection: upgrade\r\nUpgrade: %s\r\n\r\n",
                   tokens[i]);
        struct http_refusal refusal;
        assert_int_equal(upgrade_status(buf_str(&input), &refusal), 400);
        buf_release(&input);
    }
    expect_upgrade(400, HANDSHAKE_START VERSION KEY "Connection: upgrade\r\n");
    expect_upgrade(101, HANDSHAKE_START VERSION KEY "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n");
}

static void a_handshake_with_a_body_is_refused_h21(void **state)
{
    (void)state;
    expect_upgrade(400, HANDSHAKE_START UPGRADE VERSION KEY "Content-Length: 5\r\n");
    expect_upgrade(400, HANDSHAKE_START UPGRADE VERSION KEY "Transfer-Encoding: chunked\r\n");
    expect_upgrade(101, HANDSHAKE_START UPGRADE VERSION KEY "Content-Length: 0\r\n");
}

static bool origin_passes(const char *origin, const char *pattern)
{
    struct str patterns[] = {STR("https://unrelated.test"), str_from_cstr(pattern)};
    return http_origin_is_allowed(str_from_cstr(origin), patterns, 2);
}

static void foreign_origins_are_not_allowed_h06(void **state)
{
    (void)state;
    const char *own = "https://example.com";
    assert_true(origin_passes("https://example.com", own));
    assert_true(origin_passes("HTTPS://Example.COM", own));
    assert_true(origin_passes("https://example.com:443", own));
    assert_true(origin_passes("https://example.com", "https://EXAMPLE.com:443"));
    static const char *const foreign[] = {"https://evil.com",
                                          "null",
                                          "",
                                          "https://example.com.evil.com",
                                          "https://evilexample.com",
                                          "https://example.com@evil.com",
                                          "https://evil.com/example.com",
                                          "https://evil.com#https://example.com",
                                          "https://evil.com?https://example.com",
                                          "https://example.com/",
                                          "http://example.com",
                                          "https://example.com:8443",
                                          "https://example.com:0443",
                                          "https://example.com:",
                                          "https://example.co",
                                          "https://www.example.com",
                                          "https://example.com.",
                                          "https://example.com https://example.com",
                                          "https://example.com\t",
                                          "https:/example.com",
                                          "https:example.com",
                                          "//example.com",
                                          "example.com",
                                          "wss://example.com",
                                          "https://*",
                                          "*"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        assert_false(origin_passes(foreign[i], own));
    }
    assert_false(http_origin_is_allowed(STR("https://example.com"), NULL, 0));
    assert_false(http_origin_is_allowed(str_make("https://example.com\0.evil", 25),
                                        (struct str[]){STR("https://example.com")}, 1));
    expect_upgrade(403, HANDSHAKE_START UPGRADE VERSION KEY
                   "Origin: https://example.com\r\nOrigin: https://evil.com\r\n");
}

static void a_wildcard_stands_for_whole_left_labels_h06(void **state)
{
    (void)state;
    const char *wild = "https://*.example.com";
    assert_true(origin_passes("https://a.example.com", wild));
    assert_true(origin_passes("https://a.b.Example.com", wild));
    assert_false(origin_passes("https://example.com", wild));
    assert_false(origin_passes("https://.example.com", wild));
    assert_false(origin_passes("https://..example.com", wild));
    assert_false(origin_passes("https://evilexample.com", wild));
    assert_false(origin_passes("https://a.example.com.evil.com", wild));
    assert_false(origin_passes("https://evil.com/a.example.com", wild));
    assert_false(origin_passes("https://evil.com:1.example.com", wild));
    assert_false(origin_passes("http://a.example.com", wild));
    assert_false(origin_passes("https://a.example.com:8443", wild));
    assert_true(origin_passes("https://a.example.com:8443", "https://*.example.com:8443"));
    assert_true(origin_passes("http://[::1]:3000", "http://[::1]:3000"));
    assert_true(origin_passes("http://localhost:3000", "http://localhost:3000"));
}

static void a_star_allows_every_origin_h06(void **state)
{
    (void)state;
    assert_true(origin_passes("https://anything.test", "*"));
    assert_true(origin_passes("null", "*"));
}

static void origin_patterns_that_can_never_match_are_known(void **state)
{
    (void)state;
    static const char *const good[] = {"*", "https://example.com", "http://*.a.test:8080", "http://[::1]"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(http_origin_pattern_is_valid(str_from_cstr(good[i])));
    }
    static const char *const bad[] = {"",           "example.com",      "https://",
                                      "https://*",  "https://a*.test",  "https://a.*.test",
                                      "**",         "https://a.test/",  "https://a.test:*",
                                      "https://*.", "https://*.*.test", "https://*.[::1]",
                                      "https://[",  "https://[]",       "https://a.test:70000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(http_origin_pattern_is_valid(str_from_cstr(bad[i])));
    }
    struct buf longest = {0};
    buf_append_lit(&longest, "https://");
    append_filled(&longest, 'a', HTTP_ORIGIN_BYTES_MAX - longest.len);
    assert_true(http_origin_pattern_is_valid(buf_str(&longest)));
    buf_append_char(&longest, 'a');
    assert_false(http_origin_pattern_is_valid(buf_str(&longest)));
    buf_release(&longest);
}

static void only_subprotocols_that_we_know_come_back_h08(void **state)
{
    (void)state;
    static const char *const known[] = {"centrifuge-json", "centrifuge-protobuf"};
    assert_str(http_pick_token(STR("centrifuge-protobuf"), known, 2), "centrifuge-protobuf");
    assert_str(http_pick_token(STR("foo ,centrifuge-json,centrifuge-protobuf"), known, 2), "centrifuge-json");
    assert_ptr_equal(http_pick_token(STR("\t centrifuge-json \t"), known, 2).at, known[0]);
    static const char *const garbage[] = {"",
                                          ",",
                                          " , ,",
                                          "\"centrifuge-json",
                                          "centrifuge-json;x",
                                          "CENTRIFUGE-JSON",
                                          "\xff\xfe",
                                          "centrifuge json",
                                          "centrifuge-jso",
                                          "centrifuge-json2"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        assert_null(http_pick_token(str_from_cstr(garbage[i]), known, 2).at);
    }
    assert_null(http_pick_token((struct str){0}, known, 2).at);
    struct buf many = {0};
    for (int i = 0; i < 10000; i++) {
        buf_append_lit(&many, "x,");
    }
    assert_null(http_pick_token(buf_str(&many), known, 2).at);
    buf_append_lit(&many, "centrifuge-json");
    assert_str(http_pick_token(buf_str(&many), known, 2), "centrifuge-json");
    buf_release(&many);
}

/* ---- smuggling ---- */

static void ambiguous_lengths_are_refused_h20(void **state)
{
    (void)state;
    refused_headers(
        400, STR("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        STR("Transfer-Encoding: chunked\r\nContent-Length: 5"), STR("Content-Length: 5\r\nContent-Length: 5"),
        STR("Content-Length: 5\r\ncontent-length: 6"), STR("Content-Length: 5, 5"), STR("Content-Length: -5"),
        STR("Content-Length: +5"), STR("Content-Length: 0x5"), STR("Content-Length: 5a"),
        STR("Content-Length: 5 5"), STR("Content-Length:"), STR("Content-Length: 05"),
        STR("Content-Length: 5.0"), STR("Content-Length: 9223372036854775808"),
        STR("Content-Length: 18446744073709551616"), STR("Content-Length: 18446744073709551621"));
    refused_headers(400, STR("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                    STR("Transfer-Encoding: gzip, chunked"), STR("Transfer-Encoding: chunked, identity"),
                    STR("Transfer-Encoding: identity"), STR("Transfer-Encoding:"),
                    STR("Transfer-Encoding: xchunked"), STR("Transfer-Encoding: chunked,"),
                    STR("Transfer-Encoding: chunked;q=1"), STR("Transfer-Encoding: \"chunked\""),
                    STR("Transfer-Encoding: chunked\x0b"));
    expect("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "refused 400");
    refused_headers(413, STR("Content-Length: 65537"), STR("Content-Length: 9223372036854775807"));
    expect("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChunKed\r\n\r\n0\r\n\r\n",
           "POST / 1.1 keep Host=a Transfer-Encoding=ChunKed body()");
}

static void a_body_on_get_or_head_is_a_body_and_not_the_next_request_h21(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\nGET /evil HTTP/1.1\r\nHost: GET /2 "
           "HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET / 1.1 keep Host=a Content-Length=26 body(GET /evil HTTP/1.1\\x0d\\x0aHost: )"
           " GET /2 1.1 keep Host=a");
    expect("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\n",
           "HEAD / 1.1 keep Host=a Transfer-Encoding=chunked body(GET)");
}

#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_SEEN "POST / 1.1 keep Host=a Transfer-Encoding=chunked"

static void chunks_are_joined_h22(void **state)
{
    (void)state;
    expect(CHUNKED "5\r\nhello\r\n1;name=\"value\"\r\n \r\n0A\r\nworld12345\r\n0\r\n\r\nGET / "
                   "HTTP/1.1\r\nHost: a\r\n\r\n",
           CHUNKED_SEEN " body(hello world12345) GET / 1.1 keep Host=a");
    expect(CHUNKED "000000000000000a\r\n0123456789\r\n000\r\n\r\n", CHUNKED_SEEN " body(0123456789)");
}

static void broken_chunks_are_refused_h22(void **state)
{
    (void)state;
    static const struct {
        struct str body;
        const char *expected;
    } cases[] = {
        {{"x\r\n", 3}, " broken-body() refused 400"},
        {{"\r\n", 2}, " broken-body() refused 400"},
        {{";a\r\n", 4}, " broken-body() refused 400"},
        {{"-1\r\n", 4}, " broken-body() refused 400"},
        {{"+1\r\n", 4}, " broken-body() refused 400"},
        {{"0x1\r\n", 5}, " broken-body() refused 400"},
        {{" 1\r\n", 4}, " broken-body() refused 400"},
        {{"1 \r\n", 4}, " broken-body() refused 400"},
        {{"1 ;a\r\n", 6}, " broken-body() refused 400"},
        {{"1\nx", 3}, " broken-body() refused 400"},
        {{"1\rx", 3}, " broken-body() refused 400"},
        {{"1;a\nx", 5}, " broken-body() refused 400"},
        {{"1;\0\r\n", 5}, " broken-body() refused 400"},
        {{"00000000000000001\r\nx", 20}, " broken-body() refused 400"},
        {{"2\r\nabX\r\n", 8}, " broken-body(ab) refused 400"},
        {{"2\r\nab\n", 6}, " broken-body(ab) refused 400"},
        {{"2\r\nab\rX", 7}, " broken-body(ab) refused 400"},
        {{"0\r\nTrailer: x\r\n\r\n", 17}, " broken-body() refused 400"},
        {{"0\r\n\n", 4}, " broken-body() refused 400"},
        {{"0\r\n\rX", 5}, " broken-body() refused 400"},
        {{"10001\r\n", 7}, " broken-body() refused 413"},
        {{"ffffffffffffffff\r\n", 18}, " broken-body() refused 413"},
        {{"fffffffffffffffff\r\n", 19}, " broken-body() refused 413"},
        {{"2\r\nab\r\nffff\r\n", 13}, " broken-body(ab) refused 413"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf input = {0}, expected = {0};
        buf_append_lit(&input, CHUNKED);
        buf_append_str(&input, cases[i].body);
        buf_printf(&expected, CHUNKED_SEEN "%s", cases[i].expected);
        buf_append_char(&expected, '\0');
        expect_with(&limits, buf_str(&input), expected.at);
        buf_release(&input);
        buf_release(&expected);
    }
}

static void chunk_extensions_are_limited_over_the_whole_body_h22(void **state)
{
    (void)state;
    for (size_t second = 55; second <= 57; second++) {
        struct buf input = {0};
        buf_append_lit(&input, CHUNKED "1;");
        append_filled(&input, 'e', 200);
        buf_append_lit(&input, "\r\nx\r\n1;");
        append_filled(&input, 'e', second);
        buf_append_lit(&input, "\r\ny\r\n0\r\n\r\n");
        expect_with(&limits, buf_str(&input),
                    second <= 56 ? CHUNKED_SEEN " body(xy)" : CHUNKED_SEEN " broken-body(x) refused 400");
        buf_release(&input);
    }
}

static void chunks_together_may_reach_the_limit_and_not_pass_it_h22(void **state)
{
    (void)state;
    struct http_limits small = limits;
    small.body_bytes_max = 10;
    expect_with(&small, STR(CHUNKED "4\r\nabcd\r\n6\r\nefghij\r\n0\r\n\r\n"),
                CHUNKED_SEEN " body(abcdefghij)");
    expect_with(&small, STR(CHUNKED "4\r\nabcd\r\n7\r\nefghijk\r\n0\r\n\r\n"),
                CHUNKED_SEEN " broken-body(abcd) refused 413");
    expect_with(&small, STR("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabcdefghij"),
                "PUT / 1.1 keep Host=a Content-Length=10 body(abcdefghij)");
    expect_with(&small, STR("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"), "refused 413");
}

static void a_route_with_a_smaller_body_limit_refuses_before_reading(void **state)
{
    (void)state;
    struct http_request request = {.content_length = 11};
    struct http_body_reader reader;
    http_body_reader_init(&reader, &request, 10);
    const char *at = "abcdefghijk";
    size_t len = 11;
    struct str piece;
    assert_int_equal(http_body_read(&reader, &at, &len, &piece), HTTP_BODY_REFUSED);
    assert_int_equal(reader.refusal_status, 413);
    assert_int_equal(len, 11);
    request.content_length = 10;
    http_body_reader_init(&reader, &request, 10);
    assert_int_equal(http_body_read(&reader, &at, &len, &piece), HTTP_BODY_PIECE);
    assert_str(piece, "abcdefghij");
    assert_int_equal(http_body_read(&reader, &at, &len, &piece), HTTP_BODY_DONE);
    assert_int_equal(http_body_read(&reader, &at, &len, &piece), HTTP_BODY_DONE);
    assert_int_equal(len, 1);
}

static void malformed_headers_are_refused_h23(void **state)
{
    (void)state;
    refused_headers(400, STR("Name : value"), STR("Name\t: value"), STR("A: b\r\n folded"),
                    STR("A: b\r\n\tfolded"), STR(" A: b"), STR("no colon"), STR("nocolon"),
                    STR(": empty name"), STR("A: nul\0nul"), STR("A\0B: c"), STR("A: bare\rcr"),
                    STR("A: bare\nlf: x"), STR("A: b\n"), STR("A: b\r\r\n"), STR("A: bell\x07"),
                    STR("A: delete\x7f"), STR("A(B): c"), STR("A\xc3\xbc: c"), STR("\"A\": c"),
                    STR("A: b\n\r\n"));
    expect("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "refused 400");
    expect("GET / HTTP/1.1\nHost: a\n\n", "refused 400");
    expect("GET / HTTP/1.1\r\nHost: a\n\n", "refused 400");
    expect("GET / HTTP/1.1\r\nHost: a\r\n\n", "refused 400");
    expect("GET / HTTP/1.1\r\nHost: a\r\n\rX", "refused 400");
}

static void a_malformed_line_is_refused_before_the_head_ends_h23(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\nHost: a\r\nName :", "refused 400");
    expect("GET / HTTP/1.1\r\nHost: a\r\n\t", "refused 400");
    expect("GET / HTTP/1.1\r\nHost: a\r\nA: \x01", "refused 400");
}

static void hosts_must_be_hosts_h23(void **state)
{
    (void)state;
    static const char *const good[] = {"a",           "example.com", "example.com:80",
                                       "a:",          "[::1]",       "[::1]:8000",
                                       "127.0.0.1:9", "a_b-c.d",     "xn--bcher-kva.example"};
    static const char *const bad[] = {"",      "a b",      "a/b",      "a@b",   "a:x",
                                      "a:-1",  "a:99999",  "a,b",      "[::1",  "[::1]x",
                                      "a:1:2", "http://a", "\xc3\xbc", "[a@b]", ":80"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct buf input = {0};
        buf_printf(&input, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i]);
        parsed(buf_str(&input));
        buf_release(&input);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf input = {0};
        buf_printf(&input, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        expect_with(&limits, buf_str(&input), "refused 400");
        buf_release(&input);
    }
}

static void the_host_part_of_an_absolute_target_is_cut_off_h24(void **state)
{
    (void)state;
    expect("GET http://other.test:80/x/y?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x/y?q 1.1 keep Host=a");
    expect("GET HTTPS://other.test HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 keep Host=a");
    expect("GET http://other.test?q=/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q=/ 1.1 keep Host=a");
    expect("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * 1.1 keep Host=a");
    expect("GET //x HTTP/1.1\r\nHost: a\r\n\r\n", "GET //x 1.1 keep Host=a");
}

static void other_targets_are_refused_h24(void **state)
{
    (void)state;
    static const char *const bad[] = {"*",
                                      "example.com:80",
                                      "x",
                                      "?q",
                                      "http:/x",
                                      "http://",
                                      "http:///x",
                                      "ftp://a/x",
                                      "http://user@a/x",
                                      "http://a:b/x",
                                      "/x#fragment",
                                      "http://a#b",
                                      "ws://a/",
                                      "*x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf input = {0};
        buf_printf(&input, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", bad[i]);
        expect_with(&limits, buf_str(&input), "refused 400");
        buf_release(&input);
    }
    expect("OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", "refused 400");
}

static void bad_request_lines_are_refused_h24(void **state)
{
    (void)state;
    expect("GET /\r\n\r\n", "refused 400");
    expect("GET\r\n\r\n", "refused 400");
    expect("GET  / HTTP/1.1\r\n\r\n", "refused 400");
    expect("GET / HTTP/1.1 \r\n\r\n", "refused 400");
    expect("GET / x HTTP/1.1\r\n\r\n", "refused 400");
    expect(" GET / HTTP/1.1\r\n\r\n", "refused 400");
    expect("GET /\t HTTP/1.1\r\n\r\n", "refused 400");
    expect("GET /\xc3\xbc HTTP/1.1\r\n\r\n", "refused 400");
    expect("GET / http/1.1\r\n\r\n", "refused 400");
    expect("GET / HTTP/1.10\r\n\r\n", "refused 400");
    expect("GET / HTTP/1.2\r\n\r\n", "refused 505");
    expect("GET / HTTP/2.0\r\n\r\n", "refused 505");
    expect("GET / HTTP/0.9\r\n\r\n", "refused 505");
    expect("get / HTTP/1.1\r\nHost: a\r\n\r\n", "refused 501");
}

static void encoded_line_ends_stay_encoded_and_reach_no_header_h25(void **state)
{
    (void)state;
    struct http_request request =
        parsed(STR("GET /a%0d%0aX:%20y?q=%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_str(request.path, "/a%0d%0aX:%20y");
    struct buf decoded = {0}, out = {0};
    assert_true(http_query_get(request.query, "q", &decoded));
    assert_str(buf_str(&decoded), "\r\nSet-Cookie:x");
    assert_false(http_response_header_checked(&out, "Location", buf_str(&decoded)));
    assert_int_equal(out.len, 0);
    assert_false(http_response_header_checked(&out, "Location", str_make("a\0b", 3)));
    assert_false(http_response_header_checked(&out, "Location", STR("a\x7f")));
    assert_true(http_response_header_checked(&out, "Location", STR("/fine\t\xc3\xbc")));
    assert_str(buf_str(&out), "Location: /fine\t\xc3\xbc\r\n");
    buf_release(&decoded);
    buf_release(&out);
}

/* ---- limits ---- */

/* "refused …" at the limit's other side only; `head` and `tail` surround `len` filling bytes. */
static void expect_limit(const struct http_limits *some_limits, struct str head, struct str tail,
                         size_t len_max, const char *refusal)
{
    for (size_t len = len_max - 1; len <= len_max + 1; len++) {
        struct buf input = {0}, out = {0};
        buf_append_str(&input, head);
        append_filled(&input, 'x', len);
        buf_append_str(&input, tail);
        if (len > len_max) {
            expect_with(some_limits, buf_str(&input), refusal);
            /* Refused with the first byte too many, whatever would have followed. */
            expect_with(some_limits, str_first(buf_str(&input), head.len + len), refusal);
        } else {
            transcript_of_http(&out, some_limits, buf_str(&input), (struct cut){.pattern = STR("\1\2\3")});
            assert_true(str_starts_with(buf_str(&out), STR("GET /")));
        }
        buf_release(&input);
        buf_release(&out);
    }
}

static void request_lines_and_headers_are_limited_h26(void **state)
{
    (void)state;
    struct http_limits small = {.request_line_bytes_max = 40,
                                .header_bytes_max = 30,
                                .headers_bytes_max = 60,
                                .header_count_max = 4,
                                .body_bytes_max = 10};
    struct str end = STR(" HTTP/1.1\r\nHost: a\r\n\r\n");
    struct buf input = {0};
    for (size_t len = 25; len <= 27; len++) { /* "GET /" and " HTTP/1.1" are 14 of the 40 */
        buf_append_lit(&input, "GET /");
        append_filled(&input, 'x', len);
        buf_append_str(&input, end);
        struct buf expected = {0};
        buf_append_lit(&expected, "GET /");
        append_filled(&expected, 'x', len);
        buf_append(&expected, " 1.1 keep Host=a", 17);
        expect_with(&small, buf_str(&input), len <= 26 ? expected.at : "refused 414");
        buf_reset(&input);
        buf_release(&expected);
    }
    buf_release(&input);
    expect_limit(&small, STR("GET / HTTP/1.1\r\nHost: a\r\nX:"), STR("\r\n\r\n"), 28, "refused 431");
    /* All lines with their ends: 9 + 32 + (2 + 15) + 2 = 60. */
    expect_limit(&small, STR("GET / HTTP/1.1\r\nHost: a\r\nX:1234567890123456789012345678\r\nY:"),
                 STR("\r\n\r\n"), 15, "refused 431");
    expect_with(&small, STR("GET / HTTP/1.1\r\nHost: a\r\na:\r\nb:\r\nc:\r\n\r\n"),
                "GET / 1.1 keep Host=a a= b= c=");
    expect_with(&small, STR("GET / HTTP/1.1\r\nHost: a\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n"), "refused 431");
    expect_with(&small, STR("GET / HTTP/1.1\r\nHost: a\r\na:\r\nb:\r\nc:\r\nd"), "refused 431");
}

static void the_default_limits_hold_to_the_byte_h26(void **state)
{
    (void)state;
    expect_limit(&limits, STR("GET / HTTP/1.1\r\nHost: a\r\nX:"), STR("\r\n\r\n"), 8190, "refused 431");
    struct buf input = {0};
    for (size_t count = 63; count <= 65; count++) {
        buf_append_lit(&input, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (size_t i = 1; i < count; i++) {
            buf_append_lit(&input, "X: y\r\n");
        }
        buf_append_lit(&input, "\r\n");
        struct http_request request;
        struct http_scan scan = {0};
        enum http_result result = http_read_head(input.at, input.len, &limits, &scan, &request);
        assert_int_equal(result, count <= 64 ? HTTP_HEAD : HTTP_REFUSED);
        assert_int_equal(count <= 64 ? request.header_count : request.refusal_status,
                         count <= 64 ? count : 431);
        buf_reset(&input);
    }
    buf_append_lit(&input, "GET /");
    append_filled(&input, 'x', 9000);
    expect_with(&limits, buf_str(&input), "refused 414");
    buf_reset(&input);
    buf_append_lit(&input, "GET / HTTP/1.1\r\nHost: a\r\nCookie: ");
    append_filled(&input, 'x', 17000);
    expect_with(&limits, buf_str(&input), "refused 431");
    buf_release(&input);
}

static void a_configured_header_count_over_the_array_is_cut_to_it_h26(void **state)
{
    (void)state;
    struct http_limits large = limits;
    large.header_count_max = 1000;
    struct buf input = {0};
    buf_append_lit(&input, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 64; i++) {
        buf_append_lit(&input, "X: y\r\n");
    }
    expect_with(&large, buf_str(&input), "refused 431");
    buf_release(&input);
}

static void unknown_methods_are_refused_h28(void **state)
{
    (void)state;
    expect("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "refused 501");
    expect("CONNECT example.com:80 HTTP/1.1\r\nHost: a\r\n\r\n", "refused 501");
    expect("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "refused 501");
    expect("ABCDEFGHIJKLMNOPQRSTUVWX / HTTP/1.1\r\n", "refused 501");
    expect("ABCDEFGHIJKLMNOPQRSTUVWXY", "refused 400");
}

static void noise_is_refused_with_its_first_bytes_h29(void **state)
{
    (void)state;
    expect("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "refused 400"); /* a TLS ClientHello */
    expect("\x16", "refused 400");
    expect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "refused 400");
    expect("PRI * HTTP/2.0\r\n", "refused 400");
    expect("\x80\x2e\x01", "refused 400");
    expect("{\"id\":1}", "refused 400");
    expect("\0\0\0\0", "refused 400");
    expect("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "refused 400");
    expect("SSH-2.0-OpenSSH_9.2\r\n", "refused 400");
}

static void a_head_that_is_fine_so_far_is_waited_for_w19(void **state)
{
    (void)state;
    struct str input = STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (size_t len = 0; len < input.len; len++) {
        expect_cut(&limits, str_first(input, len), (struct cut){.first = len}, "");
    }
    struct http_request request;
    struct http_scan scan = {0};
    for (size_t len = 0; len < input.len; len++) {
        assert_int_equal(http_read_head(input.at, len, &limits, &scan, &request), HTTP_MORE);
        assert_int_equal(scan.at, len); /* what was judged is not judged again */
    }
    assert_int_equal(http_read_head(input.at, input.len, &limits, &scan, &request), HTTP_HEAD);
}

/* ---- query and cookies ---- */

static void expect_query(const char *query, const char *name, const char *expected)
{
    struct buf out = {0};
    buf_append_lit(&out, "kept");
    bool is_there = http_query_get(str_from_cstr(query), name, &out);
    assert_int_equal(is_there, expected != NULL);
    assert_str(str_skip(buf_str(&out), 4), expected == NULL ? "" : expected);
    buf_release(&out);
}

static void query_parameters_are_decoded_strictly(void **state)
{
    (void)state;
    expect_query("a=1&b=2", "b", "2");
    expect_query("a=1&a=2", "a", "1");
    expect_query("cf_connect=%7B%22id%22%3a1%7D", "cf_connect", "{\"id\":1}");
    expect_query("a=x+y%2Bz", "a", "x y+z");
    expect_query("a", "a", "");
    expect_query("a=", "a", "");
    expect_query("a=b=c", "a", "b=c");
    expect_query("%61=1", "a", "1");
    expect_query("&&a=1", "a", "1");
    expect_query("ab=1&a=2", "a", "2");
    expect_query("", "a", NULL);
    expect_query("b=1", "a", NULL);
    expect_query("a=%", "a", NULL);
    expect_query("a=ok%4", "a", NULL);
    expect_query("a=ok%zz", "a", NULL);
    expect_query("a=%u0041", "a", NULL);
    expect_query("%a=x&a=1", "a", "1");
    struct buf out = {0};
    assert_false(http_query_get((struct str){0}, "a", &out));
    assert_true(http_query_get(STR("a=%00"), "a", &out));
    assert_int_equal(out.len, 1);
    buf_release(&out);
}

static void the_first_cookie_wins_and_loses_its_quotes_a27(void **state)
{
    (void)state;
    struct http_request request =
        parsed(STR("GET / HTTP/1.1\r\nHost: a\r\nCookie: x=1; user=\"alice\"; user=bob\r\n"
                   "Cookie: other=\"; empty=; spaced = v ; noequals; Case=up\r\n\r\n"));
    assert_str(http_cookie(&request, "x"), "1");
    assert_str(http_cookie(&request, "user"), "alice");
    assert_str(http_cookie(&request, "other"), "\"");
    assert_non_null(http_cookie(&request, "empty").at);
    assert_int_equal(http_cookie(&request, "empty").len, 0);
    assert_str(http_cookie(&request, "spaced"), "v");
    assert_str(http_cookie(&request, "Case"), "up");
    assert_null(http_cookie(&request, "case").at);
    assert_null(http_cookie(&request, "noequals").at);
    assert_null(http_cookie(&request, "use").at);
    assert_null(http_cookie(&request, "").at);
}

/* ---- responses ---- */

static void a_response_head_is_written_line_by_line(void **state)
{
    (void)state;
    struct buf out = {0};
    http_response_begin(&out, 404);
    http_response_header(&out, "Content-Type", STR("text/plain"));
    http_response_end(&out, 9);
    assert_str(buf_str(&out),
               "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n");
    buf_reset(&out);
    http_response_begin(&out, 200);
    http_response_end_chunked(&out);
    http_response_chunk(&out, STR("hello worldly things"));
    http_response_chunk(&out, STR(""));
    http_response_last_chunk(&out);
    assert_str(
        buf_str(&out),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nhello worldly things\r\n0\r\n\r\n");
    buf_reset(&out);
    http_response_begin(&out, 101);
    http_response_end_bodiless(&out);
    assert_str(buf_str(&out), "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    buf_release(&out);
}

static void every_status_that_the_codec_refuses_with_has_a_text(void **state)
{
    (void)state;
    static const unsigned used[] = {400, 403, 404, 405, 408, 413, 414, 417,
                                    426, 429, 431, 500, 501, 503, 505};
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) {
        assert_string_not_equal(http_status_text(used[i]), "Unknown");
    }
    assert_string_equal(http_status_text(299), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_taken_apart_into_slices),
        cmocka_unit_test(all_known_methods_are_recognised),
        cmocka_unit_test(pipelined_requests_come_one_after_the_other),
        cmocka_unit_test(one_empty_line_before_a_request_is_forgiven),
        cmocka_unit_test(keep_alive_follows_version_and_connection),
        cmocka_unit_test(expectations_other_than_continue_are_refused),
        cmocka_unit_test(a_handshake_without_exactly_one_good_key_is_refused_h01),
        cmocka_unit_test(a_handshake_of_another_version_is_told_ours_h02),
        cmocka_unit_test(a_handshake_needs_get_http_1_1_and_one_host_h03),
        cmocka_unit_test(connection_is_a_list_in_any_case_h04),
        cmocka_unit_test(nothing_but_websocket_is_upgraded_to_h05),
        cmocka_unit_test(a_handshake_with_a_body_is_refused_h21),
        cmocka_unit_test(foreign_origins_are_not_allowed_h06),
        cmocka_unit_test(a_wildcard_stands_for_whole_left_labels_h06),
        cmocka_unit_test(a_star_allows_every_origin_h06),
        cmocka_unit_test(origin_patterns_that_can_never_match_are_known),
        cmocka_unit_test(only_subprotocols_that_we_know_come_back_h08),
        cmocka_unit_test(ambiguous_lengths_are_refused_h20),
        cmocka_unit_test(a_body_on_get_or_head_is_a_body_and_not_the_next_request_h21),
        cmocka_unit_test(chunks_are_joined_h22),
        cmocka_unit_test(broken_chunks_are_refused_h22),
        cmocka_unit_test(chunk_extensions_are_limited_over_the_whole_body_h22),
        cmocka_unit_test(chunks_together_may_reach_the_limit_and_not_pass_it_h22),
        cmocka_unit_test(a_route_with_a_smaller_body_limit_refuses_before_reading),
        cmocka_unit_test(malformed_headers_are_refused_h23),
        cmocka_unit_test(a_malformed_line_is_refused_before_the_head_ends_h23),
        cmocka_unit_test(hosts_must_be_hosts_h23),
        cmocka_unit_test(the_host_part_of_an_absolute_target_is_cut_off_h24),
        cmocka_unit_test(other_targets_are_refused_h24),
        cmocka_unit_test(bad_request_lines_are_refused_h24),
        cmocka_unit_test(encoded_line_ends_stay_encoded_and_reach_no_header_h25),
        cmocka_unit_test(request_lines_and_headers_are_limited_h26),
        cmocka_unit_test(the_default_limits_hold_to_the_byte_h26),
        cmocka_unit_test(a_configured_header_count_over_the_array_is_cut_to_it_h26),
        cmocka_unit_test(unknown_methods_are_refused_h28),
        cmocka_unit_test(noise_is_refused_with_its_first_bytes_h29),
        cmocka_unit_test(a_head_that_is_fine_so_far_is_waited_for_w19),
        cmocka_unit_test(query_parameters_are_decoded_strictly),
        cmocka_unit_test(the_first_cookie_wins_and_loses_its_quotes_a27),
        cmocka_unit_test(a_response_head_is_written_line_by_line),
        cmocka_unit_test(every_status_that_the_codec_refuses_with_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

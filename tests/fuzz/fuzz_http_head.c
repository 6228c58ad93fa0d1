/* fuzz_http_head.c - requests of strangers, heads and bodies. The last four bytes of an input choose how the
 * rest is cut and under which limits it is read; whole and cut, the same requests must come out. What is
 * asked of a request afterwards must stay within it. */
#include "channels/base/must.h"
#include "server/http.h"
#include "tests/support/transcript.h"

enum { CHOICE_BYTES = 4, CHOOSE_SMALL = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct http_limits ordinary = {.request_line_bytes_max = 8192,
                                            .header_bytes_max = 8192,
                                            .headers_bytes_max = 16384,
                                            .header_count_max = 64,
                                            .body_bytes_max = 65536};
static const struct http_limits small = {.request_line_bytes_max = 64,
                                         .header_bytes_max = 48,
                                         .headers_bytes_max = 96,
                                         .header_count_max = 5,
                                         .body_bytes_max = 20};

static void ask_about(const struct http_request *request)
{
    static const char *const known[] = {"centrifuge-json", "x"};
    static const struct str patterns[] = {{"https://*.example.com", 21}, {"http://localhost:3000", 21}};
    struct http_refusal refusal = {0};
    bool is_accepted = http_upgrade_check(request, &refusal);
    must(is_accepted == (refusal.status == 0));
    must(is_accepted == (refusal.text == NULL));
    (void)http_pick_token(http_header(request, "Sec-WebSocket-Protocol"), known, 2);
    struct str origin = http_header(request, "Origin");
    if (http_origin_is_allowed(origin, patterns, 2)) {
        must(str_find(origin, '/') + 1 == str_find_last(origin, '/'));
    }
    struct str cookie = http_cookie(request, "user");
    must(cookie.len <= 8192);
    struct buf out = {0};
    if (http_query_get(request->query, "q", &out)) {
        must(out.len <= request->query.len);
    }
    buf_reset(&out);
    if (http_response_header_checked(&out, "X-Path", request->path)) {
        must(str_find(buf_str(&out), '\r') == (ptrdiff_t)out.len - 2);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < CHOICE_BYTES) {
        return 0;
    }
    struct str input = str_make((const char *)bytes, len - CHOICE_BYTES);
    struct str pattern = str_make(input.at + input.len, CHOICE_BYTES - 1);
    const struct http_limits *limits = (bytes[len - 1] & CHOOSE_SMALL) != 0 ? &small : &ordinary;
    struct buf whole = {0}, cut = {0};
    transcript_of_http(&whole, limits, input, (struct cut){.first = input.len});
    transcript_of_http(&cut, limits, input, (struct cut){.pattern = pattern});
    must(str_equal(buf_str(&whole), buf_str(&cut)));
    buf_release(&whole);
    buf_release(&cut);

    struct http_scan scan = {0};
    struct http_request request;
    if (http_read_head(input.at, input.len, limits, &scan, &request) == HTTP_HEAD) {
        ask_about(&request);
    }
    return 0;
}

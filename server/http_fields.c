#include "server/http.h"

#include "server/websocket.h"

struct str http_header(const struct http_request *request, const char *name)
{
    struct str wanted = str_from_cstr(name);
    for (size_t i = 0; i < request->header_count; i++) {
        if (str_equal_nocase(request->headers[i].name, wanted)) {
            return request->headers[i].value;
        }
    }
    return (struct str){0};
}

size_t http_header_count(const struct http_request *request, const char *name)
{
    struct str wanted = str_from_cstr(name);
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        count += str_equal_nocase(request->headers[i].name, wanted);
    }
    return count;
}

bool http_header_has_token(const struct http_request *request, const char *name, const char *token)
{
    struct str wanted_name = str_from_cstr(name), wanted = str_from_cstr(token);
    for (size_t i = 0; i < request->header_count; i++) {
        if (!str_equal_nocase(request->headers[i].name, wanted_name)) {
            continue;
        }
        struct str rest = request->headers[i].value;
        while (rest.at != NULL) {
            if (str_equal_nocase(str_trim(str_next(&rest, ',')), wanted)) {
                return true;
            }
        }
    }
    return false;
}

struct str http_pick_token(struct str list, const char *const *known, size_t n)
{
    while (list.at != NULL) {
        struct str offered = str_trim(str_next(&list, ','));
        for (size_t i = 0; i < n; i++) {
            if (str_is(offered, known[i])) {
                return str_from_cstr(known[i]);
            }
        }
    }
    return (struct str){0};
}

/* ---- the opening handshake ---- */

static bool refuse(struct http_refusal *out, unsigned status, const char *text)
{
    *out = (struct http_refusal){.status = status, .text = text};
    return false;
}

bool http_upgrade_check(const struct http_request *request, struct http_refusal *out)
{
    if (request->method != HTTP_METHOD_GET) {
        *out = (struct http_refusal){
            .status = 405, .text = "method not allowed", .header_name = "Allow", .header_value = "GET"};
        return false;
    }
    if (request->version_minor == 0) {
        return refuse(out, 400, "WebSocket needs HTTP/1.1");
    }
    if (!http_header_has_token(request, "Upgrade", "websocket") ||
        !http_header_has_token(request, "Connection", "upgrade")) {
        return refuse(out, 400, "not a WebSocket handshake");
    }
    if (request->is_chunked || request->content_length > 0) {
        return refuse(out, 400, "handshake with a body");
    }
    if (http_header_count(request, "Sec-WebSocket-Version") != 1 ||
        !str_is(http_header(request, "Sec-WebSocket-Version"), "13")) {
        *out = (struct http_refusal){.status = 426,
                                     .text = "unsupported WebSocket version",
                                     .header_name = "Sec-WebSocket-Version",
                                     .header_value = "13"};
        return false;
    }
    if (http_header_count(request, "Sec-WebSocket-Key") != 1 ||
        !websocket_key_is_valid(http_header(request, "Sec-WebSocket-Key"))) {
        return refuse(out, 400, "invalid WebSocket key");
    }
    if (http_header_count(request, "Origin") > 1) {
        return refuse(out, 403, "more than one origin");
    }
    return true;
}

/* ---- origins ---- */

struct origin {
    struct str scheme; /* "https" */
    struct str host;   /* "example.com" or "[::1]"; of a pattern perhaps without its "*." */
    uint64_t port;
    bool is_any_subdomain; /* of a pattern: any whole labels before the host */
};

/* Lower case, in a buffer of the caller. false: longer than any origin. */
static bool lower_case(struct str text, char out[HTTP_ORIGIN_BYTES_MAX])
{
    if (text.len > HTTP_ORIGIN_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return true;
}

static bool all_in(struct str text, const char *others)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_plain && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    return text.len > 0;
}

/* 0 for schemes without one we know. */
static uint64_t default_port(struct str scheme)
{
    return str_is(scheme, "https") ? 443 : str_is(scheme, "http") ? 80 : 0;
}

/* Lower-case scheme "://" host [":" port] and nothing else (RFC 6454 section 6.2). */
static bool parse_origin(struct str text, bool is_pattern, struct origin *out)
{
    struct str rest = text;
    out->scheme = str_next(&rest, ':');
    if (!all_in(out->scheme, "+-.") || !str_starts_with(rest, STR("//"))) {
        return false;
    }
    rest = str_skip(rest, 2);
    out->is_any_subdomain = is_pattern && str_starts_with(rest, STR("*."));
    if (out->is_any_subdomain) {
        rest = str_skip(rest, 2);
    }
    if (rest.len > 0 && rest.at[0] == '[') {
        ptrdiff_t end = str_find(rest, ']');
        if (end < 2 || out->is_any_subdomain || !all_in(str_make(rest.at + 1, (size_t)end - 1), ":.")) {
            return false;
        }
        out->host = str_first(rest, (size_t)end + 1);
    } else {
        ptrdiff_t colon = str_find(rest, ':');
        out->host = colon < 0 ? rest : str_first(rest, (size_t)colon);
        if (!all_in(out->host, "-._")) {
            return false;
        }
    }
    struct str port = str_skip(rest, out->host.len);
    out->port = default_port(out->scheme);
    return port.len == 0 || (port.at[0] == ':' && str_to_u64(str_skip(port, 1), UINT16_MAX, &out->port));
}

static bool host_matches(const struct origin *pattern, struct str host)
{
    if (!pattern->is_any_subdomain) {
        return str_equal(pattern->host, host);
    }
    size_t suffix_len = pattern->host.len + 1; /* with its dot, and at least one byte before that */
    return host.len > suffix_len && str_ends_with(host, pattern->host) &&
           host.at[host.len - suffix_len] == '.' && host.at[0] != '.';
}

bool http_origin_is_allowed(struct str origin, const struct str *patterns, size_t count)
{
    char origin_text[HTTP_ORIGIN_BYTES_MAX], pattern_text[HTTP_ORIGIN_BYTES_MAX];
    struct origin asked, allowed;
    bool is_origin =
        lower_case(origin, origin_text) && parse_origin(str_make(origin_text, origin.len), false, &asked);
    for (size_t i = 0; i < count; i++) {
        if (str_is(patterns[i], "*")) {
            return true;
        }
        if (is_origin && lower_case(patterns[i], pattern_text) &&
            parse_origin(str_make(pattern_text, patterns[i].len), true, &allowed) &&
            str_equal(allowed.scheme, asked.scheme) && allowed.port == asked.port &&
            host_matches(&allowed, asked.host)) {
            return true;
        }
    }
    return false;
}

bool http_origin_is_own(struct str origin, struct str host, bool is_https)
{
    struct str rest = origin;
    if (str_starts_with(rest, STR("http://")) && !is_https) {
        rest = str_skip(rest, 7);
    } else if (str_starts_with(rest, STR("https://"))) {
        rest = str_skip(rest, 8);
    } else {
        return false;
    }
    return host.len > 0 && str_equal_nocase(rest, host);
}

bool http_origin_pattern_is_valid(struct str pattern)
{
    char text[HTTP_ORIGIN_BYTES_MAX];
    struct origin parsed;
    return str_is(pattern, "*") ||
           (lower_case(pattern, text) && parse_origin(str_make(text, pattern.len), true, &parsed));
}

/* ---- query and cookies ---- */

/* Takes the next character off, decoded; -1 for a broken escape. `text` must not be empty. */
static int next_decoded(struct str *text)
{
    char c = text->at[0];
    if (c != '%') {
        *text = str_skip(*text, 1);
        return c == '+' ? ' ' : (unsigned char)c;
    }
    int high = text->len >= 3 ? http_hex_value(text->at[1]) : -1;
    int low = text->len >= 3 ? http_hex_value(text->at[2]) : -1;
    if (high < 0 || low < 0) {
        return -1;
    }
    *text = str_skip(*text, 3);
    return high << 4 | low;
}

static bool decodes_to(struct str text, struct str wanted)
{
    for (size_t i = 0; i < wanted.len; i++) {
        if (text.len == 0 || next_decoded(&text) != (unsigned char)wanted.at[i]) {
            return false;
        }
    }
    return text.len == 0;
}

bool http_query_get(struct str query, const char *name, struct buf *out_decoded)
{
    struct str wanted = str_from_cstr(name);
    while (query.at != NULL) {
        struct str value = str_next(&query, '&');
        if (!decodes_to(str_next(&value, '='), wanted)) {
            continue;
        }
        size_t len_before = out_decoded->len;
        while (value.len > 0) {
            int c = next_decoded(&value);
            if (c < 0) {
                out_decoded->len = len_before;
                return false;
            }
            buf_append_char(out_decoded, (char)c);
        }
        return true;
    }
    return false;
}

struct str http_cookie(const struct http_request *request, const char *name)
{
    struct str wanted = str_from_cstr(name);
    for (size_t i = 0; i < request->header_count; i++) {
        if (!str_equal_nocase(request->headers[i].name, STR("Cookie"))) {
            continue;
        }
        struct str rest = request->headers[i].value;
        while (rest.at != NULL) {
            struct str value = str_trim(str_next(&rest, ';'));
            struct str cookie_name = str_trim(str_next(&value, '='));
            if (value.at == NULL || !str_equal(cookie_name, wanted)) {
                continue;
            }
            value = str_trim(value);
            bool is_quoted = value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"';
            return is_quoted ? str_make(value.at + 1, value.len - 2) : value;
        }
    }
    return (struct str){0};
}

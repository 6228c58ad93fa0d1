#include "server/http.h"

#include "channels/base/must.h"

/* ---- classes of bytes ---- */

static bool is_alpha_or_digit(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 9110 section 5.6.2. */
static bool is_token(unsigned char c)
{
    return is_alpha_or_digit(c) || (c > 0x20 && c < 0x7F && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_visible(unsigned char c)
{
    return c > 0x20 && c < 0x7F;
}

/* Bytes above 127 are allowed in field values (RFC 9110 section 5.5), control characters but tab are not. */
static bool is_value(unsigned char c)
{
    return (c >= 0x20 && c != 0x7F) || c == '\t';
}

/* ---- the head, byte by byte ---- */

/*  METHOD ─" "─▶ TARGET ─" "─▶ VERSION ─CR─▶ REQUEST_LF ─LF─▶ NAME_START ─CR─▶ END_LF ─LF─▶ done
 *                                                              │  ▲
 *                                                              ▼  └───────LF───────┐
 *                                                             NAME ─":"─▶ VALUE ─CR─▶ VALUE_LF      */
enum part {
    PART_METHOD,
    PART_LEADING_LF, /* one empty line before a request is forgiven (RFC 9112 section 2.2) */
    PART_TARGET,
    PART_VERSION,
    PART_REQUEST_LF,
    PART_NAME_START,
    PART_NAME,
    PART_VALUE,
    PART_VALUE_LF,
    PART_END_LF
};

static enum http_result refuse(struct http_request *out, unsigned status, const char *text)
{
    out->refusal_status = status;
    out->refusal_text = text;
    return HTTP_REFUSED;
}

static uint32_t at_most(size_t a, size_t b)
{
    return (uint32_t)(a < b ? a : b);
}

static void begin_request_line(struct http_scan *scan, const struct http_limits *limits)
{
    scan->part = PART_METHOD;
    scan->line = scan->at;
    scan->line_stop = scan->line + at_most(limits->request_line_bytes_max, UINT16_MAX);
}

/* A line that no limit leaves room for must end where it begins. */
static void begin_header_line(struct http_scan *scan, const struct http_limits *limits)
{
    size_t total_max = at_most(limits->headers_bytes_max, UINT32_MAX / 2);
    size_t room = total_max >= scan->headers_bytes + 2 ? total_max - scan->headers_bytes - 2 : 0;
    size_t count_max = at_most(limits->header_count_max, HTTP_HEADERS_MAX);
    scan->part = PART_NAME_START;
    scan->line = scan->at;
    scan->line_stop =
        scan->line + (scan->header_count < count_max ? at_most(limits->header_bytes_max, room) : 0);
}

/* Moves on by one byte within the request line. Returns what is wrong with it, or NULL. */
static const char *step_request_line(struct http_scan *scan, unsigned char c)
{
    switch ((enum part)scan->part) {
    case PART_METHOD:
        if (c == '\r' && scan->at == 0) {
            scan->part = PART_LEADING_LF;
        } else if (c == ' ' && scan->at > scan->line) {
            scan->part = PART_TARGET;
        } else if (!is_token(c) || scan->at - scan->line >= HTTP_METHOD_BYTES_MAX) {
            return "not an HTTP request";
        }
        return NULL;
    case PART_TARGET:
        if (c == ' ') {
            scan->part = PART_VERSION;
        } else if (!is_visible(c)) {
            return "invalid character in the request target";
        }
        return NULL;
    case PART_VERSION:
        if (c == '\r') {
            scan->part = PART_REQUEST_LF;
        } else if (!is_visible(c)) {
            return "invalid request line";
        }
        return NULL;
    default: return c == '\n' ? NULL : "bare carriage return";
    }
}

/* The same within the header lines. */
static const char *step_header(struct http_scan *scan, unsigned char c)
{
    switch ((enum part)scan->part) {
    case PART_NAME_START:
        if (c == '\r') {
            scan->part = PART_END_LF;
        } else if (c == ' ' || c == '\t') {
            return "folded header";
        } else if (is_token(c)) {
            scan->part = PART_NAME;
        } else {
            return "invalid header name";
        }
        return NULL;
    case PART_NAME:
        if (c == ':') {
            scan->part = PART_VALUE;
        } else if (!is_token(c)) {
            return "invalid header name";
        }
        return NULL;
    case PART_VALUE:
        if (c == '\r') {
            scan->part = PART_VALUE_LF;
        } else if (!is_value(c)) {
            return "invalid character in a header";
        }
        return NULL;
    default: return c == '\n' ? NULL : "bare carriage return";
    }
}

/* ---- the request line ---- */

static const struct {
    const char *text;
    enum http_method method;
} methods[] = {
    {"GET", HTTP_METHOD_GET},         {"HEAD", HTTP_METHOD_HEAD}, {"POST", HTTP_METHOD_POST},
    {"OPTIONS", HTTP_METHOD_OPTIONS}, {"PUT", HTTP_METHOD_PUT},   {"DELETE", HTTP_METHOD_DELETE},
    {"PATCH", HTTP_METHOD_PATCH},
};

static enum http_method method_from_text(struct str text)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (str_is(text, methods[i].text)) {
            return methods[i].method;
        }
    }
    return HTTP_METHOD_OTHER;
}

/* host or host:port, as in Host and in absolute targets; narrower than RFC 3986: no userinfo, no sub-delims.
 */
static bool authority_is_valid(struct str authority)
{
    size_t host_len = 0;
    bool is_literal = authority.len > 0 && authority.at[0] == '[';
    if (is_literal) {
        ptrdiff_t end = str_find(authority, ']');
        host_len = end < 0 ? 0 : (size_t)end + 1;
        for (size_t i = 1; i + 1 < host_len; i++) {
            if (!is_alpha_or_digit((unsigned char)authority.at[i]) && strchr(":.", authority.at[i]) == NULL) {
                return false;
            }
        }
    }
    while (!is_literal && host_len < authority.len && authority.at[host_len] != ':') {
        unsigned char c = (unsigned char)authority.at[host_len];
        if (!is_alpha_or_digit(c) && (c == '\0' || strchr("-._~%", c) == NULL)) {
            return false;
        }
        host_len++;
    }
    struct str port = str_skip(authority, host_len);
    if (host_len == 0 || port.len == 0) {
        return host_len > 0;
    }
    uint64_t number;
    return port.at[0] == ':' && (port.len == 1 || str_to_u64(str_skip(port, 1), UINT16_MAX, &number));
}

/* What follows scheme and authority of an absolute target (RFC 9112 section 3.2.2), or NULL .at. */
static struct str strip_authority(struct str target)
{
    struct str none = {0};
    size_t scheme_len = str_equal_nocase(str_first(target, 7), STR("http://"))    ? 7
                        : str_equal_nocase(str_first(target, 8), STR("https://")) ? 8
                                                                                  : 0;
    if (scheme_len == 0) {
        return none;
    }
    struct str rest = str_skip(target, scheme_len);
    size_t authority_len = 0;
    while (authority_len < rest.len && rest.at[authority_len] != '/' && rest.at[authority_len] != '?') {
        authority_len++;
    }
    return authority_is_valid(str_first(rest, authority_len)) ? str_skip(rest, authority_len) : none;
}

/* Fills path and query; false for forms that only proxies and tunnels take (H24). */
static bool split_target(struct http_request *out)
{
    struct str rest = out->target;
    if (str_find(rest, '#') >= 0) {
        return false;
    }
    if (out->method == HTTP_METHOD_OPTIONS && str_is(rest, "*")) {
        out->path = rest;
        out->query = (struct str){0};
        return true;
    }
    if (rest.len == 0 || rest.at[0] != '/') {
        rest = strip_authority(rest);
        if (rest.at == NULL) {
            return false;
        }
    }
    out->path = str_next(&rest, '?');
    out->query = rest;
    if (out->path.len == 0) {
        out->path = STR("/");
    }
    return true;
}

static enum http_result parse_request_line(struct http_request *out, struct str line)
{
    struct str rest = line;
    out->method_text = str_next(&rest, ' ');
    out->target = str_next(&rest, ' ');
    out->method = method_from_text(out->method_text);
    if (str_is(out->method_text, "PRI")) {
        return refuse(out, 400, "HTTP/2 is not spoken here"); /* its preface (RFC 9113 section 3.4) */
    }
    if (!str_is(rest, "HTTP/1.1") && !str_is(rest, "HTTP/1.0")) {
        bool is_other = rest.len == 8 && str_starts_with(rest, STR("HTTP/")) && rest.at[6] == '.';
        return refuse(out, is_other ? 505 : 400, "unsupported protocol version");
    }
    out->version_minor = rest.at[7] == '1' ? 1 : 0;
    if (out->method == HTTP_METHOD_OTHER) {
        return refuse(out, 501, "unknown method");
    }
    return split_target(out) ? HTTP_MORE : refuse(out, 400, "invalid request target");
}

/* ---- the head as a whole ---- */

static enum http_result scan_head(const char *at, size_t len, const struct http_limits *limits,
                                  struct http_scan *scan, struct http_request *out)
{
    if (scan->at == 0) {
        begin_request_line(scan, limits);
    }
    while (scan->at < len) {
        unsigned char c = (unsigned char)at[scan->at];
        bool is_request_line = scan->part < PART_NAME_START;
        if (scan->at >= scan->line_stop && c != '\r' && c != '\n') {
            return is_request_line ? refuse(out, 414, "request line too long")
                                   : refuse(out, 431, "headers too large");
        }
        const char *problem = is_request_line ? step_request_line(scan, c) : step_header(scan, c);
        if (problem != NULL) {
            return refuse(out, 400, problem);
        }
        scan->at++;
        if (c != '\n') {
            continue;
        }
        struct str line = str_make(at + scan->line, scan->at - scan->line - 2);
        switch ((enum part)scan->part) {
        case PART_LEADING_LF: begin_request_line(scan, limits); break;
        case PART_REQUEST_LF:
            if (parse_request_line(out, line) == HTTP_REFUSED) {
                return HTTP_REFUSED;
            }
            begin_header_line(scan, limits);
            break;
        case PART_VALUE_LF: {
            struct str name = str_next(&line, ':');
            out->headers[scan->header_count++] = (struct http_header){.name = name, .value = str_trim(line)};
            scan->headers_bytes += scan->at - scan->line;
            begin_header_line(scan, limits);
            break;
        }
        default:
            must(scan->part == PART_END_LF);
            out->header_count = scan->header_count;
            out->head_bytes = scan->at;
            return HTTP_HEAD;
        }
    }
    return HTTP_MORE;
}

/* Where the message ends (RFC 9112 section 6.3, H20): any doubt is a refusal. */
static enum http_result decide_framing(struct http_request *out, const struct http_limits *limits)
{
    size_t length_count = http_header_count(out, "Content-Length");
    size_t coding_count = http_header_count(out, "Transfer-Encoding");
    if (length_count > 1 || coding_count > 1 || (length_count > 0 && coding_count > 0)) {
        return refuse(out, 400, "ambiguous message length");
    }
    if (coding_count > 0) {
        if (out->version_minor == 0 ||
            !str_equal_nocase(http_header(out, "Transfer-Encoding"), STR("chunked"))) {
            return refuse(out, 400, "unsupported transfer coding");
        }
        out->is_chunked = true;
    }
    if (length_count > 0) {
        if (!str_to_u64(http_header(out, "Content-Length"), INT64_MAX, &out->content_length)) {
            return refuse(out, 400, "invalid content length");
        }
        out->has_content_length = true;
        if (out->content_length > limits->body_bytes_max) {
            return refuse(out, 413, "body too large");
        }
    }
    return HTTP_HEAD;
}

static enum http_result interpret_headers(struct http_request *out, const struct http_limits *limits)
{
    out->is_chunked = out->has_content_length = out->expect_continue = false;
    out->content_length = 0;

    size_t host_count = http_header_count(out, "Host");
    if (host_count > 1 || (host_count == 0 && out->version_minor == 1)) {
        return refuse(out, 400, host_count > 1 ? "more than one host" : "no host");
    }
    if (host_count == 1 && !authority_is_valid(http_header(out, "Host"))) {
        return refuse(out, 400, "invalid host");
    }
    if (decide_framing(out, limits) == HTTP_REFUSED) {
        return HTTP_REFUSED;
    }
    struct str expect = http_header(out, "Expect");
    if (expect.at != NULL && out->version_minor == 1) {
        if (!str_equal_nocase(expect, STR("100-continue"))) {
            return refuse(out, 417, "unknown expectation");
        }
        out->expect_continue = out->is_chunked || out->content_length > 0;
    }
    out->keep_alive = !http_header_has_token(out, "Connection", "close") &&
                      (out->version_minor == 1 || http_header_has_token(out, "Connection", "keep-alive"));
    return HTTP_HEAD;
}

enum http_result http_read_head(const char *at, size_t len, const struct http_limits *limits,
                                struct http_scan *scan, struct http_request *out)
{
    bool is_first_call = scan->at == 0;
    out->refusal_status = 0;
    out->refusal_text = NULL;
    enum http_result result = scan_head(at, len, limits, scan, out);
    if (result == HTTP_HEAD && !is_first_call) {
        /* Slices from earlier calls point to where the buffer was then. One more pass fills them all. */
        *scan = (struct http_scan){0};
        result = scan_head(at, len, limits, scan, out);
    }
    return result == HTTP_HEAD ? interpret_headers(out, limits) : result;
}

/* ---- bodies ---- */

/*  SIZE ─";"─▶ EXTENSION ─CR─▶ SIZE_LF ─LF─▶ CHUNK ──▶ CHUNK_CR ─CR─▶ CHUNK_LF ─LF─▶ SIZE
 *   └──────────────CR────────────▲     └─LF after size 0─▶ LAST_CR ─CR─▶ LAST_LF ─LF─▶ DONE       */
enum body_part {
    BODY_LENGTH, /* bytes_left bytes, then done */
    BODY_SIZE,
    BODY_EXTENSION,
    BODY_SIZE_LF,
    BODY_CHUNK,
    BODY_CHUNK_CR,
    BODY_CHUNK_LF,
    BODY_LAST_CR,
    BODY_LAST_LF,
    BODY_DONE,
    BODY_REFUSED
};

enum { CHUNK_DIGITS_MAX = 16 };

static void refuse_body(struct http_body_reader *reader, unsigned status, const char *text)
{
    reader->part = BODY_REFUSED;
    reader->refusal_status = status;
    reader->refusal_text = text;
}

void http_body_reader_init(struct http_body_reader *reader, const struct http_request *request,
                           uint64_t body_bytes_max)
{
    *reader = (struct http_body_reader){.part = BODY_LENGTH, .bytes_left = request->content_length};
    if (request->is_chunked) {
        reader->part = BODY_SIZE;
        reader->bytes_left = 0;
        reader->bytes_left_max = body_bytes_max;
    } else if (request->content_length > body_bytes_max) {
        refuse_body(reader, 413, "body too large");
    } else if (request->content_length == 0) {
        reader->part = BODY_DONE;
    }
}

int http_hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One byte of a chunk size. It ends at CR or ';', not before its first digit. */
static void step_size(struct http_body_reader *reader, char c)
{
    int digit = http_hex_value(c);
    if (digit >= 0 && reader->digit_count < CHUNK_DIGITS_MAX) {
        reader->digit_count++;
        reader->bytes_left = reader->bytes_left << 4 | (unsigned)digit;
        if (reader->bytes_left > reader->bytes_left_max) {
            refuse_body(reader, 413, "body too large");
        }
    } else if (reader->digit_count > 0 && c == '\r') {
        reader->part = BODY_SIZE_LF;
    } else if (reader->digit_count > 0 && c == ';') {
        reader->part = BODY_EXTENSION;
    } else {
        refuse_body(reader, 400, "invalid chunk size");
    }
}

static void step_extension(struct http_body_reader *reader, char c)
{
    if (c == '\r') {
        reader->part = BODY_SIZE_LF;
    } else if (!is_value((unsigned char)c) || ++reader->extension_bytes > HTTP_CHUNK_EXTENSION_BYTES_MAX) {
        refuse_body(reader, 400, "invalid chunk extension");
    }
}

static void begin_chunk(struct http_body_reader *reader)
{
    reader->part = reader->bytes_left > 0 ? BODY_CHUNK : BODY_LAST_CR;
    reader->bytes_left_max -= reader->bytes_left;
    reader->digit_count = 0;
}

/* One byte of what is around the chunks. */
static void step_chunked(struct http_body_reader *reader, char c)
{
    bool is_right = true;
    switch ((enum body_part)reader->part) {
    case BODY_SIZE: step_size(reader, c); break;
    case BODY_EXTENSION: step_extension(reader, c); break;
    case BODY_SIZE_LF:
        is_right = c == '\n';
        begin_chunk(reader);
        break;
    case BODY_CHUNK_CR:
        is_right = c == '\r';
        reader->part = BODY_CHUNK_LF;
        break;
    case BODY_CHUNK_LF:
        is_right = c == '\n';
        reader->part = BODY_SIZE;
        break;
    case BODY_LAST_CR:
        is_right = c == '\r'; /* anything else begins a trailer, which nothing here asks for */
        reader->part = BODY_LAST_LF;
        break;
    default:
        must(reader->part == BODY_LAST_LF);
        is_right = c == '\n';
        reader->part = BODY_DONE;
        break;
    }
    if (!is_right) {
        refuse_body(reader, 400, "invalid chunk");
    }
}

static struct str take_piece(struct http_body_reader *reader, const char **at, size_t *len)
{
    size_t count = *len < reader->bytes_left ? *len : (size_t)reader->bytes_left;
    struct str piece = str_make(*at, count);
    *at += count;
    *len -= count;
    reader->bytes_left -= count;
    if (reader->bytes_left == 0) {
        reader->part = reader->part == BODY_LENGTH ? BODY_DONE : BODY_CHUNK_CR;
    }
    return piece;
}

enum http_body_result http_body_read(struct http_body_reader *reader, const char **at, size_t *len,
                                     struct str *out_piece)
{
    while (reader->part != BODY_DONE && reader->part != BODY_REFUSED) {
        if (*len == 0) {
            return HTTP_BODY_MORE;
        }
        if (reader->part == BODY_LENGTH || reader->part == BODY_CHUNK) {
            *out_piece = take_piece(reader, at, len);
            return HTTP_BODY_PIECE;
        }
        step_chunked(reader, **at);
        (*at)++;
        (*len)--;
    }
    return reader->part == BODY_DONE ? HTTP_BODY_DONE : HTTP_BODY_REFUSED;
}

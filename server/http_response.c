#include "server/http.h"

#include "channels/base/must.h"

static const struct {
    unsigned status;
    const char *text;
} statuses[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *http_status_text(unsigned status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (statuses[i].status == status) {
            return statuses[i].text;
        }
    }
    return "Unknown";
}

void http_response_begin(struct buf *out, unsigned status)
{
    must(status >= 100 && status <= 599);
    buf_append_lit(out, "HTTP/1.1 ");
    buf_append_u64(out, status);
    buf_append_char(out, ' ');
    buf_append_str(out, str_from_cstr(http_status_text(status)));
    buf_append_lit(out, "\r\n");
}

static bool has_control_character(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F) {
            return true;
        }
    }
    return false;
}

bool http_response_header_checked(struct buf *out, const char *name, struct str value)
{
    if (has_control_character(value)) {
        return false;
    }
    buf_append_str(out, str_from_cstr(name));
    buf_append_lit(out, ": ");
    buf_append_str(out, value);
    buf_append_lit(out, "\r\n");
    return true;
}

void http_response_header(struct buf *out, const char *name, struct str value)
{
    bool is_written = http_response_header_checked(out, name, value);
    must(is_written);
}

void http_response_end(struct buf *out, uint64_t content_length)
{
    buf_append_lit(out, "Content-Length: ");
    buf_append_u64(out, content_length);
    buf_append_lit(out, "\r\n\r\n");
}

void http_response_end_chunked(struct buf *out)
{
    buf_append_lit(out, "Transfer-Encoding: chunked\r\n\r\n");
}

void http_response_end_bodiless(struct buf *out)
{
    buf_append_lit(out, "\r\n");
}

void http_response_chunk(struct buf *out, struct str text)
{
    if (text.len > 0) {
        buf_printf(out, "%zx\r\n", text.len);
        buf_append_str(out, text);
        buf_append_lit(out, "\r\n");
    }
}

void http_response_last_chunk(struct buf *out)
{
    buf_append_lit(out, "0\r\n\r\n");
}

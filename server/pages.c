#include "server/pages.h"

#include "server/exchange.h"
#include "server/static.h"

bool pages_exist(struct str path)
{
    return static_find(path) != NULL;
}

void pages_handle(struct exchange *exchange)
{
    const struct http_request *request = &exchange->request;
    const struct web_asset *asset = static_find(request->path);
    if (asset == NULL) {
        exchange_refuse(exchange, 404, NULL);
        return;
    }
    struct static_answer answer = static_answer_for(asset, http_header(request, "Accept-Encoding"),
                                                    http_header(request, "If-None-Match"));
    exchange_header(exchange, "ETag", answer.etag);
    exchange_header(exchange, "Cache-Control", answer.cache_control);
    exchange_header(exchange, "Vary", STR("Accept-Encoding"));
    if (answer.is_gzip) {
        exchange_header(exchange, "Content-Encoding", STR("gzip"));
    }
    exchange_header(exchange, "Content-Security-Policy", STR(STATIC_CONTENT_SECURITY_POLICY));
    exchange_header(exchange, "Referrer-Policy", STR("no-referrer"));
    exchange_header(exchange, "Cross-Origin-Opener-Policy", STR("same-origin"));
    if (answer.is_not_modified) {
        exchange_respond(exchange, 304, NULL, STR(""));
    } else {
        /* The table's texts end with a NUL: they are string literals. */
        exchange_respond(exchange, 200, asset->content_type.at, answer.body);
    }
}

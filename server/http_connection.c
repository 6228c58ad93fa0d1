#include "server/http_connection.h"

#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/connection.h"
#include "server/exchange.h"
#include "server/forwarded.h"
#include "server/routes.h"
#include "server/worker.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* What may wait unread in memory behind a request that is not answered yet; more stays in the kernel. */
    WAITING_BYTES_MAX = 64 * 1024,
};

enum http_phase { PHASE_HEAD, PHASE_BODY, PHASE_ANSWER };

struct http_connection {
    enum http_phase phase;
    bool is_advancing; /* an answer given inside advance() does not start a second one */
    uint32_t request_count;
    uint64_t due_ms; /* of the head or the body */
    struct buf rx;   /* received, not used yet */
    struct http_scan scan;
    struct exchange *exchange; /* from the whole head to the answer */
};

bool http_connection_start(struct connection *connection)
{
    struct http_connection *http = calloc(1, sizeof *http);
    if (http == NULL) {
        return false;
    }
    http->due_ms = connection->worker->now_ms + connection->worker->config->limits_http_head_timeout_ms;
    connection->http = http;
    return true;
}

static void exchange_free(struct exchange *exchange)
{
    buf_release(&exchange->head);
    buf_release(&exchange->body);
    buf_release(&exchange->extra);
    free(exchange);
}

void http_connection_stop(struct connection *connection)
{
    struct http_connection *http = connection->http;
    if (http == NULL) {
        return;
    }
    if (http->exchange != NULL) {
        http->exchange->connection = NULL;
        if (http->phase == PHASE_BODY) {
            exchange_free(http->exchange); /* no handler has it yet */
        }
    }
    buf_release(&http->rx);
    free(http);
    connection->http = NULL;
}

struct buf http_connection_take_rest(struct connection *connection)
{
    struct buf rest = connection->http->rx;
    connection->http->rx = (struct buf){0};
    return rest;
}

/* ---- answers ---- */

/* Refuses what cannot be understood or is over a limit, and ends the connection: where the request ends is
 * unknown. */
static void refuse(struct connection *connection, unsigned status, const char *text)
{
    struct buf answer = {0};
    connection->worker->metrics.http_refused_total++;
    http_response_begin(&answer, status);
    http_response_header(&answer, "Content-Type", STR("text/plain; charset=utf-8"));
    http_response_header(&answer, "Connection", STR("close"));
    http_response_end(&answer, strlen(text) + 1);
    buf_append(&answer, text, strlen(text));
    buf_append_char(&answer, '\n');
    if (!answer.failed) {
        connection_send_copy(connection, buf_str(&answer));
    }
    buf_release(&answer);
    connection_finish(connection);
}

void exchange_header(struct exchange *exchange, const char *name, struct str value)
{
    (void)http_response_header_checked(&exchange->extra, name, value);
}

static void begin_answer(struct buf *answer, const struct exchange *exchange, unsigned status,
                         const char *content_type)
{
    http_response_begin(answer, status);
    if (content_type != NULL) {
        http_response_header(answer, "Content-Type", str_from_cstr(content_type));
        http_response_header(answer, "X-Content-Type-Options", STR("nosniff"));
    }
    if (exchange->closes) {
        http_response_header(answer, "Connection", STR("close"));
    } else if (exchange->request.version_minor == 0) {
        http_response_header(answer, "Connection", STR("keep-alive"));
    }
    buf_append_str(answer, buf_str(&exchange->extra));
}

void exchange_respond(struct exchange *exchange, unsigned status, const char *content_type, struct str body)
{
    struct connection *connection = exchange->connection;
    if (connection == NULL) {
        exchange_free(exchange);
        return;
    }
    struct http_connection *http = connection->http;
    must(http != NULL && http->exchange == exchange && http->phase == PHASE_ANSWER);
    exchange->closes = exchange->closes || connection->worker->is_draining;
    struct buf answer = {0};
    begin_answer(&answer, exchange, status, content_type);
    if (status == 204 || status == 304) {
        http_response_end_bodiless(&answer);
    } else {
        http_response_end(&answer, body.len);
        if (exchange->request.method != HTTP_METHOD_HEAD) {
            buf_append_str(&answer, body);
        }
    }
    bool closes = exchange->closes;
    http->exchange = NULL;
    exchange_free(exchange);
    if (answer.failed) {
        connection_drop(connection);
    } else {
        connection_send_copy(connection, buf_str(&answer));
        http_connection_on_answered(connection, closes);
    }
    buf_release(&answer);
}

void exchange_refuse(struct exchange *exchange, unsigned status, const char *text)
{
    char line[256];
    int len = snprintf(line, sizeof line, "%s\n", text != NULL ? text : http_status_text(status));
    size_t shown = len < 0 ? 0 : (size_t)len < sizeof line ? (size_t)len : sizeof line - 1;
    exchange_respond(exchange, status, "text/plain; charset=utf-8", str_make(line, shown));
}

void exchange_upgraded(struct exchange *exchange)
{
    exchange->connection->http->exchange = NULL;
    exchange_free(exchange);
}

/* ---- requests ---- */

static void dispatch(struct connection *connection, struct exchange *exchange)
{
    connection->http->phase = PHASE_ANSWER;
    connection->http->due_ms = UINT64_MAX;
    exchange->route->handle(exchange);
}

/* GET allows HEAD. CORS preflights and the like are the handlers' who list OPTIONS. */
static bool method_is_allowed(const struct route *route, enum http_method method)
{
    switch (method) {
    case HTTP_METHOD_GET:
    case HTTP_METHOD_HEAD: return (route->methods & ROUTE_GET) != 0;
    case HTTP_METHOD_POST: return (route->methods & ROUTE_POST) != 0;
    case HTTP_METHOD_OPTIONS:
    case HTTP_METHOD_PUT:
    case HTTP_METHOD_DELETE:
    case HTTP_METHOD_PATCH:
    case HTTP_METHOD_OTHER: return false;
    }
    return false;
}

static void not_found(struct exchange *exchange)
{
    exchange_refuse(exchange, 404, NULL);
}

static void not_allowed(struct exchange *exchange)
{
    unsigned methods = exchange->route->methods;
    exchange_header(exchange, "Allow",
                    methods == ROUTE_POST  ? STR("POST")
                    : methods == ROUTE_GET ? STR("GET, HEAD")
                                           : STR("GET, HEAD, POST"));
    exchange_refuse(exchange, 405, NULL);
}

static void on_head(struct connection *connection, struct exchange *exchange)
{
    struct worker *worker = connection->worker;
    struct http_connection *http = connection->http;
    const struct http_request *request = &exchange->request;
    static const struct route nowhere = {.handle = not_found};
    static const struct route wrong_method[] = {
        [ROUTE_GET] = {.handle = not_allowed, .methods = ROUTE_GET},
        [ROUTE_POST] = {.handle = not_allowed, .methods = ROUTE_POST},
        [ROUTE_GET | ROUTE_POST] = {.handle = not_allowed, .methods = ROUTE_GET | ROUTE_POST},
    };
    worker->metrics.http_requests_total++;
    http->request_count++;
    exchange->closes =
        !request->keep_alive || http->request_count >= worker->config->limits_http_keepalive_requests;
    const struct route *route = routes_find(worker->routes, request->path, connection->is_internal);
    size_t body_bytes_max = worker->config->limits_http_small_body_size;
    if (route == NULL) {
        route = &nowhere;
    } else if (!method_is_allowed(route, request->method)) {
        route = &wrong_method[route->methods];
    } else if (route->body_bytes_max > 0) {
        body_bytes_max = route->body_bytes_max;
    }
    exchange->route = route;
    http_body_reader_init(&exchange->body_reader, request, body_bytes_max);
    http->exchange = exchange;
    http->phase = PHASE_BODY;
    http->due_ms = worker->now_ms + worker->config->limits_http_body_timeout_ms;
    if (request->expect_continue && request->version_minor == 1) {
        connection_send_copy(connection, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
}

/* Zero but for the request, of which no more is copied than there is. NULL without memory. */
static struct exchange *exchange_new(const struct http_request *request)
{
    struct exchange *exchange = malloc(sizeof *exchange);
    if (exchange != NULL) {
        memset(exchange, 0, offsetof(struct exchange, request));
        memcpy(&exchange->request, request,
               offsetof(struct http_request, headers) + request->header_count * sizeof request->headers[0]);
    }
    return exchange;
}

/* Reads a head off the buffer. true: there is one, and http->exchange has it. */
static bool read_head(struct connection *connection)
{
    struct http_connection *http = connection->http;
    struct exchange *exchange = NULL;
    static _Thread_local struct http_request request; /* static: 2 KB that need not be zeroed each time */
    switch (
        http_read_head(http->rx.at, http->rx.len, &connection->worker->http_limits, &http->scan, &request)) {
    case HTTP_MORE: return false;
    case HTTP_REFUSED: refuse(connection, request.refusal_status, request.refusal_text); return false;
    case HTTP_HEAD: break;
    }
    exchange = exchange_new(&request);
    struct buf rest = {0};
    buf_append(&rest, http->rx.at + request.head_bytes, http->rx.len - request.head_bytes);
    if (exchange == NULL || rest.failed) {
        free(exchange);
        buf_release(&rest);
        connection_drop(connection);
        return false;
    }
    /* The slices of the request point into the received bytes, which therefore become the exchange's. */
    exchange->worker = connection->worker;
    exchange->connection = connection;
    const struct config *config = connection->worker->config;
    const struct trusted_proxies trusted = {config->trusted_networks, config->trusted_network_count};
    forwarded_address(&trusted, connection->address, &exchange->request, exchange->address);
    exchange->is_https = forwarded_is_https(&trusted, connection->address, &exchange->request,
                                            socket_is_tls(connection->socket));
    exchange->head = http->rx;
    http->rx = rest;
    http->scan = (struct http_scan){0};
    on_head(connection, exchange);
    return true;
}

/* Reads what there is of the body. true: it is complete. */
static bool read_body(struct connection *connection)
{
    struct http_connection *http = connection->http;
    struct exchange *exchange = http->exchange;
    const char *at = http->rx.at;
    size_t len = http->rx.len;
    struct str piece;
    enum http_body_result result;
    while ((result = http_body_read(&exchange->body_reader, &at, &len, &piece)) == HTTP_BODY_PIECE) {
        buf_append_str(&exchange->body, piece);
    }
    if (result == HTTP_BODY_REFUSED) {
        unsigned status = exchange->body_reader.refusal_status;
        refuse(connection, status, exchange->body_reader.refusal_text);
        return false;
    }
    buf_consume(&http->rx, http->rx.len - len);
    if (exchange->body.failed) {
        connection_drop(connection);
        return false;
    }
    return result == HTTP_BODY_DONE;
}

/* Goes as far as the received bytes allow. `connection->http` may end on the way: an upgrade, a refusal. */
static void advance(struct connection *connection)
{
    struct http_connection *http = connection->http;
    if (http->is_advancing) {
        return;
    }
    http->is_advancing = true;
    bool goes_on = true;
    while (goes_on && connection->http == http && connection->state == CONNECTION_HTTP) {
        switch (http->phase) {
        case PHASE_HEAD: goes_on = http->rx.len > 0 && read_head(connection); break;
        case PHASE_BODY:
            goes_on = read_body(connection);
            if (goes_on) {
                dispatch(connection, http->exchange);
            }
            break;
        case PHASE_ANSWER: goes_on = false; break;
        }
    }
    if (connection->http != http) {
        return;
    }
    http->is_advancing = false;
    if (http->phase == PHASE_ANSWER && http->rx.len > WAITING_BYTES_MAX) {
        connection_pause(connection, PAUSE_HTTP);
    }
    connection_schedule(connection);
}

void http_connection_on_bytes(struct connection *connection, const unsigned char *bytes, size_t len)
{
    struct http_connection *http = connection->http;
    struct worker *worker = connection->worker;
    if (http->phase == PHASE_HEAD && http->rx.len == 0 && http->request_count > 0) {
        /* A further request begins: its head has the full time from here, and not a byte more. */
        http->due_ms = worker->now_ms + worker->config->limits_http_head_timeout_ms;
    }
    buf_append(&http->rx, bytes, len);
    if (http->rx.failed) {
        connection_drop(connection);
        return;
    }
    advance(connection);
}

void http_connection_on_answered(struct connection *connection, bool closes)
{
    struct http_connection *http = connection->http;
    if (http == NULL || connection->state != CONNECTION_HTTP) {
        return;
    }
    if (closes) {
        connection_finish(connection);
        return;
    }
    const struct config *config = connection->worker->config;
    http->phase = PHASE_HEAD;
    http->due_ms = connection->worker->now_ms + (http->rx.len > 0 ? config->limits_http_head_timeout_ms
                                                                  : config->limits_http_keepalive_timeout_ms);
    connection_resume(connection, PAUSE_HTTP);
    advance(connection);
}

uint64_t http_connection_due_ms(const struct connection *connection)
{
    return connection->http == NULL ? UINT64_MAX : connection->http->due_ms;
}

void http_connection_on_due(struct connection *connection, uint64_t now_ms)
{
    struct http_connection *http = connection->http;
    if (http == NULL || now_ms < http->due_ms) {
        return;
    }
    if (http->phase == PHASE_BODY || http->rx.len > 0) {
        refuse(connection, 408, "the request took too long");
    } else {
        connection_drop(connection);
    }
}

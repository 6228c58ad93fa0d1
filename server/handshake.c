#include "server/handshake.h"

#include "channels/base/log.h"
#include "server/connection.h"
#include "server/cookie_auth.h"
#include "server/exchange.h"
#include "server/proxy.h"
#include "server/quota.h"
#include "server/routes.h"
#include "server/session.h"
#include "server/worker.h"

#include <stdio.h>

/* Spread over a window, so that those who were refused together do not come back together. */
enum { RETRY_AFTER_MIN_S = 1, RETRY_AFTER_SPREAD_S = 5 };

static void refuse(struct exchange *exchange, unsigned status, const char *rule, const char *text)
{
    char address[ADDRESS_TEXT_MAX];
    exchange->worker->metrics.handshakes_refused_total++;
    exchange->closes = true; /* a peer that speaks WebSocket next must not have it read as HTTP */
    log_info("handshake_refused", {"rule", log_cstr(rule)}, {"status", log_u64(status)},
             {"address", log_text(address_text(exchange->address, address))},
             {"origin", log_text(http_header(&exchange->request, "Origin"))});
    if (status == 429 || status == 503) {
        char seconds[8];
        uint64_t wait_s = RETRY_AFTER_MIN_S + worker_random(exchange->worker, RETRY_AFTER_SPREAD_S);
        snprintf(seconds, sizeof seconds, "%u", (unsigned)wait_s);
        exchange_header(exchange, "Retry-After", str_from_cstr(seconds));
    }
    exchange_refuse(exchange, status, text);
}

static bool origin_is_allowed(const struct exchange *exchange)
{
    const struct config *config = exchange->worker->config;
    struct str origin = http_header(&exchange->request, "Origin");
    if (origin.at == NULL) {
        return true; /* not a browser */
    }
    if (config->client_allowed_origins.count == 0) {
        return http_origin_is_own(origin, http_header(&exchange->request, "Host"), exchange->is_https);
    }
    return http_origin_is_allowed(origin, config->client_allowed_origins.at,
                                  config->client_allowed_origins.count);
}

/* The quota's key for an address: "ip:127.0.0.1". */
static struct str quota_key(const unsigned char address[ADDRESS_BYTES], char key[3 + ADDRESS_TEXT_MAX])
{
    memcpy(key, "ip:", 3);
    return str_make(key, 3 + address_text(address, key + 3).len);
}

static void give_back_place(struct worker *worker)
{
    atomic_fetch_sub_explicit(&worker->server->connection_count, 1, memory_order_relaxed);
}

void handshake_give_back(struct worker *worker, const unsigned char address[ADDRESS_BYTES])
{
    char key[3 + ADDRESS_TEXT_MAX];
    quota_leave(worker, quota_key(address, key));
    give_back_place(worker);
}

/* The one query parameter that means something to a WebSocket; the SDKs add others. */
static bool asks_for_frame_pings(const struct http_request *request)
{
    struct buf value = {0};
    bool is_asked =
        http_query_get(request->query, "cf_ws_frame_ping_pong", &value) && str_is(buf_str(&value), "true");
    buf_release(&value);
    return is_asked;
}

/* A session for the upgrade, with what its cookies say. NULL: no memory. */
static struct session *open_session(struct exchange *exchange)
{
    struct buf user = {0};
    cookie_auth_identify(exchange, &user);
    struct session *session = user.failed ? NULL : session_open(exchange->worker);
    if (session != NULL && !session_set_cookie_user(session, buf_str(&user))) {
        session_discard(session);
        session = NULL;
    }
    buf_release(&user);
    return session;
}

static void accept_upgrade(struct exchange *exchange)
{
    static const char *const subprotocols[] = {"centrifuge-json"};
    struct connection *connection = exchange->connection;
    bool is_echo = exchange->route->handle == handshake_handle_echo;
    struct session *session = is_echo ? NULL : open_session(exchange);
    bool is_kept = session == NULL ||
                   proxies_keep_headers(exchange->worker->proxies, &exchange->request, &session->headers);
    if ((session == NULL && !is_echo) || !is_kept) {
        session_discard(session);
        refuse(exchange, 503, "memory", "the server is busy");
        return;
    }
    if (session != NULL) {
        session->pings_by_frame = asks_for_frame_pings(&exchange->request);
    }
    struct buf answer = {0};
    char accept[WEBSOCKET_ACCEPT_KEY_LEN];
    websocket_accept_key(http_header(&exchange->request, "Sec-WebSocket-Key"), accept);
    http_response_begin(&answer, 101);
    http_response_header(&answer, "Upgrade", STR("websocket"));
    http_response_header(&answer, "Connection", STR("Upgrade"));
    http_response_header(&answer, "Sec-WebSocket-Accept", str_make(accept, sizeof accept));
    struct str subprotocol =
        http_pick_token(http_header(&exchange->request, "Sec-WebSocket-Protocol"), subprotocols, 1);
    if (subprotocol.at != NULL) {
        http_response_header(&answer, "Sec-WebSocket-Protocol", subprotocol);
    }
    http_response_end_bodiless(&answer);
    exchange_upgraded(exchange);
    connection->worker->metrics.handshakes_total++;
    if (answer.failed || !connection_send_copy(connection, buf_str(&answer))) {
        connection_drop(connection);
        session_discard(session);
    } else {
        connection_become_websocket(connection, session);
    }
    buf_release(&answer);
}

static void on_quota(void *context, enum quota_verdict verdict)
{
    struct exchange *exchange = context;
    struct worker *worker = exchange->worker;
    if (verdict != QUOTA_OK) {
        give_back_place(worker);
    }
    switch (verdict) {
    case QUOTA_OK: break;
    case QUOTA_OVER_COUNT:
        worker->metrics.limited_ip_total++;
        refuse(exchange, 429, "limits.connections_per_ip", "too many connections from this address");
        return;
    case QUOTA_OVER_RATE:
        worker->metrics.limited_ip_rate_total++;
        refuse(exchange, 429, "limits.connection_rate_per_ip", "too many new connections from this address");
        return;
    case QUOTA_UNKNOWN: refuse(exchange, 503, "busy", "the server is busy"); return;
    }
    if (exchange->connection == NULL) {
        handshake_give_back(worker, exchange->address); /* the peer went while the answer was on its way */
        exchange_refuse(exchange, 503, NULL);
        return;
    }
    exchange->connection->is_counted = true;
    memcpy(exchange->connection->address, exchange->address, sizeof exchange->address);
    accept_upgrade(exchange);
}

static bool takes_connection_place(struct worker *worker)
{
    unsigned before = atomic_fetch_add_explicit(&worker->server->connection_count, 1, memory_order_relaxed);
    if (before < worker->config->client_connection_limit) {
        return true;
    }
    atomic_fetch_sub_explicit(&worker->server->connection_count, 1, memory_order_relaxed);
    return false;
}

void handshake_handle(struct exchange *exchange)
{
    struct worker *worker = exchange->worker;
    const struct config *config = worker->config;
    struct http_refusal refusal;
    uint32_t share = config->client_connection_rate_limit / worker->server->worker_count;
    share = share == 0 ? 1 : share;
    if (!http_upgrade_check(&exchange->request, &refusal)) {
        if (refusal.header_name != NULL) {
            exchange_header(exchange, refusal.header_name, str_from_cstr(refusal.header_value));
        }
        refuse(exchange, refusal.status, "handshake", refusal.text);
    } else if (!origin_is_allowed(exchange)) {
        refuse(exchange, 403, "client.allowed_origins", "this origin is not in client.allowed_origins");
    } else if (worker->is_draining) {
        refuse(exchange, 503, "shutdown", "the server is shutting down");
    } else if (!rate_take(&worker->connect_rate, share, share, worker->now_ms)) {
        worker->metrics.limited_rate_total++;
        refuse(exchange, 503, "client.connection_rate_limit", "too many new connections");
    } else if (!takes_connection_place(worker)) {
        worker->metrics.limited_connections_total++;
        refuse(exchange, 503, "client.connection_limit", "too many connections");
    } else {
        char key[3 + ADDRESS_TEXT_MAX];
        quota_enter(worker, quota_key(exchange->address, key),
                    &(struct quota_limits){.count_max = config->limits_connections_per_ip,
                                           .per_second = config->limits_connection_rate_per_ip,
                                           .burst = config->limits_connection_burst_per_ip},
                    on_quota, exchange);
    }
}

void handshake_handle_echo(struct exchange *exchange)
{
    handshake_handle(exchange);
}

/* exchange.h - one HTTP request and its answer.
 *
 *     head read ─▶ route found ─▶ body read ─▶ handler(exchange) ─▶ … ─▶ exchange_respond()
 *
 * A handler answers at once or later; it owns the exchange until exchange_respond(), which frees it. The peer
 * may have gone by then (`connection` is NULL): answering is still due and sends nothing. Requests of one
 * connection are handled one after the other; pipelined ones wait.
 *
 * Thread: the worker's.   Memory: one allocation with the bytes of the request; slices in it live as long.
 */
#ifndef STARLING_SERVER_EXCHANGE_H
#define STARLING_SERVER_EXCHANGE_H

#include "channels/base/buf.h"
#include "server/address.h"
#include "server/http.h"

struct connection;
struct worker;

struct exchange {
    struct worker *worker;
    struct connection *connection; /* NULL once the peer has gone */
    const struct route *route;
    struct buf head;
    struct buf body;
    struct http_body_reader body_reader;
    struct buf extra;                     /* more header lines of the answer: exchange_header() */
    void *context;                        /* the handler's */
    unsigned char address[ADDRESS_BYTES]; /* of the client (forwarded.h); stays when it has gone */
    bool is_https;                        /* the client came by TLS, to us or to a trusted proxy */
    bool closes;                          /* close the connection after the answer */
    struct http_request
        request; /* slices of `head`; last, for most of it is room for headers that are not there */
};

/* Adds a header line to the answer. `name` is a constant; a value with control characters is left out. */
void exchange_header(struct exchange *exchange, const char *name, struct str value);

/* Answers and frees the exchange. `content_type` may be NULL with an empty body. For HEAD the body is not
 * sent, its length is. */
void exchange_respond(struct exchange *exchange, unsigned status, const char *content_type, struct str body);

/* Answers with the status' text as plain text. */
void exchange_refuse(struct exchange *exchange, unsigned status, const char *text);

/* For the upgrade to a WebSocket, whose answer is written by the handler itself: frees the exchange without
 * answering. */
void exchange_upgraded(struct exchange *exchange);

#endif

/* http_connection.h - what a connection does while it speaks HTTP: read heads and bodies, hand out exchanges.
 *
 *     HEAD ─ whole head ─▶ BODY ─ whole body ─▶ ANSWER ─ exchange_respond ─▶ HEAD …
 *
 * One request at a time; what is pipelined behind it waits in the buffer, and past a bound the peer is not
 * read.
 *
 * Thread: the worker's.   Memory: exists while the connection speaks HTTP.   Limits: config limits.http_*.
 */
#ifndef STARLING_SERVER_HTTP_CONNECTION_H
#define STARLING_SERVER_HTTP_CONNECTION_H

#include "channels/base/buf.h"

struct connection;
struct exchange;

/* false: no memory. */
bool http_connection_start(struct connection *connection);
/* Frees the HTTP state; an exchange that is not answered yet loses its connection. Fine when there is none.
 */
void http_connection_stop(struct connection *connection);

void http_connection_on_bytes(struct connection *connection, const unsigned char *bytes, size_t len);

/* The exchange was answered (its bytes are queued): goes on with the next request, or ends. Called by
 * exchange.c. */
void http_connection_on_answered(struct connection *connection, bool closes);

/* What arrived behind the head of an upgrade. Returns owned. */
struct buf http_connection_take_rest(struct connection *connection);

uint64_t http_connection_due_ms(const struct connection *connection);
void http_connection_on_due(struct connection *connection, uint64_t now_ms);

#endif

/* handshake.h - the WebSocket opening handshake: who may connect at all.
 *
 *     syntax (RFC 6455 section 4.2.1) ─▶ origin ─▶ limits of node and address ─▶ 101
 *
 * Refusals are HTTP answers that say which rule decided: 400, 403, 405, 426, 429, 503 (PROTOCOL section 1.5,
 * THREATS H01 to H08 and section 0).
 *
 * Thread: the worker's.
 */
#ifndef STARLING_SERVER_HANDSHAKE_H
#define STARLING_SERVER_HANDSHAKE_H

#include "server/address.h"

struct exchange;
struct worker;

void handshake_handle(struct exchange *exchange);
/* The same for debug.echo_path, whose frames come back as they are. */
void handshake_handle_echo(struct exchange *exchange);

/* A connection that was accepted has gone: its places are free again. */
void handshake_give_back(struct worker *worker, const unsigned char address[ADDRESS_BYTES]);

#endif

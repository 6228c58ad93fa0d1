/* ws_client.h - a WebSocket client for our own command line: one connection, one thread, waiting allowed.
 *
 * The same codec as the server's, from the other side (RFC 6455), over a blocking stream (tls_stream.h): the
 * server's event loop and its promises are of no use to a command that waits for one answer.
 *
 * Thread: one per client.   Memory: heap, one struct and the message that is incomplete.
 * Limits: WS_CLIENT_MESSAGE_BYTES_MAX for one message, 16 KiB for the answer to the handshake.
 */
#ifndef STARLING_SERVER_WS_CLIENT_H
#define STARLING_SERVER_WS_CLIENT_H

#include "channels/base/buf.h"

enum { WS_CLIENT_MESSAGE_BYTES_MAX = 64 << 20, WS_CLIENT_TIMEOUT_MS = 10000 };

struct cli_url;
struct ws_client;

#define WS_CLIENT_DEFAULT_PATH "/connection/websocket" /* where a URL has none */

struct ws_client_options {
    const char *origin; /* NULL: no Origin, as clients that are no browsers */
    bool is_unverified; /* a certificate that does not verify is fine */
};

/* Connects and shakes hands, within WS_CLIENT_TIMEOUT_MS for each wait. false: `why` got the reason,
 * printable, and *out_status the status of the answer, 0 where there was none. On success *out is owned by
 * the caller. */
bool ws_client_open_url(struct ws_client **out, const struct cli_url *url,
                        const struct ws_client_options *options, unsigned *out_status, struct buf *why);

/* The same for a text like ws://host[:port][/path] or wss://…, whose certificate has to verify. */
bool ws_client_open(struct ws_client **out, const char *url, struct buf *why);

/* Sends one text message. false: the connection is gone, `why` got the reason. */
bool ws_client_send(struct ws_client *client, struct str text, struct buf *why);

/* Waits for the next message, which is borrowed until the next call; pings are answered meanwhile.
 * `timeout_ms` of silence (-1 = for ever) and a close end it: false, and `why` got the reason. */
bool ws_client_receive(struct ws_client *client, int timeout_ms, struct str *message, struct buf *why);

/* Says goodbye and frees; NULL is fine. */
void ws_client_close(struct ws_client *client);

#endif

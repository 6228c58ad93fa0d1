/* lws.h - the only file that knows libwebsockets: sockets in, bytes in, bytes out.
 *
 * libwebsockets has the sockets in its raw role: it does TLS, waits for readiness in the worker's libev loop
 * and hands over bytes; none of its HTTP, HTTP/2, WebSocket or compression code runs. Two things are done
 * here and not by it, both measured: accepting (its listener spins when descriptors run out, and accepts
 * without a bound per turn), and sending on plain sockets (lws_write copies what a short write leaves into a
 * list without a limit).
 *
 *     listening socket ─▶ accept4, bounded ─▶ lws_adopt ─▶ connection_on_bytes / on_writable / on_close
 *     connection ─▶ socket_send ─▶ send(2), or lws_write where there is TLS
 *
 * Thread: the worker's. Open fronts one after another: libwebsockets has process-wide state while it starts.
 */
#ifndef STARLING_SERVER_LWS_H
#define STARLING_SERVER_LWS_H

#include "channels/status.h"
#include "server/address.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct connection;
struct ev_loop;
struct front; /* one worker's context, vhosts and listeners */
struct lws;   /* one accepted socket: opaque outside lws.c */
struct worker;

/* Who connected: lent to connection_open() for the call. */
struct peer {
    unsigned char address[ADDRESS_BYTES];
    bool is_internal; /* came in on the internal port */
};

/* One address that the server listens on. The descriptor is bound and listening, with SO_REUSEPORT; one per
 * worker. */
struct listener {
    int fd;
    bool is_tls;
    bool is_internal;
};

struct front_options {
    struct worker *worker;
    struct ev_loop *loop;
    const struct listener *listeners; /* taken: the front closes them */
    size_t listener_count;
    const char *tls_cert; /* PEM text, NUL-terminated; NULL without TLS */
    const char *tls_key;
    unsigned accepts_per_turn;
    unsigned tls_handshake_timeout_s;
};

/* Returns owned in *out. On failure *error is a static text, and the listeners stay the caller's. */
enum status front_open(struct front **out, const struct front_options *options, const char **error);

/* Stops listening: the descriptors are closed. Connections live on. */
void front_stop_accepting(struct front *front);

/* Closes what is left (connection_on_close runs for each) and frees. NULL is fine. */
void front_close(struct front *front);

/* Connections that begin from now on get this certificate. false: *error says why, and nothing changed. The
 * front has TLS. */
bool front_use_certificate(struct front *front, const char *cert_pem, const char *key_pem,
                           const char **error);

/* How often accepting was paused because descriptors ran out. */
uint64_t front_accept_pauses(const struct front *front);

/* Writes as much as the socket takes now. Returns the bytes taken, 0 when it would block, -1 when the
 * connection is broken. Asks for connection_on_writable() where not
 * all was taken. */
ssize_t socket_send(struct lws *socket, const void *bytes, size_t len);
/* The same for a socket with TLS: everything or nothing is taken. */
ssize_t socket_send_tls(struct lws *socket, const void *bytes, size_t len);
/* The same for gathered pieces, plain sockets only. */
ssize_t socket_sendv(struct lws *socket, const struct iovec *pieces, int count);
bool socket_is_tls(struct lws *socket);

/* Stops and resumes reading; what the peer sends meanwhile stays in the kernel. */
void socket_pause_reading(struct lws *socket, bool is_paused);

/* Tells the peer that nothing more comes, and keeps reading (RFC 6455 section 7.1.1). */
void socket_shutdown_write(struct lws *socket);

/* Closes at once: connection_on_close() runs inside. Not from within connection_on_bytes() or _on_writable().
 */
void socket_close(struct lws *socket);

int socket_fd(struct lws *socket);

#endif

/* redis_tls.h - TLS over a socket of ours, for Redis: the server's chain and name are verified.
 *
 * TLS 1.2 or newer. Nothing blocks: a call that cannot go on says what it waits for.   Thread: the context is
 * shared and constant; a redis_tls belongs to one worker.
 */
#ifndef STARLING_CHANNELS_REDIS_TLS_H
#define STARLING_CHANNELS_REDIS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct redis_tls_context;
struct redis_tls;

struct redis_tls_settings {
    const char *ca_pem, *cert_pem,
        *key_pem;            /* PEM text; "": the system's certificates, no certificate of ours */
    const char *server_name; /* to verify instead of the host; "": the host */
    bool skips_verification;
};

/* NULL: *error is a static text. */
struct redis_tls_context *redis_tls_context_new(const struct redis_tls_settings *settings,
                                                const char **error);
void redis_tls_context_free(struct redis_tls_context *context);

/* A client on a connected socket; NULL without memory. */
struct redis_tls *redis_tls_new(struct redis_tls_context *context, int fd, const char *host);
void redis_tls_free(struct redis_tls *tls);

/* As recv(2) and send(2) on a non-blocking socket: -1 with errno EAGAIN when it has to wait, 0 at the end. */
ssize_t redis_tls_read(struct redis_tls *tls, void *out, size_t room);
ssize_t redis_tls_write(struct redis_tls *tls, const void *bytes, size_t len);
/* 1: done; 0: waits; -1: failed. */
int redis_tls_handshake(struct redis_tls *tls);
/* What the last call waits for is room to write. */
bool redis_tls_wants_write(const struct redis_tls *tls);

#endif

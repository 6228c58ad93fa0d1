/* secure.h - TLS under a client's connection, with the contract of recv() and send().
 *
 * The handshake happens inside the first calls. Certificates are not checked: the server is our own child.
 * Thread: the main one.
 */
#ifndef STARLING_BENCH_SECURE_H
#define STARLING_BENCH_SECURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ssl_st;

/* Owned; secure_free(). `fd` stays the caller's. */
struct ssl_st *secure_new(int fd);
/* NULL is fine. Sends nothing. */
void secure_free(struct ssl_st *secure);

/* At most one record. -1 with EAGAIN: nothing yet. */
ssize_t secure_receive(struct ssl_st *secure, void *bytes, size_t len);
/* -1 with EAGAIN: not now; secure_waits_to_read() says what for. */
ssize_t secure_send(struct ssl_st *secure, const void *bytes, size_t len);
bool secure_waits_to_read(const struct ssl_st *secure);

/* Data records that all connections have received so far. */
uint64_t secure_records(void);

#endif

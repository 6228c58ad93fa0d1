/* listen.h - the addresses that the server listens on, as sockets: one per address and worker, sharing the
 * port.
 *
 * Thread: main, before the workers start.
 */
#ifndef STARLING_SERVER_LISTEN_H
#define STARLING_SERVER_LISTEN_H

#include "server/config.h"
#include "server/lws.h"

enum { LISTENERS_MAX = 32 };

struct listeners {
    struct listener at[LISTENERS_MAX];
    size_t count;
};

/* Opens the sockets of one worker for all configured addresses; no address means all of IPv4 and IPv6.
 * `*port` and
 * `*internal_port` are what to bind; 0 takes a free port and stores it, for the other workers to share.
 * `is_first`: for the first worker, a port that another process listens on is refused.
 * false: nothing is open, and `error` (of `error_bytes`) says which address failed and why. */
bool listeners_open(struct listeners *out, const struct config *config, uint16_t *port,
                    uint16_t *internal_port, bool is_first, char *error, size_t error_bytes);
void listeners_close(struct listeners *listeners);

#endif

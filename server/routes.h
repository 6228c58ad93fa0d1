/* routes.h - which path goes to which handler: a table, built per worker from the configuration.
 *
 * A handler gets an exchange with its whole body (exchange.h). Paths are compared as they came, without
 * decoding: everything we serve has a plain name.
 */
#ifndef STARLING_SERVER_ROUTES_H
#define STARLING_SERVER_ROUTES_H

#include "channels/base/str.h"

struct exchange;
struct worker;

enum route_method { ROUTE_GET = 1 << 0, ROUTE_POST = 1 << 1 }; /* GET includes HEAD */

struct route {
    struct str path;
    bool is_prefix;   /* also everything below path/ */
    bool is_internal; /* belongs to the internal port where one is configured */
    bool is_upgrade;  /* a WebSocket endpoint */
    unsigned methods; /* enum route_method */
    size_t body_bytes_max;
    void (*handle)(struct exchange *exchange);
};

struct routes;

/* NULL without memory. */
struct routes *routes_new(const struct worker *worker);
/* Frees it and those it keeps. NULL is fine. */
void routes_free(struct routes *routes);
/* Takes `older`, which requests still point to, to be freed together. */
void routes_keep(struct routes *routes, struct routes *older);

/* The route of a path, or NULL. `is_internal_port`: where the request came in. */
const struct route *routes_find(const struct routes *routes, struct str path, bool is_internal_port);

#endif

/* generation.h - one state of the configuration and what was made of it: keys, certificate.
 *
 *     start: generation 1 ─▶ workers        SIGHUP: file ─▶ generation 2 ─▶ every worker swaps its pointers
 *
 * A generation never changes. Older ones are kept until the end: channels, ops and requests that are under
 * way point into them. What needs a restart (restart_only in generation.c) keeps the value it had at the
 * start, and the log says so.
 *
 * Thread: main makes and frees; every thread reads.   Memory: some ten KiB each, GENERATIONS_MAX of them.
 * Source: SERVER_API section 8, THREATS S12.
 */
#ifndef STARLING_SERVER_GENERATION_H
#define STARLING_SERVER_GENERATION_H

#include "channels/base/buf.h"

struct config;
struct config_source;
struct token_verifier;

enum { GENERATIONS_MAX = 1000, GENERATIONS_WARN = 100 };

struct generation {
    struct generation *older;
    struct config *config;
    bool owns_config;
    struct token_verifier *connection_tokens, *subscription_tokens;
    char *tls_cert, *tls_key; /* PEM text; NULL without TLS */
    unsigned number;          /* 1 at the start */
};

/* The first, of a configuration that stays the caller's. NULL: `why` says what is wrong. */
struct generation *generation_first(struct config *config, struct buf *why);

/* The next, read again from the same source. Logs warnings of the configuration. NULL: `why` says why it was
 * refused, and `current` goes on. */
struct generation *generation_next(struct generation *current, const struct config_source *source,
                                   struct buf *why);

/* Frees it and all older ones. NULL is fine. */
void generation_free(struct generation *generation);

#endif

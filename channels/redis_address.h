/* redis_address.h - where a Redis is and how to get in, from one line of text.
 *
 *     host   host:6379   [::1]:6379   redis://user:password@host:6379/2   rediss://… (TLS)
 * unix:///run/redis.sock
 *
 * What the text does not say is taken from the defaults.   Thread: main.   Memory: owns its texts.
 */
#ifndef STARLING_CHANNELS_REDIS_ADDRESS_H
#define STARLING_CHANNELS_REDIS_ADDRESS_H

#include "channels/base/str.h"

struct redis_tls_context;

struct redis_address {
    struct str name;         /* host:port or path: for the log, and what decides which channels lie there */
    const char *host, *port; /* host NULL: a Unix socket */
    const char *path;        /* of the socket */
    const char *user, *password; /* "": none */
    unsigned database;
    struct redis_tls_context *tls; /* NULL: none; borrowed */
    bool wants_tls;                /* by the scheme rediss */
    char *texts;                   /* owned: what the pointers point into */
};

/* Reads `text`; user, password and database are those of `defaults` unless it says others. false: *error is a
 * static text. */
bool redis_address_parse(struct redis_address *out, struct str text, const struct redis_address *defaults,
                         const char **error);
void redis_address_release(struct redis_address *address);

#endif

/* forwarded.h - who the client is when proxies stand between: X-Forwarded-For and its kin, from those only
 * who are trusted.
 *
 *     client ─▶ proxy B ─▶ proxy A ─▶ us        X-Forwarded-For: <whatever the client sent>, client, B
 *                                                                                          ◀── read from here
 *
 * Each proxy appends the address it saw, so that entries are believed from the right, as far as the hops are
 * trusted: the first that is not a trusted proxy is the client. What stands further left anybody may have
 * written. `Forwarded` (RFC 7239) is read only where there is no X-Forwarded-For.
 *
 * Thread: any.   Source: THREATS H50 and H51.
 */
#ifndef STARLING_SERVER_FORWARDED_H
#define STARLING_SERVER_FORWARDED_H

#include "server/address.h"
#include "server/http.h"

/* The proxies that are believed: http_server.trusted_proxies. Borrowed. */
struct trusted_proxies {
    const struct network *networks;
    size_t count;
};

/* The client's address: the peer's where the peer is no trusted proxy, forwards nothing or writes something
 * that is no address. Where all hops are trusted, it is the one farthest away. */
void forwarded_address(const struct trusted_proxies *trusted, const unsigned char peer[ADDRESS_BYTES],
                       const struct http_request *request, unsigned char out[ADDRESS_BYTES]);

/* Did the client come by TLS: to us (`is_tls`), or by the X-Forwarded-Proto of a trusted proxy? */
bool forwarded_is_https(const struct trusted_proxies *trusted, const unsigned char peer[ADDRESS_BYTES],
                        const struct http_request *request, bool is_tls);

#endif

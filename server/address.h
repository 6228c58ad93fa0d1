/* address.h - addresses of peers and the networks they are in.
 *
 * An address is 16 bytes, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2), zeros for none. So a network is a
 * count of leading bits for both families.
 *
 * Thread: any.   Memory: nothing is allocated.
 */
#ifndef STARLING_SERVER_ADDRESS_H
#define STARLING_SERVER_ADDRESS_H

#include "channels/base/str.h"

enum { ADDRESS_BYTES = 16, ADDRESS_TEXT_MAX = 46 };

/* "127.0.0.1", "::1"; borrowed from `out`. */
struct str address_text(const unsigned char address[ADDRESS_BYTES], char out[ADDRESS_TEXT_MAX]);

/* "192.0.2.1", "2001:db8::1", nothing around it. false: not an address, and *out is untouched. */
bool address_parse(struct str text, unsigned char out[ADDRESS_BYTES]);

/* The same, also with a port or in brackets, as proxies write it: "192.0.2.1:4711", "[2001:db8::1]:4711". */
bool address_parse_with_port(struct str text, unsigned char out[ADDRESS_BYTES]);

struct network {
    unsigned char address[ADDRESS_BYTES];
    unsigned bits; /* 0 to 128; IPv4's 0 to 32 are 96 to 128 */
};

/* "10.0.0.0/8", "2001:db8::/32", or one address. false: not that, or bits are set behind the prefix. */
bool network_parse(struct str text, struct network *out);

bool networks_have(const struct network *networks, size_t count, const unsigned char address[ADDRESS_BYTES]);

#endif

/* address.h - the address of a peer: 16 bytes, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2), zeros for
 * none. */
#ifndef STARLING_SERVER_ADDRESS_H
#define STARLING_SERVER_ADDRESS_H

#include "channels/base/str.h"

enum { ADDRESS_BYTES = 16, ADDRESS_TEXT_MAX = 46 };

/* "127.0.0.1", "::1"; borrowed from `out`. */
struct str address_text(const unsigned char address[ADDRESS_BYTES], char out[ADDRESS_TEXT_MAX]);

#endif

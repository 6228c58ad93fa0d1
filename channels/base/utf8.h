/* utf8.h - is it UTF-8 (RFC 3629)? For text that arrives in pieces, cut anywhere.
 *
 * Refused: overlong forms, surrogates, above U+10FFFF, and what is cut off at the end. Accepted: everything
 * else, U+0000 and the non-characters included. Thread: any.   Memory: none; the state fits a register.
 */
#ifndef STARLING_BASE_UTF8_H
#define STARLING_BASE_UTF8_H

#include "channels/base/str.h"

/* All zero is the start of a text. */
struct utf8 {
    uint8_t bytes_missing; /* of the character that has begun */
    uint8_t lowest;        /* what its next byte may be; only its second byte ever has other bounds */
    uint8_t highest;       /* than 0x80 and 0xBF */
    bool is_invalid;       /* stays so */
};

/* Takes the next piece. false: from here on nothing can make it valid; said at the first byte that decides.
 */
bool utf8_feed(struct utf8 *utf8, const void *bytes, size_t len);

/* May the text end here: valid, and no character cut? */
bool utf8_is_complete(const struct utf8 *utf8);

bool utf8_is_valid(struct str text);

/* The longest beginning of `text` that is valid and has at most `len_max` bytes. O(len_max). */
struct str utf8_first(struct str text, size_t len_max);

#endif

#include "channels/base/utf8.h"

/* Looks at a first byte. The tables of RFC 3629 section 4, as bounds for the byte that follows. */
static bool begin_character(struct utf8 *utf8, unsigned char byte)
{
    utf8->lowest = 0x80;
    utf8->highest = 0xBF;
    if (byte >= 0xC2 && byte <= 0xDF) {
        utf8->bytes_missing = 1;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
        utf8->bytes_missing = 2;
        if (byte == 0xE0) {
            utf8->lowest = 0xA0; /* below: overlong */
        } else if (byte == 0xED) {
            utf8->highest = 0x9F; /* above: surrogates */
        }
    } else if (byte >= 0xF0 && byte <= 0xF4) {
        utf8->bytes_missing = 3;
        if (byte == 0xF0) {
            utf8->lowest = 0x90; /* below: overlong */
        } else if (byte == 0xF4) {
            utf8->highest = 0x8F; /* above: past U+10FFFF */
        }
    } else {
        return false;
    }
    return true;
}

/* How many bytes from `at` on are ASCII for certain; looks at eight at a time. */
static size_t ascii_run(const unsigned char *at, size_t len)
{
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t eight;
        memcpy(&eight, at + i, 8);
        if ((eight & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
    }
    return i;
}

/* Returns the index of the first byte that cannot be, or `len`. */
static size_t feed(struct utf8 *utf8, const unsigned char *at, size_t len)
{
    size_t i = 0;
    while (i < len) {
        unsigned char byte = at[i];
        if (utf8->bytes_missing > 0) {
            if (byte < utf8->lowest || byte > utf8->highest) {
                return i;
            }
            utf8->bytes_missing--;
            utf8->lowest = 0x80;
            utf8->highest = 0xBF;
            i++;
        } else if (byte < 0x80) {
            size_t run = ascii_run(at + i, len - i);
            i += run > 0 ? run : 1;
        } else if (begin_character(utf8, byte)) {
            i++;
        } else {
            return i;
        }
    }
    return len;
}

bool utf8_feed(struct utf8 *utf8, const void *bytes, size_t len)
{
    if (!utf8->is_invalid && feed(utf8, bytes, len) < len) {
        utf8->is_invalid = true;
    }
    return !utf8->is_invalid;
}

bool utf8_is_complete(const struct utf8 *utf8)
{
    return !utf8->is_invalid && utf8->bytes_missing == 0;
}

bool utf8_is_valid(struct str text)
{
    struct utf8 utf8 = {0};
    return utf8_feed(&utf8, text.at, text.len) && utf8_is_complete(&utf8);
}

struct str utf8_first(struct str text, size_t len_max)
{
    struct str first = str_first(text, len_max);
    struct utf8 utf8 = {0};
    first.len = feed(&utf8, (const unsigned char *)first.at, first.len);
    /* What is left of a character that was cut or broken begins at most three bytes before the end. */
    if (utf8.bytes_missing > 0) {
        while ((first.at[first.len - 1] & 0xC0) == 0x80) {
            first.len--;
        }
        first.len--;
    }
    return first;
}

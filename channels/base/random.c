#include "channels/base/random.h"

#include "channels/base/must.h"

#include <errno.h>
#include <sys/random.h>

void random_bytes(void *out, size_t len)
{
    unsigned char *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        must(got > 0);
        at += got;
        len -= (size_t)got;
    }
}

uint64_t random_below(uint64_t bound)
{
    must(bound > 0);
    uint64_t value;
    random_bytes(&value, sizeof value);
    return value % bound;
}

void random_uuid(char out[UUID_TEXT_LEN])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[16];
    random_bytes(bytes, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    size_t at = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[at++] = '-';
        }
        out[at++] = hex[bytes[i] >> 4];
        out[at++] = hex[bytes[i] & 15];
    }
    must(at == UUID_TEXT_LEN);
}

void random_epoch(char out[EPOCH_TEXT_LEN])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t i = 0; i < EPOCH_TEXT_LEN; i++) {
        out[i] = letters[random_below(sizeof letters - 1)];
    }
}

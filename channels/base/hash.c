#include "channels/base/hash.h"

#include "channels/base/random.h"

static unsigned char process_key[16];

static uint64_t load_le64(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value); /* little endian: the platforms of this server are */
    return value;
}

static inline uint64_t rotl(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

#define SIPROUND                \
    do {                        \
        v0 += v1;               \
        v1 = rotl(v1, 13) ^ v0; \
        v0 = rotl(v0, 32);      \
        v2 += v3;               \
        v3 = rotl(v3, 16) ^ v2; \
        v0 += v3;               \
        v3 = rotl(v3, 21) ^ v0; \
        v2 += v1;               \
        v1 = rotl(v1, 17) ^ v2; \
        v2 = rotl(v2, 32);      \
    } while (0)

uint64_t hash_siphash13(const unsigned char key[16], const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
    uint64_t v0 = k0 ^ UINT64_C(0x736f6d6570736575), v1 = k1 ^ UINT64_C(0x646f72616e646f6d);
    uint64_t v2 = k0 ^ UINT64_C(0x6c7967656e657261), v3 = k1 ^ UINT64_C(0x7465646279746573);
    size_t whole = len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = load_le64(at + i);
        v3 ^= word;
        SIPROUND;
        v0 ^= word;
    }
    uint64_t last = (uint64_t)(len & 0xff) << 56;
    for (size_t i = whole; i < len; i++) {
        last |= (uint64_t)at[i] << (8 * (i - whole));
    }
    v3 ^= last;
    SIPROUND;
    v0 ^= last;
    v2 ^= 0xff;
    SIPROUND;
    SIPROUND;
    SIPROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

void hash_seed(void)
{
    random_bytes(process_key, sizeof process_key);
}

uint64_t hash_bytes(const void *bytes, size_t len)
{
    return hash_siphash13(process_key, bytes, len);
}

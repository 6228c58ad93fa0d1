/* hash.h - the keyed hash of every table whose keys strangers choose.
 *
 * SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF") under a random key of the process:
 * nobody outside can compute names that collide, so a table stays flat whatever names come. About 20 ns for a
 * channel name, once per publication and worker. uthash uses it through HASH_FUNCTION, which base/table.h
 * defines. Thread: any, after the first call (main makes it).
 */
#ifndef STARLING_BASE_HASH_H
#define STARLING_BASE_HASH_H

#include "channels/base/str.h"

/* Draws the key from random_bytes(). Call once, before threads start; without it the key is all zeros. */
void hash_seed(void);

uint64_t hash_bytes(const void *bytes, size_t len);

static inline uint64_t hash_str(struct str s)
{
    return hash_bytes(s.at, s.len);
}

/* The algorithm under a given key, for its published test vectors. */
uint64_t hash_siphash13(const unsigned char key[16], const void *bytes, size_t len);

#endif

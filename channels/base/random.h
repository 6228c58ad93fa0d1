/* random.h - bytes nobody can guess, and the identifiers made of them. Source: getrandom(2). Thread: any. */
#ifndef STARLING_BASE_RANDOM_H
#define STARLING_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

enum { UUID_TEXT_LEN = 36, EPOCH_TEXT_LEN = 8 };

/* Fills `out`; the process stops where the kernel has no randomness, since nothing secret could be made. */
void random_bytes(void *out, size_t len);

/* 0 … bound - 1, without bias that matters (64 bits reduced). `bound` must not be 0. */
uint64_t random_below(uint64_t bound);

/* A version 4 UUID as 36 characters, no NUL (RFC 9562 section 5.4). */
void random_uuid(char out[UUID_TEXT_LEN]);

/* A stream's epoch: 8 letters, no NUL (PROTOCOL section 7.1). */
void random_epoch(char out[EPOCH_TEXT_LEN]);

#endif

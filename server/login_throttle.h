/* login_throttle.h - who may try a password now: after a few failures each further one costs more waiting.
 *
 * Counted for addresses and for accounts, whether an account exists or not. An address waits up to a quarter
 * of an hour; an account only half a minute, or anybody could keep its owner out. A success forgets, and so
 * does an hour without a failure.
 *
 * Thread: one (that of login_thread.h).   Memory: one entry per key, at most LOGIN_THROTTLE_KEYS_MAX; the one
 * that failed longest ago makes room.   Source: THREATS H45.
 */
#ifndef STARLING_SERVER_LOGIN_THROTTLE_H
#define STARLING_SERVER_LOGIN_THROTTLE_H

#include "channels/base/str.h"

struct login_throttle;

enum {
    LOGIN_FREE_FAILURES = 5, /* cost nothing; after the next one 1 s, then 2 s, 4 s, … */
    LOGIN_ADDRESS_WAIT_MS_MAX = 15 * 60 * 1000,
    LOGIN_ACCOUNT_WAIT_MS_MAX = 30 * 1000,
    LOGIN_FORGET_MS = 60 * 60 * 1000,
    LOGIN_THROTTLE_KEYS_MAX = 4096,
};

/* NULL without memory. */
struct login_throttle *login_throttle_new(void);
void login_throttle_free(struct login_throttle *throttle);

/* How long this key has to wait before it may try: 0 = not at all. Times are monotonic ms. */
uint64_t login_throttle_wait_ms(const struct login_throttle *throttle, struct str key, uint64_t now_ms);

/* The key has failed once more; the next wait is at most `wait_ms_max`. Without memory nothing is noted. */
void login_throttle_failed(struct login_throttle *throttle, struct str key, uint64_t wait_ms_max,
                           uint64_t now_ms);
void login_throttle_forget(struct login_throttle *throttle, struct str key);

size_t login_throttle_key_count(const struct login_throttle *throttle);

#endif

/* login_thread.h - compares passwords beside the workers, one after the other.
 *
 *     worker ── login_attempt ──▶ queue (bounded) ──▶ throttle ─▶ Argon2id ──▶ mail ──▶ the same worker:
 * done()
 *
 * A comparison takes tens of milliseconds and 64 MiB on purpose: on a worker everybody else would wait for
 * it. That there is one thread bounds what strangers can make the process compute, and lets it own the
 * throttle. A wrong name is compared with the same hash as a right one, so that the time says nothing.
 *
 * Thread: start and stop on main; login_thread_ask() on any worker; done() on the worker that asked. Memory:
 * an attempt belongs to the thread from asking to done().   Limits: LOGIN_QUEUE_MAX.   Source: THREATS H45.
 */
#ifndef STARLING_SERVER_LOGIN_THREAD_H
#define STARLING_SERVER_LOGIN_THREAD_H

#include "channels/base/mailbox.h"
#include "server/address.h"
#include "server/password.h"

struct hub;
struct login_thread;

enum { LOGIN_QUEUE_MAX = 16, LOGIN_USER_BYTES_MAX = 128 };

enum login_verdict {
    LOGIN_ACCEPTED,
    LOGIN_REFUSED,
    LOGIN_THROTTLED, /* nothing was compared */
    LOGIN_STOPPED,   /* the process ends */
};

struct login_attempt {
    struct mail mail; /* the thread's and the hub's */
    struct hub *hub;  /* of the worker that asks */
    /* Runs once, on that worker's thread, and takes the attempt. The password is overwritten by then. */
    void (*done)(struct login_attempt *attempt);
    void *context;
    unsigned char address[ADDRESS_BYTES];
    size_t user_len, password_len;
    char user[LOGIN_USER_BYTES_MAX];
    char password[PASSWORD_BYTES_MAX];
    enum login_verdict verdict;
    uint64_t wait_ms; /* THROTTLED: until the next try */
};

/* `user` and `hash` (an Argon2id hash) are borrowed until login_thread_stop(). NULL: no memory or thread. */
struct login_thread *login_thread_start(const char *user, const char *hash);

/* false: the queue is full, and the attempt is still the caller's. */
bool login_thread_ask(struct login_thread *thread, struct login_attempt *attempt);

/* What waits is answered STOPPED. Call when no worker runs any more and before the hubs go; then their last
 * turn runs done(). NULL is fine. */
void login_thread_stop(struct login_thread *thread);

#endif

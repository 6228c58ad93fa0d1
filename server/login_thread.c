#include "server/login_thread.h"

#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "channels/hub.h"
#include "server/crypto.h"
#include "server/login_throttle.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

struct login_thread {
    struct mailbox mailbox;
    sem_t wake;        /* once for each mail, and once to stop */
    atomic_bool stops; /* main sets it, the thread reads it */
    pthread_t thread;
    const char *user, *hash;
    struct login_throttle *throttle;
};

/* Addresses of one IPv6 network are one caller: everybody has 2^64 of them. */
static struct str address_key(const struct login_attempt *attempt)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = memcmp(attempt->address, mapped, sizeof mapped) == 0;
    return str_make((const char *)attempt->address, is_v4 ? ADDRESS_BYTES : ADDRESS_BYTES / 2);
}

/* The account's key is longer than any address. */
static struct str account_key(const struct login_attempt *attempt,
                              char out[1 + ADDRESS_BYTES + LOGIN_USER_BYTES_MAX])
{
    memset(out, 'u', 1 + ADDRESS_BYTES);
    memcpy(out + 1 + ADDRESS_BYTES, attempt->user, attempt->user_len);
    return str_make(out, 1 + ADDRESS_BYTES + attempt->user_len);
}

static void decide(struct login_thread *thread, struct login_attempt *attempt)
{
    char account[1 + ADDRESS_BYTES + LOGIN_USER_BYTES_MAX];
    struct str user = account_key(attempt, account), address = address_key(attempt);
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t user_wait_ms = login_throttle_wait_ms(thread->throttle, user, now_ms);
    uint64_t address_wait_ms = login_throttle_wait_ms(thread->throttle, address, now_ms);
    attempt->wait_ms = user_wait_ms > address_wait_ms ? user_wait_ms : address_wait_ms;
    if (attempt->wait_ms > 0) {
        attempt->verdict = LOGIN_THROTTLED;
        return;
    }
    bool is_user = crypto_equal(str_make(attempt->user, attempt->user_len), str_from_cstr(thread->user));
    bool is_password = password_matches(thread->hash, str_make(attempt->password, attempt->password_len));
    attempt->verdict = is_user && is_password ? LOGIN_ACCEPTED : LOGIN_REFUSED;
    if (attempt->verdict == LOGIN_ACCEPTED) {
        login_throttle_forget(thread->throttle, user);
        login_throttle_forget(thread->throttle, address);
    } else {
        now_ms = clock_monotonic_ms();
        login_throttle_failed(thread->throttle, user, LOGIN_ACCOUNT_WAIT_MS_MAX, now_ms);
        login_throttle_failed(thread->throttle, address, LOGIN_ADDRESS_WAIT_MS_MAX, now_ms);
    }
}

static void on_answer(void *receiver, struct mail *mail)
{
    (void)receiver;
    struct login_attempt *attempt = container_of(mail, struct login_attempt, mail);
    attempt->done(attempt);
}

static void answer(struct login_attempt *attempt)
{
    password_forget(attempt->password, sizeof attempt->password);
    attempt->mail.run = on_answer;
    hub_answer_from_outside(attempt->hub, &attempt->mail);
}

static void on_attempt(void *receiver, struct mail *mail)
{
    struct login_thread *thread = receiver;
    struct login_attempt *attempt = container_of(mail, struct login_attempt, mail);
    if (atomic_load_explicit(&thread->stops, memory_order_relaxed)) {
        attempt->verdict = LOGIN_STOPPED;
    } else {
        decide(thread, attempt);
    }
    answer(attempt);
}

static void *run(void *argument)
{
    struct login_thread *thread = argument;
    bool stops = false;
    while (!stops) {
        (void)sem_wait(&thread->wake); /* a signal only makes it look once more */
        stops = atomic_load_explicit(&thread->stops, memory_order_relaxed);
        struct mail *mail = mailbox_take(&thread->mailbox);
        while (mail != NULL) {
            struct mail *next = mail->next;
            mail->run(thread, mail);
            mail = next;
        }
    }
    return NULL;
}

struct login_thread *login_thread_start(const char *user, const char *hash)
{
    struct login_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL) {
        return NULL;
    }
    mailbox_init(&thread->mailbox, LOGIN_QUEUE_MAX);
    atomic_init(&thread->stops, false);
    thread->user = user;
    thread->hash = hash;
    thread->throttle = login_throttle_new();
    sem_init(&thread->wake, 0, 0);
    if (thread->throttle == NULL || pthread_create(&thread->thread, NULL, run, thread) != 0) {
        sem_destroy(&thread->wake);
        login_throttle_free(thread->throttle);
        free(thread);
        return NULL;
    }
    return thread;
}

bool login_thread_ask(struct login_thread *thread, struct login_attempt *attempt)
{
    bool was_empty;
    attempt->mail.run = on_attempt;
    if (!mailbox_post(&thread->mailbox, &attempt->mail, &was_empty)) {
        return false;
    }
    sem_post(&thread->wake);
    return true;
}

void login_thread_stop(struct login_thread *thread)
{
    if (thread == NULL) {
        return;
    }
    atomic_store_explicit(&thread->stops, true, memory_order_relaxed);
    sem_post(&thread->wake);
    pthread_join(thread->thread, NULL);
    sem_destroy(&thread->wake);
    login_throttle_free(thread->throttle);
    free(thread);
}

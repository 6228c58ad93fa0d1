#include "server/quota.h"

#include "channels/base/must.h"
#include "channels/base/table.h"
#include "channels/hub.h"
#include "server/rate.h"
#include "server/worker.h"

#include <stdlib.h>

struct quota_entry {
    UT_hash_handle hh;
    uint32_t count;
    uint32_t per_second, burst;
    struct rate rate;
    size_t key_len;
    char key[];
};

struct quota {
    struct quota_entry *table;
    struct quota_entry *sweep; /* where quota_tick() goes on; NULL: at the start */
};

/* A question on its way to the key's home and back, or a place given back (done == NULL). */
struct quota_mail {
    struct mail mail;
    unsigned origin;
    struct quota_limits limits;
    bool needs_place;
    enum quota_verdict verdict;
    void (*done)(void *context, enum quota_verdict verdict);
    void *context;
    size_t key_len;
    char key[];
};

struct quota *quota_new(void)
{
    return calloc(1, sizeof(struct quota));
}

static void entry_free(struct quota *quota, struct quota_entry *entry)
{
    if (quota->sweep == entry) {
        quota->sweep = entry->hh.next;
    }
    HASH_DEL(quota->table, entry);
    free(entry);
}

void quota_free(struct quota *quota)
{
    if (quota == NULL) {
        return;
    }
    while (quota->table != NULL) {
        entry_free(quota, quota->table);
    }
    free(quota);
}

static struct quota_entry *find(struct quota *quota, struct str key)
{
    struct quota_entry *entry = NULL;
    HASH_FIND(hh, quota->table, key.at, key.len, entry);
    return entry;
}

static enum quota_verdict enter(struct quota *quota, struct str key, const struct quota_limits *limits,
                                bool needs_place, uint64_t now_ms)
{
    struct quota_entry *entry = find(quota, key);
    if (entry == NULL) {
        entry = calloc(1, sizeof *entry + key.len);
        if (entry == NULL) {
            return QUOTA_UNKNOWN;
        }
        entry->key_len = key.len;
        memcpy(entry->key, key.at, key.len);
        rate_init(&entry->rate, limits->burst, now_ms);
        HASH_ADD_KEYPTR(hh, quota->table, entry->key, entry->key_len, entry);
        if (entry->hh.tbl == NULL) {
            free(entry);
            return QUOTA_UNKNOWN;
        }
    }
    entry->per_second = limits->per_second;
    entry->burst = limits->burst;
    if (needs_place && entry->count >= limits->count_max) {
        return QUOTA_OVER_COUNT;
    }
    if (limits->per_second > 0 && !rate_take(&entry->rate, limits->per_second, limits->burst, now_ms)) {
        return QUOTA_OVER_RATE;
    }
    entry->count += needs_place ? 1 : 0;
    return QUOTA_OK;
}

static void on_verdict(void *receiver, struct mail *mail)
{
    (void)receiver;
    struct quota_mail *question = container_of(mail, struct quota_mail, mail);
    question->done(question->context, question->verdict);
    free(question);
}

static void on_question(void *receiver, struct mail *mail)
{
    struct worker *home = worker_of(receiver);
    struct quota_mail *question = container_of(mail, struct quota_mail, mail);
    question->verdict = enter(home->quota, str_make(question->key, question->key_len), &question->limits,
                              question->needs_place, home->now_ms);
    mail->run = on_verdict;
    hub_post_answer(home->hub, question->origin, mail);
}

static void on_leave(void *receiver, struct mail *mail)
{
    struct worker *home = worker_of(receiver);
    struct quota_mail *leave = container_of(mail, struct quota_mail, mail);
    struct quota_entry *entry = find(home->quota, str_make(leave->key, leave->key_len));
    must(entry != NULL && entry->count > 0);
    entry->count--;
    if (entry->count == 0 && entry->per_second == 0) {
        entry_free(home->quota, entry);
    }
    free(leave);
}

static struct quota_mail *mail_new(struct worker *worker, struct str key)
{
    struct quota_mail *mail = calloc(1, sizeof *mail + key.len);
    if (mail != NULL) {
        mail->origin = worker->index;
        mail->key_len = key.len;
        memcpy(mail->key, key.at, key.len);
    }
    return mail;
}

static unsigned home_of(const struct worker *worker, struct str key)
{
    return (unsigned)(hash_str(key) % worker->server->worker_count);
}

static void ask(struct worker *worker, struct str key, const struct quota_limits *limits, bool needs_place,
                void (*done)(void *context, enum quota_verdict verdict), void *context)
{
    struct quota_mail *question = mail_new(worker, key);
    if (question == NULL) {
        done(context, QUOTA_UNKNOWN);
        return;
    }
    question->limits = *limits;
    question->needs_place = needs_place;
    question->done = done;
    question->context = context;
    question->mail.run = on_question;
    if (!hub_post(worker->hub, home_of(worker, key), &question->mail)) {
        question->verdict = QUOTA_UNKNOWN;
        question->mail.run = on_verdict;
        hub_post_answer(worker->hub, worker->index, &question->mail);
    }
}

void quota_enter(struct worker *worker, struct str key, const struct quota_limits *limits,
                 void (*done)(void *context, enum quota_verdict verdict), void *context)
{
    ask(worker, key, limits, true, done, context);
}

void quota_take(struct worker *worker, struct str key, uint32_t per_second, uint32_t burst,
                void (*done)(void *context, enum quota_verdict verdict), void *context)
{
    ask(worker, key, &(struct quota_limits){.per_second = per_second, .burst = burst}, false, done, context);
}

void quota_leave(struct worker *worker, struct str key)
{
    struct quota_mail *leave = mail_new(worker, key);
    if (leave == NULL) {
        return; /* without memory the place stays taken: stricter, never looser */
    }
    leave->mail.run = on_leave;
    /* A place given back must arrive; their number is bounded by the places taken. */
    hub_post_answer(worker->hub, home_of(worker, key), &leave->mail);
}

void quota_tick(struct quota *quota, uint64_t now_ms)
{
    enum { ENTRIES_PER_TICK_MIN = 1000 };
    size_t budget = HASH_COUNT(quota->table) / 10 + ENTRIES_PER_TICK_MIN;
    struct quota_entry *entry = quota->sweep != NULL ? quota->sweep : quota->table;
    for (size_t i = 0; i < budget && entry != NULL; i++) {
        struct quota_entry *next = entry->hh.next;
        uint64_t idle_ms = (uint32_t)now_ms - entry->rate.last_ms;
        if (entry->count == 0 && idle_ms * entry->per_second >= (uint64_t)entry->burst * 1000) {
            entry_free(quota, entry);
        }
        entry = next;
    }
    quota->sweep = entry;
}

size_t quota_key_count(const struct quota *quota)
{
    return HASH_COUNT(quota->table);
}

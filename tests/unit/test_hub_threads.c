/* Hubs on threads of their own, as in the server: what the mailboxes promise. Clean under BUILD=tsan. */

#include "channels/base/must.h"
#include "channels/hub.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORKERS = 2, MAILS_MAX = 1000, PUBLICATIONS = 50000 /* of each worker */, BATCH_MAX = 500 };

/* A worker with one subscriber, which publishes to one channel and reads it. */
struct worker {
    unsigned index;
    pthread_t thread;
    sem_t wakes;
    struct hub *hub;
    struct subscriber subscriber; /* of both workers' channel */
    struct subscription *row;
    uint64_t started_count; /* publications, those that were refused included */
    unsigned in_flight_count, done_count;
    uint64_t next_offset; /* that must come next */
    uint64_t got_count;
    uint64_t last_of_worker[WORKERS]; /* number of the newest publication from each */
    bool is_subscribed, has_left;
};

static struct worker workers[WORKERS];
static struct hub *hubs[WORKERS];
static const struct channel_options options = {
    .history_size = 10, .history_ttl_ms = 60000, .history_meta_ttl_ms = 60000};
static atomic_uint workers_finished; /* that have published and received everything */

static void wake(void *owner)
{
    sem_post(&((struct worker *)owner)->wakes);
}

static struct frame *encode(enum frame_kind kind, const struct message *message)
{
    (void)kind;
    struct frame *frame = frame_new(sizeof message->offset + message->data.len);
    must(frame != NULL);
    memcpy(frame->bytes, &message->offset, sizeof message->offset);
    memcpy(frame->bytes + sizeof message->offset, message->data.at, message->data.len);
    return frame;
}

/* What is published: who by, and its number among those. */
struct payload {
    uint64_t worker, number;
};

static bool on_offer(struct subscriber *subscriber, struct frame *frame)
{
    struct worker *worker = container_of(subscriber, struct worker, subscriber);
    uint64_t offset;
    struct payload payload;
    must(frame->len == sizeof offset + sizeof payload);
    memcpy(&offset, frame->bytes, sizeof offset);
    memcpy(&payload, frame->bytes + sizeof offset, sizeof payload);
    must(offset == worker->next_offset);
    must(payload.number > worker->last_of_worker[payload.worker]);
    worker->next_offset++;
    worker->last_of_worker[payload.worker] = payload.number;
    worker->got_count++;
    return true;
}

static void on_insufficient_state(struct subscriber *subscriber, struct subscription *subscription)
{
    (void)subscriber;
    (void)subscription;
    must(false); /* a gap */
}

static struct op *op_for(struct worker *worker, enum op_kind kind, void (*done)(struct op *op))
{
    struct op *op = op_new(kind, 8);
    must(op != NULL);
    op->options = &options;
    op->channel = op_text(op, STR("news"));
    op->context = worker;
    op->done = done;
    return op;
}

/* A worker that is not given the processor lets its mailbox fill: then others are told so and go on. */
static void on_published(struct op *op)
{
    struct worker *worker = op->context;
    must(op->status == STATUS_OK || op->status == STATUS_BUSY);
    worker->in_flight_count--;
    worker->done_count += op->status == STATUS_OK;
    op_free(op);
}

static void start_publish(struct worker *worker)
{
    struct op *op = op_for(worker, OP_PUBLISH, on_published);
    struct payload payload = {.worker = worker->index, .number = ++worker->started_count};
    op->publish.message = message_new(&(struct message_parts){
        .channel = STR("news"), .data = str_make((const char *)&payload, sizeof payload)});
    must(op->publish.message != NULL);
    worker->in_flight_count++;
    hub_start(worker->hub, op);
}

static void on_subscribed(struct op *op)
{
    struct worker *worker = op->context;
    must(op->status == STATUS_OK);
    must(op->top.offset == 0);
    worker->next_offset = 1;
    worker->is_subscribed = true;
    hub_go_live(worker->hub, worker->row, op->top);
    op_free(op);
}

static void on_left(struct op *op)
{
    ((struct worker *)op->context)->has_left = true;
    op_free(op);
}

static void subscribe(struct worker *worker)
{
    worker->row = hub_add(worker->hub, &worker->subscriber, STR("news"), &options);
    must(worker->row != NULL);
    subscription_set_flags(worker->hub, worker->row, SUBSCRIPTION_POSITIONED, 0);
    struct op *op = op_for(worker, OP_SUBSCRIBE, on_subscribed);
    op->subscribe.subscription = worker->row;
    op->subscribe.wants_position = true;
    hub_start(worker->hub, op);
}

/* One turn as the server makes it: sleep, unless the last turn said that there is more. */
static void turn(struct worker *worker, bool *has_more)
{
    if (!*has_more) {
        sem_wait(&worker->wakes);
    }
    *has_more = hub_turn(worker->hub, 64);
}

/* Everybody keeps turning until everybody is done: the other one's ops need this home. */
static void wait_for_all(struct worker *worker, unsigned phase, bool *has_more)
{
    if (atomic_fetch_add(&workers_finished, 1) + 1 == phase * WORKERS) {
        for (unsigned i = 0; i < WORKERS; i++) {
            wake(&workers[i]);
        }
    }
    while (atomic_load(&workers_finished) < phase * WORKERS) {
        turn(worker, has_more);
    }
}

static void *run_worker(void *context)
{
    struct worker *worker = context;
    bool has_more = true;
    subscribe(worker);
    while (!worker->is_subscribed) {
        turn(worker, &has_more);
    }
    wait_for_all(worker, 1, &has_more);
    while (worker->got_count < (uint64_t)WORKERS * PUBLICATIONS) {
        if (worker->in_flight_count == 0) { /* a batch: all of it is on its way at once */
            for (unsigned left = PUBLICATIONS - worker->done_count, i = 0; i < left && i < BATCH_MAX; i++) {
                start_publish(worker);
                has_more = true;
            }
        }
        turn(worker, &has_more);
    }
    wait_for_all(worker, 2, &has_more);
    hub_remove(worker->hub, worker->row);
    hub_start(worker->hub, op_for(worker, OP_UNSUBSCRIBE, on_left));
    has_more = true;
    while (!worker->has_left) {
        turn(worker, &has_more);
    }
    wait_for_all(worker, 3, &has_more);
    return NULL;
}

static void two_workers_hand_100000_messages_over_in_order_and_without_a_gap(void **state)
{
    (void)state;
    static const struct subscriber_ops ops = {.offer = on_offer,
                                              .on_insufficient_state = on_insufficient_state};
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.index = i, .subscriber = {.ops = &ops}};
        list_init(&workers[i].subscriber.subscriptions);
        sem_init(&workers[i].wakes, 0, 0);
        hubs[i] = workers[i].hub = hub_new(&(struct hub_options){
            .index = i,
            .worker_count = WORKERS,
            .hubs = hubs,
            .mails_max = MAILS_MAX,
            .owner = &workers[i],
            .wake = wake,
            .encode = encode,
            .broker_new = broker_memory_new,
        });
        assert_non_null(workers[i].hub);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].got_count, WORKERS * PUBLICATIONS);
        assert_int_equal(workers[i].next_offset, WORKERS * PUBLICATIONS + 1);
        assert_int_equal(workers[i].done_count, PUBLICATIONS);
        assert_int_equal(hub_counters(hubs[i])->deliveries_total, WORKERS * PUBLICATIONS);
        assert_int_equal(hub_counters(hubs[i])->channel_count, 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        hub_free(hubs[i]);
        sem_destroy(&workers[i].wakes);
    }
}

/* The mailbox alone, with three senders and a small bound. */

enum { SENDERS = 3, MAILS = 40000 };

struct numbered_mail {
    struct mail mail;
    unsigned sender;
    unsigned number;
};

static struct mailbox mailbox;
static struct numbered_mail mails[SENDERS][MAILS];

static void *run_sender(void *context)
{
    unsigned sender = (unsigned)(uintptr_t)context;
    for (unsigned i = 0; i < MAILS; i++) {
        mails[sender][i].sender = sender;
        mails[sender][i].number = i;
        bool was_empty;
        while (!mailbox_post(&mailbox, &mails[sender][i].mail, &was_empty)) {
            sched_yield();
        }
    }
    return NULL;
}

static void mails_of_one_sender_arrive_in_order_and_none_is_lost(void **state)
{
    (void)state;
    mailbox_init(&mailbox, 64);
    pthread_t threads[SENDERS];
    for (uintptr_t i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_sender, (void *)i), 0);
    }
    unsigned next[SENDERS] = {0};
    for (unsigned got = 0; got < SENDERS * MAILS;) {
        unsigned batch = 0;
        for (struct mail *mail = mailbox_take(&mailbox), *following; mail != NULL; mail = following) {
            following = mail->next;
            struct numbered_mail *numbered = container_of(mail, struct numbered_mail, mail);
            assert_int_equal(numbered->number, next[numbered->sender]);
            next[numbered->sender]++;
            batch++;
        }
        assert_true(batch <= 64);
        got += batch;
        if (batch == 0) {
            sched_yield();
        }
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_null(mailbox_take(&mailbox));
    assert_true(mailbox_has_room(&mailbox, 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mails_of_one_sender_arrive_in_order_and_none_is_lost),
        cmocka_unit_test(two_workers_hand_100000_messages_over_in_order_and_without_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "channels/hub.h"

#include "channels/base/must.h"
#include "channels/channel.h"
#include "channels/homes.h"

#include <stdlib.h>

/* Two queues of mails: the mailbox, which other threads fill, and `own`, for what this worker sends to
 * itself. All that one home sends to one worker goes through the same queue, so that its order is kept; the
 * queues take turns, so that neither starves. */

enum { SPARE_DELIVERIES_MAX = 256 };

/* A message on its way to one worker. */
struct delivery {
    struct mail mail;
    struct message *message;
};

struct mail_queue {
    struct mail *first, *last;
    size_t count;
};

struct hub {
    struct hub_options options;
    struct channel *channels; /* with rows here */
    struct homes homes;
    struct slab subscriptions;
    struct broker *broker;
    struct mail_queue own;
    struct mail *taken; /* from the mailbox, not run yet, oldest first */
    bool is_turn_of_own;
    uint64_t to_wake; /* a bit for each worker whose empty mailbox this one has put something into */
    /* Mails of deliveries that have run here, to send the next ones in: a worker that receives as much as it
     * sends allocates none. */
    struct delivery *spare;
    size_t spare_count;
    struct hub_counters counters;
    struct mailbox mailbox; /* written by all threads */
};

/* Mails. */

static void own_push(struct hub *hub, struct mail *mail)
{
    mail->next = NULL;
    if (hub->own.first == NULL) {
        hub->own.first = mail;
    } else {
        hub->own.last->next = mail;
    }
    hub->own.last = mail;
    hub->own.count++;
}

static struct mail *own_pop(struct hub *hub)
{
    struct mail *mail = hub->own.first;
    if (mail != NULL) {
        hub->own.first = mail->next;
        hub->own.count--;
    }
    return mail;
}

static struct mail *mailbox_pop(struct hub *hub)
{
    if (hub->taken == NULL) {
        hub->taken = mailbox_take(&hub->mailbox);
    }
    struct mail *mail = hub->taken;
    if (mail != NULL) {
        hub->taken = mail->next;
    }
    return mail;
}

/* From the queues in turn; NULL when both are empty. */
static struct mail *pop(struct hub *hub)
{
    hub->is_turn_of_own = !hub->is_turn_of_own;
    struct mail *mail = hub->is_turn_of_own ? own_pop(hub) : mailbox_pop(hub);
    if (mail == NULL) {
        mail = hub->is_turn_of_own ? mailbox_pop(hub) : own_pop(hub);
    }
    return mail;
}

bool hub_post_from_main(struct hub *to, struct mail *mail)
{
    bool was_empty;
    if (!mailbox_post(&to->mailbox, mail, &was_empty)) {
        return false;
    }
    if (was_empty) {
        to->options.wake(to->options.owner);
    }
    return true;
}

void hub_answer_from_outside(struct hub *to, struct mail *mail)
{
    bool was_empty;
    mailbox_post_answer(&to->mailbox, mail, &was_empty);
    if (was_empty) {
        to->options.wake(to->options.owner);
    }
}

static struct hub *hub_of(struct hub *hub, unsigned worker)
{
    must(worker < hub->options.worker_count);
    return hub->options.hubs[worker];
}

static void wake_later(struct hub *hub, unsigned to, bool was_empty)
{
    hub->to_wake |= was_empty ? UINT64_C(1) << to : 0;
}

void hub_wake_others(struct hub *hub)
{
    for (; hub->to_wake != 0; hub->to_wake &= hub->to_wake - 1) {
        struct hub *to = hub_of(hub, (unsigned)__builtin_ctzll(hub->to_wake));
        to->options.wake(to->options.owner);
    }
}

bool hub_post(struct hub *hub, unsigned to, struct mail *mail)
{
    bool was_empty;
    if (to != hub->options.index) {
        if (!mailbox_post(&hub_of(hub, to)->mailbox, mail, &was_empty)) {
            return false;
        }
        wake_later(hub, to, was_empty);
        return true;
    }
    if (hub->own.count >= hub->options.mails_max) {
        return false;
    }
    own_push(hub, mail);
    return true;
}

void hub_post_answer(struct hub *hub, unsigned to, struct mail *mail)
{
    if (to == hub->options.index) {
        own_push(hub, mail);
        return;
    }
    bool was_empty;
    mailbox_post_answer(&hub_of(hub, to)->mailbox, mail, &was_empty);
    wake_later(hub, to, was_empty);
}

bool hub_turn(struct hub *hub, size_t mails_budget)
{
    for (size_t i = 0; i < mails_budget; i++) {
        struct mail *mail = pop(hub);
        if (mail == NULL) {
            hub_wake_others(hub);
            return false;
        }
        mail->run(hub, mail);
    }
    hub_wake_others(hub);
    if (hub->taken == NULL) {
        hub->taken = mailbox_take(&hub->mailbox);
    }
    return hub->taken != NULL || hub->own.count > 0;
}

/* Ops, from their start to their end. */

unsigned hub_home_of(const struct hub *hub, struct str channel)
{
    /* The high half: tables choose their buckets by the low one, and all channels of a home share these bits.
     */
    return (unsigned)((hash_str(channel) >> 32) % hub->options.worker_count);
}

/* Mail at the origin. */
static void run_done(void *receiver, struct mail *mail)
{
    struct op *op = container_of(mail, struct op, mail);
    if (receiver == NULL) {
        op_free(op);
        return;
    }
    op->done(op);
}

static void send_back(struct hub *hub, struct op *op)
{
    op->mail.run = run_done;
    hub_post_answer(hub, op->origin, &op->mail);
}

static bool is_occupied(const struct hub *hub, struct str channel)
{
    return homes_find(&hub->homes, channel) != NULL;
}

static bool count_in(struct hub *hub, const struct op *op)
{
    bool was_occupied = is_occupied(hub, op->channel);
    if (!homes_add(&hub->homes, op->channel, op->origin)) {
        return false;
    }
    if (!was_occupied && hub->options.on_occupancy != NULL) {
        hub->options.on_occupancy(hub->options.owner, op->channel, true);
    }
    return true;
}

static void count_out(struct hub *hub, const struct op *op)
{
    homes_remove(&hub->homes, op->channel, op->origin);
    if (hub->options.on_occupancy != NULL && !is_occupied(hub, op->channel)) {
        hub->options.on_occupancy(hub->options.owner, op->channel, false);
    }
}

/* Mail at the home. */
static void run_at_home(void *receiver, struct mail *mail)
{
    struct op *op = container_of(mail, struct op, mail);
    struct hub *hub = receiver;
    if (hub == NULL) {
        op_free(op);
        return;
    }
    if (op->kind == OP_SUBSCRIBE && !count_in(hub, op)) {
        op->status = STATUS_NO_MEMORY;
        send_back(hub, op);
        return;
    }
    if (op->kind == OP_UNSUBSCRIBE) {
        count_out(hub, op);
    }
    hub->broker->ops->run(hub->broker, op);
}

/* broker_sink.finish */
static void on_finish(void *context, struct op *op)
{
    struct hub *hub = context;
    if (op->kind == OP_SUBSCRIBE && op->status != STATUS_OK) {
        count_out(hub, op);
    }
    if (op->kind == OP_PUBLISH && op->status == STATUS_OK && !op->publish.was_suppressed &&
        hub->options.on_published != NULL && op->publish.message != NULL) {
        hub->options.on_published(hub->options.owner, op);
    }
    send_back(hub, op);
}

void hub_start(struct hub *hub, struct op *op)
{
    must(op->done != NULL);
    must(op->channel.len > 0);
    op->origin = hub->options.index;
    op->mail.run = run_at_home;
    unsigned home = hub_home_of(hub, op->channel);
    if (op->kind == OP_UNSUBSCRIBE) {
        hub_post_answer(hub, home, &op->mail);
    } else if (!hub_post(hub, home, &op->mail)) {
        hub->counters.mailbox_full_total++;
        op->status = STATUS_BUSY;
        send_back(hub, op);
    }
}

/* Deliveries, from the home to the workers. */

static struct delivery *delivery_new(struct hub *hub)
{
    struct delivery *delivery = hub->spare;
    if (delivery == NULL) {
        return malloc(sizeof *delivery);
    }
    struct mail *next = delivery->mail.next;
    hub->spare = next == NULL ? NULL : container_of(next, struct delivery, mail);
    hub->spare_count--;
    return delivery;
}

static void delivery_keep(struct hub *hub, struct delivery *delivery)
{
    delivery->mail.next = hub->spare == NULL ? NULL : &hub->spare->mail;
    hub->spare = delivery;
    hub->spare_count++;
}

static void delivery_free(struct hub *hub, struct delivery *delivery)
{
    if (hub->spare_count < SPARE_DELIVERIES_MAX) {
        delivery_keep(hub, delivery);
    } else {
        free(delivery);
    }
}

/* broker_sink.can_deliver */
static bool can_deliver(void *context, struct str channel)
{
    struct hub *hub = context;
    const struct home *home = homes_find(&hub->homes, channel);
    size_t needed = 0;
    for (uint64_t left = home == NULL ? 0 : home->workers; left != 0; left &= left - 1) {
        unsigned worker = (unsigned)__builtin_ctzll(left);
        /* A queue full of publications becomes one of as many deliveries and answers: room for twice that. */
        bool has_room = worker == hub->options.index ? hub->own.count < 2 * hub->options.mails_max
                                                     : mailbox_has_room(&hub_of(hub, worker)->mailbox, 1);
        if (!has_room) {
            hub->counters.mailbox_full_total++;
            return false;
        }
        needed++;
    }
    while (hub->spare_count < needed) {
        struct delivery *delivery = malloc(sizeof *delivery);
        if (delivery == NULL) {
            return false;
        }
        delivery_keep(hub, delivery);
    }
    return true;
}

static void drop_if_idle(struct hub *hub, struct channel *channel)
{
    if (channel_is_idle(channel)) {
        HASH_DEL(hub->channels, channel);
        channel_free(channel);
        hub->counters.channel_count--;
    }
}

static struct channel *channel_find(const struct hub *hub, struct str name)
{
    struct channel *channel = NULL;
    HASH_FIND(hh, hub->channels, name.at, name.len, channel);
    return channel;
}

/* Mail at a worker that has subscribers. */
static void run_delivery(void *receiver, struct mail *mail)
{
    struct delivery *delivery = container_of(mail, struct delivery, mail);
    struct message *message = delivery->message;
    struct hub *hub = receiver;
    if (hub == NULL) {
        message_unref(message);
        free(delivery);
        return;
    }
    delivery_free(hub, delivery);
    hub->counters.publications_total++;
    struct channel *channel = channel_find(hub, message->channel);
    if (channel != NULL) { /* else the last subscriber left while the message was on its way */
        channel_deliver(channel, message,
                        &(struct fan_out){.encode = hub->options.encode, .counters = &hub->counters});
        drop_if_idle(hub, channel);
    }
    message_unref(message);
}

/* A publication was given room by can_deliver(), and that is kept even if others have filled the mailbox
 * since; a join or leave message takes what room there is. */
static void send_delivery(struct hub *hub, unsigned worker, struct message *message)
{
    struct delivery *delivery = delivery_new(hub);
    if (delivery == NULL) {
        hub->counters.mailbox_full_total++;
        return;
    }
    delivery->mail.run = run_delivery;
    delivery->message = message_ref(message);
    if (message->kind == MESSAGE_PUBLICATION) {
        hub_post_answer(hub, worker, &delivery->mail);
    } else if (!hub_post(hub, worker, &delivery->mail)) {
        hub->counters.mailbox_full_total++;
        message_unref(message);
        delivery_free(hub, delivery);
    }
}

/* broker_sink.deliver */
static void on_deliver(void *context, struct message *message)
{
    struct hub *hub = context;
    const struct home *home = homes_find(&hub->homes, message->channel);
    for (uint64_t left = home == NULL ? 0 : home->workers; left != 0; left &= left - 1) {
        send_delivery(hub, (unsigned)__builtin_ctzll(left), message);
    }
}

/* broker_sink.subscriber_count */
static uint32_t subscriber_count(void *context, struct str channel)
{
    const struct hub *hub = context;
    const struct home *home = homes_find(&hub->homes, channel);
    return home == NULL ? 0 : home->total;
}

/* Rows. */

static struct channel *channel_get(struct hub *hub, struct str name, const struct channel_options *options)
{
    struct channel *channel = channel_find(hub, name);
    if (channel != NULL) {
        return channel;
    }
    channel = channel_new(name, options);
    if (channel == NULL) {
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, hub->channels, channel->name, channel->name_len, channel);
    if (!table_added(channel, hh)) {
        channel_free(channel);
        return NULL;
    }
    hub->counters.channel_count++;
    return channel;
}

struct subscription *hub_add(struct hub *hub, struct subscriber *subscriber, struct str channel,
                             const struct channel_options *options)
{
    must_slow(hub_find(hub, subscriber, channel) == NULL);
    struct subscription *subscription = slab_new(&hub->subscriptions);
    if (subscription == NULL) {
        return NULL;
    }
    struct channel *local = channel_get(hub, channel, options);
    if (local == NULL) {
        goto no_channel;
    }
    subscription->channel = local;
    subscription->subscriber = subscriber;
    if (!channel_add(local, subscription)) {
        goto no_row;
    }
    list_push_back(&subscriber->subscriptions, &subscription->in_subscriber);
    subscriber->subscription_count++;
    hub->counters.subscription_count++;
    return subscription;
no_row:
    drop_if_idle(hub, local);
no_channel:
    slab_free(&hub->subscriptions, subscription);
    return NULL;
}

void hub_remove(struct hub *hub, struct subscription *subscription)
{
    struct channel *channel = subscription->channel;
    struct subscriber *subscriber = subscription->subscriber;
    must(subscriber->subscription_count > 0);
    must(hub->counters.subscription_count > 0);
    channel_remove(channel, subscription);
    list_remove(&subscription->in_subscriber);
    subscriber->subscription_count--;
    hub->counters.subscription_count--;
    slab_free(&hub->subscriptions, subscription);
    drop_if_idle(hub, channel);
}

/* Mail to oneself: struct channel.mail. */
static void run_tell_missed(void *receiver, struct mail *mail)
{
    struct channel *channel = container_of(mail, struct channel, mail);
    struct hub *hub = receiver;
    channel->mail_waits = false;
    if (hub != NULL) {
        channel_tell_missed(channel);
        drop_if_idle(hub, channel);
    }
}

void hub_go_live(struct hub *hub, struct subscription *subscription, struct position top)
{
    struct channel *channel = subscription->channel;
    if (!channel_go_live(channel, subscription, top)) {
        return;
    }
    hub->counters.insufficient_total++;
    if (!channel->mail_waits) {
        channel->mail_waits = true;
        channel->mail.run = run_tell_missed;
        own_push(hub, &channel->mail);
    }
}

struct subscription *hub_find(struct hub *hub, struct subscriber *subscriber, struct str channel)
{
    const struct channel *local = channel_find(hub, channel);
    return local == NULL ? NULL : channel_row_of(local, subscriber);
}

void subscription_set_flags(struct hub *hub, struct subscription *subscription, uint32_t set, uint32_t clear)
{
    (void)hub; /* whose thread it has to be */
    uint32_t of_hub = SUBSCRIPTION_LIVE | SUBSCRIPTION_MISSED;
    must(((set | clear) & of_hub) == 0);
    channel_set_flags(subscription->channel, subscription, (subscription->flags | set) & ~clear);
}

/* The hub itself. */

struct hub *hub_new(const struct hub_options *options)
{
    must(options->worker_count > 0);
    must(options->worker_count <= LIMIT_WORKERS);
    must(options->index < options->worker_count);
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL) {
        return NULL;
    }
    hub->options = *options;
    hub->homes.worker_count = options->worker_count;
    slab_init(&hub->subscriptions, sizeof(struct subscription));
    mailbox_init(&hub->mailbox, options->mails_max);
    hub->broker = options->broker_new(&(struct broker_sink){
        .hub = hub,
        .context = options->broker_context,
        .finish = on_finish,
        .deliver = on_deliver,
        .can_deliver = can_deliver,
        .subscriber_count = subscriber_count,
        .limits = options->broker_limits,
    });
    if (hub->broker == NULL) {
        free(hub);
        return NULL;
    }
    return hub;
}

void hub_free(struct hub *hub)
{
    if (hub == NULL) {
        return;
    }
    must(hub->counters.subscription_count == 0);
    hub->broker->ops->free(hub->broker);
    struct mail *mail;
    while ((mail = pop(hub)) != NULL) {
        mail->run(NULL, mail);
    }
    struct channel *channel, *following;
    HASH_ITER(hh, hub->channels, channel, following)
    {
        drop_if_idle(hub, channel); /* they waited for their mail */
    }
    must(hub->channels == NULL);
    homes_release(&hub->homes);
    while (hub->spare_count > 0) {
        free(delivery_new(hub));
    }
    slab_release(&hub->subscriptions);
    free(hub);
}

void *hub_owner(struct hub *hub)
{
    return hub->options.owner;
}

unsigned hub_index(const struct hub *hub)
{
    return hub->options.index;
}

struct broker *hub_broker(struct hub *hub)
{
    return hub->broker;
}

void hub_stop(struct hub *hub)
{
    if (hub->broker->ops->stop != NULL) {
        hub->broker->ops->stop(hub->broker);
    }
}

void hub_reconfigure(struct hub *hub,
                     const struct channel_options *(*resolve)(void *context, struct str channel),
                     void *context)
{
    struct channel *channel, *following;
    HASH_ITER(hh, hub->channels, channel, following)
    {
        const struct channel_options *options = resolve(context, channel_name(channel));
        channel->options = options != NULL ? options : channel->options;
    }
}

void hub_tick(struct hub *hub, uint64_t now_ms)
{
    hub->broker->ops->tick(hub->broker, now_ms);
}

const struct hub_counters *hub_counters(const struct hub *hub)
{
    return &hub->counters;
}

void hub_each_home_channel(struct hub *hub,
                           bool (*visit)(void *context, struct str channel, uint32_t subscriptions),
                           void *context)
{
    struct home *home, *following;
    HASH_ITER(hh, hub->homes.homes, home, following)
    {
        if (!visit(context, home_name(&hub->homes, home), home->total)) {
            return;
        }
    }
}

size_t hub_home_channel_count(const struct hub *hub)
{
    return HASH_COUNT(hub->homes.homes);
}

#include "server/roster.h"

#include "channels/hub.h"
#include "server/connection.h"
#include "server/gather.h"
#include "server/pick.h"
#include "server/session.h"
#include "server/users.h"
#include "server/worker.h"

#include <stdlib.h>

int roster_compare(enum roster_order order, const struct roster_place *left, const struct roster_place *right)
{
    if (order == ROSTER_BY_QUEUE && left->queue_bytes != right->queue_bytes) {
        return left->queue_bytes > right->queue_bytes ? -1 : 1;
    }
    return memcmp(left->client, right->client, sizeof left->client);
}

/* ---- on each worker ---- */

/* What the pick holds during the walk: nothing is copied but for the rows of the page. */
struct found {
    struct roster_place place;
    const struct session *session;
};

struct answer {
    uint64_t total;
    bool has_failed;  /* no memory */
    struct buf rows;  /* struct row, in order */
    struct buf texts; /* users and names of channels */
    size_t count;
};

struct row {
    struct roster_row row; /* its texts are empty until they are found by the offsets */
    size_t user_offset, user_len;
    size_t channels_offset, channels_len;
};

static int compare_by_client(const void *left, const void *right)
{
    return roster_compare(ROSTER_BY_CLIENT, left, right);
}

static int compare_by_queue(const void *left, const void *right)
{
    return roster_compare(ROSTER_BY_QUEUE, left, right);
}

static bool is_meant(const struct roster_query *query, const struct session *session)
{
    struct str client = session_client(session);
    if (query->client.len > 0 && !str_equal(query->client, client)) {
        return false;
    }
    return query->pattern.len == 0 || str_glob(query->pattern, client) ||
           str_glob(query->pattern, user_name(session->user));
}

static void look_at(const struct roster_query *query, const struct session *session, struct pick *pick,
                    struct answer *answer)
{
    if (session->state != SESSION_CONNECTED || session->connection == NULL || !is_meant(query, session)) {
        return;
    }
    struct found found = {.place.queue_bytes = session->connection->outbox.bytes, .session = session};
    memcpy(found.place.client, session->client, sizeof found.place.client);
    answer->total++;
    if (!query->has_after || roster_compare(query->order, &found.place, &query->after) > 0) {
        pick_offer(pick, &found);
    }
}

static void add_channels(struct buf *texts, const struct session *session)
{
    unsigned left = ROSTER_CHANNELS_MAX;
    list_each (&session->subscriber.subscriptions, link) {
        if (left-- == 0) {
            return;
        }
        const struct subscription *subscription = container_of(link, struct subscription, in_subscriber);
        buf_append_str(texts, channel_name(subscription->channel));
        buf_append_char(texts, '\0');
    }
}

static void add_row(struct answer *answer, const struct found *found, bool has_channels)
{
    const struct session *session = found->session;
    struct str user = user_name(session->user);
    struct row row = {
        .row = {.place = found->place,
                .connected_ms = session->connected_ms,
                .channel_count = session->subscriber.subscription_count,
                .worker = session->worker->index},
        .user_offset = answer->texts.len,
        .user_len = user.len,
    };
    memcpy(row.row.address, session->connection->address, sizeof row.row.address);
    buf_append_str(&answer->texts, user);
    row.channels_offset = answer->texts.len;
    if (has_channels) {
        add_channels(&answer->texts, session);
    }
    row.channels_len = answer->texts.len - row.channels_offset;
    buf_append(&answer->rows, &row, sizeof row);
    answer->count++;
}

static void walk(struct worker *there, const struct roster_query *query, struct pick *pick,
                 struct answer *answer)
{
    if (query->has_user) {
        struct link *sessions = users_find(there->users, query->user);
        if (sessions != NULL) {
            list_each (sessions, link) {
                look_at(query, container_of(link, struct session, in_user), pick, answer);
            }
        }
        return;
    }
    list_each (&there->connections, link) {
        const struct connection *connection = container_of(link, struct connection, link);
        if (connection->session != NULL) {
            look_at(query, connection->session, pick, answer);
        }
    }
}

static void visit(struct worker *there, const void *question, void *out)
{
    const struct roster_query *query = question;
    struct answer *answer = out;
    struct pick pick;
    if (!pick_init(&pick, sizeof(struct found), query->limit + 1,
                   query->order == ROSTER_BY_QUEUE ? compare_by_queue : compare_by_client)) {
        answer->has_failed = true;
        return;
    }
    walk(there, query, &pick, answer);
    pick_sort(&pick);
    for (size_t i = 0; i < pick.count; i++) {
        add_row(answer, pick_at(&pick, i), query->client.len > 0);
    }
    answer->has_failed = answer->rows.failed || answer->texts.failed;
    pick_release(&pick);
}

/* ---- at the asker ---- */

struct question {
    struct roster_query query;
    void (*done)(void *context, enum status status, const struct roster *roster);
    void *context;
};

static void offer_rows(struct pick *pick, const struct answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct row row;
        memcpy(&row, answer->rows.at + i * sizeof row, sizeof row);
        row.row.user = str_make(answer->texts.at + row.user_offset, row.user_len);
        row.row.channels = str_make(answer->texts.at + row.channels_offset, row.channels_len);
        pick_offer(pick, &row.row);
    }
}

/* Puts the workers' rows together; `pick` then holds one more than the page where there are more. */
static enum status merge(struct gather *gather, struct pick *pick, struct roster *out)
{
    for (unsigned i = 0; i < gather_count(gather); i++) {
        const struct answer *answer = gather_answer(gather, i);
        if (answer == NULL) {
            return STATUS_BUSY;
        }
        if (answer->has_failed) {
            return STATUS_NO_MEMORY;
        }
        out->total += answer->total;
        offer_rows(pick, answer);
    }
    pick_sort(pick);
    return STATUS_OK;
}

static void on_gathered(struct gather *gather, void *context)
{
    struct question *question = context;
    const struct roster_query *query = &question->query;
    struct roster roster = {0};
    struct pick pick;
    enum status status = STATUS_NO_MEMORY;
    if (pick_init(&pick, sizeof(struct roster_row), query->limit + 1,
                  query->order == ROSTER_BY_QUEUE ? compare_by_queue : compare_by_client)) {
        status = merge(gather, &pick, &roster);
        roster.has_more = pick.count > query->limit;
        roster.count = roster.has_more ? query->limit : pick.count;
        roster.rows = pick_at(&pick, 0);
    }
    question->done(question->context, status, status == STATUS_OK ? &roster : NULL);
    pick_release(&pick);
    for (unsigned i = 0; i < gather_count(gather); i++) {
        struct answer *answer = gather_answer(gather, i);
        if (answer != NULL) {
            buf_release(&answer->rows);
            buf_release(&answer->texts);
        }
    }
    free(question);
}

void roster_ask(struct worker *worker, const struct roster_query *query,
                void (*done)(void *context, enum status status, const struct roster *roster), void *context)
{
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        done(context, STATUS_NO_MEMORY, NULL);
        return;
    }
    *question = (struct question){.query = *query, .done = done, .context = context};
    const struct gather_options options = {
        .visit = visit,
        .done = on_gathered,
        .question = &question->query,
        .context = question,
        .answer_bytes = sizeof(struct answer),
    };
    if (!gather_start(worker, &options)) {
        free(question);
        done(context, STATUS_NO_MEMORY, NULL);
    }
}

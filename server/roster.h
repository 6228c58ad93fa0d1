/* roster.h - the connected clients of the whole process, a page at a time.
 *
 * Every worker walks its own connections once and keeps the first rows of the page (pick.h); the asker puts
 * the workers' rows together. So an answer is bounded whatever the number of clients, and what a walk costs
 * is one comparison for each of them. Where a user is named, only that
 * user's are walked.
 *
 * Pages follow each other by the last row of the one before, not by a number: clients that come and go move
 * no other out of sight. In the order of queued bytes a client may move between two pages, as its queue does.
 *
 * Thread: the worker's.   Memory: LIMIT rows for each worker until the answer.
 */
#ifndef STARLING_SERVER_ROSTER_H
#define STARLING_SERVER_ROSTER_H

#include "channels/base/buf.h"
#include "channels/base/random.h"
#include "channels/status.h"
#include "server/address.h"

struct worker;

enum {
    ROSTER_PAGE_MAX = 1000,
    ROSTER_PAGE_DEFAULT = 100,
    ROSTER_CHANNELS_MAX = 128,
    ROSTER_PATTERN_MAX = 128
};

enum roster_order {
    ROSTER_BY_CLIENT, /* by client ID, ascending: stable */
    ROSTER_BY_QUEUE,  /* by bytes that wait to be sent, the most first; then by client ID */
};

/* Where a row stands in its order; the page begins after it. */
struct roster_place {
    uint64_t queue_bytes; /* ROSTER_BY_QUEUE */
    char client[UUID_TEXT_LEN];
};

/* Texts are borrowed until `done`. */
struct roster_query {
    enum roster_order order;
    bool has_user; /* only clients of `user`; the empty name is the anonymous ones */
    struct str user;
    struct str client;  /* only the client with that ID; empty: all */
    struct str pattern; /* str_glob on client ID and user, either of which has to match; empty: all */
    bool has_after;
    struct roster_place after;
    size_t limit; /* 1 … ROSTER_PAGE_MAX */
};

struct roster_row {
    struct roster_place place; /* with the client ID */
    struct str user;
    uint64_t connected_ms; /* wall clock */
    uint32_t channel_count;
    unsigned worker;
    unsigned char address[ADDRESS_BYTES];
    struct str channels; /* names, a NUL behind each, at most ROSTER_CHANNELS_MAX; only with query.client */
};

struct roster {
    const struct roster_row *rows;
    size_t count;
    bool has_more;
    uint64_t total; /* clients that match, on all pages */
};

/* Negative, 0, positive as of qsort(): pure. */
int roster_compare(enum roster_order order, const struct roster_place *left,
                   const struct roster_place *right);

/* Asks all workers. `query` and its texts are borrowed until `done`, which runs once, in a later step (at
 * once where there is no memory), on this thread; the rows are borrowed for the call. BUSY: a worker was not
 * reached; NO_MEMORY. Then `roster` is NULL. */
void roster_ask(struct worker *worker, const struct roster_query *query,
                void (*done)(void *context, enum status status, const struct roster *roster), void *context);

#endif

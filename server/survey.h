/* survey.h - what can be known of the whole process only by asking every worker: its channels, its numbers.
 *
 * A channel is counted by its home worker, so no name comes from two workers; a user may have connections on
 * several, so each worker names its users by their keyed hash and the asker counts the different ones (two
 * users of 10,000 share one of 2^64 with a chance of 1 in 10^11).
 *
 * Thread: the worker's; survey_list and survey_merge() are pure.   Memory: grows with the channels that
 * match, up to SURVEY_CHANNELS_MAX, and with the users.   Source: SERVER_API sections 3.9 and 3.10.
 */
#ifndef STARLING_SERVER_SURVEY_H
#define STARLING_SERVER_SURVEY_H

#include "channels/base/buf.h"
#include "channels/status.h"

struct server;
struct worker;

enum { SURVEY_CHANNELS_MAX = 100000, SURVEY_PAGE_MAX = 1000 };

struct survey_channel {
    struct str name;
    uint32_t client_count;
};

/* Channels as they are found on one worker; a zeroed struct is empty. */
struct survey_list {
    struct buf names;
    struct buf rows; /* where each name lies and how many clients it has */
    size_t count;
    bool is_cut; /* there are more than SURVEY_CHANNELS_MAX */
};

/* Adds a channel when its name matches `pattern` (str_glob; empty: every name does). false: the list is full
 * or there is no memory (rows.failed, names.failed), and the walk may end. */
bool survey_list_add(struct survey_list *list, struct str pattern, struct str name, uint32_t client_count);
void survey_list_release(struct survey_list *list);

struct survey_channels {
    struct survey_channel *channels; /* by name, in the order of bytes; owned; names lie in the lists */
    size_t count;
    bool is_cut; /* there are more: than the limit, or than SURVEY_CHANNELS_MAX, and these are some of them */
};

/* Puts lists together; absent ones are NULL. OK or NO_MEMORY. Free out->channels before the lists. */
enum status survey_merge(struct survey_list *const *lists, size_t list_count, struct survey_channels *out);

/* Which channels. Texts are borrowed until `done`. */
struct survey_query {
    struct str pattern; /* str_glob; empty: all */
    struct str after;   /* only names behind this one in the order of bytes: the last of the page before */
    size_t limit;       /* the first so many, 1 … SURVEY_PAGE_MAX; 0: all, up to SURVEY_CHANNELS_MAX */
};

/* Asks for the channels with subscribers that `query` means. `done` runs once, in a later step (at once where
 * there is no memory), on this thread; the channels are borrowed for the call, and is_cut says that there are
 * more. With a limit each worker keeps only that many while it walks. BUSY: a worker was not reached;
 * NO_MEMORY. Then `channels` is NULL. */
void survey_channels(struct worker *worker, const struct survey_query *query,
                     void (*done)(void *context, enum status status, const struct survey_channels *channels),
                     void *context);

/* This node. Name and ID are the server's. */
struct survey_info {
    uint64_t client_count, user_count, subscription_count, channel_count;
    uint64_t uptime_s;
    double cpu_percent; /* of one core, since the same worker was last asked, or since the start */
    uint64_t resident_bytes;
};

/* Appends them as one element of the API's answer, with name and ID of the node. */
void survey_info_print(struct buf *out, const struct server *server, const struct survey_info *info);

/* The same for the node's numbers. */
void survey_info(struct worker *worker,
                 void (*done)(void *context, enum status status, const struct survey_info *info),
                 void *context);

#endif

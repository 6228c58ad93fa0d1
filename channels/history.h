/* history.h - the stream of one channel: its epoch, its top, and the newest publications.
 *
 *     offset      1 … 4    5    6    7    8         count 4, top 8, oldest kept 5
 *                 gone   [ 5 ][ 6 ][ 7 ][ 8 ]       a ring: offsets have no gaps, so a place is a subtraction
 *
 * Bounded by count and age, both taken from the channel's options at each append. The ring grows with what it
 * holds and shrinks when that goes. Removing the publications keeps epoch and top. Everything is a function
 * of its arguments; time (monotonic milliseconds) is one of them.
 *
 * Thread: the home worker's.   Memory: embedded; the ring is heap and holds one reference per message.
 */
#ifndef STARLING_CHANNELS_HISTORY_H
#define STARLING_CHANNELS_HISTORY_H

#include "channels/base/random.h"
#include "channels/op.h"

struct history_entry {
    struct message *message;
    uint64_t expires_ms;
};

struct history {
    bool is_open; /* has an epoch: the stream was read or written once */
    char epoch[EPOCH_TEXT_LEN];
    uint64_t top_offset; /* 0 before the first publication */
    struct history_entry *ring;
    uint32_t capacity, first, count;
    uint64_t bytes; /* memory of the messages in the ring */
};

struct history_query {
    int64_t limit;      /* 0: position only; -1: all */
    uint32_t limit_max; /* cap on the answer; 0: none */
    bool has_since, is_reverse;
    struct position since; /* exclusive */
};

struct history_recovery {
    struct position since;
    uint32_t recover_max; /* 0: no limit */
    bool is_cache_mode;
};

/* Messages of an answer: an owned array of owned references, NULL where there are none. */
struct history_answer {
    struct message **messages;
    size_t count;
};

/* Begins the stream under `epoch` (EPOCH_TEXT_LEN bytes, copied); a zeroed struct is a closed history. */
void history_open(struct history *history, const char *epoch);
struct str history_epoch(const struct history *history); /* borrowed; empty before history_open() */

/* Makes room for one more publication in a history of at most `size_max`. false: no memory, nothing changed.
 */
bool history_reserve(struct history *history, uint32_t size_max);

/* Gives `message` the next offset and keeps a reference until it is the oldest of more than `size_max` or
 * `expires_ms` comes. Needs history_reserve() with the same size before it. Cannot fail. */
void history_append(struct history *history, struct message *message, uint32_t size_max, uint64_t expires_ms);

/* Reads a range (PROTOCOL section 4.6): forward from the oldest, or the newest first. STATUS_BAD_REQUEST for
 * a limit below -1 or reverse with since.offset 0; STATUS_UNRECOVERABLE_POSITION for another epoch;
 * STATUS_NO_MEMORY. Call history_expire() first: what is too old is still in the ring until then. */
enum status history_read(const struct history *history, const struct history_query *query,
                         struct history_answer *out);

/* What a subscriber that was at `since` has missed (PROTOCOL sections 7.3 and 7.6). *recovered tells whether
 * it is all there; if not, there are no messages. STATUS_OK or STATUS_NO_MEMORY. */
enum status history_recover(const struct history *history, const struct history_recovery *recovery,
                            struct history_answer *out, bool *recovered);

/* Lets go of at most `budget` publications whose time has come; returns how many. */
size_t history_expire(struct history *history, uint64_t now_ms, size_t budget);

/* When the oldest publication's time comes; UINT64_MAX where there is none. */
uint64_t history_due_ms(const struct history *history);

/* Lets go of all publications; epoch and top stay. */
void history_remove(struct history *history);

/* Back to a closed history. */
void history_release(struct history *history);

#endif

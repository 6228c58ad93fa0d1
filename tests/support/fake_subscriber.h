/* fake_subscriber.h - hubs that a test turns by hand, and sessions that write down what happens to them.
 *
 *     struct rig rig;
 *     rig_open(&rig, (struct rig_options){.hub_count = 2});
 *     struct fake *alice = fake_new(&rig, 0, "alice");
 *     fake_subscribe(alice, "news", (struct fake_wish){0});      the op is on its way
 *     rig_settle(&rig);                                          everybody runs until nothing waits
 *     expect_log(alice, "subscribed 0");
 *
 * A fake does what a session does: it adds a row, starts an op, goes live in `done`, and leaves with an op.
 */
#ifndef STARLING_TESTS_FAKE_SUBSCRIBER_H
#define STARLING_TESTS_FAKE_SUBSCRIBER_H

#include "channels/base/buf.h"
#include "channels/hub.h"

enum { RIG_HUBS_MAX = 4, RIG_START_MS = 1000000 };

struct rig {
    unsigned hub_count;
    struct hub *hubs[RIG_HUBS_MAX];
    unsigned wake_counts[RIG_HUBS_MAX]; /* how often each hub was woken; its owner in hub_options */
    struct channel_options options;     /* of every channel */
    struct broker_sink sinks[RIG_HUBS_MAX];
};

struct rig_options {
    unsigned hub_count;
    size_t mails_max; /* 0: 1000 */
};

/* Both clocks stand at RIG_START_MS. History of 10 for a minute, forgotten after an hour; presence on. */
void rig_open(struct rig *rig, struct rig_options options);
/* All fakes must be gone; what waits is dropped. */
void rig_close(struct rig *rig);
/* Does something wait for this hub? */
bool rig_waits(struct rig *rig, unsigned hub);
/* Turns every hub until nothing waits. */
void rig_settle(struct rig *rig);
/* A channel that lives on the given hub; the text stays good. */
const char *rig_channel_of(struct rig *rig, unsigned home);

/* Delivers a publication as the channel's home would that has lost some, or has begun a new epoch. */
void rig_inject(struct rig *rig, const char *channel, uint64_t offset, struct str epoch);
/* Channels that any hub has a row or a count for. */
size_t rig_channel_count(struct rig *rig);

/* How many of the next frames cannot be encoded for lack of memory; reset by rig_open(). */
extern unsigned rig_encode_failures;
/* Frames that were encoded since rig_open(). */
extern unsigned rig_encode_count;

/* What a subscribe asks for. */
struct fake_wish {
    bool positioned, with_presence, with_join_leave, hears_join_leave;
    bool recover, cache_mode, must_recover;
    uint64_t since;
    const char *epoch; /* of `since`; NULL: none is given */
    uint32_t recover_max;
};

struct fake {
    struct subscriber subscriber; /* first */
    struct rig *rig;
    struct hub *hub;
    char name[32]; /* client ID; the user is the text before the first '.' */
    struct buf log;
    unsigned offers_left;                /* the outbox is full after so many */
    void (*on_offer)(struct fake *fake); /* runs inside each offer; NULL: nothing */
    void *on_offer_arg;
    bool leaves_when_insufficient;
    enum status status;       /* of the last op that came back */
    struct position position; /* op->top of the last op that came back */
    char epoch[LIMIT_EPOCH_BYTES];
};

struct fake *fake_new(struct rig *rig, unsigned hub, const char *name);
/* Leaves every channel, settles the rig and frees the fake. NULL is fine. */
void fake_free(struct fake *fake);

/* Starts to subscribe; its end is logged as "subscribed <top offset>", with " recovered" and the publications
 * where it asked for them, or as "refused: <text of the status>". false: no memory, nothing was begun. */
bool fake_subscribe(struct fake *fake, const char *channel, struct fake_wish wish);
/* Removes the row at once and starts the op; while the subscribe is on its way both wait for its answer. */
void fake_unsubscribe(struct fake *fake, const char *channel);
struct subscription *fake_row(struct fake *fake, const char *channel);

/* An op of the fake's for a channel, with room for texts; its end is logged as "done", "done <n> <m> …" with
 * the offsets of its messages, or "failed: <text of the status>". NULL without memory. */
struct op *fake_op(struct fake *fake, enum op_kind kind, const char *channel);
/* Starts to publish; false: no memory. */
bool fake_publish(struct fake *fake, const char *channel, const char *data);

/* Compares what was logged since the last call, events separated by "; ". Offers are logged as
 * "<offset>:<data>", joins as "join:<info>", leaves as "leave:<info>". */
void fake_expect(struct fake *fake, const char *log, const char *file, int line);
#define expect_log(fake, log) fake_expect((fake), (log), __FILE__, __LINE__)
/* The same where the log itself is wanted: borrowed until the log next changes; NUL-terminated. */
const char *fake_log(struct fake *fake);
void fake_forget_log(struct fake *fake);

#endif

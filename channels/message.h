/* message.h - one publication, join or leave, as it travels between workers and rests in history.
 *
 * Immutable once it was given to the hub, so every worker, outbox and history ring may share it. The count of
 * references is atomic because a message crosses threads: once per worker, never per subscriber. What
 * subscribers share is the frame that their worker encodes from it (frame.h).
 *
 * Memory: one allocation holds the struct and all its text.   Thread: any, by reference.
 */
#ifndef STARLING_CHANNELS_MESSAGE_H
#define STARLING_CHANNELS_MESSAGE_H

#include "channels/base/str.h"

#include <stdatomic.h>
#include <stdint.h>

enum message_kind { MESSAGE_PUBLICATION, MESSAGE_JOIN, MESSAGE_LEAVE };

enum { MESSAGE_MAGIC = 0x4d534721 };

struct message {
    uint32_t magic;
    atomic_uint refs; /* relaxed up, acquire-release down: the last holder frees */
    enum message_kind kind;
    bool wants_delta; /* published as a candidate for delta compression */
    bool is_position; /* no publication, but where the stream stands: who is elsewhere missed something */
    uint64_t offset;  /* position in the channel's stream from 1; 0 where none is kept. Set by the broker */
    uint64_t published_ms; /* wall clock. Set by the broker */
    uint32_t epoch_room;   /* bytes that `epoch` may take */
    struct str epoch;      /* of the stream `offset` counts in; empty where none is kept. Set by the broker */
    struct str channel;    /* slices of bytes[] */
    struct str data;       /* JSON, byte for byte as published; empty for join and leave */
    struct str info;       /* encoded ClientInfo, or empty */
    struct str tags;       /* encoded JSON object of text to text, or empty */
    struct str exclude;    /* client ID that it is not delivered to, or empty; history has it all the same */
    char bytes[];
};

/* What a new message is made of; everything is copied. A message that comes from another process brings its
 * place in the stream along; to others the broker gives one. */
struct message_parts {
    enum message_kind kind;
    bool wants_delta, is_position;
    uint64_t offset;
    struct str epoch;
    struct str channel, data, info, tags, exclude;
};

/* Memory that a message takes. */
size_t message_bytes(const struct message *message);

/* Returns owned, with one reference; NULL without memory. */
struct message *message_new(const struct message_parts *parts);

/* Gives the message its place in the stream, before anybody else holds a reference. `epoch` is copied and no
 * longer than EPOCH_TEXT_LEN or the epoch that the message was made with. */
void message_set_position(struct message *message, uint64_t offset, struct str epoch);

struct message *message_ref(struct message *message);
/* NULL is fine. */
void message_unref(struct message *message);

#endif

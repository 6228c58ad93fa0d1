/* redis_reply.h - what Redis answered, looked at before it is used (THREATS D02).
 *
 * Nothing here trusts a reply: its type, its number of elements and the type of each are checked, and what
 * does not fit is `false`, after which the caller closes the connection. Slices point into the reply.
 *
 * Thread: any, pure.
 */
#ifndef STARLING_CHANNELS_REDIS_REPLY_H
#define STARLING_CHANNELS_REDIS_REPLY_H

#include "channels/base/str.h"

#include <hiredis/hiredis.h>

bool redis_is_error(const redisReply *reply);
/* The first word of an error: OOM, READONLY, …; the rest differs between servers. Empty: no error. */
struct str redis_error_word(const redisReply *reply);

/* A bulk or a status. */
bool redis_text(const redisReply *reply, struct str *out);
bool redis_count(const redisReply *reply, uint64_t *out);
/* Exactly `count` elements. */
bool redis_is_array(const redisReply *reply, size_t count);

/* One frame of pub/sub. */
struct redis_push {
    enum { REDIS_PUSH_MESSAGE, REDIS_PUSH_SUBSCRIBED, REDIS_PUSH_UNSUBSCRIBED } kind;
    struct str channel;
    struct str payload; /* of a message */
};
bool redis_push_read(const redisReply *reply, struct redis_push *out);

enum { REDIS_INSTANCE_BYTES = 48 };

/* What INFO tells of a server. */
struct redis_info {
    bool is_master, is_loading;
    unsigned version_major;
    char instance[REDIS_INSTANCE_BYTES]; /* names one life of one primary; NUL-terminated */
};
bool redis_info_read(const redisReply *reply, struct redis_info *out);

/* The meta hash of a stream: HMGET e n i b p pb. */
struct redis_meta {
    bool is_there; /* false: no such key, and the rest means nothing */
    struct str epoch, instance, previous_epoch;
    uint64_t top, base, previous_base;
};
bool redis_meta_read(const redisReply *reply, struct redis_meta *out);

/* One entry of XRANGE or XREVRANGE. */
bool redis_entry_read(const redisReply *reply, uint64_t *offset, struct str *frame);

#endif

/* redis_frame.h - a message as it travels through Redis and rests in a stream.
 *
 *     version 1 | type | flags | uid 16 | published_ms 8 | info 4 | tags 4 | exclude 4 | data 4 |
 *     info… tags… exclude… data…
 *
 * Numbers are little-endian, the last four before the texts are lengths. What is published has the position
 * before it, as text: `epoch:offset:` and the frame, or `::` and the frame where no history is kept. The uid
 * names the publication: a node that asks again for a publish whose answer was lost is found out by it.
 *
 * Whoever can write to Redis can forge frames; what does not have exactly this shape is no frame, is ignored
 * and counted (THREATS D06).   Thread: any, pure.
 */
#ifndef STARLING_CHANNELS_REDIS_FRAME_H
#define STARLING_CHANNELS_REDIS_FRAME_H

#include "channels/base/buf.h"
#include "channels/message.h"

enum { REDIS_UID_BYTES = 16, REDIS_FRAME_HEAD_BYTES = 3 + REDIS_UID_BYTES + 8 + 16 };

void redis_frame_encode(struct buf *out, const struct message *message, const char uid[REDIS_UID_BYTES]);

/* Returns owned, a message for `channel` with the given place; NULL: no frame, or no memory (errno ENOMEM).
 */
struct message *redis_frame_decode(struct str frame, struct str channel, struct str epoch, uint64_t offset);

/* Splits `epoch:offset:frame`. false: not that. An empty epoch has offset 0. */
bool redis_published_split(struct str published, struct str *epoch, uint64_t *offset, struct str *frame);

/* Splits `epoch:offset`. */
bool redis_position_split(struct str text, struct str *epoch, uint64_t *offset);

#endif

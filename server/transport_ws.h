/* transport_ws.h - how frames look on a WebSocket: JSON text, unmasked, one message per frame.
 *
 * Thread: the worker's, but for transport_encode(), which is pure.
 */
#ifndef STARLING_SERVER_TRANSPORT_WS_H
#define STARLING_SERVER_TRANSPORT_WS_H

#include "channels/frame.h"
#include "channels/message.h"

/* For the hub: a message as the frame that all subscribers of this kind share. NULL without memory. */
struct frame *transport_encode(enum frame_kind kind, const struct message *message);

/* A frame with this JSON text in it. NULL without memory. */
struct frame *transport_frame(enum frame_kind kind, struct str json);

#endif

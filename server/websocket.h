/* websocket.h - RFC 6455 frames: bytes in, events out.
 *
 *     bytes of the socket ──▶ websocket_read() ──▶ message | ping | pong | close | error, one at a time
 *
 * The reader knows nothing of sockets and asks for nothing: the connection hands it what arrived and obeys
 * the events. A message that lies whole in the receive buffer is unmasked where it lies and never copied.
 * Only what is incomplete is kept: up to 14 bytes of a frame's head inside the reader, payload in one heap
 * block that grows with what has arrived, not with what was announced, and goes once the message is
 * delivered. An idle connection therefore costs sizeof(struct websocket_reader) and nothing else.
 *
 * Thread: any, one at a time per reader.   Memory: one heap block while a message is incomplete, at most
 * message_bytes_max + 125 bytes.   Limits: struct websocket_limits.   Rows W01 to W17 of the threat list.
 */
#ifndef STARLING_SERVER_WEBSOCKET_H
#define STARLING_SERVER_WEBSOCKET_H

#include "channels/base/str.h"
#include "channels/base/utf8.h"

enum websocket_opcode {
    WEBSOCKET_OPCODE_CONTINUATION = 0,
    WEBSOCKET_OPCODE_TEXT = 1,
    WEBSOCKET_OPCODE_BINARY = 2,
    WEBSOCKET_OPCODE_CLOSE = 8,
    WEBSOCKET_OPCODE_PING = 9,
    WEBSOCKET_OPCODE_PONG = 10
};

enum {
    WEBSOCKET_HEAD_MAX = 10, /* of a frame without a mask */
    WEBSOCKET_MASK_BYTES = 4,
    WEBSOCKET_CLIENT_HEAD_MAX = WEBSOCKET_HEAD_MAX + WEBSOCKET_MASK_BYTES,
    WEBSOCKET_CONTROL_BYTES_MAX = 125, /* payload of ping, pong and close (section 5.5) */
    WEBSOCKET_REASON_BYTES_MAX = WEBSOCKET_CONTROL_BYTES_MAX - 2,
    WEBSOCKET_CLOSE_FRAME_MAX = 2 + WEBSOCKET_CONTROL_BYTES_MAX,
    WEBSOCKET_RSV1 = 0x40, /* may be added to the opcode of a head: the message is compressed (RFC 7692) */
    WEBSOCKET_ACCEPT_KEY_LEN = 28,
    WEBSOCKET_MESSAGE_BYTES_CEILING = 1 << 30 /* of message_bytes_max: lengths are kept in 32 bits */
};

/* Close codes that the reader itself uses (section 7.4.1). */
enum {
    WEBSOCKET_CLOSE_NORMAL = 1000,
    WEBSOCKET_CLOSE_PROTOCOL_ERROR = 1002,
    WEBSOCKET_CLOSE_NO_CODE = 1005, /* never on the wire: the peer's close frame was empty */
    WEBSOCKET_CLOSE_NOT_UTF8 = 1007,
    WEBSOCKET_CLOSE_POLICY = 1008,
    WEBSOCKET_CLOSE_TOO_BIG = 1009,
    WEBSOCKET_CLOSE_NO_MEMORY = 1011
};

struct websocket_limits {
    uint32_t message_bytes_max;   /* all fragments together; at most WEBSOCKET_MESSAGE_BYTES_CEILING */
    uint16_t fragments_max;       /* frames of one message; 1024 */
    uint16_t empty_fragments_max; /* of those, without payload; 64 */
};

/* Embedded in the connection. Written by this module only, but for the two switches, which the owner may set
 * between websocket_reader_init() and the first read. */
struct websocket_reader {
    const struct websocket_limits *limits;
    unsigned char *block; /* the incomplete message, then the incomplete control frame; NULL when neither */
    uint32_t block_capacity;
    uint32_t message_len;      /* bytes of the message in `block` */
    uint32_t frame_bytes_left; /* payload of the current frame that has not come */
    uint16_t fragment_count;   /* frames of the current message; 0 between messages */
    uint16_t empty_fragment_count;
    struct utf8 utf8;                         /* of the current text message */
    unsigned char mask[WEBSOCKET_MASK_BYTES]; /* turned so that [0] is for the next byte */
    unsigned char head[WEBSOCKET_CLIENT_HEAD_MAX];
    uint8_t head_len;
    uint8_t control_len;    /* bytes of the control frame in `block`, behind the message */
    uint8_t message_opcode; /* TEXT or BINARY */
    bool is_in_payload : 1;
    bool is_compressed : 1;
    bool is_delivered : 1; /* `block` was lent to the caller and goes at the next read */
    bool is_dead : 1;      /* closed or failed: the rest is not processed (W16) */
    bool allow_rsv1 : 1;   /* switch: compression was agreed */
    bool is_client : 1;    /* switch: frames must come without a mask, not with one */
};

_Static_assert(sizeof(struct websocket_reader) <= 64, "an idle connection pays for this");

enum websocket_event_kind {
    WEBSOCKET_MORE,    /* everything was taken, there is nothing to report */
    WEBSOCKET_MESSAGE, /* payload, is_binary, is_compressed */
    WEBSOCKET_PING,    /* payload: goes back in a pong */
    WEBSOCKET_PONG,    /* payload */
    WEBSOCKET_CLOSE,   /* code (1005 when the frame had none), payload: the reason, valid UTF-8 */
    WEBSOCKET_ERROR    /* code to close with, payload: a reason of ours, static */
};

struct websocket_event {
    struct str payload; /* borrowed until the next websocket_read() or change of the receive buffer */
    uint16_t code;
    bool is_binary;
    bool is_compressed; /* the payload is deflated, and its UTF-8 unchecked */
};

/* `limits` is borrowed for the reader's life. */
void websocket_reader_init(struct websocket_reader *reader, const struct websocket_limits *limits);
void websocket_reader_release(struct websocket_reader *reader);

/* Takes bytes from the front of *at, at most *len, moves both past what it took, and returns the first event.
 * The buffer is written to: frames are unmasked in place. Call until it says WEBSOCKET_MORE; that call also
 * gives back the memory of the message delivered before. After WEBSOCKET_CLOSE or WEBSOCKET_ERROR the reader
 * takes everything and reports nothing more. Codes of errors: 1002, 1007, 1008, 1009, and 1011 without
 * memory. */
enum websocket_event_kind websocket_read(struct websocket_reader *reader, unsigned char **at, size_t *len,
                                         struct websocket_event *out);

/* Writes the head of an unmasked frame and returns its length. `opcode` may carry WEBSOCKET_RSV1. */
size_t websocket_head(unsigned char out[WEBSOCKET_HEAD_MAX], unsigned opcode, bool fin, size_t payload_len);

/* A whole close frame; returns its length. The reason is cut to 123 bytes at the end of a character. Code 0
 * and 1005 give an empty frame. */
size_t websocket_close_frame(unsigned char out[WEBSOCKET_CLOSE_FRAME_MAX], unsigned code, struct str reason);

/* For our own command line clients: the head of a masked frame, whose payload is then masked with `mask`. */
size_t websocket_client_head(unsigned char out[WEBSOCKET_CLIENT_HEAD_MAX], unsigned opcode, bool fin,
                             size_t payload_len, const unsigned char mask[WEBSOCKET_MASK_BYTES]);

/* Masks or unmasks in place (section 5.3) and turns `mask` so that the next piece of the frame can follow. */
void websocket_mask(unsigned char *at, size_t len, unsigned char mask[WEBSOCKET_MASK_BYTES]);

/* May this code stand in a close frame that a peer sends (section 7.4, registry of 2024)? */
bool websocket_close_code_is_valid(unsigned code);

/* Sec-WebSocket-Key: canonical base64 of exactly 16 bytes (H01). */
bool websocket_key_is_valid(struct str key);

/* Sec-WebSocket-Accept for a key that websocket_key_is_valid() has accepted, no NUL (section 4.2.2). */
void websocket_accept_key(struct str key, char out[WEBSOCKET_ACCEPT_KEY_LEN]);

#endif

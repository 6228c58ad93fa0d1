#include "server/websocket.h"

#include "channels/base/must.h"
#include "server/crypto.h"

#include <stdlib.h>

/*   byte 0            byte 1                                                        RFC 6455 section 5.2
 *  ┌─┬─┬─┬─┬───────┐ ┌─┬─────────────┐ ┌──────────────────┐ ┌──────────┐ ┌─────────┐
 *  │F│R│R│R│ opcode│ │M│ length      │ │ 0, 2 or 8 bytes  │ │ 0 or 4   │ │ payload │
 *  │I│1│2│3│       │ │ │ 126: 2 more │ │ of length,       │ │ bytes of │ │         │
 *  │N│ │ │ │       │ │ │ 127: 8 more │ │ highest first    │ │ mask     │ │         │
 *  └─┴─┴─┴─┴───────┘ └─┴─────────────┘ └──────────────────┘ └──────────┘ └─────────┘
 */
enum {
    BIT_FIN = 0x80,
    BITS_RSV2_RSV3 = 0x30,
    BITS_OPCODE = 0x0F,
    BIT_CONTROL = 0x08,
    BIT_MASK = 0x80,
    BITS_LENGTH = 0x7F,
    LENGTH_16 = 126,
    LENGTH_64 = 127
};

/* The first allocation for a message whose frame announces more than has come. */
enum { BLOCK_STEP = 1024 };

void websocket_reader_init(struct websocket_reader *reader, const struct websocket_limits *limits)
{
    must(limits->message_bytes_max <= WEBSOCKET_MESSAGE_BYTES_CEILING);
    *reader = (struct websocket_reader){.limits = limits};
}

static void drop_block(struct websocket_reader *reader)
{
    free(reader->block);
    reader->block = NULL;
    reader->block_capacity = 0;
    reader->message_len = 0;
    reader->control_len = 0;
}

void websocket_reader_release(struct websocket_reader *reader)
{
    drop_block(reader);
    reader->is_dead = true;
}

void websocket_mask(unsigned char *at, size_t len, unsigned char mask[WEBSOCKET_MASK_BYTES])
{
    uint32_t word;
    memcpy(&word, mask, 4);
    uint64_t two_words = (uint64_t)word << 32 | word;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t eight;
        memcpy(&eight, at + i, 8);
        eight ^= two_words;
        memcpy(at + i, &eight, 8);
    }
    for (size_t k = 0; i < len; i++, k++) {
        at[i] ^= mask[k & 3];
    }
    unsigned char turned[WEBSOCKET_MASK_BYTES];
    for (size_t k = 0; k < WEBSOCKET_MASK_BYTES; k++) {
        turned[k] = mask[(k + len) & 3];
    }
    memcpy(mask, turned, sizeof turned);
}

bool websocket_close_code_is_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static enum websocket_event_kind fail(struct websocket_reader *reader, struct websocket_event *out,
                                      unsigned code, const char *reason)
{
    drop_block(reader);
    reader->is_dead = true;
    *out = (struct websocket_event){.code = (uint16_t)code, .payload = str_from_cstr(reason)};
    return WEBSOCKET_ERROR;
}

static unsigned frame_opcode(const struct websocket_reader *reader)
{
    return reader->head[0] & BITS_OPCODE;
}

static bool frame_is_control(const struct websocket_reader *reader)
{
    return (reader->head[0] & BIT_CONTROL) != 0;
}

static bool frame_is_final(const struct websocket_reader *reader)
{
    return (reader->head[0] & BIT_FIN) != 0;
}

/* Bytes of the length field behind the first two. */
static size_t long_length_bytes(const struct websocket_reader *reader)
{
    unsigned length = reader->head[1] & BITS_LENGTH;
    return length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
}

/* What is wrong with the first two bytes, or NULL. All of it is a protocol error. */
static const char *problem_of_start(const struct websocket_reader *reader)
{
    unsigned first = reader->head[0], second = reader->head[1], opcode = frame_opcode(reader);
    bool starts_message = opcode == WEBSOCKET_OPCODE_TEXT || opcode == WEBSOCKET_OPCODE_BINARY;
    bool is_in_message = reader->fragment_count > 0;

    if ((first & BITS_RSV2_RSV3) != 0) {
        return "reserved bit set";
    }
    if ((first & WEBSOCKET_RSV1) != 0 && !(reader->allow_rsv1 && starts_message)) {
        return "compression bit where it must not be";
    }
    if (opcode > WEBSOCKET_OPCODE_PONG ||
        (opcode > WEBSOCKET_OPCODE_BINARY && opcode < WEBSOCKET_OPCODE_CLOSE)) {
        return "unknown opcode";
    }
    if (((second & BIT_MASK) != 0) == reader->is_client) {
        return reader->is_client ? "masked frame from a server" : "unmasked frame";
    }
    if (frame_is_control(reader)) {
        if (!frame_is_final(reader)) {
            return "fragmented control frame";
        }
        return (second & BITS_LENGTH) > WEBSOCKET_CONTROL_BYTES_MAX ? "control frame too long" : NULL;
    }
    if (starts_message && is_in_message) {
        return "new message inside another";
    }
    return !starts_message && !is_in_message ? "continuation of nothing" : NULL;
}

/* Decodes the announced length; false when it is not in the shortest form, or negative. */
static bool decode_length(const struct websocket_reader *reader, uint64_t *out)
{
    size_t extra = long_length_bytes(reader);
    uint64_t length = extra == 0 ? reader->head[1] & BITS_LENGTH : 0;
    for (size_t i = 0; i < extra; i++) {
        length = length << 8 | reader->head[2 + i];
    }
    *out = length;
    switch (extra) {
    case 0: return true;
    case 2: return length >= LENGTH_16;
    default: return length > UINT16_MAX && length <= INT64_MAX;
    }
}

/* The length is known, the mask perhaps not yet: refuses what is too much before any of it comes. */
static enum websocket_event_kind accept_length(struct websocket_reader *reader, struct websocket_event *out)
{
    uint64_t length;
    if (!decode_length(reader, &length)) {
        return fail(reader, out, WEBSOCKET_CLOSE_PROTOCOL_ERROR, "length not in its shortest form");
    }
    if (!frame_is_control(reader)) {
        if (length > reader->limits->message_bytes_max - reader->message_len) {
            return fail(reader, out, WEBSOCKET_CLOSE_TOO_BIG, "message too big");
        }
        if (reader->fragment_count == reader->limits->fragments_max) {
            return fail(reader, out, WEBSOCKET_CLOSE_POLICY, "too many fragments");
        }
        if (length == 0 && reader->empty_fragment_count == reader->limits->empty_fragments_max) {
            return fail(reader, out, WEBSOCKET_CLOSE_POLICY, "too many empty fragments");
        }
    }
    reader->frame_bytes_left = (uint32_t)length;
    return WEBSOCKET_MORE;
}

/* The whole head is there: the payload follows. */
static void begin_payload(struct websocket_reader *reader)
{
    reader->is_in_payload = true;
    if (!reader->is_client) {
        memcpy(reader->mask, reader->head + reader->head_len - WEBSOCKET_MASK_BYTES, WEBSOCKET_MASK_BYTES);
    }
    if (frame_is_control(reader)) {
        return;
    }
    if (reader->fragment_count == 0) {
        reader->message_opcode = (uint8_t)frame_opcode(reader);
        reader->is_compressed = (reader->head[0] & WEBSOCKET_RSV1) != 0;
        reader->utf8 = (struct utf8){0};
    }
    reader->fragment_count++;
    if (reader->frame_bytes_left == 0) {
        reader->empty_fragment_count++;
    }
}

/* Moves bytes into the kept head until it has `target` of them. */
static bool collect_head(struct websocket_reader *reader, size_t target, unsigned char **at, size_t *len)
{
    while (reader->head_len<target && * len> 0) {
        reader->head[reader->head_len++] = **at;
        (*at)++;
        (*len)--;
    }
    return reader->head_len >= target;
}

/* Reads the head as far as it has come. Each part is judged when it is there, so that a length nobody will
 * accept is refused even if the mask never comes. */
static enum websocket_event_kind read_head(struct websocket_reader *reader, unsigned char **at, size_t *len,
                                           struct websocket_event *out)
{
    if (reader->head_len < 2) {
        if (!collect_head(reader, 2, at, len)) {
            return WEBSOCKET_MORE;
        }
        const char *problem = problem_of_start(reader);
        if (problem != NULL) {
            return fail(reader, out, WEBSOCKET_CLOSE_PROTOCOL_ERROR, problem);
        }
    }
    size_t length_end = 2 + long_length_bytes(reader);
    bool had_length = reader->head_len > length_end;
    if (!collect_head(reader, length_end, at, len)) {
        return WEBSOCKET_MORE;
    }
    if (!had_length && accept_length(reader, out) == WEBSOCKET_ERROR) {
        return WEBSOCKET_ERROR;
    }
    if (collect_head(reader, length_end + (reader->is_client ? 0 : WEBSOCKET_MASK_BYTES), at, len)) {
        begin_payload(reader);
    }
    return WEBSOCKET_MORE;
}

/* Room for `count` more bytes. Twice what is there, but never more than what may still come. */
static bool reserve_block(struct websocket_reader *reader, uint32_t count)
{
    uint32_t used = reader->message_len + reader->control_len;
    uint32_t needed = used + count;
    if (needed <= reader->block_capacity) {
        return true;
    }
    uint32_t most =
        frame_is_final(reader) ? used + reader->frame_bytes_left : reader->limits->message_bytes_max;
    uint32_t capacity = needed < BLOCK_STEP / 2 ? BLOCK_STEP : needed * 2;
    capacity = capacity > most ? most : capacity;
    must(capacity >= needed);
    unsigned char *block = realloc(reader->block, capacity);
    if (block == NULL) {
        return false;
    }
    reader->block = block;
    reader->block_capacity = capacity;
    return true;
}

static enum websocket_event_kind finish_close(struct websocket_reader *reader, struct str payload,
                                              struct websocket_event *out)
{
    if (payload.len == 0) {
        reader->is_dead = true;
        *out = (struct websocket_event){.code = WEBSOCKET_CLOSE_NO_CODE};
        return WEBSOCKET_CLOSE;
    }
    if (payload.len == 1) {
        return fail(reader, out, WEBSOCKET_CLOSE_PROTOCOL_ERROR, "close frame of one byte");
    }
    unsigned code = (unsigned)(unsigned char)payload.at[0] << 8 | (unsigned char)payload.at[1];
    if (!websocket_close_code_is_valid(code)) {
        return fail(reader, out, WEBSOCKET_CLOSE_PROTOCOL_ERROR, "invalid close code");
    }
    struct str reason = str_skip(payload, 2);
    if (!utf8_is_valid(reason)) {
        return fail(reader, out, WEBSOCKET_CLOSE_NOT_UTF8, "close reason is not UTF-8");
    }
    reader->is_dead = true;
    *out = (struct websocket_event){.code = (uint16_t)code, .payload = reason};
    return WEBSOCKET_CLOSE;
}

static enum websocket_event_kind finish_control(struct websocket_reader *reader, struct str payload,
                                                struct websocket_event *out)
{
    /* Between messages nothing else is in the block: it goes once the caller has seen the payload. */
    reader->is_delivered = reader->fragment_count == 0;
    if (frame_opcode(reader) == WEBSOCKET_OPCODE_CLOSE) {
        return finish_close(reader, payload, out);
    }
    *out = (struct websocket_event){.payload = payload};
    return frame_opcode(reader) == WEBSOCKET_OPCODE_PING ? WEBSOCKET_PING : WEBSOCKET_PONG;
}

static enum websocket_event_kind finish_message(struct websocket_reader *reader, struct str payload,
                                                struct websocket_event *out)
{
    reader->is_delivered = true;
    reader->fragment_count = 0;
    reader->empty_fragment_count = 0;
    *out = (struct websocket_event){.payload = payload,
                                    .is_binary = reader->message_opcode == WEBSOCKET_OPCODE_BINARY,
                                    .is_compressed = reader->is_compressed};
    return WEBSOCKET_MESSAGE;
}

/* UTF-8 of a compressed text can be judged only by whoever inflates it. */
static bool text_is_wrong(struct websocket_reader *reader, const unsigned char *at, size_t len, bool is_end)
{
    if (reader->message_opcode != WEBSOCKET_OPCODE_TEXT || reader->is_compressed) {
        return false;
    }
    return !utf8_feed(&reader->utf8, at, len) || (is_end && !utf8_is_complete(&reader->utf8));
}

static enum websocket_event_kind read_control(struct websocket_reader *reader, unsigned char *at,
                                              uint32_t len, struct websocket_event *out)
{
    bool is_end = reader->frame_bytes_left == len;
    if (is_end && reader->control_len == 0) {
        return finish_control(reader, str_make((char *)at, len), out);
    }
    if (!reserve_block(reader, len)) {
        return fail(reader, out, WEBSOCKET_CLOSE_NO_MEMORY, "no memory");
    }
    unsigned char *control = reader->block + reader->message_len;
    memcpy(control + reader->control_len, at, len);
    reader->control_len = (uint8_t)(reader->control_len + len);
    if (!is_end) {
        return WEBSOCKET_MORE;
    }
    struct str payload = str_make((char *)control, reader->control_len);
    reader->control_len = 0;
    return finish_control(reader, payload, out);
}

static enum websocket_event_kind read_data(struct websocket_reader *reader, unsigned char *at, uint32_t len,
                                           struct websocket_event *out)
{
    bool is_end = frame_is_final(reader) && reader->frame_bytes_left == len;
    if (text_is_wrong(reader, at, len, is_end)) {
        return fail(reader, out, WEBSOCKET_CLOSE_NOT_UTF8, "text is not UTF-8");
    }
    if (is_end && reader->message_len == 0) {
        return finish_message(reader, str_make((char *)at, len), out);
    }
    if (len > 0) {
        if (!reserve_block(reader, len)) {
            return fail(reader, out, WEBSOCKET_CLOSE_NO_MEMORY, "no memory");
        }
        memcpy(reader->block + reader->message_len, at, len);
        reader->message_len += len;
    }
    if (!is_end) {
        return WEBSOCKET_MORE;
    }
    return finish_message(reader, str_make((char *)reader->block, reader->message_len), out);
}

static enum websocket_event_kind read_payload(struct websocket_reader *reader, unsigned char **at,
                                              size_t *len, struct websocket_event *out)
{
    unsigned char *piece = *at;
    uint32_t piece_len = *len < reader->frame_bytes_left ? (uint32_t)*len : reader->frame_bytes_left;
    *at += piece_len;
    *len -= piece_len;
    if (!reader->is_client) {
        websocket_mask(piece, piece_len, reader->mask);
    }
    enum websocket_event_kind kind = frame_is_control(reader) ? read_control(reader, piece, piece_len, out)
                                                              : read_data(reader, piece, piece_len, out);
    reader->frame_bytes_left -= piece_len;
    if (reader->frame_bytes_left == 0) {
        reader->is_in_payload = false;
        reader->head_len = 0;
    }
    return kind;
}

enum websocket_event_kind websocket_read(struct websocket_reader *reader, unsigned char **at, size_t *len,
                                         struct websocket_event *out)
{
    if (reader->is_delivered || reader->is_dead) {
        drop_block(reader);
        reader->is_delivered = false;
    }
    while (!reader->is_dead) {
        if (!reader->is_in_payload && read_head(reader, at, len, out) == WEBSOCKET_ERROR) {
            return WEBSOCKET_ERROR;
        }
        bool can_go_on = reader->is_in_payload && (*len > 0 || reader->frame_bytes_left == 0);
        if (!can_go_on) {
            return WEBSOCKET_MORE;
        }
        enum websocket_event_kind kind = read_payload(reader, at, len, out);
        if (kind != WEBSOCKET_MORE) {
            return kind;
        }
    }
    *at += *len;
    *len = 0;
    return WEBSOCKET_MORE;
}

size_t websocket_head(unsigned char out[WEBSOCKET_HEAD_MAX], unsigned opcode, bool fin, size_t payload_len)
{
    out[0] = (unsigned char)(opcode | (fin ? BIT_FIN : 0));
    if (payload_len < LENGTH_16) {
        out[1] = (unsigned char)payload_len;
        return 2;
    }
    size_t length_bytes = payload_len <= UINT16_MAX ? 2 : 8;
    out[1] = length_bytes == 2 ? LENGTH_16 : LENGTH_64;
    for (size_t i = 0; i < length_bytes; i++) {
        out[2 + i] = (unsigned char)((uint64_t)payload_len >> (8 * (length_bytes - 1 - i)));
    }
    return 2 + length_bytes;
}

size_t websocket_client_head(unsigned char out[WEBSOCKET_CLIENT_HEAD_MAX], unsigned opcode, bool fin,
                             size_t payload_len, const unsigned char mask[WEBSOCKET_MASK_BYTES])
{
    size_t len = websocket_head(out, opcode, fin, payload_len);
    out[1] |= BIT_MASK;
    memcpy(out + len, mask, WEBSOCKET_MASK_BYTES);
    return len + WEBSOCKET_MASK_BYTES;
}

size_t websocket_close_frame(unsigned char out[WEBSOCKET_CLOSE_FRAME_MAX], unsigned code, struct str reason)
{
    if (code == 0 || code == WEBSOCKET_CLOSE_NO_CODE) {
        return websocket_head(out, WEBSOCKET_OPCODE_CLOSE, true, 0);
    }
    struct str text = utf8_first(reason, WEBSOCKET_REASON_BYTES_MAX);
    size_t len = websocket_head(out, WEBSOCKET_OPCODE_CLOSE, true, 2 + text.len);
    out[len++] = (unsigned char)(code >> 8);
    out[len++] = (unsigned char)code;
    if (text.len > 0) {
        memcpy(out + len, text.at, text.len);
    }
    return len + text.len;
}

bool websocket_key_is_valid(struct str key)
{
    unsigned char nonce[16];
    size_t len;
    return crypto_base64_decode(key, nonce, sizeof nonce, &len) && len == sizeof nonce;
}

void websocket_accept_key(struct str key, char out[WEBSOCKET_ACCEPT_KEY_LEN])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    enum { KEY_LEN = 24, GUID_LEN = sizeof guid - 1 };
    char text[KEY_LEN + GUID_LEN];
    must(key.len == KEY_LEN);
    memcpy(text, key.at, KEY_LEN);
    memcpy(text + KEY_LEN, guid, GUID_LEN);
    unsigned char digest[CRYPTO_SHA1_BYTES];
    crypto_sha1(str_make(text, sizeof text), digest);
    crypto_base64_encode(str_make((char *)digest, sizeof digest), out);
}

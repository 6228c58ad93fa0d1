#include "tests/bench/wire.h"

#include <stdlib.h>
#include <strings.h>

/* RFC 6455 section 5.2: the payload length is 7 bits, or 126 and 16 bits, or 127 and 64 bits. */
static void put_head(struct buf *out, enum wire_opcode opcode, size_t len, unsigned char mask_bit)
{
    unsigned char head[10] = {(unsigned char)(0x80u | (unsigned)opcode)};
    size_t head_len = 2;
    if (len < 126) {
        head[1] = (unsigned char)len;
    } else if (len <= 0xffff) {
        head[1] = 126;
        head_len = 4;
    } else {
        head[1] = 127;
        head_len = 10;
    }
    for (size_t i = 2; i < head_len; i++) {
        head[i] = (unsigned char)((uint64_t)len >> (8 * (head_len - 1 - i)));
    }
    head[1] |= mask_bit;
    buf_append(out, head, head_len);
}

/* The mask repeats every four bytes, so eight at a time need the same eight bytes each time. */
static void apply_mask(char *bytes, size_t len, const unsigned char mask[4])
{
    unsigned char twice[8];
    uint64_t mask64;
    memcpy(twice, mask, 4);
    memcpy(twice + 4, mask, 4);
    memcpy(&mask64, twice, sizeof mask64);
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        word ^= mask64;
        memcpy(bytes + i, &word, sizeof word);
    }
    for (; i < len; i++) {
        bytes[i] = (char)((unsigned char)bytes[i] ^ mask[i % 4]);
    }
}

enum wire_result wire_next(char *bytes, size_t len, enum wire_sender sender, struct wire_frame *frame,
                           size_t *used)
{
    const unsigned char *head = (const unsigned char *)bytes;
    if (len < 2) {
        return WIRE_INCOMPLETE;
    }
    unsigned opcode = head[0] & 0x0fu;
    bool is_known = opcode == WIRE_TEXT || opcode == WIRE_BINARY || opcode == WIRE_CLOSE ||
                    opcode == WIRE_PING || opcode == WIRE_PONG;
    bool is_masked = (head[1] & 0x80u) != 0;
    /* Final, no reserved bit, and masked exactly when a client sent it. */
    if ((head[0] & 0xf0u) != 0x80u || !is_known || is_masked != (sender == WIRE_FROM_CLIENT)) {
        return WIRE_BROKEN;
    }
    size_t length_bytes = (head[1] & 0x7fu) == 127 ? 8 : (head[1] & 0x7fu) == 126 ? 2 : 0;
    size_t head_len = 2 + length_bytes + (is_masked ? 4 : 0);
    if (len < head_len) {
        return WIRE_INCOMPLETE;
    }
    uint64_t payload_len = length_bytes == 0 ? head[1] & 0x7fu : 0;
    for (size_t i = 0; i < length_bytes; i++) {
        payload_len = payload_len << 8 | head[2 + i];
    }
    if (payload_len > (uint64_t)1 << 32) {
        return WIRE_BROKEN;
    }
    if (len - head_len < payload_len) {
        return WIRE_INCOMPLETE;
    }
    if (is_masked) {
        apply_mask(bytes + head_len, (size_t)payload_len, head + head_len - 4);
    }
    *frame = (struct wire_frame){.opcode = (enum wire_opcode)opcode,
                                 .payload = str_make(bytes + head_len, (size_t)payload_len)};
    *used = head_len + (size_t)payload_len;
    return WIRE_FRAME;
}

void wire_put_server_frame(struct buf *out, enum wire_opcode opcode, struct str payload)
{
    put_head(out, opcode, payload.len, 0);
    buf_append(out, payload.at, payload.len);
}

void wire_put_client_frame(struct buf *out, enum wire_opcode opcode, struct str payload)
{
    /* A 32-bit xorshift: the mask only has to vary, nobody has to be kept from guessing it. */
    static _Thread_local uint32_t state = 0x9e3779b9u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    unsigned char mask[4];
    memcpy(mask, &state, sizeof mask);
    put_head(out, opcode, payload.len, 0x80);
    buf_append(out, mask, sizeof mask);
    size_t start = out->len;
    buf_append(out, payload.at, payload.len);
    if (!out->failed) {
        apply_mask(out->at + start, payload.len, mask);
    }
}

void wire_put_upgrade_request(struct buf *out, const char *path)
{
    buf_printf(out,
               "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WIRE_KEY "\r\n\r\n",
               path);
}

void wire_put_upgrade_answer(struct buf *out)
{
    buf_append_lit(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: " WIRE_ACCEPT "\r\n\r\n");
}

size_t wire_http_head(struct str bytes)
{
    const char *end = bytes.len == 0 ? NULL : memmem(bytes.at, bytes.len, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - bytes.at) + 4;
}

/* The text after a header's name, at the start of a line, in either case. */
static const char *find_header(struct str head, const char *name)
{
    size_t name_len = strlen(name);
    for (size_t i = 0; i + 1 + name_len < head.len; i++) {
        if (head.at[i] == '\n' && strncasecmp(head.at + i + 1, name, name_len) == 0) {
            return head.at + i + 1 + name_len;
        }
    }
    return NULL;
}

bool wire_is_upgrade_answer(struct str head)
{
    const char *accept = find_header(head, "sec-websocket-accept:");
    if (!str_starts_with(head, STR("HTTP/1.1 101")) || accept == NULL) {
        return false;
    }
    struct str value = str_make(accept, (size_t)(head.at + head.len - accept));
    return str_starts_with(str_trim(value), STR(WIRE_ACCEPT "\r\n"));
}

long wire_http_number(struct str head, const char *name)
{
    const char *value = find_header(head, name);
    if (value == NULL) {
        return -1;
    }
    /* The head ends in an empty line, so strtol stops inside it. */
    char *end;
    long number = strtol(value, &end, 10);
    return end == value || number < 0 ? -1 : number;
}

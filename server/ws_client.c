#include "server/ws_client.h"

#include "channels/base/random.h"
#include "server/cli_url.h"
#include "server/crypto.h"
#include "server/tls_stream.h"
#include "server/websocket.h"

#include <stdlib.h>

enum { KEY_BYTES = 16, ANSWER_BYTES_MAX = 16 * 1024, RECEIVE_BYTES = 16 * 1024 };

static const struct websocket_limits limits = {
    .message_bytes_max = WS_CLIENT_MESSAGE_BYTES_MAX,
    .fragments_max = UINT16_MAX,
    .empty_fragments_max = UINT16_MAX,
};

struct ws_client {
    struct tls_stream *stream;
    struct websocket_reader reader;
    unsigned char received[RECEIVE_BYTES];
    unsigned char *at; /* what of `received` was not read yet */
    size_t len;
};

/* Text of the server, for a terminal. */
static void append_printable(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        buf_append_char(out, c < 0x20 || c >= 0x7F ? '?' : (char)c);
    }
}

/* -- handshake (RFC 6455 section 4.1) -------------------------------------------------------------------- */

/* The value of a field of the answer; empty when it is not there. `head` ends with its last line's CRLF. */
static struct str find_field(struct str head, struct str name)
{
    while (head.at != NULL) {
        struct str line = str_next(&head, '\n');
        struct str field = str_next(&line, ':');
        if (str_equal_nocase(str_trim(field), name)) {
            return str_trim(str_ends_with(line, STR("\r")) ? str_first(line, line.len - 1) : line);
        }
    }
    return (struct str){0};
}

static bool check_answer(struct str head, const char accept[WEBSOCKET_ACCEPT_KEY_LEN], unsigned *out_status,
                         struct buf *why)
{
    struct str rest = head;
    struct str status = str_next(&rest, '\r');
    uint64_t code = 0;
    (void)str_to_u64(str_first(str_skip(status, 9), 3), 999, &code); /* 0: no HTTP at all */
    *out_status = (unsigned)code;
    if (!str_starts_with(status, STR("HTTP/1.1 101"))) {
        buf_append_lit(why, "the server answered: ");
        append_printable(why, str_first(status, 100));
        return false;
    }
    if (!str_equal(find_field(head, STR("Sec-WebSocket-Accept")),
                   str_make(accept, WEBSOCKET_ACCEPT_KEY_LEN))) {
        buf_append_lit(why, "the server is no WebSocket server: its Sec-WebSocket-Accept is wrong");
        return false;
    }
    return true;
}

/* What follows the head already belongs to the first frames, and stays in client->received. */
static bool receive_answer(struct ws_client *client, const char accept[WEBSOCKET_ACCEPT_KEY_LEN],
                           unsigned *out_status, struct buf *why)
{
    _Static_assert(ANSWER_BYTES_MAX <= RECEIVE_BYTES, "the head must fit");
    size_t len = 0;
    while (len < ANSWER_BYTES_MAX) {
        size_t count;
        if (!stream_receive(client->stream, WS_CLIENT_TIMEOUT_MS, client->received + len,
                            ANSWER_BYTES_MAX - len, &count, why)) {
            return false;
        }
        len += count;
        const unsigned char *end = memmem(client->received, len, "\r\n\r\n", 4);
        if (end != NULL) {
            size_t head_len = (size_t)(end - client->received) + 4;
            client->at = client->received + head_len;
            client->len = len - head_len;
            return check_answer(str_make((const char *)client->received, head_len), accept, out_status, why);
        }
    }
    buf_append_lit(why, "the server's answer has no end");
    return false;
}

static bool shake_hands(struct ws_client *client, const struct cli_url *url,
                        const struct ws_client_options *options, unsigned *out_status, struct buf *why)
{
    unsigned char random[KEY_BYTES];
    char key[CRYPTO_BASE64_LEN(KEY_BYTES)];
    char accept[WEBSOCKET_ACCEPT_KEY_LEN];
    struct buf request = {0};
    random_bytes(random, sizeof random);
    struct str key_text =
        str_make(key, crypto_base64_encode(str_make((const char *)random, sizeof random), key));
    websocket_accept_key(key_text, accept);
    buf_printf(&request,
               "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n",
               url->path[0] != '\0' ? url->path : WS_CLIENT_DEFAULT_PATH, url->authority, STR_ARG(key_text));
    if (options->origin != NULL) {
        buf_printf(&request, "Origin: %s\r\n", options->origin);
    }
    buf_append_lit(&request, "\r\n");
    bool is_sent = !request.failed && stream_send(client->stream, request.at, request.len, why);
    buf_release(&request);
    return is_sent && receive_answer(client, accept, out_status, why);
}

static bool is_websocket_url(struct str url)
{
    return str_starts_with(url, STR("ws://")) || str_starts_with(url, STR("wss://"));
}

bool ws_client_open_url(struct ws_client **out, const struct cli_url *url,
                        const struct ws_client_options *options, unsigned *out_status, struct buf *why)
{
    struct ws_client *client = calloc(1, sizeof *client);
    const struct stream_options stream = {.host = url->host,
                                          .port = url->port,
                                          .is_tls = url->is_tls,
                                          .must_verify = !options->is_unverified,
                                          .timeout_ms = WS_CLIENT_TIMEOUT_MS};
    *out_status = 0;
    if (client == NULL) {
        buf_append_lit(why, "no memory");
        return false;
    }
    websocket_reader_init(&client->reader, &limits);
    client->reader.is_client = true;
    struct buf reason = {0};
    if (stream_open(&client->stream, &stream, &reason) != STREAM_OPEN) {
        buf_printf(why, "cannot connect to %s: %.*s", url->authority, STR_ARG(buf_str(&reason)));
    } else if (shake_hands(client, url, options, out_status, why)) {
        *out = client;
        buf_release(&reason);
        return true;
    }
    buf_release(&reason);
    stream_close(client->stream);
    free(client);
    return false;
}

bool ws_client_open(struct ws_client **out, const char *url, struct buf *why)
{
    struct cli_url parsed = {0};
    unsigned status;
    bool is_url = is_websocket_url(str_from_cstr(url)) && cli_url_parse(&parsed, str_from_cstr(url));
    if (!is_url) {
        buf_append_lit(why, "the URL must be like ws://127.0.0.1:8000/connection/websocket");
    }
    bool is_open = is_url && ws_client_open_url(out, &parsed, &(struct ws_client_options){0}, &status, why);
    cli_url_release(&parsed);
    return is_open;
}

/* -- messages -------------------------------------------------------------------------------------------- */

static bool send_frame(struct ws_client *client, unsigned opcode, struct str payload, struct buf *why)
{
    unsigned char mask[WEBSOCKET_MASK_BYTES];
    unsigned char head[WEBSOCKET_CLIENT_HEAD_MAX];
    struct buf frame = {0};
    random_bytes(mask, sizeof mask);
    size_t head_len = websocket_client_head(head, opcode, true, payload.len, mask);
    buf_append(&frame, head, head_len);
    buf_append_str(&frame, payload);
    if (frame.failed) {
        buf_release(&frame);
        buf_append_lit(why, "no memory");
        return false;
    }
    websocket_mask((unsigned char *)frame.at + head_len, payload.len, mask);
    bool is_sent = stream_send(client->stream, frame.at, frame.len, why);
    buf_release(&frame);
    return is_sent;
}

bool ws_client_send(struct ws_client *client, struct str text, struct buf *why)
{
    return send_frame(client, WEBSOCKET_OPCODE_TEXT, text, why);
}

bool ws_client_receive(struct ws_client *client, int timeout_ms, struct str *message, struct buf *why)
{
    for (;;) {
        struct websocket_event event;
        switch (websocket_read(&client->reader, &client->at, &client->len, &event)) {
        case WEBSOCKET_MESSAGE: *message = event.payload; return true;
        case WEBSOCKET_PONG: break;
        case WEBSOCKET_PING:
            if (!send_frame(client, WEBSOCKET_OPCODE_PONG, event.payload, why)) {
                return false;
            }
            break;
        case WEBSOCKET_CLOSE:
            buf_printf(why, "the server closed the connection: %u ", event.code);
            append_printable(why, event.payload);
            return false;
        case WEBSOCKET_ERROR:
            buf_append_lit(why, "the server sent a bad frame: ");
            append_printable(why, event.payload);
            return false;
        case WEBSOCKET_MORE:
            if (!stream_receive(client->stream, timeout_ms, client->received, sizeof client->received,
                                &client->len, why)) {
                return false;
            }
            client->at = client->received;
            break;
        }
    }
}

void ws_client_close(struct ws_client *client)
{
    if (client == NULL) {
        return;
    }
    struct buf ignored = {0};
    const char normal[] = {(char)(WEBSOCKET_CLOSE_NORMAL >> 8), (char)(WEBSOCKET_CLOSE_NORMAL & 0xFF)};
    /* Polite, not needed: the socket closes either way. */
    (void)send_frame(client, WEBSOCKET_OPCODE_CLOSE, str_make(normal, sizeof normal), &ignored);
    buf_release(&ignored);
    stream_close(client->stream);
    websocket_reader_release(&client->reader);
    free(client);
}

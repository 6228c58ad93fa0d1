#include "server/ws_client.h"

#include "channels/base/random.h"
#include "server/crypto.h"
#include "server/websocket.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEY_BYTES = 16, ANSWER_BYTES_MAX = 16 * 1024, RECEIVE_BYTES = 16 * 1024 };

static const struct websocket_limits limits = {
    .message_bytes_max = WS_CLIENT_MESSAGE_BYTES_MAX,
    .fragments_max = UINT16_MAX,
    .empty_fragments_max = UINT16_MAX,
};

struct ws_client {
    int fd;
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

/* -- address --------------------------------------------------------------------------------------------- */

struct target {
    char *host; /* owned */
    char *port; /* owned */
    char *path; /* owned */
    struct str authority;
};

static void target_release(struct target *target)
{
    free(target->host);
    free(target->port);
    free(target->path);
}

/* ws://host:port/path; the host may be an IPv6 address in brackets. */
static bool target_parse(struct target *out, struct str url)
{
    struct str scheme = STR("ws://");
    *out = (struct target){0};
    for (size_t i = 0; i < url.len; i++) {
        if ((unsigned char)url.at[i] <= 0x20 || (unsigned char)url.at[i] >= 0x7F) {
            return false; /* nothing that could end the request line */
        }
    }
    if (!str_starts_with(url, scheme)) {
        return false;
    }
    url = str_skip(url, scheme.len);
    ptrdiff_t slash = str_find(url, '/');
    out->authority = slash < 0 ? url : str_first(url, (size_t)slash);
    struct str path = slash < 0 ? STR("/connection/websocket") : str_skip(url, (size_t)slash);
    ptrdiff_t colon = str_find_last(out->authority, ':');
    ptrdiff_t bracket = str_find_last(out->authority, ']');
    bool has_port = colon > bracket;
    struct str host = has_port ? str_first(out->authority, (size_t)colon) : out->authority;
    struct str port = has_port ? str_skip(out->authority, (size_t)colon + 1) : STR("80");
    if (bracket >= 0 && str_starts_with(host, STR("["))) {
        host = str_make(host.at + 1, host.len - 2);
    }
    uint64_t number;
    out->host = str_to_cstr(host);
    out->port = str_to_cstr(port);
    out->path = str_to_cstr(path);
    return host.len > 0 && str_to_u64(port, 65535, &number) && out->host != NULL && out->port != NULL &&
           out->path != NULL;
}

static int connect_to(const struct target *target, struct buf *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    int fd = -1;
    const char *reason = "no address";
    int code = getaddrinfo(target->host, target->port, &hints, &addresses);
    if (code != 0) {
        reason = gai_strerror(code);
    }
    for (const struct addrinfo *it = addresses; it != NULL && fd < 0; it = it->ai_next) {
        fd = socket(it->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, it->ai_addr, it->ai_addrlen) != 0) {
            reason = strerror(errno);
            (void)close(fd); /* never connected: nothing to lose */
            fd = -1;
        }
    }
    if (addresses != NULL) {
        freeaddrinfo(addresses);
    }
    if (fd < 0) {
        buf_printf(why, "cannot connect to %.*s: %s", STR_ARG(target->authority), reason);
    }
    return fd;
}

/* -- bytes ----------------------------------------------------------------------------------------------- */

static bool send_all(int fd, const void *bytes, size_t len, struct buf *why)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t count = send(fd, at, len, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            buf_printf(why, "cannot send: %s", strerror(errno));
            return false;
        }
        at += count;
        len -= (size_t)count;
    }
    return true;
}

/* Waits, then takes what has come. false: `why` got the reason. */
static bool receive_some(int fd, int timeout_ms, void *out, size_t size, size_t *out_len, struct buf *why)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = poll(&wait, 1, timeout_ms);
        ssize_t count = ready > 0 ? recv(fd, out, size, 0) : -1;
        if (ready == 0) {
            buf_append_lit(why, "the server says nothing");
            return false;
        }
        if (count > 0) {
            *out_len = (size_t)count;
            return true;
        }
        if (count == 0) {
            buf_append_lit(why, "the server dropped the connection");
            return false;
        }
        if (errno != EINTR) {
            buf_printf(why, "cannot receive: %s", strerror(errno));
            return false;
        }
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

static bool check_answer(struct str head, const char accept[WEBSOCKET_ACCEPT_KEY_LEN], struct buf *why)
{
    struct str rest = head;
    struct str status = str_next(&rest, '\r');
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
                           struct buf *why)
{
    _Static_assert(ANSWER_BYTES_MAX <= RECEIVE_BYTES, "the head must fit");
    size_t len = 0;
    while (len < ANSWER_BYTES_MAX) {
        size_t count;
        if (!receive_some(client->fd, WS_CLIENT_TIMEOUT_MS, client->received + len, ANSWER_BYTES_MAX - len,
                          &count, why)) {
            return false;
        }
        len += count;
        const unsigned char *end = memmem(client->received, len, "\r\n\r\n", 4);
        if (end != NULL) {
            size_t head_len = (size_t)(end - client->received) + 4;
            client->at = client->received + head_len;
            client->len = len - head_len;
            return check_answer(str_make((const char *)client->received, head_len), accept, why);
        }
    }
    buf_append_lit(why, "the server's answer has no end");
    return false;
}

static bool shake_hands(struct ws_client *client, const struct target *target, struct buf *why)
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
               "GET %s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n\r\n",
               target->path, STR_ARG(target->authority), STR_ARG(key_text));
    bool is_sent = !request.failed && send_all(client->fd, request.at, request.len, why);
    buf_release(&request);
    return is_sent && receive_answer(client, accept, why);
}

bool ws_client_open(struct ws_client **out, const char *url, struct buf *why)
{
    struct target target;
    struct ws_client *client = calloc(1, sizeof *client);
    bool is_open = false;
    if (!target_parse(&target, str_from_cstr(url)) || client == NULL) {
        buf_append_lit(why, "the URL must be like ws://127.0.0.1:8000/connection/websocket");
        goto done;
    }
    websocket_reader_init(&client->reader, &limits);
    client->reader.is_client = true;
    client->fd = connect_to(&target, why);
    is_open = client->fd >= 0 && shake_hands(client, &target, why);
    if (!is_open && client->fd >= 0) {
        (void)close(client->fd); /* nothing was agreed, nothing is lost */
    }
done:
    target_release(&target);
    if (is_open) {
        *out = client;
    } else {
        free(client);
    }
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
    bool is_sent = send_all(client->fd, frame.at, frame.len, why);
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
            if (!receive_some(client->fd, timeout_ms, client->received, sizeof client->received, &client->len,
                              why)) {
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
    (void)close(client->fd);
    websocket_reader_release(&client->reader);
    free(client);
}

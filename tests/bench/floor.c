/* floor.c - the least a WebSocket server can do for a publication: what others are measured against.
 *
 * It does the handshake without looking at it, keeps rooms of connections in the order in which they joined,
 * and for each message frames it once and calls send() once for each member. No timers, no limits, no JSON,
 * no permissions. Its time per delivery is the kernel's price of one send(); what a real server costs more is
 * that server's own doing.
 *
 *     floor --port N [--merge] [--fault drop|double|swap|corrupt|mute:EVERY]
 *
 * The first byte of a message says what it is ("plain" in the load generator):
 *     S<room>   joins the room, and publishes there from now on; answered "S"
 *     P<room>   publishes there from now on without joining; answered "P"
 *     E...      echoed as it is
 *     other     sent to all members of the sender's room as it is
 * A POST of any path is answered 200 with {"result":{}}, for the price of a request by HTTP.
 *
 * --merge collects what is published in one turn of the loop and sends each member all of it at once. --fault
 * spoils every EVERYth message for the first member of its room, so that the load generator can be seen to
 * notice; it is ignored with --merge.
 */
#include "channels/base/must.h"
#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PEERS_MAX = 1 << 20,  /* descriptors are indices */
    ROOM_SLOTS = 1 << 16, /* open addressing; more rooms than that end the program */
    ROOM_NAME_MAX = 63,
    READ_BYTES = 1 << 18,
    EVENTS_PER_TURN = 1024,
    PENDING_BYTES_MAX = 1 << 22, /* a member that reads nothing for so long is dropped */
};

struct room {
    char name[ROOM_NAME_MAX + 1];
    int *members; /* descriptors, in the order of joining */
    size_t member_count, member_capacity;
    struct buf merged; /* frames published in this turn, with --merge */
    struct room *next_dirty;
    bool is_dirty;
};

struct peer {
    struct room *room;
    bool is_open, is_member, is_upgraded, wants_write;
    struct buf in;  /* an incomplete frame or head */
    struct buf out; /* what a short write left over */
};

enum fault {
    FAULT_NONE,
    FAULT_DROP,
    FAULT_DOUBLE,
    FAULT_SWAP,
    FAULT_CORRUPT,
    FAULT_MUTE, /* from the EVERYth message on, nothing more */
};

static struct {
    int epoll, listener;
    bool merges;
    enum fault fault;
    unsigned long fault_every, messages;
    struct peer *peers;
    struct room *rooms[ROOM_SLOTS];
    struct room *dirty;
    struct buf frame, held; /* the frame being sent; the one that FAULT_SWAP holds back */
    char read_bytes[READ_BYTES];
} self;

static void watch(int fd, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    must(epoll_ctl(self.epoll, operation, fd, &event) == 0);
}

static void leave_room(struct peer *peer, int fd)
{
    struct room *room = peer->room;
    if (!peer->is_member) {
        return;
    }
    size_t i = room->member_count;
    while (i > 0 && room->members[i - 1] != fd) {
        i--;
    }
    must(i > 0);
    memmove(room->members + i - 1, room->members + i, (room->member_count - i) * sizeof *room->members);
    room->member_count--;
    peer->is_member = false;
}

static void peer_close(int fd)
{
    struct peer *peer = &self.peers[fd];
    leave_room(peer, fd);
    buf_release(&peer->in);
    buf_release(&peer->out);
    *peer = (struct peer){0};
    close(fd);
}

/* The rest of a short write waits in peer->out until epoll says that there is room again. */
static void peer_send_rest(int fd, const char *bytes, size_t len)
{
    struct peer *peer = &self.peers[fd];
    buf_append(&peer->out, bytes, len);
    if (peer->out.failed || peer->out.len > PENDING_BYTES_MAX) {
        /* Closing here would change the room's members in the middle of a walk: let epoll report the end. */
        (void)shutdown(fd, SHUT_RDWR);
        buf_reset(&peer->out);
        return;
    }
    if (!peer->wants_write) {
        peer->wants_write = true;
        watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
}

static void peer_send(int fd, const char *bytes, size_t len)
{
    struct peer *peer = &self.peers[fd];
    ssize_t sent = 0;
    if (peer->out.len == 0) {
        sent = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            return; /* epoll reports the end of this connection */
        }
        sent = sent < 0 ? 0 : sent;
    }
    if ((size_t)sent < len) {
        peer_send_rest(fd, bytes + sent, len - (size_t)sent);
    }
}

static void peer_on_writable(int fd)
{
    struct peer *peer = &self.peers[fd];
    ssize_t sent = send(fd, peer->out.at, peer->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        buf_consume(&peer->out, (size_t)sent);
    }
    if (peer->out.len == 0) {
        peer->wants_write = false;
        buf_release(&peer->out);
        watch(fd, EPOLL_CTL_MOD, EPOLLIN);
    }
}

/* FNV-1a: the names come from our own load generator. */
static struct room *room_get(struct str name)
{
    must(name.len <= ROOM_NAME_MAX);
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.len; i++) {
        hash = (hash ^ (unsigned char)name.at[i]) * 16777619u;
    }
    for (size_t probe = 0; probe < ROOM_SLOTS; probe++) {
        struct room **slot = &self.rooms[(hash + probe) % ROOM_SLOTS];
        if (*slot == NULL) {
            *slot = calloc(1, sizeof **slot);
            must(*slot != NULL);
            memcpy((*slot)->name, name.at, name.len);
        }
        if (str_is(name, (*slot)->name)) {
            return *slot;
        }
    }
    must_failed(__FILE__, __LINE__, "a free room");
}

static void join_room(struct peer *peer, int fd)
{
    struct room *room = peer->room;
    if (room->member_count == room->member_capacity) {
        room->member_capacity = room->member_capacity == 0 ? 4 : room->member_capacity * 2;
        room->members = realloc(room->members, room->member_capacity * sizeof *room->members);
        must(room->members != NULL);
    }
    room->members[room->member_count++] = fd;
    peer->is_member = true;
}

/* The first member gets the message as --fault says; true when it was dealt with here. */
static bool send_spoiled(int fd, const struct buf *frame)
{
    bool is_due = self.fault != FAULT_NONE && ++self.messages % self.fault_every == 0;
    switch (self.fault) {
    case FAULT_NONE: return false;
    case FAULT_DROP: return is_due;
    case FAULT_DOUBLE:
        if (is_due) {
            peer_send(fd, frame->at, frame->len);
        }
        return false;
    case FAULT_CORRUPT:
        if (is_due) {
            /* The middle of a publication is the middle of its payload's padding. */
            frame->at[frame->len / 2] = (char)(frame->at[frame->len / 2] ^ 1);
            peer_send(fd, frame->at, frame->len);
            frame->at[frame->len / 2] = (char)(frame->at[frame->len / 2] ^ 1);
        }
        return is_due;
    case FAULT_SWAP:
        if (is_due) {
            buf_reset(&self.held);
            buf_append(&self.held, frame->at, frame->len);
            return true;
        }
        if (self.held.len > 0) {
            peer_send(fd, frame->at, frame->len);
            peer_send(fd, self.held.at, self.held.len);
            buf_reset(&self.held);
            return true;
        }
        return false;
    case FAULT_MUTE: return self.messages >= self.fault_every;
    }
    return false;
}

static void room_send(const struct room *room, const struct buf *frame)
{
    size_t first = room->member_count > 0 && send_spoiled(room->members[0], frame) ? 1 : 0;
    for (size_t i = first; i < room->member_count; i++) {
        peer_send(room->members[i], frame->at, frame->len);
    }
}

static void publish(struct room *room, struct str message)
{
    if (room == NULL) {
        return;
    }
    if (!self.merges) {
        buf_reset(&self.frame);
        wire_put_server_frame(&self.frame, WIRE_TEXT, message);
        room_send(room, &self.frame);
        return;
    }
    wire_put_server_frame(&room->merged, WIRE_TEXT, message);
    if (!room->is_dirty) {
        room->is_dirty = true;
        room->next_dirty = self.dirty;
        self.dirty = room;
    }
}

static void flush_merged(void)
{
    while (self.dirty != NULL) {
        struct room *room = self.dirty;
        self.dirty = room->next_dirty;
        room->is_dirty = false;
        for (size_t i = 0; i < room->member_count; i++) {
            peer_send(room->members[i], room->merged.at, room->merged.len);
        }
        buf_reset(&room->merged);
    }
}

static void answer(int fd, enum wire_opcode opcode, struct str message)
{
    buf_reset(&self.frame);
    wire_put_server_frame(&self.frame, opcode, message);
    peer_send(fd, self.frame.at, self.frame.len);
}

static void on_message(int fd, struct str message)
{
    struct peer *peer = &self.peers[fd];
    char kind = message.len == 0 ? 'E' : message.at[0];
    switch (kind) {
    case 'S':
        leave_room(peer, fd);
        peer->room = room_get(str_skip(message, 1));
        join_room(peer, fd);
        answer(fd, WIRE_TEXT, STR("S"));
        return;
    case 'P':
        leave_room(peer, fd);
        peer->room = room_get(str_skip(message, 1));
        answer(fd, WIRE_TEXT, STR("P"));
        return;
    case 'E': answer(fd, WIRE_TEXT, message); return;
    default: publish(peer->room, message); return;
    }
}

/* Returns the bytes used, or -1 when the connection is to be closed. */
static ssize_t read_http(int fd, struct str bytes)
{
    static const char answer_post[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                      "Content-Length: 13\r\n\r\n{\"result\":{}}";
    size_t head_len = wire_http_head(bytes);
    if (head_len == 0) {
        return 0;
    }
    if (str_starts_with(bytes, STR("POST "))) {
        long body_len = wire_http_number(str_first(bytes, head_len), "content-length:");
        if (body_len < 0) {
            return -1;
        }
        if (bytes.len < head_len + (size_t)body_len) {
            return 0;
        }
        peer_send(fd, answer_post, sizeof answer_post - 1);
        return (ssize_t)head_len + body_len;
    }
    buf_reset(&self.frame);
    wire_put_upgrade_answer(&self.frame);
    peer_send(fd, self.frame.at, self.frame.len);
    self.peers[fd].is_upgraded = true;
    return (ssize_t)head_len;
}

static ssize_t read_frame(int fd, char *bytes, size_t len)
{
    struct wire_frame frame;
    size_t used;
    switch (wire_next(bytes, len, WIRE_FROM_CLIENT, &frame, &used)) {
    case WIRE_INCOMPLETE: return 0;
    case WIRE_BROKEN: return -1;
    case WIRE_FRAME: break;
    }
    switch (frame.opcode) {
    case WIRE_TEXT:
    case WIRE_BINARY: on_message(fd, frame.payload); break;
    case WIRE_PING: answer(fd, WIRE_PONG, frame.payload); break;
    case WIRE_CLOSE: answer(fd, WIRE_CLOSE, str_first(frame.payload, 2)); return -1;
    case WIRE_PONG:
    case WIRE_CONTINUATION: break;
    }
    return (ssize_t)used;
}

static void peer_on_readable(int fd)
{
    struct peer *peer = &self.peers[fd];
    ssize_t got = recv(fd, self.read_bytes, sizeof self.read_bytes, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        peer_close(fd);
        return;
    }
    char *bytes = self.read_bytes;
    size_t len = (size_t)got;
    bool is_joined = peer->in.len > 0;
    if (is_joined) {
        buf_append(&peer->in, bytes, len);
        must(!peer->in.failed);
        bytes = peer->in.at;
        len = peer->in.len;
    }
    size_t done = 0;
    for (;;) {
        ssize_t used = peer->is_upgraded ? read_frame(fd, bytes + done, len - done)
                                         : read_http(fd, str_make(bytes + done, len - done));
        if (used < 0) {
            peer_close(fd);
            return;
        }
        if (used == 0) {
            break;
        }
        done += (size_t)used;
    }
    if (is_joined) {
        buf_consume(&peer->in, done);
        if (peer->in.len == 0) {
            buf_release(&peer->in);
        }
    } else {
        buf_append(&peer->in, bytes + done, len - done);
    }
}

static void accept_all(void)
{
    for (;;) {
        int fd = accept4(self.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        must(fd < PEERS_MAX);
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        self.peers[fd] = (struct peer){.is_open = true};
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void run(void)
{
    struct epoll_event events[EVENTS_PER_TURN];
    for (;;) {
        int count = epoll_wait(self.epoll, events, EVENTS_PER_TURN, -1);
        must(count >= 0 || errno == EINTR);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == self.listener) {
                accept_all();
                continue;
            }
            if ((events[i].events & EPOLLOUT) != 0 && self.peers[fd].out.len > 0) {
                peer_on_writable(fd);
            }
            if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && self.peers[fd].is_open) {
                peer_on_readable(fd);
            }
        }
        flush_merged();
    }
}

static bool parse_fault(const char *text)
{
    static const char *const names[] = {"none", "drop", "double", "swap", "corrupt", "mute"};
    const char *colon = strchr(text, ':');
    if (colon == NULL || (self.fault_every = strtoul(colon + 1, NULL, 10)) == 0) {
        return false;
    }
    for (size_t i = 1; i < sizeof names / sizeof *names; i++) {
        if (str_is(str_make(text, (size_t)(colon - text)), names[i])) {
            self.fault = (enum fault)i;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    long port = -1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--merge") == 0) {
            self.merges = true;
        } else if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            port = strtol(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--fault") == 0 && i + 1 < argc && parse_fault(argv[i + 1])) {
            i++;
        } else {
            fprintf(stderr, "usage: floor --port N [--merge] [--fault KIND:EVERY]\n");
            return 2;
        }
    }
    self.merges = self.merges && self.fault == FAULT_NONE;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    self.peers = calloc(PEERS_MAX, sizeof *self.peers);
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    self.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(self.peers != NULL);
    must(self.epoll >= 0 && self.listener >= 0);
    (void)setsockopt(self.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (port <= 0 || port > 65535 || bind(self.listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(self.listener, 4096) != 0) {
        fprintf(stderr, "floor: cannot listen on port %ld: %s\n", port, strerror(errno));
        return 1;
    }
    watch(self.listener, EPOLL_CTL_ADD, EPOLLIN);
    run();
}

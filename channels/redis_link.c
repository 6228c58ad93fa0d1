#include "channels/redis_link.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "channels/base/random.h"
#include "channels/base/table.h"
#include "channels/redis_lookup.h"
#include "channels/redis_tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    READ_BUDGET_BYTES = 1 << 20, /* of one turn; the rest comes in the next */
    FEED_BYTES = 16 * 1024, /* the reader moves its rest after each reply: small pieces are cheap to move */
    STEADY_MS = 10000,      /* ready for so long: the back-off starts over */
    FLUSH_PRIORITY = -2,    /* after the turn, which queues */
    ARGUMENTS_MAX = 600,
};

/* ---- formatting ---- */

bool redis_format(struct buf *out, int count, const struct str *arguments)
{
    const char *texts[ARGUMENTS_MAX];
    size_t lens[ARGUMENTS_MAX];
    must(count > 0);
    must(count <= ARGUMENTS_MAX);
    for (int i = 0; i < count; i++) {
        texts[i] = arguments[i].len == 0 ? "" : arguments[i].at;
        lens[i] = arguments[i].len;
    }
    char *command = NULL;
    long long len = redisFormatCommandArgv(&command, count, texts, lens);
    if (len < 0 || len > LINK_OUT_BYTES_MAX) {
        if (len >= 0) {
            redisFreeCommand(command);
        }
        out->failed = true;
        return false;
    }
    buf_append(out, command, (size_t)len);
    redisFreeCommand(command);
    return !out->failed;
}

/* ---- closing ---- */

static void set_state(struct redis_link *link, enum link_state state)
{
    link->state = state;
    link->state_ms = clock_monotonic_ms();
}

/* Tells everybody who waits for an answer that none will come. */
static void tell_all_lost(struct redis_link *link)
{
    struct link *first;
    while ((first = list_pop_front(&link->in_flight)) != NULL) {
        struct redis_request *request = container_of(first, struct redis_request, in_flight);
        link->request_count--;
        request->done(request, NULL);
    }
    must(link->request_count == 0);
}

static void close_socket(struct redis_link *link)
{
    redis_lookup_cancel(link->lookup);
    link->lookup = NULL;
    ev_io_stop(link->options.loop, &link->io);
    redis_tls_free(link->tls);
    link->tls = NULL;
    if (link->fd >= 0) {
        close(link->fd);
        link->fd = -1;
    }
    if (link->reader != NULL) {
        redisReaderFree(link->reader);
        link->reader = NULL;
    }
    buf_release(&link->out);
    link->out_sent = 0;
}

static void log_why(struct redis_link *link, const char *why)
{
    bool is_news = strncmp(link->last_error, why, sizeof link->last_error - 1) != 0;
    if (link->state == LINK_READY || is_news) {
        log_warn("redis_disconnected", {"redis", log_text(link->options.address->name)},
                 {"connection", log_cstr(link->options.client_name)}, {"reason", log_cstr(why)});
    }
    snprintf(link->last_error, sizeof link->last_error, "%s", why);
}

static void wait_for_retry(struct redis_link *link, uint64_t now_ms)
{
    if (link->state == LINK_READY && now_ms - link->state_ms >= STEADY_MS) {
        link->backoff_ms = 0;
    }
    link->backoff_ms = link->backoff_ms == 0                        ? LINK_BACKOFF_MIN_MS
                       : link->backoff_ms > LINK_BACKOFF_MAX_MS / 2 ? LINK_BACKOFF_MAX_MS
                                                                    : 2 * link->backoff_ms;
    /* Half to one and a half, so that many nodes do not come at once. */
    link->retry_ms = now_ms + link->backoff_ms / 2 + random_below(link->backoff_ms);
}

void redis_link_restart(struct redis_link *link, const char *why)
{
    if (link->state == LINK_DOWN || link->is_closing) {
        return;
    }
    log_why(link, why);
    wait_for_retry(link, clock_monotonic_ms());
    link->is_closing = true;
    close_socket(link);
    set_state(link, LINK_DOWN);
    tell_all_lost(link);
    link->is_closing = false;
    link->options.on_down(link);
}

/* ---- handshake ---- */

/* The commands, in order; those that are not needed are left out. */
enum step {
    STEP_AUTH,
    STEP_SELECT,
    STEP_NAME,
    STEP_INFO,
    STEP_SCRIPTS,
    STEP_COUNT = STEP_SCRIPTS + REDIS_SCRIPT_COUNT
};

static bool step_is_needed(const struct redis_link *link, unsigned step)
{
    const struct redis_address *address = link->options.address;
    switch (step) {
    case STEP_AUTH: return address->password[0] != '\0';
    case STEP_SELECT: return address->database > 0;
    case STEP_NAME:
    case STEP_INFO: return true;
    default: return !link->options.is_sub;
    }
}

static void append_step(struct redis_link *link, unsigned step)
{
    const struct redis_address *address = link->options.address;
    struct str user = str_from_cstr(address->user), password = str_from_cstr(address->password);
    char database[16];
    switch (step) {
    case STEP_AUTH:
        if (user.len > 0) {
            redis_format(&link->out, 3, (struct str[]){STR("AUTH"), user, password});
        } else {
            redis_format(&link->out, 2, (struct str[]){STR("AUTH"), password});
        }
        return;
    case STEP_SELECT:
        snprintf(database, sizeof database, "%u", address->database);
        redis_format(&link->out, 2, (struct str[]){STR("SELECT"), str_from_cstr(database)});
        return;
    case STEP_NAME:
        redis_format(&link->out, 3,
                     (struct str[]){STR("CLIENT"), STR("SETNAME"), str_from_cstr(link->options.client_name)});
        return;
    case STEP_INFO: redis_format(&link->out, 1, (struct str[]){STR("INFO")}); return;
    default:
        redis_format(&link->out, 3,
                     (struct str[]){STR("SCRIPT"), STR("LOAD"),
                                    str_from_cstr(redis_scripts[step - STEP_SCRIPTS].text)});
        return;
    }
}

static unsigned next_step(const struct redis_link *link, unsigned step)
{
    while (step < STEP_COUNT && !step_is_needed(link, step)) {
        step++;
    }
    return step;
}

static void begin_handshake(struct redis_link *link)
{
    set_state(link, LINK_HANDSHAKE);
    for (unsigned step = next_step(link, 0); step < STEP_COUNT; step = next_step(link, step + 1)) {
        append_step(link, step);
    }
    link->handshake_replies = next_step(link, 0);
}

/* NULL: fine; else why the link must close. */
static const char *check_info(struct redis_link *link, const redisReply *reply)
{
    if (!redis_info_read(reply, &link->info)) {
        return "INFO has not the expected shape";
    }
    if (link->info.version_major < LINK_VERSION_MIN) {
        return "Redis is older than 7.0";
    }
    if (!link->info.is_master) {
        return "this Redis is a replica";
    }
    return link->info.is_loading ? "Redis is loading its data" : NULL;
}

static const char *check_step(struct redis_link *link, unsigned step, const redisReply *reply)
{
    struct str text;
    if (redis_is_error(reply)) {
        struct str word = redis_error_word(reply);
        if (str_is(word, "WRONGPASS") || str_is(word, "NOAUTH") || str_is(word, "NOPERM")) {
            link->backoff_ms = LINK_BACKOFF_MAX_MS; /* nothing but a person will mend it */
            return str_is(word, "NOPERM") ? "the Redis user may not do what is needed"
                                          : "Redis refuses user or password";
        }
        return str_is(word, "LOADING") ? "Redis is loading its data" : "Redis refuses the handshake";
    }
    if (step == STEP_INFO) {
        return check_info(link, reply);
    }
    if (!redis_text(reply, &text)) {
        return "an answer of the handshake has not the expected shape";
    }
    if (step >= STEP_SCRIPTS) {
        return str_is(text, redis_scripts[step - STEP_SCRIPTS].sha) ? NULL : "a script was not loaded";
    }
    return NULL;
}

/* false: the link was closed. */
static bool on_handshake_reply(struct redis_link *link, const redisReply *reply)
{
    const char *problem = check_step(link, link->handshake_replies, reply);
    if (problem != NULL) {
        redis_link_restart(link, problem);
        return false;
    }
    link->handshake_replies = next_step(link, link->handshake_replies + 1);
    if (link->handshake_replies == STEP_COUNT) {
        log_info("redis_connected", {"redis", log_text(link->options.address->name)},
                 {"connection", log_cstr(link->options.client_name)},
                 {"instance", log_cstr(link->info.instance)});
        set_state(link, LINK_READY);
        link->connects_total++;
        link->last_error[0] = '\0';
        link->options.on_ready(link);
    }
    return link->state >= LINK_HANDSHAKE;
}

/* ---- reading ---- */

/* false: the link was closed. */
static bool on_reply(struct redis_link *link, const redisReply *reply)
{
    if (link->state == LINK_HANDSHAKE) {
        return on_handshake_reply(link, reply);
    }
    if (link->options.is_sub) {
        if (!link->options.on_push(link, reply)) {
            redis_link_restart(link, "a pub/sub frame has not the expected shape");
        }
        return link->state == LINK_READY;
    }
    if (list_is_empty(&link->in_flight)) {
        /* Redis says why it closes before it was asked anything: too many clients, for example. */
        redis_link_restart(link, redis_is_error(reply) ? "Redis refuses the connection"
                                                       : "an answer to nothing came");
        return false;
    }
    struct redis_request *request = container_of(link->in_flight.next, struct redis_request, in_flight);
    if (--request->replies_left > 0) {
        return true;
    }
    list_remove(&request->in_flight);
    link->request_count--;
    request->done(request, reply);
    return link->state == LINK_READY;
}

/* Takes whole replies out of the reader. false: the link was closed. */
static bool drain_reader(struct redis_link *link)
{
    void *reply = NULL;
    redisReader *reader = link->reader;
    while (redisReaderGetReply(reader, &reply) == REDIS_OK) {
        if (reply == NULL) {
            if (link->unparsed_bytes > LINK_REPLY_BYTES_MAX) {
                redis_link_restart(link, "a reply is too large");
                return false;
            }
            return true;
        }
        link->unparsed_bytes = 0;
        bool is_open = on_reply(link, reply);
        freeReplyObject(reply);
        reply = NULL;
        if (!is_open) {
            return false;
        }
    }
    redis_link_restart(link, "what came is not the protocol of Redis");
    return false;
}

static bool feed(struct redis_link *link, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += FEED_BYTES) {
        size_t piece = len - at < FEED_BYTES ? len - at : FEED_BYTES;
        link->unparsed_bytes += piece;
        if (redisReaderFeed(link->reader, bytes + at, piece) != REDIS_OK) {
            redis_link_restart(link, "no memory for a reply");
            return false;
        }
        if (!drain_reader(link)) {
            return false;
        }
    }
    return true;
}

static ssize_t read_some(struct redis_link *link, char *out, size_t room)
{
    return link->tls != NULL ? redis_tls_read(link->tls, out, room) : recv(link->fd, out, room, 0);
}

static void on_readable(struct redis_link *link)
{
    static _Thread_local char bytes[READ_BYTES];
    for (size_t total = 0; total < READ_BUDGET_BYTES;) {
        ssize_t got = read_some(link, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (got <= 0) {
            redis_link_restart(link, got == 0 ? "Redis closed the connection" : strerror(errno));
            return;
        }
        link->received_ms = clock_monotonic_ms();
        total += (size_t)got;
        if (!feed(link, bytes, (size_t)got)) {
            return;
        }
    }
    if (link->tls != NULL) {
        ev_feed_event(link->options.loop, &link->io, EV_READ); /* OpenSSL may hold more than the socket */
    }
}

/* ---- writing ---- */

static void watch(struct redis_link *link, int events)
{
    if (link->io.events != events || !ev_is_active(&link->io)) {
        ev_io_stop(link->options.loop, &link->io);
        ev_io_set(&link->io, link->fd, events);
        ev_io_start(link->options.loop, &link->io);
    }
}

static ssize_t write_some(struct redis_link *link, const char *bytes, size_t len)
{
    return link->tls != NULL ? redis_tls_write(link->tls, bytes, len)
                             : send(link->fd, bytes, len, MSG_NOSIGNAL);
}

static void flush(struct redis_link *link)
{
    while (link->out_sent < link->out.len) {
        ssize_t sent = write_some(link, link->out.at + link->out_sent, link->out.len - link->out_sent);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            /* Moving pays only when at least half goes. */
            if (link->out_sent > link->out.len / 2) {
                buf_consume(&link->out, link->out_sent);
                link->out_sent = 0;
            }
            watch(link, EV_READ | EV_WRITE);
            return;
        }
        if (sent <= 0) {
            redis_link_restart(link, sent == 0 ? "Redis closed the connection" : strerror(errno));
            return;
        }
        link->out_sent += (size_t)sent;
    }
    link->out_sent = 0;
    if (link->out.capacity > READ_BYTES) {
        buf_release(&link->out);
    } else {
        buf_reset(&link->out);
    }
    watch(link, EV_READ);
}

static void on_flush(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    struct redis_link *link = watcher->data;
    if (link->state >= LINK_HANDSHAKE && link->out_sent < link->out.len &&
        (link->io.events & EV_WRITE) == 0) {
        flush(link);
    }
}

bool redis_link_send(struct redis_link *link, struct redis_request *request, unsigned replies,
                     struct str bytes)
{
    if (!redis_link_is_ready(link) || link->request_count >= LINK_REQUESTS_MAX ||
        link->out.len - link->out_sent + bytes.len > LINK_OUT_BYTES_MAX ||
        !buf_reserve(&link->out, bytes.len)) {
        return false;
    }
    buf_append_str(&link->out, bytes);
    if (request != NULL) {
        must(replies > 0);
        request->replies_left = replies;
        request->sent_ms = clock_monotonic_ms();
        list_push_back(&link->in_flight, &request->in_flight);
        link->request_count++;
    }
    return true;
}

/* ---- connecting ---- */

static void go_on_with_tls(struct redis_link *link)
{
    int result = redis_tls_handshake(link->tls);
    if (result < 0) {
        redis_link_restart(link, "TLS: the server's certificate was refused, or it does not speak TLS");
    } else if (result > 0) {
        begin_handshake(link);
        watch(link, EV_READ);
    } else {
        watch(link, redis_tls_wants_write(link->tls) ? EV_READ | EV_WRITE : EV_READ);
    }
}

static void on_connected(struct redis_link *link)
{
    int error = 0;
    socklen_t len = sizeof error;
    const struct redis_address *address = link->options.address;
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        redis_link_restart(link, strerror(error != 0 ? error : errno));
        return;
    }
    link->reader = redisReaderCreate();
    if (link->reader == NULL) {
        redis_link_restart(link, "no memory for a connection");
        return;
    }
    link->unparsed_bytes = 0;
    watch(link, EV_READ);
    if (address->tls == NULL) {
        begin_handshake(link);
        return;
    }
    link->tls = redis_tls_new(address->tls, link->fd, address->host == NULL ? "" : address->host);
    if (link->tls == NULL) {
        redis_link_restart(link, "no memory for a connection");
        return;
    }
    set_state(link, LINK_TLS);
    go_on_with_tls(link);
}

static void on_io(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct redis_link *link = watcher->data;
    if (link->state == LINK_CONNECTING) {
        on_connected(link);
        return;
    }
    if (link->state == LINK_TLS) {
        go_on_with_tls(link);
        return;
    }
    if ((events & EV_WRITE) != 0 && link->state >= LINK_HANDSHAKE) {
        flush(link);
    }
    if ((events & EV_READ) != 0 && link->state >= LINK_HANDSHAKE) {
        on_readable(link);
    }
}

static void set_tcp_options(int fd)
{
    const struct {
        int level, name, value;
    } rows[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 15}, {IPPROTO_TCP, TCP_KEEPINTVL, 5},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 10000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        /* Without them a dead peer is noticed later, by our own time limits. */
        (void)setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof rows[i].value);
    }
}

/* NULL: connecting; else why not. */
static const char *connect_to(struct redis_link *link, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return strerror(errno);
    }
    if (address->sa_family != AF_UNIX) {
        set_tcp_options(fd);
    }
    if (connect(fd, address, len) != 0 && errno != EINPROGRESS) {
        const char *why = strerror(errno);
        close(fd);
        return why;
    }
    link->fd = fd;
    set_state(link, LINK_CONNECTING);
    watch(link, EV_WRITE);
    return NULL;
}

/* One address an attempt, another one each time: the next attempt is a moment away. */
static void on_looked_up(void *context, const struct addrinfo *found)
{
    struct redis_link *link = context;
    link->lookup = NULL;
    size_t count = 0;
    for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
        count++;
    }
    if (count == 0) {
        redis_link_restart(link, "the host name has no address");
        return;
    }
    for (size_t skip = random_below(count); skip > 0; skip--) {
        found = found->ai_next;
    }
    const char *problem = connect_to(link, found->ai_addr, found->ai_addrlen);
    if (problem != NULL) {
        redis_link_restart(link, problem);
    }
}

static const char *begin_to_connect(struct redis_link *link)
{
    const struct redis_address *address = link->options.address;
    set_state(link, LINK_LOOKUP);
    if (address->host == NULL) {
        struct sockaddr_un local = {.sun_family = AF_UNIX};
        size_t len = strlen(address->path);
        if (len >= sizeof local.sun_path) {
            return "the path of the socket is too long";
        }
        memcpy(local.sun_path, address->path, len + 1);
        return connect_to(link, (const struct sockaddr *)&local, sizeof local);
    }
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    if (getaddrinfo(address->host, address->port, &hints, &found) == 0) { /* looks nothing up */
        on_looked_up(link, found);
        freeaddrinfo(found);
        return NULL;
    }
    link->lookup = redis_lookup_start(link->options.loop, address->host, address->port, on_looked_up, link);
    return link->lookup == NULL ? "cannot create a thread" : NULL;
}

/* ---- time ---- */

static bool is_overdue(const struct redis_link *link, uint64_t now_ms)
{
    if (list_is_empty(&link->in_flight)) {
        return false;
    }
    const struct redis_request *oldest =
        container_of(link->in_flight.next, const struct redis_request, in_flight);
    /* Answers that are still coming in are no silence: a burst may take longer than one answer. */
    uint64_t since_ms = oldest->sent_ms > link->received_ms ? oldest->sent_ms : link->received_ms;
    return now_ms >= since_ms + link->options.io_timeout_ms;
}

void redis_link_tick(struct redis_link *link, uint64_t now_ms)
{
    uint64_t age_ms = now_ms > link->state_ms ? now_ms - link->state_ms : 0;
    switch (link->state) {
    case LINK_DOWN:
        if (now_ms >= link->retry_ms) {
            const char *problem = begin_to_connect(link);
            if (problem != NULL) {
                redis_link_restart(link, problem);
            }
        }
        return;
    case LINK_LOOKUP:
    case LINK_CONNECTING:
        if (age_ms >= link->options.connect_timeout_ms) {
            redis_link_restart(link, "connecting took too long");
        }
        return;
    case LINK_TLS:
    case LINK_HANDSHAKE:
        if (age_ms >= LINK_HANDSHAKE_MS) {
            redis_link_restart(link, "the handshake took too long");
        }
        return;
    case LINK_READY:
        if (is_overdue(link, now_ms)) {
            redis_link_restart(link, "an answer took too long");
        }
        return;
    }
}

void redis_link_open(struct redis_link *link, const struct redis_link_options *options)
{
    *link = (struct redis_link){.options = *options, .fd = -1};
    list_init(&link->in_flight);
    ev_init(&link->io, on_io);
    link->io.data = link;
    ev_prepare_init(&link->flush, on_flush);
    ev_set_priority(&link->flush, FLUSH_PRIORITY);
    link->flush.data = link;
    ev_prepare_start(options->loop, &link->flush);
}

void redis_link_release(struct redis_link *link)
{
    link->is_closing = true;
    ev_prepare_stop(link->options.loop, &link->flush);
    close_socket(link);
    link->state = LINK_DOWN;
    tell_all_lost(link);
}

void redis_link_drain(struct redis_link *link, uint64_t ms)
{
    uint64_t end_ms = clock_monotonic_ms() + ms;
    if (link->state != LINK_READY) {
        return;
    }
    while (link->state == LINK_READY && (link->out_sent < link->out.len || link->request_count > 0)) {
        uint64_t now_ms = clock_monotonic_ms();
        if (now_ms >= end_ms) {
            return;
        }
        bool has_more = link->out_sent < link->out.len;
        struct pollfd poll_fd = {.fd = link->fd, .events = (short)(has_more ? POLLIN | POLLOUT : POLLIN)};
        (void)poll(&poll_fd, 1, (int)(end_ms - now_ms)); /* a signal only ends this wait early */
        if (has_more) {
            flush(link);
        }
        if (link->state == LINK_READY && (poll_fd.revents & POLLIN) != 0) {
            on_readable(link);
        }
    }
}

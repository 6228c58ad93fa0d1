#include "server/lws.h"

#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/connection.h"
#include "server/tls_certificate.h"
#include "server/worker.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RX_BUFFER_BYTES = 64 * 1024,  /* one a worker: what one read may bring */
    TX_PACKET_BYTES = 256 * 1024, /* above the largest flush, so that lws_write copies nothing */
};

/* How long accepting rests when descriptors have run out; doubled up to the second value while they are. */
static const double ACCEPT_PAUSE_S = 0.01, ACCEPT_PAUSE_MAX_S = 1.0;

struct front_listener {
    ev_io io;
    ev_timer resume;
    struct front *front;
    struct lws_vhost *vhost;
    int fd;
    bool is_internal;
    double pause_s;
};

struct front {
    struct worker *worker;
    struct ev_loop *loop;
    struct lws_context *context;
    struct lws_vhost *plain, *tls;
    SSL_CTX *client_tls; /* never used; NULL without TLS */
    void *server_tls;    /* SSL_CTX of the vhost with TLS, which owns it */
    struct front_listener *listeners;
    size_t listener_count;
    unsigned accepts_per_turn;
    uint64_t accept_pauses;
};

/* What lws keeps per socket for us. */
struct socket_slot {
    struct connection *connection;
    bool has_read;
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

static const struct lws_protocols protocols[] = {
    {"starling", on_event, sizeof(struct socket_slot), RX_BUFFER_BYTES, 0, NULL, TX_PACKET_BYTES},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

static struct front *front_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct socket_slot *slot = user;
    switch ((int)reason) {
    case LWS_CALLBACK_RAW_ADOPT:
        slot->connection = connection_open(front_of(wsi)->worker, wsi, lws_get_opaque_user_data(wsi));
        return slot->connection == NULL ? -1 : 0;
    case LWS_CALLBACK_RAW_RX:
        if (!slot->has_read) {
            /* After a TLS handshake libwebsockets has armed a timeout for the protocol to come, and in this
             * role nothing of it takes that off again. */
            slot->has_read = true;
            lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
        }
        if (slot->connection != NULL) {
            return connection_on_bytes(slot->connection, in, len) ? 0 : -1;
        }
        return -1;
    case LWS_CALLBACK_RAW_WRITEABLE:
        return slot->connection == NULL || connection_on_writable(slot->connection) ? 0 : -1;
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        front_of(wsi)->server_tls = user; /* here lws shows the context that it has made for the vhost */
        return 0;
    case LWS_CALLBACK_RAW_CLOSE:
        if (slot != NULL && slot->connection != NULL) {
            struct connection *connection = slot->connection;
            slot->connection = NULL;
            connection_on_close(connection);
        }
        return 0;
    default: return 0;
    }
}

static void on_lws_log(int level, const char *line)
{
    struct str text = str_from_cstr(line);
    while (text.len > 0 && text.at[text.len - 1] == '\n') {
        text.len--;
    }
    if (level == LLL_ERR) {
        log_warn("libwebsockets", {"line", log_text(text)});
    } else {
        log_debug("libwebsockets", {"line", log_text(text)});
    }
}

static void listener_pause(struct front_listener *listener)
{
    struct front *front = listener->front;
    log_warn("accept_paused", {"error", log_cstr(strerror(errno))},
             {"pause_ms", log_u64((uint64_t)(listener->pause_s * 1000))});
    front->accept_pauses++;
    ev_io_stop(front->loop, &listener->io);
    ev_timer_set(&listener->resume, listener->pause_s, 0.);
    ev_timer_start(front->loop, &listener->resume);
    listener->pause_s =
        listener->pause_s * 2 > ACCEPT_PAUSE_MAX_S ? ACCEPT_PAUSE_MAX_S : listener->pause_s * 2;
}

static void on_resume(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct front_listener *listener = timer->data;
    ev_io_start(loop, &listener->io);
}

static struct peer peer_of(const struct front_listener *listener, const struct sockaddr_storage *address)
{
    struct peer peer = {.is_internal = listener->is_internal};
    if (address->ss_family == AF_INET6) {
        memcpy(peer.address, &((const struct sockaddr_in6 *)address)->sin6_addr, sizeof peer.address);
    } else if (address->ss_family == AF_INET) {
        peer.address[10] = peer.address[11] = 0xff;
        memcpy(peer.address + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
    }
    return peer;
}

static void adopt(struct front_listener *listener, int fd, struct peer peer)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on Unix sockets, which have no delay */
    const lws_adopt_desc_t descriptor = {
        .vh = listener->vhost,
        .type = LWS_ADOPT_SOCKET | (listener->vhost == listener->front->tls ? LWS_ADOPT_ALLOW_SSL : 0),
        .fd = {.sockfd = fd},
        .vh_prot_name = "starling",
        .opaque = &peer,
    };
    /* A failure has closed the descriptor and, where there was one, the connection. */
    (void)lws_adopt_descriptor_vhost_via_info(&descriptor);
}

static void on_acceptable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct front_listener *listener = io->data;
    for (unsigned i = 0; i < listener->front->accepts_per_turn; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t address_bytes = sizeof address;
        int fd =
            accept4(listener->fd, (struct sockaddr *)&address, &address_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->pause_s = ACCEPT_PAUSE_S;
            adopt(listener, fd, peer_of(listener, &address));
            continue;
        }
        switch (errno) {
        case EAGAIN: return;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM: listener_pause(listener); return;
        default: break; /* ECONNABORTED, EINTR, EPROTO and the like concern that one peer */
        }
    }
}

static struct lws_vhost *vhost_open(struct front *front, const struct front_options *options, bool is_tls)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .vhost_name = is_tls ? "tls" : "plain",
        .alpn = "http/1.1",
    };
    if (is_tls) {
        info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.server_ssl_cert_mem = options->tls_cert;
        info.server_ssl_cert_mem_len = (unsigned)strlen(options->tls_cert);
        info.server_ssl_private_key_mem = options->tls_key;
        info.server_ssl_private_key_mem_len = (unsigned)strlen(options->tls_key);
        info.ssl_options_set = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION;
        info.ssl_cipher_list = "ECDHE+AESGCM:ECDHE+CHACHA20";
        /* Without this one lws makes its own for connections that we never open: with all certificates of
         * the system in it, 700 KB a worker, and 4.1.6 frees it for one worker only. */
        info.provided_client_ssl_ctx = front->client_tls;
    }
    return lws_create_vhost(front->context, &info);
}

enum status front_open(struct front **out, const struct front_options *options, const char **error)
{
    struct front *front = calloc(1, sizeof *front);
    *error = "no memory";
    if (front == NULL) {
        return STATUS_NO_MEMORY;
    }
    front->worker = options->worker;
    front->loop = options->loop;
    front->accepts_per_turn = options->accepts_per_turn;
    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
    void *loops[1] = {options->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   (options->tls_cert != NULL ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .foreign_loops = loops,
        .pt_serv_buf_size = RX_BUFFER_BYTES,
        .timeout_secs = options->tls_handshake_timeout_s,
        .user = front,
    };
    front->context = lws_create_context(&info);
    if (front->context == NULL) {
        *error = "libwebsockets did not start (is the package libwebsockets-evlib-ev installed?)";
        goto fail;
    }
    front->client_tls = options->tls_cert == NULL ? NULL : SSL_CTX_new(TLS_client_method());
    if (options->tls_cert != NULL && front->client_tls == NULL) {
        goto fail;
    }
    front->plain = vhost_open(front, options, false);
    if (options->tls_cert != NULL) {
        front->tls = vhost_open(front, options, true);
    }
    if (front->plain == NULL || (options->tls_cert != NULL && front->tls == NULL)) {
        *error = "the TLS certificate and key cannot be used: not PEM, or they do not belong together";
        goto fail;
    }
    front->listeners = calloc(options->listener_count + 1, sizeof *front->listeners);
    if (front->listeners == NULL) {
        goto fail;
    }
    front->listener_count = options->listener_count;
    for (size_t i = 0; i < options->listener_count; i++) {
        struct front_listener *listener = &front->listeners[i];
        listener->front = front;
        listener->fd = options->listeners[i].fd;
        listener->is_internal = options->listeners[i].is_internal;
        listener->vhost = options->listeners[i].is_tls ? front->tls : front->plain;
        listener->pause_s = ACCEPT_PAUSE_S;
        must(listener->vhost != NULL);
        ev_io_init(&listener->io, on_acceptable, listener->fd, EV_READ);
        listener->io.data = listener;
        ev_timer_init(&listener->resume, on_resume, 0., 0.);
        listener->resume.data = listener;
        ev_io_start(front->loop, &listener->io);
    }
    *out = front;
    return STATUS_OK;
fail:
    if (front->context != NULL) {
        lws_context_destroy(front->context);
    }
    SSL_CTX_free(front->client_tls);
    free(front);
    return STATUS_BAD_REQUEST;
}

void front_stop_accepting(struct front *front)
{
    for (size_t i = 0; i < front->listener_count; i++) {
        struct front_listener *listener = &front->listeners[i];
        ev_io_stop(front->loop, &listener->io);
        ev_timer_stop(front->loop, &listener->resume);
        close(listener->fd);
    }
    front->listener_count = 0;
}

void front_close(struct front *front)
{
    if (front == NULL) {
        return;
    }
    front_stop_accepting(front);
    lws_context_destroy(front->context);
    SSL_CTX_free(front->client_tls);
    free(front->listeners);
    free(front);
}

bool front_use_certificate(struct front *front, const char *cert_pem, const char *key_pem, const char **error)
{
    if (front->server_tls == NULL) {
        *error = "libwebsockets did not show its TLS context";
        return false;
    }
    return tls_certificate_use(front->server_tls, cert_pem, key_pem, error);
}

uint64_t front_accept_pauses(const struct front *front)
{
    return front->accept_pauses;
}

bool socket_is_tls(struct lws *socket)
{
    return lws_is_ssl(socket) != 0;
}

static ssize_t would_block(struct lws *socket, ssize_t taken, size_t wanted)
{
    if (taken < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            return -1;
        }
        taken = 0;
    }
    if ((size_t)taken < wanted) {
        lws_callback_on_writable(socket);
    }
    return taken;
}

ssize_t socket_send(struct lws *socket, const void *bytes, size_t len)
{
    return would_block(socket, send(lws_get_socket_fd(socket), bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT), len);
}

ssize_t socket_send_tls(struct lws *socket, const void *bytes, size_t len)
{
    if (lws_partial_buffered(socket)) {
        lws_callback_on_writable(socket);
        return 0;
    }
    int taken = lws_write(socket, (unsigned char *)(uintptr_t)bytes, len, LWS_WRITE_RAW);
    if (taken < 0) {
        return -1;
    }
    /* lws took everything: what the socket did not, it keeps and sends before it calls back. */
    if (lws_partial_buffered(socket)) {
        lws_callback_on_writable(socket);
    }
    return (ssize_t)len;
}

ssize_t socket_sendv(struct lws *socket, const struct iovec *pieces, int count)
{
    size_t wanted = 0;
    for (int i = 0; i < count; i++) {
        wanted += pieces[i].iov_len;
    }
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count};
    return would_block(socket, sendmsg(lws_get_socket_fd(socket), &message, MSG_NOSIGNAL | MSG_DONTWAIT),
                       wanted);
}

void socket_pause_reading(struct lws *socket, bool is_paused)
{
    lws_rx_flow_control(socket, LWS_RXFLOW_REASON_APPLIES | LWS_RXFLOW_REASON_USER_BOOL |
                                    (is_paused ? 0 : LWS_RXFLOW_REASON_APPLIES_ENABLE_BIT) |
                                    LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
}

void socket_shutdown_write(struct lws *socket)
{
    shutdown(lws_get_socket_fd(socket), SHUT_WR);
}

void socket_close(struct lws *socket)
{
    lws_set_timeout(socket, PENDING_TIMEOUT_CLOSE_ACK, LWS_TO_KILL_SYNC);
}

int socket_fd(struct lws *socket)
{
    return lws_get_socket_fd(socket);
}

#include "server/tls_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADDRESS_TEXT_BYTES = 64 };

struct tls_stream {
    int fd;
    int timeout_ms;
    SSL_CTX *context; /* NULL without TLS */
    SSL *ssl;
    char address[ADDRESS_TEXT_BYTES];
};

/* ---- waiting ---- */

/* false: `why` got "…: nothing happened", or what broke. */
static bool wait_for(int fd, short events, int timeout_ms, struct buf *why)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = events};
        int ready = poll(&wait, 1, timeout_ms);
        if (ready > 0) {
            return true;
        }
        if (ready == 0) {
            buf_append_lit(why, "the server says nothing");
            return false;
        }
        if (errno != EINTR) {
            buf_printf(why, "%s", strerror(errno));
            return false;
        }
    }
}

/* ---- opening ---- */

/* Connects within the time; -1: errno says why not. */
static int connect_one(const struct addrinfo *address, int timeout_ms)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    int error = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof error;
        if (poll(&wait, 1, timeout_ms) <= 0) {
            error = ETIMEDOUT;
        } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
            error = errno;
        }
    }
    if (error != 0) {
        (void)close(fd); /* never connected: nothing to lose */
        errno = error;
        return -1;
    }
    return fd;
}

static enum stream_step connect_to(struct tls_stream *stream, const struct stream_options *options,
                                   struct buf *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    int code = getaddrinfo(options->host, options->port, &hints, &addresses);
    if (code != 0) {
        buf_printf(why, "%s: %s", options->host, gai_strerror(code));
        return STREAM_NAME;
    }
    int error = 0;
    for (const struct addrinfo *it = addresses; it != NULL && stream->fd < 0; it = it->ai_next) {
        (void)getnameinfo(it->ai_addr, it->ai_addrlen, stream->address, sizeof stream->address, NULL, 0,
                          NI_NUMERICHOST);
        stream->fd = connect_one(it, options->timeout_ms);
        error = stream->fd < 0 ? errno : 0;
    }
    freeaddrinfo(addresses);
    if (stream->fd < 0) {
        buf_printf(why, "%s port %s: %s", stream->address, options->port, strerror(error));
        return STREAM_CONNECTION;
    }
    return STREAM_OPEN;
}

/* What OpenSSL says of the last failure. */
static void append_tls_error(struct buf *why)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    buf_printf(why, "%s", reason != NULL ? reason : "the server dropped the connection");
    ERR_clear_error();
}

/* After a call of OpenSSL that returned `result`: waits for what it wants. false: it is over. */
static bool wait_for_tls(struct tls_stream *stream, int result, int timeout_ms, struct buf *why)
{
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ: return wait_for(stream->fd, POLLIN, timeout_ms, why);
    case SSL_ERROR_WANT_WRITE: return wait_for(stream->fd, POLLOUT, timeout_ms, why);
    case SSL_ERROR_ZERO_RETURN: buf_append_lit(why, "the server dropped the connection"); return false;
    default: append_tls_error(why); return false;
    }
}

static bool is_address(const char *host)
{
    return strspn(host, "0123456789.") == strlen(host) || strchr(host, ':') != NULL;
}

/* The certificate has to be for this host; an address is looked for among addresses, and not sent as name. */
static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    if (is_address(host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, host) == 1 && X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1;
}

static bool shake_hands(struct tls_stream *stream, const struct stream_options *options, struct buf *why)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    stream->context = SSL_CTX_new(TLS_client_method());
    stream->ssl = stream->context == NULL ? NULL : SSL_new(stream->context);
    if (stream->ssl == NULL || SSL_CTX_set_default_verify_paths(stream->context) != 1 ||
        !expect_host(stream->ssl, options->host) || SSL_set_fd(stream->ssl, stream->fd) != 1 ||
        SSL_set_alpn_protos(stream->ssl, alpn, sizeof alpn - 1) != 0) {
        append_tls_error(why);
        return false;
    }
    SSL_set_verify(stream->ssl, options->must_verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    for (;;) {
        int result = SSL_connect(stream->ssl);
        if (result == 1) {
            return true;
        }
        if (!wait_for_tls(stream, result, options->timeout_ms, why)) {
            long verified = SSL_get_verify_result(stream->ssl);
            if (options->must_verify && verified != X509_V_OK) {
                buf_printf(why, ": %s", X509_verify_cert_error_string(verified));
            }
            return false;
        }
    }
}

enum stream_step stream_open(struct tls_stream **out, const struct stream_options *options, struct buf *why)
{
    struct tls_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        buf_append_lit(why, "no memory");
        return STREAM_NAME;
    }
    stream->fd = -1;
    stream->timeout_ms = options->timeout_ms;
    enum stream_step step = connect_to(stream, options, why);
    if (step == STREAM_OPEN && options->is_tls && !shake_hands(stream, options, why)) {
        step = STREAM_TLS;
    }
    if (step == STREAM_OPEN) {
        *out = stream;
    } else {
        stream_close(stream);
    }
    return step;
}

/* ---- looking ---- */

const char *stream_address(const struct tls_stream *stream)
{
    return stream->address;
}

/* The subject's common name, for a terminal. */
static void append_subject(struct buf *out, const X509 *certificate)
{
    char name[128] = "";
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    for (const char *c = name; *c != '\0'; c++) {
        buf_append_char(out, (unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7F ? '?' : *c);
    }
}

bool stream_certificate(const struct tls_stream *stream, struct buf *out, struct buf *why)
{
    X509 *certificate = SSL_get1_peer_certificate(stream->ssl);
    struct tm end;
    if (certificate == NULL) {
        buf_append_lit(why, "the server shows no certificate");
        return false;
    }
    buf_printf(out, "%s, certificate of ", SSL_get_version(stream->ssl));
    append_subject(out, certificate);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1) {
        buf_printf(out, " until %04d-%02d-%02d", end.tm_year + 1900, end.tm_mon + 1, end.tm_mday);
    }
    X509_free(certificate);
    long verified = SSL_get_verify_result(stream->ssl);
    if (verified != X509_V_OK) {
        buf_printf(why, "%s", X509_verify_cert_error_string(verified));
    }
    return verified == X509_V_OK;
}

/* ---- bytes ---- */

bool stream_send(struct tls_stream *stream, const void *bytes, size_t len, struct buf *why)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t taken;
        bool goes_on = true;
        if (stream->ssl != NULL) {
            size_t written = 0;
            int result = SSL_write_ex(stream->ssl, at, len, &written);
            taken = (ssize_t)written;
            goes_on = result == 1 || wait_for_tls(stream, result, stream->timeout_ms, why);
        } else {
            taken = send(stream->fd, at, len, MSG_NOSIGNAL);
            if (taken < 0) {
                taken = 0;
                goes_on = errno == EINTR ||
                          (errno == EAGAIN && wait_for(stream->fd, POLLOUT, stream->timeout_ms, why));
                if (!goes_on && errno != EAGAIN) {
                    buf_printf(why, "cannot send: %s", strerror(errno));
                }
            }
        }
        if (!goes_on) {
            return false;
        }
        at += taken;
        len -= (size_t)taken;
    }
    return true;
}

static bool receive_tls(struct tls_stream *stream, int timeout_ms, void *out, size_t size, size_t *out_len,
                        struct buf *why)
{
    for (;;) {
        int result = SSL_read_ex(stream->ssl, out, size, out_len);
        if (result == 1) {
            return true;
        }
        if (!wait_for_tls(stream, result, timeout_ms, why)) {
            return false;
        }
    }
}

bool stream_receive(struct tls_stream *stream, int timeout_ms, void *out, size_t size, size_t *out_len,
                    struct buf *why)
{
    if (stream->ssl != NULL) {
        return receive_tls(stream, timeout_ms, out, size, out_len, why);
    }
    for (;;) {
        ssize_t count = recv(stream->fd, out, size, 0);
        if (count > 0) {
            *out_len = (size_t)count;
            return true;
        }
        if (count == 0) {
            buf_append_lit(why, "the server dropped the connection");
            return false;
        }
        if (errno == EAGAIN) {
            if (!wait_for(stream->fd, POLLIN, timeout_ms, why)) {
                return false;
            }
        } else if (errno != EINTR) {
            buf_printf(why, "cannot receive: %s", strerror(errno));
            return false;
        }
    }
}

void stream_close(struct tls_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    if (stream->ssl != NULL && SSL_is_init_finished(stream->ssl)) {
        (void)SSL_shutdown(stream->ssl); /* polite, not needed */
    }
    ERR_clear_error();
    SSL_free(stream->ssl);
    SSL_CTX_free(stream->context);
    if (stream->fd >= 0) {
        (void)close(stream->fd);
    }
    free(stream);
}

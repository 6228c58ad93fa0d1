#include "tests/bench/secure.h"

#include "channels/base/must.h"

#include <errno.h>
#include <openssl/ssl.h>

enum { APPLICATION_DATA = 23 }; /* RFC 8446 section 5.1 */

static uint64_t records;

/* OpenSSL shows every record's header on its way in and out. */
static void on_message(int is_sent, int version, int content_type, const void *bytes, size_t len, SSL *ssl,
                       void *context)
{
    (void)version;
    (void)ssl;
    (void)context;
    if (is_sent == 0 && content_type == SSL3_RT_HEADER && len > 0 &&
        *(const unsigned char *)bytes == APPLICATION_DATA) {
        records++;
    }
}

static SSL_CTX *context_of_all(void)
{
    static SSL_CTX *context;
    if (context == NULL) {
        context = SSL_CTX_new(TLS_client_method());
        must(context != NULL);
        (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                            SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_msg_callback(context, on_message);
    }
    return context;
}

struct ssl_st *secure_new(int fd)
{
    SSL *ssl = SSL_new(context_of_all());
    must(ssl != NULL);
    must(SSL_set_fd(ssl, fd) == 1);
    SSL_set_connect_state(ssl);
    return ssl;
}

void secure_free(struct ssl_st *secure)
{
    SSL_free(secure);
}

/* The result of SSL_read() or SSL_write() as recv() and send() would put it. */
static ssize_t result_of(const struct ssl_st *secure, int result)
{
    if (result > 0) {
        return result;
    }
    switch (SSL_get_error(secure, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    default: errno = ECONNRESET; return -1;
    }
}

ssize_t secure_receive(struct ssl_st *secure, void *bytes, size_t len)
{
    return result_of(secure, SSL_read(secure, bytes, (int)len));
}

ssize_t secure_send(struct ssl_st *secure, const void *bytes, size_t len)
{
    return result_of(secure, SSL_write(secure, bytes, (int)len));
}

bool secure_waits_to_read(const struct ssl_st *secure)
{
    return SSL_want_read(secure) != 0;
}

uint64_t secure_records(void)
{
    return records;
}

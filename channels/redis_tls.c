#include "channels/redis_tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct redis_tls_context {
    SSL_CTX *ssl;
    char *server_name; /* "": the host's */
    bool verifies;
};

struct redis_tls {
    SSL *ssl;
    bool wants_write;
};

static bool add_authorities(SSL_CTX *ssl, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    size_t count = 0;
    X509 *certificate;
    while (bio != NULL && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        count += X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), certificate) == 1 ? 1 : 0;
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error(); /* the end of the text is an error too */
    return count > 0;
}

static bool use_certificate(SSL_CTX *ssl, const char *cert_pem, const char *key_pem)
{
    BIO *cert = BIO_new_mem_buf(cert_pem, -1), *key = BIO_new_mem_buf(key_pem, -1);
    X509 *certificate = cert == NULL ? NULL : PEM_read_bio_X509(cert, NULL, NULL, NULL);
    EVP_PKEY *private_key = key == NULL ? NULL : PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    bool is_good = certificate != NULL && private_key != NULL &&
                   SSL_CTX_use_certificate(ssl, certificate) == 1 &&
                   SSL_CTX_use_PrivateKey(ssl, private_key) == 1 && SSL_CTX_check_private_key(ssl) == 1;
    X509_free(certificate);
    EVP_PKEY_free(private_key);
    BIO_free(cert);
    BIO_free(key);
    ERR_clear_error();
    return is_good;
}

static const char *set_up(struct redis_tls_context *context, const struct redis_tls_settings *settings)
{
    SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION);
    SSL_CTX_set_mode(context->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(context->ssl, context->verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (settings->ca_pem[0] != '\0' ? !add_authorities(context->ssl, settings->ca_pem)
                                    : SSL_CTX_set_default_verify_paths(context->ssl) != 1) {
        return "no certificate authorities";
    }
    if (settings->cert_pem[0] != '\0' &&
        !use_certificate(context->ssl, settings->cert_pem, settings->key_pem)) {
        return "certificate and key do not fit";
    }
    return NULL;
}

struct redis_tls_context *redis_tls_context_new(const struct redis_tls_settings *settings, const char **error)
{
    *error = "no memory";
    struct redis_tls_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        return NULL;
    }
    context->verifies = !settings->skips_verification;
    context->server_name = strdup(settings->server_name);
    context->ssl = SSL_CTX_new(TLS_client_method());
    if (context->server_name != NULL && context->ssl != NULL) {
        *error = set_up(context, settings);
        if (*error == NULL) {
            return context;
        }
    }
    redis_tls_context_free(context);
    return NULL;
}

void redis_tls_context_free(struct redis_tls_context *context)
{
    if (context != NULL) {
        SSL_CTX_free(context->ssl);
        free(context->server_name);
        free(context);
    }
}

struct redis_tls *redis_tls_new(struct redis_tls_context *context, int fd, const char *host)
{
    const char *name = context->server_name[0] != '\0' ? context->server_name : host;
    struct redis_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) {
        return NULL;
    }
    tls->ssl = SSL_new(context->ssl);
    bool is_good = tls->ssl != NULL && SSL_set_fd(tls->ssl, fd) == 1;
    if (is_good && context->verifies) {
        X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
        /* An address is verified as one, anything else as a name. */
        is_good = X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1 ||
                  (X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
                   SSL_set_tlsext_host_name(tls->ssl, name) == 1);
    }
    ERR_clear_error();
    if (!is_good) {
        redis_tls_free(tls);
        return NULL;
    }
    SSL_set_connect_state(tls->ssl);
    return tls;
}

void redis_tls_free(struct redis_tls *tls)
{
    if (tls != NULL) {
        SSL_free(tls->ssl);
        free(tls);
    }
}

/* What a result of OpenSSL means in terms of recv(2). */
static ssize_t result_of(struct redis_tls *tls, int result)
{
    tls->wants_write = false;
    if (result > 0) {
        return result;
    }
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_WRITE: tls->wants_write = true; /* fall through */
    case SSL_ERROR_WANT_READ: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    default:
        ERR_clear_error();
        errno = EPROTO;
        return -1;
    }
}

ssize_t redis_tls_read(struct redis_tls *tls, void *out, size_t room)
{
    return result_of(tls, SSL_read(tls->ssl, out, room > INT_MAX ? INT_MAX : (int)room));
}

ssize_t redis_tls_write(struct redis_tls *tls, const void *bytes, size_t len)
{
    return result_of(tls, SSL_write(tls->ssl, bytes, len > INT_MAX ? INT_MAX : (int)len));
}

int redis_tls_handshake(struct redis_tls *tls)
{
    ssize_t result = result_of(tls, SSL_do_handshake(tls->ssl));
    return result > 0 ? 1 : result < 0 && errno == EAGAIN ? 0 : -1;
}

bool redis_tls_wants_write(const struct redis_tls *tls)
{
    return tls->wants_write;
}

#include "server/tls_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

/* Nobody is there to be asked for a passphrase. */
static int refuse_passphrase(char *out, int size, int is_writing, void *context)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)context;
    return -1;
}

static BIO *open_text(const char *pem)
{
    return BIO_new_mem_buf(pem, (int)strlen(pem));
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = open_text(pem);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
    BIO_free(bio);
    return key;
}

/* The first certificate is the server's own; the others of its chain go to *chain. */
static X509 *read_certificates(const char *pem, STACK_OF(X509) * chain)
{
    BIO *bio = open_text(pem);
    X509 *own = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL);
    X509 *next;
    while (own != NULL && (next = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL)) != NULL) {
        if (sk_X509_push(chain, next) == 0) {
            X509_free(next);
            X509_free(own);
            own = NULL;
        }
    }
    BIO_free(bio);
    return own;
}

bool tls_certificate_use(void *ssl_ctx, const char *cert_pem, const char *key_pem, const char **error)
{
    SSL_CTX *context = ssl_ctx;
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *own = chain == NULL ? NULL : read_certificates(cert_pem, chain);
    EVP_PKEY *key = read_key(key_pem);
    bool is_used = false;
    if (chain == NULL || own == NULL) {
        *error = "the certificate is no PEM text of a certificate";
    } else if (key == NULL) {
        *error = "the key is no PEM text of a private key without a passphrase";
    } else if (X509_check_private_key(own, key) != 1) {
        *error = "the certificate and the key do not belong together";
    } else if (SSL_CTX_use_cert_and_key(context, own, key, chain, 1) != 1) {
        *error = "OpenSSL does not take the certificate: too weak, or of an unknown kind";
    } else {
        is_used = true;
    }
    ERR_clear_error();
    sk_X509_pop_free(chain, X509_free);
    X509_free(own);
    EVP_PKEY_free(key);
    return is_used;
}

bool tls_certificate_check(const char *cert_pem, const char *key_pem, const char **error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    bool is_good = false;
    if (context == NULL) {
        *error = "no memory";
    } else {
        is_good = tls_certificate_use(context, cert_pem, key_pem, error);
    }
    SSL_CTX_free(context);
    return is_good;
}

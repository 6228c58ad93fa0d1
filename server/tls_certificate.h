/* tls_certificate.h - puts a certificate chain and its key into a TLS context that is in use.
 *
 * Connections that have begun keep the certificate they began with; those that begin later get the new one.
 *
 * Thread: the one that accepts with that context; tls_certificate_check() any.   Memory: nothing is kept.
 */
#ifndef STARLING_SERVER_TLS_CERTIFICATE_H
#define STARLING_SERVER_TLS_CERTIFICATE_H

#include <stdbool.h>

/* Both are PEM text, NUL-terminated. false: *error is a static text, and the context is as it was. `ssl_ctx`
 * is an SSL_CTX of OpenSSL. */
bool tls_certificate_use(void *ssl_ctx, const char *cert_pem, const char *key_pem, const char **error);

/* Could they be used? */
bool tls_certificate_check(const char *cert_pem, const char *key_pem, const char **error);

#endif

/* crypto.h - digests, base64 and the comparison of secrets: all that the server takes from libcrypto
 * directly.
 *
 * Thread: any; nothing here has state.   Memory: none allocated; results go into arrays of the caller.
 * Decoders are strict: what they accept has exactly one spelling, so that a signed or remembered text cannot
 * come back in another form. Digests fail only where libcrypto has no memory or lacks the algorithm, which is
 * not a state to serve strangers in: the process stops.
 */
#ifndef STARLING_SERVER_CRYPTO_H
#define STARLING_SERVER_CRYPTO_H

#include "channels/base/str.h"

enum crypto_digest { CRYPTO_SHA1, CRYPTO_SHA256, CRYPTO_SHA384, CRYPTO_SHA512 };

enum { CRYPTO_SHA1_BYTES = 20, CRYPTO_SHA256_BYTES = 32, CRYPTO_DIGEST_BYTES_MAX = 64 };

/* Characters that encoding `bytes` bytes takes, with padding; the base64url form needs at most as many. */
#define CRYPTO_BASE64_LEN(bytes) (((size_t)(bytes) + 2) / 3 * 4)
/* Bytes that decoding `len` characters gives at most. */
#define CRYPTO_BASE64_BYTES_MAX(len) (((size_t)(len) + 3) / 4 * 3)

/* Both return the digest's length: 20, 32, 48 or 64. */
size_t crypto_hash(enum crypto_digest digest, struct str text, unsigned char out[CRYPTO_DIGEST_BYTES_MAX]);
size_t crypto_hmac(enum crypto_digest digest, struct str key, struct str text,
                   unsigned char out[CRYPTO_DIGEST_BYTES_MAX]);

void crypto_sha1(struct str text, unsigned char out[CRYPTO_SHA1_BYTES]);
void crypto_sha256(struct str text, unsigned char out[CRYPTO_SHA256_BYTES]);
void crypto_hmac_sha256(struct str key, struct str text, unsigned char out[CRYPTO_SHA256_BYTES]);

/* Are a and b the same bytes? The time says nothing about where they differ. Texts of different length are
 * both hashed first, so that the time says little about the length of the secret either. */
bool crypto_equal(struct str a, struct str b);

/* RFC 4648 section 4: with padding. Writes CRYPTO_BASE64_LEN(bytes.len) characters, no NUL; returns the
 * count. */
size_t crypto_base64_encode(struct str bytes, char *out);
/* RFC 4648 section 5: '-' and '_', without padding. */
size_t crypto_base64url_encode(struct str bytes, char *out);

/* Decodes text that is complete and canonical: right padding (base64) or none (base64url), unused bits zero,
 * no spaces or line ends. false: not that, or more than `out_max` bytes. *out_len is set on success only. */
bool crypto_base64_decode(struct str text, void *out, size_t out_max, size_t *out_len);
bool crypto_base64url_decode(struct str text, void *out, size_t out_max, size_t *out_len);

/* Lower-case hexadecimal: writes 2 * bytes.len characters, no NUL. */
void crypto_hex(struct str bytes, char *out);
/* Lower-case digits only, exactly 2 * `bytes` of them (THREATS A26). false: not that. */
bool crypto_hex_decode(struct str text, void *out, size_t bytes);

#endif

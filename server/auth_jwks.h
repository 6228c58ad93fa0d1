/* auth_jwks.h - the key set of an identity provider (RFC 7517): fetched, kept, fetched anew when a key is
 * missing.
 *
 *     token with kid ─▶ known? ─ yes ─▶ that key's verifier
 *                        └ no ─▶ fetched since it was first asked for? ─ yes ─▶ invalid token
 *                                 └ no ─▶ fetch, and answer "try again": clients do, within seconds
 *
 * Each key of the set becomes a verifier of its own that allows exactly that key and its kid, so that
 * everything auth.h promises about algorithms and keys holds for fetched ones too: RSA of 2048 bits or more,
 * EC on its curve, Ed25519. Keys for encryption, symmetric keys, and keys without a kid are passed over.
 *
 * The set is fetched when the worker starts, again when it is older than jwks_cache_ttl and somebody asks,
 * and when a kid is unknown, but then not within JWKS_UNKNOWN_WAIT_MS of the last try: a stranger with random
 * kids makes one request in that time, and is told to try again. A fetch that fails leaves the last good set
 * in place. Where there is no set at all, nobody can be verified, and clients are told to try again rather
 * than that their token is bad.
 *
 * Thread: the worker's.   Memory: one verifier a key.   Limits: below; answers by http_client.h (64 KiB).
 */
#ifndef STARLING_SERVER_AUTH_JWKS_H
#define STARLING_SERVER_AUTH_JWKS_H

#include "server/auth.h"

struct http_client;
struct jwks;
struct worker;

enum { JWKS_KEYS_MAX = 64, JWKS_KID_BYTES_MAX = 256, JWKS_UNKNOWN_WAIT_MS = 5000, JWKS_TIMEOUT_MS = 5000 };

/* `settings` say what tokens must look like beside their key; their texts are borrowed for as long as the set
 * lives. NULL without memory, or where the URL is refused. */
struct jwks *jwks_new(struct worker *worker, const char *url, uint64_t cache_ttl_ms,
                      const struct token_settings *settings);
/* Before the HTTP client is freed. NULL is fine. */
void jwks_free(struct jwks *jwks);

/* Fetches the set for the first time. Once the worker runs. */
void jwks_start(struct jwks *jwks);

/* The verifier for a kid, borrowed until the loop turns. OK; INVALID_TOKEN: the set has no such key; BUSY: it
 * is being fetched, or cannot be. */
enum status jwks_find(struct jwks *jwks, struct str kid, const struct token_verifier **out);

/* Reads a key set: for each usable key `take` gets its kid and its public key as PEM text. Returns how many
 * keys there were, or -1 where `json` is no key set. Pure. */
int jwks_read(struct str json,
              void (*take)(void *context, struct str kid, const char *family, const char *pem),
              void *context);

/* The kid in a token's header; it points into `scratch`. false: there is none, or the header cannot be read.
 */
bool token_key_id(struct str token, struct buf *scratch, struct str *out);

#endif

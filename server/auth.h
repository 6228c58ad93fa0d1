/* auth.h - connection and subscription tokens (JWT): which key may have signed what, and what they say.
 *
 *     token ─▶ size, three parts, strict base64url ─▶ header ─▶ signature ─▶ claims ─▶ times ─▶ claims struct
 *
 * The configured keys decide which algorithms are possible; the header of a token only picks among them. So
 * a public key can never serve as an HMAC secret, and `none` is no algorithm. cjose does the signatures, but
 * for EdDSA, which it lacks and OpenSSL does; nothing reaches them that is not well formed: cjose 0.6 decodes
 * base64 that has other spellings, reads past a short HMAC signature, and lets a P-384 key answer for ES256,
 * so parts, header, curve and signature length are checked here first. Members of the header that bring or
 * fetch a key (`jku`, `jwk`, `x5u`, `x5c`) or demand an extension (`crit`, `b64`) are refused, and so is a
 * `kid` that the configuration does not list. Claims are spans of the token's own bytes (json_span.h): what a
 * payload holds is not re-encoded.
 *
 * Thread: a verifier never changes after token_verifier_open(), and all threads may use one at a time: cjose
 * and OpenSSL only read a key that is verified with, and the count in a cjose key, which is not atomic, stays
 * alone. The claims belong to the caller.
 * Memory: heap. Claims own the payload and what was decoded from it.
 * Limits: token_bytes_max for the whole token, TOKEN_HEADER_BYTES_MAX for its decoded header, JSON depth
 * TOKEN_DEPTH_MAX.
 * Source: RFC 7515, RFC 7518, RFC 7519, RFC 8037, RFC 8725; PROTOCOL section 9; THREATS A01 to A10.
 */
#ifndef STARLING_SERVER_AUTH_H
#define STARLING_SERVER_AUTH_H

#include "channels/base/buf.h"
#include "channels/base/str.h"
#include "channels/status.h"

struct config;
struct token_verifier;

enum {
    TOKEN_BYTES_MAX_DEFAULT = 8192,
    TOKEN_BYTES_MAX_LIMIT = 1 << 20,
    TOKEN_HEADER_BYTES_MAX = 1024,
    TOKEN_DEPTH_MAX = 32,
    TOKEN_SECRET_BYTES_MIN = 32, /* of an HMAC secret, RFC 7518 section 3.2 for HS256 */
    TOKEN_RSA_BITS_MIN = 2048,
    TOKEN_LEEWAY_S_MAX = 60,
};

/* What a verifier is built from. Texts are borrowed for the call of token_verifier_open(); NULL and "" mean
 * not set. A verifier without any key is fine: it refuses every token. */
struct token_settings {
    const char *hmac_secret_key;
    const char *hmac_previous_secret_key;            /* still accepted after a rotation */
    uint64_t hmac_previous_secret_key_valid_until_s; /* Unix seconds; 0 = no end */
    const char *rsa_public_key;                      /* PEM: public key or certificate */
    const char *ecdsa_public_key;                    /* PEM: P-256, P-384 or P-521 */
    const char *ed25519_public_key;                  /* PEM */
    const char *audience, *audience_regex;           /* at most one of the two */
    const char *issuer, *issuer_regex;               /* at most one of the two */
    const char *user_id_claim;                       /* instead of `sub` */
    const struct str *key_ids; /* what `kid` may be; none = a token with kid is refused */
    size_t key_id_count;
    size_t token_bytes_max; /* 0 = TOKEN_BYTES_MAX_DEFAULT */
    unsigned leeway_s;      /* for exp and nbf; at most TOKEN_LEEWAY_S_MAX */
    bool allow_short_hmac;  /* for development only */
};

/* Takes the settings of connection tokens, or those of subscription tokens where these have keys of their
 * own (client.subscription_token.enabled). The texts stay the configuration's. */
void token_settings_from_config(const struct config *config, bool for_subscription,
                                struct token_settings *out);

/* OK: *out is owned by the caller. BAD_REQUEST: a setting is wrong, and *out_error says which in static text
 * without any secret. NO_MEMORY. The regular expressions are POSIX extended ones and may match anywhere in
 * the text (write ^ and $); what only other dialects know is refused rather than misread. */
enum status token_verifier_open(struct token_verifier **out, const struct token_settings *settings,
                                struct str *out_error);
/* NULL is fine. */
void token_verifier_free(struct token_verifier *verifier);

enum override_flag { OVERRIDE_UNSET, OVERRIDE_FALSE, OVERRIDE_TRUE };

/* What a token decides for one subscription instead of the channel's options (PROTOCOL section 9.1). */
struct token_override {
    enum override_flag presence, join_leave, force_push_join_leave, force_recovery, force_positioning;
};

/* One server-side subscription of a connection token. */
struct token_subscription {
    struct str channel;
    struct str info, data; /* JSON; at == NULL where the token has none */
    struct token_override override;
    bool cache_recover; /* send the last value where the channel recovers by cache */
};

/* Everything in it lives until connection_claims_release(). JSON texts are valid and byte for byte what the
 * token holds (or its base64 form, which wins): there may be line breaks between values, so that they go into
 * a frame by json_append_compact_newlines(). */
struct connection_claims {
    struct str user;       /* "" = anonymous */
    uint64_t expire_at_s;  /* Unix seconds at which the connection expires; 0 = never */
    struct str info, meta; /* JSON; at == NULL where the token has none */
    struct str data;       /* JSON for the connect reply; a connect proxy gives it, a token never */
    const struct str *channels;
    size_t channel_count; /* 0 where the token has `subs`, which win */
    const struct token_subscription *subs;
    size_t sub_count;
    void *memory[3]; /* payload, decoded texts, lists: of auth_claims.c */
};

struct subscription_claims {
    struct str user;      /* must equal the connection's user: the caller checks */
    struct str channel;   /* must equal the requested channel: the caller checks */
    struct str client;    /* at == NULL: any; otherwise must equal the client ID: the caller checks */
    uint64_t expire_at_s; /* Unix seconds at which the subscription expires; 0 = never */
    struct str info, data;
    struct token_override override;
    void *memory[2];
};

/* Which check refused a token: static text for logs and checktoken, never anything of the token. */
struct token_refusal {
    const char *rule;
};

/* OK: *out is to be released by the caller. TOKEN_EXPIRED: `exp` or `nbf` is not satisfied and everything
 * else is right. INVALID_TOKEN: anything else. NO_MEMORY. Unless OK, *out is untouched and *refusal, if
 * given, says why. `wall_ms` is now, in milliseconds since the Unix epoch. */
enum status token_verify_connection(const struct token_verifier *verifier, struct str token, uint64_t wall_ms,
                                    struct connection_claims *out, struct token_refusal *refusal);
enum status token_verify_subscription(const struct token_verifier *verifier, struct str token,
                                      uint64_t wall_ms, struct subscription_claims *out,
                                      struct token_refusal *refusal);

/* Both accept zeroed claims, and leave zeroed ones behind. */
void connection_claims_release(struct connection_claims *claims);
void subscription_claims_release(struct subscription_claims *claims);

/* Appends an HS256 token over `claims`, a JSON object, to `out`: for the command line and tests, a server
 * makes no tokens. BAD_REQUEST: no secret. NO_MEMORY. */
enum status token_sign_hs256(const char *secret, struct str claims, struct buf *out);

#endif

/* auth_claims.h - the claims of a token whose signature holds: JSON payload in, plain struct out.
 *
 * Only auth.c calls this. The payload is
 * trusted to come from a holder of the key, not to be right: kinds, ranges and duplicates are checked, and
 * what is not understood exactly is refused. A claim of null counts as absent, except for times, where an
 * issuer that lost its value would make a token that never expires.
 *
 * Thread: rules never change after claim_rules_init(); any thread may read by them.
 * Memory: claims take the payload they were read from.
 * Source: RFC 7519 section 4.1, PROTOCOL section 9, THREATS A06 to A09.
 */
#ifndef STARLING_SERVER_AUTH_CLAIMS_H
#define STARLING_SERVER_AUTH_CLAIMS_H

#include "server/auth.h"

#include <regex.h>

static inline bool setting_is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

/* What one of `aud` and `iss` has to be. */
struct claim_match {
    char *text;      /* owned; NULL = no fixed text */
    regex_t pattern; /* compiled where has_pattern */
    bool has_pattern;
};

struct claim_rules {
    struct claim_match audience, issuer;
    char *user_id_claim; /* owned; NULL = sub */
    uint64_t leeway_ms;
};

/* `rules` is zeroed. Statuses as token_verifier_open(); release in any case. */
enum status claim_rules_init(struct claim_rules *rules, const struct token_settings *settings,
                             struct str *out_error);
void claim_rules_release(struct claim_rules *rules);

/* Statuses as token_verify_connection(). `payload` is from malloc() and taken in any case. */
enum status claims_read_connection(const struct claim_rules *rules, char *payload, size_t payload_bytes,
                                   uint64_t wall_ms, struct connection_claims *out, const char **out_rule);
enum status claims_read_subscription(const struct claim_rules *rules, char *payload, size_t payload_bytes,
                                     uint64_t wall_ms, struct subscription_claims *out,
                                     const char **out_rule);

#endif

/* claim_reader.h - claims out of a JSON object: what tokens and the results of proxies have in common.
 *
 * Kinds, ranges and duplicates are checked, and what is not understood exactly is refused. Every function
 * that returns bool says false when it has refused, and then *out means nothing. `rule` is the static text
 * that tells why.
 *
 * Thread: any.   Memory: the reader owns payload, decoded texts and lists until claim_reader_end() succeeds;
 * then the claims do.   Limits: nesting of TOKEN_DEPTH_MAX.   Source: PROTOCOL section 9, SERVER_API
 * section 6.
 */
#ifndef STARLING_SERVER_CLAIM_READER_H
#define STARLING_SERVER_CLAIM_READER_H

#include "server/auth.h"

struct claim_rules;

/* One payload on its way to claims. `scratch` holds texts that had to be decoded. It never grows, so that
 * none moves while others are added: no text decodes to more than its span, and what is made of one besides
 * (from base64, or with a NUL) is no longer either, so twice the payload is always enough. */
struct claim_reader {
    const struct claim_rules *rules;
    char *payload;
    struct str text; /* of the payload */
    struct buf scratch;
    size_t scratch_bytes; /* its capacity */
    void *lists;
    enum status status;
    const char *rule;
    const char *expired_rule; /* set where a time is not satisfied: counts when nothing else is wrong */
};

/* `payload` is from malloc() and taken. */
struct claim_reader claim_reader_of(const struct claim_rules *rules, char *payload, size_t payload_bytes);
/* Makes room for every text of the payload: call it before anything is read. */
bool claim_reader_reserve(struct claim_reader *reader);
/* Decides after everything was read; unless OK, what the reader holds is freed. */
enum status claim_reader_end(struct claim_reader *reader, const char **out_rule);

/* Notes the first thing that is wrong. Always false, for `return claim_fail(…)`. */
bool claim_fail(struct claim_reader *reader, enum status status, const char *rule);
/* The same with INVALID_TOKEN. */
bool claim_refuse(struct claim_reader *reader, const char *rule);

/* Nothing, or null. */
bool claim_is_absent(struct str span);

/* A text; {NULL, 0} where the claim is absent. */
bool claim_read_text(struct claim_reader *reader, struct str span, struct str *out, const char *rule);
/* A JSON value given raw or as base64; the second wins. {NULL, 0} where there is neither. */
bool claim_read_json(struct claim_reader *reader, struct str raw, struct str base64, struct str *out,
                     const char *rule);

/* A NumericDate (RFC 7519 section 2): a number of seconds from 1 to below 2^53, above which a double cannot
 * tell neighbours apart. Fractions count, to the millisecond. */
bool claim_parse_time(struct str span, uint64_t *out_ms);
/* *out_ms stays as it is where the claim is absent. */
bool claim_read_time(struct claim_reader *reader, struct str span, uint64_t *out_ms, const char *rule);

/* Refuses an object with two members of one name, compared as text: parsers disagree on which one counts, and
 * an issuer and this server must not read a token differently. */
bool claim_check_names(struct claim_reader *reader, struct str object, const char *rule);

/* {"presence":{"value":true},…} */
bool claim_read_override(struct claim_reader *reader, struct str span, struct token_override *out);

/* The server-side subscriptions of a connection. `subs` is read first: it wins over `channels`. */
bool claim_read_subs(struct claim_reader *reader, struct str span, struct connection_claims *out);
bool claim_read_channels(struct claim_reader *reader, struct str span, struct connection_claims *out);

#endif

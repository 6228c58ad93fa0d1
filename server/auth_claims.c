#include "server/auth_claims.h"

#include "channels/base/must.h"
#include "server/claim_reader.h"
#include "server/json_span.h"

#include <stdlib.h>

/* -- rules ----------------------------------------------------------------------------------------------- */

/* Is the expression one that POSIX reads as its author meant it? Other dialects know groups that begin with
 * "(?" and classes like \d, which here would match something else in silence. */
static bool is_plain_posix(const char *pattern)
{
    for (const char *at = pattern; *at != '\0'; at++) {
        if (at[0] == '(' && at[1] == '?') {
            return false;
        }
        if (at[0] == '\\') {
            at++;
            if (*at == '\0' || strchr("\\^.[$()|*+?{}-/", *at) == NULL) {
                return false;
            }
        }
    }
    return true;
}

static enum status match_init(struct claim_match *match, const char *text, const char *pattern,
                              struct str *out_error)
{
    if (setting_is_set(text) && setting_is_set(pattern)) {
        *out_error = STR("audience and audience_regex, or issuer and issuer_regex, exclude each other");
        return STATUS_BAD_REQUEST;
    }
    if (setting_is_set(text)) {
        match->text = strdup(text);
        return match->text == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    }
    if (!setting_is_set(pattern)) {
        return STATUS_OK;
    }
    int result =
        is_plain_posix(pattern) ? regcomp(&match->pattern, pattern, REG_EXTENDED | REG_NOSUB) : REG_BADPAT;
    if (result == REG_ESPACE) {
        return STATUS_NO_MEMORY;
    }
    if (result != 0) {
        *out_error = STR("audience_regex or issuer_regex is not a POSIX extended regular expression");
        return STATUS_BAD_REQUEST;
    }
    match->has_pattern = true;
    return STATUS_OK;
}

static void match_release(struct claim_match *match)
{
    free(match->text);
    if (match->has_pattern) {
        regfree(&match->pattern);
    }
    *match = (struct claim_match){0};
}

enum status claim_rules_init(struct claim_rules *rules, const struct token_settings *settings,
                             struct str *out_error)
{
    rules->leeway_ms = (uint64_t)settings->leeway_s * 1000;
    if (setting_is_set(settings->user_id_claim)) {
        rules->user_id_claim = strdup(settings->user_id_claim);
        if (rules->user_id_claim == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    enum status status =
        match_init(&rules->audience, settings->audience, settings->audience_regex, out_error);
    if (status == STATUS_OK) {
        status = match_init(&rules->issuer, settings->issuer, settings->issuer_regex, out_error);
    }
    return status;
}

void claim_rules_release(struct claim_rules *rules)
{
    free(rules->user_id_claim);
    rules->user_id_claim = NULL;
    match_release(&rules->audience);
    match_release(&rules->issuer);
}

/* -- claims that both kinds of token have ---------------------------------------------------------------- */

enum claim {
    CLAIM_SUB,
    CLAIM_EXP,
    CLAIM_NBF,
    CLAIM_IAT,
    CLAIM_JTI,
    CLAIM_AUD,
    CLAIM_ISS,
    CLAIM_EXPIRE_AT,
    CLAIM_INFO,
    CLAIM_B64INFO,
    CLAIM_DATA,
    CLAIM_B64DATA,
    CLAIM_OVERRIDE,
    CLAIM_META,
    CLAIM_CHANNELS,
    CLAIM_SUBS,
    CLAIM_CHANNEL,
    CLAIM_CLIENT,
    CLAIM_COUNT
};

static const char *const claim_names[CLAIM_COUNT] = {
    [CLAIM_SUB] = "sub",           [CLAIM_EXP] = "exp",
    [CLAIM_NBF] = "nbf",           [CLAIM_IAT] = "iat",
    [CLAIM_JTI] = "jti",           [CLAIM_AUD] = "aud",
    [CLAIM_ISS] = "iss",           [CLAIM_EXPIRE_AT] = "expire_at",
    [CLAIM_INFO] = "info",         [CLAIM_B64INFO] = "b64info",
    [CLAIM_DATA] = "data",         [CLAIM_B64DATA] = "b64data",
    [CLAIM_OVERRIDE] = "override", [CLAIM_META] = "meta",
    [CLAIM_CHANNELS] = "channels", [CLAIM_SUBS] = "subs",
    [CLAIM_CHANNEL] = "channel",   [CLAIM_CLIENT] = "client",
};

/* regexec() wants a NUL behind the text, so the text passes through the scratch. */
static bool matches(struct claim_reader *reader, const struct claim_match *match, struct str text)
{
    if (match->text != NULL) {
        return str_is(text, match->text);
    }
    struct buf *scratch = &reader->scratch;
    size_t start = scratch->len;
    buf_append_str(scratch, text);
    buf_append_char(scratch, '\0');
    bool found = !scratch->failed && regexec(&match->pattern, scratch->at + start, 0, NULL, 0) == 0;
    scratch->len = start;
    return found;
}

static bool is_configured(const struct claim_match *match)
{
    return match->text != NULL || match->has_pattern;
}

static bool check_issuer(struct claim_reader *reader, struct str span)
{
    const struct claim_match *match = &reader->rules->issuer;
    if (!is_configured(match)) {
        return true;
    }
    struct str issuer;
    if (!claim_read_text(reader, span, &issuer, "iss is not a text")) {
        return false;
    }
    return issuer.at != NULL && matches(reader, match, issuer)
               ? true
               : claim_refuse(reader, "iss is not the configured issuer");
}

/* `aud` is one text or a list of texts, one of which has to be ours (RFC 7519 section 4.1.3). */
static bool check_audience(struct claim_reader *reader, struct str span)
{
    const struct claim_match *match = &reader->rules->audience;
    if (!is_configured(match)) {
        return true;
    }
    static const char not_text[] = "aud is neither a text nor a list of texts";
    struct str audience;
    bool found = false;
    if (json_kind(span) == JSON_KIND_ARRAY) {
        struct str value;
        while (json_array_next(&span, &value)) {
            if (json_kind(value) != JSON_KIND_STRING) {
                return claim_refuse(reader, not_text);
            }
            if (!claim_read_text(reader, value, &audience, not_text)) {
                return false;
            }
            found = found || matches(reader, match, audience);
        }
    } else {
        if (!claim_read_text(reader, span, &audience, not_text)) {
            return false;
        }
        found = audience.at != NULL && matches(reader, match, audience);
    }
    return found ? true : claim_refuse(reader, "aud does not hold the configured audience");
}

/* The user: `sub`, or the claim that the configuration names. */
static bool read_user(struct claim_reader *reader, struct str sub, struct str *out)
{
    struct json_member named = {.name = reader->rules->user_id_claim};
    if (named.name != NULL) {
        json_object_members(reader->text, &named, 1);
        sub = named.value;
    }
    if (!claim_read_text(reader, sub, out, "the user (sub) is not a text")) {
        return false;
    }
    if (out->at == NULL) {
        *out = STR("");
    }
    return true;
}

/* Checks the times and finds when the connection or subscription expires. */
static bool read_times(struct claim_reader *reader, const struct json_member *claims, uint64_t wall_ms,
                       uint64_t *out_expire_at_s)
{
    uint64_t exp_ms = 0, nbf_ms = 0, iat_ms = 0, expire_at_ms = 0;
    struct str expire_at = claims[CLAIM_EXPIRE_AT].value;
    bool never_expires = str_equal(expire_at, STR("0"));
    if (!claim_read_time(reader, claims[CLAIM_EXP].value, &exp_ms,
                         "exp is not a number of seconds above 0") ||
        !claim_read_time(reader, claims[CLAIM_NBF].value, &nbf_ms,
                         "nbf is not a number of seconds above 0") ||
        !claim_read_time(reader, claims[CLAIM_IAT].value, &iat_ms,
                         "iat is not a number of seconds above 0") ||
        (!never_expires &&
         !claim_read_time(reader, expire_at, &expire_at_ms, "expire_at is not a number of seconds"))) {
        return false;
    }
    uint64_t leeway_ms = reader->rules->leeway_ms;
    if (exp_ms != 0 && wall_ms >= exp_ms + leeway_ms) {
        reader->expired_rule = "exp is past";
    } else if (nbf_ms > wall_ms + leeway_ms) {
        reader->expired_rule = "nbf is not reached";
    }
    *out_expire_at_s = (never_expires ? 0 : expire_at.at != NULL ? expire_at_ms : exp_ms) / 1000;
    return true;
}

/* Validates the payload and what both kinds of token share. `claims` has CLAIM_COUNT rows. */
static bool read_common(struct claim_reader *reader, struct json_member *claims, uint64_t wall_ms,
                        struct str *out_user, uint64_t *out_expire_at_s)
{
    for (size_t i = 0; i < CLAIM_COUNT; i++) {
        claims[i] = (struct json_member){.name = claim_names[i]};
    }
    switch (json_object_read(reader->text, claims, CLAIM_COUNT, TOKEN_DEPTH_MAX)) {
    case JSON_READ_OK: break;
    case JSON_READ_DUPLICATE: return claim_refuse(reader, "a claim is there twice");
    case JSON_READ_EMPTY:
    case JSON_READ_NOT_OBJECT:
    case JSON_READ_INVALID: return claim_refuse(reader, "the payload is not a JSON object");
    }
    struct str token_id;
    return claim_reader_reserve(reader) &&
           claim_check_names(reader, reader->text, "a claim is there twice, or its name is no text") &&
           check_issuer(reader, claims[CLAIM_ISS].value) && check_audience(reader, claims[CLAIM_AUD].value) &&
           claim_read_text(reader, claims[CLAIM_JTI].value, &token_id, "jti is not a text") &&
           read_user(reader, claims[CLAIM_SUB].value, out_user) &&
           read_times(reader, claims, wall_ms, out_expire_at_s);
}

/* -- connection tokens ----------------------------------------------------------------------------------- */

static bool read_connection(struct claim_reader *reader, uint64_t wall_ms, struct connection_claims *out)
{
    struct json_member claims[CLAIM_COUNT];
    if (!read_common(reader, claims, wall_ms, &out->user, &out->expire_at_s)) {
        return false;
    }
    if (!claim_is_absent(claims[CLAIM_CHANNEL].value)) {
        return claim_refuse(reader, "a token with a channel claim is a subscription token");
    }
    if (!claim_is_absent(claims[CLAIM_META].value)) {
        out->meta = claims[CLAIM_META].value;
        if (json_kind(out->meta) != JSON_KIND_OBJECT) {
            return claim_refuse(reader, "meta is not an object");
        }
    }
    return claim_read_json(reader, claims[CLAIM_INFO].value, claims[CLAIM_B64INFO].value, &out->info,
                           "b64info is not base64 of JSON") &&
           claim_read_subs(reader, claims[CLAIM_SUBS].value, out) &&
           claim_read_channels(reader, claims[CLAIM_CHANNELS].value, out);
}

/* -- subscription tokens --------------------------------------------------------------------------------- */

static bool read_subscription_claims(struct claim_reader *reader, uint64_t wall_ms,
                                     struct subscription_claims *out)
{
    struct json_member claims[CLAIM_COUNT];
    if (!read_common(reader, claims, wall_ms, &out->user, &out->expire_at_s) ||
        !claim_read_text(reader, claims[CLAIM_CHANNEL].value, &out->channel, "channel is not a text")) {
        return false;
    }
    if (out->channel.len == 0) {
        return claim_refuse(reader, "a token without a channel claim is not a subscription token");
    }
    if (!claim_read_text(reader, claims[CLAIM_CLIENT].value, &out->client, "client is not a text")) {
        return false;
    }
    if (out->client.len == 0) {
        out->client = (struct str){0};
    }
    return claim_read_json(reader, claims[CLAIM_INFO].value, claims[CLAIM_B64INFO].value, &out->info,
                           "b64info is not base64 of JSON") &&
           claim_read_json(reader, claims[CLAIM_DATA].value, claims[CLAIM_B64DATA].value, &out->data,
                           "b64data is not base64 of JSON") &&
           claim_read_override(reader, claims[CLAIM_OVERRIDE].value, &out->override);
}

/* -- both ------------------------------------------------------------------------------------------------ */

enum status claims_read_connection(const struct claim_rules *rules, char *payload, size_t payload_bytes,
                                   uint64_t wall_ms, struct connection_claims *out, const char **out_rule)
{
    struct claim_reader reader = claim_reader_of(rules, payload, payload_bytes);
    struct connection_claims claims = {0};
    bool read = read_connection(&reader, wall_ms, &claims);
    must(read == (reader.status == STATUS_OK));
    enum status status = claim_reader_end(&reader, out_rule);
    if (status == STATUS_OK) {
        claims.memory[0] = reader.payload;
        claims.memory[1] = reader.scratch.at;
        claims.memory[2] = reader.lists;
        *out = claims;
    }
    return status;
}

enum status claims_read_subscription(const struct claim_rules *rules, char *payload, size_t payload_bytes,
                                     uint64_t wall_ms, struct subscription_claims *out, const char **out_rule)
{
    struct claim_reader reader = claim_reader_of(rules, payload, payload_bytes);
    struct subscription_claims claims = {0};
    bool read = read_subscription_claims(&reader, wall_ms, &claims);
    must(read == (reader.status == STATUS_OK));
    enum status status = claim_reader_end(&reader, out_rule);
    if (status == STATUS_OK) {
        claims.memory[0] = reader.payload;
        claims.memory[1] = reader.scratch.at;
        *out = claims;
    }
    return status;
}

void connection_claims_release(struct connection_claims *claims)
{
    for (size_t i = 0; i < sizeof claims->memory / sizeof claims->memory[0]; i++) {
        free(claims->memory[i]);
    }
    *claims = (struct connection_claims){0};
}

void subscription_claims_release(struct subscription_claims *claims)
{
    for (size_t i = 0; i < sizeof claims->memory / sizeof claims->memory[0]; i++) {
        free(claims->memory[i]);
    }
    *claims = (struct subscription_claims){0};
}

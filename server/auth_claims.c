#include "server/auth_claims.h"

#include "channels/base/must.h"
#include "server/crypto.h"
#include "server/json_span.h"

#include <math.h>
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

/* -- reading --------------------------------------------------------------------------------------------- */

/* One payload on its way to claims. `scratch` holds texts that had to be decoded. It never grows, so that
 * none moves while others are added: no text decodes to more than its span, and what is made of one besides
 * (from base64, or with a NUL) is no longer either, so twice the payload is always enough. */
struct reader {
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

/* Notes the first thing that is wrong. Always false, for `return refuse(…)`. */
static bool refuse(struct reader *reader, enum status status, const char *rule)
{
    if (reader->status == STATUS_OK) {
        reader->status = status;
        reader->rule = rule;
    }
    return false;
}

static bool refuse_claim(struct reader *reader, const char *rule)
{
    return refuse(reader, STATUS_INVALID_TOKEN, rule);
}

static bool is_absent(struct str span)
{
    enum json_kind kind = json_kind(span);
    return kind == JSON_KIND_NONE || kind == JSON_KIND_NULL;
}

/* A text; {NULL, 0} where the claim is absent. */
static bool read_text(struct reader *reader, struct str span, struct str *out, const char *rule)
{
    *out = (struct str){0};
    if (is_absent(span)) {
        return true;
    }
    if (json_get_string(span, &reader->scratch, out)) {
        return true;
    }
    return reader->scratch.failed ? refuse(reader, STATUS_NO_MEMORY, "no memory")
                                  : refuse_claim(reader, rule);
}

/* The base64 form of a JSON value, which has to be valid JSON: it goes into frames as it is. */
static bool read_base64_json(struct reader *reader, struct str span, struct str *out, const char *rule)
{
    struct str text;
    if (!read_text(reader, span, &text, rule)) {
        return false;
    }
    *out = (struct str){0};
    if (text.len == 0) {
        return true;
    }
    struct buf *scratch = &reader->scratch;
    size_t len = 0;
    if (!crypto_base64_decode(text, scratch->at + scratch->len, scratch->capacity - scratch->len, &len)) {
        return refuse_claim(reader, rule);
    }
    struct str json = str_make(scratch->at + scratch->len, len);
    scratch->len += len;
    if (!json_validate(json, TOKEN_DEPTH_MAX)) {
        return refuse_claim(reader, rule);
    }
    *out = json;
    return true;
}

/* A JSON value given raw or as base64; the second wins. {NULL, 0} where there is neither. */
static bool read_json(struct reader *reader, struct str raw, struct str base64, struct str *out,
                      const char *rule)
{
    if (!read_base64_json(reader, base64, out, rule)) {
        return false;
    }
    if (out->at == NULL && !is_absent(raw)) {
        *out = raw;
    }
    return true;
}

/* A NumericDate (RFC 7519 section 2): a number of seconds from 1 to below 2^53, above which a double cannot
 * tell neighbours apart. Fractions count, to the millisecond. */
static bool parse_time(struct str span, uint64_t *out_ms)
{
    static const uint64_t seconds_max = (UINT64_C(1) << 53) - 1;
    uint64_t seconds;
    if (str_to_u64(span, seconds_max, &seconds)) {
        *out_ms = seconds * 1000;
        return seconds > 0;
    }
    char text[40];
    if (json_kind(span) != JSON_KIND_NUMBER || span.len >= sizeof text) {
        return false;
    }
    memcpy(text, span.at, span.len);
    text[span.len] = '\0';
    double value = strtod(text, NULL);
    if (!isfinite(value) || value < 1 || value > (double)seconds_max) {
        return false;
    }
    *out_ms = (uint64_t)(value * 1000);
    return true;
}

/* *out_ms stays as it is where the claim is absent. */
static bool read_time(struct reader *reader, struct str span, uint64_t *out_ms, const char *rule)
{
    if (span.at == NULL) {
        return true;
    }
    return parse_time(span, out_ms) ? true : refuse_claim(reader, rule);
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

static int compare_names(const void *left, const void *right)
{
    const struct str *a = left, *b = right;
    size_t len = a->len < b->len ? a->len : b->len;
    int order = len == 0 ? 0 : memcmp(a->at, b->at, len);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Refuses an object with two members of one name, compared as text: parsers disagree on which one counts, and
 * an issuer and this server must not read a token differently. */
static bool check_names(struct reader *reader, struct str object, const char *rule)
{
    size_t count = 0;
    struct str rest = object, name, value;
    while (json_object_next(&rest, &name, &value)) {
        count++;
    }
    if (count == 0) {
        return true;
    }
    struct buf scratch = {0};
    struct str *names = calloc(count, sizeof *names);
    if (names == NULL || !buf_reserve(&scratch, object.len)) {
        free(names);
        buf_release(&scratch);
        return refuse(reader, STATUS_NO_MEMORY, "no memory");
    }
    bool good = true;
    rest = object;
    for (size_t i = 0; i < count && good; i++) {
        good = json_object_next(&rest, &name, &value) && json_get_string(name, &scratch, &names[i]);
    }
    if (good) {
        qsort(names, count, sizeof *names, compare_names);
    }
    for (size_t i = 1; i < count && good; i++) {
        good = !str_equal(names[i - 1], names[i]);
    }
    free(names);
    buf_release(&scratch);
    return good ? true : refuse_claim(reader, rule);
}

/* regexec() wants a NUL behind the text, so the text passes through the scratch. */
static bool matches(struct reader *reader, const struct claim_match *match, struct str text)
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

static bool check_issuer(struct reader *reader, struct str span)
{
    const struct claim_match *match = &reader->rules->issuer;
    if (!is_configured(match)) {
        return true;
    }
    struct str issuer;
    if (!read_text(reader, span, &issuer, "iss is not a text")) {
        return false;
    }
    return issuer.at != NULL && matches(reader, match, issuer)
               ? true
               : refuse_claim(reader, "iss is not the configured issuer");
}

/* `aud` is one text or a list of texts, one of which has to be ours (RFC 7519 section 4.1.3). */
static bool check_audience(struct reader *reader, struct str span)
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
                return refuse_claim(reader, not_text);
            }
            if (!read_text(reader, value, &audience, not_text)) {
                return false;
            }
            found = found || matches(reader, match, audience);
        }
    } else {
        if (!read_text(reader, span, &audience, not_text)) {
            return false;
        }
        found = audience.at != NULL && matches(reader, match, audience);
    }
    return found ? true : refuse_claim(reader, "aud does not hold the configured audience");
}

/* The user: `sub`, or the claim that the configuration names. */
static bool read_user(struct reader *reader, struct str sub, struct str *out)
{
    struct json_member named = {.name = reader->rules->user_id_claim};
    if (named.name != NULL) {
        json_object_members(reader->text, &named, 1);
        sub = named.value;
    }
    if (!read_text(reader, sub, out, "the user (sub) is not a text")) {
        return false;
    }
    if (out->at == NULL) {
        *out = STR("");
    }
    return true;
}

/* Checks the times and finds when the connection or subscription expires. */
static bool read_times(struct reader *reader, const struct json_member *claims, uint64_t wall_ms,
                       uint64_t *out_expire_at_s)
{
    uint64_t exp_ms = 0, nbf_ms = 0, iat_ms = 0, expire_at_ms = 0;
    struct str expire_at = claims[CLAIM_EXPIRE_AT].value;
    bool never_expires = str_equal(expire_at, STR("0"));
    if (!read_time(reader, claims[CLAIM_EXP].value, &exp_ms, "exp is not a number of seconds above 0") ||
        !read_time(reader, claims[CLAIM_NBF].value, &nbf_ms, "nbf is not a number of seconds above 0") ||
        !read_time(reader, claims[CLAIM_IAT].value, &iat_ms, "iat is not a number of seconds above 0") ||
        (!never_expires &&
         !read_time(reader, expire_at, &expire_at_ms, "expire_at is not a number of seconds"))) {
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
static bool read_common(struct reader *reader, struct json_member *claims, uint64_t wall_ms,
                        struct str *out_user, uint64_t *out_expire_at_s)
{
    for (size_t i = 0; i < CLAIM_COUNT; i++) {
        claims[i] = (struct json_member){.name = claim_names[i]};
    }
    switch (json_object_read(reader->text, claims, CLAIM_COUNT, TOKEN_DEPTH_MAX)) {
    case JSON_READ_OK: break;
    case JSON_READ_DUPLICATE: return refuse_claim(reader, "a claim is there twice");
    case JSON_READ_EMPTY:
    case JSON_READ_NOT_OBJECT:
    case JSON_READ_INVALID: return refuse_claim(reader, "the payload is not a JSON object");
    }
    if (reader->text.len > SIZE_MAX / 2 || !buf_reserve(&reader->scratch, 2 * reader->text.len)) {
        return refuse(reader, STATUS_NO_MEMORY, "no memory");
    }
    reader->scratch_bytes = reader->scratch.capacity;
    struct str token_id;
    return check_names(reader, reader->text, "a claim is there twice, or its name is no text") &&
           check_issuer(reader, claims[CLAIM_ISS].value) && check_audience(reader, claims[CLAIM_AUD].value) &&
           read_text(reader, claims[CLAIM_JTI].value, &token_id, "jti is not a text") &&
           read_user(reader, claims[CLAIM_SUB].value, out_user) &&
           read_times(reader, claims, wall_ms, out_expire_at_s);
}

/* -- options of a subscription --------------------------------------------------------------------------- */

static bool read_flag(struct reader *reader, struct str span, bool *out, const char *rule)
{
    return is_absent(span) || json_get_bool(span, out) ? true : refuse_claim(reader, rule);
}

/* One override: {"value": true}. A value that is left out is false, as encoders that omit zeros mean it. */
static bool read_override_flag(struct reader *reader, struct str span, enum override_flag *out)
{
    static const char rule[] = "a member of override is not {\"value\": true} or {\"value\": false}";
    if (is_absent(span)) {
        return true;
    }
    struct json_member member = {.name = "value"};
    bool value = false;
    if (json_object_members(span, &member, 1) != JSON_READ_OK ||
        (!is_absent(member.value) && !json_get_bool(member.value, &value))) {
        return refuse_claim(reader, rule);
    }
    *out = value ? OVERRIDE_TRUE : OVERRIDE_FALSE;
    return true;
}

static bool read_override(struct reader *reader, struct str span, struct token_override *out)
{
    if (is_absent(span)) {
        return true;
    }
    struct json_member members[] = {
        {.name = "presence"},       {.name = "join_leave"},        {.name = "force_push_join_leave"},
        {.name = "force_recovery"}, {.name = "force_positioning"},
    };
    enum override_flag *const flags[] = {&out->presence, &out->join_leave, &out->force_push_join_leave,
                                         &out->force_recovery, &out->force_positioning};
    size_t count = sizeof members / sizeof members[0];
    _Static_assert(sizeof members / sizeof members[0] == sizeof flags / sizeof flags[0],
                   "one flag per member");
    if (json_object_members(span, members, count) != JSON_READ_OK) {
        return refuse_claim(reader, "override is not an object without duplicate members");
    }
    for (size_t i = 0; i < count; i++) {
        if (!read_override_flag(reader, members[i].value, flags[i])) {
            return false;
        }
    }
    return true;
}

/* The value of one member of `subs`; the channel is set already. */
static bool read_subscription(struct reader *reader, struct str span, struct token_subscription *out)
{
    if (is_absent(span)) {
        return true;
    }
    struct json_member members[] = {
        {.name = "info"},    {.name = "b64info"},  {.name = "data"},
        {.name = "b64data"}, {.name = "override"}, {.name = "cache_recover"},
    };
    if (json_object_members(span, members, sizeof members / sizeof members[0]) != JSON_READ_OK) {
        return refuse_claim(reader, "a member of subs is not an object without duplicate members");
    }
    return read_json(reader, members[0].value, members[1].value, &out->info,
                     "b64info in subs is not base64 of JSON") &&
           read_json(reader, members[2].value, members[3].value, &out->data,
                     "b64data in subs is not base64 of JSON") &&
           read_flag(reader, members[5].value, &out->cache_recover,
                     "cache_recover in subs is not true or false") &&
           read_override(reader, members[4].value, &out->override);
}

/* -- connection tokens ----------------------------------------------------------------------------------- */

static bool read_subs(struct reader *reader, struct str span, struct connection_claims *out)
{
    static const char rule[] = "subs is not an object of channels without duplicates";
    if (is_absent(span)) {
        return true;
    }
    if (json_kind(span) != JSON_KIND_OBJECT) {
        return refuse_claim(reader, rule);
    }
    if (!check_names(reader, span, rule)) {
        return false;
    }
    size_t count = 0;
    struct str rest = span, name, value;
    while (json_object_next(&rest, &name, &value)) {
        count++;
    }
    if (count == 0) {
        return true;
    }
    struct token_subscription *subs = calloc(count, sizeof *subs);
    if (subs == NULL) {
        return refuse(reader, STATUS_NO_MEMORY, "no memory");
    }
    reader->lists = subs;
    rest = span;
    for (size_t i = 0; i < count && json_object_next(&rest, &name, &value); i++) {
        if (!read_text(reader, name, &subs[i].channel, rule) || !read_subscription(reader, value, &subs[i])) {
            return false;
        }
    }
    out->subs = subs;
    out->sub_count = count;
    return true;
}

static bool read_channels(struct reader *reader, struct str span, struct connection_claims *out)
{
    static const char rule[] = "channels is not a list of texts";
    if (is_absent(span)) {
        return true;
    }
    if (json_kind(span) != JSON_KIND_ARRAY) {
        return refuse_claim(reader, rule);
    }
    size_t count = 0;
    struct str rest = span, value;
    while (json_array_next(&rest, &value)) {
        if (json_kind(value) != JSON_KIND_STRING) {
            return refuse_claim(reader, rule);
        }
        count++;
    }
    if (count == 0 || out->sub_count > 0) {
        return true;
    }
    struct str *channels = calloc(count, sizeof *channels);
    if (channels == NULL) {
        return refuse(reader, STATUS_NO_MEMORY, "no memory");
    }
    reader->lists = channels;
    rest = span;
    for (size_t i = 0; i < count && json_array_next(&rest, &value); i++) {
        if (!read_text(reader, value, &channels[i], rule)) {
            return false;
        }
    }
    out->channels = channels;
    out->channel_count = count;
    return true;
}

static bool read_connection(struct reader *reader, uint64_t wall_ms, struct connection_claims *out)
{
    struct json_member claims[CLAIM_COUNT];
    if (!read_common(reader, claims, wall_ms, &out->user, &out->expire_at_s)) {
        return false;
    }
    if (!is_absent(claims[CLAIM_CHANNEL].value)) {
        return refuse_claim(reader, "a token with a channel claim is a subscription token");
    }
    if (!is_absent(claims[CLAIM_META].value)) {
        out->meta = claims[CLAIM_META].value;
        if (json_kind(out->meta) != JSON_KIND_OBJECT) {
            return refuse_claim(reader, "meta is not an object");
        }
    }
    return read_json(reader, claims[CLAIM_INFO].value, claims[CLAIM_B64INFO].value, &out->info,
                     "b64info is not base64 of JSON") &&
           read_subs(reader, claims[CLAIM_SUBS].value, out) &&
           read_channels(reader, claims[CLAIM_CHANNELS].value, out);
}

/* -- subscription tokens --------------------------------------------------------------------------------- */

static bool read_subscription_claims(struct reader *reader, uint64_t wall_ms, struct subscription_claims *out)
{
    struct json_member claims[CLAIM_COUNT];
    if (!read_common(reader, claims, wall_ms, &out->user, &out->expire_at_s) ||
        !read_text(reader, claims[CLAIM_CHANNEL].value, &out->channel, "channel is not a text")) {
        return false;
    }
    if (out->channel.len == 0) {
        return refuse_claim(reader, "a token without a channel claim is not a subscription token");
    }
    if (!read_text(reader, claims[CLAIM_CLIENT].value, &out->client, "client is not a text")) {
        return false;
    }
    if (out->client.len == 0) {
        out->client = (struct str){0};
    }
    return read_json(reader, claims[CLAIM_INFO].value, claims[CLAIM_B64INFO].value, &out->info,
                     "b64info is not base64 of JSON") &&
           read_json(reader, claims[CLAIM_DATA].value, claims[CLAIM_B64DATA].value, &out->data,
                     "b64data is not base64 of JSON") &&
           read_override(reader, claims[CLAIM_OVERRIDE].value, &out->override);
}

/* -- results of proxies ---------------------------------------------------------------------------------- */

static bool read_result(struct reader *reader, struct json_member *claims, uint64_t *out_expire_at_s)
{
    for (size_t i = 0; i < CLAIM_COUNT; i++) {
        claims[i] = (struct json_member){.name = claim_names[i]};
    }
    if (json_object_members(reader->text, claims, CLAIM_COUNT) != JSON_READ_OK) {
        return refuse_claim(reader, "the result is not an object, or has a member twice");
    }
    if (reader->text.len > SIZE_MAX / 2 || !buf_reserve(&reader->scratch, 2 * reader->text.len)) {
        return refuse(reader, STATUS_NO_MEMORY, "no memory");
    }
    reader->scratch_bytes = reader->scratch.capacity;
    struct str expire_at = claims[CLAIM_EXPIRE_AT].value;
    uint64_t expire_at_ms = 0;
    if (!is_absent(expire_at) && !str_equal(expire_at, STR("0")) && !parse_time(expire_at, &expire_at_ms)) {
        return refuse_claim(reader, "expire_at is not a number of seconds");
    }
    *out_expire_at_s = expire_at_ms / 1000;
    return true;
}

static bool read_connect_result(struct reader *reader, struct connection_claims *out)
{
    struct json_member claims[CLAIM_COUNT];
    struct json_member user = {.name = "user"};
    if (!read_result(reader, claims, &out->expire_at_s)) {
        return false;
    }
    (void)json_object_members(reader->text, &user, 1); /* twice: the first one found, and refused below */
    if (!is_absent(claims[CLAIM_META].value)) {
        out->meta = claims[CLAIM_META].value;
        if (json_kind(out->meta) != JSON_KIND_OBJECT) {
            return refuse_claim(reader, "meta is not an object");
        }
    }
    return check_names(reader, reader->text, "a member of the result is there twice") &&
           read_text(reader, user.value, &out->user, "user is not a text") &&
           read_json(reader, claims[CLAIM_INFO].value, claims[CLAIM_B64INFO].value, &out->info,
                     "b64info is not base64 of JSON") &&
           read_json(reader, claims[CLAIM_DATA].value, claims[CLAIM_B64DATA].value, &out->data,
                     "b64data is not base64 of JSON") &&
           read_subs(reader, claims[CLAIM_SUBS].value, out) &&
           read_channels(reader, claims[CLAIM_CHANNELS].value, out);
}

static bool read_subscribe_result(struct reader *reader, struct subscription_claims *out)
{
    struct json_member claims[CLAIM_COUNT];
    return read_result(reader, claims, &out->expire_at_s) &&
           read_json(reader, claims[CLAIM_INFO].value, claims[CLAIM_B64INFO].value, &out->info,
                     "b64info is not base64 of JSON") &&
           read_json(reader, claims[CLAIM_DATA].value, claims[CLAIM_B64DATA].value, &out->data,
                     "b64data is not base64 of JSON") &&
           read_override(reader, claims[CLAIM_OVERRIDE].value, &out->override);
}

/* -- both ------------------------------------------------------------------------------------------------ */

/* Decides after everything was read; unless OK, what the reader holds is freed. */
static enum status finish(struct reader *reader, const char **out_rule)
{
    if (reader->expired_rule != NULL) {
        refuse(reader, STATUS_TOKEN_EXPIRED, reader->expired_rule);
    }
    must(reader->scratch.capacity == reader->scratch_bytes);
    if (reader->status != STATUS_OK) {
        *out_rule = reader->rule;
        free(reader->payload);
        buf_release(&reader->scratch);
        free(reader->lists);
    }
    return reader->status;
}

static struct reader reader_of(const struct claim_rules *rules, char *payload, size_t payload_bytes)
{
    return (struct reader){
        .rules = rules,
        .payload = payload,
        .text = str_make(payload, payload_bytes),
        .status = STATUS_OK,
    };
}

enum status claims_read_connection(const struct claim_rules *rules, char *payload, size_t payload_bytes,
                                   uint64_t wall_ms, struct connection_claims *out, const char **out_rule)
{
    struct reader reader = reader_of(rules, payload, payload_bytes);
    struct connection_claims claims = {0};
    bool read = read_connection(&reader, wall_ms, &claims);
    must(read == (reader.status == STATUS_OK));
    enum status status = finish(&reader, out_rule);
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
    struct reader reader = reader_of(rules, payload, payload_bytes);
    struct subscription_claims claims = {0};
    bool read = read_subscription_claims(&reader, wall_ms, &claims);
    must(read == (reader.status == STATUS_OK));
    enum status status = finish(&reader, out_rule);
    if (status == STATUS_OK) {
        claims.memory[0] = reader.payload;
        claims.memory[1] = reader.scratch.at;
        *out = claims;
    }
    return status;
}

enum status claims_read_connect_result(char *result, size_t result_bytes, struct connection_claims *out,
                                       const char **out_rule)
{
    struct reader reader = reader_of(NULL, result, result_bytes);
    struct connection_claims claims = {0};
    (void)read_connect_result(&reader, &claims); /* the reader holds the status */
    enum status status = finish(&reader, out_rule);
    if (status == STATUS_OK) {
        claims.memory[0] = reader.payload;
        claims.memory[1] = reader.scratch.at;
        claims.memory[2] = reader.lists;
        *out = claims;
    }
    return status;
}

enum status claims_read_subscribe_result(char *result, size_t result_bytes, struct subscription_claims *out,
                                         const char **out_rule)
{
    struct reader reader = reader_of(NULL, result, result_bytes);
    struct subscription_claims claims = {0};
    (void)read_subscribe_result(&reader, &claims);
    enum status status = finish(&reader, out_rule);
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

#include "server/static.h"

static int path_compare(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.at, b.at, common);
    if (order != 0) {
        return order;
    }
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

const struct web_asset *static_find(struct str path)
{
    size_t low = 0;
    size_t high = web_asset_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = path_compare(path, web_assets[middle].path);
        if (order == 0) {
            return &web_assets[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* Whether the parameters of a coding give it the weight 0, in any spelling (RFC 9110 section 12.4.2). */
static bool is_refused(struct str parameters)
{
    while (parameters.at != NULL) {
        struct str weight = str_next(&parameters, ';');
        struct str name = str_trim(str_next(&weight, '='));
        if (!str_equal_nocase(name, STR("q"))) {
            continue;
        }
        weight = str_trim(weight);
        for (size_t i = 0; i < weight.len; i++) {
            if (weight.at[i] != '0' && !(weight.at[i] == '.' && i == 1)) {
                return false;
            }
        }
        return weight.len > 0;
    }
    return false;
}

/* A coding named by itself decides; without that, "*" does; without both, only identity is acceptable. */
static bool accepts_gzip(struct str accept_encoding)
{
    bool any_is_accepted = false;
    while (accept_encoding.at != NULL) {
        struct str parameters = str_next(&accept_encoding, ',');
        struct str coding = str_trim(str_next(&parameters, ';'));
        if (str_equal_nocase(coding, STR("gzip")) || str_equal_nocase(coding, STR("x-gzip"))) {
            return !is_refused(parameters);
        }
        if (str_is(coding, "*")) {
            any_is_accepted = !is_refused(parameters);
        }
    }
    return any_is_accepted;
}

/* Whether the list of entity tags names `etag`. The comparison is weak, so "W/" says nothing. Tags of ours
 * have no comma in them: one of somebody else that has falls into pieces, which match nothing. */
static bool names_etag(struct str if_none_match, struct str etag)
{
    while (if_none_match.at != NULL) {
        struct str tag = str_trim(str_next(&if_none_match, ','));
        if (str_is(tag, "*")) {
            return true;
        }
        if (str_starts_with(tag, STR("W/"))) {
            tag = str_skip(tag, 2);
        }
        if (str_equal(tag, etag)) {
            return true;
        }
    }
    return false;
}

struct static_answer static_answer_for(const struct web_asset *asset, struct str accept_encoding,
                                       struct str if_none_match)
{
    bool is_gzip = asset->gzip.len > 0 && accepts_gzip(accept_encoding);
    struct static_answer answer = {
        .asset = asset,
        .body = is_gzip ? asset->gzip : asset->identity,
        .etag = is_gzip ? asset->etag_gzip : asset->etag,
        .cache_control = asset->is_immutable ? STR(STATIC_CACHE_IMMUTABLE) : STR(STATIC_CACHE_PAGE),
        .is_gzip = is_gzip,
    };
    if (names_etag(if_none_match, answer.etag)) {
        answer.is_not_modified = true;
        answer.body = (struct str){0};
    }
    return answer;
}

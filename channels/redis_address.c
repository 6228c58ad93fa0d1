#include "channels/redis_address.h"

#include <stdlib.h>

/* Copies become slices of one allocation, each with its NUL. */
static const char *keep(char **at, struct str s)
{
    char *copy = *at;
    if (s.len > 0) {
        memcpy(copy, s.at, s.len);
    }
    copy[s.len] = '\0';
    *at += s.len + 1;
    return copy;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Passwords in URLs are percent-encoded. */
static const char *keep_decoded(char **at, struct str s)
{
    char *copy = *at, *to = copy;
    for (size_t i = 0; i < s.len; i++) {
        int high = s.at[i] == '%' && i + 2 < s.len ? hex_digit(s.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.at[i + 2]) : -1;
        if (low >= 0) {
            *to++ = (char)(high * 16 + low);
            i += 2;
        } else {
            *to++ = s.at[i];
        }
    }
    *to = '\0';
    *at = to + 1;
    return copy;
}

struct parts {
    struct str user, password, host, port, path, database;
    bool has_user, is_unix, wants_tls;
};

static bool split_scheme(struct str *rest, struct parts *parts)
{
    static const struct {
        const char *prefix;
        bool is_unix, wants_tls;
    } schemes[] = {{"redis://", false, false},
                   {"rediss://", false, true},
                   {"tcp://", false, false},
                   {"unix://", true, false},
                   {"redis+unix://", true, false}};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        struct str prefix = str_from_cstr(schemes[i].prefix);
        if (str_starts_with(*rest, prefix)) {
            *rest = str_skip(*rest, prefix.len);
            parts->is_unix = schemes[i].is_unix;
            parts->wants_tls = schemes[i].wants_tls;
            return true;
        }
    }
    parts->is_unix = str_starts_with(*rest, STR("/"));
    for (size_t i = 0; i + 2 < rest->len; i++) {
        if (memcmp(rest->at + i, "://", 3) == 0) {
            return false;
        }
    }
    return true;
}

static void split_user(struct str *rest, struct parts *parts)
{
    ptrdiff_t at = str_find_last(*rest, '@');
    if (at < 0) {
        return;
    }
    struct str both = str_first(*rest, (size_t)at);
    *rest = str_skip(*rest, (size_t)at + 1);
    parts->has_user = true;
    ptrdiff_t colon = str_find(both, ':');
    parts->user = colon < 0 ? both : str_first(both, (size_t)colon);
    parts->password = colon < 0 ? STR("") : str_skip(both, (size_t)colon + 1);
}

static bool split_host(struct str rest, struct parts *parts)
{
    ptrdiff_t slash = str_find(rest, '/');
    if (slash >= 0) {
        parts->database = str_skip(rest, (size_t)slash + 1);
        rest = str_first(rest, (size_t)slash);
    }
    parts->port = STR("6379");
    if (str_starts_with(rest, STR("["))) {
        ptrdiff_t close = str_find(rest, ']');
        if (close < 0) {
            return false;
        }
        parts->host = str_first(str_skip(rest, 1), (size_t)close - 1);
        rest = str_skip(rest, (size_t)close + 1);
        if (rest.len > 0 && rest.at[0] != ':') {
            return false;
        }
    } else {
        ptrdiff_t colon = str_find(rest, ':');
        parts->host = colon < 0 ? rest : str_first(rest, (size_t)colon);
        rest = str_skip(rest, parts->host.len);
    }
    uint64_t port;
    if (rest.len > 0) {
        parts->port = str_skip(rest, 1);
    }
    return parts->host.len > 0 && str_to_u64(parts->port, 65535, &port) && port > 0;
}

bool redis_address_parse(struct redis_address *out, struct str text, const struct redis_address *defaults,
                         const char **error)
{
    struct parts parts = {0};
    struct str rest = text;
    uint64_t database = defaults->database;
    *error =
        "is no address of a Redis: host:6379, redis://user:password@host:6379/0, rediss://… or unix:///path";
    if (!split_scheme(&rest, &parts)) {
        return false;
    }
    split_user(&rest, &parts);
    if (parts.is_unix) {
        parts.path = rest;
    } else if (!split_host(rest, &parts)) {
        return false;
    }
    if ((parts.is_unix && parts.path.len == 0) ||
        (parts.database.len > 0 && !str_to_u64(parts.database, 65535, &database))) {
        return false;
    }
    struct str user = parts.has_user ? parts.user : str_from_cstr(defaults->user);
    struct str password = parts.has_user ? parts.password : str_from_cstr(defaults->password);
    char *texts = malloc(text.len * 2 + user.len + password.len + 32);
    if (texts == NULL) {
        *error = "no memory";
        return false;
    }
    char *at = texts;
    *out =
        (struct redis_address){.database = (unsigned)database, .wants_tls = parts.wants_tls, .texts = texts};
    out->user = parts.has_user ? keep_decoded(&at, user) : keep(&at, user);
    out->password = parts.has_user ? keep_decoded(&at, password) : keep(&at, password);
    if (parts.is_unix) {
        out->path = keep(&at, parts.path);
        out->name = str_from_cstr(out->path);
        return true;
    }
    out->host = keep(&at, parts.host);
    out->port = keep(&at, parts.port);
    out->name = str_make(at, parts.host.len + 1 + parts.port.len);
    memcpy(at, parts.host.at, parts.host.len);
    at[parts.host.len] = ':';
    memcpy(at + parts.host.len + 1, parts.port.at, parts.port.len);
    return true;
}

void redis_address_release(struct redis_address *address)
{
    free(address->texts);
    *address = (struct redis_address){0};
}

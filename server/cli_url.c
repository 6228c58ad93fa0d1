#include "server/cli_url.h"

#include <stdlib.h>

bool cli_url_parse(struct cli_url *out, struct str url)
{
    static const struct {
        struct str scheme;
        bool is_tls;
    } schemes[] = {
        {{"ws://", 5}, false}, {{"wss://", 6}, true}, {{"http://", 7}, false}, {{"https://", 8}, true}};
    *out = (struct cli_url){0};
    for (size_t i = 0; i < url.len; i++) {
        if ((unsigned char)url.at[i] <= 0x20 || (unsigned char)url.at[i] >= 0x7F) {
            return false;
        }
    }
    struct str rest = {0};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && rest.at == NULL; i++) {
        if (str_starts_with(url, schemes[i].scheme)) {
            rest = str_skip(url, schemes[i].scheme.len);
            out->is_tls = schemes[i].is_tls;
        }
    }
    ptrdiff_t slash = str_find(rest, '/');
    struct str authority = slash < 0 ? rest : str_first(rest, (size_t)slash);
    struct str path = slash < 0 ? STR("") : str_skip(rest, (size_t)slash);
    ptrdiff_t colon = str_find_last(authority, ':');
    ptrdiff_t bracket = str_find_last(authority, ']');
    bool has_port = colon > bracket;
    struct str host = has_port ? str_first(authority, (size_t)colon) : authority;
    struct str port = has_port      ? str_skip(authority, (size_t)colon + 1)
                      : out->is_tls ? STR("443")
                                    : STR("80");
    if (bracket >= 0 && host.len > 2 && host.at[0] == '[') {
        host = str_make(host.at + 1, host.len - 2);
    }
    uint64_t number;
    if (rest.at == NULL || host.len == 0 || str_find(authority, '@') >= 0 ||
        !str_to_u64(port, 65535, &number)) {
        return false;
    }
    out->host = str_to_cstr(host);
    out->port = str_to_cstr(port);
    out->path = str_to_cstr(path);
    out->authority = str_to_cstr(authority);
    return out->host != NULL && out->port != NULL && out->path != NULL && out->authority != NULL;
}

void cli_url_release(struct cli_url *url)
{
    free(url->host);
    free(url->port);
    free(url->path);
    free(url->authority);
    *url = (struct cli_url){0};
}

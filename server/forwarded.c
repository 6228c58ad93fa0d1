#include "server/forwarded.h"

/* Splits off the text behind the last comma that stands outside of quotes. rest->at is NULL at the end. */
static struct str take_last(struct str *rest)
{
    bool is_quoted = false;
    for (size_t i = rest->len; i > 0; i--) {
        char c = rest->at[i - 1];
        is_quoted = is_quoted != (c == '"');
        if (c == ',' && !is_quoted) {
            struct str last = str_skip(*rest, i);
            *rest = str_first(*rest, i - 1);
            return str_trim(last);
        }
    }
    struct str last = str_trim(*rest);
    *rest = (struct str){.at = NULL, .len = 0};
    return last;
}

/* One element of Forwarded: by=…;for="[2001:db8::1]:4711";proto=https */
static bool parse_element(struct str element, unsigned char out[ADDRESS_BYTES])
{
    struct str rest = element;
    while (rest.at != NULL) {
        struct str value = str_next(&rest, ';');
        struct str name = str_trim(str_next(&value, '='));
        value = str_trim(value);
        if (str_equal_nocase(name, STR("for"))) {
            bool is_quoted = value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"';
            return address_parse_with_port(is_quoted ? str_first(str_skip(value, 1), value.len - 2) : value,
                                           out);
        }
    }
    return false;
}

/* Walks the entries of all headers of that name, the last first, while the hops are trusted. `out` begins as
 * the peer. false: one of them is no address. */
static bool walk(const struct trusted_proxies *trusted, const struct http_request *request, const char *name,
                 bool (*parse)(struct str entry, unsigned char out[ADDRESS_BYTES]),
                 unsigned char out[ADDRESS_BYTES])
{
    for (size_t i = request->header_count; i > 0; i--) {
        const struct http_header *header = &request->headers[i - 1];
        if (!str_equal_nocase(header->name, str_from_cstr(name))) {
            continue;
        }
        struct str rest = header->value;
        while (rest.at != NULL) {
            if (!networks_have(trusted->networks, trusted->count, out)) {
                return true;
            }
            if (!parse(take_last(&rest), out)) {
                return false;
            }
        }
    }
    return true;
}

void forwarded_address(const struct trusted_proxies *trusted, const unsigned char peer[ADDRESS_BYTES],
                       const struct http_request *request, unsigned char out[ADDRESS_BYTES])
{
    memcpy(out, peer, ADDRESS_BYTES);
    if (trusted->count == 0) {
        return;
    }
    bool has_own = http_header(request, "X-Forwarded-For").at != NULL;
    bool is_good = has_own ? walk(trusted, request, "X-Forwarded-For", address_parse_with_port, out)
                           : walk(trusted, request, "Forwarded", parse_element, out);
    if (!is_good) {
        memcpy(out, peer, ADDRESS_BYTES);
    }
}

bool forwarded_is_https(const struct trusted_proxies *trusted, const unsigned char peer[ADDRESS_BYTES],
                        const struct http_request *request, bool is_tls)
{
    if (is_tls || !networks_have(trusted->networks, trusted->count, peer)) {
        return is_tls;
    }
    struct str rest = http_header(request, "X-Forwarded-Proto");
    return rest.at != NULL && str_equal_nocase(take_last(&rest), STR("https"));
}

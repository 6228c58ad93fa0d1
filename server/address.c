#include "server/address.h"

#include <arpa/inet.h>

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

struct str address_text(const unsigned char address[ADDRESS_BYTES], char out[ADDRESS_TEXT_MAX])
{
    bool is_v4 = memcmp(address, mapped, sizeof mapped) == 0;
    const char *text = is_v4 ? inet_ntop(AF_INET, address + 12, out, ADDRESS_TEXT_MAX)
                             : inet_ntop(AF_INET6, address, out, ADDRESS_TEXT_MAX);
    return str_from_cstr(text);
}

bool address_parse(struct str text, unsigned char out[ADDRESS_BYTES])
{
    char copy[ADDRESS_TEXT_MAX];
    unsigned char parsed[ADDRESS_BYTES];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.at, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, parsed + 12) == 1) {
        memcpy(parsed, mapped, sizeof mapped);
    } else if (inet_pton(AF_INET6, copy, parsed) != 1) {
        return false;
    }
    memcpy(out, parsed, sizeof parsed);
    return true;
}

bool address_parse_with_port(struct str text, unsigned char out[ADDRESS_BYTES])
{
    uint64_t port;
    struct str host = text, port_text = {0};
    if (text.len > 0 && text.at[0] == '[') {
        ptrdiff_t end = str_find(text, ']');
        if (end < 0) {
            return false;
        }
        host = str_first(str_skip(text, 1), (size_t)end - 1);
        port_text = str_skip(text, (size_t)end + 1);
        if (str_find(host, ':') < 0) {
            return false; /* only IPv6 is written in brackets */
        }
    } else if (str_find(text, ':') >= 0 && str_find(text, ':') == str_find_last(text, ':')) {
        size_t host_len = (size_t)str_find(text, ':');
        host = str_first(text, host_len);
        port_text = str_skip(text, host_len);
    }
    bool is_port_good =
        port_text.len == 0 || (port_text.at[0] == ':' && str_to_u64(str_skip(port_text, 1), 65535, &port));
    return is_port_good && address_parse(host, out);
}

static bool has_bits_behind(const struct network *network)
{
    for (unsigned bit = network->bits; bit < 8 * ADDRESS_BYTES; bit++) {
        if ((network->address[bit / 8] & (0x80 >> bit % 8)) != 0) {
            return true;
        }
    }
    return false;
}

bool network_parse(struct str text, struct network *out)
{
    struct network network = {.bits = 8 * ADDRESS_BYTES};
    struct str rest = text;
    struct str address = str_next(&rest, '/');
    if (!address_parse(address, network.address)) {
        return false;
    }
    if (rest.at != NULL) {
        bool is_v4 = str_find(address, ':') < 0;
        uint64_t bits;
        if (!str_to_u64(rest, is_v4 ? 32 : 128, &bits)) {
            return false;
        }
        network.bits = (unsigned)bits + (is_v4 ? 96 : 0);
    }
    if (has_bits_behind(&network)) {
        return false; /* "10.1.0.0/8" is more likely a slip than a wish */
    }
    *out = network;
    return true;
}

static bool network_has(const struct network *network, const unsigned char address[ADDRESS_BYTES])
{
    size_t whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    unsigned char mask = (unsigned char)(0xFF00u >> rest);
    return memcmp(network->address, address, whole) == 0 &&
           (rest == 0 || ((network->address[whole] ^ address[whole]) & mask) == 0);
}

bool networks_have(const struct network *networks, size_t count, const unsigned char address[ADDRESS_BYTES])
{
    for (size_t i = 0; i < count; i++) {
        if (network_has(&networks[i], address)) {
            return true;
        }
    }
    return false;
}

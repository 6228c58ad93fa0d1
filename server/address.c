#include "server/address.h"

#include <arpa/inet.h>

struct str address_text(const unsigned char address[ADDRESS_BYTES], char out[ADDRESS_TEXT_MAX])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = memcmp(address, mapped, sizeof mapped) == 0;
    const char *text = is_v4 ? inet_ntop(AF_INET, address + 12, out, ADDRESS_TEXT_MAX)
                             : inet_ntop(AF_INET6, address, out, ADDRESS_TEXT_MAX);
    return str_from_cstr(text);
}

/* cli_url.h - the URLs that our own commands take: ws, wss, http or https, a host, maybe a port and a path.
 *
 * Thread: any.   Memory: owned by the struct, freed by cli_url_release().
 */
#ifndef STARLING_SERVER_CLI_URL_H
#define STARLING_SERVER_CLI_URL_H

#include "channels/base/str.h"

struct cli_url {
    char *host; /* without the brackets of an IPv6 address */
    char *port;
    char *path;      /* as written; "" where there is none */
    char *authority; /* as in Host: and Origin: */
    bool is_tls;
};

/* false: it is none, or no memory; *out may be released all the same. Only printable ASCII without spaces, so
 * that nothing in it can end the request line it goes into. */
bool cli_url_parse(struct cli_url *out, struct str url);
void cli_url_release(struct cli_url *url);

#endif

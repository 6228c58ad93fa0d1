#include "server/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

/* What one call of listeners_open() is about. */
struct opening {
    struct listeners *listeners;
    uint16_t *port;
    bool is_internal, is_tls, is_first;
    bool may_lack; /* an address that this machine does not have is left out */
    char *error;
    size_t error_bytes;
};

static bool fail(const struct opening *opening, const char *address, const char *what, const char *why)
{
    snprintf(opening->error, opening->error_bytes, "cannot %s '%s' port %u: %s", what,
             *address == '\0' ? "all addresses" : address, *opening->port, why);
    return false;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) {
        return 0;
    }
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static int open_socket(const struct addrinfo *info, bool shares_port)
{
    int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    bool is_set =
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!shares_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        (info->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
    if (!is_set || bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Workers share the port by SO_REUSEPORT, which lets any process of the same user in: a server started twice
 * would take half of the first one's connections. So the first worker asks for the port alone first. */
static int open_for(const struct opening *opening, const struct addrinfo *info)
{
    if (opening->is_first && *opening->port != 0) {
        int alone = open_socket(info, false);
        if (alone < 0) {
            return -1;
        }
        close(alone);
    }
    return open_socket(info, true);
}

static bool open_address(const struct opening *opening, const char *address)
{
    char service[8];
    snprintf(service, sizeof service, "%u", *opening->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *infos = NULL;
    int code = getaddrinfo(*address == '\0' ? NULL : address, service, &hints, &infos);
    if (code != 0) {
        return fail(opening, address, "resolve", gai_strerror(code));
    }
    size_t opened = 0;
    int last_error = 0;
    for (const struct addrinfo *info = infos; info != NULL; info = info->ai_next) {
        struct listeners *listeners = opening->listeners;
        if (listeners->count == LISTENERS_MAX) {
            break;
        }
        if (*opening->port != 0 && info->ai_addr->sa_family == AF_INET6) {
            ((struct sockaddr_in6 *)info->ai_addr)->sin6_port = htons(*opening->port);
        } else if (*opening->port != 0) {
            ((struct sockaddr_in *)info->ai_addr)->sin_port = htons(*opening->port);
        }
        int fd = open_for(opening, info);
        if (fd < 0) {
            last_error = errno;
            if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) {
                continue; /* a machine without IPv6, say: the other family will do */
            }
            break;
        }
        listeners->at[listeners->count++] =
            (struct listener){.fd = fd, .is_tls = opening->is_tls, .is_internal = opening->is_internal};
        *opening->port = *opening->port != 0 ? *opening->port : bound_port(fd);
        opened++;
        last_error = 0;
    }
    freeaddrinfo(infos);
    if (opened == 0 || last_error == EADDRINUSE || last_error == EACCES) {
        bool is_lacking = last_error == EAFNOSUPPORT || last_error == EADDRNOTAVAIL;
        return fail(opening, address, "listen on", strerror(last_error)) || (is_lacking && opening->may_lack);
    }
    return true;
}

static bool open_list(const struct opening *opening, const struct str_list *addresses)
{
    if (addresses->count == 0) {
        return open_address(opening, "");
    }
    size_t count_before = opening->listeners->count;
    for (size_t i = 0; i < addresses->count; i++) {
        if (!open_address(opening, addresses->at[i].at)) {
            return false;
        }
    }
    return opening->listeners->count > count_before;
}

bool listeners_open(struct listeners *out, const struct config *config, uint16_t *port,
                    uint16_t *internal_port, bool is_first, char *error, size_t error_bytes)
{
    struct opening opening = {
        .listeners = out, .port = port, .is_first = is_first, .error = error, .error_bytes = error_bytes};
    out->count = 0;
    /* Dev mode's list is not the user's: both loopback addresses, of which a container often has one. */
    opening.may_lack = config->is_dev;
    opening.is_tls = config->http_server_tls_enabled;
    bool is_open = open_list(&opening, &config->http_server_address);
    if (is_open && config->http_server_internal_port != 0) {
        const struct str_list *internal = &config->http_server_internal_address;
        opening.port = internal_port;
        opening.is_internal = true;
        opening.is_tls = false;
        is_open = open_list(&opening, internal->count > 0 ? internal : &config->http_server_address);
    }
    if (!is_open) {
        listeners_close(out);
    }
    return is_open;
}

void listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        close(listeners->at[i].fd);
    }
    listeners->count = 0;
}

/* redis_link.h - one connection to one Redis: connect, handshake, pipeline, time limits, back-off.
 *
 *     DOWN ─▶ LOOKUP ─▶ CONNECTING ─▶ (TLS) ─▶ HANDSHAKE ─▶ READY
 *      ▲                                                      │   whatever goes wrong, at any point:
 *      └───────── wait, doubling, with jitter ◀── closed ─────┘   close, everything pending is told, try
 * again
 *
 * Requests are formatted by the caller and answered in order; several leave in one send. hiredis only formats
 * and parses: its own connections have no time limits and no TLS where they are packaged first, and end the
 * process where a server misbehaves. A link of the kind `is_sub` hands every reply after the handshake to
 * on_push() instead.
 *
 * A request whose connection is lost is answered with NULL: it may or may not have been carried out, and
 * only its owner knows whether to ask again.
 *
 * Thread: the worker's; names are looked up on a thread of their own.   Memory: two buffers, bounded.
 * Limits: LINK_OUT_BYTES_MAX queued, LINK_REQUESTS_MAX unanswered, LINK_REPLY_BYTES_MAX for one reply.
 */
#ifndef STARLING_CHANNELS_REDIS_LINK_H
#define STARLING_CHANNELS_REDIS_LINK_H

#include "channels/base/buf.h"
#include "channels/base/list.h"
#include "channels/redis_address.h"
#include "channels/redis_reply.h"
#include "channels/redis_scripts.h"

#include <ev.h>

enum {
    LINK_OUT_BYTES_MAX = 16 << 20,
    LINK_REQUESTS_MAX = 10000,
    LINK_REPLY_BYTES_MAX = 64 << 20,
    LINK_HANDSHAKE_MS = 2000,
    LINK_BACKOFF_MIN_MS = 50,
    LINK_BACKOFF_MAX_MS = 2000,
    LINK_VERSION_MIN = 7, /* scripts that say what they may do */
};

enum link_state { LINK_DOWN, LINK_LOOKUP, LINK_CONNECTING, LINK_TLS, LINK_HANDSHAKE, LINK_READY };

struct redis_link;

/* One request on its way; its owner embeds it. */
struct redis_request {
    struct link in_flight;
    unsigned replies_left; /* MULTI … EXEC is answered several times; the last one counts */
    uint64_t sent_ms;
    /* Runs once, on the loop: with the last reply, borrowed for the call, or NULL when the connection was
     * lost. May send, must not free the link. */
    void (*done)(struct redis_request *request, const redisReply *reply);
};

struct redis_link_options {
    struct ev_loop *loop;
    const struct redis_address *address;
    const char *client_name; /* borrowed */
    uint64_t connect_timeout_ms, io_timeout_ms;
    bool is_sub;
    void *owner;
    void (*on_ready)(struct redis_link *link);
    /* The link was closed; requests have been answered. */
    void (*on_down)(struct redis_link *link);
    /* A reply on a link that `is_sub`. false: it has no known shape, and the link is closed. */
    bool (*on_push)(struct redis_link *link, const redisReply *reply);
};

struct redis_lookup;
struct redis_tls;

struct redis_link {
    struct redis_link_options options;
    enum link_state state;
    int fd;
    struct ev_io io;
    struct ev_prepare flush; /* what a turn has queued leaves in one send */
    struct redis_lookup *lookup;
    struct redis_tls *tls;
    redisReader *reader;
    size_t unparsed_bytes; /* fed since the last whole reply */
    struct buf out;
    size_t out_sent;
    struct link in_flight; /* struct redis_request, oldest first */
    size_t request_count;
    unsigned handshake_replies; /* how many have come */
    uint64_t state_ms;          /* since when */
    uint64_t received_ms;       /* when bytes last came */
    uint64_t retry_ms;          /* DOWN: when to try again */
    unsigned backoff_ms;
    struct redis_info info; /* of the server, while READY */
    char last_error[160];   /* why it was closed; logged when it changes */
    bool is_closing;        /* requests are being told: nothing may be sent */
    uint64_t connects_total;
};

/* Starts to connect soon. */
void redis_link_open(struct redis_link *link, const struct redis_link_options *options);
/* Closes for good; requests are answered with NULL. */
void redis_link_release(struct redis_link *link);

/* Closes, and connects again after the back-off. `why` is text of ours. */
void redis_link_restart(struct redis_link *link, const char *why);

/* Queues `bytes`, one or more formatted commands. false: not ready, or a limit is reached; nothing was
 * taken. `request` may be NULL on a link that `is_sub`. */
bool redis_link_send(struct redis_link *link, struct redis_request *request, unsigned replies,
                     struct str bytes);

/* Several times a second: time limits, back-off. */
void redis_link_tick(struct redis_link *link, uint64_t now_ms);

/* At the end of the process: sends what is queued and waits until Redis has read it, at most `ms`. */
void redis_link_drain(struct redis_link *link, uint64_t ms);

static inline bool redis_link_is_ready(const struct redis_link *link)
{
    return link->state == LINK_READY && !link->is_closing;
}

/* Appends one command to `out`. false: no memory. */
bool redis_format(struct buf *out, int count, const struct str *arguments);

#endif

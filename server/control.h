/* control.h - what the server does to a user's connections, wherever they are.
 *
 *     API call ─▶ control_apply() ─ copy of the request ─▶ each worker: the user's sessions there ─▶ done()
 *
 * The request is plain: texts, numbers, no pointers into a session, so that another process could be sent the
 * same. It is carried out where the sessions live; a user without any is no error. Nothing is remembered for
 * later connections.
 *
 * Thread: control_apply() and `done` on the asker's worker; the sessions' functions on theirs.   Memory: one
 * allocation with copies of all texts, until `done`.   Source: SERVER_API sections 3.3 to 3.6.
 */
#ifndef STARLING_SERVER_CONTROL_H
#define STARLING_SERVER_CONTROL_H

#include "channels/status.h"
#include "server/session.h"

enum control_action { CONTROL_SUBSCRIBE, CONTROL_UNSUBSCRIBE, CONTROL_DISCONNECT, CONTROL_REFRESH };

struct control_request {
    enum control_action action;
    struct str user;    /* whose connections; empty: the anonymous ones */
    struct str client;  /* only this one; empty: all */
    struct str session; /* only the one of this session; WebSocket connections have none. Empty: all */

    struct session_subscribe_options subscribe; /* SUBSCRIBE */
    struct str channel;                         /* UNSUBSCRIBE; empty: all channels */
    unsigned code;                              /* UNSUBSCRIBE, DISCONNECT */
    struct str reason;
    const struct str *whitelist; /* DISCONNECT: clients that are spared */
    size_t whitelist_count;
    bool is_expired;      /* REFRESH: close as expired */
    uint64_t expire_at_s; /* REFRESH: 0: never */
    struct str info;      /* REFRESH: raw JSON; empty: as it is */
};

/* Carries `request`, which is copied, to all workers. `done` runs once, in a later step (at once where there
 * is no memory): OK when all have carried it out, BUSY when a worker's mailbox was full (others have carried
 * it out). */
void control_apply(struct worker *worker, const struct control_request *request,
                   void (*done)(void *context, enum status status), void *context);

/* Is this client one that the request means? Pure. */
bool control_matches(const struct control_request *request, struct str client);

#endif

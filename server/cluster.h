/* cluster.h - what one node asks of all others through the broker: control of a user's connections.
 *
 *     API call ─▶ cluster_control() ─┬─▶ control_apply() here, at once
 *                                    └─▶ control channel in Redis ─▶ every other node: control_apply() there
 *
 * The control channel keeps its messages for ten minutes and every node reads it like a subscriber that
 * recovers, so that a node that was cut off for a while carries out what it missed. A message has a version
 * and its sender; one of another version or shape is ignored, so that nodes may be updated one by one. With
 * channels in this process there are no others, and all of this is control_apply().
 *
 * Every few seconds each node says that it lives, with its numbers; who has not been heard of for a while is
 * no longer listed.
 *
 * Thread: cluster_control() on any worker; messages arrive on worker 0.   Limits: CLUSTER_MESSAGE_BYTES_MAX.
 */
#ifndef STARLING_SERVER_CLUSTER_H
#define STARLING_SERVER_CLUSTER_H

#include "channels/base/buf.h"
#include "server/control.h"

enum {
    CLUSTER_MESSAGE_BYTES_MAX = 1 << 20,
    CLUSTER_WHITELIST_MAX = 1000,
    CLUSTER_HELLO_S = 2,       /* how often a node says that it lives */
    CLUSTER_FORGET_MS = 10000, /* when one that says nothing is gone */
    CLUSTER_PEERS_MAX = 1000,
    CLUSTER_HELLO_BYTES_MAX = 4096,
};

struct cluster; /* what worker 0 knows of other nodes */

/* As control_apply(), on all nodes. `done`: OK when it is done here and every other node is certain to get
 * it; BUSY when it is done here and the others could not be told. */
void cluster_control(struct worker *worker, const struct control_request *request,
                     void (*done)(void *context, enum status status), void *context);

/* What the broker of worker 0 calls: struct redis_options. */
void cluster_on_message(void *worker, struct str message);
void cluster_on_missed(void *worker);

/* Calls `done` once, later (at once without memory), with what the other nodes have last said of themselves:
 * JSON objects, each behind a comma; empty where there are none. */
void cluster_peers(struct worker *worker, void (*done)(void *context, struct str peers), void *context);

/* Once a second on worker 0; worker->cluster is made when it is needed. */
void cluster_tick(struct worker *worker);
/* NULL is fine. */
void cluster_free(struct cluster *cluster);

/* Appends a request as bytes, and reads it back: texts point into `message`, the whitelist into `whitelist`,
 * which has room for CLUSTER_WHITELIST_MAX. Pure. */
void cluster_encode(struct buf *out, struct str sender, const struct control_request *request);
bool cluster_decode(struct str message, struct str *sender, struct control_request *request,
                    struct str *whitelist);

#endif

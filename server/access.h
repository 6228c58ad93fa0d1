/* access.h - what decides about a token beside its signature: whose it is, for what, and until when.
 *
 * Pure functions, so that `starling explain` walks the very path that a session walks.
 *
 * Thread: any.   Source: PROTOCOL sections 4.2 and 9.2.
 */
#ifndef STARLING_SERVER_ACCESS_H
#define STARLING_SERVER_ACCESS_H

#include "channels/status.h"
#include "server/auth.h"

/* Is the verified subscription token one for this user, this channel and this client (empty: any client), and
 * has its expiry not passed at the Unix second `now_s`? INVALID_TOKEN: it is somebody else's; EXPIRED. Unless
 * OK, refusal->rule says why. */
enum status access_check_subscription(const struct subscription_claims *claims, struct str user,
                                      struct str channel, struct str client, uint64_t now_s,
                                      struct token_refusal *refusal);

#endif

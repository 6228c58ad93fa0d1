/* tokens.h - verifies a token with the key that it names: one of a fetched key set (auth_jwks.h) where it has
 * a kid and an endpoint is configured, else one of the configuration (auth.h).
 *
 * Thread: the worker's.   Errors: as auth.h, and BUSY where the key set is being fetched: the client may try
 * again.
 */
#ifndef STARLING_SERVER_TOKENS_H
#define STARLING_SERVER_TOKENS_H

#include "server/auth.h"

struct worker;

enum status tokens_verify_connection(struct worker *worker, struct str token, struct connection_claims *out,
                                     struct token_refusal *refusal);
enum status tokens_verify_subscription(struct worker *worker, struct str token,
                                       struct subscription_claims *out, struct token_refusal *refusal);

#endif

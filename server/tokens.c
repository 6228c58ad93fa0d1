#include "server/tokens.h"

#include "channels/base/clock.h"
#include "channels/base/thread_buf.h"
#include "server/auth_jwks.h"
#include "server/worker.h"

/* The verifier that the token asks for. */
static enum status choose(struct jwks *jwks, const struct token_verifier *configured, struct str token,
                          const struct token_verifier **out, struct token_refusal *refusal)
{
    struct str kid;
    if (jwks != NULL && token_key_id(token, thread_buf(THREAD_BUF_INFO), &kid)) {
        enum status status = jwks_find(jwks, kid, out);
        refusal->rule = status == STATUS_BUSY ? "the key set is being fetched" : "kid is not in the key set";
        return status;
    }
    *out = configured;
    refusal->rule = "no key for tokens is configured";
    return configured == NULL ? STATUS_INVALID_TOKEN : STATUS_OK;
}

enum status tokens_verify_connection(struct worker *worker, struct str token, struct connection_claims *out,
                                     struct token_refusal *refusal)
{
    const struct token_verifier *verifier = NULL;
    enum status status =
        choose(worker->connection_jwks, worker->connection_tokens, token, &verifier, refusal);
    return status == STATUS_OK ? token_verify_connection(verifier, token, clock_wall_ms(), out, refusal)
                               : status;
}

enum status tokens_verify_subscription(struct worker *worker, struct str token,
                                       struct subscription_claims *out, struct token_refusal *refusal)
{
    const struct token_verifier *verifier = NULL;
    enum status status =
        choose(worker->subscription_jwks, worker->subscription_tokens, token, &verifier, refusal);
    return status == STATUS_OK ? token_verify_subscription(verifier, token, clock_wall_ms(), out, refusal)
                               : status;
}

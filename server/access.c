#include "server/access.h"

static enum status refuse(enum status status, struct token_refusal *refusal, const char *rule)
{
    refusal->rule = rule;
    return status;
}

enum status access_check_subscription(const struct subscription_claims *claims, struct str user,
                                      struct str channel, struct str client, uint64_t now_s,
                                      struct token_refusal *refusal)
{
    if (!str_equal(claims->user, user)) {
        return refuse(STATUS_INVALID_TOKEN, refusal, "the token is for another user");
    }
    if (!str_equal(claims->channel, channel)) {
        return refuse(STATUS_INVALID_TOKEN, refusal, "the token is for another channel");
    }
    if (claims->client.len > 0 && client.len > 0 && !str_equal(claims->client, client)) {
        return refuse(STATUS_INVALID_TOKEN, refusal, "the token is for another client");
    }
    if (claims->expire_at_s != 0 && claims->expire_at_s <= now_s) {
        return refuse(STATUS_EXPIRED, refusal, "what the token grants has expired (expire_at)");
    }
    return STATUS_OK;
}

/* session_expiry.c - subscriptions that expire: refreshed by a token of the client, or by the sub_refresh
 * proxy, or ended (PROTOCOL sections 4.10 and 7.8, SERVER_API section 6.7).
 *
 *     expires ─▶ the client's time to refresh ─▶ unsubscribe push, or 3006
 *     expires ─▶ proxy ─▶ a new expiry, the end, or a minute more when it does not answer
 */
#include "channels/base/clock.h"
#include "channels/base/must.h"
#include "server/connection.h"
#include "server/session_private.h"
#include "server/tokens.h"
#include "server/users.h"
#include "server/worker.h"

#include <stdlib.h>

static struct session_subscription *extra_of(const struct subscription *subscription)
{
    return subscription->extra;
}

/* The time that a client has to refresh an expired subscription; the server asks the proxy at once. */
uint64_t session_sub_grace_ms(const struct session *session, const struct session_subscription *extra)
{
    return extra->is_refreshed_by_proxy ? 0 : session->worker->config->client_expired_sub_close_delay_ms;
}

void session_set_sub_expiry(struct session *session, struct session_subscription *extra, uint64_t expire_at_s)
{
    uint64_t grace_ms = session_sub_grace_ms(session, extra);
    extra->expire_due_ms =
        expire_at_s == 0 ? 0
                         : session->worker->now_ms + (uint64_t)session_ttl_s(expire_at_s) * 1000 + grace_ms;
    if (extra->expire_due_ms != 0 &&
        (session->sub_expire_due_ms == 0 || extra->expire_due_ms < session->sub_expire_due_ms)) {
        session->sub_expire_due_ms = extra->expire_due_ms;
    }
}

static void expire_subscription(struct session *session, struct subscription *subscription)
{
    if ((subscription->flags & SUBSCRIPTION_SERVER_SIDE) != 0) {
        session_disconnect(session, &DISCONNECT_SUBSCRIPTION_EXPIRED);
    } else {
        session_unsubscribe(session, channel_name(subscription->channel), &UNSUBSCRIBE_EXPIRED);
    }
}

/* ---- by the proxy ---- */

static void give_grace(struct session *session, struct session_subscription *extra)
{
    extra->expire_due_ms = session->worker->now_ms + PROXY_GRACE_MS;
    if (session->sub_expire_due_ms == 0 || extra->expire_due_ms < session->sub_expire_due_ms) {
        session->sub_expire_due_ms = extra->expire_due_ms;
    }
}

static void renew_subscription(struct session *session, struct subscription *subscription,
                               const struct proxy_refresh_result *result)
{
    struct session_subscription *extra = subscription->extra;
    if (result->is_expired || (result->expire_at_s != 0 && session_ttl_s(result->expire_at_s) == 0)) {
        expire_subscription(session, subscription);
        return;
    }
    if (result->info.len > 0) {
        free((void *)(uintptr_t)extra->info.at);
        extra->info = session_copy_text(result->info);
    }
    session_set_sub_expiry(session, extra, result->expire_at_s);
}

static void on_sub_refresh_reply(struct session *session, struct str channel, const struct proxy_reply *reply,
                                 struct buf *scratch)
{
    struct proxy_refresh_result result;
    struct proxy_reply failure;
    struct subscription *subscription = hub_find(session->worker->hub, &session->subscriber, channel);
    struct session_subscription *extra = subscription == NULL ? NULL : subscription->extra;
    if (extra == NULL || !extra->is_asked_for) {
        return; /* it ended meanwhile */
    }
    extra->is_asked_for = false;
    if (reply->verdict == PROXY_RESULT && !proxy_read_refresh(reply->result, scratch, &result)) {
        failure = session_malformed_result(session, "sub_refresh");
        reply = &failure;
    }
    switch (reply->verdict) {
    case PROXY_RESULT: renew_subscription(session, subscription, &result); break;
    case PROXY_NOTHING: expire_subscription(session, subscription); break;
    case PROXY_DISCONNECT: session_disconnect(session, &reply->disconnect); break;
    case PROXY_ERROR:
    case PROXY_FAILURE: give_grace(session, extra); break;
    }
    if (session_is_open(session)) {
        connection_schedule(session->connection);
    }
}

static void ask_sub_refresh(struct session *session, struct subscription *subscription)
{
    struct session_subscription *extra = subscription->extra;
    struct str channel = channel_name(subscription->channel);
    const struct channel_options *options = channel_options_of(subscription->channel);
    struct proxy *proxy =
        proxies_find(session->worker->proxies, PROXY_SUB_REFRESH, options->sub_refresh_proxy_name);
    struct proxy_request request = {.channel = channel};
    if (proxy != NULL &&
        session_ask(session, proxy, PROXY_SUB_REFRESH, &request, channel, on_sub_refresh_reply)) {
        extra->expire_due_ms = 0; /* the answer sets it */
        extra->is_asked_for = true;
    } else {
        give_grace(session, extra);
    }
}

/* ---- when it is time ---- */

void session_expire_subscriptions(struct session *session, uint64_t now_ms)
{
    session->sub_expire_due_ms = 0;
    list_each_safe (&session->subscriber.subscriptions, link) {
        struct subscription *subscription = container_of(link, struct subscription, in_subscriber);
        uint64_t due_ms = subscription->extra == NULL ? 0 : extra_of(subscription)->expire_due_ms;
        if (due_ms == 0 || (subscription->flags & SESSION_SUBSCRIPTION_STARTING) != 0) {
            continue;
        }
        if (due_ms > now_ms) {
            if (session->sub_expire_due_ms == 0 || due_ms < session->sub_expire_due_ms) {
                session->sub_expire_due_ms = due_ms;
            }
        } else if (extra_of(subscription)->is_refreshed_by_proxy) {
            ask_sub_refresh(session, subscription);
        } else {
            expire_subscription(session, subscription);
            if (!session_is_open(session)) {
                return;
            }
        }
    }
}

/* ---- by the client ---- */

void session_on_sub_refresh(struct session *session, const struct command *command)
{
    const struct sub_refresh_request *request = &command->sub_refresh;
    struct subscription_claims claims = {0};
    struct token_refusal refusal = {0};
    if (request->channel.len == 0) {
        session_disconnect(session, &DISCONNECT_BAD_REQUEST);
        return;
    }
    struct subscription *subscription =
        hub_find(session->worker->hub, &session->subscriber, request->channel);
    if (subscription == NULL || request->token.len == 0) {
        session_reply_error(session, command->id,
                            subscription == NULL ? STATUS_PERMISSION_DENIED : STATUS_BAD_REQUEST);
        return;
    }
    if (subscription->extra != NULL && extra_of(subscription)->is_refreshed_by_proxy) {
        session_disconnect(session, &DISCONNECT_BAD_REQUEST); /* PROTOCOL section 4.10 */
        return;
    }
    enum status status = tokens_verify_subscription(session->worker, request->token, &claims, &refusal);
    if (status == STATUS_BUSY) {
        session_reply_error(session, command->id, status);
        return;
    }
    bool is_expired = status == STATUS_TOKEN_EXPIRED || (status == STATUS_OK && claims.expire_at_s != 0 &&
                                                         session_ttl_s(claims.expire_at_s) == 0);
    if (is_expired) {
        session_disconnect(session, &DISCONNECT_SUBSCRIPTION_EXPIRED);
    } else if (status != STATUS_OK || !str_equal(claims.user, user_name(session->user)) ||
               !str_equal(claims.channel, request->channel)) {
        session_disconnect(session, &DISCONNECT_INVALID_TOKEN);
    } else if (subscription->extra == NULL &&
               (subscription->extra = calloc(1, sizeof(struct session_subscription))) == NULL) {
        session_reply_error(session, command->id, STATUS_NO_MEMORY);
    } else {
        session_set_sub_expiry(session, extra_of(subscription), claims.expire_at_s);
        connection_schedule(session->connection);
        protocol_append_sub_refresh(session_reply_buf(), command->id,
                                    &(struct sub_refresh_view){.expires = claims.expire_at_s != 0,
                                                               .ttl_s = session_ttl_s(claims.expire_at_s)});
        session_send_reply(session);
    }
    subscription_claims_release(&claims);
}

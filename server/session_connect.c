/* session_connect.c - connect and refresh: who the client is, for how long, and what it is subscribed to from
 * the start.
 *
 *     connect ─▶ token, cookie or proxy ─▶ user's quota ─▶ server-side subscriptions ─▶ reply ─▶ held back
 */
#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/cluster.h"
#include "server/connection.h"
#include "server/quota.h"
#include "server/session_private.h"
#include "server/tokens.h"
#include "server/users.h"
#include "server/version.h"
#include "server/worker.h"

#include <stdlib.h>

static void refuse(struct session *session, uint32_t id, enum status status)
{
    session->was_refused = true;
    session_reply_error(session, id, status);
}

/* ---- who ---- */

static void log_token_refusal(const struct session *session, const struct token_refusal *refusal)
{
    log_info("token_refused", {"client", log_text(session_client(session))},
             {"rule", log_cstr(refusal->rule == NULL ? "" : refusal->rule)});
}

/* What a connect without a token is worth. NULL: it is accepted as an anonymous user. */
static const struct disconnect *check_anonymous(const struct config *config)
{
    bool is_allowed = config->client_insecure || config->client_allow_anonymous_connect_without_token;
    return is_allowed ? NULL : &DISCONNECT_BAD_REQUEST;
}

/* Decides by the token, else by the cookie. true: the claims (empty ones without either) are in `claims`. A
 * good token may still be refused for what it says, so they are to be released either way. */
static bool identify(struct session *session, const struct command *command, struct connection_claims *claims)
{
    const struct config *config = session->worker->config;
    struct str token = command->connect.token;
    if (token.len == 0 && session->cookie_user != NULL) {
        claims->user = str_from_cstr(session->cookie_user);
        return true;
    }
    if (token.len == 0) {
        const struct disconnect *refusal = check_anonymous(config);
        if (refusal != NULL) {
            log_info("connect_refused", {"client", log_text(session_client(session))},
                     {"rule", log_cstr("no token, and client.allow_anonymous_connect_without_token is off")});
            session_disconnect(session, refusal);
        }
        return refusal == NULL;
    }
    struct token_refusal refusal = {0};
    enum status status = tokens_verify_connection(session->worker, token, claims, &refusal);
    if (status == STATUS_OK && claims->user.len == 0 && config->client_disallow_anonymous_connection_tokens) {
        session_disconnect(session, &DISCONNECT_PERMISSION_DENIED);
        return false;
    }
    if (status == STATUS_OK && claims->expire_at_s != 0 && session_ttl_s(claims->expire_at_s) == 0) {
        status = STATUS_EXPIRED;
    }
    if (status == STATUS_OK) {
        return true;
    }
    log_token_refusal(session, &refusal);
    if (status == STATUS_INVALID_TOKEN) {
        session_disconnect(session, &DISCONNECT_INVALID_TOKEN);
    } else {
        refuse(session, command->id, status);
    }
    return false;
}

static void set_expiry(struct session *session, uint64_t expire_at_s)
{
    uint64_t ttl_ms = (uint64_t)session_ttl_s(expire_at_s) * 1000;
    /* A client gets time to refresh; the server asks the proxy at once. */
    uint64_t grace_ms =
        session->is_refreshed_by_proxy ? 0 : session->worker->config->client_expired_close_delay_ms;
    session->expire_due_ms = expire_at_s == 0 ? 0 : session->worker->now_ms + ttl_ms + grace_ms;
}

/* ---- server-side subscriptions ---- */

/* The channels a connection starts with: those of the token, then the user's own. Calls `visit` for each
 * until it says false. */
static bool each_start_channel(struct session *session, const struct connection_claims *claims,
                               bool (*visit)(struct session *, const struct token_subscription *, void *),
                               void *context)
{
    const struct config *config = session->worker->config;
    bool goes_on = true;
    for (size_t i = 0; i < claims->sub_count && goes_on; i++) {
        goes_on = visit(session, &claims->subs[i], context);
    }
    for (size_t i = 0; i < claims->channel_count && goes_on; i++) {
        goes_on = visit(session, &(struct token_subscription){.channel = claims->channels[i]}, context);
    }
    if (goes_on && config->client_subscribe_to_user_personal_channel_enabled &&
        user_name(session->user).len > 0) {
        char name[LIMIT_CHANNEL_BYTES];
        size_t len;
        const char *namespace_name =
            config->client_subscribe_to_user_personal_channel_personal_channel_namespace;
        if (channel_personal_name(&config->channels, str_from_cstr(namespace_name), user_name(session->user),
                                  name, sizeof name, &len)) {
            goes_on = visit(session, &(struct token_subscription){.channel = str_make(name, len)}, context);
        }
    }
    return goes_on;
}

/* Does the token itself name the channel? A personal one comes from the configuration. */
static bool is_named(const struct connection_claims *claims, struct str channel)
{
    bool found = false;
    for (size_t i = 0; i < claims->sub_count && !found; i++) {
        found = str_equal(claims->subs[i].channel, channel);
    }
    for (size_t i = 0; i < claims->channel_count && !found; i++) {
        found = str_equal(claims->channels[i], channel);
    }
    return found;
}

/* All names must be known before the first subscription is made: an error reply undoes nothing. */
static bool check_start_channel(struct session *session, const struct token_subscription *sub, void *context)
{
    const struct channel_options *options;
    enum status status = channel_rules_resolve(&session->worker->config->channels, sub->channel, &options);
    *(enum status *)context = status;
    return status == STATUS_OK;
}

/* Where the client says it was in a channel. The result points into connecting->positions_text or `scratch`.
 */
static bool find_position(struct session *session, struct str channel, struct subscribe_request *out,
                          struct buf *scratch)
{
    struct str rest = buf_str(&session->connecting->positions_text), name;
    struct subscribe_request request;
    while (rest.len > 0 && protocol_next_sub(&rest, &name, &request, scratch) == PROTOCOL_COMMAND) {
        if (str_equal(name, channel)) {
            *out = request;
            return true;
        }
    }
    return false;
}

static void reply_connect(struct session *session);

/* What the reply carries for one of the claims' subscriptions. */
static struct str start_data(const struct connection_claims *claims, struct str channel)
{
    for (size_t i = 0; i < claims->sub_count; i++) {
        if (str_equal(claims->subs[i].channel, channel)) {
            return claims->subs[i].data;
        }
    }
    return STR("");
}

static void on_start_subscription(struct op *op)
{
    struct session *session = op->context;
    if (!session_subscription_arrived(session, op)) {
        return;
    }
    struct session_connect *connecting = session->connecting;
    struct subscription *subscription = op->subscribe.subscription;
    connecting->subs_pending--;
    if (op->status != STATUS_OK) {
        connecting->has_failed = true;
        session_forget_subscription(session, subscription);
    } else {
        struct subscribe_view view;
        struct buf publications = {0};
        session_subscribe_result(session, op, &publications, &view);
        view.data = start_data(&connecting->claims, op->channel);
        protocol_add_sub(&connecting->subs, op->channel, &view);
        buf_release(&publications);
        hub_go_live(session->worker->hub, subscription, op->top);
    }
    op_free(op);
    if (connecting->subs_pending == 0) {
        reply_connect(session);
    }
}

static bool begin_start_channel(struct session *session, const struct token_subscription *sub, void *context)
{
    (void)context;
    struct session_connect *connecting = session->connecting;
    const struct channel_options *options;
    struct subscribe_request position = {0};
    struct buf scratch = {0};
    must(channel_rules_resolve(&session->worker->config->channels, sub->channel, &options) == STATUS_OK);
    if (hub_find(session->worker->hub, &session->subscriber, sub->channel) != NULL) {
        return true; /* listed twice */
    }
    struct session_sub_start start = {.channel = sub->channel,
                                      .features = session_server_features(options, &sub->override),
                                      .chan_info = sub->info,
                                      .is_server_side = true,
                                      .is_from_token = is_named(&connecting->claims, sub->channel),
                                      .done = on_start_subscription};
    buf_reserve(&scratch, connecting->positions_text.len);
    bool is_known = find_position(session, sub->channel, &position, &scratch);
    bool is_cache = options->force_recovery_mode == RECOVERY_CACHE;
    start.is_recovering =
        start.features.recoverable &&
        ((is_known && position.recover) || (is_cache && (options->auto_cache_recover || sub->cache_recover)));
    start.is_cache_mode = is_cache;
    start.since = (struct position){.offset = position.offset, .epoch = position.epoch};
    if (session_begin_subscription(session, &start) == STATUS_OK) {
        connecting->subs_pending++;
    } else {
        connecting->has_failed = true;
    }
    buf_release(&scratch);
    return true;
}

/* ---- the reply ---- */

static void release_held(struct session *session, struct outbox *held)
{
    for (uint32_t i = 0; i < held->count && session->connection != NULL; i++) {
        struct frame *frame = outbox_at(held, i);
        if (!connection_send(session->connection, frame,
                             (uint32_t)session->worker->config->client_queue_max_size)) {
            connection_mark_slow(session->connection);
        }
    }
}

static void on_older_ended(void *context, enum status status)
{
    (void)context;
    if (status != STATUS_OK) {
        log_warn("single_connection_failed", {"reason", log_text(status_message(status))});
    }
}

/* With single_connection a user has one connection: the newest ends the others. */
static void end_older_connections(struct session *session)
{
    const struct config *config = session->worker->config;
    struct str own = session_client(session);
    bool is_single = config->client_subscribe_to_user_personal_channel_enabled &&
                     config->client_subscribe_to_user_personal_channel_single_connection;
    if (is_single && user_name(session->user).len > 0) {
        cluster_control(session->worker,
                        &(struct control_request){.action = CONTROL_DISCONNECT,
                                                  .user = user_name(session->user),
                                                  .code = DISCONNECT_FORCE_NO_RECONNECT.code,
                                                  .reason = DISCONNECT_FORCE_NO_RECONNECT.reason,
                                                  .whitelist = &own,
                                                  .whitelist_count = 1},
                        on_older_ended, NULL);
    }
}

static void reply_connect(struct session *session)
{
    struct worker *worker = session->worker;
    const struct config *config = worker->config;
    struct session_connect *connecting = session->connecting;
    if (connecting->has_failed) {
        session_disconnect(session, &DISCONNECT_INTERNAL);
        return;
    }
    session->is_refreshed_by_proxy =
        connecting->is_proxied && proxies_find(worker->proxies, PROXY_REFRESH, NULL) != NULL;
    bool client_refreshes = connecting->expire_at_s != 0 && !session->is_refreshed_by_proxy;
    struct connect_view view = {
        .client = session_client(session),
        .version = STR("Starling " STARLING_VERSION),
        .expires = client_refreshes,
        .ttl_s = client_refreshes ? session_ttl_s(connecting->expire_at_s) : 0,
        .data = connecting->claims.data,
        .subs = buf_str(&connecting->subs),
        .ping_s = session->pings_by_frame ? 0 : (uint32_t)(config->client_ping_interval_ms / 1000),
        .pong = !session->pings_by_frame,
        .time_ms = config->client_connect_include_server_time ? (int64_t)clock_wall_ms() : 0,
    };
    struct buf *reply = session_reply_buf();
    protocol_append_connect(reply, connecting->command_id, &view);
    reply->failed = reply->failed || connecting->subs.failed;
    session->state = SESSION_CONNECTED;
    worker->metrics.clients++;
    session->connecting = NULL; /* from here on frames go out */
    session_tell(session, WEBHOOK_CONNECTED, STR(""));
    list_each (&session->subscriber.subscriptions, link) {
        const struct subscription *subscription = container_of(link, struct subscription, in_subscriber);
        session_tell(session, WEBHOOK_SUBSCRIBED, channel_name(subscription->channel));
    }
    session_send_reply(session);
    release_held(session, &connecting->held);
    set_expiry(session, connecting->expire_at_s);
    /* The first ping after half to one interval: clients that came together are not pinged together. */
    uint64_t half_ms = config->client_ping_interval_ms / 2;
    session->ping_due_ms = worker->now_ms + half_ms + worker_random(worker, half_ms + 1);
    buf_release(&connecting->subs);
    buf_release(&connecting->positions_text);
    outbox_release(&connecting->held);
    connection_claims_release(&connecting->claims);
    free(connecting);
    free(session->cookie_user); /* session->user has it now */
    session->cookie_user = NULL;
    if (session->connection == NULL) {
        return;
    }
    connection_schedule(session->connection);
    log_debug("client_connected", {"client", log_text(session_client(session))},
              {"user", log_text(user_name(session->user))});
    end_older_connections(session);
    session_go_on(session);
}

static void begin_subscriptions(struct session *session)
{
    struct session_connect *connecting = session->connecting;
    enum status status = STATUS_OK;
    if (!each_start_channel(session, &connecting->claims, check_start_channel, &status)) {
        uint32_t id = connecting->command_id;
        refuse(session, id, status);
        session->is_waiting = false;
        buf_release(&session->stash);
        connection_resume(session->connection, PAUSE_SESSION);
        return;
    }
    connecting->subs_pending = 1; /* so that answers cannot finish it while they are begun */
    each_start_channel(session, &connecting->claims, begin_start_channel, NULL);
    connecting->subs_pending--;
    if (connecting->subs_pending == 0) {
        reply_connect(session);
    }
}

static void on_user_quota(void *context, enum quota_verdict verdict)
{
    struct session *session = context;
    bool is_open = session_op_done(session);
    if (verdict == QUOTA_OK) {
        session->is_user_counted = true;
        if (!is_open) {
            session_give_back_user(session);
        } else {
            begin_subscriptions(session);
        }
    } else if (is_open) {
        session->worker->metrics.limited_user_total++;
        session_disconnect(session,
                           verdict == QUOTA_UNKNOWN ? &DISCONNECT_INTERNAL : &DISCONNECT_CONNECTION_LIMIT);
    }
}

/* The claims are known: goes on with the user's quota. Further commands wait. */
static void admit(struct session *session)
{
    struct worker *worker = session->worker;
    struct session_connect *connecting = session->connecting;
    connecting->expire_at_s = connecting->claims.expire_at_s;
    session->info = session_copy_text(connecting->claims.info);
    session->meta = session_copy_text(connecting->claims.meta);
    session->connected_ms = clock_wall_ms();
    session->user = users_enter(worker->users, connecting->claims.user, &session->in_user);
    if (session->user == NULL || connecting->positions_text.failed) {
        session_disconnect(session, &DISCONNECT_INTERNAL);
        return;
    }
    session->state = SESSION_CONNECTING;
    if (connecting->claims.user.len == 0) {
        begin_subscriptions(session);
        return;
    }
    struct buf key = {0};
    buf_append_lit(&key, "user:");
    buf_append_str(&key, connecting->claims.user);
    if (key.failed) {
        session_disconnect(session, &DISCONNECT_INTERNAL);
        return;
    }
    session->subscriber.ops_pending++;
    quota_enter(worker, buf_str(&key),
                &(struct quota_limits){.count_max = worker->config->client_user_connection_limit},
                on_user_quota, session);
    buf_release(&key);
}

static void refuse_with(struct session *session, const struct proxy_reply *reply)
{
    session->was_refused = true;
    session_reply_verdict(session, session->connecting->command_id, reply);
}

static void on_connect_reply(struct session *session, struct str text, const struct proxy_reply *reply,
                             struct buf *scratch)
{
    (void)text;
    (void)scratch;
    struct session_connect *connecting = session->connecting;
    struct connection_claims *claims = &connecting->claims;
    if (reply->verdict == PROXY_NOTHING) {
        session_disconnect(session, &DISCONNECT_BAD_REQUEST); /* not authenticated: SERVER_API section 6.2 */
    } else if (reply->verdict != PROXY_RESULT) {
        refuse_with(session, reply);
    } else if (!proxy_read_connect(reply->result, claims)) {
        struct proxy_reply failure = session_malformed_result(session, "connect");
        refuse_with(session, &failure);
    } else if (claims->expire_at_s != 0 && session_ttl_s(claims->expire_at_s) == 0) {
        refuse(session, connecting->command_id, STATUS_EXPIRED);
    } else {
        connecting->is_proxied = true;
        admit(session);
        return;
    }
    session_go_on(session);
}

/* Without a token or cookie the connect proxy decides, where there is one. */
static void ask_connect(struct session *session, struct proxy *proxy, const struct command *command)
{
    struct proxy_request request = {.data = command->connect.data,
                                    .name = command->connect.name,
                                    .version = command->connect.version,
                                    .subs = command->connect.subs};
    session_ask_for_command(session, proxy, PROXY_CONNECT, &request, command, on_connect_reply);
}

void session_on_connect(struct session *session, const struct command *command)
{
    struct worker *worker = session->worker;
    struct session_connect *connecting = calloc(1, sizeof *connecting);
    if (connecting == NULL) {
        refuse(session, command->id, STATUS_NO_MEMORY);
        return;
    }
    outbox_init(&connecting->held);
    connecting->command_id = command->id;
    buf_append_str(&connecting->positions_text, command->connect.subs);
    session->connecting = connecting;
    enum status status = proxies_keep_emulated(worker->proxies, command->connect.headers,
                                               worker->config->limits_http_headers_size, &session->headers);
    bool is_known = command->connect.token.len > 0 || session->cookie_user != NULL;
    struct proxy *proxy = is_known ? NULL : proxies_find(worker->proxies, PROXY_CONNECT, NULL);
    if (status != STATUS_OK) {
        refuse(session, command->id, status);
    } else if (proxy != NULL) {
        ask_connect(session, proxy, command);
    } else if (identify(session, command, &connecting->claims)) {
        session_wait(session);
        admit(session);
    }
}

/* ---- refresh ---- */

/* Is the set of server-side channels in the new token the one that the session has (PROTOCOL section 4.9)? */
static bool has_same_channels(struct session *session, const struct connection_claims *claims)
{
    size_t named = claims->sub_count > 0 ? claims->sub_count : claims->channel_count;
    size_t found = 0;
    list_each (&session->subscriber.subscriptions, link) {
        struct subscription *subscription = container_of(link, struct subscription, in_subscriber);
        found += (subscription->flags & SESSION_SUBSCRIPTION_FROM_TOKEN) != 0 ? 1 : 0;
    }
    for (size_t i = 0; i < named; i++) {
        struct str channel = claims->sub_count > 0 ? claims->subs[i].channel : claims->channels[i];
        struct subscription *subscription = hub_find(session->worker->hub, &session->subscriber, channel);
        if (subscription == NULL || (subscription->flags & SESSION_SUBSCRIPTION_FROM_TOKEN) == 0) {
            return false;
        }
    }
    return found == named;
}

static void replace_text(struct str *field, struct str text)
{
    if (text.len > 0) {
        free((void *)(uintptr_t)field->at);
        *field = session_copy_text(text);
    }
}

static void set_info(struct session *session, struct str info)
{
    replace_text(&session->info, info);
}

static void on_refresh_reply(struct session *session, struct str text, const struct proxy_reply *reply,
                             struct buf *scratch)
{
    (void)text;
    struct proxy_refresh_result result;
    struct proxy_reply failure;
    if (reply->verdict == PROXY_RESULT && !proxy_read_refresh(reply->result, scratch, &result)) {
        failure = session_malformed_result(session, "refresh");
        reply = &failure;
    }
    switch (reply->verdict) {
    case PROXY_RESULT:
        if (result.is_expired || (result.expire_at_s != 0 && session_ttl_s(result.expire_at_s) == 0)) {
            session_disconnect(session, &DISCONNECT_EXPIRED);
            return;
        }
        set_info(session, result.info);
        replace_text(&session->meta, result.meta);
        set_expiry(session, result.expire_at_s);
        break;
    case PROXY_NOTHING: session_disconnect(session, &DISCONNECT_EXPIRED); return;
    case PROXY_DISCONNECT: session_disconnect(session, &reply->disconnect); return;
    case PROXY_ERROR:
    case PROXY_FAILURE: session->expire_due_ms = session->worker->now_ms + PROXY_GRACE_MS; break;
    }
    connection_schedule(session->connection);
}

void session_on_expired(struct session *session)
{
    struct proxy *proxy =
        session->is_refreshed_by_proxy ? proxies_find(session->worker->proxies, PROXY_REFRESH, NULL) : NULL;
    struct proxy_request request = {0};
    if (proxy == NULL) {
        session_disconnect(session, &DISCONNECT_EXPIRED);
    } else if (session_ask(session, proxy, PROXY_REFRESH, &request, STR(""), on_refresh_reply)) {
        session->expire_due_ms = 0; /* the answer sets it */
    } else {
        session->expire_due_ms = session->worker->now_ms + PROXY_GRACE_MS;
    }
}

void session_on_refresh(struct session *session, const struct command *command)
{
    struct connection_claims claims = {0};
    struct token_refusal refusal = {0};
    if (command->refresh.token.len == 0) {
        session_disconnect(session, &DISCONNECT_BAD_REQUEST);
        return;
    }
    enum status status = tokens_verify_connection(session->worker, command->refresh.token, &claims, &refusal);
    if (status == STATUS_BUSY) {
        session_reply_error(session, command->id, status);
        return;
    }
    if (status != STATUS_OK) {
        log_token_refusal(session, &refusal);
        session_disconnect(session, status == STATUS_TOKEN_EXPIRED ? &DISCONNECT_EXPIRED
                                    : status == STATUS_NO_MEMORY   ? &DISCONNECT_INTERNAL
                                                                   : &DISCONNECT_INVALID_TOKEN);
        return;
    }
    if (!str_equal(claims.user, user_name(session->user))) {
        session_disconnect(session, &DISCONNECT_INVALID_TOKEN);
    } else if (claims.expire_at_s != 0 && session_ttl_s(claims.expire_at_s) == 0) {
        session_disconnect(session, &DISCONNECT_EXPIRED);
    } else if (!has_same_channels(session, &claims)) {
        session_disconnect(session, &DISCONNECT_INSUFFICIENT_STATE);
    } else {
        set_info(session, claims.info);
        set_expiry(session, claims.expire_at_s);
        connection_schedule(session->connection);
        protocol_append_refresh(session_reply_buf(), command->id,
                                &(struct refresh_view){.client = session_client(session),
                                                       .version = STR("Starling " STARLING_VERSION),
                                                       .expires = claims.expire_at_s != 0,
                                                       .ttl_s = session_ttl_s(claims.expire_at_s)});
        session_send_reply(session);
    }
    connection_claims_release(&claims);
}

void session_refresh(struct session *session, bool is_expired, uint64_t expire_at_s, struct str info)
{
    if (session->state != SESSION_CONNECTED) {
        return;
    }
    if (is_expired || (expire_at_s != 0 && session_ttl_s(expire_at_s) == 0)) {
        session_disconnect(session, &DISCONNECT_EXPIRED);
        return;
    }
    set_info(session, info);
    set_expiry(session, expire_at_s);
    connection_schedule(session->connection);
    protocol_push_refresh(session_reply_buf(), PUSH_WRAPPED, expire_at_s != 0, session_ttl_s(expire_at_s));
    session_send_reply(session);
}

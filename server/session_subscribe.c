/* session_subscribe.c - the subscriptions of a session: by its own commands, by the server, and their end.
 *
 *     begin: row (not live) ─▶ OP_SUBSCRIBE to the channel's home ─▶ answer: reply first, then live
 *     end:   row out at once ─▶ OP_UNSUBSCRIBE to the home: count, presence, leave
 */
#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/must.h"
#include "server/access.h"
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

static struct str chan_info_of(const struct subscription *subscription)
{
    return subscription->extra == NULL ? STR("") : extra_of(subscription)->info;
}

void session_free_extra(struct subscription *subscription)
{
    if (subscription->extra != NULL) {
        free((void *)(uintptr_t)extra_of(subscription)->info.at);
        free(subscription->extra);
        subscription->extra = NULL;
    }
}

/* ---- begin ---- */

static bool overridden(bool option, enum override_flag flag)
{
    return flag == OVERRIDE_UNSET ? option : flag == OVERRIDE_TRUE;
}

struct session_sub_features session_server_features(const struct channel_options *options,
                                                    const struct token_override *override)
{
    bool has_history = channel_has_history(options);
    bool recoverable = has_history && overridden(options->force_recovery, override->force_recovery);
    return (struct session_sub_features){
        .options = options,
        .presence = overridden(options->presence, override->presence),
        .join_leave = overridden(options->join_leave, override->join_leave),
        .receives_join_leave = overridden(options->force_push_join_leave, override->force_push_join_leave),
        .recoverable = recoverable,
        .positioned = recoverable ||
                      (has_history && overridden(options->force_positioning, override->force_positioning)),
    };
}

static bool attach_extra(struct session *session, struct subscription *subscription,
                         const struct session_sub_start *start)
{
    if (start->chan_info.len == 0 && start->expire_at_s == 0) {
        return true;
    }
    struct session_subscription *extra = calloc(1, sizeof *extra);
    if (extra == NULL) {
        return false;
    }
    extra->info = session_copy_text(start->chan_info);
    extra->is_refreshed_by_proxy = start->is_refreshed_by_proxy;
    session_set_sub_expiry(session, extra, start->expire_at_s);
    subscription->extra = extra;
    return start->chan_info.len == 0 || extra->info.at != NULL;
}

static struct op *subscribe_op(struct session *session, const struct session_sub_start *start,
                               struct str info)
{
    struct str client = session_client(session), user = user_name(session->user);
    struct op *op =
        op_new(OP_SUBSCRIBE, start->channel.len + client.len + user.len + info.len + start->since.epoch.len);
    if (op == NULL) {
        return NULL;
    }
    const struct session_sub_features *features = &start->features;
    op->options = features->options;
    op->channel = op_text(op, start->channel);
    op->done = start->done;
    op->command_id = start->command_id;
    op->context2 = start->context2;
    op->subscribe.client = op_text(op, client);
    op->subscribe.user = op_text(op, user);
    op->subscribe.info = op_text(op, info);
    op->subscribe.with_presence = features->presence;
    op->subscribe.with_join_leave = features->join_leave;
    op->subscribe.wants_position = features->positioned;
    op->subscribe.is_recovering = start->is_recovering;
    op->subscribe.is_cache_mode = start->is_cache_mode;
    op->subscribe.must_recover = start->is_recovering && start->must_recover;
    op->subscribe.since =
        (struct position){.offset = start->since.offset, .epoch = op_text(op, start->since.epoch)};
    op->subscribe.recover_max = session->worker->config->client_recovery_max_publication_limit;
    return op;
}

static uint32_t start_flags(const struct session_sub_start *start)
{
    return (uint32_t)SESSION_SUBSCRIPTION_STARTING |
           (start->features.positioned ? SUBSCRIPTION_POSITIONED : 0u) |
           (start->features.recoverable ? SUBSCRIPTION_RECOVERABLE : 0u) |
           (start->features.receives_join_leave ? SUBSCRIPTION_JOIN_LEAVE : 0u) |
           (start->features.presence ? SUBSCRIPTION_IN_PRESENCE : 0u) |
           (start->features.join_leave ? SUBSCRIPTION_ANNOUNCED : 0u) |
           (start->is_server_side ? SUBSCRIPTION_SERVER_SIDE : 0u) |
           (start->is_from_token ? (uint32_t)SESSION_SUBSCRIPTION_FROM_TOKEN : 0u);
}

enum status session_begin_subscription(struct session *session, const struct session_sub_start *start)
{
    struct worker *worker = session->worker;
    struct subscription *subscription =
        hub_add(worker->hub, &session->subscriber, start->channel, start->features.options);
    if (subscription == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct buf info = {0};
    if (start->features.presence || start->features.join_leave) {
        session_append_info(session, start->chan_info, &info);
    }
    struct op *op = NULL;
    if (!info.failed && attach_extra(session, subscription, start)) {
        op = subscribe_op(session, start, buf_str(&info));
    }
    buf_release(&info);
    if (op == NULL) {
        session_forget_subscription(session, subscription);
        return STATUS_NO_MEMORY;
    }
    uint32_t flags = start_flags(start);
    if (session->has_channel_place && !start->is_server_side) {
        session->has_channel_place = false;
        flags |= SESSION_SUBSCRIPTION_COUNTED;
    }
    subscription_set_flags(worker->hub, subscription, flags, 0);
    op->subscribe.subscription = subscription;
    session_start_op(session, op);
    if (session->connection != NULL) {
        connection_schedule(session->connection);
    }
    return STATUS_OK;
}

bool session_subscription_arrived(struct session *session, struct op *op)
{
    struct subscription *subscription = op->subscribe.subscription;
    subscription_set_flags(session->worker->hub, subscription, 0, SESSION_SUBSCRIPTION_STARTING);
    if (session_is_open(session)) {
        return session_op_done(session);
    }
    if (op->status == STATUS_OK) {
        session_end_subscription(session, subscription, NULL, 0);
    } else {
        session_forget_subscription(session, subscription);
    }
    op_free(op);
    return session_op_done(session);
}

/* ---- end ---- */

void session_forget_subscription(struct session *session, struct subscription *subscription)
{
    if ((subscription->flags & SESSION_SUBSCRIPTION_COUNTED) != 0) {
        session_give_back_channel(session);
    }
    session_free_extra(subscription);
    hub_remove(session->worker->hub, subscription);
}

static void on_left(struct op *op)
{
    (void)session_op_done(op->context);
    op_free(op);
}

void session_end_subscription(struct session *session, struct subscription *subscription,
                              void (*done)(struct op *), uint32_t command_id)
{
    struct str channel = channel_name(subscription->channel);
    struct str client = session_client(session), user = user_name(session->user);
    struct buf info = {0};
    if ((subscription->flags & SUBSCRIPTION_LIVE) != 0 && session->connecting == NULL) {
        session_tell(session, WEBHOOK_UNSUBSCRIBED, channel);
    }
    bool is_announced = (subscription->flags & SUBSCRIPTION_ANNOUNCED) != 0;
    if (is_announced) {
        session_append_info(session, chan_info_of(subscription), &info);
    }
    size_t text_bytes = channel.len + client.len + user.len + info.len;
    struct op *op = op_new(OP_UNSUBSCRIBE, text_bytes);
    while (op == NULL && worker_use_reserve(session->worker)) {
        op = op_new(OP_UNSUBSCRIBE, text_bytes);
    }
    must(op != NULL); /* without it the home would count a subscriber that is gone, for ever */
    op->options = channel_options_of(subscription->channel);
    op->channel = op_text(op, channel);
    op->done = done != NULL ? done : on_left;
    op->command_id = command_id;
    op->unsubscribe.client = op_text(op, client);
    op->unsubscribe.user = op_text(op, user);
    op->unsubscribe.info = op_text(op, buf_str(&info));
    op->unsubscribe.with_presence = (subscription->flags & SUBSCRIPTION_IN_PRESENCE) != 0;
    op->unsubscribe.with_join_leave = is_announced && !info.failed;
    buf_release(&info);
    session_forget_subscription(session, subscription);
    session_start_op(session, op);
}

/* ---- the answer ---- */

void session_subscribe_result(const struct session *session, const struct op *op, struct buf *publications,
                              struct subscribe_view *view)
{
    const struct subscription *subscription = op->subscribe.subscription;
    bool recovered = op->subscribe.is_recovering && op->subscribe.recovered;
    struct metrics *metrics = &session->worker->metrics;
    if (op->subscribe.is_recovering) {
        metrics->recovered_total += recovered ? 1 : 0;
        metrics->not_recovered_total += recovered ? 0 : 1;
        metrics->recovered_publications_total += op->message_count;
    }
    for (size_t i = 0; i < op->message_count; i++) {
        const struct message *message = op->messages[i];
        protocol_add_publication(publications, &(struct publication_view){.data = message->data,
                                                                          .info = message->info,
                                                                          .tags = message->tags,
                                                                          .offset = message->offset});
    }
    bool is_positioned = (subscription->flags & SUBSCRIPTION_POSITIONED) != 0;
    bool starts_at_request = recovered && !op->subscribe.is_cache_mode;
    const struct session_subscription *extra = extra_of(subscription);
    bool client_refreshes = extra != NULL && !extra->is_refreshed_by_proxy;
    uint64_t expire_due_ms = client_refreshes ? extra->expire_due_ms : 0;
    uint64_t grace_ms = client_refreshes ? session_sub_grace_ms(session, extra) : 0;
    uint64_t left_ms = expire_due_ms > session->worker->now_ms + grace_ms
                           ? expire_due_ms - session->worker->now_ms - grace_ms
                           : 0;
    *view = (struct subscribe_view){
        .expires = expire_due_ms != 0,
        .ttl_s = (uint32_t)((left_ms + 999) / 1000),
        .recoverable = (subscription->flags & SUBSCRIPTION_RECOVERABLE) != 0,
        .positioned = is_positioned,
        .epoch = is_positioned ? op->top.epoch : STR(""),
        /* A recovering client counts on from where it was, by the publications it gets (PROTOCOL
           section 7.3). */
        .offset = !is_positioned      ? 0
                  : starts_at_request ? op->subscribe.since.offset
                                      : op->top.offset,
        .publications = buf_str(publications),
        .recovered = recovered,
        .was_recovering = op->subscribe.is_recovering,
    };
}

/* ---- commands ---- */

static void on_subscribed(struct op *op)
{
    struct session *session = op->context;
    char *data = op->context2; /* for the reply or push: from the token or the API, owned */
    if (!session_subscription_arrived(session, op)) {
        free(data);
        return;
    }
    struct subscription *subscription = op->subscribe.subscription;
    if (op->status != STATUS_OK) {
        session_forget_subscription(session, subscription);
        session_reply_error(session, op->command_id, op->status);
    } else {
        struct subscribe_view view;
        struct buf publications = {0};
        session_subscribe_result(session, op, &publications, &view);
        view.data = str_from_cstr(data);
        struct buf *reply = session_reply_buf();
        protocol_append_subscribe(reply, op->command_id, &view);
        reply->failed = reply->failed || publications.failed;
        buf_release(&publications);
        session_send_reply(session);
        if (session_is_open(session)) {
            session_tell(session, WEBHOOK_SUBSCRIBED, op->channel);
            hub_go_live(session->worker->hub, subscription, op->top);
        }
    }
    free(data);
    op_free(op);
    session_go_on(session);
}

/* Verifies a subscription token and says what it grants. false: answered. */
static bool check_token(struct session *session, const struct command *command,
                        struct subscription_claims *claims)
{
    struct token_refusal refusal = {0};
    enum status status =
        tokens_verify_subscription(session->worker, command->subscribe.token, claims, &refusal);
    if (status == STATUS_OK) {
        status = access_check_subscription(claims, user_name(session->user), command->subscribe.channel,
                                           session_client(session), clock_wall_ms() / 1000, &refusal);
        if (status == STATUS_INVALID_TOKEN) {
            log_info("subscription_token_refused", {"client", log_text(session_client(session))},
                     {"channel", log_text(command->subscribe.channel)}, {"rule", log_cstr(refusal.rule)});
            session_disconnect(session, &DISCONNECT_INVALID_TOKEN);
            return false;
        }
    }
    if (status == STATUS_OK) {
        return true;
    }
    session_refuse(session,
                   &(struct session_refusal){
                       .event = "subscription_token_refused",
                       .command_id = command->id,
                       .status = status == STATUS_INVALID_TOKEN ? STATUS_PERMISSION_DENIED : status,
                       .channel = command->subscribe.channel,
                       .why = {.rule = refusal.rule == NULL ? "no key for subscription tokens" : refusal.rule,
                               .option = ""}});
    return false;
}

/* Everything about a subscribe that is decided here, before the channel's home is asked. */
static enum status check_subscribe(struct session *session, const struct subscribe_request *request,
                                   const struct channel_options **options, struct refusal *why)
{
    const struct config *config = session->worker->config;
    enum status status = channel_rules_resolve_why(&config->channels, request->channel, options, why);
    if (status != STATUS_OK) {
        return status;
    }
    if (hub_find(session->worker->hub, &session->subscriber, request->channel) != NULL) {
        *why = (struct refusal){"the connection is subscribed to it already", ""};
        return STATUS_ALREADY_SUBSCRIBED;
    }
    if (session->subscriber.subscription_count >= config->client_channel_limit) {
        *why = (struct refusal){"the connection has as many channels as it may", "client.channel_limit"};
        return STATUS_LIMIT_EXCEEDED;
    }
    if (request->type != SUBSCRIPTION_TYPE_STREAM) {
        *why = (struct refusal){"channels of this server hold streams, no maps", ""};
        return STATUS_PERMISSION_DENIED;
    }
    if (request->tf.len > 0) {
        *why = (struct refusal){"this server has no publication filters", ""};
        return STATUS_BAD_REQUEST;
    }
    return STATUS_OK;
}

static struct session_sub_features client_features(const struct session *session,
                                                   const struct channel_options *options,
                                                   const struct subscribe_request *request,
                                                   const struct token_override *override)
{
    struct session_sub_features features = session_server_features(options, override);
    bool has_history = channel_has_history(options);
    features.recoverable =
        features.recoverable || (has_history && options->allow_recovery && request->recoverable);
    features.positioned = features.positioned || features.recoverable ||
                          (has_history && options->allow_positioning && request->positioned);
    if (!features.receives_join_leave && request->join_leave && options->join_leave) {
        struct client_view view = session_view(session, true);
        features.receives_join_leave = permit_presence(options, &view, NULL) == STATUS_OK;
    }
    return features;
}

static enum status begin_client_subscription(struct session *session, const struct command *command,
                                             const struct channel_options *options,
                                             const struct subscription_claims *claims, bool is_proxied)
{
    const struct subscribe_request *request = &command->subscribe;
    char *data = claims->data.len == 0 ? NULL : str_to_cstr(claims->data);
    if (claims->data.len > 0 && data == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct session_sub_start start = {
        .channel = request->channel,
        .features = client_features(session, options, request, &claims->override),
        .chan_info = claims->info,
        .expire_at_s = claims->expire_at_s,
        .is_refreshed_by_proxy = is_proxied && options->sub_refresh_proxy_enabled,
        .since = {.offset = request->offset, .epoch = request->epoch},
        .done = on_subscribed,
        .command_id = command->id,
        .context2 = data,
    };
    start.is_cache_mode = options->force_recovery_mode == RECOVERY_CACHE;
    start.is_recovering = start.features.recoverable &&
                          (request->recover || (start.is_cache_mode && options->auto_cache_recover));
    start.must_recover = (request->flag & SUBSCRIBE_FLAG_REJECT_UNRECOVERABLE) != 0;
    enum status status = session_begin_subscription(session, &start);
    if (status != STATUS_OK) {
        free(data);
    }
    return status;
}

/* The proxy that decides on a subscribe without a token; NULL: the options do (PROTOCOL section 10). */
static struct proxy *subscribe_proxy(const struct session *session, const struct channel_options *options,
                                     struct str channel)
{
    const struct channel_rules *rules = &session->worker->config->channels;
    bool is_asked = options->subscribe_proxy_enabled && !channel_is_private(rules, channel) &&
                    !channel_is_user_limited(rules, options, channel);
    return is_asked ? proxies_find(session->worker->proxies, PROXY_SUBSCRIBE, options->subscribe_proxy_name)
                    : NULL;
}

/* The proxy allowed it: checks again what may have changed meanwhile. true: the subscription is on its way.
 */
static bool on_subscribe_result(struct session *session, const struct command *command,
                                const struct subscription_claims *claims)
{
    const struct channel_options *options = NULL;
    struct session_refusal refusal = {
        .event = "subscribe_refused", .command_id = command->id, .channel = command->subscribe.channel};
    refusal.status = check_subscribe(session, &command->subscribe, &options, &refusal.why);
    if (refusal.status != STATUS_OK) {
        session_refuse(session, &refusal);
        return false;
    }
    bool is_past = claims->expire_at_s != 0 && session_ttl_s(claims->expire_at_s) == 0;
    enum status status =
        is_past ? STATUS_EXPIRED : begin_client_subscription(session, command, options, claims, true);
    if (status != STATUS_OK) {
        session_reply_error(session, command->id, status);
    }
    return status == STATUS_OK;
}

static void on_subscribe_reply(struct session *session, struct str text, const struct proxy_reply *reply,
                               struct buf *scratch)
{
    (void)scratch;
    struct command command;
    struct buf texts = {0};
    struct subscription_claims claims = {0};
    struct proxy_reply failure;
    bool is_begun = false;
    bool is_read = session_read_again(text, &command, &texts);
    if (reply->verdict == PROXY_RESULT && !proxy_read_subscribe(reply->result, &claims)) {
        failure = session_malformed_result(session, "subscribe");
        reply = &failure;
    }
    if (!is_read) {
        session_reply_error(session, command.id, STATUS_NO_MEMORY);
    } else if (reply->verdict == PROXY_RESULT) {
        is_begun = on_subscribe_result(session, &command, &claims);
    } else {
        session_reply_verdict(session, command.id, reply);
    }
    subscription_claims_release(&claims);
    buf_release(&texts);
    if (is_begun) {
        return;
    }
    if (session->has_channel_place) { /* taken for this subscription (session_limits.c) */
        session->has_channel_place = false;
        session_give_back_channel(session);
    }
    session_go_on(session);
}

void session_on_subscribe(struct session *session, const struct command *command)
{
    const struct subscribe_request *request = &command->subscribe;
    const struct channel_options *options = NULL;
    struct subscription_claims claims = {0};
    if (request->delta.len > 0 && !str_is(request->delta, "fossil")) {
        session_disconnect(session, &DISCONNECT_BAD_REQUEST); /* PROTOCOL section 8 */
        return;
    }
    struct session_refusal refusal = {
        .event = "subscribe_refused", .command_id = command->id, .channel = request->channel};
    refusal.status = check_subscribe(session, request, &options, &refusal.why);
    bool has_token = request->token.len > 0;
    struct proxy *proxy = refusal.status == STATUS_OK && !has_token
                              ? subscribe_proxy(session, options, request->channel)
                              : NULL;
    if (refusal.status == STATUS_OK && !has_token && proxy == NULL) {
        struct client_view view = session_view(session, false);
        refusal.options = options;
        refusal.status = permit_subscribe(&session->worker->config->channels, options, request->channel,
                                          &view, &refusal.why);
    }
    if (refusal.status != STATUS_OK) {
        session_refuse(session, &refusal);
        return;
    }
    if (proxy != NULL) {
        struct proxy_request question = {.channel = request->channel, .data = request->data};
        session_ask_for_command(session, proxy, PROXY_SUBSCRIBE, &question, command, on_subscribe_reply);
        return;
    }
    if (has_token && !check_token(session, command, &claims)) {
        subscription_claims_release(&claims);
        return;
    }
    session_wait(session);
    enum status status = begin_client_subscription(session, command, options, &claims, false);
    subscription_claims_release(&claims);
    if (status != STATUS_OK) {
        session->is_waiting = false;
        connection_resume(session->connection, PAUSE_SESSION);
        session_reply_error(session, command->id, status);
    }
}

static void on_unsubscribed(struct op *op)
{
    struct session *session = op->context;
    if (session_op_done(session)) {
        protocol_append_unsubscribe(session_reply_buf(), op->command_id);
        session_send_reply(session);
    }
    op_free(op);
}

void session_on_unsubscribe(struct session *session, const struct command *command)
{
    struct str channel = command->unsubscribe.channel;
    if (channel.len == 0) {
        session_reply_error(session, command->id, STATUS_BAD_REQUEST);
        return;
    }
    struct subscription *subscription = hub_find(session->worker->hub, &session->subscriber, channel);
    if (subscription == NULL) {
        protocol_append_unsubscribe(session_reply_buf(), command->id);
        session_send_reply(session);
    } else if ((subscription->flags & SESSION_SUBSCRIPTION_STARTING) != 0) {
        /* The server is subscribing it just now, and the answer is on its way: the client may try again. */
        session_reply_error(session, command->id, STATUS_TOO_MANY_REQUESTS);
    } else {
        session_end_subscription(session, subscription, on_unsubscribed, command->id);
    }
}

/* ---- by the server ---- */

static void push_recovered(struct session *session, const struct op *op)
{
    for (size_t i = 0; i < op->message_count && session_is_open(session); i++) {
        const struct message *message = op->messages[i];
        protocol_push_publication(session_reply_buf(), PUSH_WRAPPED, op->channel,
                                  &(struct publication_view){.data = message->data,
                                                             .info = message->info,
                                                             .tags = message->tags,
                                                             .offset = message->offset});
        session_send_reply(session);
    }
}

static void on_server_subscribed(struct op *op)
{
    struct session *session = op->context;
    char *data = op->context2; /* for the reply or push: from the token or the API, owned */
    if (!session_subscription_arrived(session, op)) {
        free(data);
        return;
    }
    struct subscription *subscription = op->subscribe.subscription;
    if (op->status != STATUS_OK) {
        session_forget_subscription(session, subscription);
    } else {
        bool is_positioned = (subscription->flags & SUBSCRIPTION_POSITIONED) != 0;
        bool recovered = op->subscribe.is_recovering && op->subscribe.recovered;
        protocol_push_subscribe(session_reply_buf(), PUSH_WRAPPED, op->channel,
                                &(struct subscribe_push_view){
                                    .recoverable = (subscription->flags & SUBSCRIPTION_RECOVERABLE) != 0,
                                    .positioned = is_positioned,
                                    .epoch = is_positioned ? op->top.epoch : STR(""),
                                    .offset = !is_positioned ? 0
                                              : recovered    ? op->subscribe.since.offset
                                                             : op->top.offset,
                                    .data = str_from_cstr(data)});
        session_send_reply(session);
        push_recovered(session, op);
        if (session_is_open(session)) {
            session_tell(session, WEBHOOK_SUBSCRIBED, op->channel);
            hub_go_live(session->worker->hub, subscription, op->top);
        }
    }
    free(data);
    op_free(op);
}

static enum override_flag override_from(signed char value)
{
    return value < 0 ? OVERRIDE_UNSET : value == 0 ? OVERRIDE_FALSE : OVERRIDE_TRUE;
}

void session_subscribe(struct session *session, const struct session_subscribe_options *options)
{
    const struct channel_options *channel_options;
    const struct config *config = session->worker->config;
    if (session->state != SESSION_CONNECTED ||
        channel_rules_resolve(&config->channels, options->channel, &channel_options) != STATUS_OK ||
        hub_find(session->worker->hub, &session->subscriber, options->channel) != NULL) {
        return;
    }
    const struct token_override override = {.presence = override_from(options->presence),
                                            .join_leave = override_from(options->join_leave),
                                            .force_push_join_leave =
                                                override_from(options->force_push_join_leave),
                                            .force_recovery = override_from(options->force_recovery),
                                            .force_positioning = override_from(options->force_positioning)};
    char *data = options->data.len == 0 ? NULL : str_to_cstr(options->data);
    struct session_sub_start start = {.channel = options->channel,
                                      .features = session_server_features(channel_options, &override),
                                      .chan_info = options->info,
                                      .expire_at_s = options->expire_at_s,
                                      .is_refreshed_by_proxy = channel_options->sub_refresh_proxy_enabled,
                                      .is_server_side = true,
                                      .is_recovering = options->has_recover_since,
                                      .since = options->recover_since,
                                      .done = on_server_subscribed,
                                      .context2 = data};
    start.is_recovering = start.is_recovering && start.features.recoverable;
    if ((options->data.len > 0 && data == NULL) || session_begin_subscription(session, &start) != STATUS_OK) {
        free(data);
        log_warn("server_subscribe_failed", {"client", log_text(session_client(session))},
                 {"channel", log_text(options->channel)});
    }
}

void session_unsubscribe(struct session *session, struct str channel, const struct unsubscribe *unsubscribe)
{
    if (session->state != SESSION_CONNECTED) {
        return;
    }
    list_each_safe (&session->subscriber.subscriptions, link) {
        struct subscription *subscription = container_of(link, struct subscription, in_subscriber);
        struct str name = channel_name(subscription->channel);
        bool is_meant = channel.len == 0 || str_equal(name, channel);
        if (!is_meant || (subscription->flags & SESSION_SUBSCRIPTION_STARTING) != 0) {
            continue;
        }
        protocol_push_unsubscribe(session_reply_buf(), PUSH_WRAPPED, name, unsubscribe);
        session_end_subscription(session, subscription, NULL, 0);
        session_send_reply(session);
        if (!session_is_open(session)) {
            return; /* the list is gone */
        }
    }
}

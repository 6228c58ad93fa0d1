/* session_limits.c - limits that several connections share: publications of a user, of an address, into a
 * channel; channels of a user.
 *
 *     command ─▶ on? ─▶ its key's home (quota.h) ─▶ next limit ─▶ … ─▶ handled, or refused
 *
 * A command that has to be asked for waits as one for a proxy does, kept as the text it came in, so that
 * commands of a connection stay in order. Where the limits are off, nothing is asked and nothing costs.
 */
#include "channels/base/log.h"
#include "server/connection.h"
#include "server/quota.h"
#include "server/session_private.h"
#include "server/users.h"
#include "server/worker.h"

#include <stddef.h>
#include <stdlib.h>

/* One publish limit: where its options and its counter are. */
static const struct publish_limit {
    const char *name;
    size_t mode, rate, burst; /* offsets in struct config */
    size_t counter;           /* in struct metrics */
} publish_limits[] = {
    {"limits.user_publish_rate", offsetof(struct config, limits_user_publish_mode),
     offsetof(struct config, limits_user_publish_rate), offsetof(struct config, limits_user_publish_burst),
     offsetof(struct metrics, publish_user_limited_total)},
    {"limits.ip_publish_rate", offsetof(struct config, limits_ip_publish_mode),
     offsetof(struct config, limits_ip_publish_rate), offsetof(struct config, limits_ip_publish_burst),
     offsetof(struct metrics, publish_ip_limited_total)},
    {"limits.channel_publish_rate", offsetof(struct config, limits_channel_publish_mode),
     offsetof(struct config, limits_channel_publish_rate),
     offsetof(struct config, limits_channel_publish_burst),
     offsetof(struct metrics, publish_channel_limited_total)},
};

enum { LIMIT_USER, LIMIT_IP, LIMIT_CHANNEL, LIMIT_COUNT };

_Static_assert(sizeof publish_limits / sizeof publish_limits[0] == LIMIT_COUNT, "one row per limit");

/* A command that waits for its limits. */
struct waiting {
    struct session *session;
    unsigned limit; /* of publish_limits: the one that is asked */
    size_t channel_len, text_len;
    char text[]; /* the channel, then the command */
};

static struct str channel_of(const struct waiting *waiting)
{
    return str_make(waiting->text, waiting->channel_len);
}

static enum config_limit_mode mode_of(const struct config *config, unsigned limit)
{
    enum config_limit_mode mode;
    memcpy(&mode, (const char *)config + publish_limits[limit].mode, sizeof mode);
    return mode;
}

static uint32_t number_of(const struct config *config, size_t offset)
{
    uint32_t number;
    memcpy(&number, (const char *)config + offset, sizeof number);
    return number;
}

/* ---- the end of waiting ---- */

/* Publications over a rate come in floods: of them log_over() says enough, where nobody is developing. */
static void refuse(struct waiting *waiting, const struct command *command, enum status status,
                   const char *rule, const char *option)
{
    struct session *session = waiting->session;
    bool is_publish = command->kind == COMMAND_PUBLISH;
    const struct session_refusal refusal = {.event = is_publish ? "publish_refused" : "subscribe_refused",
                                            .command_id = command->id,
                                            .status = status,
                                            .channel = channel_of(waiting),
                                            .why = {rule, option}};
    if (is_publish && !session->worker->config->is_dev) {
        session_reply_error(session, command->id, status);
    } else {
        session_refuse(session, &refusal);
    }
}

/* Decodes the command again, and handles it where `status` is OK; else it is refused by `rule`. */
static void end_wait(struct waiting *waiting, enum status status, const char *rule, const char *option)
{
    struct session *session = waiting->session;
    struct command command;
    struct buf texts = {0};
    bool is_read = session_read_again(str_make(waiting->text + waiting->channel_len, waiting->text_len),
                                      &command, &texts);
    session->is_waiting = false;
    if (!is_read) {
        session_reply_error(session, command.id, STATUS_NO_MEMORY);
    } else if (status == STATUS_OK) {
        session_handle(session, &command);
    } else if (rule == NULL) {
        session_reply_error(session, command.id, status);
    } else {
        refuse(waiting, &command, status, rule, option);
    }
    buf_release(&texts);
    free(waiting);
    if (!session_is_open(session) || session->is_waiting) {
        return; /* the command has something else to wait for */
    }
    if (session->has_channel_place) { /* it was refused after all */
        session->has_channel_place = false;
        session_give_back_channel(session);
    }
    session->is_waiting = true;
    session_go_on(session);
}

/* ---- publish ---- */

static void ask_next(struct waiting *waiting);

static void log_over(const struct waiting *waiting, enum config_limit_mode mode)
{
    struct session *session = waiting->session;
    char address[ADDRESS_TEXT_MAX];
    log_warn("publish_rate_exceeded", {"limit", log_cstr(publish_limits[waiting->limit].name)},
             {"mode", log_cstr(mode == LIMIT_MODE_HARD ? "hard" : "soft")},
             {"user", log_text(user_name(session->user))}, {"channel", log_text(channel_of(waiting))},
             {"address", log_text(address_text(session->connection->address, address))});
}

static void on_publish_verdict(void *context, enum quota_verdict verdict)
{
    struct waiting *waiting = context;
    struct session *session = waiting->session;
    const struct publish_limit *limit = &publish_limits[waiting->limit];
    if (!session_op_done(session)) {
        free(waiting);
        return;
    }
    enum config_limit_mode mode = mode_of(session->worker->config, waiting->limit);
    if (verdict == QUOTA_OVER_RATE) {
        char *counters = (char *)&session->worker->metrics;
        (*(uint64_t *)(void *)(counters + limit->counter))++;
        log_over(waiting, mode);
    }
    if (verdict != QUOTA_OK && mode == LIMIT_MODE_HARD) {
        end_wait(waiting, verdict == QUOTA_OVER_RATE ? STATUS_TOO_MANY_REQUESTS : STATUS_BUSY,
                 verdict == QUOTA_OVER_RATE ? "more publications than the rate allows" : NULL, limit->name);
        return;
    }
    waiting->limit++;
    ask_next(waiting);
}

static void append_key(const struct waiting *waiting, struct buf *key)
{
    const struct session *session = waiting->session;
    char address[ADDRESS_TEXT_MAX];
    if (waiting->limit == LIMIT_USER) {
        buf_append_lit(key, "publish user:");
        buf_append_str(key, user_name(session->user));
    } else if (waiting->limit == LIMIT_IP) {
        buf_append_lit(key, "publish ip:");
        buf_append_str(key, address_text(session->connection->address, address));
    } else {
        buf_append_lit(key, "publish channel:");
        buf_append_str(key, channel_of(waiting));
    }
}

static bool is_asked(const struct session *session, unsigned limit)
{
    return mode_of(session->worker->config, limit) != LIMIT_MODE_OFF &&
           (limit != LIMIT_USER || user_name(session->user).len > 0);
}

static void ask_next(struct waiting *waiting)
{
    struct session *session = waiting->session;
    const struct config *config = session->worker->config;
    while (waiting->limit < LIMIT_COUNT && !is_asked(session, waiting->limit)) {
        waiting->limit++;
    }
    if (waiting->limit == LIMIT_COUNT) {
        end_wait(waiting, STATUS_OK, NULL, "");
        return;
    }
    const struct publish_limit *limit = &publish_limits[waiting->limit];
    struct buf key = {0};
    append_key(waiting, &key);
    if (key.failed) {
        end_wait(waiting, STATUS_NO_MEMORY, NULL, "");
        return;
    }
    session->subscriber.ops_pending++;
    quota_take(session->worker, buf_str(&key), number_of(config, limit->rate),
               number_of(config, limit->burst), on_publish_verdict, waiting);
    buf_release(&key);
}

/* ---- subscribe ---- */

static void append_channels_key(const struct session *session, struct buf *key)
{
    buf_append_lit(key, "channels of user:");
    buf_append_str(key, user_name(session->user));
}

void session_give_back_channel(struct session *session)
{
    struct buf key = {0};
    append_channels_key(session, &key);
    if (!key.failed) { /* without memory the place stays taken: stricter, never looser */
        quota_leave(session->worker, buf_str(&key));
    }
    buf_release(&key);
}

static void on_channel_verdict(void *context, enum quota_verdict verdict)
{
    struct waiting *waiting = context;
    struct session *session = waiting->session;
    bool is_open = session_op_done(session);
    if (!is_open) {
        if (verdict == QUOTA_OK) {
            session_give_back_channel(session);
        }
        free(waiting);
        return;
    }
    switch (verdict) {
    case QUOTA_OK:
        session->has_channel_place = true;
        end_wait(waiting, STATUS_OK, NULL, "");
        return;
    case QUOTA_OVER_COUNT:
    case QUOTA_OVER_RATE:
        session->worker->metrics.user_channels_limited_total++;
        end_wait(waiting, STATUS_LIMIT_EXCEEDED, "the user has as many channels as allowed",
                 "limits.user_channel_limit");
        return;
    case QUOTA_UNKNOWN: end_wait(waiting, STATUS_BUSY, NULL, ""); return;
    }
}

static void ask_for_channel(struct waiting *waiting)
{
    struct session *session = waiting->session;
    struct buf key = {0};
    append_channels_key(session, &key);
    if (key.failed) {
        end_wait(waiting, STATUS_NO_MEMORY, NULL, "");
        return;
    }
    session->subscriber.ops_pending++;
    quota_enter(session->worker, buf_str(&key),
                &(struct quota_limits){.count_max = session->worker->config->limits_user_channel_limit},
                on_channel_verdict, waiting);
    buf_release(&key);
}

/* ---- the beginning ---- */

static bool has_to_ask(const struct session *session, const struct command *command)
{
    if (command->kind == COMMAND_SUBSCRIBE) {
        return user_name(session->user).len > 0 && !session->has_channel_place;
    }
    return command->kind == COMMAND_PUBLISH &&
           (is_asked(session, LIMIT_USER) || is_asked(session, LIMIT_IP) || is_asked(session, LIMIT_CHANNEL));
}

bool session_limits_hold(struct session *session, const struct command *command)
{
    if (!has_to_ask(session, command)) {
        return false;
    }
    bool is_publish = command->kind == COMMAND_PUBLISH;
    struct str channel = is_publish ? command->publish.channel : command->subscribe.channel;
    struct waiting *waiting = malloc(sizeof *waiting + channel.len + command->text.len);
    if (waiting == NULL) {
        session_reply_error(session, command->id, STATUS_NO_MEMORY);
        return true;
    }
    *waiting =
        (struct waiting){.session = session, .channel_len = channel.len, .text_len = command->text.len};
    memcpy(waiting->text, channel.at != NULL ? channel.at : "", channel.len);
    memcpy(waiting->text + channel.len, command->text.at, command->text.len);
    session_wait(session);
    if (is_publish) {
        ask_next(waiting);
    } else {
        ask_for_channel(waiting);
    }
    return true;
}

/* Encoding. The order of members is that of the protocol's own definition, as PROTOCOL section 17 shows it.
 */
#include "server/protocol.h"

#include "server/json_span.h"

/* A member's name with quotes and colon, ready to append. */
#define NAME(literal) STR("\"" literal "\":")

/* Nothing we append ends in an opening bracket but the bracket of an object or list that is still empty, so
 * the last byte tells whether a comma is due. */
static void put_comma(struct buf *buf)
{
    if (buf->len > 0 && buf->at[buf->len - 1] != '{' && buf->at[buf->len - 1] != '[') {
        buf_append_char(buf, ',');
    }
}

static void put_name(struct buf *buf, struct str name)
{
    put_comma(buf);
    buf_append_str(buf, name);
}

/* The put functions leave zeros out. */

static void put_text(struct buf *buf, struct str name, struct str text)
{
    if (text.len > 0) {
        put_name(buf, name);
        buf_append_json_string(buf, text);
    }
}

static void put_raw(struct buf *buf, struct str name, struct str raw)
{
    if (raw.len > 0) {
        put_name(buf, name);
        json_append_compact_newlines(buf, raw);
    }
}

static void put_bool(struct buf *buf, struct str name, bool value)
{
    if (value) {
        put_name(buf, name);
        buf_append_lit(buf, "true");
    }
}

static void put_u64(struct buf *buf, struct str name, uint64_t value)
{
    if (value != 0) {
        put_name(buf, name);
        buf_append_u64(buf, value);
    }
}

static void put_i64(struct buf *buf, struct str name, int64_t value)
{
    if (value != 0) {
        put_name(buf, name);
        buf_append_i64(buf, value);
    }
}

static void put_list(struct buf *buf, struct str name, struct str items)
{
    if (items.len > 0) {
        put_name(buf, name);
        buf_append_char(buf, '[');
        buf_append_str(buf, items);
        buf_append_char(buf, ']');
    }
}

static void put_map(struct buf *buf, struct str name, struct str items)
{
    if (items.len > 0) {
        put_name(buf, name);
        buf_append_char(buf, '{');
        buf_append_str(buf, items);
        buf_append_char(buf, '}');
    }
}

static void begin_reply(struct buf *buf, uint32_t id, struct str name)
{
    buf_append_lit(buf, "{\"id\":");
    buf_append_u64(buf, id);
    put_name(buf, name);
    buf_append_char(buf, '{');
}

static void end_reply(struct buf *buf)
{
    buf_append_lit(buf, "}}");
}

static void begin_push(struct buf *buf, enum push_form form, struct str channel, struct str name)
{
    if (form == PUSH_WRAPPED) {
        buf_append_lit(buf, "{\"push\":{");
    } else {
        buf_append_char(buf, '{');
    }
    put_text(buf, NAME("channel"), channel);
    put_name(buf, name);
    buf_append_char(buf, '{');
}

static void end_push(struct buf *buf, enum push_form form)
{
    if (form == PUSH_WRAPPED) {
        buf_append_lit(buf, "}}}");
    } else {
        buf_append_lit(buf, "}}");
    }
}

/* -- common objects -------------------------------------------------------------------------------------- */

void protocol_append_client_info(struct buf *buf, const struct client_info_view *info)
{
    buf_append_lit(buf, "{\"user\":");
    buf_append_json_string(buf, info->user);
    buf_append_lit(buf, ",\"client\":");
    buf_append_json_string(buf, info->client);
    put_raw(buf, NAME("conn_info"), info->conn_info);
    put_raw(buf, NAME("chan_info"), info->chan_info);
    buf_append_char(buf, '}');
}

static void put_publication(struct buf *buf, const struct publication_view *publication)
{
    if (publication->data_is_text) {
        put_text(buf, NAME("data"), publication->data);
    } else {
        put_raw(buf, NAME("data"), publication->data);
    }
    put_raw(buf, NAME("info"), publication->info);
    put_u64(buf, NAME("offset"), publication->offset);
    put_raw(buf, NAME("tags"), publication->tags);
    put_bool(buf, NAME("delta"), publication->is_delta);
    put_i64(buf, NAME("time"), publication->time_ms);
    put_text(buf, NAME("channel"), publication->channel);
    put_text(buf, NAME("key"), publication->key);
    put_bool(buf, NAME("removed"), publication->removed);
    put_i64(buf, NAME("score"), publication->score);
    put_text(buf, NAME("epoch"), publication->epoch);
    put_u64(buf, NAME("version"), publication->version);
}

void protocol_add_publication(struct buf *items, const struct publication_view *publication)
{
    put_comma(items);
    buf_append_char(items, '{');
    put_publication(items, publication);
    buf_append_char(items, '}');
}

/* -- replies --------------------------------------------------------------------------------------------- */

void protocol_append_custom_error(struct buf *buf, uint32_t id, const struct error_view *error)
{
    begin_reply(buf, id, NAME("error"));
    put_u64(buf, NAME("code"), error->code);
    put_text(buf, NAME("message"), error->message);
    put_bool(buf, NAME("temporary"), error->is_temporary);
    end_reply(buf);
}

void protocol_append_error(struct buf *buf, uint32_t id, enum status status)
{
    enum status sent = status_code(status) == 0 ? STATUS_INTERNAL : status;
    struct error_view error = {
        .code = status_code(sent),
        .message = status_message(sent),
        .is_temporary = status_is_temporary(sent),
    };
    protocol_append_custom_error(buf, id, &error);
}

static void put_subscribe(struct buf *buf, const struct subscribe_view *result)
{
    put_bool(buf, NAME("expires"), result->expires);
    put_u64(buf, NAME("ttl"), result->ttl_s);
    put_bool(buf, NAME("recoverable"), result->recoverable);
    put_text(buf, NAME("epoch"), result->epoch);
    put_list(buf, NAME("publications"), result->publications);
    put_bool(buf, NAME("recovered"), result->recovered);
    put_u64(buf, NAME("offset"), result->offset);
    put_bool(buf, NAME("positioned"), result->positioned);
    put_raw(buf, NAME("data"), result->data);
    put_bool(buf, NAME("was_recovering"), result->was_recovering);
    put_bool(buf, NAME("delta"), result->delta);
    put_i64(buf, NAME("type"), result->type);
    put_i64(buf, NAME("phase"), result->phase);
    put_text(buf, NAME("cursor"), result->cursor);
    put_list(buf, NAME("state"), result->state);
    put_u64(buf, NAME("publish_debounce"), result->publish_debounce);
}

void protocol_append_subscribe(struct buf *buf, uint32_t id, const struct subscribe_view *result)
{
    begin_reply(buf, id, NAME("subscribe"));
    put_subscribe(buf, result);
    end_reply(buf);
}

/* The name of an entry in a map, with its colon. */
static void put_key(struct buf *items, struct str key)
{
    put_comma(items);
    buf_append_json_string(items, key);
    buf_append_char(items, ':');
}

void protocol_add_sub(struct buf *items, struct str channel, const struct subscribe_view *result)
{
    put_key(items, channel);
    buf_append_char(items, '{');
    put_subscribe(items, result);
    buf_append_char(items, '}');
}

static void put_connect(struct buf *buf, const struct connect_view *result)
{
    put_text(buf, NAME("client"), result->client);
    put_text(buf, NAME("version"), result->version);
    put_bool(buf, NAME("expires"), result->expires);
    put_u64(buf, NAME("ttl"), result->ttl_s);
    put_raw(buf, NAME("data"), result->data);
    put_map(buf, NAME("subs"), result->subs);
    put_u64(buf, NAME("ping"), result->ping_s);
    put_bool(buf, NAME("pong"), result->pong);
    put_text(buf, NAME("session"), result->session);
    put_text(buf, NAME("node"), result->node);
    put_i64(buf, NAME("time"), result->time_ms);
}

void protocol_append_connect(struct buf *buf, uint32_t id, const struct connect_view *result)
{
    begin_reply(buf, id, NAME("connect"));
    put_connect(buf, result);
    end_reply(buf);
}

void protocol_append_unsubscribe(struct buf *buf, uint32_t id)
{
    begin_reply(buf, id, NAME("unsubscribe"));
    end_reply(buf);
}

void protocol_append_publish(struct buf *buf, uint32_t id)
{
    begin_reply(buf, id, NAME("publish"));
    end_reply(buf);
}

void protocol_append_presence(struct buf *buf, uint32_t id, struct str items)
{
    begin_reply(buf, id, NAME("presence"));
    buf_append_lit(buf, "\"presence\":{");
    buf_append_str(buf, items);
    buf_append_char(buf, '}');
    end_reply(buf);
}

void protocol_add_presence(struct buf *items, struct str client, struct str info)
{
    put_key(items, client);
    json_append_compact_newlines(items, info);
}

void protocol_append_presence_stats(struct buf *buf, uint32_t id, uint32_t client_count, uint32_t user_count)
{
    begin_reply(buf, id, NAME("presence_stats"));
    buf_append_lit(buf, "\"num_clients\":");
    buf_append_u64(buf, client_count);
    buf_append_lit(buf, ",\"num_users\":");
    buf_append_u64(buf, user_count);
    end_reply(buf);
}

void protocol_append_history(struct buf *buf, uint32_t id, const struct history_view *result)
{
    begin_reply(buf, id, NAME("history"));
    buf_append_lit(buf, "\"publications\":[");
    buf_append_str(buf, result->publications);
    buf_append_lit(buf, "],\"epoch\":");
    buf_append_json_string(buf, result->epoch);
    buf_append_lit(buf, ",\"offset\":");
    buf_append_u64(buf, result->offset);
    end_reply(buf);
}

void protocol_append_rpc(struct buf *buf, uint32_t id, struct str data)
{
    begin_reply(buf, id, NAME("rpc"));
    put_raw(buf, NAME("data"), data);
    end_reply(buf);
}

void protocol_append_refresh(struct buf *buf, uint32_t id, const struct refresh_view *result)
{
    begin_reply(buf, id, NAME("refresh"));
    put_text(buf, NAME("client"), result->client);
    put_text(buf, NAME("version"), result->version);
    put_bool(buf, NAME("expires"), result->expires);
    put_u64(buf, NAME("ttl"), result->ttl_s);
    end_reply(buf);
}

void protocol_append_sub_refresh(struct buf *buf, uint32_t id, const struct sub_refresh_view *result)
{
    begin_reply(buf, id, NAME("sub_refresh"));
    put_bool(buf, NAME("expires"), result->expires);
    put_u64(buf, NAME("ttl"), result->ttl_s);
    put_list(buf, NAME("items"), result->items);
    end_reply(buf);
}

/* -- pushes ---------------------------------------------------------------------------------------------- */

void protocol_append_ping(struct buf *buf)
{
    buf_append_lit(buf, "{}");
}

void protocol_push_publication(struct buf *buf, enum push_form form, struct str channel,
                               const struct publication_view *publication)
{
    begin_push(buf, form, channel, NAME("pub"));
    put_publication(buf, publication);
    end_push(buf, form);
}

void protocol_push_join(struct buf *buf, enum push_form form, struct str channel, struct str info)
{
    begin_push(buf, form, channel, NAME("join"));
    put_raw(buf, NAME("info"), info);
    end_push(buf, form);
}

void protocol_push_leave(struct buf *buf, enum push_form form, struct str channel, struct str info)
{
    begin_push(buf, form, channel, NAME("leave"));
    put_raw(buf, NAME("info"), info);
    end_push(buf, form);
}

void protocol_push_unsubscribe(struct buf *buf, enum push_form form, struct str channel,
                               const struct unsubscribe *unsubscribe)
{
    begin_push(buf, form, channel, NAME("unsubscribe"));
    put_u64(buf, NAME("code"), unsubscribe->code);
    put_text(buf, NAME("reason"), unsubscribe->reason);
    end_push(buf, form);
}

void protocol_push_subscribe(struct buf *buf, enum push_form form, struct str channel,
                             const struct subscribe_push_view *push)
{
    begin_push(buf, form, channel, NAME("subscribe"));
    put_bool(buf, NAME("recoverable"), push->recoverable);
    put_text(buf, NAME("epoch"), push->epoch);
    put_u64(buf, NAME("offset"), push->offset);
    put_bool(buf, NAME("positioned"), push->positioned);
    put_raw(buf, NAME("data"), push->data);
    end_push(buf, form);
}

void protocol_push_message(struct buf *buf, enum push_form form, struct str data)
{
    begin_push(buf, form, (struct str){0}, NAME("message"));
    put_raw(buf, NAME("data"), data);
    end_push(buf, form);
}

void protocol_push_connect(struct buf *buf, enum push_form form, const struct connect_view *push)
{
    begin_push(buf, form, (struct str){0}, NAME("connect"));
    put_connect(buf, push);
    end_push(buf, form);
}

void protocol_push_disconnect(struct buf *buf, enum push_form form, const struct disconnect *disconnect)
{
    begin_push(buf, form, (struct str){0}, NAME("disconnect"));
    put_u64(buf, NAME("code"), disconnect->code);
    put_text(buf, NAME("reason"), disconnect->reason);
    end_push(buf, form);
}

void protocol_push_refresh(struct buf *buf, enum push_form form, bool expires, uint32_t ttl_s)
{
    begin_push(buf, form, (struct str){0}, NAME("refresh"));
    put_bool(buf, NAME("expires"), expires);
    put_u64(buf, NAME("ttl"), ttl_s);
    end_push(buf, form);
}

/* Feeds any bytes to the decoder as a frame, a bare connect and an emulation request.
 *
 * Whatever is accepted is encoded again: a raw span must be JSON, a text must be UTF-8, and what we send must
 * be one line of JSON.
 */
#include "channels/base/must.h"
#include "server/json_span.h"
#include "server/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sent(struct buf *buf)
{
    must(!buf->failed);
    must(json_validate(buf_str(buf), JSON_DEPTH_LIMIT));
    must(str_find(buf_str(buf), '\n') < 0 && str_find(buf_str(buf), '\r') < 0);
    buf_reset(buf);
}

static void check_raw(struct str raw, enum json_kind kind)
{
    if (raw.at != NULL) {
        must(json_validate(raw, JSON_DEPTH_DEFAULT));
        must(kind == JSON_KIND_NONE || json_kind(raw) == kind);
        struct buf buf = {0};
        protocol_push_message(&buf, PUSH_WRAPPED, raw);
        check_sent(&buf);
        buf_release(&buf);
    }
}

static void check_text(struct str text)
{
    struct buf buf = {0};
    must(text.len == 0 || memchr(text.at, '\0', text.len) == NULL);
    buf_append_json_string(&buf, text);
    check_sent(&buf);
    buf_release(&buf);
}

static void check_subscribe(const struct subscribe_request *request)
{
    check_text(request->channel);
    check_text(request->token);
    check_text(request->delta);
    check_text(request->epoch);
    check_text(request->cursor);
    check_raw(request->data, JSON_KIND_NONE);
    check_raw(request->tf, JSON_KIND_OBJECT);
}

static void check_connect(const struct connect_request *request, struct buf *scratch)
{
    check_text(request->token);
    check_text(request->name);
    check_text(request->version);
    check_raw(request->data, JSON_KIND_NONE);
    check_raw(request->subs, JSON_KIND_OBJECT);
    check_raw(request->headers, JSON_KIND_OBJECT);
    const char *memory = scratch->at;
    struct str rest = request->subs, channel, name, value;
    struct subscribe_request sub;
    while (protocol_next_sub(&rest, &channel, &sub, scratch) == PROTOCOL_COMMAND) {
        check_text(channel);
        check_subscribe(&sub);
    }
    rest = request->headers;
    while (protocol_next_header(&rest, &name, &value, scratch) == PROTOCOL_COMMAND) {
        check_text(name);
        check_text(value);
    }
    must(scratch->at == memory); /* texts of the command did not move */
}

static void check_command(const struct command *command, struct buf *scratch)
{
    must(command->kind < COMMAND_KIND_COUNT);
    must((command->kind == COMMAND_UNKNOWN) == (command->status == STATUS_METHOD_NOT_FOUND));
    must(command->id != 0 || command->kind == COMMAND_PONG || command->kind == COMMAND_SEND);
    if (command->status != STATUS_OK) {
        must(command->status == STATUS_BAD_REQUEST || command->status == STATUS_METHOD_NOT_FOUND);
        return;
    }
    switch (command->kind) {
    case COMMAND_CONNECT: check_connect(&command->connect, scratch); break;
    case COMMAND_SUBSCRIBE: check_subscribe(&command->subscribe); break;
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_PRESENCE:
    case COMMAND_PRESENCE_STATS: check_text(command->presence.channel); break;
    case COMMAND_PUBLISH:
        check_text(command->publish.channel);
        check_text(command->publish.key);
        check_raw(command->publish.data, JSON_KIND_NONE);
        break;
    case COMMAND_HISTORY:
        check_text(command->history.channel);
        check_text(command->history.since_epoch);
        break;
    case COMMAND_RPC:
        check_text(command->rpc.method);
        check_raw(command->rpc.data, JSON_KIND_NONE);
        break;
    case COMMAND_SEND: check_raw(command->send.data, JSON_KIND_NONE); break;
    case COMMAND_REFRESH: check_text(command->refresh.token); break;
    case COMMAND_SUB_REFRESH:
        check_text(command->sub_refresh.channel);
        check_text(command->sub_refresh.token);
        check_raw(command->sub_refresh.track, JSON_KIND_ARRAY);
        check_raw(command->sub_refresh.untrack, JSON_KIND_ARRAY);
        break;
    case COMMAND_PING:
    case COMMAND_PONG:
    case COMMAND_UNKNOWN:
    case COMMAND_KIND_COUNT: break;
    }
}

static void check_frame(struct str frame, struct buf *scratch)
{
    struct command command;
    size_t count = 0;
    enum protocol_result result;
    while ((result = protocol_next_command(&frame, &command, scratch)) == PROTOCOL_COMMAND) {
        check_command(&command, scratch);
        count++;
    }
    must(count > 0 || result == PROTOCOL_MALFORMED);
    must(protocol_next_command(&frame, &command, scratch) == PROTOCOL_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_make((const char *)data, size);
    struct buf scratch = {0}, inner = {0};
    struct connect_request connect;
    struct emulation_request emulation;
    check_frame(input, &scratch);
    if (protocol_decode_bare_connect(input, &connect, &scratch) == PROTOCOL_COMMAND) {
        check_connect(&connect, &scratch);
    }
    if (protocol_decode_emulation(input, &emulation, &scratch) == PROTOCOL_COMMAND) {
        check_text(emulation.session);
        check_text(emulation.node);
        check_frame(emulation.data, &inner);
    }
    buf_release(&scratch);
    buf_release(&inner);
    return 0;
}

/* Decoding. Every request is a table of fields, so that each field is checked for its type in one place. */
#include "server/protocol.h"

#include "channels/base/must.h"
#include "server/json_span.h"

static const struct str command_names[] = {
#define COMMAND_ROW(name, method) {method, sizeof(method) - 1},
    COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
        {"pong", 4},
    {"unknown", 7},
};
_Static_assert(sizeof command_names / sizeof command_names[0] == COMMAND_KIND_COUNT, "one name per kind");

struct str command_name(enum command_kind kind)
{
    must(kind < COMMAND_KIND_COUNT);
    return command_names[kind];
}

/* -- fields ---------------------------------------------------------------------------------------------- */

enum field_type {
    FIELD_TEXT,   /* struct str, unescaped */
    FIELD_RAW,    /* struct str, any JSON */
    FIELD_OBJECT, /* struct str, the span of an object */
    FIELD_ARRAY,  /* struct str, the span of an array */
    FIELD_BOOL,
    FIELD_I32,
    FIELD_I64,
    FIELD_U64,
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* in the request's struct */
};

enum { FIELDS_MAX = 18 };

struct field_table {
    const struct field *fields;
    size_t count;
};

/* clang-format off */
#define FIELD(request, member, type) {#member, FIELD_##type, offsetof(struct request, member)}
#define TABLE(rows) {(rows), sizeof(rows) / sizeof(rows)[0]}
/* clang-format on */

static const struct field connect_fields[] = {
    FIELD(connect_request, token, TEXT),  FIELD(connect_request, data, RAW),
    FIELD(connect_request, subs, OBJECT), FIELD(connect_request, headers, OBJECT),
    FIELD(connect_request, name, TEXT),   FIELD(connect_request, version, TEXT),
    FIELD(connect_request, flag, I64),
};

static const struct field subscribe_fields[] = {
    FIELD(subscribe_request, channel, TEXT),    FIELD(subscribe_request, token, TEXT),
    FIELD(subscribe_request, data, RAW),        FIELD(subscribe_request, delta, TEXT),
    FIELD(subscribe_request, tf, OBJECT),       FIELD(subscribe_request, epoch, TEXT),
    FIELD(subscribe_request, offset, U64),      FIELD(subscribe_request, flag, I64),
    FIELD(subscribe_request, type, I32),        FIELD(subscribe_request, phase, I32),
    FIELD(subscribe_request, limit, I32),       FIELD(subscribe_request, cursor, TEXT),
    FIELD(subscribe_request, asc, BOOL),        FIELD(subscribe_request, recover, BOOL),
    FIELD(subscribe_request, positioned, BOOL), FIELD(subscribe_request, recoverable, BOOL),
    FIELD(subscribe_request, join_leave, BOOL),
};

static const struct field channel_fields[] = {
    FIELD(channel_request, channel, TEXT),
};

static const struct field publish_fields[] = {
    FIELD(publish_request, channel, TEXT), FIELD(publish_request, data, RAW),
    FIELD(publish_request, key, TEXT),     FIELD(publish_request, type, I32),
    FIELD(publish_request, removed, BOOL),
};

static const struct field rpc_fields[] = {
    FIELD(rpc_request, method, TEXT),
    FIELD(rpc_request, data, RAW),
};

static const struct field send_fields[] = {
    FIELD(send_request, data, RAW),
};

static const struct field refresh_fields[] = {
    FIELD(refresh_request, token, TEXT),
};

static const struct field sub_refresh_fields[] = {
    FIELD(sub_refresh_request, channel, TEXT),  FIELD(sub_refresh_request, token, TEXT),
    FIELD(sub_refresh_request, type, I32),      FIELD(sub_refresh_request, track, ARRAY),
    FIELD(sub_refresh_request, untrack, ARRAY),
};

/* `since` is an object of its own: read_history() opens it. */
struct history_fields {
    struct history_request request;
    struct str since;
};

static const struct field history_fields[] = {
    {"channel", FIELD_TEXT, offsetof(struct history_fields, request.channel)},
    {"limit", FIELD_I32, offsetof(struct history_fields, request.limit)},
    {"reverse", FIELD_BOOL, offsetof(struct history_fields, request.reverse)},
    {"since", FIELD_OBJECT, offsetof(struct history_fields, since)},
};

static const struct field since_fields[] = {
    {"offset", FIELD_U64, offsetof(struct history_request, since_offset)},
    {"epoch", FIELD_TEXT, offsetof(struct history_request, since_epoch)},
};

static const struct field emulation_fields[] = {
    FIELD(emulation_request, session, TEXT),
    FIELD(emulation_request, node, TEXT),
    FIELD(emulation_request, data, TEXT),
};

/* Sets one field from its value; false: the value has another type. */
static bool read_field(const struct field *field, struct str value, void *request, struct buf *scratch)
{
    void *target = (char *)request + field->offset;
    switch (field->type) {
    case FIELD_TEXT: return json_get_string(value, scratch, target);
    case FIELD_OBJECT:
    case FIELD_ARRAY:
        if (json_kind(value) != (field->type == FIELD_OBJECT ? JSON_KIND_OBJECT : JSON_KIND_ARRAY)) {
            return false;
        }
        *(struct str *)target = value;
        return true;
    case FIELD_RAW: *(struct str *)target = value; return true;
    case FIELD_BOOL: return json_get_bool(value, target);
    case FIELD_I32: return json_get_i32(value, target);
    case FIELD_I64: return json_get_i64(value, target);
    case FIELD_U64: return json_get_u64(value, target);
    }
    return false;
}

/* Fills the fields of `request`, which is zeroed, from the span of an object or of null. */
static bool read_fields(struct str span, struct field_table table, void *request, struct buf *scratch)
{
    struct json_member members[FIELDS_MAX];
    must(table.count <= FIELDS_MAX);
    if (json_kind(span) == JSON_KIND_NULL) {
        return true;
    }
    for (size_t i = 0; i < table.count; i++) {
        members[i].name = table.fields[i].name;
    }
    if (json_object_members(span, members, table.count) != JSON_READ_OK) {
        return false;
    }
    for (size_t i = 0; i < table.count; i++) {
        const struct field *field = &table.fields[i];
        struct str value = members[i].value;
        if (value.at == NULL || (json_kind(value) == JSON_KIND_NULL && field->type != FIELD_RAW)) {
            continue;
        }
        if (!read_field(field, value, request, scratch)) {
            return false;
        }
    }
    return true;
}

/* -- commands -------------------------------------------------------------------------------------------- */

static bool read_history(struct str span, struct history_request *out, struct buf *scratch)
{
    struct history_fields fields = {0};
    if (!read_fields(span, (struct field_table)TABLE(history_fields), &fields, scratch)) {
        return false;
    }
    *out = fields.request;
    out->has_since = fields.since.at != NULL;
    return !out->has_since ||
           read_fields(fields.since, (struct field_table)TABLE(since_fields), out, scratch);
}

static bool read_request(struct str span, struct command *out, struct buf *scratch)
{
    static const struct field_table tables[COMMAND_KIND_COUNT] = {
        [COMMAND_CONNECT] = TABLE(connect_fields),
        [COMMAND_SUBSCRIBE] = TABLE(subscribe_fields),
        [COMMAND_UNSUBSCRIBE] = TABLE(channel_fields),
        [COMMAND_PUBLISH] = TABLE(publish_fields),
        [COMMAND_PRESENCE] = TABLE(channel_fields),
        [COMMAND_PRESENCE_STATS] = TABLE(channel_fields),
        [COMMAND_RPC] = TABLE(rpc_fields),
        [COMMAND_SEND] = TABLE(send_fields),
        [COMMAND_REFRESH] = TABLE(refresh_fields),
        [COMMAND_SUB_REFRESH] = TABLE(sub_refresh_fields),
    };
    if (out->kind == COMMAND_HISTORY) {
        return read_history(span, &out->history, scratch);
    }
    return read_fields(span, tables[out->kind], &out->connect, scratch);
}

/* Makes room for all texts of `text` at once, so that those already unescaped do not move. */
static bool reserve_texts(struct str text, struct buf *scratch)
{
    return str_find(text, '\\') < 0 || buf_reserve(scratch, text.len);
}

/* Where *frame_rest points when its commands were all taken: tells that from a frame that was empty. */
static const char frame_end[1];

enum protocol_result protocol_next_command(struct str *frame_rest, struct command *out, struct buf *scratch)
{
    /* The members in the order of enum command_kind, then the id. */
    struct json_member members[] = {
#define COMMAND_ROW(kind, method) {.name = (method)},
        COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
            {.name = "id"},
    };
    enum { METHOD_COUNT = COMMAND_PONG };
    if (frame_rest->at == frame_end) {
        return PROTOCOL_END;
    }
    struct str text = *frame_rest;
    struct str rest = *frame_rest;
    *frame_rest = str_make(frame_end, 0);
    if (json_object_read_next(&rest, members, METHOD_COUNT + 1, JSON_DEPTH_DEFAULT) != JSON_READ_OK) {
        return PROTOCOL_MALFORMED;
    }
    text.len -= rest.len;

    struct command command = {.kind = COMMAND_UNKNOWN, .status = STATUS_OK, .text = text};
    struct str request = {0};
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (members[i].value.at != NULL && json_kind(members[i].value) != JSON_KIND_NULL) {
            command.kind = (enum command_kind)i;
            request = members[i].value;
            break;
        }
    }
    struct str id = members[METHOD_COUNT].value;
    bool has_id = id.at != NULL && json_kind(id) != JSON_KIND_NULL;
    if (has_id && !json_get_u32(id, &command.id)) {
        return PROTOCOL_MALFORMED;
    }
    if (command.id == 0 && command.kind != COMMAND_SEND) {
        if (has_id && command.kind != COMMAND_UNKNOWN) {
            return PROTOCOL_MALFORMED;
        }
        command.kind = COMMAND_PONG;
    }

    buf_reset(scratch);
    if (command.kind == COMMAND_UNKNOWN) {
        command.status = STATUS_METHOD_NOT_FOUND;
    } else if (!reserve_texts(text, scratch)) {
        command.status = STATUS_NO_MEMORY;
    } else if (command.kind != COMMAND_PONG && !read_request(request, &command, scratch)) {
        command.status = STATUS_BAD_REQUEST;
    }
    *out = command;
    if (rest.len > 0) {
        *frame_rest = rest;
    }
    return PROTOCOL_COMMAND;
}

enum protocol_result protocol_next_sub(struct str *rest, struct str *channel, struct subscribe_request *out,
                                       struct buf *scratch)
{
    struct str name, value;
    struct subscribe_request request = {0};
    if (!json_object_next(rest, &name, &value)) {
        return PROTOCOL_END;
    }
    if (!json_get_string(name, scratch, channel) ||
        !read_fields(value, (struct field_table)TABLE(subscribe_fields), &request, scratch)) {
        return PROTOCOL_MALFORMED;
    }
    request.channel = (struct str){.at = NULL, .len = 0};
    *out = request;
    return PROTOCOL_COMMAND;
}

enum protocol_result protocol_next_header(struct str *rest, struct str *name, struct str *value,
                                          struct buf *scratch)
{
    struct str name_span, value_span;
    if (!json_object_next(rest, &name_span, &value_span)) {
        return PROTOCOL_END;
    }
    bool has_texts = json_get_string(name_span, scratch, name) && json_get_string(value_span, scratch, value);
    return has_texts ? PROTOCOL_COMMAND : PROTOCOL_MALFORMED;
}

/* A text that is one object, or null where that is allowed, with the fields of a table. */
static enum protocol_result read_text(struct str json, struct field_table table, void *request,
                                      struct buf *scratch)
{
    struct str text = json;
    while (text.len > 0 && memchr(" \t\r\n", text.at[0], 4) != NULL) {
        text = str_skip(text, 1);
    }
    buf_reset(scratch);
    if (!json_validate(text, JSON_DEPTH_DEFAULT) || !reserve_texts(text, scratch) ||
        !read_fields(text, table, request, scratch)) {
        return PROTOCOL_MALFORMED;
    }
    return PROTOCOL_COMMAND;
}

enum protocol_result protocol_decode_bare_connect(struct str json, struct connect_request *out,
                                                  struct buf *scratch)
{
    struct connect_request request = {0};
    enum protocol_result result =
        read_text(json, (struct field_table)TABLE(connect_fields), &request, scratch);
    if (result == PROTOCOL_COMMAND) {
        *out = request;
    }
    return result;
}

enum protocol_result protocol_decode_emulation(struct str json, struct emulation_request *out,
                                               struct buf *scratch)
{
    struct emulation_request request = {0};
    enum protocol_result result =
        read_text(json, (struct field_table)TABLE(emulation_fields), &request, scratch);
    if (result == PROTOCOL_COMMAND) {
        *out = request;
    }
    return result;
}

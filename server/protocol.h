/* protocol.h - the client protocol in its JSON encoding: commands in, replies and pushes out.
 *
 * Past here nobody sees JSON: a command is a plain struct of slices and numbers, a reply is made from one.
 * The codec is pure, knows neither sessions nor the hub, and decides nothing: what a field means, whether a
 * channel may be empty and who may do what is the session's business.
 *
 * Names, types and codes follow PROTOCOL sections 2, 4, 5, 11, 12 and 17. Three rules hold for every encoder:
 * - it appends to a buf and checks nothing: the caller looks at buf.failed once;
 * - one JSON object without a line break and without a newline after it; the caller joins several by '\n';
 * - a zero (0, false, empty text or span) is left out, but for the members that the protocol wants always.
 * A field called raw holds validated JSON and is copied byte for byte (json_append_compact_newlines); text is
 * valid UTF-8 and gets escaped. Lists and maps are given as encoded items: an encoder whose name has `add`
 * appends one item, with its comma, to a buf of the caller's that starts empty.
 *
 * Thread: any.   Memory: that of the bufs.   Limits: nesting of JSON_DEPTH_DEFAULT; the size of a frame is
 * the transport's to bound, the number of commands in it the session's.
 */
#ifndef STARLING_SERVER_PROTOCOL_H
#define STARLING_SERVER_PROTOCOL_H

#include "channels/base/buf.h"
#include "channels/base/str.h"
#include "channels/status.h"
#include "server/disconnect.h"

/* -- decoding -------------------------------------------------------------------------------------------- */

/* The methods, in the order in which the first one wins when an object has several (PROTOCOL section 2). */
#define COMMANDS(X)                     \
    X(CONNECT, "connect")               \
    X(PING, "ping")                     \
    X(SUBSCRIBE, "subscribe")           \
    X(UNSUBSCRIBE, "unsubscribe")       \
    X(PUBLISH, "publish")               \
    X(PRESENCE, "presence")             \
    X(PRESENCE_STATS, "presence_stats") \
    X(HISTORY, "history")               \
    X(RPC, "rpc")                       \
    X(SEND, "send")                     \
    X(REFRESH, "refresh")               \
    X(SUB_REFRESH, "sub_refresh")

enum command_kind {
#define COMMAND_ROW(name, method) COMMAND_##name,
    COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
        COMMAND_PONG, /* {}, or any other object without an id that is no send */
    COMMAND_UNKNOWN,  /* has an id, but no method we know */
    COMMAND_KIND_COUNT
};

/* The method's name in the protocol, "pong" or "unknown"; for metrics and logs. */
struct str command_name(enum command_kind kind);

/* Values of `type` in a subscribe. */
enum subscription_type {
    SUBSCRIPTION_TYPE_STREAM = 0,
    SUBSCRIPTION_TYPE_MAP = 1,
    SUBSCRIPTION_TYPE_MAP_CLIENTS = 2,
    SUBSCRIPTION_TYPE_MAP_USERS = 3,
    SUBSCRIPTION_TYPE_SHARED_POLL = 4,
};

/* Bits of `flag` in a subscribe; others are ignored. */
enum subscribe_flag {
    SUBSCRIBE_FLAG_CHANNEL_ID = 1 << 0,           /* the client understands numeric channels */
    SUBSCRIBE_FLAG_REJECT_UNRECOVERABLE = 1 << 1, /* error 112 instead of recovered:false */
};

/* Requests, PROTOCOL section 4. A field that is absent or null is zero; raw fields keep a null that was sent.
 * Texts are unescaped. All spans live as protocol_next_command() says. */
struct connect_request {
    struct str token;
    struct str data;    /* raw */
    struct str subs;    /* raw object: see protocol_next_sub() */
    struct str headers; /* raw object: see protocol_next_header() */
    struct str name, version;
    int64_t flag;
};

struct subscribe_request {
    struct str channel, token;
    struct str data;  /* raw */
    struct str delta; /* "fossil", or a text that nobody supports */
    struct str tf;    /* raw object, section 15 */
    struct str epoch;
    uint64_t offset;
    int64_t flag;
    int32_t type; /* enum subscription_type, unchecked */
    int32_t phase, limit;
    struct str cursor;
    bool asc;
    bool recover, positioned, recoverable, join_leave;
};

/* unsubscribe, presence, presence_stats */
struct channel_request {
    struct str channel;
};

struct publish_request {
    struct str channel;
    struct str data; /* raw; {NULL, 0} when absent */
    struct str key;
    int32_t type;
    bool removed;
};

struct history_request {
    struct str channel;
    int32_t limit;
    bool has_since, reverse;
    uint64_t since_offset;
    struct str since_epoch;
};

struct rpc_request {
    struct str method;
    struct str data; /* raw */
};

struct send_request {
    struct str data; /* raw */
};

struct refresh_request {
    struct str token;
};

struct sub_refresh_request {
    struct str channel, token;
    int32_t type;
    struct str track, untrack; /* raw arrays, section 14 */
};

struct command {
    uint32_t id; /* 0 for a pong and for most sends */
    enum command_kind kind;
    /* OK: the request below is filled. BAD_REQUEST: a field has the wrong type or is there twice, and the
     * answer is that error. METHOD_NOT_FOUND: kind is UNKNOWN. NO_MEMORY: no room to unescape. */
    enum status status;
    struct str text; /* the whole command, in the frame */
    union {
        struct connect_request connect;
        struct subscribe_request subscribe;
        struct channel_request unsubscribe, presence, presence_stats;
        struct publish_request publish;
        struct history_request history;
        struct rpc_request rpc;
        struct send_request send;
        struct refresh_request refresh;
        struct sub_refresh_request sub_refresh;
    };
};

enum protocol_result {
    PROTOCOL_COMMAND,   /* one item was taken: a command, or an entry of a map */
    PROTOCOL_END,       /* nothing is left */
    PROTOCOL_MALFORMED, /* the connection ends with DISCONNECT_BAD_REQUEST */
};

/* Takes the next command off a frame (section 2). *frame_rest starts as the whole frame, which holds one JSON
 * object or more with white space between them, and is the function's to keep until it returned END or
 * MALFORMED. A frame without a command is malformed. So are an id that is no number from 1 to 2^32 - 1, and
 * an id of 0 for a method that gets a reply.
 *
 * `scratch` holds the texts that had escapes; it is reset first. Every span of *out points into the frame or
 * into scratch and lives until either changes or the next command is taken. */
enum protocol_result protocol_next_command(struct str *frame_rest, struct command *out, struct buf *scratch);

/* Takes the next entry off connect.subs, which *rest starts as: a channel with the position to recover from
 * (`out->channel` stays empty). The same channel may come twice. MALFORMED: a field has the wrong type, which
 * makes the connect a bad request. Texts with escapes are appended to `scratch`; when it is the one the
 * command was decoded with, nothing in it moves, provided each map is walked only once. */
enum protocol_result protocol_next_sub(struct str *rest, struct str *channel, struct subscribe_request *out,
                                       struct buf *scratch);

/* The same for connect.headers: name and value as sent. */
enum protocol_result protocol_next_header(struct str *rest, struct str *name, struct str *value,
                                          struct buf *scratch);

/* The connect request of a unidirectional client, which is not wrapped in a command (section 12). null is an
 * empty request. MALFORMED also where a command would have been a bad request: there is no reply to carry it.
 */
enum protocol_result protocol_decode_bare_connect(struct str json, struct connect_request *out,
                                                  struct buf *scratch);

/* The body of the emulation endpoint (section 1.4). */
struct emulation_request {
    struct str session, node;
    struct str data; /* a frame of commands */
};

/* Spans live as in protocol_next_command(), so the commands in `data` need another scratch. */
enum protocol_result protocol_decode_emulation(struct str json, struct emulation_request *out,
                                               struct buf *scratch);

/* -- common objects, section 4.12 ------------------------------------------------------------------------ */

struct client_info_view {
    struct str user, client;
    struct str conn_info, chan_info; /* raw */
};

/* {"user":…,"client":…}, both always. */
void protocol_append_client_info(struct buf *buf, const struct client_info_view *info);

struct publication_view {
    /* Raw; with `data_is_text` it goes out as a JSON string, as it does for all publications of a
     * subscription with delta (section 8): the payload's own text, or a patch. */
    struct str data;
    bool data_is_text;
    bool is_delta;         /* data is a patch */
    struct str info, tags; /* raw */
    uint64_t offset;
    struct str channel; /* the real one, for wildcard subscriptions */
    struct str key;
    bool removed;
    int64_t score;
    struct str epoch;
    uint64_t version;
    int64_t time_ms;
};

/* One item of a list of publications. */
void protocol_add_publication(struct buf *items, const struct publication_view *publication);

/* -- replies, section 4 ---------------------------------------------------------------------------------- */

/* `status` must be an error; one that has no code of its own goes out as an internal error. */
void protocol_append_error(struct buf *buf, uint32_t id, enum status status);

/* An error of an application (400 to 1999), given by a proxy. */
struct error_view {
    uint32_t code;
    struct str message;
    bool is_temporary;
};
void protocol_append_custom_error(struct buf *buf, uint32_t id, const struct error_view *error);

struct subscribe_view {
    bool expires;
    uint32_t ttl_s;
    bool recoverable, positioned;
    struct str epoch;
    uint64_t offset;
    struct str publications; /* items of protocol_add_publication() */
    bool recovered, was_recovering;
    struct str data; /* raw */
    bool delta;
    int32_t type, phase;
    struct str cursor;
    struct str state; /* items of protocol_add_publication() */
    uint32_t publish_debounce;
};
void protocol_append_subscribe(struct buf *buf, uint32_t id, const struct subscribe_view *result);

/* One entry of connect_view.subs. */
void protocol_add_sub(struct buf *items, struct str channel, const struct subscribe_view *result);

struct connect_view {
    struct str client, version;
    bool expires;
    uint32_t ttl_s;
    struct str data; /* raw */
    struct str subs; /* items of protocol_add_sub() */
    uint32_t ping_s;
    bool pong;
    struct str session, node; /* only over HTTP-streaming and SSE */
    int64_t time_ms;          /* only where the configuration asks for it */
};
void protocol_append_connect(struct buf *buf, uint32_t id, const struct connect_view *result);

void protocol_append_unsubscribe(struct buf *buf, uint32_t id);
void protocol_append_publish(struct buf *buf, uint32_t id);

/* `items` are of protocol_add_presence(). */
void protocol_append_presence(struct buf *buf, uint32_t id, struct str items);

/* `info` is an encoded ClientInfo. */
void protocol_add_presence(struct buf *items, struct str client, struct str info);

void protocol_append_presence_stats(struct buf *buf, uint32_t id, uint32_t client_count, uint32_t user_count);

struct history_view {
    struct str publications; /* items of protocol_add_publication() */
    struct str epoch;
    uint64_t offset; /* top of the stream */
};
void protocol_append_history(struct buf *buf, uint32_t id, const struct history_view *result);

/* `data` is raw, or empty. */
void protocol_append_rpc(struct buf *buf, uint32_t id, struct str data);

struct refresh_view {
    struct str client, version;
    bool expires;
    uint32_t ttl_s;
};
void protocol_append_refresh(struct buf *buf, uint32_t id, const struct refresh_view *result);

struct sub_refresh_view {
    bool expires;
    uint32_t ttl_s;
    struct str items; /* of protocol_add_publication() */
};
void protocol_append_sub_refresh(struct buf *buf, uint32_t id, const struct sub_refresh_view *result);

/* -- pushes, section 5 ----------------------------------------------------------------------------------- */

enum push_form {
    PUSH_WRAPPED, /* {"push":{…}} */
    PUSH_BARE,    /* {…}, for unidirectional clients (section 12) */
};

/* A server ping: {}, in either form. */
void protocol_append_ping(struct buf *buf);

void protocol_push_publication(struct buf *buf, enum push_form form, struct str channel,
                               const struct publication_view *publication);

/* `info` is an encoded ClientInfo. */
void protocol_push_join(struct buf *buf, enum push_form form, struct str channel, struct str info);
void protocol_push_leave(struct buf *buf, enum push_form form, struct str channel, struct str info);

void protocol_push_unsubscribe(struct buf *buf, enum push_form form, struct str channel,
                               const struct unsubscribe *unsubscribe);

struct subscribe_push_view {
    bool recoverable, positioned;
    struct str epoch;
    uint64_t offset;
    struct str data; /* raw */
};
void protocol_push_subscribe(struct buf *buf, enum push_form form, struct str channel,
                             const struct subscribe_push_view *push);

/* `data` is raw. */
void protocol_push_message(struct buf *buf, enum push_form form, struct str data);

void protocol_push_connect(struct buf *buf, enum push_form form, const struct connect_view *push);
void protocol_push_disconnect(struct buf *buf, enum push_form form, const struct disconnect *disconnect);
void protocol_push_refresh(struct buf *buf, enum push_form form, bool expires, uint32_t ttl_s);

#endif

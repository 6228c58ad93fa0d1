/* api_call.h - one call of one method of the server API, from its parameters to its result.
 *
 *     call->method->run(call) ─▶ ops, visits … ─▶ api_finish(call, status) ─▶ call->done(call), in a later
 * step
 *
 * Private to the api_*.c files.   Thread: the worker's.   Memory: part of whoever makes the call; its bufs
 * are released by api_call_release().
 */
#ifndef STARLING_SERVER_API_CALL_H
#define STARLING_SERVER_API_CALL_H

#include "channels/base/buf.h"
#include "channels/base/mailbox.h"
#include "channels/op.h"
#include "channels/status.h"

struct api_call;
struct exchange;
struct worker;

struct api_method {
    const char *name;
    /* Starts the call. Ends with exactly one api_finish(), now or later. */
    void (*run)(struct api_call *call);
};

/* clang-format off */
#define API_METHODS(X)   \
    X(publish)           \
    X(broadcast)         \
    X(subscribe)         \
    X(unsubscribe)       \
    X(disconnect)        \
    X(refresh)           \
    X(presence)          \
    X(presence_stats)    \
    X(history)           \
    X(history_remove)    \
    X(channels)          \
    X(connections)       \
    X(info)              \
    X(rpc)

/* Methods of the API that need kinds of channels which this server does not have. */
#define API_ABSENT_METHODS(X) \
    X(map_publish)            \
    X(map_remove)             \
    X(map_read_state)         \
    X(map_read_stream)        \
    X(map_stats)              \
    X(map_clear)              \
    X(shared_poll_publish)
/* clang-format on */

#define API_METHOD_RUN(name) void api_##name(struct api_call *call);
API_METHODS(API_METHOD_RUN)
#undef API_METHOD_RUN

struct api_call {
    struct mail mail; /* carries the end to `done` */
    struct worker *worker;
    const struct api_method *method; /* NULL: unknown, and `refusal` says so */
    enum status refusal;             /* other than STATUS_OK: finishes with that, and nothing is run */
    struct str params;               /* a JSON object that was validated, borrowed from the request */
    struct buf scratch;  /* texts of `params` that had escapes; made large enough once, so they stay */
    struct buf decoded;  /* base64 payloads; the same */
    uint64_t id;         /* of a legacy command; 0: none */
    enum status status;  /* the outcome */
    const char *message; /* instead of the status' own, static; NULL: none */
    struct buf result;   /* encoded object, when the status is OK */
    void (*done)(struct api_call *call);
    void *context; /* for `done` */
};

/* The method of that name; NULL: there is none. */
const struct api_method *api_method_find(struct str name);
/* Is the string span, quotes included, the name of a method? */
const struct api_method *api_method_of_span(struct str span);

/* Starts the call; `done` runs exactly once, later. */
void api_call_run(struct api_call *call);

/* Ends the call. `result` is filled before when the status is OK. */
void api_finish(struct api_call *call, enum status status);
/* Ends it with STATUS_BAD_REQUEST and a message that says more. `message` is static. */
void api_finish_refused(struct api_call *call, const char *message);

void api_call_release(struct api_call *call);

/* Appends {"code":…,"message":…}. */
void api_append_error(struct buf *buf, enum status status, const char *message);

/* The HTTP status of an error in transport mode (SERVER_API section 2). */
unsigned api_http_status(enum status status);

/* ---- reading parameters (api_params.c) ---- */

enum api_type {
    API_TEXT, /* struct str: borrowed from params or scratch */
    API_RAW,  /* struct str: the span; null counts as a value */
    API_SPAN, /* struct str: the span; null is as good as absent */
    API_BOOL, /* bool */
    API_U64,  /* uint64_t */
    API_I64,  /* int64_t */
};

struct api_field {
    const char *name;
    enum api_type type;
    void *out; /* left alone where the member is absent or null */
};

/* Without the white space of JSON at both ends. */
struct str api_trim(struct str json);

/* Reads members of a JSON object that was validated. BAD_REQUEST: `object` is none, a member has the wrong
 * type or is there twice. Each text of the parameters is read once at most. */
enum status api_read(struct api_call *call, struct str object, const struct api_field *fields, size_t count);

/* The same for one text. */
enum status api_read_text(struct api_call *call, struct str span, struct str *out);

/* A payload and its base64 twin, which wins where it is not empty: *payload becomes its bytes. BAD_REQUEST:
 * no base64, or no JSON in it: every transport that we have carries JSON. */
enum status api_read_payload(struct api_call *call, struct str b64, struct str *payload);

/* Reads the parameter `channel` and finds the channel's options. */
enum status api_read_channel(struct api_call *call, struct str *channel,
                             const struct channel_options **options);

/* ---- channels ---- */

/* An op for the call with room for `text_bytes` beside the channel's name; NULL without memory. Its context
 * is the call; `done` frees it. */
struct op *api_op_new(struct api_call *call, enum op_kind kind, struct str channel,
                      const struct channel_options *options, size_t text_bytes);

/* ---- several calls and their answer (api_batch.c) ---- */

enum api_form {
    API_SINGLE, /* {"result":…} or {"error":…} */
    API_BATCH,  /* {"replies":[…]} */
    API_LEGACY, /* a line for each */
};

struct api_batch;

/* A batch with room for `count` calls, which takes the exchange; NULL without memory, and the exchange is
 * still the caller's. */
struct api_batch *api_batch_new(struct exchange *exchange, enum api_form form, size_t count);
/* The call at `index`, to be filled in. */
struct api_call *api_batch_call(struct api_batch *batch, size_t index);
/* Runs the calls and answers the exchange when all are done. `in_flight_max`: 1 for one after the other. */
void api_batch_start(struct api_batch *batch, size_t in_flight_max, bool is_transport_mode);

/* The handlers of their paths; the body is JSON, and an object for the first. They take the exchange. */
void api_handle_batch(struct exchange *exchange, struct str body);
void api_handle_legacy(struct exchange *exchange);

#endif

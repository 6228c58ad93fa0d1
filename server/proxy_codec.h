/* proxy_codec.h - what the event proxy asks, and what backends answer (SERVER_API section 6).
 *
 * Pure: text in, structs out. Payloads (data, info, meta) are spans of the text they came in, byte for byte.
 * An answer that is not understood exactly is malformed, and so is one without result, error and disconnect
 * where the caller does not know better: nobody gets in by a mistake of a backend.
 *
 * Thread: any.   Memory: spans point into the answer or into `scratch`, and live as long as both are left
 * alone; claims own theirs.   Limits: nesting of JSON_DEPTH_DEFAULT, in answers and in payloads.
 */
#ifndef STARLING_SERVER_PROXY_CODEC_H
#define STARLING_SERVER_PROXY_CODEC_H

#include "server/auth.h"
#include "server/config.h"
#include "server/protocol.h"

/* ---- out ---- */

/* The body of a request. Which members go out depends on the event; an empty text or span is left out, but
 * for the user, who may be anonymous. */
struct proxy_request {
    struct str client, transport; /* transport: "websocket", … */
    struct str user;              /* all but connect */
    struct str meta;              /* raw; all but connect */
    struct str data;              /* raw: connect, subscribe, publish, rpc */
    struct str name, version;     /* connect */
    struct str subs;              /* connect: connect.subs as the client sent it, for its names */
    struct str channel;           /* subscribe, publish, sub_refresh */
    struct str method;            /* rpc */
};

void proxy_append_request(struct buf *out, enum proxy_event event, const struct proxy_request *request);

/* ---- in ---- */

enum proxy_verdict {
    PROXY_RESULT,
    PROXY_NOTHING, /* an object with none of the three: for connect, refresh and sub_refresh a refusal, for
                      others a FAILURE */
    PROXY_ERROR,
    PROXY_DISCONNECT,
    PROXY_FAILURE, /* malformed, or the backend could not be asked */
};

struct proxy_reply {
    enum proxy_verdict verdict;
    struct str result; /* RESULT: validated object */
    struct error_view error;
    struct disconnect disconnect;
};

/* Reads an answer with status 200. Of several verdicts disconnect wins over error, and error over a result.
 * Codes of errors are 1 to 1999, of disconnects 3000 to 4999. */
void proxy_read_reply(struct str body, struct buf *scratch, struct proxy_reply *out);

/* What the configuration makes of another status; FAILURE where it says nothing. */
void proxy_reply_from_status(const struct proxy_transforms *transforms, unsigned status,
                             struct proxy_reply *out);

/* Each reads the result of its event; false: malformed, or no memory. Claims are the caller's to release.
 * Those with `scratch` may move what was put there before. */
bool proxy_read_connect(struct str result, struct connection_claims *out);
bool proxy_read_subscribe(struct str result, struct subscription_claims *out);

/* Both refresh and sub_refresh; the second has no meta. */
struct proxy_refresh_result {
    bool is_expired;
    uint64_t expire_at_s;  /* 0: none */
    struct str info, meta; /* raw; empty: unchanged */
};
bool proxy_read_refresh(struct str result, struct buf *scratch, struct proxy_refresh_result *out);

struct proxy_publish_result {
    struct str data; /* raw; empty: as the client sent it */
    struct str tags; /* raw object of texts */
    struct str idempotency_key, version_epoch;
    uint64_t version;
    bool skip_history, delta;
};
bool proxy_read_publish(struct str result, struct buf *scratch, struct proxy_publish_result *out);

/* *data is raw; empty: none. */
bool proxy_read_rpc(struct str result, struct buf *scratch, struct str *data);

#endif

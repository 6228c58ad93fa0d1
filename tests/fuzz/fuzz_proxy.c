/* Feeds any bytes to the proxy's codec as a backend's answer, and its result to the reader of every event.
 *
 * What is accepted must be good to send on: payloads are JSON, texts are UTF-8, codes are in their ranges.
 */
#include "channels/base/must.h"
#include "channels/base/utf8.h"
#include "server/json_span.h"
#include "server/proxy_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_raw(struct str raw)
{
    must(raw.len == 0 || json_validate(raw, JSON_DEPTH_DEFAULT));
}

static void check_text(struct str text)
{
    must(utf8_is_valid(text));
}

static void check_connect(struct str result)
{
    struct connection_claims claims;
    if (!proxy_read_connect(result, &claims)) {
        return;
    }
    check_text(claims.user);
    check_raw(claims.info);
    check_raw(claims.data);
    check_raw(claims.meta);
    for (size_t i = 0; i < claims.channel_count; i++) {
        check_text(claims.channels[i]);
    }
    for (size_t i = 0; i < claims.sub_count; i++) {
        check_text(claims.subs[i].channel);
        check_raw(claims.subs[i].info);
        check_raw(claims.subs[i].data);
    }
    connection_claims_release(&claims);
}

static void check_subscribe(struct str result)
{
    struct subscription_claims claims;
    if (proxy_read_subscribe(result, &claims)) {
        check_raw(claims.info);
        check_raw(claims.data);
        subscription_claims_release(&claims);
    }
}

static void check_result(struct str result, struct buf *scratch)
{
    struct proxy_refresh_result refresh;
    struct proxy_publish_result publish;
    struct str rpc;
    check_raw(result);
    check_connect(result);
    check_subscribe(result);
    if (proxy_read_refresh(result, scratch, &refresh)) {
        check_raw(refresh.info);
        check_raw(refresh.meta);
    }
    if (proxy_read_publish(result, scratch, &publish)) {
        check_raw(publish.data);
        check_raw(publish.tags);
        check_text(publish.idempotency_key);
        check_text(publish.version_epoch);
    }
    if (proxy_read_rpc(result, scratch, &rpc)) {
        check_raw(rpc);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf scratch = {0};
    struct proxy_reply reply;
    proxy_read_reply(str_make((const char *)data, size), &scratch, &reply);
    switch (reply.verdict) {
    case PROXY_RESULT: check_result(reply.result, &scratch); break;
    case PROXY_ERROR:
        must(reply.error.code >= 1 && reply.error.code <= 1999);
        check_text(reply.error.message);
        break;
    case PROXY_DISCONNECT:
        must(reply.disconnect.code >= 3000 && reply.disconnect.code <= 4999);
        check_text(reply.disconnect.reason);
        break;
    case PROXY_NOTHING:
    case PROXY_FAILURE: break;
    }
    buf_release(&scratch);
    return 0;
}

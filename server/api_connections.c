/* connections: who is connected, a page at a time. Not in Centrifugo's open API; its fields are named as that
 * names its own. */
#include "server/api.h"
#include "server/api_call.h"
#include "server/roster.h"
#include "server/worker.h"

#include <inttypes.h>
#include <stdlib.h>

struct params {
    struct str user, sort, cursor;
    uint64_t limit;
};

/* ---- the answer ---- */

static void append_channels(struct buf *out, struct str names)
{
    buf_append_lit(out, ",\"channels\":[");
    for (bool is_first = true; names.len > 0; is_first = false) {
        struct str name = str_next(&names, '\0');
        if (!is_first) {
            buf_append_char(out, ',');
        }
        buf_append_json_string(out, name);
    }
    buf_append_char(out, ']');
}

static void append_row(struct buf *out, const struct roster_row *row, bool has_channels)
{
    char address[ADDRESS_TEXT_MAX];
    buf_append_lit(out, "{\"client\":");
    buf_append_json_string(out, str_make(row->place.client, sizeof row->place.client));
    buf_append_lit(out, ",\"user\":");
    buf_append_json_string(out, row->user);
    buf_append_lit(out, ",\"transport\":\"websocket\",\"address\":");
    buf_append_json_string(out, address_text(row->address, address));
    buf_printf(out, ",\"connected_at_ms\":%" PRIu64 ",\"queue_bytes\":%" PRIu64 ",\"num_channels\":%" PRIu32,
               row->connected_ms, row->place.queue_bytes, row->channel_count);
    buf_printf(out, ",\"worker\":%u", row->worker);
    if (has_channels) {
        append_channels(out, row->channels);
    }
    buf_append_char(out, '}');
}

/* "BYTES CLIENT" in the order of queues, else "CLIENT". */
static void append_cursor(struct buf *out, const struct roster_place *place, enum roster_order order)
{
    buf_append_lit(out, ",\"cursor\":\"");
    if (order == ROSTER_BY_QUEUE) {
        buf_printf(out, "%" PRIu64 " ", place->queue_bytes);
    }
    buf_append(out, place->client, sizeof place->client);
    buf_append_char(out, '"');
}

struct request {
    struct api_call *call;
    struct roster_query query;
};

static void on_roster(void *context, enum status status, const struct roster *roster)
{
    struct request *request = context;
    struct api_call *call = request->call;
    struct buf *out = &call->result;
    if (status == STATUS_OK) {
        buf_append_lit(out, "{\"connections\":[");
        for (size_t i = 0; i < roster->count; i++) {
            if (i > 0) {
                buf_append_char(out, ',');
            }
            append_row(out, &roster->rows[i], request->query.client.len > 0);
        }
        buf_printf(out, "],\"total\":%" PRIu64, roster->total);
        if (roster->has_more) {
            append_cursor(out, &roster->rows[roster->count - 1].place, request->query.order);
        }
        buf_append_char(out, '}');
    }
    free(request);
    api_finish(call, status);
}

/* ---- the question ---- */

static enum status read_order(struct str sort, enum roster_order *out)
{
    if (sort.len == 0 || str_is(sort, "client")) {
        *out = ROSTER_BY_CLIENT;
        return STATUS_OK;
    }
    *out = ROSTER_BY_QUEUE;
    return str_is(sort, "queue") ? STATUS_OK : STATUS_BAD_REQUEST;
}

static enum status read_cursor(struct str cursor, struct roster_query *query)
{
    if (cursor.len == 0) {
        return STATUS_OK;
    }
    if (query->order == ROSTER_BY_QUEUE &&
        !str_to_u64(str_next(&cursor, ' '), UINT64_MAX, &query->after.queue_bytes)) {
        return STATUS_BAD_REQUEST;
    }
    if (cursor.len != sizeof query->after.client) {
        return STATUS_BAD_REQUEST;
    }
    memcpy(query->after.client, cursor.at, sizeof query->after.client);
    query->has_after = true;
    return STATUS_OK;
}

static enum status read_query(struct api_call *call, struct roster_query *query)
{
    struct params params = {.limit = ROSTER_PAGE_DEFAULT};
    const struct api_field fields[] = {
        {"user", API_TEXT, &params.user},       {"client", API_TEXT, &query->client},
        {"pattern", API_TEXT, &query->pattern}, {"sort", API_TEXT, &params.sort},
        {"limit", API_U64, &params.limit},      {"cursor", API_TEXT, &params.cursor},
    };
    enum status status = api_read(call, call->params, fields, sizeof fields / sizeof fields[0]);
    status = status == STATUS_OK ? read_order(params.sort, &query->order) : status;
    status = status == STATUS_OK ? read_cursor(params.cursor, query) : status;
    if (status == STATUS_OK &&
        (params.limit < 1 || params.limit > ROSTER_PAGE_MAX || query->pattern.len > ROSTER_PATTERN_MAX)) {
        status = STATUS_BAD_REQUEST; /* a pattern is compared with every name: what it costs is bounded */
    }
    query->limit = (size_t)params.limit;
    query->has_user = params.user.at != NULL;
    query->user = params.user;
    return status;
}

void api_connections(struct api_call *call)
{
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        api_finish(call, STATUS_NO_MEMORY);
        return;
    }
    request->call = call;
    enum status status = read_query(call, &request->query);
    if (status == STATUS_OK) {
        roster_ask(call->worker, &request->query, on_roster, request);
    } else {
        free(request);
        api_finish(call, status);
    }
}

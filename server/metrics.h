/* metrics.h - what is counted, one row each, one struct per worker.
 *
 * A worker counts in its own struct without atomics: nobody else writes it. Others see it by copies that the
 * worker makes itself, carried by a mail (metrics_collect), so nothing is shared. Rows make the field and the
 * Prometheus text; the names start with starling_.
 *
 * Thread: the worker's.   Labels: only fixed words, never what a client chose (THREATS P09).
 */
#ifndef STARLING_SERVER_METRICS_H
#define STARLING_SERVER_METRICS_H

#include "channels/base/buf.h"
#include "channels/status.h"

/* clang-format off */
#define METRICS(X)                                                                                                     \
    /* field                          kind     name                                   labels                  help */  \
    X(connections_open,               gauge,   "connections",                         "",                     "open sockets, HTTP included") \
    X(connections_accepted_total,     counter, "connections_accepted_total",          "",                     "sockets accepted") \
    X(clients,                        gauge,   "node_num_clients",                    "",                     "connected clients") \
    X(users,                          gauge,   "worker_users",                        "",                     "users with a client, summed over workers") \
    X(handshakes_total,               counter, "handshakes_total",                    "",                     "WebSocket upgrades accepted") \
    X(handshakes_refused_total,       counter, "handshakes_refused_total",            "",                     "WebSocket upgrades refused") \
    X(limited_connections_total,      counter, "connections_limited_total",           "limit=\"connections\"", "upgrades refused for a limit") \
    X(limited_rate_total,             counter, "connections_limited_total",           "limit=\"rate\"",        "upgrades refused for a limit") \
    X(limited_ip_total,               counter, "connections_limited_total",           "limit=\"ip\"",          "upgrades refused for a limit") \
    X(limited_ip_rate_total,          counter, "connections_limited_total",           "limit=\"ip_rate\"",     "upgrades refused for a limit") \
    X(limited_user_total,             counter, "connections_limited_total",           "limit=\"user\"",        "upgrades refused for a limit") \
    X(messages_received_total,        counter, "messages_received_total",             "",                     "WebSocket messages from clients") \
    X(commands_total,                 counter, "commands_total",                      "",                     "commands from clients") \
    X(command_rate_limited_total,     counter, "commands_rate_limited_total",         "",                     "commands over the rate") \
    X(publish_user_limited_total,     counter, "publications_over_rate_total",        "limit=\"user\"",        "publications of clients over a rate, refused or only counted") \
    X(publish_ip_limited_total,       counter, "publications_over_rate_total",        "limit=\"ip\"",          "publications of clients over a rate, refused or only counted") \
    X(publish_channel_limited_total,  counter, "publications_over_rate_total",        "limit=\"channel\"",     "publications of clients over a rate, refused or only counted") \
    X(user_channels_limited_total,    counter, "subscriptions_limited_total",         "limit=\"user\"",        "subscribe commands refused because the user has too many channels") \
    X(received_bytes_total,           counter, "received_bytes_total",                "",                     "bytes read from sockets") \
    X(sent_bytes_total,               counter, "sent_bytes_total",                    "",                     "bytes written to sockets") \
    X(sends_total,                    counter, "sends_total",                         "",                     "system calls that wrote to sockets") \
    X(publications_total,             counter, "publications_received_total",         "",                     "publications that reached a worker") \
    X(deliveries_total,               counter, "deliveries_total",                    "",                     "frames put into an outbox by a publication") \
    X(deliveries_refused_total,       counter, "deliveries_refused_total",            "",                     "frames refused by a full outbox") \
    X(insufficient_state_total,       counter, "insufficient_state_total",            "",                     "times a stream had a gap on a worker") \
    X(mailbox_full_total,             counter, "mailbox_full_total",                  "",                     "requests refused because a mailbox was full") \
    X(conflated_total,                counter, "publications_conflated_total",        "",                     "publications that a newer one overtook on its way to a slow client") \
    X(slow_closed_total,              counter, "slow_clients_closed_total",           "",                     "clients closed as slow") \
    X(no_pong_total,                  counter, "no_pong_closed_total",                "",                     "clients closed because no pong came") \
    X(stale_total,                    counter, "stale_closed_total",                  "",                     "clients closed because they sent no connect") \
    X(disconnects_total,              counter, "disconnects_total",                   "",                     "clients disconnected by the server") \
    X(websocket_errors_total,         counter, "websocket_errors_total",              "",                     "connections closed for a malformed frame") \
    X(http_requests_total,            counter, "http_requests_total",                 "",                     "requests with a whole head") \
    X(http_refused_total,             counter, "http_refused_total",                  "",                     "requests refused as malformed or over a limit") \
    X(api_requests_total,             counter, "api_requests_total",                  "",                     "calls of the server API") \
    X(api_errors_total,               counter, "api_errors_total",                    "",                     "calls of the server API answered with an error") \
    X(api_unauthorized_total,         counter, "api_unauthorized_total",              "",                     "calls of the server API with a wrong key") \
    X(recovered_total,                counter, "recoveries_total",                    "recovered=\"true\"",    "recoveries asked for by subscribers") \
    X(not_recovered_total,            counter, "recoveries_total",                    "recovered=\"false\"",   "recoveries asked for by subscribers") \
    X(recovered_publications_total,   counter, "recovered_publications_total",        "",                     "publications sent in recoveries") \
    X(subscriptions,                  gauge,   "node_num_subscriptions",              "",                     "subscriptions") \
    X(channels,                       gauge,   "worker_channels",                     "",                     "channels with a subscriber, summed over workers") \
    X(outbox_bytes,                   gauge,   "outbox_bytes",                        "",                     "bytes queued for all clients") \
    X(backend_requests_total,         counter, "backend_requests_total",              "",                     "requests to backends of the application") \
    X(backend_answers_total,          counter, "backend_answers_total",               "",                     "requests that a backend answered, with any status") \
    X(backend_duration_ms_total,      counter, "backend_duration_milliseconds_total", "",                     "sum of how long requests to backends took") \
    X(backend_in_flight,              gauge,   "backend_requests_in_flight",          "",                     "requests to backends under way") \
    X(backend_waiting,                gauge,   "backend_requests_waiting",            "",                     "requests that wait for a place under way") \
    X(accept_pauses_total,            counter, "accept_pauses_total",                 "",                     "times accepting was paused because descriptors ran out") \
    X(webhook_sent_total,             counter, "webhook_events_sent_total",           "",                     "events that the backend has taken") \
    X(webhook_failures_total,         counter, "webhook_request_failures_total",      "",                     "requests with events that failed; they are tried again") \
    X(webhook_dropped_queue_total,    counter, "webhook_events_dropped_total",        "reason=\"queue\"",     "events that the backend was never told") \
    X(webhook_dropped_failed_total,   counter, "webhook_events_dropped_total",        "reason=\"failed\"",    "events that the backend was never told") \
    X(webhook_queue,                  gauge,   "webhook_events_queued",               "",                     "events that wait") \
    X(broker_lag_us_max,              maximum, "broker_lag_microseconds_max",         "",                     "from publishing a probe to receiving it, as last measured") \
    X(broker_connects_total,          counter, "broker_connects_total",               "",                     "connections to Redis that became ready") \
    X(broker_failures_total,          counter, "broker_failures_total",               "",                     "requests to Redis that failed") \
    X(broker_repaired_total,          counter, "broker_repaired_publications_total",  "",                     "publications that were read again because they did not arrive") \
    X(broker_told_total,              counter, "broker_told_total",                   "",                     "channels whose subscribers were told that they may have missed something") \
    X(broker_foreign_total,           counter, "broker_foreign_messages_total",       "",                     "messages in Redis that had not the expected shape") \
    X(loop_lag_us_sum,                counter, "loop_lag_microseconds_total",         "",                     "sum of how late the worker's timer ran") \
    X(loop_lag_count,                 counter, "loop_lag_samples_total",              "",                     "number of those samples") \
    X(loop_lag_us_max,                maximum, "loop_lag_microseconds_max",           "",                     "latest timer of the last ten seconds")
/* clang-format on */

struct metrics {
#define METRIC_FIELD(field, kind, name, labels, help) uint64_t field;
    METRICS(METRIC_FIELD)
#undef METRIC_FIELD
    uint64_t reply_errors[STATUS_COUNT]; /* error replies to clients by status */
};

/* Adds `from` into `sum`: counters and gauges are summed, of maxima the larger stays. */
void metrics_add(struct metrics *sum, const struct metrics *from);

/* What is not counted by workers. */
struct metrics_process {
    unsigned worker_count;
    uint64_t uptime_s;
    uint64_t resident_bytes;
    double cpu_s;
    uint64_t open_fds, max_fds;
};

/* Reads /proc; what cannot be read stays 0. */
void metrics_read_process(struct metrics_process *process);

/* The Prometheus text exposition format 0.0.4. */
void metrics_print(struct buf *out, const struct metrics *sum, const struct metrics_process *process);

struct exchange;
struct worker;

/* The metrics endpoint. Takes the exchange. */
void metrics_handle(struct exchange *exchange);

/* Brings the gauges and the hub's counters in worker->metrics up to date. On the worker's own thread. */
void metrics_update(struct worker *worker);

/* Gathers the metrics of all workers and calls `done` on this worker's thread, in this turn or a later one,
 * also where mailboxes are full: that is when one wants to look. false: no memory, and `done` will not be
 * called. */
bool metrics_collect(struct worker *worker, void (*done)(void *context, const struct metrics *sum),
                     void *context);

#endif

/* api.h - the server API over HTTP: what an application's backend calls.
 *
 *     POST <prefix>/<method>   one call            ─┐
 *     POST <prefix>/batch      several, one answer ─┼─▶ api_batch.c runs them ─▶ api_publish.c,
 * api_channels.c, POST <prefix>            the same, by lines  ─┘                            api_users.c
 *
 * Callers have the key, or are the administrator who signed in with a browser (login.h). Requests, answers
 * and errors are those of SERVER_API sections 1 to 4. Calls that concern a channel travel as ops to the
 * channel's home, those that concern a user or the node visit every worker (control.h, survey.h); the
 * exchange is answered when the last of them is back.
 *
 * Thread: the worker's.   Memory: what a request needs lives until its answer.   Limits: below, and the
 * body's size (config limits.http_body_size).
 */
#ifndef STARLING_SERVER_API_H
#define STARLING_SERVER_API_H

struct exchange;

enum {
    API_COMMANDS_MAX = 1000,           /* in one batch, or lines of the legacy form */
    API_BROADCAST_CHANNELS_MAX = 1000, /* of one broadcast */
    API_WHITELIST_MAX = 1000,          /* clients that one disconnect spares */
    API_IN_FLIGHT_MAX = 32, /* commands of a parallel batch, or publications of a broadcast, at a time */
    API_HISTORY_BYTES_MAX = 16 << 20, /* of those publications; at least one is always sent */
    API_ANSWER_BYTES_MAX = 64 << 20,  /* of a batch: commands after that are refused */
};

/* The handler of http_api.handler_prefix. Takes the exchange. */
void api_handle(struct exchange *exchange);

#endif

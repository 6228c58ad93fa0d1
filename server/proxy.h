/* proxy.h - the event proxy: a worker asks the application's backends what a client may do.
 *
 *     session ─▶ proxies_find(event, name) ─▶ proxy_ask(request, headers) ─▶ … ─▶ on_reply(verdict)
 *
 * One struct proxy for each proxy object of the configuration that has an endpoint, with a target of the
 * worker's HTTP client behind it, so that limits and breaker are per object and per worker. What can go wrong
 * on the way (nobody there, slow, huge, malformed, another status that is not transformed) is one verdict,
 * PROXY_FAILURE; the log says which.
 *
 * Headers of clients are kept only where some proxy object lists them, as long as the session lives.
 *
 * Thread: the worker's; proxies_new() on main.   Memory: owned by the worker; requests own their text.
 * Source: SERVER_API section 6, THREATS W31.
 */
#ifndef STARLING_SERVER_PROXY_H
#define STARLING_SERVER_PROXY_H

#include "server/proxy_codec.h"

struct http_client;
struct http_request;
struct proxies;
struct proxy;
struct proxy_headers; /* of one client */

/* Prepares what `config` has, on `client` of one of `worker_count` workers. NULL: no memory, or a certificate
 * cannot be read, which the log says. */
struct proxies *proxies_new(const struct config *config, struct http_client *client, unsigned worker_count);
/* Before the client is freed. NULL is fine. */
void proxies_free(struct proxies *proxies);

/* The proxy of an event by its name in the configuration ("default", "" and NULL: the event's own). NULL:
 * there is none, or connect or refresh is not enabled. */
struct proxy *proxies_find(const struct proxies *proxies, enum proxy_event event, const char *name);

/* The proxy for an RPC method (SERVER_API section 7). Not OK is what the client gets: NOT_AVAILABLE where RPC
 * is not configured, or not for this method's namespace; METHOD_NOT_FOUND where namespaces are configured and
 * this is none of them. */
enum status proxies_find_rpc(const struct proxies *proxies, struct str method, struct proxy **out);

/* Called once for a question that was accepted, later, never inside proxy_ask(). The reply is borrowed;
 * `scratch` holds its texts, and is for proxy_read_…(). */
typedef void proxy_on_reply(void *context, const struct proxy_reply *reply, struct buf *scratch);

/* Asks. `headers` may be NULL. false: no memory, and on_reply will not run. */
bool proxy_ask(struct proxy *proxy, enum proxy_event event, const struct proxy_request *request,
               const struct proxy_headers *headers, proxy_on_reply *on_reply, void *context);

/* Does the object want the connection's meta? */
bool proxy_wants_meta(const struct proxy *proxy);

/* ---- headers of a client ---- */

/* Adds those headers of the client's HTTP request that some proxy passes on to *headers, which is created
 * when it is needed and stays NULL otherwise. false: no memory. */
bool proxies_keep_headers(const struct proxies *proxies, const struct http_request *request,
                          struct proxy_headers **headers);
/* The same for connect.headers, as the client sent them. BAD_REQUEST: not an object of texts, or more than
 * `bytes_max` to keep. */
enum status proxies_keep_emulated(const struct proxies *proxies, struct str connect_headers, size_t bytes_max,
                                  struct proxy_headers **headers);
/* NULL is fine. */
void proxy_headers_free(struct proxy_headers *headers);

#endif

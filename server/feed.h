/* feed.h - the demo feed of --dev: prices, counters and a log that move by themselves.
 *
 * A timer on the first worker publishes into feed:prices, feed:counters and feed:log like any other
 * publisher. Only development mode starts it.
 *
 * Thread: started and stopped on main; it runs on the first worker.
 */
#ifndef STARLING_SERVER_FEED_H
#define STARLING_SERVER_FEED_H

struct feed;
struct server;

/* NULL without memory: the server runs without it. */
struct feed *feed_start(struct server *server);
/* Publishes nothing more from some later turn on. NULL is fine; the worker frees it. */
void feed_stop(struct feed *feed);

#endif

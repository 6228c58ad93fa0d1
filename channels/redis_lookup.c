#include "channels/redis_lookup.h"

#include "channels/base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Two hold it: the loop and the thread. Whoever lets go last frees it; the thread wakes the loop only under
 * the lock in which the loop lets go, so that it never touches a loop that has gone. */
struct redis_lookup {
    pthread_mutex_t lock;
    bool is_cancelled, is_finished;
    struct ev_loop *loop;
    ev_async wake;
    void (*done)(void *context, const struct addrinfo *found);
    void *context;
    struct addrinfo *found;
    char *port; /* in host[], behind its NUL */
    char host[];
};

static void lookup_free(struct redis_lookup *lookup)
{
    if (lookup->found != NULL) {
        freeaddrinfo(lookup->found);
    }
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static void *run(void *argument)
{
    struct redis_lookup *lookup = argument;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(lookup->host, lookup->port, &hints, &found) != 0) {
        found = NULL;
    }
    pthread_mutex_lock(&lookup->lock);
    lookup->found = found;
    lookup->is_finished = true;
    bool is_cancelled = lookup->is_cancelled;
    if (!is_cancelled) {
        ev_async_send(lookup->loop, &lookup->wake);
    }
    pthread_mutex_unlock(&lookup->lock);
    if (is_cancelled) {
        lookup_free(lookup);
    }
    return NULL;
}

static void on_wake(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)events;
    struct redis_lookup *lookup = watcher->data;
    ev_async_stop(loop, watcher);
    pthread_mutex_lock(&lookup->lock); /* the thread may still hold it */
    pthread_mutex_unlock(&lookup->lock);
    lookup->done(lookup->context, lookup->found);
    lookup_free(lookup);
}

struct redis_lookup *redis_lookup_start(struct ev_loop *loop, const char *host, const char *port,
                                        void (*done)(void *context, const struct addrinfo *found),
                                        void *context)
{
    size_t host_bytes = strlen(host) + 1, port_bytes = strlen(port) + 1;
    struct redis_lookup *lookup = calloc(1, sizeof *lookup + host_bytes + port_bytes);
    if (lookup == NULL) {
        return NULL;
    }
    memcpy(lookup->host, host, host_bytes);
    lookup->port = lookup->host + host_bytes;
    memcpy(lookup->port, port, port_bytes);
    lookup->loop = loop;
    lookup->done = done;
    lookup->context = context;
    pthread_mutex_init(&lookup->lock, NULL);
    ev_async_init(&lookup->wake, on_wake);
    lookup->wake.data = lookup;
    ev_async_start(loop, &lookup->wake);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attributes, run, lookup);
    pthread_attr_destroy(&attributes);
    if (error != 0) {
        ev_async_stop(loop, &lookup->wake);
        lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

void redis_lookup_cancel(struct redis_lookup *lookup)
{
    if (lookup == NULL) {
        return;
    }
    pthread_mutex_lock(&lookup->lock);
    lookup->is_cancelled = true;
    ev_async_stop(lookup->loop, &lookup->wake);
    bool is_finished = lookup->is_finished;
    pthread_mutex_unlock(&lookup->lock);
    if (is_finished) {
        lookup_free(lookup);
    }
}

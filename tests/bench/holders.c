#include "tests/bench/holders.h"

#include "channels/base/must.h"
#include "tests/bench/pool.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHANNEL_BYTES = 48,
};

/* The holder's whole life. Ends when the parent closes the pipe, also by dying. */
static void hold(const struct options *options, uint32_t connections, uint32_t first_channel, int stop_pipe,
                 struct holder_counts *counts)
{
    static const struct pool_ops ops = {0};
    struct pool pool;
    char(*channels)[CHANNEL_BYTES] = calloc(connections, sizeof *channels);
    must(channels != NULL);
    pool_init(&pool, options, connections, &ops, NULL);
    for (uint32_t i = 0; i < connections; i++) {
        uint32_t number = options->has_own_channels ? first_channel + i : 0;
        (void)snprintf(channels[i], CHANNEL_BYTES, "%sidle-%u", options->prefix, number);
        pool.clients[i].channel = channels[i];
        pool.clients[i].subscribes = true;
    }
    (void)pool_open(&pool, 0, connections);
    struct pollfd stop = {.fd = stop_pipe, .events = POLLIN};
    do {
        counts->ready = pool.ready;
        counts->failed = pool.failed + pool.broken;
        counts->pings = pool.pings;
        counts->is_open = true;
        pool_turn(&pool, 100);
    } while (poll(&stop, 1, 0) == 0);
    _exit(0);
}

bool holders_start(struct holders *holders, const struct options *options, uint32_t connections)
{
    *holders = (struct holders){0};
    holders->counts = mmap(NULL, sizeof *holders->counts * HOLDERS_MAX, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(holders->counts != MAP_FAILED);
    must(connections <= HOLDERS_MAX * HOLDER_CONNECTIONS_MAX);
    uint32_t started = 0;
    bool is_good = true;
    while (started < connections && is_good) {
        uint32_t left = connections - started;
        uint32_t share = left < HOLDER_CONNECTIONS_MAX ? left : HOLDER_CONNECTIONS_MAX;
        uint32_t i = holders->count++;
        int ends[2];
        must(pipe(ends) == 0);
        (void)fflush(stdout);
        pid_t child = fork();
        must(child >= 0);
        if (child == 0) {
            for (uint32_t j = 0; j < i; j++) {
                (void)close(holders->stop_pipes[j]);
            }
            (void)close(ends[1]);
            hold(options, share, started, ends[0], &holders->counts[i]);
        }
        (void)close(ends[0]);
        holders->pids[i] = child;
        holders->stop_pipes[i] = ends[1];
        while (!holders->counts[i].is_open && waitpid(child, NULL, WNOHANG) == 0) {
            (void)poll(NULL, 0, 5);
        }
        is_good = holders->counts[i].is_open && holders->counts[i].ready == share;
        started += share;
    }
    return is_good;
}

uint64_t holders_pings(const struct holders *holders)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < holders->count; i++) {
        sum += holders->counts[i].pings;
    }
    return sum;
}

uint64_t holders_failed(const struct holders *holders)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < holders->count; i++) {
        sum += holders->counts[i].failed;
    }
    return sum;
}

void holders_stop(struct holders *holders)
{
    for (uint32_t i = 0; i < holders->count; i++) {
        (void)close(holders->stop_pipes[i]);
    }
    for (uint32_t i = 0; i < holders->count; i++) {
        (void)waitpid(holders->pids[i], NULL, 0);
    }
    (void)munmap(holders->counts, sizeof *holders->counts * HOLDERS_MAX);
}

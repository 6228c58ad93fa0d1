/* calls.h - counts the system calls another process makes, by perf or by strace.
 *
 * perf counts tracepoints in the kernel and hardly disturbs; strace stops the process at every call, which
 * makes it several times slower, so that more work gathers in each of its loop turns. Either way a pass that
 * counts calls is not one whose time means anything. Thread: the main one.
 */
#ifndef STARLING_BENCH_CALLS_H
#define STARLING_BENCH_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct calls {
    uint64_t send; /* sendto, sendmsg, sendmmsg, write, writev: to sockets, as a server under load has them */
    uint64_t receive; /* recvfrom, recvmsg, read */
    uint64_t wait;    /* epoll_wait, epoll_pwait, poll */
    uint64_t control; /* epoll_ctl */
    uint64_t all;
};

/* A counter that is running. */
struct calls_counter {
    pid_t tool;
    bool is_strace;
    char output[64]; /* a file in /tmp, removed by calls_stop() */
};

/* Starts counting and returns once it has begun. `wants_strace` leaves perf aside even where it works.
 * false: neither tool can watch that process. */
bool calls_start(struct calls_counter *counter, pid_t pid, bool wants_strace);

/* Ends it. false: the tool left no figures. */
bool calls_stop(struct calls_counter *counter, struct calls *out);

#endif

/* process.h - what the server under test costs: processor time, memory, system calls. Linux, from /proc.
 *
 * Processor time is in nanoseconds from the scheduler (/proc/PID/task/TID/schedstat, first number), not in
 * clock ticks: a tick of 10 ms is a thousand deliveries. It contains what the kernel does in the server's
 * name, which on loopback is also the receiving side of each send().
 * Thread: the main one.
 */
#ifndef STARLING_BENCH_PROCESS_H
#define STARLING_BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Sum over all threads that live now; 0 when there is no such process. */
uint64_t process_cpu_ns(pid_t pid);

/* The calling process's own time. */
uint64_t process_own_cpu_ns(void);

struct process_memory {
    uint64_t rss_bytes; /* resident pages, shared ones in full */
    uint64_t pss_bytes; /* shared ones by share: the honest figure */
};

/* false: the process is gone or not ours to look at. */
bool process_memory(pid_t pid, struct process_memory *out);

#endif

/* options.h - what the command line of the load generator says. Filled once, then read only. */
#ifndef STARLING_BENCH_OPTIONS_H
#define STARLING_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum dialect {
    DIALECT_STARLING, /* the client protocol, JSON */
    DIALECT_PLAIN,    /* floor.c's: S joins, P chooses, E echoes, all else is published as it is */
};

struct options {
    enum dialect dialect;
    uint16_t port;
    pid_t server_pid;    /* 0: the server's costs are not measured */
    const char *path;    /* of the WebSocket endpoint */
    const char *prefix;  /* of every channel name, such as "bench:" */
    const char *request; /* what `request` asks for: history, presence_stats, rpc, publish, echo */
    const char *label;   /* goes into the report as it is */
    uint32_t connections;
    uint32_t rooms, members;
    uint32_t in_flight;   /* fan-out: publications on their way at once */
    uint32_t concurrency; /* connections being opened at once */
    uint32_t level;       /* idle connections that other processes hold meanwhile */
    double rate;          /* fan-out: publications/s in all, chat: per member; 0 = as fast as answered */
    double seconds;       /* length of the measured window */
    double warmup_seconds;
    uint32_t patience_ms; /* without any answer: what is missing will not come */
    uint64_t messages;    /* fan-out: publications in the window instead of its length; churn: cycles */
    double stalled_percent;
    size_t payload_bytes;
    bool is_secure;        /* TLS */
    bool is_latest_only;   /* fan-out: a stalled reader may miss all but the last publication */
    bool has_own_channels; /* idle: one channel for each connection instead of one for all */
    bool counts_calls, wants_strace;
    bool prints_json;
};

#endif

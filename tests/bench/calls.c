#include "tests/bench/calls.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALL(name) "syscalls:sys_enter_" name
#define PERF_EVENTS                                                                                                                  \
    "raw_syscalls:sys_enter," CALL("sendto") "," CALL("sendmsg") "," CALL("sendmmsg") "," CALL("write") "," CALL("writev") "," CALL( \
        "recvfrom") "," CALL("recvmsg") "," CALL("read") "," CALL("epoll_wait") "," CALL("epoll_pwait") "," CALL("poll") "," CALL("epoll_ctl")

static void sleep_ms(long ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* Starts a program with its messages thrown away. */
static pid_t start_tool(char *const argv[])
{
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (nowhere >= 0) {
            (void)dup2(nowhere, 1);
            (void)dup2(nowhere, 2);
        }
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    return child;
}

static bool has_perf(void)
{
    char *const argv[] = {"perf", "stat", "-e", PERF_EVENTS, "true", NULL};
    pid_t child = start_tool(argv);
    int status;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* strace has begun once the kernel names a tracer of that process. */
static bool is_traced(pid_t pid)
{
    char path[64], line[256];
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        found = found || (strncmp(line, "TracerPid:", 10) == 0 && strtol(line + 10, NULL, 10) != 0);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

bool calls_start(struct calls_counter *counter, pid_t pid, bool wants_strace)
{
    char pid_text[16];
    (void)snprintf(pid_text, sizeof pid_text, "%d", (int)pid);
    *counter = (struct calls_counter){.is_strace = wants_strace || !has_perf()};
    (void)strncpy(counter->output, "/tmp/starling-calls-XXXXXX", sizeof counter->output - 1);
    int fd = mkstemp(counter->output);
    if (fd < 0) {
        return false;
    }
    (void)close(fd);
    char *const strace[] = {"strace", "-c", "-f", "-qq", "-o", counter->output, "-p", pid_text, NULL};
    char *const perf[] = {"perf", "stat",          "-x,", "-e",     PERF_EVENTS,
                          "-o",   counter->output, "-p",  pid_text, NULL};
    counter->tool = start_tool(counter->is_strace ? strace : perf);
    if (counter->tool <= 0) {
        return false;
    }
    /* perf says nothing when it has begun; the tracepoints are there within a few milliseconds. */
    for (int i = 0; i < 100; i++) {
        sleep_ms(counter->is_strace ? 20 : 5);
        if (counter->is_strace && is_traced(pid)) {
            sleep_ms(50); /* the other threads */
            return true;
        }
        if (waitpid(counter->tool, NULL, WNOHANG) == counter->tool) {
            (void)unlink(counter->output);
            return false;
        }
    }
    return !counter->is_strace;
}

static void add_call(struct calls *calls, const char *name, uint64_t count)
{
    static const char *const sends[] = {"sendto", "sendmsg", "sendmmsg", "write", "writev"};
    static const char *const receives[] = {"recvfrom", "recvmsg", "read"};
    static const char *const waits[] = {"epoll_wait", "epoll_pwait", "poll"};
    for (size_t i = 0; i < sizeof sends / sizeof *sends; i++) {
        calls->send += strcmp(name, sends[i]) == 0 ? count : 0;
    }
    for (size_t i = 0; i < sizeof receives / sizeof *receives; i++) {
        calls->receive += strcmp(name, receives[i]) == 0 ? count : 0;
    }
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        calls->wait += strcmp(name, waits[i]) == 0 ? count : 0;
    }
    calls->control += strcmp(name, "epoll_ctl") == 0 ? count : 0;
}

/* 123,,syscalls:sys_enter_sendto,…   The name may carry a modifier behind a colon of its own. */
static void read_perf_line(char *line, struct calls *out)
{
    uint64_t count = strtoull(line, NULL, 10);
    char *name = strstr(line, "sys_enter");
    if (name == NULL) {
        return;
    }
    name += strlen("sys_enter");
    if (*name != '_') {
        out->all += count;
        return;
    }
    name++;
    name[strcspn(name, ",:")] = '\0';
    add_call(out, name, count);
}

/* % time, seconds, usecs/call, calls, [errors,] name; the line "total" sums them up. */
static void read_strace_line(char *line, struct calls *out)
{
    double ignored[3];
    unsigned long count;
    char first[64], second[64] = "";
    int fields = sscanf(line, "%lf %lf %lf %lu %63s %63s", &ignored[0], &ignored[1], &ignored[2], &count,
                        first, second);
    if (fields < 5) {
        return;
    }
    const char *name = fields == 6 ? second : first;
    if (strcmp(name, "total") == 0) {
        out->all = count;
        return;
    }
    add_call(out, name, count);
}

bool calls_stop(struct calls_counter *counter, struct calls *out)
{
    char line[512];
    bool found = false;
    (void)kill(counter->tool, SIGINT);
    (void)waitpid(counter->tool, NULL, 0);
    *out = (struct calls){0};
    FILE *file = fopen(counter->output, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        found = true;
        line[strcspn(line, "\n")] = '\0';
        if (counter->is_strace) {
            read_strace_line(line, out);
        } else {
            read_perf_line(line, out);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    (void)unlink(counter->output);
    return found;
}

#include "tests/bench/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t process_cpu_ns(pid_t pid)
{
    char path[512];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return 0;
    }
    uint64_t sum_ns = 0;
    for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            continue; /* this thread has just ended */
        }
        char line[128];
        if (fgets(line, sizeof line, file) != NULL) {
            sum_ns += strtoull(line, NULL, 10);
        }
        (void)fclose(file);
    }
    (void)closedir(tasks);
    return sum_ns;
}

uint64_t process_own_cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool process_memory(pid_t pid, struct process_memory *out)
{
    char path[64], line[256];
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    *out = (struct process_memory){0};
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "Rss:", 4) == 0) {
            out->rss_bytes = strtoull(line + 4, NULL, 10) * 1024;
        } else if (strncmp(line, "Pss:", 4) == 0) {
            out->pss_bytes = strtoull(line + 4, NULL, 10) * 1024;
        }
    }
    (void)fclose(file);
    return out->rss_bytes != 0;
}

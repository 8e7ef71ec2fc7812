#define _GNU_SOURCE
#include "oom.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 4096 };

static int read_text(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return 0;
    length = read(fd, text, CHUNK);
    close(fd);
    if (length < 0)
        return 0;
    text[length] = '\0';
    return 1;
}

/* The line `oom_kill N` of a file; -1 where there is none. */
static long long count_in(const char *folder, const char *path, const char *name)
{
    static char file[PATH_MAX + 64], text[CHUNK + 1];
    char *line, *rest;

    snprintf(file, sizeof file, "/sys/fs/cgroup%s%s%s", folder, path, name);
    if (!read_text(file, text))
        return -1;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, "oom_kill ", 9) == 0 && line[9] >= '0' && line[9] <= '9')
            return strtoll(line + 9, NULL, 10);
    return -1;
}

static int has_memory(const char *controllers)
{
    const char *at = strstr(controllers, "memory");

    return at && (at == controllers || at[-1] == ',') && (at[6] == '\0' || at[6] == ',');
}

/* A line is HIERARCHY:CONTROLLERS:PATH (cgroups(7)); in a container the mount may show our group as its root. */
long long oom_kills(void)
{
    static char text[CHUNK + 1];
    char *line, *rest;
    long long found = -1;

    if (!read_text("/proc/self/cgroup", text))
        return -1;
    for (line = strtok_r(text, "\n", &rest); line && found < 0; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        const char *folder = "", *name = "/memory.events";
        size_t length;

        if (!path)
            continue;
        *controllers++ = '\0';
        *path++ = '\0';
        for (length = strlen(path); length > 0 && path[length - 1] == '/'; length--)
            path[length - 1] = '\0';
        if (has_memory(controllers)) {
            folder = "/memory";
            name = "/memory.oom_control";
        } else if (*controllers) {
            continue;
        }
        found = count_in(folder, path, name);
        if (found < 0)
            found = count_in(folder, "", name);
    }
    return found;
}

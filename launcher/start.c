#define _GNU_SOURCE
#include "start.h"

#include "oom.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A bit of the core dump filter that no dump needs; pyinit.procfs says what it is for. */
enum { MARK = 0x100 };

static const char FILTER[] = "/proc/self/coredump_filter";

static int read_filter(unsigned long *filter)
{
    char text[24];
    int fd = open(FILTER, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return 0;
    length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    *filter = strtoul(text, NULL, 16);
    return 1;
}

/* Mark what is born below us from now on, so that orphans from elsewhere can be told. */
static void mark_descendants(struct started *started)
{
    unsigned long own, now;
    char own_pid[4], text[24];
    int fd, length;

    if (readlink("/proc/self", own_pid, sizeof own_pid) != 1 || own_pid[0] != '1' || !read_filter(&own))
        return;
    fd = open(FILTER, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    length = snprintf(text, sizeof text, "%#lx", own ^ MARK);
    length = (int) write(fd, text, (size_t) length);
    close(fd);
    if (length > 0 && (!read_filter(&now) || now == (own ^ MARK)))
        snprintf(started->filter, sizeof started->filter, "%lx", own);
}

/* A file in no format that the kernel knows is a script for the shell. `words` has room for one word more. */
static void execute_at(char *place, char **command, char **words, char **environment)
{
    static char shell[] = "/bin/sh";

    execve(place, command, environment);
    if (errno != ENOEXEC)
        return;
    words[0] = shell;
    words[1] = place;
    execve(shell, words, environment);
    errno = ENOEXEC;
}

/* Find the command as execvp(3) does; returns where the interpreter has to find out why it is not there. */
static void execute(char **command, char **words, char **environment)
{
    static char place[PATH_MAX];
    const char *path = getenv("PATH");
    size_t length;

    if (strchr(command[0], '/')) {
        execute_at(command[0], command, words, environment);
        return;
    }
    while (path) {
        length = strcspn(path, ":");
        if (length + strlen(command[0]) + 3 > sizeof place)
            return;
        snprintf(place, sizeof place, "%.*s/%s", length ? (int) length : 1, length ? path : ".", command[0]);
        execute_at(place, command, words, environment);
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES && errno != ENODEV && errno != ETIMEDOUT
            && errno != ESTALE)
            return;
        path = path[length] ? path + length + 1 : NULL;
    }
}

/*
 * Until it has become the command, or has ended, the child has our memory and we stand still: vfork(2). Where that is only
 * a fork (under an emulator), and in any case, the end of the pipe without a word says that it has become the command.
 */
static pid_t __attribute__((noinline))
spawn(char **command, char **words, char **environment, const struct inherited *inherited, int home)
{
    int told[2];
    char failed = 0;
    pid_t pid;

    if (pipe2(told, O_CLOEXEC) < 0)
        return 0;
    pid = vfork();
    if (pid == 0) {
        if (setsid() >= 0 && (home < 0 || fchdir(home) == 0)) {
            if (inherited->ignored >> (SIGCHLD - 1) & 1)
                signal(SIGCHLD, SIG_IGN);
            close(inherited->signals);
            syscall(SYS_rt_sigprocmask, SIG_SETMASK, &inherited->mask, NULL, sizeof inherited->mask);
            execute(command, words, environment);
        }
        if (write(told[1], "x", 1) < 0)
            _exit(126);
        _exit(127);
    }
    close(told[1]);
    if (pid > 0 && read(told[0], &failed, 1) == 1) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        pid = 0;
    }
    close(told[0]);
    return pid > 0 ? pid : 0;
}

struct started start_main(char **command, char **environment, const struct inherited *inherited)
{
    struct started started = {.filter = "-", .oom_kills = -1};
    struct timespec now = {0};
    size_t count = 0;
    char **words;
    int home;

    /* Without PATH the C library has one of its own: no case for us. */
    if (!strchr(command[0], '/') && !getenv("PATH"))
        return started;
    while (command[count])
        count++;
    words = calloc(count + 2, sizeof *words); /* for a shell: it, the script, what stands behind that */
    if (!words)
        return started;
    for (size_t at = 1; at < count; at++)
        words[at + 1] = command[at];
    if (getpid() == 1)
        mark_descendants(&started);
    else if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return started;
    started.oom_kills = oom_kills();
    /* Away from where we were started, before main can look; it stays there. */
    home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (home >= 0 && chdir("/") < 0) {
        close(home);
        home = -1;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    started.at_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
    started.pid = spawn(command, words, environment, inherited, home);
    if (home >= 0) {
        if (!started.pid && fchdir(home) < 0)
            started.at_ns = 0; /* then it is /, as for a folder that has gone */
        close(home);
    }
    free(words);
    return started;
}

void end_all(pid_t main_pid)
{
    char list[4096], *at, *end;

    kill(main_pid, SIGKILL);
    for (;;) {
        int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? 0 : read(fd, list, sizeof list - 1);

        if (fd >= 0)
            close(fd);
        list[length > 0 ? length : 0] = '\0';
        for (at = list; *at; at = end) {
            long pid = strtol(at, &end, 10);

            if (end == at)
                break;
            kill((pid_t) pid, SIGKILL);
            end += strspn(end, " ");
        }
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
            return;
    }
}

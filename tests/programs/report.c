/* report [ARG...]: one JSON line that says what this process was given: pid, ppid, pgid, sid, mask and dispositions, descriptors, environment
 * and arguments (as hex), working directory, umask, ids. Then exits 0. */
#include "program.h"
#include <sys/stat.h>

extern char **environ;

static void hex(const char *bytes)
{
    putchar('"');
    for (; *bytes; bytes++)
        printf("%02x", (unsigned char)*bytes);
    putchar('"');
}

static void hex_list(const char *key, char **list)
{
    printf(", \"%s\": [", key);
    for (int i = 0; list[i]; i++) {
        if (i)
            printf(", ");
        hex(list[i]);
    }
    printf("]");
}

int main(int argc, char **argv)
{
    char cwd[4096] = "";
    bool open_fds[256];
    sigset_t mask;
    const char *separator = "";
    (void)argc;
    /* before stdio opens anything: which descriptors are there, and where they lead */
    for (int fd = 0; fd < 256; fd++)
        open_fds[fd] = fcntl(fd, F_GETFD) != -1;
    int out = dup(open_fds[1] ? 1 : 2);
    live();
    sigprocmask(SIG_BLOCK, NULL, &mask);
    FILE *stream = getenv("REPORT_FILE") ? fopen(getenv("REPORT_FILE"), "w") : fdopen(out, "w");
    if (!stream)
        return 97;
    stdout = stream;
    printf("{\"pid\": %d, \"ppid\": %d, \"pgid\": %d, \"sid\": %d, \"uid\": %d, \"gid\": %d", getpid(), getppid(), getpgid(0), getsid(0),
           getuid(), getgid());
    printf(", \"blocked\": [");
    for (int number = 1; number <= 64; number++) {
        /* the raw mask: the C library hides 32 and 33 */
        if (((const unsigned long *)&mask)[0] >> (number - 1) & 1) {
            printf("%s%d", separator, number);
            separator = ", ";
        }
    }
    printf("], \"ignored\": [");
    separator = "";
    for (int number = 1; number <= 64; number++) {
        unsigned long action[4] = {0};
        if (syscall(SYS_rt_sigaction, number, NULL, action, 8) == 0 && action[0] == (unsigned long)SIG_IGN) {
            printf("%s%d", separator, number);
            separator = ", ";
        }
    }
    printf("], \"fds\": {");
    separator = "";
    for (int fd = 0; fd < 256; fd++) {
        char path[64], target[1024];
        if (!open_fds[fd])
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        printf("%s\"%d\": ", separator, fd);
        hex(target);
        separator = ", ";
    }
    mode_t old = umask(0);
    printf("}, \"umask\": %d, \"no_new_privs\": %d, \"subreaper\": ", (int)old, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    int subreaper = -1, death_signal = -1;
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
    prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0);
    printf("%d, \"securebits\": %d, \"death_signal\": %d, \"timer_slack\": %d, \"cwd\": ", subreaper, prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), death_signal, prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
    hex(getcwd(cwd, sizeof cwd) ? cwd : "");
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    printf(", \"terminal\": %s, \"foreground\": %d", terminal >= 0 ? "true" : "false", terminal >= 0 ? tcgetpgrp(terminal) : -1);
    hex_list("env", environ);
    hex_list("argv", argv);
    printf("}\n");
    fflush(stdout);
    _exit(0);
}

/* take_all NAME [count]: takes every signal there is, 32 and 33 too, by signalfd, and ends with status 0 at the end of its input.
 *
 * Says "ready PID NAME", and "got SIGNAL from PID NAME" for each. With "count" it says so of SIGRTMAX alone, which comes last, and at the end
 * "count SIGNAL TIMES" for each kind; every 50 signals it leaves an orphan that ends at once. */
#include "program.h"
#include <poll.h>
#include <sys/signalfd.h>

#define SIGNALS 64

static long counts[SIGNALS + 1];

static void leave_orphan(void)
{
    pid_t child = spawn();
    if (child == 0) {
        if (spawn() == 0)
            finish(0);
        finish(0);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "take_all";
    bool only_count = argc > 2;
    unsigned long all = ~(1UL << (SIGCHLD - 1)); /* raw: the C library keeps 32 and 33 for itself */
    long taken = 0;
    live();
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
    int fd = (int)syscall(SYS_signalfd4, -1, &all, 8, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd == -1)
        die("signalfd");
    say("ready %d %s", getpid(), name);
    for (;;) {
        struct pollfd wanted[2] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
        struct signalfd_siginfo info[64];
        ssize_t length;
        char byte;
        if (poll(wanted, 2, -1) == -1)
            die("poll");
        while ((length = read(fd, info, sizeof info)) > 0)
            for (size_t i = 0; i < (size_t)length / sizeof *info; i++) {
                counts[info[i].ssi_signo]++;
                if (!only_count || (int)info[i].ssi_signo == SIGRTMAX)
                    say("got %d from %d %s", info[i].ssi_signo, info[i].ssi_pid, name);
                else if (++taken % 50 == 0)
                    leave_orphan();
            }
        if (wanted[1].revents && read(STDIN_FILENO, &byte, 1) <= 0)
            break;
    }
    for (int number = 1; only_count && number <= SIGNALS; number++)
        if (counts[number])
            say("count %d %ld", number, counts[number]);
    finish(0);
}

/* crash_parent COMMAND...: main or daemon stays; a child of it has started COMMAND and is killed with SIGKILL at SIGUSR1, so that COMMAND
 * turns up as an adopted process which is no successor. Says "ready PID", then "crashed PID"; exits 0 at SIGTERM or when standard input
 * ends. */
#include "program.h"
#include <poll.h>
#include <sys/signalfd.h>

int main(int argc, char **argv)
{
    char byte;
    struct signalfd_siginfo info;
    sigset_t set, old;
    int started[2];
    if (argc < 2)
        return 97;
    live();
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    if (pipe2(started, O_CLOEXEC) == -1)
        die("pipe2");
    pid_t child = spawn();
    if (child == 0) {
        setsid();
        sigprocmask(SIG_SETMASK, &old, NULL);
        if (spawn() == 0)
            run(argv + 1);
        close(started[1]);
        close(started[0]);
        for (;;)
            pause();
    }
    close(started[1]);
    while (read(started[0], &byte, 1) > 0) /* until COMMAND is running: its exec closes the other end */
        ;
    struct pollfd what[2] = {{.fd = 0, .events = POLLIN}, {.fd = signalfd(-1, &set, SFD_CLOEXEC), .events = POLLIN}};
    say("ready %d", getpid());
    for (;;) {
        if (poll(what, 2, -1) == -1)
            continue;
        if (what[1].revents && read(what[1].fd, &info, sizeof info) == sizeof info) {
            if (info.ssi_signo == SIGTERM)
                finish(0);
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
            say("crashed %d", child);
        }
        if (what[0].revents && read(0, &byte, 1) <= 0)
            finish(0);
    }
}

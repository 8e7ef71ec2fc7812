/* reborn PATH before|after COMMAND...: a service that restarts itself by fork and die (Jenkins): it writes its number into PATH and says
 * "ready PID". At SIGUSR2 it forks and exits 0; the child writes its own number, before the old one ends or after that, says "next PID",
 * and executes COMMAND. Exits 0 at SIGTERM. */
#include "program.h"

static void write_number(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd == -1)
        die(path);
    dprintf(fd, "%d\n", getpid());
    close(fd);
}

int main(int argc, char **argv)
{
    sigset_t set, old;
    siginfo_t info;
    int written[2];
    char byte;
    if (argc < 4)
        return 97;
    bool before = strcmp(argv[2], "before") == 0;
    live();
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    if (pipe2(written, O_CLOEXEC) == -1)
        die("pipe2");
    write_number(argv[1]);
    say("ready %d", getpid());
    if (take_signal(&set, &info) == SIGTERM)
        finish(0);
    pid_t parent = getpid();
    if (spawn() == 0) {
        close(written[0]);
        if (!before)
            wait_for_new_parent(parent);
        write_number(argv[1]);
        close(written[1]);
        wait_for_new_parent(parent);
        say("next %d", getpid());
        sigprocmask(SIG_SETMASK, &old, NULL);
        run(argv + 3);
    }
    close(written[1]);
    while (before && read(written[0], &byte, 1) > 0)
        ;
    finish(0);
}

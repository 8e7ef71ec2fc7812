/* nested N: a PID namespace of its own below this process: an init that ignores every signal, with N children that do so too. Needs
 * privileges or user namespaces (exits 77 where there are none). Says "ready PID". nested probe: exits at once, 0 or 77. */
#include "program.h"

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 2;
    live();
    if (unshare(CLONE_NEWPID) == -1 && unshare(CLONE_NEWUSER | CLONE_NEWPID) == -1)
        finish(77);
    if (argc > 1 && strcmp(argv[1], "probe") == 0) {
        pid_t probe = fork();
        if (probe == 0)
            _exit(0);
        waitpid(probe, NULL, 0);
        finish(probe == -1 ? 77 : 0);
    }
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    pid_t init = spawn();
    if (init == 0) {
        for (int i = 0; i < count; i++)
            if (spawn() == 0) {
                setsid();
                for (;;)
                    pause();
            }
        say("nested init");
        for (;;)
            pause();
    }
    say("ready %d", getpid());
    while (waitpid(init, NULL, 0) == -1 && errno == EINTR)
        ;
    finish(0);
}

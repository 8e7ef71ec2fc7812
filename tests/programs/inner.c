/* inner COMMAND...: a PID namespace below this process. Its init ignores every signal, starts COMMAND and reaps for ever; this process ignores
 * every signal, too. Needs privileges or user namespaces. Says "init PID", as seen from outside. inner probe: exits with 0, or with 77
 * where no PID namespace can be made. */
#include "program.h"

int main(int argc, char **argv)
{
    live();
    if (argc < 2)
        return 97;
    if (unshare(CLONE_NEWPID) == -1 && unshare(CLONE_NEWUSER | CLONE_NEWPID) == -1)
        finish(77);
    bool probe = strcmp(argv[1], "probe") == 0;
    for (int number = 1; !probe && number <= SIGRTMAX; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    pid_t init = spawn();
    if (init == 0 && !probe) {
        if (spawn() == 0) {
            setsid();
            run(argv + 1);
        }
        for (;;)
            if (wait(NULL) == -1)
                pause();
    }
    if (init == 0)
        _exit(0);
    if (probe)
        finish(init == -1 || waitpid(init, NULL, 0) == -1 ? 77 : 0);
    if (init == -1)
        die("fork");
    say("init %d", init);
    for (;;)
        pause();
}

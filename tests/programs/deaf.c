/* deaf COMMAND...: blocks SIGTERM and never takes it; its child executes COMMAND in a session of its own, and nobody passes a signal
 * on to it. Says "ready PID" when the child is there. */
#include "program.h"

int main(int argc, char **argv)
{
    sigset_t term;
    if (argc < 2)
        return 97;
    live();
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    if (spawn() == 0) {
        setsid();
        run(argv + 1);
    }
    sigprocmask(SIG_BLOCK, &term, NULL);
    say("ready %d", getpid());
    for (;;)
        pause();
}

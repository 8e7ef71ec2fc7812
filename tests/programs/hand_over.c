/* hand_over [COMMAND...]: a service that hands over to a child of its own: at SIGUSR2 it forks, says "next PID", and exits 0 (a live
 * binary upgrade, a self-restart). The child goes on in the same way, or executes COMMAND. Exits 0 at SIGTERM. */
#include "program.h"

int main(int argc, char **argv)
{
    sigset_t set;
    siginfo_t info;
    live();
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    say("ready %d", getpid());
    for (;;) {
        if (take_signal(&set, &info) == SIGTERM)
            finish(0);
        pid_t old = getpid();
        if (spawn() == 0) {
            wait_for_new_parent(old);
            say("next %d", getpid());
            if (argc > 1) {
                sigprocmask(SIG_UNBLOCK, &set, NULL);
                run(argv + 1);
            }
            continue;
        }
        finish(0);
    }
}

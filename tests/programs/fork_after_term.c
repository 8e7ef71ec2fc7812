/* fork_after_term N: at SIGTERM leaves N double-forked children in sessions of their own that obey SIGTERM ("late PID" each), then
 * exits 0. */
#include "program.h"

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 3;
    sigset_t term;
    siginfo_t info;
    live();
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    say("ready %d", getpid());
    take_signal(&term, &info);
    for (int i = 0; i < count; i++)
        if (spawn() == 0) {
            setsid();
            if (spawn() == 0) {
                say("late %d", getpid());
                take_signal(&term, &info);
                finish(0);
            }
            finish(0);
        }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    finish(0);
}

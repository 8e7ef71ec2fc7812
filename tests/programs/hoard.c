/* hoard N: a subreaper that hoards N double-forked orphans which ignore every signal, and does so itself. "hoarded PID" for each, then
 * "ready PID". */
#include "program.h"

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 3;
    live();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, number == SIGCHLD ? SIG_DFL : SIG_IGN);
    for (int i = 0; i < count; i++) {
        pid_t middle = spawn();
        if (middle == 0) {
            setsid();
            pid_t old = getpid();
            if (spawn() == 0) {
                wait_for_new_parent(old);
                say("hoarded %d", getpid());
                for (;;)
                    pause();
            }
            _exit(0);
        }
        waitpid(middle, NULL, 0);
    }
    say("ready %d", getpid());
    for (;;)
        pause();
}

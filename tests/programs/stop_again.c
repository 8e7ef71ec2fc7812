/* stop_again COUNT: COUNT children in one process group that ignore every signal, and stop themselves (SIGSTOP) as often as they are
 * continued; so does this process. Says "ready PID" when the children have stopped. */
#include "program.h"

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 3;
    siginfo_t info;
    live();
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    for (int i = 0; i < count; i++) {
        pid_t child = spawn();
        if (child == 0)
            for (;;)
                raise(SIGSTOP);
        waitid(P_PID, (id_t)child, &info, WSTOPPED);
    }
    say("ready %d", getpid());
    for (;;)
        raise(SIGSTOP);
}

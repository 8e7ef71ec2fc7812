/* die_of SIGNAL [core]: ends itself by a signal; leaves no core unless "core" is given. */
#include "program.h"

int main(int argc, char **argv)
{
    int number = argc > 1 ? atoi(argv[1]) : SIGKILL;
    struct rlimit no_core = {0, 0};
    live();
    if (argc < 3)
        setrlimit(RLIMIT_CORE, &no_core);
    signal(number, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    kill(getpid(), number);
    pause();
    return 98;
}

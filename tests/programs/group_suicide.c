/* group_suicide [STATUS]: answers SIGTERM with kill(0, SIGTERM) to its whole process group, then exits STATUS; a child in the same group
 * takes that one. */
#include "program.h"

int main(int argc, char **argv)
{
    int status = argc > 1 ? atoi(argv[1]) : 0;
    sigset_t term;
    siginfo_t info;
    live();
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    pid_t child = spawn();
    if (child == 0) {
        take_signal(&term, &info);
        finish(0);
    }
    say("ready %d", getpid());
    take_signal(&term, &info);
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    waitpid(child, NULL, 0);
    finish(status);
}

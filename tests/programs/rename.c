/* rename HEX STATUS [wait]: gives itself the name whose bytes HEX spells, then exits with STATUS (at once, or at SIGTERM). */
#include "program.h"

int main(int argc, char **argv)
{
    char name[16] = {0};
    unsigned byte;
    live();
    for (int i = 0; i < 15 && argc > 1 && sscanf(argv[1] + 2 * i, "%2x", &byte) == 1; i++)
        name[i] = (char)byte;
    prctl(PR_SET_NAME, name);
    if (argc > 3) {
        sigset_t term;
        siginfo_t info;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, NULL);
        say("ready %d", getpid());
        take_signal(&term, &info);
    }
    finish(argc > 2 ? atoi(argv[2]) : 0);
}

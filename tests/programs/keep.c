/* keep [reap] COMMAND...: a subreaper that ignores every signal and keeps the orphans of COMMAND, its child, for ever: as zombies, or
 * reaped with "reap". Says "kept PID", its own number. */
#include "program.h"

int main(int argc, char **argv)
{
    bool reap = argc > 1 && strcmp(argv[1], "reap") == 0;
    if (argc < 2 + reap)
        return 97;
    live();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, number == SIGCHLD ? SIG_DFL : SIG_IGN);
    pid_t child = spawn();
    if (child == -1)
        die("fork");
    if (child == 0) {
        setsid();
        run(argv + 1 + reap);
    }
    say("kept %d", getpid());
    for (;;)
        if (!reap || wait(NULL) == -1)
            pause();
}

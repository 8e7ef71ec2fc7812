/* ignore_term [all]: ignores SIGTERM, or every signal that can be ignored; says "ready PID". */
#include "program.h"

int main(int argc, char **argv)
{
    bool all = argc > 1 && strcmp(argv[1], "all") == 0;
    live();
    for (int number = 1; number <= SIGRTMAX; number++)
        if (all || number == SIGTERM)
            signal(number, SIG_IGN);
    say("ready %d", getpid());
    for (;;)
        pause();
}

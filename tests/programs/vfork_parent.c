/* vfork_parent DEPTH: DEPTH processes below one another, each inside vfork(2), that is in uninterruptible sleep, until the one below it
 * ends; all of them and the last one ignore every signal. The last one says "ready PID". */
#include "program.h"

int main(int argc, char **argv)
{
    volatile int left = argc > 1 ? atoi(argv[1]) : 1;
    live();
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
    while (left-- > 0) {
        pid_t child = vfork(); /* one memory for all of them; none of them ever returns from here */
        if (child == -1)
            die("vfork");
        if (child > 0)
            for (;;)
                pause();
        live();
        setsid();
    }
    say("ready %d", getpid());
    for (;;)
        pause();
}

/* fill [MS]: takes every process number, or all that its user may have: processes that ignore every signal, and fork whenever there is room
 * for another one; each tries again after MS milliseconds (100). To be run only where the number of processes is limited. Says "full COUNT"
 * and "ready PID" when fork(2) has failed; COUNT is how many children the first process has made by itself. */
#include "program.h"

int main(int argc, char **argv)
{
    long pause_ms = argc > 1 ? atol(argv[1]) : 100;
    int count = 0;
    live();
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
    pid_t first = getpid();
    for (;;) {
        pid_t child = spawn();
        if (child == 0) {
            setsid();
        } else if (child > 0) {
            count++;
        } else {
            if (getpid() == first && count > 0) {
                say("full %d", count);
                say("ready %d", getpid());
                count = 0;
            }
            nap_ms(pause_ms);
        }
    }
}

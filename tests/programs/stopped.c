/* stopped: says "ready PID" and stops itself with SIGSTOP. Obeys SIGTERM, but only after SIGCONT. */
#include "program.h"

int main(void)
{
    live();
    say("ready %d", getpid());
    kill(getpid(), SIGSTOP);
    for (;;)
        pause();
}

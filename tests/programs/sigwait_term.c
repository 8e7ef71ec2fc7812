/* sigwait_term: blocks SIGTERM and takes it with sigwait: blocked is not ignored. Exits 0 at the first one. */
#include "program.h"

int main(void)
{
    sigset_t term;
    siginfo_t info;
    live();
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    say("ready %d", getpid());
    take_signal(&term, &info);
    say("got %d from %d", SIGTERM, info.si_pid);
    finish(0);
}

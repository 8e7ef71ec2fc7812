/* master N [STATUS]: forks N workers in its own group ("worker PID"), says "ready PID". At SIGTERM ends its workers with SIGTERM, waits for
 * them and exits STATUS. Killed with SIGKILL it leaves them running (nginx, Apache, php-fpm). */
#include "program.h"

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 3;
    int status = argc > 2 ? atoi(argv[2]) : 0;
    pid_t workers[256];
    sigset_t term;
    siginfo_t info;
    live();
    if (count > 256)
        return 97;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    for (int i = 0; i < count; i++) {
        workers[i] = spawn();
        if (workers[i] == 0) {
            say("worker %d", getpid());
            take_signal(&term, &info);
            say("worker-term %d from %d", getpid(), info.si_pid);
            finish(0);
        }
    }
    say("ready %d", getpid());
    take_signal(&term, &info);
    say("got %d from %d", SIGTERM, info.si_pid);
    for (int i = 0; i < count; i++)
        kill(workers[i], SIGTERM);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    finish(status);
}

/* two_threads STATUS: a service with a second thread. Says "ready PID two_threads", then "thread NUMBER"; exits STATUS at SIGTERM. */
#include "program.h"
#include <pthread.h>

static void *second(void *unused)
{
    (void)unused;
    say("thread %ld", syscall(SYS_gettid));
    for (;;)
        pause();
    return NULL;
}

int main(int argc, char **argv)
{
    sigset_t term;
    siginfo_t info;
    pthread_t thread;
    live();
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    say("ready %d two_threads", getpid());
    if (pthread_create(&thread, NULL, second, NULL) != 0)
        die("pthread_create");
    take_signal(&term, &info);
    finish(argc > 1 ? atoi(argv[1]) : 0);
}

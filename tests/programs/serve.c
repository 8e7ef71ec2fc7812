/* serve [STATUS [NAME]]: a plain service. Says "ready PID NAME"; says "got SIGNAL from PID NAME" for every signal that
 * can be caught; exits STATUS at SIGTERM, SIGINT and SIGQUIT. Handlers, not sigwait: nothing is blocked while it waits. */
#include "program.h"

static volatile sig_atomic_t done;
static const char *name = "serve";

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    char line[128];
    int saved = errno;
    int length = snprintf(line, sizeof line, "got %d from %d %s\n", number, info->si_pid, name);
    ssize_t ignored = write(STDOUT_FILENO, line, (size_t)length);
    (void)ignored;
    if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
        done = 1;
    errno = saved;
}

int main(int argc, char **argv)
{
    int status = argc > 1 ? atoi(argv[1]) : 0;
    if (argc > 2)
        name = argv[2];
    live();
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGALRM && number != SIGCHLD && number != SIGSEGV && number != SIGBUS && number != SIGILL
            && number != SIGFPE)
            sigaction(number, &action, NULL);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL);
    say("ready %d %s", getpid(), name);
    while (!done)
        sigsuspend(&none);
    finish(status);
}

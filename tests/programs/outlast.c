/* outlast SIGNAL NAME [COMMAND...]: says "got SIGNAL from PID NAME" for every signal that can be caught, and exits 0 at SIGNAL alone (0: at
 * none of them). Starts COMMAND first, as a child in a session of its own. Says "ready PID NAME". */
#include "program.h"

static volatile sig_atomic_t done;
static const char *name;
static int last;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    char line[128];
    int saved = errno;
    int length = snprintf(line, sizeof line, "got %d from %d %s\n", number, info->si_pid, name);
    ssize_t ignored = write(STDOUT_FILENO, line, (size_t)length);
    (void)ignored;
    if (number == last)
        done = 1;
    errno = saved;
}

int main(int argc, char **argv)
{
    sigset_t all, none;
    if (argc < 3)
        return 97;
    live();
    last = atoi(argv[1]);
    name = argv[2];
    if (argc > 3 && spawn() == 0) {
        setsid();
        run(argv + 3);
    }
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGALRM && number != SIGCHLD && number != SIGSEGV && number != SIGBUS && number != SIGILL
            && number != SIGFPE)
            sigaction(number, &action, NULL);
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL);
    say("ready %d %s", getpid(), name);
    while (!done)
        sigsuspend(&none);
    finish(0);
}

/* serve [STATUS [NAME]]: a plain service. Says "ready PID NAME"; says "got SIGNAL from PID NAME" for every signal that
 * can be caught; exits STATUS at SIGTERM, SIGINT and SIGQUIT. Handlers, not sigwait: nothing is blocked while it waits. */
#include "program.h"

static volatile sig_atomic_t done;
static const char *name = "serve";

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    tell_signal(number, info, name);
    if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
        done = 1;
}

int main(int argc, char **argv)
{
    int status = argc > 1 ? atoi(argv[1]) : 0;
    if (argc > 2)
        name = argv[2];
    live();
    take_signals(on_signal, name, &done);
    finish(status);
}

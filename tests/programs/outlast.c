/* outlast SIGNAL NAME [COMMAND...]: says "got SIGNAL from PID NAME" for every signal that can be caught, and exits 0 at SIGNAL alone (0: at
 * none of them). Starts COMMAND first, as a child in a session of its own. Says "ready PID NAME". */
#include "program.h"

static volatile sig_atomic_t done;
static const char *name;
static int last;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    tell_signal(number, info, name);
    if (number == last)
        done = 1;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 97;
    live();
    last = atoi(argv[1]);
    name = argv[2];
    if (argc > 3 && spawn() == 0) {
        setsid();
        run(argv + 3);
    }
    take_signals(on_signal, name, &done);
    finish(0);
}

/* hydra stay|die HEADS: at every SIGTERM forks HEADS new ones like itself, double-forked and in sessions of their own, and stays or exits 0;
 * ignores every other signal. To be run only where the number of processes is limited. Says "ready PID" at first, and "head PID" for the
 * first head that has grown. */
#include "program.h"
#include <sys/mman.h>

static int heads;
static bool dies;
static int *grown;

static void grow(int number)
{
    (void)number;
    for (int i = 0; i < heads; i++)
        if (fork() == 0) {
            setsid();
            if (fork() != 0)
                _exit(0);
            live();
            if (__atomic_fetch_add(grown, 1, __ATOMIC_RELAXED) == 0)
                say("head %d", getpid());
            return;
        }
    if (dies)
        _exit(0);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = grow, .sa_flags = SA_RESTART};
    if (argc < 3)
        return 97;
    dies = strcmp(argv[1], "die") == 0;
    heads = atoi(argv[2]);
    grown = mmap(NULL, sizeof *grown, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (grown == MAP_FAILED)
        die("mmap");
    live();
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
    sigaction(SIGTERM, &action, NULL);
    say("ready %d", getpid());
    for (;;)
        pause();
}

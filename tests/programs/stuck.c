/* stuck PATH: ignores every signal, has a child in a session of its own that does so too, says "ready PID" and opens PATH, which may never
 * come back. Says "open ERRNO" when it does. */
#include "program.h"

int main(int argc, char **argv)
{
    if (argc < 2)
        return 97;
    live();
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
    if (spawn() == 0) {
        setsid();
        for (;;)
            pause();
    }
    say("ready %d", getpid());
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    say("open %d", fd == -1 ? errno : 0);
    for (;;)
        pause();
}

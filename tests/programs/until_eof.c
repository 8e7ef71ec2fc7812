/* until_eof STATUS [COMMAND...]: starts COMMAND as a plain child, in its own group and session; says "ready PID"; exits STATUS when
 * standard input ends: main ends exactly when the test says so. */
#include "program.h"

int main(int argc, char **argv)
{
    char byte;
    live();
    if (argc > 2 && spawn() == 0)
        run(argv + 2);
    say("ready %d", getpid());
    while (read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR)
        errno = 0;
    finish(argc > 1 ? atoi(argv[1]) : 0);
}

/* statuses STATUS...: one daemonized child for each STATUS: N exits with N, -S dies of signal S. Waits on standard input for its end, so
 * that all of them are adopted while this process is alive; then exits 0. */
#include "program.h"

int main(int argc, char **argv)
{
    char byte;
    struct rlimit no_core = {0, 0};
    live();
    setrlimit(RLIMIT_CORE, &no_core);
    for (int i = 1; i < argc; i++) {
        int status = atoi(argv[i]);
        pid_t middle = spawn();
        if (middle == 0) {
            setsid();
            pid_t old = getpid();
            if (spawn() == 0) {
                wait_for_new_parent(old);
                if (status >= 0)
                    finish(status);
                signal(-status, SIG_DFL);
                kill(getpid(), -status);
                pause();
            }
            _exit(0);
        }
        waitpid(middle, NULL, 0);
    }
    say("ready %d", getpid());
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    finish(0);
}

/* zombies N: N children that exit with 10 + their number and are never reaped by this process; then exits 0: all of them come to pyinit
 * as zombies that it never saw alive. */
#include "program.h"

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 5;
    siginfo_t info;
    live();
    for (int i = 0; i < count; i++) {
        pid_t child = spawn();
        if (child == 0)
            finish(10 + i);
        waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
    }
    finish(0);
}

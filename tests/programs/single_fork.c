/* single_fork COMMAND...: a launcher that forks once, stays in its session and group, and exits 0 (icecast2 -b). */
#include "program.h"

int main(int argc, char **argv)
{
    if (argc < 2)
        return 97;
    live();
    if (spawn() == 0)
        run(argv + 1);
    finish(0);
}

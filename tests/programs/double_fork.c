/* double_fork after|before COMMAND...: the classic launcher of a daemon: fork, setsid, fork, execute COMMAND.
 * "after": the launcher exits 0 once the daemon is there; "before": the launcher is gone before the second fork. */
#include "program.h"

int main(int argc, char **argv)
{
    if (argc < 3)
        return 97;
    bool before = strcmp(argv[1], "before") == 0;
    pid_t launcher = getpid();
    live();
    pid_t middle = spawn();
    if (middle == 0) {
        setsid();
        if (before)
            wait_for_new_parent(launcher);
        if (spawn() == 0)
            run(argv + 2);
        finish(0);
    }
    if (!before)
        waitpid(middle, NULL, 0);
    finish(0);
}

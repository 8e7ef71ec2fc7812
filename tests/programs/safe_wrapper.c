/* safe_wrapper COMMAND...: ignores SIGTERM, waits for its child and exits with its status (mysqld_safe). */
#include "program.h"

int main(int argc, char **argv)
{
    int status = 0;
    if (argc < 2)
        return 97;
    live();
    signal(SIGTERM, SIG_IGN);
    pid_t child = spawn();
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        run(argv + 1);
    }
    while (waitpid(child, &status, 0) == -1 && errno == EINTR)
        ;
    finish(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

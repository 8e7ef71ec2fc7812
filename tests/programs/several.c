/* several STATUS COMMAND... [-- COMMAND...]...: starts each command as a double-forked daemon, exits with STATUS once all have
 * been started: the script of a web stack. */
#include "program.h"

int main(int argc, char **argv)
{
    if (argc < 3)
        return 97;
    live();
    for (int first = 2, last; first < argc; first = last + 1) {
        for (last = first; last < argc && strcmp(argv[last], "--") != 0; last++)
            ;
        argv[last] = NULL;
        pid_t middle = spawn();
        if (middle == 0) {
            setsid();
            if (spawn() == 0)
                run(argv + first);
            finish(0);
        }
        waitpid(middle, NULL, 0);
    }
    finish(atoi(argv[1]));
}

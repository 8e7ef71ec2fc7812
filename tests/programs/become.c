/* become COMMAND...: executes COMMAND as the owner of this file, when it is a set-user-ID program: real, effective and saved user ID, so that
 * who called it may not signal it. */
#include "program.h"

int main(int argc, char **argv)
{
    if (argc < 2)
        return 97;
    live();
    if (setresuid(geteuid(), geteuid(), geteuid()) == -1)
        die("setresuid");
    run(argv + 1);
}

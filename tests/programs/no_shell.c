/* no_shell -- COMMAND...: executes COMMAND where /bin/sh cannot be executed, as in an image of one static program: something else, which
 * is no program, is mounted over the file. Needs root. */
#include "program.h"
#include <sys/mount.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 97;
    if (unshare(CLONE_NEWNS) == -1 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
        return 77;
    if (mount("/dev/null", "/bin/sh", NULL, MS_BIND, NULL) == -1)
        die("/bin/sh");
    run(argv + 2);
}

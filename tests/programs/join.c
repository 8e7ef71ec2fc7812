/* join PID UID COMMAND...: executes COMMAND as a new process inside the PID namespace of PID, as `docker exec` does: its parent there is 0.
 * It runs as user and group UID.
 * Waits for it and exits with its status. */
#include "program.h"
#include <grp.h>

int main(int argc, char **argv)
{
    char path[64];
    int status = 0;
    if (argc < 4)
        return 97;
    live();
    snprintf(path, sizeof path, "/proc/%s/ns/pid", argv[1]);
    int pid_namespace = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%s/ns/mnt", argv[1]);
    int mount_namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (pid_namespace == -1 || mount_namespace == -1)
        die("open namespaces");
    if (setns(pid_namespace, CLONE_NEWPID) == -1 || setns(mount_namespace, CLONE_NEWNS) == -1)
        die("setns");
    pid_t child = spawn();
    if (child == 0) {
        uid_t uid = (uid_t)atoi(argv[2]);
        if (uid != getuid() && (setgroups(0, NULL) == -1 || setresgid(uid, uid, uid) == -1 || setresuid(uid, uid, uid) == -1))
            die("setresuid");
        live();
        run(argv + 3);
    }
    while (waitpid(child, &status, 0) == -1 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* own_dev [read-only] [FILE] -- COMMAND...: executes COMMAND with a /dev of its own, as a container has one: a few devices, and FILE, if one
 * is named, as /dev/termination-log (Kubernetes mounts a file of the node there), for reading only if asked for. Needs root; "own_dev
 * probe" exits 0 where that works, else 77. */
#include "program.h"
#include <sys/mount.h>

static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random", "/dev/tty"};
#define DEVICES (sizeof devices / sizeof *devices)

static void show(int fd, const char *path)
{
    char from[64];
    int made = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (made == -1)
        die(path);
    close(made);
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    if (mount(from, path, NULL, MS_BIND, NULL) == -1)
        die(path);
    close(fd);
}

int main(int argc, char **argv)
{
    int fds[DEVICES], file = -1, first = 1;
    bool read_only = false;
    if (unshare(CLONE_NEWNS) == -1 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
        return 77;
    if (argc > 1 && strcmp(argv[1], "probe") == 0)
        return 0;
    if (first < argc && strcmp(argv[first], "read-only") == 0) {
        read_only = true;
        first++;
    }
    if (first < argc && strcmp(argv[first], "--") != 0 && (file = open(argv[first++], O_PATH | O_CLOEXEC)) == -1)
        die(argv[first - 1]);
    if (first + 1 >= argc)
        return 97;
    for (size_t i = 0; i < DEVICES; i++)
        if ((fds[i] = open(devices[i], O_PATH | O_CLOEXEC)) == -1)
            die(devices[i]);
    if (mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755") == -1)
        die("/dev");
    for (size_t i = 0; i < DEVICES; i++)
        show(fds[i], devices[i]);
    if (file >= 0)
        show(file, "/dev/termination-log");
    if (read_only && mount(NULL, "/dev/termination-log", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == -1)
        die("/dev/termination-log");
    run(argv + first + 1);
}

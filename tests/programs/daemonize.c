/* daemonize HOW PATH COMMAND...: a launcher that starts COMMAND as a daemon, and the daemon's number gets into PATH in one of the ways of
 * old: a launcher that exits 0, a new session, a number and a newline.
 *
 *   launcher   the launcher writes the number of its child before it ends
 *   late       the daemon writes it, some time after the launcher has ended
 *   empty      the file is there and empty when the launcher ends; the number comes some time later
 *   rename     the daemon writes another file and renames it, some time after the launcher has ended
 *   twice      first the launcher writes its own number, then the daemon writes over it, after the launcher has ended
 */
#include "program.h"

#define LATE_MS 150

static void write_number(const char *path, pid_t number)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd == -1)
        die(path);
    if (number > 0)
        dprintf(fd, "%d\n", number);
    close(fd);
}

int main(int argc, char **argv)
{
    char other[4096];
    if (argc < 4)
        return 97;
    const char *how = argv[1], *path = argv[2];
    bool renamed = strcmp(how, "rename") == 0;
    live();
    if (strcmp(how, "twice") == 0)
        write_number(path, getpid());
    if (strcmp(how, "empty") == 0)
        write_number(path, 0);
    pid_t launcher = getpid(), child = spawn();
    if (child == -1)
        die("fork");
    if (child == 0) {
        setsid();
        if (strcmp(how, "launcher") != 0) {
            wait_for_new_parent(launcher);
            nap_ms(LATE_MS);
            snprintf(other, sizeof other, "%s.new", path);
            write_number(renamed ? other : path, getpid());
            if (renamed && rename(other, path) == -1)
                die("rename");
        }
        run(argv + 3);
    }
    if (strcmp(how, "launcher") == 0)
        write_number(path, child);
    finish(0);
}

/* upgrade PATH [STATUS]: a service that replaces itself live, as nginx does. Writes its number into PATH, and says "ready PID". At SIGUSR2
 * it renames PATH to PATH.oldbin and starts its successor, a child that executes this program again; when that child ends, it renames
 * the file back and says "failed PID". At SIGQUIT or SIGTERM it removes the file that holds its number, says "gone PID" and exits STATUS. */
#include "program.h"

static const char *path;
static char old_path[4096];

static int number_in(const char *file)
{
    int number = 0;
    FILE *stream = fopen(file, "re");
    if (!stream)
        return 0;
    if (fscanf(stream, "%d", &number) != 1)
        number = 0;
    fclose(stream);
    return number;
}

int main(int argc, char **argv)
{
    sigset_t set;
    siginfo_t info;
    pid_t child = 0;
    if (argc < 2)
        return 97;
    live();
    path = argv[1];
    snprintf(old_path, sizeof old_path, "%s.oldbin", path);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd == -1)
        die(path);
    dprintf(fd, "%d\n", getpid());
    close(fd);
    say("ready %d", getpid());
    for (;;) {
        int number = take_signal(&set, &info);
        if (number == SIGUSR2 && child == 0) {
            if (rename(path, old_path) == -1)
                die("rename");
            child = spawn();
            if (child == 0)
                run(argv);
        } else if (number == SIGCHLD) {
            if (child > 0 && waitpid(child, NULL, WNOHANG) == child) {
                rename(old_path, path);
                say("failed %d", child);
                child = 0;
            }
        } else if (number == SIGQUIT || number == SIGTERM) {
            if (number_in(path) == getpid())
                unlink(path);
            else if (number_in(old_path) == getpid())
                unlink(old_path);
            say("gone %d", getpid());
            finish(argc > 2 ? atoi(argv[2]) : 0);
        }
    }
}

/* alone COMMAND...: says "start PID", then "other PID NAME" for every process below its parent besides itself, dead or alive, and "alone N":
 * how many these were. Then executes COMMAND.
 */
#include "program.h"
#include <dirent.h>

enum { MOST = 4096 };

static pid_t pids[MOST], parents[MOST];
static char names[MOST][32];
static bool below[MOST];

static int look(void)
{
    int count = 0;
    DIR *folder = opendir("/proc");
    if (!folder)
        die("/proc");
    for (struct dirent *entry; count < MOST && (entry = readdir(folder));) {
        char path[300], text[1024] = "";
        pid_t pid = atoi(entry->d_name);
        if (pid <= 0)
            continue;
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd == -1)
            continue;
        ssize_t length = read(fd, text, sizeof text - 1);
        close(fd);
        char *name = strchr(text, '('), *end = strrchr(text, ')');
        if (length <= 0 || !name || !end)
            continue;
        *end = 0;
        pids[count] = pid;
        parents[count] = 0;
        sscanf(end + 2, "%*c %d", &parents[count]);
        snprintf(names[count], sizeof names[count], "%.30s", name + 1);
        count++;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 97;
    live();
    say("start %d", getpid());
    int count = look(), others = 0;
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < count; i++) {
            bool found = parents[i] == getppid();
            for (int j = 0; j < count && !found; j++)
                found = below[j] && pids[j] == parents[i];
            more |= found && !below[i];
            below[i] |= found;
        }
    }
    for (int i = 0; i < count; i++)
        if (below[i] && pids[i] != getpid()) {
            others++;
            say("other %d %s", pids[i], names[i]);
        }
    say("alone %d", others);
    run(argv + 1);
}

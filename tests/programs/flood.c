/* flood PID COUNT SEED: sends COUNT signals of mixed kinds to PID, half of them real-time signals (not SIGRTMAX); says "sent SIGNAL TIMES" for each kind.
 *
 * It holds its fire while more than BACKLOG signals of the user are queued (SigQ in /proc/PID/status): a real-time
 * signal beyond the limit of the queue (RLIMIT_SIGPENDING) is lost by the kernel, not by who forwards it. */
#include "program.h"

#define BACKLOG 1000

static const int ordinary[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGURG, SIGCONT};

static long queued(pid_t pid)
{
    char path[64], line[256];
    long count = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "re");
    if (!status)
        die(path);
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "SigQ: %ld", &count) == 1)
            break;
    fclose(status);
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 97;
    pid_t pid = atoi(argv[1]);
    long count = atol(argv[2]);
    long sent[65] = {0};
    live();
    srand((unsigned)atoi(argv[3]));
    for (long i = 0; i < count; i++) {
        int number = i % 2 ? SIGRTMIN + rand() % (SIGRTMAX - SIGRTMIN) : ordinary[rand() % 6];
        if (i % 50 == 0)
            while (queued(pid) > BACKLOG)
                nap_ms(1);
        if (kill(pid, number) == -1)
            die("kill");
        sent[number]++;
    }
    for (int number = 1; number <= 64; number++)
        if (sent[number])
            say("sent %d %ld", number, sent[number]);
    finish(0);
}

/* treadmill WIDTH SECONDS: WIDTH chains that fork for ever and ignore every signal: each link forks the next one and exits.
 *
 * To be run only where the number of processes is limited (RLIMIT_NPROC of a user without privileges): an init that keeps
 * the zombies fills the whole table otherwise. All chains end by themselves, and say "over", when SECONDS are over or
 * when 20,000 links have been made in all. Says "ready PID" once.
 */
#include "program.h"
#include <sys/mman.h>

enum { LINKS = 20000 };

int main(int argc, char **argv)
{
    int width = argc > 1 ? atoi(argv[1]) : 1;
    double deadline = now_s() + (argc > 2 ? atof(argv[2]) : 10);
    int *links = mmap(NULL, sizeof *links, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t first = getpid();
    if (links == MAP_FAILED)
        die("mmap");
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
    live();
    for (int i = 1; i < width; i++) {
        pid_t chain = fork();
        if (chain == 0) {
            setsid();
            break;
        }
        if (chain == -1) { /* the others have taken every place: try again */
            if (now_s() > deadline)
                break;
            nap_ms(1);
            i--;
        }
    }
    if (getpid() == first)
        say("ready %d", getpid());
    while (now_s() < deadline && __atomic_load_n(links, __ATOMIC_RELAXED) < LINKS) {
        pid_t next = fork();
        if (next > 0)
            _exit(0);
        if (next == -1) {
            nap_ms(1);
        } else {
            setsid();
            __atomic_add_fetch(links, 1, __ATOMIC_RELAXED);
        }
    }
    say("over %d", getpid());
    _exit(0);
}

/* chain KIND WIDTH SECONDS: WIDTH chains that fork for ever and ignore every signal. A link is, by KIND:
 *
 *   double    a process that forks a middle one and exits; the middle one leads a session, forks the next link, and exits
 *   sibling   a process that makes the next link as a child of its own parent (CLONE_PARENT), and exits
 *   thread    a process whose second thread forks the next link, after the first one has ended
 *
 * To be run only where the number of processes is limited. All chains end by themselves, and say "over", when SECONDS are over or when
 * 200,000 links have been made in all. Says "ready PID" once, when every chain has begun.
 */
#include "program.h"
#include <pthread.h>
#include <sys/mman.h>

enum { LINKS = 200000 };

static int *made;
static double deadline;
static const char *kind;

static bool over(void)
{
    return now_s() > deadline || __atomic_load_n(made, __ATOMIC_RELAXED) >= LINKS;
}

static pid_t middle(void)
{
    pid_t pid = fork(), next;
    if (pid != 0)
        return pid;
    setsid();
    while ((next = fork()) == -1 && !over())
        nap_ms(1);
    if (next != 0)
        _exit(0);
    return 0;
}

/* Go on in a second thread, and end the first one; -1 when there can be no second. */
static pid_t change_threads(void *(*go_on)(void *))
{
    static pthread_t first, second;
    first = pthread_self();
    if (pthread_create(&second, NULL, go_on, &first) != 0)
        return -1;
    pthread_exit(NULL);
}

static void *links(void *first)
{
    if (first)
        pthread_join(*(pthread_t *)first, NULL);
    for (bool threads = strcmp(kind, "thread") == 0; !over();) {
        pid_t next;
        if (threads && !first)
            next = change_threads(links);
        else if (strcmp(kind, "sibling") == 0)
            next = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
        else
            next = threads ? fork() : middle();
        if (next > 0)
            _exit(0);
        if (next == -1) {
            nap_ms(1);
            continue;
        }
        __atomic_add_fetch(made, 1, __ATOMIC_RELAXED);
        first = NULL;
    }
    say("over %d", getpid());
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 97;
    kind = argv[1];
    deadline = now_s() + atof(argv[3]);
    made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED)
        die("mmap");
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
    live();
    for (int left = atoi(argv[2]) - 1; left > 0;) {
        pid_t chain = fork();
        if (chain == 0) {
            setsid();
            links(NULL);
        }
        if (chain > 0)
            left--;
        else if (over())
            break;
        else
            nap_ms(1); /* the others have taken every place */
    }
    say("ready %d", getpid());
    links(NULL);
}

/* tree SCRIPT: plays one process tree. (tree SLOT MOTHER SCRIPT again: what the operation x executes.)
 *
 * A script is a row of operations: a letter, a number where one is wanted, and in parentheses what a child does. Where it ends the process
 * exits 0. Every process has a number of its own, its slot; main is 0, and each operation that makes a child names the child's.
 *
 *   fN(..)  fork                                      x(..)  execute this program, and go on there
 *   vN(..)  vfork: shares the memory until it         s      setsid
 *           executes or exits                         g      setpgid: a group of its own
 *   tN(..)  fork in a thread, which ends              j      setpgid: into the parent's group
 *   TN(..)  fork in a thread, which stays             p      become a subreaper
 *   aN(..)  at SIGTERM: fork, and exit 0              h      ignore SIGCHLD: children vanish by themselves
 *   iN      ignore signal N; 0: all but SIGCHLD       d      close all descriptors
 *   b       block all signals                         D      not dumpable: the files in /proc are root's
 *   cN      at HUP, INT, QUIT, TERM, USR1, USR2:      z      stop oneself
 *           exit N                                    o      wait until the parent has ended
 *   kN      at SIGTERM: SIGTERM to the own group,     wN     wait for N children; 0: for all
 *           then exit N                               lN     wait until gate N is open
 *   eN      exit N                                    q      wait for ever
 *   yN      die of signal N
 *
 * A gate is a word of the file that BOARD names: it is open when it is not 0, and who opens it wakes the futex.
 *
 * The process tells what it does by changing its name, "#SLOT KIND NUMBER" without blanks: the kernel's proc connector hands that on in the
 * order in which it happens, with the true PID, whatever descriptors are closed. Kinds: b born, as this PID; f has forked this PID;
 * F could not fork; V, U before and after vfork; x, X before and after exec; i before SIGCHLD is ignored; p, P before and after subreaper;
 * z, Z before and after it is stopped; O, o before and after its parent's end; W waits for a child, w is going to reap this PID, r has
 * done it; l, u before and after a gate; q waits for ever; h takes this signal; e, y ends, with this status or signal. */
#include "program.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

enum { GATES = 16, STACK = 256 << 10 };

struct birth {
    const char *script;
    int slot;
    pid_t mother;
    sigset_t *mask;
};

/* Who we are. Volatile: a child of vfork changes them, which the compiler does not expect of clone(2). */
static volatile int slot;
static volatile pid_t mother;       /* who forked us, 0: nobody of the tree */
static volatile int exit_status;    /* of c and k */
static volatile int last_slot;      /* of a */
static const char *volatile last;   /* of a */
static volatile int *gates;
static const char *program;

static char *digits(char *at, long number)
{
    char text[24];
    int length = 0;
    do
        text[length++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (length > 0)
        *at++ = text[--length];
    return at;
}

static void mark(char kind, long number)
{
    char name[48] = "#", *at = digits(name + 1, slot);
    *at++ = kind;
    *digits(at, number) = 0;
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

__attribute__((noreturn)) static void leave(int status)
{
    mark('e', status);
    _exit(status);
}

static void play(const char *script) __attribute__((noreturn));

/* The first words of a new process, with all signals blocked. */
__attribute__((noreturn)) static void begin(const struct birth *birth)
{
    sigset_t mask = *birth->mask;
    slot = birth->slot;
    mother = birth->mother;
    mark('b', getpid());
    live();
    if (last)
        signal(SIGTERM, SIG_DFL);
    last = NULL;
    sigprocmask(SIG_SETMASK, &mask, NULL);
    play(birth->script);
}

static void forked(pid_t child)
{
    if (child == -1)
        mark('F', errno);
    else
        mark('f', child);
}

static void do_fork(const char *script, int number)
{
    sigset_t all, old;
    struct birth birth = {script, number, getpid(), &old};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t child = fork();
    if (child == 0)
        begin(&birth);
    forked(child);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static int begin_shared(void *birth)
{
    begin(birth);
}

/* The child has the memory and a stack of its own; what it does to our variables is undone. */
static void do_vfork(const char *script, int number)
{
    sigset_t all, old;
    struct birth birth = {script, number, getpid(), &old};
    int own_slot = slot, own_status = exit_status, own_last_slot = last_slot;
    pid_t own_mother = mother;
    const char *own_last = last;
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        die("mmap");
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    mark('V', number);
    pid_t child = clone(begin_shared, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, &birth);
    slot = own_slot;
    exit_status = own_status;
    last_slot = own_last_slot;
    mother = own_mother;
    last = own_last;
    forked(child);
    mark('U', number);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

struct job {
    const char *script;
    int slot;
    bool stays;
    sigset_t mask;
    pthread_barrier_t done;
};

static void *fork_in_thread(void *argument)
{
    struct job *job = argument;
    struct birth birth = {job->script, job->slot, getpid(), &job->mask};
    bool stays = job->stays;
    pid_t child = fork();
    if (child == 0)
        begin(&birth);
    forked(child);
    pthread_barrier_wait(&job->done);
    while (stays) /* every signal is blocked here: they are for the others */
        pause();
    return NULL;
}

static void do_thread(const char *script, int number, bool stays)
{
    static struct job jobs[64]; /* the thread may need its own for longer than we are here */
    static int count;
    struct job *job = &jobs[count++ % 64];
    pthread_t thread;
    sigset_t all;
    job->script = script;
    job->slot = number;
    job->stays = stays;
    pthread_barrier_init(&job->done, NULL, 2);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &job->mask);
    if (pthread_create(&thread, NULL, fork_in_thread, job) != 0)
        die("pthread_create");
    pthread_barrier_wait(&job->done);
    if (!stays)
        pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, &job->mask, NULL);
}

static void exit_at_signal(int number)
{
    mark('h', number);
    leave(exit_status);
}

static void end_group_at_signal(int number)
{
    mark('h', number);
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    leave(exit_status);
}

static void fork_at_signal(int number)
{
    const char *script = last;
    mark('h', number);
    signal(SIGTERM, SIG_DFL); /* blocked while we are here */
    last = NULL;
    do_fork(script, last_slot);
    leave(0);
}

static void catch(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigfillset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void wait_for_children(int count)
{
    siginfo_t info;
    for (int done = 0; count == 0 || done < count; done++) {
        mark('W', done);
        info.si_pid = 0;
        while (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == -1)
            if (errno == ECHILD)
                return;
        mark('w', info.si_pid);
        waitpid(info.si_pid, NULL, 0);
        mark('r', info.si_pid);
    }
}

static void wait_for_orphanhood(void)
{
    mark('O', mother);
    if (mother && getppid() == mother) {
        struct pollfd parent = {.fd = (int)syscall(SYS_pidfd_open, mother, 0), .events = POLLIN};
        while (parent.fd >= 0 && getppid() == mother)
            poll(&parent, 1, -1);
        close(parent.fd);
    }
    mark('o', getppid());
}

static void wait_for_gate(int number)
{
    mark('l', number);
    while (!gates[number % GATES])
        syscall(SYS_futex, &gates[number % GATES], FUTEX_WAIT, 0, NULL, NULL, 0);
    mark('u', number);
}

static void ignore(int number)
{
    for (int other = 1; other <= SIGRTMAX; other++)
        if (other == number || (number == 0 && other != SIGCHLD))
            signal(other, SIG_IGN);
}

__attribute__((noreturn)) static void die_of(int number)
{
    sigset_t one;
    mark('y', number);
    signal(number, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, number);
    kill(getpid(), number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    for (;;)
        pause();
}

__attribute__((noreturn)) static void again(const char *script, const char *end)
{
    char who[16], from[16];
    snprintf(who, sizeof who, "%d", slot);
    snprintf(from, sizeof from, "%d", mother);
    char *words[] = {(char *)program, who, from, strndup(script, (size_t)(end - script)), "again", NULL};
    mark('x', 0);
    run(words);
}

static const char *closing(const char *script)
{
    for (int depth = 1;; script++) {
        if (*script == 0)
            die("parentheses");
        depth += (*script == '(') - (*script == ')');
        if (depth == 0)
            return script;
    }
}

static void play(const char *script)
{
    while (*script && *script != ')') {
        char operation = *script++, *rest;
        int number = (int)strtol(script, &rest, 10);
        const char *inner = NULL, *end = NULL;
        sigset_t all;
        script = rest;
        if (*script == '(') {
            inner = script + 1;
            end = closing(inner);
            script = end + 1;
        }
        switch (operation) {
        case 'f':
            do_fork(inner, number);
            break;
        case 'v':
            do_vfork(inner, number);
            break;
        case 't':
        case 'T':
            do_thread(inner, number, operation == 'T');
            break;
        case 'a':
            last = inner;
            last_slot = number;
            catch(SIGTERM, fork_at_signal);
            break;
        case 'x':
            again(inner, end);
        case 's':
            setsid();
            break;
        case 'g':
            setpgid(0, 0);
            break;
        case 'j':
            setpgid(0, getpgid(getppid()));
            break;
        case 'p':
            mark('p', 0);
            prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
            mark('P', 0);
            break;
        case 'h':
            mark('i', 0);
            signal(SIGCHLD, SIG_IGN);
            break;
        case 'd':
            syscall(SYS_close_range, 0, ~0U, 0);
            break;
        case 'D':
            prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
            break;
        case 'i':
            ignore(number);
            break;
        case 'b':
            sigfillset(&all);
            sigprocmask(SIG_SETMASK, &all, NULL);
            break;
        case 'c':
            exit_status = number;
            for (const char *at = (char[]){SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, 0}; *at; at++)
                catch(*at, exit_at_signal);
            break;
        case 'k':
            exit_status = number;
            catch(SIGTERM, end_group_at_signal);
            break;
        case 'z':
            mark('z', 0);
            kill(getpid(), SIGSTOP);
            mark('Z', 0);
            break;
        case 'o':
            wait_for_orphanhood();
            break;
        case 'w':
            wait_for_children(number);
            break;
        case 'l':
            wait_for_gate(number);
            break;
        case 'q':
            mark('q', 0);
            for (;;)
                pause();
        case 'e':
            leave(number);
        case 'y':
            die_of(number);
        default:
            say("error operation %c", operation);
            _exit(98);
        }
    }
    leave(0);
}

int main(int argc, char **argv)
{
    const char *path = getenv("BOARD");
    int board = open(path ? path : "", O_RDWR | O_CLOEXEC);
    bool once_more = argc == 5;
    if (argc != 2 && !once_more)
        return 97;
    if (board == -1)
        die("BOARD");
    gates = mmap(NULL, GATES * sizeof *gates, PROT_READ | PROT_WRITE, MAP_SHARED, board, 0);
    if (gates == MAP_FAILED)
        die("mmap");
    close(board);
    program = argv[0];
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    slot = once_more ? atoi(argv[1]) : 0;
    mother = once_more ? atoi(argv[2]) : 0;
    mark(once_more ? 'X' : 'b', getpid());
    live();
    play(once_more ? argv[3] : argv[1]);
}

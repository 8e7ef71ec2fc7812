/* strangers NUMBERS RUNS SIGNALS PYINIT...: the init of a PID namespace in which numbers come round every few milliseconds.
 *
 * Limits the namespace (kernel 6.14 or newer; an older one would limit the machine) to NUMBERS processes above 300, and starts strangers: short-lived
 * processes, each with a child, that block every signal, look before they leave which ones wait for them, and note them with the sender. Beside
 * them it starts PYINIT RUNS times, with `strangers tree` as its command: descendants below it come and go as fast. Each time it sends PYINIT
 * SIGNALS signals, one whenever the numbers have come round, and then SIGTERM.
 *
 * Says "hit SIGNAL from PID to PID" for each signal that a stranger got, "run STATUS LEFT" at the end of each run (LEFT: so many processes outlived
 * it), and at last "rounds N seconds S delivered D handed H same-tick T": how often the most used number was given out, how long
 * that took, how many of the signals ended a descendant of PYINIT, how often a number went from below PYINIT to a stranger, and how often the
 * start times of both, as /proc shows them, were the same. BOARD names a file for all to share. */
#include "program.h"
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { RESERVED = 300, MOST = 512, HITS = 64, STRANGERS = 8, WORKERS = 4, BYSTANDERS = 60, STAY = 16, NOBODY = 0, STRANGER, BELOW };

struct board {
    atomic_int forks, beat, ready, heard, over, delivered, handed, same_tick, hits;
    atomic_int given[MOST], owner[MOST];
    atomic_long tick[MOST];
    struct {
        int signal, sender, pid;
    } hit[HITS];
};

static struct board *board;

static void add(atomic_int *word)
{
    atomic_fetch_add(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

static void wait_while(atomic_int *word, int value)
{
    struct timespec patience = {.tv_nsec = 100000000};
    syscall(SYS_futex, word, FUTEX_WAIT, value, &patience, NULL, 0);
}

/* The first thing that a new process does. */
static void be(int kind)
{
    struct timespec now;
    int pid = getpid();
    if (atomic_fetch_add(&board->forks, 1) % 8 == 0)
        add(&board->beat);
    clock_gettime(CLOCK_BOOTTIME, &now);
    if (pid < MOST) {
        long tick = now.tv_sec * 100 + now.tv_nsec / 10000000, last = atomic_exchange(&board->tick[pid], tick);
        if (atomic_exchange(&board->owner[pid], kind) == BELOW && kind == STRANGER) {
            atomic_fetch_add(&board->handed, 1);
            if (last == tick)
                atomic_fetch_add(&board->same_tick, 1);
        }
        atomic_fetch_add(&board->given[pid], 1);
    }
}

static void note(int signal, int sender, int pid)
{
    int place = atomic_fetch_add(&board->hits, 1);
    if (place < HITS) {
        board->hit[place].signal = signal;
        board->hit[place].sender = sender;
        board->hit[place].pid = pid;
    }
}

/* What has come for us; every signal is blocked. */
static void look(void)
{
    sigset_t waiting, one;
    sigpending(&waiting);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGCHLD && sigismember(&waiting, number) == 1) {
            siginfo_t info = {0};
            sigemptyset(&one);
            sigaddset(&one, number);
            if (sigtimedwait(&one, &info, &(struct timespec){0}) == number)
                note(number, info.si_pid, getpid());
        }
}

/* Until some more processes have been made. */
static void stay(void)
{
    for (int from = board->forks, beat = board->beat; board->forks - from < STAY && !board->over; beat = board->beat)
        wait_while(&board->beat, beat);
}

static void reap(pid_t child)
{
    int status = 0;
    if (child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status))
        note(WTERMSIG(status), 0, child); /* SIGKILL: cannot be blocked, and nobody is told who sent it */
}

__attribute__((noreturn)) static void start_strangers(void)
{
    live();
    while (!board->over) {
        pid_t stranger = fork();
        if (stranger == -1)
            sched_yield();
        if (stranger == 0) {
            be(STRANGER);
            pid_t child = fork();
            if (child == 0)
                be(STRANGER);
            stay();
            if (child > 0)
                reap(child);
            look();
            _exit(0);
        }
        reap(stranger);
    }
    look();
    _exit(0);
}

/* Below pyinit: descendants that come and go, each with a child; of some the child stays and goes to pyinit. Or patient ones, which only a
 * signal ends. */
__attribute__((noreturn)) static void start_descendants(bool patient)
{
    int status;
    live();
    for (unsigned count = 0;; count++) {
        pid_t descendant = fork();
        if (descendant == -1)
            sched_yield();
        if (descendant == 0) {
            be(BELOW);
            for (int number = 1; number <= SIGRTMAX; number++)
                signal(number, SIG_DFL);
            while (patient)
                pause();
            pid_t child = fork();
            if (child == 0)
                be(BELOW);
            if (child > 0 && count % 16)
                waitpid(child, NULL, 0);
            _exit(0);
        }
        if (descendant > 0 && waitpid(descendant, &status, 0) == descendant && WIFSIGNALED(status))
            atomic_fetch_add(&board->delivered, 1);
    }
}

__attribute__((noreturn)) static void be_tree(void)
{
    sigset_t all;
    siginfo_t info;
    live();
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    if (spawn() == 0) {
        setsid(); /* no signal to main's group comes here: each process is signalled by itself */
        for (int i = 0; i < BYSTANDERS; i++)
            if (spawn() == 0)
                for (;;)
                    pause();
        for (int i = 0; i < WORKERS; i++)
            if (spawn() == 0)
                start_descendants(i == 0);
        add(&board->ready);
        for (;;)
            pause();
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL); /* what is blocked waits, even where it is ignored */
    for (;;) {
        take_signal(&all, &info);
        add(&board->heard);
    }
}

static void limit(int numbers)
{
    int fd = open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC);
    if (fd == -1 || dprintf(fd, "%d\n", RESERVED + numbers) < 0)
        die("pid_max");
    close(fd);
}

/* Until this word has changed; false when pyinit has ended before. */
static bool await(atomic_int *word, int value, pid_t pyinit)
{
    siginfo_t info = {0};
    while (*word == value) {
        if (waitid(P_PID, (id_t)pyinit, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pyinit)
            return false;
        wait_while(word, value);
    }
    return true;
}

/* Until the numbers have come round. */
static void await_round(int numbers)
{
    for (int from = board->forks, beat = board->beat; board->forks - from < numbers; beat = board->beat)
        wait_while(&board->beat, beat);
}

static int run_pyinit(char **words, const char *self, int signals, int numbers)
{
    static const int kinds[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGWINCH};
    char *command[64];
    int count = 0, status, ready = board->ready;
    while (*words && count < 60)
        command[count++] = *words++;
    command[count++] = (char *)self;
    command[count++] = (char *)"tree";
    command[count] = NULL;
    pid_t pyinit;
    while ((pyinit = fork()) == -1)
        sched_yield();
    if (pyinit == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        live();
        run(command);
    }
    bool alive = await(&board->ready, ready, pyinit);
    for (int sent = 0; alive && sent < signals; sent++) {
        int heard = board->heard;
        await_round(numbers);
        kill(pyinit, kinds[sent % 4]);
        alive = await(&board->heard, heard, pyinit);
    }
    await_round(numbers);
    kill(pyinit, SIGTERM);
    while (waitpid(pyinit, &status, 0) == -1 && errno == EINTR)
        ;
    return status;
}

/* Name the children that are no workers: who outlived pyinit and came to us. */
static int outlived(const pid_t *workers)
{
    char list[4096], path[64], line[128];
    int fd = open("/proc/self/task/1/children", O_RDONLY | O_CLOEXEC), count = 0;
    ssize_t length = read(fd, list, sizeof list - 1);
    if (length < 0)
        die("children");
    close(fd);
    list[length] = 0;
    for (char *word = strtok(list, " "); word; word = strtok(NULL, " ")) {
        bool known = false;
        for (int i = 0; i < STRANGERS; i++)
            known = known || workers[i] == atoi(word);
        if (known)
            continue;
        snprintf(path, sizeof path, "/proc/%s/stat", word);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        length = fd >= 0 ? read(fd, line, sizeof line - 1) : 0;
        line[length > 0 ? length : 0] = 0;
        close(fd);
        say("left %s: %s", word, line);
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    const char *path = getenv("BOARD");
    int fd = open(path ? path : "", O_RDWR | O_CLOEXEC);
    if (fd == -1 || ftruncate(fd, sizeof *board) == -1)
        die("BOARD");
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED)
        die("mmap");
    close(fd);
    if (argc == 2)
        be_tree();
    if (argc < 5 || getpid() != 1)
        return 97;

    int numbers = BYSTANDERS + atoi(argv[1]), runs = atoi(argv[2]), signals = atoi(argv[3]), rounds = 0;
    pid_t workers[STRANGERS];
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (numbers > MOST - RESERVED)
        return 97;
    limit(numbers);
    double begun = now_s();
    for (int i = 0; i < STRANGERS; i++)
        if ((workers[i] = fork()) == 0)
            start_strangers();
    for (int i = 0; i < runs; i++) {
        int status = run_pyinit(argv + 4, argv[0], signals, numbers);
        say("run %d %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), outlived(workers));
    }
    double seconds = now_s() - begun;
    board->over = 1;
    for (int i = 0; i < STRANGERS; i++)
        reap(workers[i]);
    for (int i = 0; i < board->hits && i < HITS; i++)
        say("hit %d from %d to %d", board->hit[i].signal, board->hit[i].sender, board->hit[i].pid);
    for (int pid = RESERVED; pid < RESERVED + numbers; pid++)
        if (board->given[pid] > rounds)
            rounds = board->given[pid];
    say("hits %d", board->hits);
    say("rounds %d seconds %.3f delivered %d handed %d same-tick %d forks %d", rounds, seconds, board->delivered, board->handed,
        board->same_tick, board->forks);
    return 0;
}

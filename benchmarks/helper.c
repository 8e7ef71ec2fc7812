/*
 * Both ends of a measurement: starts an init with a command below it, and is that command.
 *
 *   helper WHAT MODE PAGE [OPTIONS...] -- INIT... COMMAND     the outer end: starts the init, prints numbers
 *   helper WHAT PAGE [NUMBERS...]                             the inner end: what the init starts
 *   helper alone -- COMMAND...                                an init that makes the system calls of a told reap, no more
 *
 * MODE is "pid1" (a PID namespace with its own /proc) or "sub" (a process among others). PAGE is a file that both ends
 * map: what the inner end sees and does is told there, with times of CLOCK_MONOTONIC, which all namespaces share. It is
 * linked statically, so that the dynamic linker is no part of any figure. Times are in nanoseconds.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct page {
    volatile uint64_t begun;   /* just before the init's exec */
    volatile uint64_t first;   /* the command's first instruction */
    volatile uint64_t last;    /* its last one */
    volatile uint64_t wall;    /* what was measured inside: from the first fork, or the kill, to the last reap */
    volatile uint64_t cpu;     /* the init's processor time meanwhile */
    volatile uint64_t peak;    /* the most children that it had at once, less those of before */
    volatile uint64_t reaped;  /* lines of the log that tell of a reap */
    volatile uint64_t lines;   /* lines of the log */
    volatile uint32_t ready;   /* the command is where it is to be */
    volatile uint32_t signals; /* how many came in */
    volatile uint32_t asked;   /* the status is wanted */
    volatile uint32_t told;    /* it has come */
    volatile uint64_t took;    /* so long it took, from connect(2) to its last byte */
    volatile uint64_t rows;    /* so many processes it tells of */
};

static struct page *page;

static uint64_t now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t) at.tv_sec * 1000000000u + (uint64_t) at.tv_nsec;
}

static void nap(long us)
{
    struct timespec span = {us / 1000000, us % 1000000 * 1000};

    nanosleep(&span, NULL);
}

static void die(const char *what)
{
    fprintf(stderr, "helper: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void map(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        die(path);
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        die("mmap");
    close(fd);
}

static void wake(volatile uint32_t *word)
{
    __sync_fetch_and_add(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Wait until the word is no longer what it was, or for 60 s. */
static void wait_for(volatile uint32_t *word, uint32_t was)
{
    struct timespec most = {60, 0};

    while (*word == was)
        if (syscall(SYS_futex, word, FUTEX_WAIT, was, &most, NULL, 0) < 0 && errno == ETIMEDOUT)
            die("nothing came within a minute"); /* the init goes with us, see start() */
}

/* -- what an init is at ----------------------------------------------------------------------------------------- */

static long read_number(const char *path)
{
    char text[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) < 0)
            text[0] = '\0';
        close(fd);
    }
    return atol(text);
}

/* Processor time of a process with one thread. */
static uint64_t cpu_of(int pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    return (uint64_t) read_number(path);
}

static int open_children(int pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* How many children it has, dead ones included: the numbers in its list. */
static long count(int fd)
{
    static char text[1 << 16];
    long found = 0;
    off_t at = 0;
    ssize_t got;

    while ((got = pread(fd, text, sizeof text, at)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            found += text[i] == ' ';
        at += got;
    }
    return found;
}

/* -- the inner end ---------------------------------------------------------------------------------------------- */

/* The end of one's life, with nothing of the C library's in it. */
static void leave(void)
{
    syscall(SYS_exit_group, 0);
}

/* One process forks another and ends at once: the other one is an orphan from then on. */
static void orphan(void (*life)(int), int fd)
{
    pid_t middle = fork();

    if (middle < 0)
        die("fork");
    if (middle == 0) {
        pid_t last = fork();

        if (last == 0)
            life(fd);
        syscall(SYS_exit_group, last < 0);
    }
    waitpid(middle, NULL, 0);
}

static void end_at_once(int fd)
{
    (void) fd;
    leave();
}

static void stay(int fd)
{
    (void) fd;
    for (;;)
        pause();
}

/* Watch the init until it has no more children than before. */
static void watch(int children, long before, int workers)
{
    long there;

    for (;;) {
        while (workers > 0 && waitpid(-1, NULL, WNOHANG) > 0)
            workers--;
        there = count(children) - before;
        if (there > (long) page->peak)
            page->peak = (uint64_t) there;
        if (workers == 0 && there <= 0)
            return;
        /* A look at a long list keeps everybody else from theirs. */
        nap(before < 100 ? 1000 : 50000);
    }
}

/* `total` orphans, made by `workers` processes; each makes the next one when its last one has ended. */
static void storm(int init, long total, int workers, long delay_ms, long live)
{
    int children;
    long before;
    uint64_t begun, used;

    for (long i = 0; i < live; i++)
        orphan(stay, -1);
    nap(delay_ms * 1000);
    children = open_children(init);
    before = count(children);
    used = cpu_of(init);
    begun = now();
    for (int worker = 0; worker < workers; worker++)
        if (fork() == 0) {
            for (long i = worker; i < total; i += workers) {
                int ends[2];
                char none;

                if (pipe2(ends, O_CLOEXEC) < 0)
                    die("pipe");
                orphan(end_at_once, ends[1]);
                close(ends[1]);
                while (read(ends[0], &none, 1) > 0)
                    continue;
                close(ends[0]);
            }
            leave();
        }
    watch(children, before, workers);
    page->wall = now() - begun;
    page->cpu = cpu_of(init) - used;
}

/* `total` orphans of one process group, killed with one call. */
static void mass(int init, long total)
{
    int children = open_children(init);
    long before = count(children);
    uint64_t begun, used;
    pid_t group = fork();

    if (group == 0) {
        setpgid(0, 0);
        for (long i = 0; i < total; i++)
            orphan(stay, -1);
        pause();
    }
    setpgid(group, group);
    while (count(children) - before < total)
        nap(10000);
    nap(700000);
    page->peak = 0;
    used = cpu_of(init);
    begun = now();
    kill(-group, SIGKILL);
    watch(children, before, 1);
    page->wall = now() - begun;
    page->cpu = cpu_of(init) - used;
}

/* `total` children, each in a session of its own, that die of SIGTERM. */
static void family(long total)
{
    for (long i = 0; i < total; i++) {
        pid_t child = fork();

        if (child < 0)
            die("fork");
        if (child == 0) {
            setsid();
            stay(-1);
        }
    }
}

static void echo(void)
{
    sigset_t wanted;
    siginfo_t info;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    wake(&page->ready);
    for (;;)
        if (sigwaitinfo(&wanted, &info) == SIGUSR1) {
            page->last = now();
            wake(&page->signals);
        }
}

/* Connect to where pyinit listens: an abstract socket with the numbers of the PID namespace and of pyinit in its name. */
static int control_of(int init)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char space[64] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), length;

    if (fd < 0 || readlink("/proc/self/ns/pid", space, sizeof space - 1) < 0)
        die("control socket");
    space[strcspn(space, "]")] = '\0';
    length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "pyinit/%s/%d", space + strcspn(space, "0123456789"),
                      init);
    if (connect(fd, (struct sockaddr *) &address, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + length)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* What ps(1) does where the init cannot be asked: read three files of each process. */
static void list(void)
{
    static const char *const files[] = {"stat", "status", "cmdline"};
    static char text[1 << 13], path[300];
    DIR *proc = opendir("/proc");
    struct dirent *entry;

    while (proc && (entry = readdir(proc))) {
        int got = 0;

        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            int fd;

            snprintf(path, sizeof path, "/proc/%s/%s", entry->d_name, files[i]);
            fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                continue;
            got += i == 0 && read(fd, text, sizeof text) > 0;
            if (i > 0 && read(fd, text, sizeof text) < 0)
                got = 0;
            close(fd);
        }
        page->rows += (uint64_t) got;
    }
}

/* Ask pyinit for its status when that is wanted, or another init's /proc, and count who is told of. */
static void ask(int init)
{
    static const char request[] = "{\"v\":1,\"request\":\"status\",\"tree\":true}\n", word[] = "\"ppid\"";
    static char text[1 << 16];
    size_t fits = 0;
    ssize_t got = 1;
    uint64_t begun;
    int fd;

    wait_for(&page->asked, 0);
    begun = now();
    fd = control_of(init);
    if (fd < 0) {
        list();
        got = 0;
    } else if (write(fd, request, sizeof request - 1) < 0)
        die("write");
    while (got > 0 && (got = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            fits = text[i] == word[fits] ? fits + 1 : text[i] == word[0];
            if (fits == sizeof word - 1) {
                page->rows++;
                fits = 0;
            }
        }
        if (text[got - 1] == '\n')
            break;
    }
    page->took = now() - begun;
    wake(&page->told);
    stay(-1);
}

static int inner(int argc, char **argv, uint64_t first)
{
    const char *what = argv[1];
    long number[4] = {0, 0, 0, 0};
    /* The init is our parent, or where something stands between us PID 1. */
    int init = getppid();

    for (int i = 3; i < argc && i < 7; i++)
        number[i - 3] = atol(argv[i]);
    map(argv[2]);
    page->first = first;
    if (access("/proc/1/cmdline", R_OK) == 0 && getenv("HELPER_PID1"))
        init = 1;
    if (strcmp(what, "now") == 0) {
        if (number[0])
            nap(number[0] * 1000);
    } else if (strcmp(what, "idle") == 0) {
        wake(&page->ready);
        stay(-1);
    } else if (strcmp(what, "echo") == 0) {
        echo();
    } else if (strcmp(what, "asked") == 0) {
        family(number[0]);
        if (fork() == 0) {
            setsid(); /* the signals are for the group */
            ask(init);
        }
        echo();
    } else if (strcmp(what, "storm") == 0) {
        storm(init, number[0], (int) number[1], number[2], number[3]);
    } else if (strcmp(what, "mass") == 0) {
        mass(init, number[0]);
    } else if (strcmp(what, "family") == 0) {
        family(number[0]);
        wake(&page->ready);
        stay(-1);
    } else {
        return 98;
    }
    page->last = now();
    wake(&page->ready);
    leave();
    return 0;
}

/* -- the least that a reap with its record takes ------------------------------------------------------------------ */

/* Write so many bytes of lines, in pieces that a pipe takes whole. */
static void put(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t put = write(2, text, size > PIPE_BUF ? PIPE_BUF : size);

        if (put < 0)
            return;
        text += put;
        size -= (size_t) put;
    }
}

/* Tell of all children that are dead: look, open, read, close, wait4, and a line as long as one of pyinit's. */
static int alone(char **command)
{
    static char lines[1 << 15], stat[1024], path[64];
    static const char rest[] = ", \"process.reaped\": \"%.*s\", \"user\": %ld, \"system\": %ld, \"rss\": %ld, \"of\": \"%200s\"}\n";
    sigset_t all, child;
    siginfo_t info;
    struct rusage used;
    size_t size = 0;
    pid_t first;
    int fd, status, got;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    first = fork();
    if (first == 0) {
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        setpgid(0, 0);
        execv(command[0], command);
        die(command[0]);
    }
    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
            return 0;
        if (info.si_pid == 0) {
            put(lines, size);
            size = 0;
            sigwaitinfo(&child, NULL);
            continue;
        }
        snprintf(path, sizeof path, "/proc/%d/stat", info.si_pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        got = (int) read(fd, stat, sizeof stat);
        close(fd);
        wait4(info.si_pid, &status, WNOHANG, &used);
        size += (size_t) sprintf(lines + size, "{\"process.pid\": %d", info.si_pid);
        size += (size_t) sprintf(lines + size, rest, got > 200 ? 200 : got - 1, stat, (long) used.ru_utime.tv_usec,
                                 (long) used.ru_stime.tv_usec, used.ru_maxrss, "");
        if (info.si_pid == first || size > sizeof lines - 1024) {
            put(lines, size);
            size = 0;
        }
        if (info.si_pid == first)
            return 0;
    }
}

/* -- the outer end ---------------------------------------------------------------------------------------------- */

/* Read the init's log to its end, as a container's engine does, and count. */
static void drain(int fd)
{
    static const char told[] = "\"process.reaped\"";
    static char text[(1 << 16) + 4097];
    size_t kept = 0;
    ssize_t got;

    while ((got = read(fd, text + kept, 1 << 16)) > 0) {
        char *line = text, *end;

        kept += (size_t) got;
        text[kept] = '\0';
        while ((end = memchr(line, '\n', kept - (size_t) (line - text)))) {
            *end = '\0';
            page->lines++;
            page->reaped += strstr(line, told) != NULL;
            line = end + 1;
        }
        kept -= (size_t) (line - text);
        memmove(text, line, kept);
    }
    leave();
}

static pid_t reader, started;
static volatile sig_atomic_t gave_up;

/* No measurement takes longer than this: the init is killed then, and with it all that it holds. */
enum { LIMIT_S = 90 };

static void give_up(int signo)
{
    (void) signo;
    gave_up = 1;
    kill(started, SIGKILL);
}

static pid_t start(int as_pid1, char **command)
{
    int log[2];
    pid_t pid;

    if (pipe2(log, O_CLOEXEC) < 0)
        die("pipe");
    reader = fork();
    if (reader == 0) {
        close(log[1]);
        drain(log[0]);
    }
    close(log[0]);
    pid = (pid_t) syscall(SYS_clone, as_pid1 ? CLONE_NEWPID | CLONE_NEWNS | SIGCHLD : SIGCHLD, 0, 0, 0, 0);
    if (pid < 0)
        die("clone");
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (as_pid1) {
            if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
                die("mount");
            setenv("HELPER_PID1", "1", 1);
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, 0);
        dup2(null, 1);
        dup2(log[1], 2);
        page->begun = now();
        execv(command[0], command);
        die(command[0]);
    }
    close(log[1]);
    return pid;
}

/* Wait for the init's end; return when that was. */
static uint64_t end_of(pid_t pid)
{
    uint64_t ended;
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid");
    ended = now();
    if (WIFEXITED(status) && WEXITSTATUS(status) >= 98)
        fprintf(stderr, "helper: the init ended with status %d\n", WEXITSTATUS(status));
    return ended;
}

/* Kill and reap what an init has left behind (we are what its orphans come to); return how many there were. */
static long clean_up(void)
{
    int fd = open_children(getpid());
    long left = 0, found;

    do {
        static char text[1 << 20];
        ssize_t got = pread(fd, text, sizeof text - 1, 0);
        char *at = text;

        text[got > 0 ? got : 0] = '\0';
        found = 0;
        for (long pid; (pid = strtol(at, &at, 10)) > 0;) {
            siginfo_t info;

            info.si_pid = 0;
            if (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) {
                if (pid == reader)
                    continue; /* it ends by itself, when the last who could write has ended */
                kill((pid_t) pid, SIGKILL);
                left++;
                found++;
            }
        }
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        if (found)
            nap(1000);
    } while (found);
    close(fd);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    return left;
}

int main(int argc, char **argv)
{
    uint64_t first = now(), ended;
    int as_pid1, at = 4;
    long times = 0, pause_us = 0;
    const char *what;
    pid_t pid;

    if (argc < 3)
        return 98;
    what = argv[1];
    if (strcmp(what, "alone") == 0)
        return argc < 4 ? 98 : alone(argv + 3);
    as_pid1 = strcmp(argv[2], "pid1") == 0;
    if (!as_pid1 && strcmp(argv[2], "sub") != 0)
        return inner(argc, argv, first);

    map(argv[3]);
    memset(page, 0, sizeof *page);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (at < argc && strcmp(argv[at], "--") != 0)
        times = atol(argv[at++]);
    if (at < argc && strcmp(argv[at], "--") != 0)
        pause_us = atol(argv[at++]);
    pid = started = start(as_pid1, argv + at + 1);
    signal(SIGALRM, give_up);
    alarm(LIMIT_S);

    if (strcmp(what, "run") == 0) {
        /* Until its own end; with a number other than 0 until the command's, where an init stays after that. */
        if (times) {
            wait_for(&page->ready, 0);
            nap(50000);
            kill(pid, SIGKILL);
        }
        ended = end_of(pid);
        clean_up();
        printf("%lu %lu %lu %lu %lu %lu %lu %lu\n", page->first - page->begun, ended - page->begun,
               ended - page->last, page->wall, page->cpu, page->peak, page->reaped, page->lines);
    } else if (strcmp(what, "hold") == 0) {
        /* Until our own standard input ends. */
        char none;

        wait_for(&page->ready, 0);
        printf("%d\n", pid);
        fflush(stdout);
        while (read(0, &none, 1) > 0)
            continue;
        kill(pid, SIGKILL);
        end_of(pid);
        clean_up();
    } else if (strcmp(what, "signal") == 0) {
        uint64_t used;

        wait_for(&page->ready, 0);
        nap(500000);
        used = cpu_of(pid);
        for (long i = 0; i < times; i++) {
            uint32_t was = page->signals;
            uint64_t sent;

            nap(pause_us);
            sent = now();
            kill(pid, SIGUSR1);
            wait_for(&page->signals, was);
            printf("%lu\n", page->last - sent);
        }
        printf("%lu\n", (cpu_of(pid) - used) / (uint64_t) times);
        kill(pid, SIGKILL);
        end_of(pid);
        clean_up();
    } else if (strcmp(what, "status") == 0) {
        /* Signals until the status has come; the last line is its time, and how many it tells of. */
        wait_for(&page->ready, 0);
        nap(500000);
        wake(&page->asked);
        while (!page->told) {
            uint32_t was = page->signals;
            uint64_t sent;

            nap(pause_us / 2 + rand() % pause_us); /* not in step with what pyinit does in pieces of about that length */
            sent = now();
            kill(pid, SIGUSR1);
            wait_for(&page->signals, was);
            if (!page->told)
                printf("%lu\n", page->last - sent);
        }
        printf("%lu %lu\n", page->took, page->rows);
        kill(pid, SIGKILL);
        end_of(pid);
        clean_up();
    } else if (strcmp(what, "stop") == 0) {
        uint64_t asked;
        long left;

        wait_for(&page->ready, 0);
        nap(500000);
        asked = now();
        kill(pid, SIGTERM);
        ended = end_of(pid);
        left = clean_up();
        printf("%lu %ld\n", ended - asked, left);
    } else {
        return 98;
    }
    if (gave_up)
        fprintf(stderr, "helper: no end within %d s\n", LIMIT_S);
    return gave_up ? 97 : 0;
}

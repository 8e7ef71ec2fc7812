/* What every test program shares: a bounded life, lines on standard output, and a witness of its own end.
 *
 * A program dies by itself when its life is over (LIFE seconds from the environment, 40 unless set), so that a
 * failing test leaves no process for ever. alarm(2) survives exec but not fork: use spawn(), never fork().
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline void live(void)
{
    const char *seconds = getenv("LIFE");
    struct sigevent kill_me = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec when = {.it_value = {.tv_sec = seconds ? atoi(seconds) : 40}};
    timer_t timer;
    alarm((unsigned)when.it_value.tv_sec); /* for what is executed later: a timer does not survive exec */
    if (timer_create(CLOCK_MONOTONIC, &kill_me, &timer) == 0) /* for who blocks or ignores SIGALRM */
        timer_settime(timer, 0, &when, NULL);
}

static inline pid_t spawn(void)
{
    pid_t pid = fork();
    if (pid == 0)
        live();
    return pid;
}

/* One line on standard output in one write, so that lines of different processes do not mix. */
__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length < 0 || length > (int)sizeof line - 2)
        length = sizeof line - 2;
    line[length++] = '\n';
    ssize_t ignored = write(STDOUT_FILENO, line, (size_t)length);
    (void)ignored;
}

/* "got SIGNAL from PID NAME", from a handler. */
static inline void tell_signal(int number, const siginfo_t *info, const char *name)
{
    char line[128];
    int saved = errno;
    int length = snprintf(line, sizeof line, "got %d from %d %s\n", number, info->si_pid, name);
    ssize_t ignored = write(STDOUT_FILENO, line, (size_t)length);
    (void)ignored;
    errno = saved;
}

/* Handle every signal that can be caught; then say "ready PID NAME" and take them, one at a time, until *done. */
static inline void take_signals(void (*handler)(int, siginfo_t *, void *), const char *name, volatile sig_atomic_t *done)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGALRM && number != SIGCHLD && number != SIGSEGV && number != SIGBUS && number != SIGILL
            && number != SIGFPE)
            sigaction(number, &action, NULL);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL);
    say("ready %d %s", getpid(), name);
    while (!*done)
        sigsuspend(&none);
}

/* Exit, and first leave "PID STATUS" in the file that WITNESS names, where the kernel cannot be asked. */
__attribute__((noreturn)) static inline void finish(int status)
{
    const char *path = getenv("WITNESS");
    if (path) {
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0) {
            dprintf(fd, "%d %d\n", getpid(), status & 0xff);
            close(fd);
        }
    }
    _exit(status);
}

__attribute__((noreturn)) static inline void die(const char *what)
{
    say("error %s: %s", what, strerror(errno));
    _exit(99);
}

__attribute__((noreturn)) static inline void run(char **command)
{
    execvp(command[0], command);
    die(command[0]);
}

/* Until this process has lost its parent: the kernel has given it to a subreaper or to PID 1. */
static inline void wait_for_new_parent(pid_t old)
{
    while (getppid() == old)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static inline void nap_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
}

static inline double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Wait for one of the signals in `set`, which must be blocked; tells the sender. */
static inline int take_signal(const sigset_t *set, siginfo_t *info)
{
    int signal;
    do
        signal = sigwaitinfo(set, info);
    while (signal == -1 && errno == EINTR);
    return signal;
}

#endif

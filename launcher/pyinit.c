/*
 * The pyinit command: starts the interpreter that pyinit was installed for, isolated from the environment.
 *
 * Python cannot do this for itself. A script's first line takes the interpreter alone when pip writes it, so
 * PYTHONHOME or a sitecustomize of the container would reach pyinit; a shell in between drops the variables whose
 * names it does not like; and the interpreter changes the very things that the command must get unchanged (signal
 * dispositions, LC_CTYPE) before its first statement. So, in this order:
 *
 *   1. block all signals: the init of a PID namespace loses those that come before it is ready (a fault of its own ends
 *      a process all the same);
 *   2. write down what the interpreter is going to change: mask, ignored signals, LC_CTYPE, closed descriptors;
 *   3. open the descriptor that signals will be read from;
 *   4. find pyinit-main beside this program, the interpreter in its first line, and become that.
 *
 * Called pyinitctl, it does the last of these alone: that is the client of the control socket.
 *
 * Anything that goes wrong here is one line on standard error and status 125.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FAILED = 125, LINE = 4096, NEEDED = 4 };

static const char MAIN[] = "pyinit-main";
static const char CONTROL[] = "pyinitctl";
static const char *self = "pyinit";

static int fail(const char *what, const char *name)
{
    dprintf(2, "%s: %s %s: %s. Install pyinit again, or start it by the full path of its bin folder.\n",
            self, what, name, strerror(errno));
    return FAILED;
}

/* Where this program lies, links resolved: through /proc, or from the path that it was started by. */
static const char *own_folder(void)
{
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);

    if (length > 0)
        path[length] = '\0';
    else if (!realpath((const char *) getauxval(AT_EXECFN), path))
        return NULL;
    *strrchr(path, '/') = '\0';
    return path;
}

/* The interpreter that the first line names. */
static char *interpreter(const char *script)
{
    static char line[LINE];
    int fd = open(script, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return NULL;
    length = read(fd, line, sizeof line - 1);
    close(fd);
    if (length < 3 || line[0] != '#' || line[1] != '!') {
        errno = ENOEXEC;
        return NULL;
    }
    line[length] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return line + 2;
}

/* Become the interpreter, and hand over what was written down. */
static int become(char *state, char *locale, int argc, char **argv)
{
    static char script[PATH_MAX + sizeof MAIN];
    const char *folder = own_folder();
    char *python, **arguments;

    if (!folder)
        return fail("cannot find", "the folder it is installed in");
    snprintf(script, sizeof script, "%s/%s", folder, MAIN);
    python = interpreter(script);
    if (!python)
        return fail("cannot read the interpreter from", script);
    arguments = calloc((size_t) argc + 9, sizeof *arguments);
    if (!arguments)
        return fail("no memory for the arguments of", script);
    arguments[0] = python;
    arguments[1] = "-IBS";
    arguments[2] = "-Xutf8";
    arguments[3] = script;
    arguments[4] = state;
    arguments[5] = locale;
    arguments[6] = argc > 0 ? argv[0] : "pyinit";
    for (int i = 1; i < argc; i++)
        arguments[6 + i] = argv[i];
    execv(python, arguments);
    return fail("cannot start the interpreter", python);
}

/* Take the lowest free descriptor, for something that takes in nothing: where there is no /dev, the end of a pipe. */
static int hold_place(void)
{
    int ends[2];

    if (open("/dev/null", O_RDWR) >= 0)
        return 1;
    return pipe(ends) == 0 && close(ends[1]) == 0;
}

int main(int argc, char **argv)
{
    unsigned long long all = ~0ULL, mask = 0, ignored = 0;
    int closed = 0, signo, fd, signals, spare[NEEDED];
    char state[128], none[] = "";
    char *locale = getenv("LC_CTYPE");
    const char *name = argc > 0 ? argv[0] : none;

    if (strcmp(strrchr(name, '/') ? strrchr(name, '/') + 1 : name, CONTROL) == 0) {
        self = CONTROL;
        snprintf(state, sizeof state, "%s", CONTROL);
        return become(state, none, argc, argv);
    }

    /* By number, because the C library's functions leave 32 and 33 out: somebody may send these too. */
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &mask, sizeof all);

    for (signo = 1; signo <= 64; signo++) {
        struct sigaction action;

        if (sigaction(signo, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            ignored |= 1ULL << (signo - 1);
    }
    /* With SIGCHLD ignored the kernel reaps for us, and nobody ever learns how a process ended. */
    signal(SIGCHLD, SIG_DFL);

    /* Nothing of ours may land on a number that the command expects to be closed: hold the place. */
    for (fd = 0; fd <= 2; fd++) {
        struct stat status = {0};

        if (fstat(fd, &status) < 0 && errno == EBADF) {
            if (!hold_place())
                return FAILED;
            closed |= 1 << fd;
        } else if (S_ISDIR(status.st_mode)) { /* the interpreter would say a page about it, and leave with 1 */
            dprintf(2, "pyinit: descriptor %d is a folder. Give a file, a pipe or /dev/null instead.\n", fd);
            return FAILED;
        }
    }

    /* The interpreter needs a few, and says a page about it when it does not get them. */
    for (fd = 0; fd < NEEDED; fd++)
        if ((spare[fd] = open("/", O_PATH)) < 0) {
            dprintf(2, "pyinit: too few descriptors to start with: %s. Raise the limit (ulimit -n).\n", strerror(errno));
            return FAILED;
        }
    while (fd > 0)
        close(spare[--fd]);

    signals = (int) syscall(SYS_signalfd4, -1, &all, sizeof all, SFD_NONBLOCK);
    snprintf(state, sizeof state, "1:%llx:%llx:%d:%d:%d", mask, ignored, closed, signals, locale != NULL);
    return become(state, locale ? locale : none, argc, argv);
}

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
 *   4. find pyinit-main beside this program, and the interpreter in its first line;
 *   5. start main at once, where the interpreter would have nothing to say about it (plain.h, start.h);
 *   6. become the interpreter, which takes over from here.
 *
 * Called pyinitctl, it only does the fourth and the last of these: that is the client of the control socket.
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

#include "plain.h"
#include "start.h"

enum { FAILED = 125, LINE = 4096, NEEDED = 5 };

static const char NAME[] = "pyinit";
static const char MAIN[] = "pyinit-main";
static const char CONTROL[] = "pyinitctl";
static const char *self = NAME;

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

/*
 * The interpreter that the first line names. Where its path is too long for a first line, or has a space in it, pip
 * writes one for a shell, and the path into the second: ''''exec' "/the path/python" "$0" "$@".
 */
static char *interpreter(const char *script)
{
    static char text[LINE];
    static const char shell[] = "#!/bin/sh\n'''exec' ", behind[] = " \"$0\"";
    int fd = open(script, O_RDONLY | O_CLOEXEC);
    ssize_t length;
    char *path = text + 2, *end;

    if (fd < 0)
        return NULL;
    length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    if (strncmp(text, shell, sizeof shell - 1) == 0) {
        path = text + sizeof shell - 1;
        end = strstr(path, behind);
        if (end && end > path && *path == '"' && end[-1] == '"') {
            path++;
            end--;
        }
        if (end)
            *end = '\0';
    }
    path[strcspn(path, "\r\n")] = '\0';
    end = strrchr(path, '/');
    if (strncmp(text, "#!", 2) != 0 || strncmp(end ? end + 1 : path, "py", 2) != 0) {
        errno = ENOEXEC;
        return NULL;
    }
    return path;
}

/* What pyinit runs: the script beside this program, and the interpreter that it names. */
struct program {
    char script[PATH_MAX + sizeof MAIN];
    const char *python;
};

/* Find it; says what is wrong, and returns 0, where it is not there or cannot be executed. */
static int find(struct program *program)
{
    const char *folder = own_folder();

    if (!folder) {
        fail("cannot find", "the folder it is installed in");
        return 0;
    }
    snprintf(program->script, sizeof program->script, "%s/%s", folder, MAIN);
    program->python = interpreter(program->script);
    if (!program->python) {
        fail("cannot read the interpreter from", program->script);
        return 0;
    }
    if (access(program->python, X_OK) < 0) {
        fail("cannot start the interpreter", program->python);
        return 0;
    }
    return 1;
}

/* Become the interpreter, and hand over what was written down. Returns only where that fails. */
static int become(const struct program *program, const char *state, const char *locale, int argc, char **argv)
{
    const char **arguments = calloc((size_t) argc + 9, sizeof *arguments);

    if (!arguments)
        return fail("no memory for the arguments of", program->script);
    arguments[0] = program->python;
    arguments[1] = "-IBS";
    arguments[2] = "-Xutf8";
    arguments[3] = program->script;
    arguments[4] = state;
    arguments[5] = locale;
    arguments[6] = argc > 0 ? argv[0] : NAME;
    for (int i = 1; i < argc; i++)
        arguments[6 + i] = argv[i];
    execv(program->python, (char *const *) arguments);
    return fail("cannot start the interpreter", program->python);
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
    static struct program program;
    struct inherited inherited = {0};
    struct started main_process = {.filter = "-", .oom_kills = -1};
    unsigned long long all = ~0ULL;
    int closed = 0, signo, fd, command = 0, spare[NEEDED], failed;
    char state[224];
    const char *locale = getenv("LC_CTYPE");
    const char *name = argc > 0 ? argv[0] : "";

    if (strrchr(name, '/'))
        name = strrchr(name, '/') + 1;
    if (strcmp(name, CONTROL) == 0) {
        self = CONTROL;
        return find(&program) ? become(&program, CONTROL, "", argc, argv) : FAILED;
    }

    /* By number, because the C library's functions leave 32 and 33 out: somebody may send these too. */
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &inherited.mask, sizeof all);

    for (signo = 1; signo <= 64; signo++) {
        struct sigaction action;

        if (sigaction(signo, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            inherited.ignored |= 1ULL << (signo - 1);
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

    inherited.signals = (int) syscall(SYS_signalfd4, -1, &all, sizeof all, SFD_NONBLOCK);
    if (!find(&program))
        return FAILED;

    if (closed == 0 && inherited.signals >= 0 && strcmp(name, NAME) == 0)
        command = plain_command(argc, argv);
    if (command && plain_environment(environ) && plain_size(argv, environ) && plain_place())
        main_process = start_main(argv + command, environ, &inherited);

    snprintf(state, sizeof state, "2:%llx:%llx:%d:%d:%d:%d:%lld:%s:%lld", inherited.mask, inherited.ignored, closed,
             inherited.signals, locale != NULL, main_process.pid, main_process.at_ns, main_process.filter, main_process.oom_kills);
    failed = become(&program, state, locale ? locale : "", argc, argv);
    if (main_process.pid)
        end_all(main_process.pid);
    return failed;
}

#define _GNU_SOURCE
#include "plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* execve(2) always takes 128 KiB (ARG_MAX). A stack of 8 MiB is usual. */
enum { SIZE_MAX_PLAIN = 96 * 1024, STACK_ENOUGH = 1 << 20 };

/*
 * The options that are plain, and the values of theirs that are sure to be right: plain_options.py makes the rows from
 * the table that pyinit reads command lines by. A switch has no value; a choice has one of the words.
 */
enum kind { SWITCH, CHOICE, DURATION, STATUS };

struct option {
    const char *name;
    enum kind kind;
    const char *words; /* each with a space before and behind it */
};

static const struct option OPTIONS[] = {
#include "plain_options.h"
};

/* What variables begin with that say something to pyinit, or something about main's own PID. */
static const char *const VARIABLES[] = {
    "PYINIT_", "TINI_", "DUMB_INIT_", "CATATONIT_", "LISTEN_", "WATCHDOG_", "NOTIFY_SOCKET=", NULL,
};

static int is_number(const char *text, size_t length, size_t most)
{
    return length > 0 && length <= most && strspn(text, "0123456789") >= length;
}

/* Seconds, milliseconds or minutes, far below the longest duration that there can be. */
static int is_duration(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits;

    if (strcmp(unit, "m") == 0)
        return is_number(text, digits, 3);
    return (*unit == '\0' || strcmp(unit, "s") == 0 || strcmp(unit, "ms") == 0) && is_number(text, digits, 4);
}

static int is_word(const char *text, const char *words)
{
    size_t length = strlen(text);

    if (length == 0 || strchr(text, ' '))
        return 0;
    for (const char *at = words; (at = strstr(at, text)); at++)
        if (at[-1] == ' ' && at[length] == ' ')
            return 1;
    return 0;
}

static int is_right(const struct option *option, const char *value)
{
    switch (option->kind) {
    case CHOICE:
        return is_word(value, option->words);
    case DURATION:
        return is_duration(value);
    case STATUS:
        return is_number(value, strlen(value), 3) && atoi(value) <= 255;
    default:
        return 0;
    }
}

/* How many words of the command line a plain option and its value take; 0 where it is none. */
static int taken(char **words)
{
    const char *name = words[0] + 2;
    size_t length = strcspn(name, "=");

    for (size_t at = 0; at < sizeof OPTIONS / sizeof *OPTIONS; at++) {
        const struct option *option = &OPTIONS[at];

        if (option->kind == SWITCH) {
            if (strcmp(name, option->name) == 0)
                return 1;
            if (strncmp(name, "no-", 3) == 0 && strcmp(name + 3, option->name) == 0)
                return 1;
        } else if (strlen(option->name) == length && strncmp(name, option->name, length) == 0) {
            if (name[length] == '=')
                return is_right(option, name + length + 1);
            return words[1] && is_right(option, words[1]) ? 2 : 0;
        }
    }
    return 0;
}

int plain_command(int argc, char **argv)
{
    int at = 1, words;

    for (; at < argc && strncmp(argv[at], "--", 2) == 0 && argv[at][2]; at += words)
        if ((words = taken(argv + at)) == 0)
            return 0;
    if (at < argc && strcmp(argv[at], "--") == 0) {
        at++; /* behind it may still stand what starts nothing: --check */
        return at < argc && argv[at][0] && strncmp(argv[at], "--", 2) != 0 ? at : 0;
    }
    return at < argc && argv[at][0] && argv[at][0] != '-' ? at : 0;
}

int plain_environment(char **environment)
{
    for (; *environment; environment++)
        for (const char *const *name = VARIABLES; *name; name++)
            if (strncmp(*environment, *name, strlen(*name)) == 0)
                return 0;
    return 1;
}

static size_t size_of(char **words)
{
    size_t size = 0;

    for (; *words; words++)
        size += strlen(*words) + 1 + sizeof *words;
    return size;
}

int plain_size(char **argv, char **environment)
{
    return size_of(argv) + size_of(environment) < SIZE_MAX_PLAIN;
}

static int is_limited(int resource, rlim_t enough)
{
    struct rlimit limit;

    return getrlimit(resource, &limit) < 0 || limit.rlim_cur < enough;
}

int plain_place(void)
{
    siginfo_t child;
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    if (terminal >= 0) {
        close(terminal);
        return 0;
    }
    if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD)
        return 0;
    /* With too little memory for the interpreter nothing is to be started at all. */
    return !is_limited(RLIMIT_AS, RLIM_INFINITY) && !is_limited(RLIMIT_DATA, RLIM_INFINITY)
        && !is_limited(RLIMIT_STACK, STACK_ENOUGH);
}

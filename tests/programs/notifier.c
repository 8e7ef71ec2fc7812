/* notifier NAME [COMMAND...]: a service that says to $NOTIFY_SOCKET what it is told to: by its arguments, then by the lines of its standard
 * input. Says "ready PID NAME" when the arguments are done, and "got SIGNAL from PID NAME" for the signals that it takes; SIGTERM ends it.
 * In TEXT \n is a newline and \xHH a byte.
 *
 *   send TEXT        one message: "sent NAME"            many N TEXT     N messages: "sent NAME"
 *   fds N TEXT       with N descriptors: "sent NAME"     size N          a message of N bytes: "sent NAME", or "error"
 *   child TEXT       from a child that ends at once, and has been reaped: "child PID NAME"
 *   barrier          asks for a BARRIER and waits until its descriptor has been closed: "barrier NAME"
 *   dead, zombie     "dead PID NAME": a child that has been reaped, or not
 *   status N         it will end with this status        stay            SIGTERM does not end it
 *   reply TEXT       at SIGTERM it sends this first      exit N          ends with this status
 *   address          "address $NOTIFY_SOCKET", "none" without one
 */
#include "program.h"
#include <poll.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MOST_FDS 253 /* SCM_MAX_FD */

static const char *name = "notifier";
static int channel = -1;
static int status;
static bool stay;
static const char *reply;
static size_t reply_length;

static void open_channel(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof address.sun_path)
        return;
    strcpy(address.sun_path, path);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = 0;
    channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (channel == -1 || connect(channel, (struct sockaddr *)&address, length) == -1)
        die("NOTIFY_SOCKET");
}

static size_t unescape(char *text)
{
    char *to = text;
    unsigned byte;
    for (const char *from = text; *from; from++)
        if (from[0] == '\\' && from[1] == 'n') {
            *to++ = '\n';
            from++;
        } else if (from[0] == '\\' && from[1] == 'x' && sscanf(from + 2, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            from += 3;
        } else {
            *to++ = *from;
        }
    return (size_t)(to - text);
}

static bool put(const void *bytes, size_t length, const int *fds, int count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * MOST_FDS)];
    } control = {0};
    struct iovec text = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * (size_t)count);
    }
    ssize_t sent;
    do
        sent = sendmsg(channel, &message, MSG_NOSIGNAL);
    while (sent == -1 && errno == EINTR);
    if (sent == -1)
        say("error send: %s", strerror(errno));
    return sent != -1;
}

static void barrier(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == -1)
        die("pipe2");
    bool sent = put("BARRIER=1", 9, &ends[1], 1);
    close(ends[1]);
    struct pollfd hung_up = {.fd = ends[0]};
    while (sent && (poll(&hung_up, 1, -1) == -1 || !(hung_up.revents & POLLHUP)))
        ;
    close(ends[0]);
    if (sent)
        say("barrier %s", name);
}

static pid_t short_lived(const char *text, size_t length, bool reap)
{
    siginfo_t info;
    pid_t child = spawn();
    if (child == -1)
        die("fork");
    if (child == 0) {
        if (text)
            put(text, length, NULL, 0);
        finish(0);
    }
    waitid(P_PID, (id_t)child, &info, WEXITED | (reap ? 0 : WNOWAIT));
    return child;
}

static void command(char *line)
{
    char *rest = line + strcspn(line, " ");
    int count = 1, used = 0;
    if (*rest)
        *rest++ = 0;
    bool numbered = strcmp(line, "many") == 0 || strcmp(line, "fds") == 0;
    if (numbered && sscanf(rest, "%d %n", &count, &used) == 1)
        rest += used;
    if (strcmp(line, "send") == 0 || strcmp(line, "many") == 0) {
        size_t length = unescape(rest);
        bool sent = true;
        for (int i = 0; i < count && sent; i++)
            sent = put(rest, length, NULL, 0);
        if (sent)
            say("sent %s", name);
    } else if (strcmp(line, "fds") == 0) {
        int fds[MOST_FDS], fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int i = 0; i < MOST_FDS; i++)
            fds[i] = fd;
        if (put(rest, unescape(rest), fds, count))
            say("sent %s", name);
        close(fd);
    } else if (strcmp(line, "size") == 0) {
        size_t length = (size_t)atol(rest);
        char *bytes = malloc(length + 1);
        if (put(memset(bytes, 'x', length), length, NULL, 0))
            say("sent %s", name);
        free(bytes);
    } else if (strcmp(line, "child") == 0) {
        size_t length = unescape(rest);
        say("child %d %s", short_lived(rest, length, true), name);
    } else if (strcmp(line, "dead") == 0 || strcmp(line, "zombie") == 0) {
        say("dead %d %s", short_lived(NULL, 0, line[0] == 'd'), name);
    } else if (strcmp(line, "barrier") == 0) {
        barrier();
    } else if (strcmp(line, "status") == 0) {
        status = atoi(rest);
    } else if (strcmp(line, "stay") == 0) {
        stay = true;
    } else if (strcmp(line, "reply") == 0) {
        reply_length = unescape(rest);
        char *kept = malloc(reply_length + 1);
        reply = memcpy(kept, rest, reply_length + 1);
    } else if (strcmp(line, "exit") == 0) {
        finish(atoi(rest));
    } else if (strcmp(line, "address") == 0) {
        const char *address = getenv("NOTIFY_SOCKET");
        say("address %s", address ? address : "none");
    } else {
        say("error no command %s", line);
    }
}

/* Carry out the whole lines that have come; false at the end of the input. */
static bool listen_once(void)
{
    static char input[1 << 16];
    static size_t held;
    ssize_t got = read(STDIN_FILENO, input + held, sizeof input - 1 - held);
    if (got == -1)
        return errno == EINTR;
    if (got == 0)
        return false;
    held += (size_t)got;
    char *line = input, *end;
    while ((end = memchr(line, '\n', held - (size_t)(line - input)))) {
        *end = 0;
        command(line);
        line = end + 1;
    }
    held -= (size_t)(line - input);
    memmove(input, line, held);
    return true;
}

int main(int argc, char **argv)
{
    sigset_t set;
    struct signalfd_siginfo info;
    live();
    if (argc > 1)
        name = argv[1];
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    open_channel();
    for (int i = 2; i < argc; i++)
        command(strdup(argv[i]));
    struct pollfd what[2] = {{.fd = signalfd(-1, &set, SFD_CLOEXEC), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    say("ready %d %s", getpid(), name);
    for (;;) {
        if (poll(what, 2, -1) == -1)
            continue;
        if (what[0].revents && read(what[0].fd, &info, sizeof info) == sizeof info) {
            if (info.ssi_signo == SIGTERM && reply)
                put(reply, reply_length, NULL, 0);
            say("got %d from %d %s", info.ssi_signo, info.ssi_pid, name);
            if (info.ssi_signo == SIGTERM && !stay)
                finish(status);
        }
        if (what[1].revents && !listen_once())
            what[1].fd = -1;
    }
}

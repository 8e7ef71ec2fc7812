/* stage [OPTION...] -- COMMAND...: sets the stage for one run, exactly, and executes COMMAND there.
 *
 *   report=FD      write "pid OUTER_PID", and with pid1 at its end "status WAIT_STATUS", to this descriptor
 *   pid1           COMMAND is PID 1 of a new PID namespace with a /proc of its own; this process waits for it
 *   userns         make the namespace inside a new user namespace (for a test runner without privileges)
 *   no-proc        hide /proc: an empty, read-only file system lies over it
 *   no-dev         hide /dev likewise
 *   outer-proc     with pid1: /proc stays that of the outer PID namespace
 *   hidepid        /proc shows a user without privileges his own processes only (hidepid=2, proc(5))
 *   pid_max=N      with pid1: the new PID namespace has no numbers from N on (at least 301; exits 77 before Linux 6.14)
 *   fuse=FD:PATH   a FUSE is mounted on PATH; FD is /dev/fuse, held open by who answers it (or does not)
 *   read-only      the root file system is read-only
 *   reveal=A:B     folder A is closed to others: show them folder B below it, and nothing else of A
 *   uid=N          become this user and group without any capability, and set no_new_privs
 *   new-privs      with uid: do not set no_new_privs, so that set-user-ID programs work
 *   drop=N         give up this capability for good (its number, capability.h)
 *   block=N        block this signal          block-all   block everything that can be blocked
 *   ignore=N       ignore this signal         close=FD    close this descriptor
 *   nofile=N       RLIMIT_NOFILE              nproc=N     RLIMIT_NPROC
 *   cwd=PATH       working directory          terminal    standard input is the controlling terminal of a new session
 *   odd-env        the environment also has an entry without "=", and one name twice
 */
#include "program.h"
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <grp.h>
#include <signal.h>

static int report_fd = -1;

static void fail(const char *what)
{
    dprintf(report_fd >= 0 ? report_fd : 2, "error %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd == -1 || write(fd, text, strlen(text)) == -1)
        fail(path);
    close(fd);
}

static void user_namespace(void)
{
    char line[64];
    int uid = (int)geteuid(), gid = (int)getegid();
    if (unshare(CLONE_NEWUSER) == -1)
        fail("unshare(CLONE_NEWUSER)");
    put("/proc/self/setgroups", "deny");
    snprintf(line, sizeof line, "%d %d 1", uid, uid);
    put("/proc/self/uid_map", line);
    snprintf(line, sizeof line, "%d %d 1", gid, gid);
    put("/proc/self/gid_map", line);
}

static bool has(const char *option, const char *name, const char **value)
{
    size_t length = strlen(name);
    if (strncmp(option, name, length) != 0 || (option[length] != '=' && option[length] != 0))
        return false;
    *value = option[length] ? option + length + 1 : "";
    return true;
}

static void reveal(char **options)
{
    int fds[16], count = 0;
    char *closed[16], *folders[16], from[64];
    const char *value;
    for (; *options && strcmp(*options, "--") != 0; options++)
        if (has(*options, "reveal", &value) && count < 16) {
            closed[count] = strdup(value);
            folders[count] = strchr(closed[count], ':');
            *folders[count]++ = 0;
            if ((fds[count] = open(folders[count], O_PATH | O_CLOEXEC)) == -1)
                fail(folders[count]);
            count++;
        }
    for (int i = 0; i < count; i++) {
        bool again = false;
        for (int j = 0; j < i; j++)
            again = again || strcmp(closed[i], closed[j]) == 0;
        if (!again && mount("tmpfs", closed[i], "tmpfs", 0, "mode=755") == -1)
            fail(closed[i]);
    }
    for (int i = 0; i < count; i++) {
        for (char *slash = folders[i] + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
            *slash = 0;
            mkdir(folders[i], 0755);
        }
        mkdir(folders[i], 0755);
        snprintf(from, sizeof from, "/proc/self/fd/%d", fds[i]);
        if (mount(from, folders[i], NULL, MS_BIND | MS_REC, NULL) == -1)
            fail(folders[i]);
    }
}

/* Before Linux 6.14 the limit is one for the whole machine, and a write from a namespace would change that. */
static void limit_pids(const char *value)
{
    struct utsname kernel;
    int major = 0, minor = 0;
    uname(&kernel);
    sscanf(kernel.release, "%d.%d", &major, &minor);
    if (major < 6 || (major == 6 && minor < 14))
        _exit(77);
    put("/proc/sys/kernel/pid_max", value);
}

static void mount_fuse(const char *value)
{
    char options[128];
    const char *path = strchr(value, ':');
    int fd = atoi(value);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
    if (mount("pyinit-test", path + 1, "fuse", MS_NOSUID | MS_NODEV, options) == -1)
        fail("mount FUSE");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int main(int argc, char **argv)
{
    bool pid1 = false, userns = false, no_proc = false, no_dev = false, read_only = false, mounts = false;
    bool outer_proc = false, hidepid = false, new_privs = false;
    const char *value, *cwd = NULL, *pid_max = NULL, *fuse = NULL;
    int uid = -1, last = 1, go[2];
    char byte = 0;
    for (; last < argc && strcmp(argv[last], "--") != 0; last++) {
        if (has(argv[last], "report", &value))
            report_fd = atoi(value);
        else if (has(argv[last], "pid1", &value))
            pid1 = true;
        else if (has(argv[last], "userns", &value))
            userns = true;
        else if (has(argv[last], "no-proc", &value))
            no_proc = true;
        else if (has(argv[last], "no-dev", &value))
            no_dev = mounts = true;
        else if (has(argv[last], "outer-proc", &value))
            outer_proc = true;
        else if (has(argv[last], "hidepid", &value))
            hidepid = mounts = true;
        else if (has(argv[last], "pid_max", &value))
            pid_max = value;
        else if (has(argv[last], "fuse", &value)) {
            fuse = value;
            mounts = true;
        } else if (has(argv[last], "new-privs", &value))
            new_privs = true;
        else if (has(argv[last], "read-only", &value))
            read_only = true;
        else if (has(argv[last], "reveal", &value))
            mounts = true;
        else if (has(argv[last], "uid", &value))
            uid = atoi(value);
        else if (has(argv[last], "cwd", &value))
            cwd = value;
    }
    if (last + 1 >= argc)
        return 97;
    char **command = argv + last + 1;
    if (report_fd >= 0)
        fcntl(report_fd, F_SETFD, FD_CLOEXEC);

    if (userns)
        user_namespace();
    if (pid1 || no_proc || read_only || mounts) {
        if (unshare(CLONE_NEWNS | (pid1 ? CLONE_NEWPID : 0)) == -1)
            fail("unshare");
        if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
            fail("mount --make-rprivate /");
    }
    if (pid1) {
        if (pipe2(go, O_CLOEXEC) == -1)
            fail("pipe2");
        pid_t init = fork();
        if (init == -1)
            fail("fork");
        if (init > 0) {
            int status;
            /* nothing but the report is held open: the end of the run must be the end of its pipes */
            for (int fd = 0; fd < 1024; fd++)
                if (fd != report_fd && fd != go[1])
                    close(fd);
            sigset_t all;
            sigfillset(&all);
            sigprocmask(SIG_SETMASK, &all, NULL);
            dprintf(report_fd, "pid %d\n", init);
            ssize_t ignored = write(go[1], &byte, 1);
            (void)ignored;
            close(go[1]);
            while (waitpid(init, &status, 0) == -1 && errno == EINTR)
                ;
            dprintf(report_fd, "status %d\n", status);
            _exit(0);
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(go[1]);
        if (read(go[0], &byte, 1) != 1)
            fail("go");
        close(go[0]);
        if ((!no_proc || pid_max) && !outer_proc &&
            mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == -1)
            fail("mount /proc");
        if (pid_max)
            limit_pids(pid_max);
    } else if (report_fd >= 0) {
        dprintf(report_fd, "pid %d\n", getpid());
    }
    reveal(argv + 1);
    if (fuse)
        mount_fuse(fuse);
    if (hidepid && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2") == -1)
        fail("mount /proc with hidepid=2");
    if (no_proc && mount("tmpfs", "/proc", "tmpfs", MS_RDONLY, NULL) == -1)
        fail("hide /proc");
    if (no_dev && mount("tmpfs", "/dev", "tmpfs", MS_RDONLY, NULL) == -1)
        fail("hide /dev");
    if (read_only && mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == -1)
        fail("remount / read-only");
    if (cwd && chdir(cwd) == -1)
        fail(cwd);
    for (int i = 1; i < last; i++)
        if (has(argv[i], "nofile", &value)) {
            struct rlimit limit = {(rlim_t)atoi(value), (rlim_t)atoi(value)};
            setrlimit(RLIMIT_NOFILE, &limit);
        } else if (has(argv[i], "nproc", &value)) {
            struct rlimit limit = {(rlim_t)atoi(value), (rlim_t)atoi(value)};
            setrlimit(RLIMIT_NPROC, &limit);
        } else if (has(argv[i], "terminal", &value)) {
            setsid();
            if (ioctl(STDIN_FILENO, TIOCSCTTY, 0) == -1)
                fail("TIOCSCTTY");
        } else if (has(argv[i], "odd-env", &value)) {
            static char *odd[] = {"TWICE=1", "no equals sign", "TWICE=2", "=empty name", "PATH=/usr/bin:/bin", NULL};
            environ = odd;
        } else if (has(argv[i], "drop", &value)) {
            if (prctl(PR_CAPBSET_DROP, atoi(value), 0, 0, 0) == -1)
                fail("PR_CAPBSET_DROP");
        }
    if (uid >= 0) {
        if ((geteuid() == 0 && setgroups(0, NULL) == -1 && !userns) || setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) == -1)
            fail("setresgid");
        for (int capability = 0; capability < 64; capability++)
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
        if (setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) == -1)
            fail("setresuid");
        if (!new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
            fail("no_new_privs");
        if (pid1)
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user clears it */
    }

    /* the mask and the dispositions as asked for, without the C library's own ideas about signals 32 and 33 */
    unsigned long mask = 0;
    for (int number = 1; number <= 64; number++) {
        unsigned long action[4] = {(unsigned long)SIG_DFL};
        syscall(SYS_rt_sigaction, number, action, NULL, 8);
    }
    for (int i = 1; i < last; i++)
        if (has(argv[i], "block", &value))
            mask |= 1UL << (atoi(value) - 1);
        else if (has(argv[i], "block-all", &value))
            mask = ~0UL;
        else if (has(argv[i], "ignore", &value)) {
            unsigned long action[4] = {(unsigned long)SIG_IGN};
            syscall(SYS_rt_sigaction, atoi(value), action, NULL, 8);
        } else if (has(argv[i], "close", &value)) {
            close(atoi(value));
        }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
    execvp(command[0], command);
    fail(command[0]);
}

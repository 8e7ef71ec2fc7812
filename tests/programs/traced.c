/* traced sibling|hostage: a process in trace stop (ptrace(2)) with who traces it; both ignore every signal. "traced PID", "tracer PID",
 * then "ready PID".
 *
 *   sibling   the tracer and the traced one are children of this process
 *   hostage   the tracer is the child of the process that it traces, and holds it at its end too (PTRACE_O_TRACEEXIT): SIGKILL alone
 *             does not end it as long as its tracer lives
 */
#include "program.h"
#include <sys/ptrace.h>

static void trace(pid_t target)
{
    int status;
    if (ptrace(PTRACE_SEIZE, target, 0, PTRACE_O_TRACEEXIT) == -1 || ptrace(PTRACE_INTERRUPT, target, 0, 0) == -1)
        die("ptrace");
    if (waitpid(target, &status, __WALL) != target || !WIFSTOPPED(status))
        die("trace stop");
    say("traced %d", target);
    say("tracer %d", getpid());
}

int main(int argc, char **argv)
{
    bool hostage = argc > 1 && strcmp(argv[1], "hostage") == 0;
    live();
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    pid_t target = hostage ? getpid() : spawn();
    if (target == 0) {
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
        setsid();
        for (;;)
            pause();
    }
    pid_t first = getpid();
    if (spawn() == 0) {
        setsid();
        trace(target);
        say("ready %d", first);
    }
    for (;;)
        pause();
}

/* crowd COUNT SESSIONS [term]: COUNT processes in SESSIONS sessions; each session is led by an orphan, and the others in it are the
 * leader's children. They ignore every signal, or end at SIGTERM with "term". Says "ready PID" when all are there. */
#include "program.h"

int main(int argc, char **argv)
{
    if (argc < 3)
        return 97;
    int sessions = atoi(argv[2]), members = atoi(argv[1]) / sessions - 1;
    bool obey = argc > 3;
    char byte;
    int there[2];
    live();
    if (pipe2(there, O_CLOEXEC) == -1)
        die("pipe2");
    for (int number = 1; !obey && number <= SIGRTMAX; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
    for (int i = 0; i < sessions; i++) {
        pid_t middle = spawn();
        if (middle == -1)
            die("fork");
        if (middle == 0) {
            setsid();
            pid_t leader = spawn();
            if (leader == -1)
                die("fork");
            if (leader > 0)
                _exit(0);
            setsid();
            for (int j = 0; j < members; j++) {
                pid_t member = spawn();
                if (member == -1)
                    die("fork");
                if (member == 0)
                    break;
            }
            ssize_t ignored = write(there[1], &byte, 1);
            (void)ignored;
            for (;;)
                pause();
        }
        waitpid(middle, NULL, 0);
    }
    for (int i = 0; i < sessions * (members + 1); i++)
        if (read(there[0], &byte, 1) != 1)
            die("read");
    say("ready %d", getpid());
    for (;;)
        pause();
}

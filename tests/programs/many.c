/* many N [term]: N children, each in a session of its own, that ignore every signal (or end at SIGTERM with "term"); says "ready PID". */
#include "program.h"

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 100;
    bool obey = argc > 2;
    live();
    for (int number = 1; !obey && number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
    for (int i = 0; i < count; i++) {
        pid_t child = spawn();
        if (child == -1)
            die("fork");
        if (child == 0) {
            setsid();
            for (;;)
                pause();
        }
    }
    say("ready %d", getpid());
    for (;;)
        pause();
}

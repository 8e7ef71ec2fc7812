/* storm N [MS]: N double-forked orphans, each ends with a status of its own (its number modulo 251); every orphan leaves its PID and
 * status with the witness. Orphans live MS milliseconds. Says "ready PID" when all have been started; exits 0 when standard input ends. */
#include "program.h"

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 100;
    long ms = argc > 2 ? atol(argv[2]) : 0;
    char byte;
    live();
    for (int i = 0; i < count; i++) {
        pid_t middle = spawn();
        if (middle == -1)
            die("fork");
        if (middle == 0) {
            setsid();
            pid_t old = getpid();
            pid_t orphan = spawn();
            if (orphan == -1)
                die("fork");
            if (orphan == 0) {
                wait_for_new_parent(old);
                nap_ms(ms);
                finish(i % 251);
            }
            _exit(0);
        }
        waitpid(middle, NULL, 0);
    }
    say("ready %d", getpid());
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    finish(0);
}

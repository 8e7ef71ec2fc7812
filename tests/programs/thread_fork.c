/* thread_fork COMMAND...: a thread, not the main thread, forks the daemon; its children hang off that thread in /proc. Exits 0 while the
 * daemon lives. */
#include "program.h"
#include <pthread.h>

static char **command;

static void *starter(void *unused)
{
    (void)unused;
    if (spawn() == 0) {
        setsid();
        run(command);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc < 2)
        return 97;
    command = argv + 1;
    live();
    if (pthread_create(&thread, NULL, starter, NULL) != 0)
        die("pthread_create");
    pthread_join(thread, NULL);
    finish(0);
}

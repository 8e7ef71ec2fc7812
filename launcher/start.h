/* Starts main, as pyinit.spawn does it where no option says anything about main. */
#ifndef START_H
#define START_H

#include <sys/types.h>

/* What pyinit was started with and main gets back (bit N-1 for signal N), and what it must not get. */
struct inherited {
    unsigned long long mask, ignored;
    int signals; /* the descriptor that signals are read from */
};

/* Main is running, its PID is this. */
struct started {
    pid_t pid;        /* 0 where it could not be started: nothing has been, and the interpreter finds out why */
    long long at_ns;  /* when (CLOCK_MONOTONIC) */
    long long oom_kills; /* the OOM kills that our control group had seen before; -1: it does not tell */
    char filter[24];  /* the core dump filter before main got a mark in it, in hexadecimal; "-" where there is no mark */
};

/* Become what orphans come to, and execute the command in a session of its own. */
struct started start_main(char **command, char **environment, const struct inherited *inherited);

/* End main and all that it has left us, where nobody would hold them. */
void end_all(pid_t main_pid);

#endif

/* Which starts are plain: main can be started before the interpreter, because that would have nothing to say about it. */
#ifndef PLAIN_H
#define PLAIN_H

/*
 * Where the command begins in a command line that pyinit is sure to accept and that says nothing about main's start;
 * 0 for every other one, right or wrong: the interpreter reads it before anything is started.
 */
int plain_command(int argc, char **argv);

/* Whether no variable asks for anything, so that main gets this environment as it is. */
int plain_environment(char **environment);

/* Whether these are far from being too much for an exec (E2BIG): the interpreter gets somewhat more than main. */
int plain_size(char **argv, char **environment);

/* Whether nothing here has to be looked at first: no terminal, no children, enough memory. */
int plain_place(void);

#endif

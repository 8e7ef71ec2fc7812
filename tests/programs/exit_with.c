/* exit_with STATUS [MS]: exits with STATUS, after MS milliseconds. */
#include "program.h"

int main(int argc, char **argv)
{
    live();
    if (argc > 2)
        nap_ms(atol(argv[2]));
    finish(argc > 1 ? atoi(argv[1]) : 0);
}

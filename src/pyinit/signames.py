"""Names and numbers of signals, without the cost of the standard library's enum.

The numbers are those of signal(7) for x86, ARM, RISC-V, POWER and s390. The real-time signals are
counted as glibc counts them: it keeps 32 and 33 for itself, so that SIGRTMIN is 34.
"""

RTMIN = 34
RTMAX = 64

# The place in the line is the number; 32 and 33 have no name anywhere.
# fmt: off
_BY_NUMBER = (
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL",
    "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP",
    "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS", "32", "33",
)
# fmt: on

_NO_SIGNAL = "not a signal; write a name such as TERM, SIGQUIT or RTMIN+3, or a number from 1 to 64"

NUMBERS = {short: number for number, short in enumerate(_BY_NUMBER) if number}
NUMBERS.update(IOT=6, CLD=17, POLL=29, UNUSED=31, RTMIN=RTMIN, RTMAX=RTMAX)


def name(number: int) -> str:
    """Return the full name of a signal: `SIGTERM`, `SIGRTMIN+3`; `SIG99` for what is no signal."""
    if 0 < number < RTMIN:
        return "SIG" + _BY_NUMBER[number]
    if number == RTMIN:
        return "SIGRTMIN"
    if RTMIN < number < RTMAX:
        return f"SIGRTMIN+{number - RTMIN}"
    if number == RTMAX:
        return "SIGRTMAX"
    return f"SIG{number}"


def number(text: str) -> int:
    """Return the number of the signal that `text` names, in upper or lower case.

    Known are `TERM`, `SIGTERM`, `RTMIN+3`, `RTMAX-1` and decimal numbers from 1 to 64, which are
    taken as they are. Raises ValueError, with a text for people, for anything else.
    """
    digits_max = 2  # longer ones need not reach int()
    if not text.isascii():
        raise ValueError(_NO_SIGNAL)
    if text.isdigit() and len(text) <= digits_max and 1 <= int(text) <= RTMAX:
        return int(text)
    short = text.upper().removeprefix("SIG")
    if short in NUMBERS:
        return NUMBERS[short]
    base, sign, offset = short[:5], short[5:6], short[6:]
    if offset.isdigit() and len(offset) <= digits_max:
        if base == "RTMIN" and sign == "+" and RTMIN + int(offset) <= RTMAX:
            return RTMIN + int(offset)
        if base == "RTMAX" and sign == "-" and RTMAX - int(offset) >= RTMIN:
            return RTMAX - int(offset)
    raise ValueError(_NO_SIGNAL)

"""The status as text for people: what the run is at, and the tree of its processes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]

_BOLD, _DIM, _RED, _GREEN, _YELLOW, _CYAN = "1", "2", "31", "32", "33", "36"
_LEFT = 10
_NAME_MAX = 12
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KIB = 1024
_READINESS = {"yes": "ready", "no": "not ready yet", "unknown": ""}
# How a process has escaped, said of it.
_WAYS = {"adopted": "adopted", "group": "own group", "session": "own session"}


def text(told: dict[str, Any], *, colours: bool, width: int) -> str:
    """Return a status, as the control socket tells it; lines have at most `width` columns, 0: as many as they need."""
    paint = _Paint(on=colours)
    lines = [*_head(told, paint), "", *_tree(told, paint)]
    return "".join(paint.fit(line, width) + "\n" for line in lines)


class _Paint:
    """Puts colours around words, or not."""

    def __init__(self, *, on: bool) -> None:
        self._on = on

    def __call__(self, words: str, *codes: str) -> str:
        return f"\033[{';'.join(codes)}m{words}\033[0m" if self._on and words else words

    def fit(self, line: str, width: int) -> str:
        """Cut a line that has more columns than there are; what steers the terminal takes none."""
        if not width:
            return line
        shown, left, at = [], width, 0
        while at < len(line):
            if line[at] == "\033":
                end = line.index("m", at) + 1
                shown.append(line[at:end])
                at = end
                continue
            if left:
                shown.append(line[at])
                left -= 1
            at += 1
        return "".join(shown)


def _head(told: dict[str, Any], paint: _Paint) -> list[str]:
    own, main = told["pyinit"], told["main"]
    colour = _GREEN if told["ready"] else _YELLOW if told["live"] else _RED
    state = [paint(told["phase"], _BOLD, colour)]
    if told["phase"] in {"running", "holding"} and _READINESS[told["readiness"]]:
        state.append(_READINESS[told["readiness"]])
    if "kill_in_s" in told:
        state.append(f"SIGKILL in {duration(told['kill_in_s'])}")
    if "restart_in_s" in told:
        state.append(f"main is started again in {duration(told['restart_in_s'])}")
    lines = [f"{paint('●', colour)} {', '.join(state)}, for {duration(told['since_s'])} (since {told['since']})"]

    def row(left: str, right: str) -> None:
        lines.append(f"{paint(left.rjust(_LEFT), _DIM)}  {right}")

    row("service", paint(_service(told), _BOLD))
    if told.get("status"):
        row("says", f'"{printable(told["status"])}"')
    if main is not None:
        ended = "" if main["alive"] else f", has ended with status {main.get('exit_status', '?')}"
        row("main", _name(main) + ended)
    counts = told["counts"]
    memory = size(own["memory_bytes"]) if "memory_bytes" in own else "?"
    row(
        "pyinit",
        f"{own['version']} as PID {own['pid']}, up {duration(own['uptime_s'])}, {memory}, until {own['until']}, "
        f"grace {duration(own['grace_s'])}, log level {own['log_level']}",
    )
    row(
        "counts",
        f"{counts['adopted']} adopted, {counts['reaped']} reaped, {counts['forwarded']} signals forwarded, "
        f"{told['restarts']} restarts, {counts['dropped_records']} log records dropped",
    )
    if "incomplete" in told:
        row("incomplete", paint(_incomplete(told["incomplete"]), _RED))
    return lines


def _incomplete(left_out: dict[str, Any]) -> str:
    count, reason = left_out["unread"], printable(left_out["reason"])
    if not count:
        return f"processes may be missing: {reason}"
    return f"{count} {'process' if count == 1 else 'processes'} could not be read: {reason}"


def _service(told: dict[str, Any]) -> str:
    if told["service"] is not None:
        return _name(told["service"])
    named = [_name(process) for process in told["successors"]]
    more = told["successor_count"] - len(named)
    return ", ".join(named + ([f"and {more} more"] if more > 0 else [])) or "nobody"


def _name(process: Row) -> str:
    return f"{printable(process['name'])}[{process['pid']}]"


# -- the tree ----------------------------------------------------------------------------------------------------------


def _tree(told: dict[str, Any], paint: _Paint) -> list[str]:
    rows = told["processes"]
    if not rows:
        return ["No process could be read." if "incomplete" in told else "No process is left."]
    users = _Users()
    cells = [
        (
            str(row["pid"]),
            users.name(row.get("uid")),
            row["state"],
            duration(row["age_s"]) if "age_s" in row else "?",
            duration(row["cpu_s"]) if "cpu_s" in row else "?",
            size(row["memory_bytes"]) if "memory_bytes" in row else "?",
            str(row["sid"]),
        )
        for row in rows
    ]
    titles = ("PID", "USER", "S", "AGE", "CPU", "MEMORY", "SESSION")
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    lines = [paint("  ".join([*_aligned(titles, widths), "PROCESS"]), _BOLD)]
    for row, cell, branch in zip(rows, cells, branches(rows), strict=True):
        role = row["role"]
        about = [paint(role, _CYAN)] if role != "descendant" else []
        if row["escaped"]:
            about.append(paint(", ".join(_WAYS[way] for way in row["escaped"]), _DIM))
        name = printable(row["name"])
        if row["state"] == "Z":
            name = paint(f"{name} (ended)", _RED)
        lines.append("  ".join([*_aligned(cell, widths), paint(branch, _DIM) + "  ".join([name, *about])]))
    return lines


def _aligned(cell: tuple[str, ...], widths: list[int]) -> list[str]:
    """Align numbers to the right, words to the left."""
    words = (1, 2)
    return [
        value.ljust(width) if at in words else value.rjust(width)
        for at, (value, width) in enumerate(zip(cell, widths, strict=True))
    ]


def branches(rows: list[Row]) -> list[str]:
    """Return what is drawn before the name of each process; the rows come depth first, parents first."""
    here = {row["pid"] for row in rows}
    last: dict[int, int] = {}
    for at, row in enumerate(rows):
        last[row["ppid"]] = at
    drawn: list[str] = []
    under: dict[int, str] = {}  # what is drawn below each process
    for at, row in enumerate(rows):
        parent = row["ppid"]
        if parent not in here or parent not in under:
            drawn.append("")
            under[row["pid"]] = ""
            continue
        final = last[parent] == at
        drawn.append(under[parent] + ("└─ " if final else "├─ "))
        under[row["pid"]] = under[parent] + ("   " if final else "│  ")
    return drawn


class _Users:
    """Names of users, each looked up once; the number where there is none."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def name(self, uid: int | None) -> str:
        if uid is None:
            return "?"
        if uid not in self._names:
            import pwd

            try:
                name = printable(pwd.getpwuid(uid).pw_name)
            except KeyError:
                name = str(uid)
            self._names[uid] = name if len(name) <= _NAME_MAX else name[: _NAME_MAX - 1] + "+"
        return self._names[uid]


# -- words -------------------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Return a duration as a person would say it: `0.25 s`, `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`."""
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    large, unit, small, name = (_HOUR, "h", _MINUTE, "min") if whole < _DAY else (_DAY, "d", _HOUR, "h")
    rest = whole % large // small
    return f"{whole // large} {unit}" + (f" {rest} {name}" if rest else "")


def size(count: int) -> str:
    """Return a number of bytes as a person would say it: `512 B`, `3.4 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _KIB or unit == "GiB":
            break
        value /= _KIB
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"  # noqa: PLR2004


def printable(words: str) -> str:
    """Return text with everything escaped that could steer a terminal: a process may be called anything."""
    if words.isprintable():
        return words
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in words)

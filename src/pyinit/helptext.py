"""The layout of --help and --help-all; the texts are in `pyinit.usage`."""

from pyinit import options, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LEFT = 25
_STATUS_LEFT = 9
_COLUMNS_MIN = 60
_COLUMNS_MAX = 100


def help_text(
    columns: int = 80,
    *,
    colour: bool = False,
    everything: bool = False,
    table: "Sequence[options.Option]" = options.OPTIONS,
) -> str:
    """Return the text of --help, or of --help-all where `everything` is asked for, with its last newline.

    Lines are wrapped at 60 to 100 columns, by the `columns` of the terminal; `colour` makes headings bold with escape
    sequences.
    """
    layout = _Layout(min(max(columns, _COLUMNS_MIN), _COLUMNS_MAX), colour=colour)
    lines = layout.lines
    lines.append("Usage: pyinit [OPTIONS] [--] COMMAND [ARG...]")
    layout.paragraph(usage.SUMMARY, "")
    for group, title in usage.GROUPS.items():
        shown = [option for option in table if option.group == group and (everything or option.name in usage.EVERYDAY)]
        if shown:
            layout.heading(title)
        for option in shown:
            if option.name in usage.TEXTS:
                default = f" [{option.default}]" if option.default and option.takes_value else ""
                layout.row(usage.invocation(option), usage.TEXTS[option.name] + default, _LEFT)
    layout.row("   ".join([usage.invocation(option) for option in _about_itself(table)]), "show it and leave", _LEFT)
    if not everything:
        layout.heading("More (told by --help-all)")
        told = usage.TEXTS.keys() - usage.EVERYDAY
        more = [option for option in table if option.group in usage.GROUPS and option.name in told]
        layout.paragraph(" ".join([f"--{usage.long_name(option)}" for option in more]))
    layout.heading("Variables")
    layout.paragraph(usage.VARIABLES_TEXT)
    layout.heading("Exit status")
    for status, text in usage.EXIT_STATUSES:
        layout.row(status, text, _STATUS_LEFT)
    return "\n".join(lines) + "\n"


def _about_itself(table: "Sequence[options.Option]") -> "list[options.Option]":
    """Return the options that need no text of their own: --help, --version, --licence."""
    return [option for option in table if option.group == "about" and option.name not in usage.TEXTS]


class _Layout:
    """Lines of text of a width in columns, as they are put together."""

    def __init__(self, width: int, *, colour: bool) -> None:
        import textwrap  # suggestions do without

        self.lines: list[str] = []
        self._width = width
        self._colour = colour
        self._wrap = textwrap.wrap

    def heading(self, title: str) -> None:
        self.lines += ["", f"\033[1m{title}\033[0m" if self._colour else title]

    def paragraph(self, text: str, indent: str = "  ") -> None:
        self.lines += self._wrap(
            text, self._width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )

    def row(self, left: str, right: str, left_width: int) -> None:
        first = f"  {left}  ".ljust(left_width)
        left_out, indent = " " * len(first), " " * left_width
        lines = self._wrap(
            right, self._width, initial_indent=left_out, subsequent_indent=indent, break_on_hyphens=False
        )
        self.lines += [first + lines[0][len(first) :], *lines[1:]]

"""Writes the man page and the completions of shells into a folder, as they lie below share/ of an installation.

    python -IB documents.py FOLDER

The build of the wheel runs this, and it needs nothing but the sources beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANUAL = "share/man/man1/pyinit.1"
BASH = "share/bash-completion/completions/pyinit"
ZSH = "share/zsh/site-functions/_pyinit"
FISH = "share/fish/vendor_completions.d/pyinit.fish"


def documents() -> dict[str, str]:
    """Return the text of each document by its place in an installation."""
    import completions
    import manual

    from pyinit import __version__
    from pyinit.option_table import OPTIONS

    return {
        MANUAL: manual.page(OPTIONS, __version__),
        BASH: completions.bash(OPTIONS),
        ZSH: completions.zsh(OPTIONS),
        FISH: completions.fish(OPTIONS),
    }


def main() -> None:
    """Write them below the folder that is named on the command line."""
    sys.path[:0] = [str(HERE), str(HERE.parent / "src")]
    for place, text in documents().items():
        file = Path(sys.argv[1], place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

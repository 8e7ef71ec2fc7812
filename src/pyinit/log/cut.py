"""Makes a record fit that is too long, and free of what JSON can't say; both visibly."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Keys = dict[str, Any]

# What a text that was cut ends in.
CUT = "..."

_PLAIN = range(0x20, 0x7F)
_BMP_END = 0x10000
_SHORT_ESCAPES = frozenset('"\\\b\f\n\r\t')


def cut(record: Keys, budget: int) -> Keys:
    r"""Return a copy of the record in which each text takes at most `budget` bytes of ASCII JSON.

    A longer text ends in `...`. Lone surrogates, which stand for bytes that are no UTF-8 and which JSON has no way
    to say, become `\xff` and the like.
    """
    result: Keys = {}
    for key, value in record.items():
        if isinstance(value, str):
            result[key] = _cut_text(value, budget)
        elif isinstance(value, (list, tuple)):
            result[key] = [_cut_text(item, budget) if isinstance(item, str) else item for item in value]
        else:
            result[key] = value
    return result


def _cut_text(text: str, budget: int) -> str:
    shown: list[str] = []
    size = kept = 0
    for char in text:
        code = ord(char)
        if code in _PLAIN and char not in _SHORT_ESCAPES:
            cost = 1
        elif char in _SHORT_ESCAPES:
            cost = 2
        elif code >= _BMP_END:
            cost = 12
        else:
            cost = 6
            if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004  (surrogateescape of PEP 383)
                char, cost = f"\\x{code - 0xDC00:02x}", 5  # noqa: PLW2901
            elif 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004
                char = "\ufffd"  # noqa: PLW2901
        size += cost
        if size > budget:
            return "".join(shown[:kept]) + CUT
        shown.append(char)
        if size <= budget - len(CUT):
            kept = len(shown)
    return "".join(shown)

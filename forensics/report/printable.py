"""The only door between text from a capture and a terminal."""

from __future__ import annotations

from typing import Final

_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | {
    chr(code) for block in (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)) for code in block
}
"""Letters and marks that draw nothing: names that differ in them would look alike."""


def printable(text: str) -> str:
    r"""``text`` with everything that could steer a terminal or hide from a reader written out as an escape.

    Control characters (C0, DEL, C1), bidirectional overrides and isolates, zero-width and other format
    characters, line separators, private and unassigned code points and lone surrogates become ``\xNN``,
    ``\uNNNN`` or ``\UNNNNNNNN``. The result is one line. Letters of any script stay as they are.
    """
    if text.isprintable() and (text.isascii() or _FILLERS.isdisjoint(text)):
        return text
    return "".join(
        char if char.isprintable() and char not in _FILLERS else _escape(ord(char)) for char in text
    )


def clipped(text: str, length: int) -> str:
    """``printable(text)`` cut to ``length`` characters, ending in ``...`` where something is missing."""
    # No need to escape megabytes of which only the start is shown.
    safe = printable(text[: length + 1])
    return safe if len(safe) <= length else safe[: length - 3] + "..."


def _escape(code: int) -> str:
    if code <= 0xFF:  # noqa: PLR2004 - two hex digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four hex digits

"""Turns bytes of a capture into text that is safe to print, compare and store."""

from __future__ import annotations

from typing import Final

MAX_TEXT: Final = 255

_PRINTABLE: Final = frozenset(range(0x21, 0x7F)) - {0x5C}
# Each byte as it is shown. Backslash and space are escaped too: the first so that an escape cannot be forged
# by the bytes "\x41", the second so that texts can be joined by spaces and told apart again.
_SHOWN: Final = tuple(chr(byte) if byte in _PRINTABLE else f"\\x{byte:02x}" for byte in range(256))


def printable(data: bytes, limit: int = MAX_TEXT) -> str:
    r"""The bytes as printable ASCII without spaces; every other byte (and ``\``) as ``\xNN``.

    At most ``limit`` characters; a longer text is cut between two bytes, never inside an escape.
    """
    if len(data) <= limit:
        text = data.decode("latin-1")
        if text.isascii() and text.isprintable() and " " not in text and "\\" not in text:
            return text
    pieces: list[str] = []
    room = limit
    for byte in data[:limit]:
        shown = _SHOWN[byte]
        room -= len(shown)
        if room < 0:
            break
        pieces.append(shown)
    return "".join(pieces)

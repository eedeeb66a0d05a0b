"""Changes to a valid input, each described by three small numbers so that hypothesis can shrink them."""

from __future__ import annotations

import struct

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 15, 16, 63, 64, 127, 128, 255)
KINDS = 9

Change = tuple[int, int, int]
"""Kind, place, value; each is taken modulo what makes sense."""


def changed(raw: bytes, changes: list[Change]) -> bytes:
    """``raw`` after all changes."""
    for change in changes:
        raw = one_change(raw, *change)
    return raw


def one_change(raw: bytes, kind: int, place: int, value: int) -> bytes:  # noqa: PLR0911 - one answer a kind
    """``raw`` after one change; empty input can only grow."""
    kind %= KINDS
    at = place % (len(raw) + 1)
    if kind == 0:  # a byte
        return raw[:at] + bytes([value & 255]) + raw[at + 1 :]
    if kind == 1:  # a bit
        byte = raw[at] if at < len(raw) else 0
        return raw[:at] + bytes([byte ^ 1 << value % 8]) + raw[at + 1 :]
    if kind == 2:  # cut off
        return raw[:at]
    if kind == 3:  # taken out
        return raw[:at] + raw[at + 1 + value % 32 :]
    if kind == 4:  # put in
        return raw[:at] + bytes([INTERESTING[value % len(INTERESTING)]]) * (1 + value % 9) + raw[at:]
    if kind == 5:  # a 16-bit number
        return raw[:at] + struct.pack(">H" if value & 1 else "<H", (value - 8) & 0xFFFF) + raw[at + 2 :]
    if kind == 6:  # a 32-bit number, often near the limits
        number = (value - 8) & 0xFFFFFFFF if value & 2 else 1 << value % 32
        return raw[:at] + struct.pack(">I" if value & 1 else "<I", number & 0xFFFFFFFF) + raw[at + 4 :]
    if kind == 7:  # a piece once more
        size = 1 + value % 64
        return raw[:at] + raw[at : at + size] * (1 + value % 4) + raw[at:]
    return raw[:at] + bytes([INTERESTING[value % len(INTERESTING)]]) + raw[at + 1 :]

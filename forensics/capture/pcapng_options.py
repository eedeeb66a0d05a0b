"""Options of pcapng blocks (draft-ietf-opsawg-pcapng, 3.5): a list for the few, array code for those of packets.

What breaks an option list, and with it the file from that block on, is what Wireshark 4.0 refuses; lengths that it
shrugs at are ignored here as well.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.gather import gather_rows

if TYPE_CHECKING:
    import numpy.typing as npt

COMMENT: Final = 1
LONGEST_TEXT: Final = 1000
"""Characters of a text of the capture that are kept."""

_CUSTOM: Final = frozenset({2988, 2989, 19372, 19373})
_PACKET_LENGTHS: Final = {2: 4, 4: 8, 5: 8, 6: 4}
"""epb_flags, epb_dropcount, epb_packetid, epb_queue have one length only."""
_FLAGS, _DROPCOUNT, _VERDICT = 2, 4, 7
_FEW: Final = 16
"""Packets for which array code costs more than it saves."""
_ROUNDS: Final = 6
"""Options of a packet that array code reads; packets with more of them are rare."""
_UID_WIDTH: Final = 16
_UID_LONGEST: Final = 13  # "u-" and the digits of a 32-bit number with its sign
_UID_MAX: Final = 2**31 - 1
_UID_COMMENT: Final = re.compile(rb"u-(-?)([0-9]{1,11})")


class DamageError(Exception):
    """What is wrong with the block at hand, or with the one that begins at ``position``."""

    def __init__(self, words: str, position: int | None = None) -> None:
        super().__init__(words)
        self.position = position


def text_of(value: bytes, longest: int = LONGEST_TEXT) -> str:
    """UTF-8 up to the first NUL, at most ``longest`` characters. Hostile text: escape it before printing."""
    return value[: 4 * longest].split(b"\0", 1)[0].decode("utf-8", errors="replace")[:longest]


def read_options(block: memoryview, order: str, start: int, end: int) -> list[tuple[int, bytes]]:
    """(code, value) of the options in ``block[start:end]``; raises DamageError where one does not fit."""
    found: list[tuple[int, bytes]] = []
    position = start
    head = struct.Struct(order + "HH")
    while position < end:
        code, length = _measure(block, head, position, end)
        if code == 0:
            break
        position += 4
        found.append((code, bytes(block[position : position + length])))
        position += length + 3 & ~3
    return found


def _measure(block: memoryview, head: struct.Struct, position: int, end: int) -> tuple[int, int]:
    if position + 4 > end:
        raise DamageError("option that is cut short")
    code, length = head.unpack_from(block, position)
    if position + 4 + (length + 3 & ~3) > end:
        raise DamageError(f"option of {length} bytes that does not fit its block")
    if code in _CUSTOM and length < 4:  # noqa: PLR2004 - a private enterprise number
        raise DamageError(f"custom option of {length} bytes, too short for its number,")
    return code, length


def _check_packet_option(code: int, length: int) -> None:
    if _PACKET_LENGTHS.get(code, length) != length or (code == _VERDICT and not length):
        raise DamageError(f"packet option {code} of impossible length {length}")


class PacketOptions:
    """What the options of some packets say, all of one byte order; read when made.

    ``start`` and ``end`` are where the options of each packet begin and end in ``data``.
    """

    def __init__(
        self,
        data: npt.NDArray[np.uint8],
        start: npt.NDArray[np.int64],
        end: npt.NDArray[np.int64],
        order: str,
    ) -> None:
        count = len(start)
        self.direction = np.zeros(count, dtype=np.int8)
        """0 unknown, 1 inbound, 2 outbound."""
        self.uid = np.full(count, -1, dtype=np.int32)
        """UID by a comment ``u-<uid>``; -1 without one."""
        self.lost = np.zeros(count, dtype=np.uint64)
        """epb_dropcount: packets lost between this and the one before of the same interface."""
        self.counts_losses = np.zeros(count, dtype=np.bool_)
        """Whether the packet carries it."""
        self.commented = np.zeros(count, dtype=np.bool_)
        """Carries a comment that is no UID."""
        self.bad = count
        """First packet whose options are damaged; what is said of it and of those after it means nothing."""
        self.damage = ""
        self._data, self._order = data, order
        self._flagged = np.zeros(count, dtype=np.bool_)
        self._texts: list[tuple[Any, ...]] = []  # row, start and end of comments: arrays or lists
        if count <= _FEW:
            for row, at, limit in zip(range(count), start.tolist(), end.tolist(), strict=True):
                self._walk(row, at, limit)
        else:
            self._sweep(start, end)

    def comments(self, most: int) -> dict[int, str]:
        """Comments of the first ``most`` packets that have one, by packet; several of one on lines of their own."""
        wanted = np.flatnonzero(self.commented[: self.bad])[:most]
        if not len(wanted):
            return {}
        row, start, end = (np.concatenate(part).astype(np.int64) for part in zip(*self._texts, strict=True))
        chosen = np.flatnonzero(row <= wanted[-1])
        chosen = chosen[np.lexsort((start[chosen], row[chosen]))]
        found: dict[int, str] = {}
        for key, first, last in zip(
            row[chosen].tolist(), start[chosen].tolist(), end[chosen].tolist(), strict=True
        ):
            before = found.get(key)
            if before is not None and len(before) >= LONGEST_TEXT:
                continue
            words = text_of(self._data[first:last].tobytes())
            found[key] = (words if before is None else f"{before}\n{words}")[:LONGEST_TEXT]
        return found

    def _sweep(self, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> None:
        """One option of every packet at a time."""
        row = np.flatnonzero(start < end)
        at, limit = start[row], end[row]
        worst = len(start)
        for _ in range(_ROUNDS):
            if not len(row):
                break
            head = gather_rows(self._data, at, 4).view(self._order + "u2")
            code, length = head[:, 0], head[:, 1].astype(np.int64)
            after = at + 4 + (length + 3 & ~3)
            wrong = after > limit  # the areas are whole words: a header always fits
            for kind, right in _PACKET_LENGTHS.items():
                wrong |= (code == kind) & (length != right)
            wrong |= (code == _VERDICT) & (length == 0)
            wrong |= (length < 4) & np.isin(code, list(_CUSTOM))  # noqa: PLR2004 - a private enterprise number
            if wrong.any():
                worst = min(worst, int(row[wrong][0]))
            going = ~wrong & (code != 0)
            row, at, limit, after, code, length = (
                values[going] for values in (row, at, limit, after, code, length)
            )
            self._take(row, at + 4, code, length)
            going = after < limit
            row, at, limit = row[going], after[going], limit[going]
        self.bad = worst
        for this, position, stop in zip(row.tolist(), at.tolist(), limit.tolist(), strict=True):
            if this < self.bad:
                self._walk(this, position, stop)
        if worst == self.bad < len(start):
            self._walk(worst, int(start[worst]), int(end[worst]))  # once more, for the words

    def _take(
        self,
        row: npt.NDArray[np.int64],
        at: npt.NDArray[np.int64],
        code: npt.NDArray[Any],
        length: npt.NDArray[np.int64],
    ) -> None:
        # Of an option that may stand once only, the first counts.
        flags = (code == _FLAGS) & ~self._flagged[row]
        if flags.any():
            word = gather_rows(self._data, at[flags], 4).view(self._order + "u4")[:, 0]
            self.direction[row[flags]] = (word & 3) % 3
            self._flagged[row[flags]] = True
        drops = (code == _DROPCOUNT) & ~self.counts_losses[row]
        if drops.any():
            self.lost[row[drops]] = gather_rows(self._data, at[drops], 8).view(self._order + "u8")[:, 0]
            self.counts_losses[row[drops]] = True
        noted = np.flatnonzero(code == COMMENT)
        if len(noted):
            row, at, length = row[noted], at[noted], length[noted]
            uid, is_uid = self._uids(at, length)
            mine = row[is_uid]
            self.uid[mine] = np.where(self.uid[mine] < 0, uid[is_uid], self.uid[mine])
            row, at, length = row[~is_uid], at[~is_uid], length[~is_uid]
            self.commented[row] = True
            self._texts.append((row, at, at + length))

    def _uids(
        self, at: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """UID of every comment that PCAPdroid wrote, and which are such."""
        letters = gather_rows(self._data, at, _UID_WIDTH)
        minus = letters[:, 2] == ord("-")
        digits = length - 2 - minus
        fits = (letters[:, 0] == ord("u")) & (letters[:, 1] == ord("-")) & (digits > 0)
        fits &= length <= _UID_LONGEST
        value = np.zeros(len(at), dtype=np.int64)
        for place in range(2, _UID_LONGEST):
            mine = (place < length) & ~(minus & (place == 2))  # noqa: PLR2004 - where the sign stands
            digit = letters[:, place].astype(np.int64) - ord("0")
            fits &= ~mine | ((digit >= 0) & (digit <= 9))  # noqa: PLR2004
            value = np.where(mine, value * 10 + digit, value)
        fits &= value <= _UID_MAX
        return np.where(minus, -1, value), fits

    def _walk(self, row: int, position: int, end: int) -> None:
        """All options of one packet from ``position`` on."""
        if row > self.bad:
            return
        view = self._data.data
        head = struct.Struct(self._order + "HH")
        starts: list[int] = []
        ends: list[int] = []
        try:
            while position < end:
                code, length = _measure(view, head, position, end)
                if code == 0:
                    break
                _check_packet_option(code, length)
                position += 4
                if code == COMMENT:
                    if not self._is_uid(row, bytes(view[position : position + min(length, _UID_WIDTH)])):
                        self.commented[row] = True
                        if len(starts) < LONGEST_TEXT:  # more lines than this show nowhere
                            starts.append(position)
                            ends.append(position + length)
                elif code == _FLAGS and not self._flagged[row]:
                    self._flagged[row] = True
                    self.direction[row] = struct.unpack_from(self._order + "I", view, position)[0] % 4 % 3
                elif code == _DROPCOUNT and not self.counts_losses[row]:
                    self.counts_losses[row] = True
                    (self.lost[row],) = struct.unpack_from(self._order + "Q", view, position)
                position += length + 3 & ~3
        except DamageError as error:
            self.bad, self.damage = row, str(error)
        self._texts.append(([row] * len(starts), starts, ends))

    def _is_uid(self, row: int, comment: bytes) -> bool:
        found = _UID_COMMENT.fullmatch(comment) if len(comment) <= _UID_LONGEST else None
        if found is None or (value := int(found[2])) > _UID_MAX:
            return False
        if self.uid[row] < 0 and not found[1]:
            self.uid[row] = value
        return True

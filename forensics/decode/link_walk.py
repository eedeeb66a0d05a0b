"""Headers below IP taken off one after the other, for many frames at once.

A reader is given the frames that stand before one kind of header, and hands each of them on exactly once: to the
reader of the next header, to IP, or to a count.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.link_types import BY_ETHERTYPE, BY_LINKTYPE, Header
from forensics.decode.network import Candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from forensics.decode.counts import DecodeCounts

MAX_LINK_HEADERS: Final = 24
"""Headers below IP that are followed in one frame; each tag and each label is one."""
_IPV4_TYPE, _IPV6_TYPE = 0x0800, 0x86DD
_MAX_LENGTH: Final = 1500
"""Up to here the type field of Ethernet is a length (IEEE 802.3, 3.2.6)."""
_LLC: Final = 3
"""The shortest header that may follow a length."""
_MAX_LINKTYPE: Final = 0xFFFF


class Walk:
    """Frames on their way to IP."""

    def __init__(self, data: npt.NDArray[np.uint8], counts: DecodeCounts) -> None:
        self.data = data
        self.counts = counts
        self._todo: dict[Header, list[Candidates]] = {}
        self._found: list[tuple[Candidates, npt.NDArray[np.uint8]]] = []

    def whole(self, found: Candidates, width: int) -> Candidates:
        """Those of which ``width`` bytes were captured; the others are counted."""
        fits = found.end - found.start >= width
        if not fits.all():
            self.bad(found.where(~fits))
            return found.where(fits)
        return found

    def bad(self, found: Candidates) -> None:
        """The header is cut short, or its lengths cannot be."""
        self.counts.bad_link_header += len(found.row)

    def read(self, found: Candidates, width: int) -> tuple[Candidates, npt.NDArray[np.uint8]]:
        """The same, and those bytes: shape (frames, width)."""
        found = self.whole(found, width)
        return found, gather_rows(self.data, found.start, width)

    def ip(self, found: Candidates, version: npt.NDArray[np.uint8] | int) -> None:
        """An IP header comes next."""
        if len(found.row):
            self._found.append((found, np.broadcast_to(np.uint8(version), len(found.row))))

    def then(self, header: Header, found: Candidates) -> None:
        """Another header comes next."""
        if len(found.row):
            self._todo.setdefault(header, []).append(found)

    def not_ip(self, found: Candidates) -> None:
        """Nothing that could lead to IP comes next."""
        self.counts.not_ip += len(found.row)

    def choose(
        self, found: Candidates, value: npt.NDArray[Any], table: Mapping[int, Header | int]
    ) -> tuple[Candidates, npt.NDArray[Any]]:
        """Hands on what ``table`` knows: to a reader, or to IP of the version given. Gives back the rest."""
        left = np.ones(len(value), dtype=bool)
        for known, header in table.items():
            mine = value == known
            if not mine.any():
                continue
            left &= ~mine
            if isinstance(header, Header):
                self.then(header, found.where(mine))
            else:
                self.ip(found.where(mine), header)
        return found.where(left), value[left]

    def ethertype(self, found: Candidates, value: npt.NDArray[np.int32]) -> None:
        """What comes next is told by an EtherType."""
        four = value == _IPV4_TYPE
        known = four | (value == _IPV6_TYPE)
        version = np.where(four, np.uint8(4), np.uint8(6))
        if known.all():
            self.ip(found, version)
            return
        self.ip(found.where(known), version[known])
        rest, _ = self.choose(found.where(~known), value[~known], BY_ETHERTYPE)
        self.not_ip(rest)

    def ethertype_or_length(self, found: Candidates, value: npt.NDArray[np.int32]) -> None:
        """The same, or the length of what follows an IEEE 802.3 header."""
        length = (value <= _MAX_LENGTH) & (value >= _LLC)
        if not length.any():
            self.ethertype(found, value)
            return
        self.ethertype(found.where(~length), value[~length])
        self.then(Header.LLC, cut(found.where(length), value[length]))

    def linktype(self, found: Candidates, number: npt.NDArray[np.int32 | np.int64]) -> None:
        """What comes next is told by a link type."""
        first = int(number[0]) if len(number) and (number == number[0]).all() else None
        header = BY_LINKTYPE.get(first) if first is not None else None
        if isinstance(header, Header):
            self.then(header, found)
            return
        _, unknown = self.choose(found, number, BY_LINKTYPE)
        values, sizes = np.unique(unknown, return_counts=True)
        for value, size in zip(values.tolist(), sizes.tolist(), strict=True):
            if value > _MAX_LINKTYPE:
                self.counts.bad_link_header += size
            else:
                self.counts.unknown_linktypes[value] = self.counts.unknown_linktypes.get(value, 0) + size

    def run(
        self, readers: Mapping[Header, Callable[[Walk, Candidates], None]]
    ) -> tuple[Candidates, npt.NDArray[np.uint8]]:
        """Reads on until IP is reached everywhere; where IP begins, in the order of rows, and its version."""
        in_order = True
        for _ in range(MAX_LINK_HEADERS):
            if not self._todo:
                break
            todo, self._todo = self._todo, {}
            for header, parts in todo.items():
                in_order &= len(parts) == 1
                readers[header](self, joined(parts))
        self.counts.link_depth_limit += sum(len(part.row) for parts in self._todo.values() for part in parts)
        if len(self._found) == 1 and in_order:
            return self._found[0]
        found = joined([part for part, _ in self._found])
        versions = [version for _, version in self._found]
        version = np.concatenate(versions) if versions else np.empty(0, np.uint8)
        order = np.argsort(found.row, kind="stable")
        if not np.diff(found.row[order]).all():
            order = np.lexsort((found.start, found.row))  # one frame carried several packets
        return taken(found, order), version[order]


def skip(found: Candidates, size: npt.NDArray[np.int64] | int) -> Candidates:
    """The same frames behind a header of that size."""
    return replace(found, start=found.start + size, wire_length=found.wire_length - size)


def cut(found: Candidates, size: npt.NDArray[Any] | int) -> Candidates:
    """The same frames without what comes after ``size`` bytes, such as padding."""
    return replace(
        found,
        end=np.minimum(found.end, found.start + size),
        wire_length=np.minimum(found.wire_length, size),
    )


def taken(found: Candidates, chosen: npt.NDArray[Any]) -> Candidates:
    """The elements that an array of numbers names, in that order."""
    return Candidates(*(getattr(found, field.name)[chosen] for field in fields(Candidates)))


def joined(parts: list[Candidates]) -> Candidates:
    """One behind the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Candidates(*(np.empty(0, np.int64) for _ in fields(Candidates)))
    return Candidates(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Candidates))
    )


def big16(rows: npt.NDArray[np.uint8], at: int) -> npt.NDArray[np.int32]:
    """The 16-bit number in network order at byte ``at`` of each row."""
    return rows[:, at].astype(np.int32) << 8 | rows[:, at + 1]

"""Headers below IP taken off one after the other, for many frames at once.

A reader is given the frames that stand before one kind of header, and hands each of them on exactly once: to the
reader of the next header, to IP, or to a count.
"""

from __future__ import annotations

from dataclasses import fields, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.network import Candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from forensics.decode.counts import DecodeCounts

MAX_LINK_HEADERS: Final = 16
"""Headers below IP that are followed in one frame; each tag and each label is one."""
BY_NIBBLE: Final = 0
"""The version of IP is what its header says."""
_IPV4_TYPE, _IPV6_TYPE = 0x0800, 0x86DD
_MAX_LENGTH: Final = 1500
"""Up to here the type field of Ethernet is a length (IEEE 802.3, 3.2.6)."""


class Header(Enum):
    """Kinds of header that a reader exists for."""

    ETHERNET = auto()
    TAG = auto()
    ETAG = auto()
    LLC = auto()
    MPLS = auto()
    PPP = auto()
    PPPOE = auto()
    CHDLC = auto()
    SLL = auto()
    SLL2 = auto()
    NULL = auto()


_BY_ETHERTYPE: Final = {
    0x8100: Header.TAG,  # IEEE 802.1Q
    0x88A8: Header.TAG,  # IEEE 802.1ad
    0x9100: Header.TAG,  # what switches wrote on the outer tag before 802.1ad
    0x9200: Header.TAG,
    0x8847: Header.MPLS,  # RFC 3032
    0x8848: Header.MPLS,
    0x8864: Header.PPPOE,  # RFC 2516
    0x880B: Header.PPP,  # in GRE: RFC 2637
    0x6558: Header.ETHERNET,  # transparent Ethernet bridging, in GRE and Geneve: RFC 1701
}


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
            self.counts.bad_link_header += int(np.count_nonzero(~fits))
            return found.where(fits)
        return found

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
        rest, _ = self.choose(found.where(~known), value[~known], _BY_ETHERTYPE)
        self.not_ip(rest)

    def ethertype_or_length(self, found: Candidates, value: npt.NDArray[np.int32]) -> None:
        """The same, or the length of what follows an IEEE 802.3 header."""
        typed = value > _MAX_LENGTH
        if typed.all():
            self.ethertype(found, value)
            return
        self.ethertype(found.where(typed), value[typed])
        self.then(Header.LLC, cut(found.where(~typed), value[~typed]))

    def run(
        self, readers: Mapping[Header, Callable[[Walk, Candidates], None]]
    ) -> tuple[Candidates, npt.NDArray[np.uint8]]:
        """Reads on until IP is reached everywhere; where IP begins, in the order of rows, and its version."""
        for _ in range(MAX_LINK_HEADERS):
            if not self._todo:
                break
            todo, self._todo = self._todo, {}
            for header, parts in todo.items():
                readers[header](self, joined(parts))
        self.counts.link_depth_limit += sum(len(part.row) for parts in self._todo.values() for part in parts)
        if len(self._found) == 1:
            return self._found[0]
        found = joined([part for part, _ in self._found])
        versions = [version for _, version in self._found]
        version = np.concatenate(versions) if versions else np.empty(0, np.uint8)
        order = np.lexsort((found.start, found.row))
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

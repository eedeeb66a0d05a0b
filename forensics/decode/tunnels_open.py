"""What tunnels hold: common ground of the modules that take their headers off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode import link
from forensics.decode.counts import DecodeCounts
from forensics.decode.network import Candidates, read_ip
from forensics.decode.tunnels import KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.addresses import AddressBook
    from forensics.decode.network import IpPackets

_ETHERNET: Final = 1


class Opening:
    """Payloads that may be tunnels' on their way to the IP packets in them.

    All candidates are numbered by ``row``, from 0 and without gaps in what is given first. Whoever is not handed to
    one of the methods that lead on holds nothing that can be opened, and so does what ends in none of them well:
    that is decided here, and not counted.
    """

    def __init__(self, data: npt.NDArray[np.uint8], size: int) -> None:
        self.data = data
        self.kind = np.full(size, -1, dtype=np.int64)
        self.key = np.full(size, -1, dtype=np.int64)
        self._found: list[tuple[Candidates, npt.NDArray[np.uint8]]] = []
        self._uncounted = DecodeCounts()

    def read(
        self, found: Candidates, width: int, more: npt.NDArray[np.int64] | int = 0
    ) -> tuple[Candidates, npt.NDArray[np.uint8]]:
        """Those of which ``width`` bytes were captured ``more`` bytes ahead, and those bytes: (candidates, width)."""
        fits = found.end - found.start >= more + width
        if not fits.all():
            found = found.where(fits)
            more = more[fits] if isinstance(more, np.ndarray) else more
        return found, gather_rows(self.data, found.start + more, width)

    def name(self, found: Candidates, kind: str, key: npt.NDArray[np.int64] | int = -1) -> None:
        """What they are carried by."""
        self.kind[found.row] = KINDS.index(kind)
        self.key[found.row] = key

    def ip(self, found: Candidates, version: int = 0) -> None:
        """IP of this version comes next (0: as its first nibble says)."""
        self._found.append((found, np.full(len(found.row), version, dtype=np.uint8)))

    def ethernet(self, found: Candidates) -> None:
        """An Ethernet header comes next."""
        kinds = np.full(len(found.row), _ETHERNET, dtype=np.int32)
        self._found.append(link.by_linktype(self.data, found, kinds, self._uncounted))

    def ethertype(self, found: Candidates, value: npt.NDArray[np.int32]) -> None:
        """What comes next is told by an EtherType."""
        self._found.append(link.by_ethertype(self.data, found, value, self._uncounted))

    def ppp(self, found: Candidates) -> None:
        """PPP comes next."""
        self._found.append(link.by_ppp(self.data, found, self._uncounted))

    def packets(self, book: AddressBook) -> IpPackets | None:
        """The packets inside whose header can be, and which their tunnel has room for; None when there is none."""
        parts = [(found, version) for found, version in self._found if len(found.row)]
        if not parts:
            return None
        order = np.argsort(np.concatenate([found.row for found, _ in parts]), kind="stable")
        found = Candidates(
            *(
                np.concatenate([getattr(part, name) for part, _ in parts])[order]
                for name in ("row", "start", "end", "wire_length")
            )
        )
        inside = read_ip(
            self.data, found, np.concatenate([version for _, version in parts])[order], book, None
        )
        room = found.wire_length[np.searchsorted(found.row, inside.row)]
        inside = inside.where(inside.length <= room)
        return inside if len(inside) else None


def skip(
    found: Candidates, size: npt.NDArray[np.int64] | int, mask: npt.NDArray[np.bool_] | None = None
) -> Candidates:
    """Those that ``mask`` selects, ``size`` bytes further on."""
    moved = replace(found, start=found.start + size, wire_length=found.wire_length - size)
    return moved if mask is None else moved.where(mask)


def number(head: npt.NDArray[np.uint8], at: int, width: int) -> npt.NDArray[np.int64]:
    """``width`` bytes of every row as a number, the highest byte first."""
    value = np.zeros(len(head), dtype=np.int64)
    for place in range(at, at + width):
        value = value << 8 | head[:, place]
    return value

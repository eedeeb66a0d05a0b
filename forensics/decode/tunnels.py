"""What carries packets inside packets: the kinds of tunnels, and the book of those that were seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.addresses import AddressBook

TUNNELS: Final[dict[str, str]] = {
    "gre": "GRE (RFC 2784, RFC 2890): IPv4, IPv6, Ethernet, MPLS or PPP behind IP protocol 47",
    "pptp": "PPTP's GRE version 1 (RFC 2637): PPP behind IP protocol 47",
    "gre>erspan": "ERSPAN types I, II and III (draft-foschiano-erspan-03): mirrored Ethernet in GRE",
    "ip-in-ip": "IPv4 in IPv4 (RFC 2003): IP protocol 4",
    "6in4": "IPv6 in IPv4 (RFC 4213): IP protocol 41",
    "ip-in-ipv6": "IPv4 or IPv6 in IPv6 (RFC 2473): protocols 4 and 41",
    "etherip": "Ethernet in IP (RFC 3378): IP protocol 97",
    "mpls-in-ip": "MPLS in IP (RFC 4023): IP protocol 137",
    "teredo": "Teredo (RFC 4380): IPv6 in UDP port 3544, with its authentication and origin headers",
    "vxlan": "VXLAN (RFC 7348): Ethernet in UDP port 4789",
    "vxlan-gpe": "VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe): IPv4, IPv6 or Ethernet in UDP port 4790",
    "geneve": "Geneve (RFC 8926): any EtherType in UDP port 6081, options skipped",
    "gtp-u": "GTP-U version 1 (3GPP TS 29.281): IPv4, IPv6 or PPP in UDP port 2152, extension headers skipped",
    "l2tp": "L2TP version 2 (RFC 2661): PPP in UDP port 1701, data messages",
}
"""Name → what it is and where it stands; ``>`` joins a tunnel and the one it always carries."""
KINDS: Final = tuple(TUNNELS)
"""Kinds by number."""
MOST_TUNNELS: Final = 65_536
"""Different tunnels that are told apart; those beyond share one entry."""
_MIX: Final = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


class Tunnel(NamedTuple):
    """What a packet came in."""

    kinds: str
    """From the outermost, joined with ``>``: ``gre>erspan>vxlan``."""
    source: str
    """Addresses of the outermost IP header; empty for the shared entry."""
    target: str
    key: int
    """The innermost tunnel's GRE key, VNI, TEID, ERSPAN session, or L2TP tunnel × 65,536 + session; -1 without."""


_OTHER: Final = Tunnel("other", "", "", -1)


class TunnelBook:
    """Tunnels of one capture by number, in the order of the frames that showed them; grows only, and can be pickled.

    At most MOST_TUNNELS are told apart, then all others share one entry of kind ``other``.
    """

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int, int, int, int], int] = {}
        self._list: list[Tunnel] = []

    def __len__(self) -> int:
        return len(self._list)

    def __getitem__(self, number: int) -> Tunnel:
        """The tunnel of a row's ``tunnel``, which must not be negative."""
        return self._list[number]

    def text(self, number: int) -> str:
        """Its kinds from the outermost; empty for a packet that came as it is."""
        return self._list[number].kinds if number >= 0 else ""

    def intern(self, parent: int, kind: int, ends: tuple[int, int], key: int, book: AddressBook) -> int:
        """Number of the tunnel of ``kind`` inside ``parent`` (-1: in nothing) between two address ids."""
        whole = (parent, kind, *ends, key)
        known = self._ids.get(whole)
        if known is not None:
            return known
        if len(self._list) >= MOST_TUNNELS or (parent >= 0 and self._list[parent] == _OTHER):
            if self._list[-1] != _OTHER:
                self._list.append(_OTHER)
            return len(self._list) - 1
        if parent < 0:
            made = Tunnel(KINDS[kind], book.text(ends[0]), book.text(ends[1]), key)
        else:
            outer = self._list[parent]
            made = outer._replace(kinds=f"{outer.kinds}>{KINDS[kind]}", key=key if key >= 0 else outer.key)
        self._ids[whole] = len(self._list)
        self._list.append(made)
        return len(self._list) - 1

    def since(self, known: int) -> list[Tunnel]:
        """The tunnels after the first ``known``, for another book to be extended with."""
        return self._list[known:]

    def extend(self, tunnels: list[Tunnel]) -> None:
        """Take in what another book has beyond this one; such a book can be read, not interned in."""
        self._list += tunnels


class BatchTunnels:
    """The tunnels of one batch, found level by level and numbered in the book at the end, in frame order.

    Numbers of the book must not depend on how frames were cut into batches; a batch finds all outer tunnels before
    the first inner one.
    """

    def __init__(self) -> None:
        self._found: list[tuple[int, int, int, int, int, int, int]] = []

    def note(
        self,
        row: npt.NDArray[np.int64],
        level: int,
        parent: npt.NDArray[np.int64] | int,
        columns: tuple[npt.NDArray[np.int64], ...],
    ) -> npt.NDArray[np.int64]:
        """Numbers, of this batch only, for tunnels given as (kind, source, target, key); ``row`` rises."""
        whole = np.empty((len(row), 5), dtype=np.int64)
        whole[:, 0] = parent
        for place, column in enumerate(columns, 1):
            whole[:, place] = column
        mix = np.zeros(len(row), dtype=np.uint64)
        for place in range(5):
            mix = (mix ^ whole[:, place].view(np.uint64)) * _MIX[place % 3]
            mix ^= mix >> np.uint64(29)
        _, first, which = np.unique(mix, return_index=True, return_inverse=True)
        if not np.array_equal(whole[first[which]], whole):  # two tunnels share a mix: somebody arranged that
            _, first, which = np.unique(whole, axis=0, return_index=True, return_inverse=True)
        base = len(self._found)
        for place in first.tolist():
            up, kind, source, target, key = whole[place].tolist()
            self._found.append((int(row[place]), level, up, kind, source, target, key))
        return base + which.reshape(-1)

    def chain(self, number: int) -> tuple[object, ...]:
        """What identifies a tunnel of this batch in any batch."""
        if number < 0:
            return ()
        _, _, parent, *own = self._found[number]
        return (self.chain(parent), *own)

    def numbers(self, tunnels: TunnelBook, book: AddressBook) -> npt.NDArray[np.int32]:
        """For every number given here the one in ``tunnels``; and -1 for -1, which is the last element."""
        found = np.full(len(self._found) + 1, -1, dtype=np.int32)
        order = sorted(range(len(self._found)), key=lambda number: self._found[number][:2])
        for number in order:
            _, _, parent, kind, source, target, key = self._found[number]
            found[number] = tunnels.intern(int(found[parent]), kind, (source, target), key, book)
        return found

"""Captures of a system's own making: Linux "cooked", BSD loopback, and what firewalls log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.link_types import BY_NIBBLE, Header
from forensics.decode.link_walk import big16, cut, skip

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.link_walk import Walk
    from forensics.decode.network import Candidates

_SLL, _SLL2, _ENC, _PFLOG = 16, 20, 12, 48
# Linux's numbers for what has no EtherType (linux/if_ether.h): no protocol at all, IEEE 802.2, PPP.
_LINUX: Final = {3: Header.ETHERNET, 4: Header.LLC, 7: Header.PPP}
_ARPHRD_RADIOTAP: Final = 803
# AF_INET; AF_INET6 of NetBSD and OpenBSD, FreeBSD, Darwin.
_FAMILIES: Final = {2: BY_NIBBLE, 24: 6, 28: 6, 30: 6}
_PPP_FRAME: Final = 0xFF03
_SMALLEST_TYPE: Final = 1501
_NFLOG: Final = {2: BY_NIBBLE, 10: 6}  # NFPROTO_IPV4, NFPROTO_IPV6
_NFULA_PACKET_HEADER, _NFULA_PAYLOAD = 1, 9
MAX_NFLOG_ATTRIBUTES: Final = 64


def read_sll(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_LINUX_SLL: the protocol comes last."""
    found, head = walk.read(found, _SLL)
    _cooked(walk, skip(found, _SLL), big16(head, 2), big16(head, 14))


def read_sll2(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_LINUX_SLL2: the protocol comes first."""
    found, head = walk.read(found, _SLL2)
    _cooked(walk, skip(found, _SLL2), big16(head, 8), big16(head, 0))


def _cooked(
    walk: Walk, found: Candidates, hardware: npt.NDArray[np.int32], protocol: npt.NDArray[np.int32]
) -> None:
    radio = hardware == _ARPHRD_RADIOTAP
    if radio.any():
        walk.then(Header.RADIOTAP, found.where(radio))
        found, protocol = found.where(~radio), protocol[~radio]
    if (protocol < _SMALLEST_TYPE).any():
        found, protocol = walk.choose(found, protocol, _LINUX)
    walk.ethertype(found, protocol)


def read_null(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_NULL: an address family, in the byte order of the machine that captured; some wrote an EtherType."""
    found, head = walk.read(found, 4)
    ppp = big16(head, 0) == _PPP_FRAME
    walk.then(Header.PPP, found.where(ppp))
    found, head = found.where(~ppp), head[~ppp]
    value: npt.NDArray[np.uint32] = np.ascontiguousarray(head).view(">u4").reshape(-1).astype(np.uint32)
    # Besides the two byte orders, 16-bit numbers stand in either half, and those swapped in the lower one.
    upper = value >> 16
    small = 6
    value = np.where(
        upper == 0,
        np.where((value & 0xFF == 0) & (value >> 8 < small), value >> 8, value),
        np.where(upper < small, upper, value.byteswap()),
    )
    typed = (value >= _SMALLEST_TYPE) & (value >> 16 == 0)
    found = skip(found, 4)
    walk.ethertype(found.where(typed), value[typed].astype(np.int32))
    rest, _ = walk.choose(found.where(~typed), value[~typed], _FAMILIES)
    walk.not_ip(rest)


def read_loop(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_LOOP: an address family in network order."""
    found, head = walk.read(found, 4)
    rest, _ = walk.choose(skip(found, 4), head.view(">u4").reshape(-1), _FAMILIES)
    walk.not_ip(rest)


def read_enc(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_ENC: an address family in the byte order of the machine that captured, then what IPsec knows."""
    found, head = walk.read(found, _ENC)
    family: npt.NDArray[np.uint32] = np.ascontiguousarray(head[:, :4]).view("<u4").reshape(-1)
    family = np.where(family >> 16 != 0, family.byteswap(), family)
    rest, _ = walk.choose(skip(found, _ENC), family, _FAMILIES)
    walk.not_ip(rest)


def read_pflog(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_PFLOG: length of the header without its padding, and the address family."""
    found, head = walk.read(found, 2)
    size = (head[:, 0].astype(np.int64) + 3) & ~3
    good = (size >= _PFLOG) & (size <= found.end - found.start)
    walk.bad(found.where(~good))
    rest, _ = walk.choose(skip(found.where(good), size[good]), head[good, 1], _FAMILIES)
    walk.not_ip(rest)


def read_nflog(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_NFLOG: a protocol family, then attributes, of which one is the packet.

    Numbers of attributes are in the byte order of the machine that captured; as in Wireshark, that is taken to be
    little-endian.
    """
    found, head = walk.read(found, 4)
    found = skip(found, 4)
    family = head[:, 0].astype(np.int32)
    ethertype = np.zeros(len(family), dtype=np.int32)
    for _ in range(MAX_NFLOG_ATTRIBUTES):
        if len(family) == 0:
            return
        fits = found.end - found.start >= 4  # noqa: PLR2004 - length and kind
        walk.bad(found.where(~fits))
        found, family, ethertype = found.where(fits), family[fits], ethertype[fits]
        numbers = gather_rows(walk.data, found.start, 8)
        length = numbers[:, 0].astype(np.int64) | numbers[:, 1].astype(np.int64) << 8
        kind = numbers[:, 2].astype(np.int32) | numbers[:, 3].astype(np.int32) << 8
        good = (length >= 4) & (length <= found.wire_length)  # noqa: PLR2004
        payload = good & (kind == _NFULA_PAYLOAD)
        _logged(
            walk, skip(cut(found.where(payload), length[payload]), 4), family[payload], ethertype[payload]
        )
        told = (kind == _NFULA_PACKET_HEADER) & (length >= 6) & (found.end - found.start >= 6)  # noqa: PLR2004
        ethertype = np.where(told, big16(numbers, 4), ethertype)
        walk.bad(found.where(~good))
        more = good & ~payload
        found = skip(found.where(more), (length[more] + 3) & ~3)
        family, ethertype = family[more], ethertype[more]
    walk.counts.link_depth_limit += len(family)


def _logged(
    walk: Walk, found: Candidates, family: npt.NDArray[np.int32], ethertype: npt.NDArray[np.int32]
) -> None:
    """The packet is of the family, or of the EtherType in the packet header attribute (bridge, netdev, inet)."""
    rest, left = walk.choose(found, family, _NFLOG)
    if len(left):
        walk.ethertype(rest, ethertype[~np.isin(family, list(_NFLOG))])

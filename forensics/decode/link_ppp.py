"""PPP (RFC 1661), as framed by HDLC (RFC 1662) and in Ethernet (RFC 2516); Cisco's HDLC; frame relay (RFC 2427)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.decode.link_types import BY_NIBBLE, Header
from forensics.decode.link_walk import big16, cut, skip

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.link_walk import Walk
    from forensics.decode.network import Candidates

_ADDRESS, _CONTROL = 0xFF, 0x03
_CHDLC_ADDRESSES: Final = (0x0F, 0x8F)  # unicast and broadcast; no PPP frame begins so
_BRIDGING, _MULTILINK = 0x0031, 0x003D
_PROTOCOLS: Final[dict[int, Header | int]] = {
    0x0021: BY_NIBBLE,
    0x0057: 6,
    0x0281: Header.MPLS,
    0x0283: Header.MPLS,
}
_CHDLC: Final[dict[int, Header | int]] = {
    0x0800: BY_NIBBLE,
    0x86DD: 6,
    0x6558: Header.ETHERNET,
    0x8847: Header.MPLS,
    0x8848: Header.MPLS,
}
_MAC_ETHERNET: Final = 1
_WHOLE: Final = 0xC0  # begin and end flags of RFC 1990


def read_ppp(walk: Walk, found: Candidates) -> None:
    """Address and control, which may be left out, and the protocol field."""
    found, head = walk.read(found, 2)
    cisco = np.isin(head[:, 0], _CHDLC_ADDRESSES)
    walk.then(Header.CHDLC, found.where(cisco))
    found, head = found.where(~cisco), head[~cisco]
    addressed = head[:, 0] == _ADDRESS
    _protocol(walk, skip(found, np.where(addressed, np.where(head[:, 1] == _CONTROL, 2, 1), 0)))


def read_ppp_direction(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_PPP_WITH_DIR: a byte before the PPP frame says who sent it."""
    walk.then(Header.PPP, skip(walk.whole(found, 1), 1))


def read_pppd(walk: Walk, found: Candidates) -> None:
    """LINKTYPE_PPP_PPPD: the address says who sent the frame: 0 in, 1 out."""
    found, head = walk.read(found, 2)
    addressed = np.isin(head[:, 0], (0, 1, _ADDRESS)) & (head[:, 1] == _CONTROL)
    _protocol(walk, skip(found, np.where(addressed, 2, 0)))


def _protocol(walk: Walk, found: Candidates) -> None:
    """The protocol field: one byte where it is compressed (RFC 1661, 6.5), which its lowest bit tells."""
    found, head = walk.read(found, 1)
    short = head[:, 0] & 1 == 1
    _next(walk, skip(found.where(short), 1), head[short, 0].astype(np.int32))
    found, head = walk.read(found.where(~short), 2)
    _next(walk, skip(found, 2), big16(head, 0))


def _next(walk: Walk, found: Candidates, protocol: npt.NDArray[np.int32]) -> None:
    rest, left = walk.choose(found, protocol, _PROTOCOLS)
    bridged, pieces = left == _BRIDGING, left == _MULTILINK
    walk.not_ip(rest.where(~bridged & ~pieces))
    # RFC 3518, 4.2: flags and kind of network before the Ethernet frame.
    bridging, head = walk.read(rest.where(bridged), 2)
    _split(walk, bridging, 2, head[:, 1] == _MAC_ETHERNET, Header.ETHERNET)
    # RFC 1990, 3: what was not cut in pieces can be read; pieces are not put together.
    multilink, head = walk.read(rest.where(pieces), 4)
    _split(walk, multilink, 4, head[:, 0] & _WHOLE == _WHOLE, Header.PPP)


def _split(walk: Walk, found: Candidates, size: int, good: npt.NDArray[Any], header: Header) -> None:
    walk.then(header, skip(found.where(good), size))
    walk.not_ip(found.where(~good))


def read_pppoe(walk: Walk, found: Candidates) -> None:
    """Version, code, session, and the length of what follows."""
    found, head = walk.read(found, 6)
    walk.then(Header.PPP, cut(skip(found, 6), big16(head, 4)))


def read_chdlc(walk: Walk, found: Candidates) -> None:
    """Address, control, and a protocol number that is an EtherType."""
    found, head = walk.read(found, 4)
    rest, _ = walk.choose(skip(found, 4), big16(head, 2), _CHDLC)
    walk.not_ip(rest)


def read_frame_relay(walk: Walk, found: Candidates) -> None:
    """An address of two to four bytes (Q.922); then a protocol number as in Cisco's HDLC, or RFC 2427."""
    found, head = walk.read(found, 4)
    ends = head & 1 == 1
    size = np.where(ends[:, 1], 2, np.where(ends[:, 2], 3, 4))
    good = ~ends[:, 0] & (ends[:, 1] | ends[:, 2] | ends[:, 3])
    walk.not_ip(found.where(~good))
    found, head = walk.read(skip(found.where(good), size[good]), 2)
    standard = head[:, 0] == _CONTROL
    rest, _ = walk.choose(skip(found.where(~standard), 2), big16(head, 0)[~standard], _CHDLC)
    walk.not_ip(rest)
    found, head = found.where(standard), head[standard]
    padded = head[:, 1] == 0
    found, nlpid = walk.read(skip(found, np.where(padded, 2, 1)), 1)
    rest, left = walk.choose(skip(found, 1), nlpid[:, 0], {0xCC: 4, 0x8E: 6, 0xCF: Header.PPP})
    snap = left == 0x80  # noqa: PLR2004 - the NLPID of SNAP
    walk.not_ip(rest.where(~snap))
    rest, head = walk.read(rest.where(snap), 5)
    typed = (head[:, 0] == 0) & (big16(head, 1) == 0)
    walk.ethertype(skip(rest.where(typed), 5), big16(head, 3)[typed])
    walk.not_ip(rest.where(~typed))

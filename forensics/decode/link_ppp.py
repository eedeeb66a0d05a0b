"""PPP (RFC 1661), as framed by HDLC (RFC 1662) and in Ethernet (RFC 2516)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.decode.link_walk import BY_NIBBLE, Header, big16, cut, skip

if TYPE_CHECKING:
    from forensics.decode.link_walk import Walk
    from forensics.decode.network import Candidates

_FRAMED: Final = 0xFF03
_CHDLC_ADDRESSES: Final = (0x0F, 0x8F)
_PROTOCOLS: Final = {0x0021: BY_NIBBLE, 0x0057: 6, 0x0281: Header.MPLS, 0x0283: Header.MPLS}


def read_ppp(walk: Walk, found: Candidates) -> None:
    """The protocol field, of one byte where it is compressed (RFC 1661, 6.5); address and control may come first."""
    found, head = walk.read(found, 2)
    framed = big16(head, 0) == _FRAMED
    found, head = walk.read(skip(found, np.where(framed, 2, 0)), 1)
    short = head[:, 0] & 1 == 1
    walk_short = found.where(short)
    rest, _ = walk.choose(skip(walk_short, 1), head[short, 0], _PROTOCOLS)
    walk.not_ip(rest)
    found, head = walk.read(found.where(~short), 2)
    rest, _ = walk.choose(skip(found, 2), big16(head, 0), _PROTOCOLS)
    walk.not_ip(rest)


def read_pppoe(walk: Walk, found: Candidates) -> None:
    """Version, code, session, and the length of what follows."""
    found, head = walk.read(found, 6)
    walk.then(Header.PPP, cut(skip(found, 6), big16(head, 4)))

"""Ethernet (IEEE 802.3), VLAN tags (802.1Q), LLC and SNAP (802.2), MPLS labels (RFC 3032), Cisco's HDLC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.link_walk import BY_NIBBLE, Header, big16, skip

if TYPE_CHECKING:
    from forensics.decode.link_walk import Walk
    from forensics.decode.network import Candidates

_ETHERNET: Final = 14
_SAP_IP, _SAP_SNAP = 0x06, 0xAA
_UI: Final = 0x03
# Whose protocol numbers are EtherTypes: Xerox (RFC 1042), Cisco, Apple.
_ETHERTYPE_OUIS: Final = (0x000000, 0x0000F8, 0x080007)
_BRIDGED_OUI: Final = 0x0080C2  # IEEE 802.1; RFC 2684, 5.2
_BRIDGED_ETHERNET: Final = (1, 7)  # with and without its checksum
_CHDLC: Final = {0x0800: BY_NIBBLE, 0x86DD: 6, 0x8847: Header.MPLS}


def read_ethernet(walk: Walk, found: Candidates) -> None:
    """Two addresses, and the type or the length."""
    found = walk.whole(found, _ETHERNET)
    field = gather_rows(walk.data, found.start + (_ETHERNET - 2), 2)
    walk.ethertype_or_length(skip(found, _ETHERNET), big16(field, 0))


def read_tag(walk: Walk, found: Candidates) -> None:
    """Priority and VLAN, then the type or the length."""
    found, tag = walk.read(found, 4)
    walk.ethertype_or_length(skip(found, 4), big16(tag, 2))


def read_llc(walk: Walk, found: Candidates) -> None:
    """Service access points and control field; with SNAP, an organisation and its protocol number."""
    found, llc = walk.read(found, 3)
    unnumbered = llc[:, 2] & 3 == 3  # noqa: PLR2004 - the two lowest bits of a U format
    carries = ~unnumbered & (llc[:, 2] & 1 == 0) | (llc[:, 2] == _UI)
    size = np.where(unnumbered, 3, 4)
    snap = carries & (llc[:, 0] == _SAP_SNAP) & (llc[:, 1] == _SAP_SNAP)
    ip = carries & ~snap & (llc[:, 0] == _SAP_IP)
    walk.ip(skip(found.where(ip), size[ip]), BY_NIBBLE)
    walk.not_ip(found.where(~snap & ~ip))
    found, head = walk.read(skip(found.where(snap), size[snap]), 5)
    oui = head[:, 0].astype(np.int32) << 16 | big16(head, 1)
    number = big16(head, 3)
    typed = np.isin(oui, _ETHERTYPE_OUIS)
    bridged = (oui == _BRIDGED_OUI) & np.isin(number, _BRIDGED_ETHERNET)
    found = skip(found, 5)
    walk.ethertype(found.where(typed), number[typed])
    walk.then(Header.ETHERNET, found.where(bridged))
    walk.not_ip(found.where(~typed & ~bridged))


def read_mpls(walk: Walk, found: Candidates) -> None:
    """One label; after the last one, what follows is told by its first nibble (RFC 4928)."""
    found, label = walk.read(found, 4)
    last = label[:, 2] & 1 == 1
    found = skip(found, 4)
    walk.then(Header.MPLS, found.where(~last))
    found, first = walk.read(found.where(last), 1)
    rest, _ = walk.choose(found, first[:, 0] >> 4, {4: 4, 6: 6})
    walk.not_ip(rest)


def read_chdlc(walk: Walk, found: Candidates) -> None:
    """Address, control, and a protocol number that is an EtherType."""
    found, head = walk.read(found, 4)
    rest, _ = walk.choose(skip(found, 4), big16(head, 2), _CHDLC)
    walk.not_ip(rest)

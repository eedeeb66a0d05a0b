"""Ethernet (IEEE 802.3), its tags (802.1Q and others), LLC and SNAP (802.2), MPLS labels (RFC 3032)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.link_types import BY_ETHERTYPE, BY_NIBBLE, Header
from forensics.decode.link_walk import big16, skip

if TYPE_CHECKING:
    from forensics.decode.link_walk import Walk
    from forensics.decode.network import Candidates

_ETHERNET: Final = 14
_SAP_IP, _SAP_SNAP = 0x06, 0xAA
_UI: Final = 0x03
# Whose protocol numbers are EtherTypes: Xerox (RFC 1042), Cisco (IEEE 802.1H).
_ETHERTYPE_OUIS: Final = (0x000000, 0x0000F8)
_BRIDGED_OUI: Final = 0x0080C2  # IEEE 802.1; RFC 2684, 5.2
_BRIDGED_ETHERNET: Final = (1, 7)  # with and without its checksum
_BRIDGED_PADDING: Final = 2
_PSEUDOWIRE: Final = 4 + _ETHERNET
_INSIDE: Final = np.array([0x0800, 0x86DD, *BY_ETHERTYPE], dtype=np.int32)
_NO_TRAFFIC_LABELS: Final = (13, 14)  # what follows is an associated channel (RFC 5586), or OAM (RFC 3429)


def read_ethernet(walk: Walk, found: Candidates) -> None:
    """Two addresses, and the type or the length."""
    found = walk.whole(found, _ETHERNET)
    field = gather_rows(walk.data, found.start + (_ETHERNET - 2), 2)
    walk.ethertype_or_length(skip(found, _ETHERNET), big16(field, 0))


def read_tag(walk: Walk, found: Candidates) -> None:
    """Priority and VLAN, then the type or the length."""
    found, tag = walk.read(found, 4)
    walk.ethertype_or_length(skip(found, 4), big16(tag, 2))


def read_long_tag(walk: Walk, found: Candidates) -> None:
    """E-TAG of 802.1BR, or Cisco's meta data: six bytes, then the type."""
    found, tag = walk.read(found, 8)
    walk.ethertype(skip(found, 8), big16(tag, 6))


def read_backbone(walk: Walk, found: Candidates) -> None:
    """I-TAG of 802.1ah, then the customer's Ethernet frame."""
    walk.then(Header.ETHERNET, skip(walk.whole(found, 4), 4))


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
    walk.then(Header.ETHERNET, skip(found.where(bridged), _BRIDGED_PADDING))
    walk.not_ip(found.where(~typed & ~bridged))


def read_mpls(walk: Walk, found: Candidates) -> None:
    """One label; what follows the last one is told by its first nibble (RFC 4928)."""
    found, label = walk.read(found, 4)
    last = label[:, 2] & 1 == 1
    number = big16(label, 0) << 4 | label[:, 2] >> 4
    silent = last & np.isin(number, _NO_TRAFFIC_LABELS)
    walk.not_ip(found.where(silent))
    found, last = skip(found.where(~silent), 4), last[~silent]
    walk.then(Header.MPLS, found.where(~last))
    found, first = walk.read(found.where(last), 1)
    wire = first[:, 0] >> 4 == 0
    rest, _ = walk.choose(found.where(~wire), first[~wire, 0] >> 4, {4: 4, 6: 6})
    walk.not_ip(rest)
    _pseudowire(walk, found.where(wire))


def _pseudowire(walk: Walk, found: Candidates) -> None:
    """Ethernet, behind a control word (RFC 4448, 4.6) or at once: told by which of the two makes an EtherType."""
    found = walk.whole(found, _ETHERNET)
    head = gather_rows(walk.data, found.start, _PSEUDOWIRE)
    controlled = np.isin(big16(head, 4 + 12), _INSIDE) & (found.end - found.start >= _PSEUDOWIRE)
    plain = ~controlled & np.isin(big16(head, 12), _INSIDE)
    walk.then(Header.ETHERNET, skip(found.where(controlled), 4))
    walk.then(Header.ETHERNET, found.where(plain))
    walk.not_ip(found.where(~controlled & ~plain))

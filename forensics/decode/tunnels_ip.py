"""Tunnels that are IP protocols of their own: GRE with PPTP and ERSPAN, IP in IP, EtherIP, MPLS in IP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.network import Candidates
from forensics.decode.tunnels_open import Opening, number, skip

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.network import IpPackets

_IPIP, _IPV6, _GRE, _ETHERIP, _MPLS = 4, 41, 47, 97, 137
_CHECKSUM, _ROUTING, _KEY, _SEQUENCE, _ACK = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
_PPP_TYPE, _WCCP, _ERSPAN, _ERSPAN3, _MPLS_TYPE = 0x880B, 0x883E, 0x88BE, 0x22EB, 0x8847
_BY_ETHERTYPE: Final = (0x0800, 0x86DD, 0x6558, _MPLS_TYPE, 0x8848)
_PPP_TYPES: Final = (_PPP_TYPE, 0x88D2, 0x8881)  # PPP, and the names that CDMA2000 gave it
_ERSPAN3_IP: Final = 2


def open_ip(data: npt.NDArray[np.uint8], packets: IpPackets) -> Opening:
    """What stands behind the IP headers of ``packets``, which are numbered as they come."""
    found = Candidates(
        row=np.arange(len(packets), dtype=np.int64),
        start=packets.payload,
        end=packets.captured,
        wire_length=packets.limit - packets.payload,
    )
    opening = Opening(data, len(packets))
    for proto in np.unique(packets.proto).tolist():
        mine = found.where(packets.proto == proto)
        if proto == _GRE:
            _gre(opening, mine)
        elif proto in (_IPIP, _IPV6):
            six = packets.version[mine.row] == 6  # noqa: PLR2004 - IP version
            opening.name(mine, "6in4" if proto == _IPV6 else "ip-in-ip")
            opening.name(mine.where(six), "ip-in-ipv6")
            opening.ip(mine, 6 if proto == _IPV6 else 0)
        elif proto == _ETHERIP:
            mine, head = opening.read(mine, 2)
            mine = skip(mine, 2, head[:, 0] >> 4 == 3)  # noqa: PLR2004 - version (RFC 3378, 3)
            opening.name(mine, "etherip")
            opening.ethernet(mine)
        elif proto == _MPLS:
            opening.name(mine, "mpls-in-ip")
            opening.ethertype(mine, np.full(len(mine.row), _MPLS_TYPE, dtype=np.int32))
    return opening


def _gre(opening: Opening, found: Candidates) -> None:
    found, head = opening.read(found, 4)
    flags, kind = number(head, 0, 2), number(head, 2, 2)
    # A checksum takes four bytes: RFC 2784, 2.1.
    key_at = 4 + np.where(flags & _CHECKSUM, 4, 0)
    keyed = (flags & _KEY) != 0
    size = key_at + np.where(keyed, 4, 0) + np.where(flags & _SEQUENCE, 4, 0)
    version = flags & 7
    size += np.where((version == 1) & ((flags & _ACK) != 0), 4, 0)  # RFC 2637, 4.1
    # Source routes (RFC 1701) must not be accepted by who does not know them: RFC 2784, 2.3.
    whole = (found.end - found.start >= size) & (version <= 1) & ((flags & _ROUTING) == 0)
    key = np.where(keyed, number(gather_rows(opening.data, found.start + key_at, 4), 0, 4), -1)
    found = skip(found, size, whole)
    flags, kind, key, version = flags[whole], kind[whole], key[whole], version[whole]
    pptp = (version == 1) & (kind == _PPP_TYPE)
    opening.name(found.where(pptp), "pptp", key[pptp] & 0xFFFF)
    opening.ppp(found.where(pptp))
    plain = version == 0
    opening.name(found.where(plain), "gre", key[plain])
    opening.ppp(found.where(plain & np.isin(kind, _PPP_TYPES)))
    typed = plain & np.isin(kind, _BY_ETHERTYPE)
    opening.ethertype(found.where(typed), kind[typed].astype(np.int32))
    _wccp(opening, found.where(plain & (kind == _WCCP)))
    mirrored = plain & np.isin(kind, (_ERSPAN, _ERSPAN3))
    if mirrored.any():
        _erspan(
            opening, found.where(mirrored), (kind == _ERSPAN)[mirrored] & ((flags & _SEQUENCE) == 0)[mirrored]
        )


def _wccp(opening: Opening, found: Candidates) -> None:
    """Redirected packets (draft-wilson-wrec-wccp-v2-01): version 2 puts four bytes before IPv4."""
    found, head = opening.read(found, 1)
    opening.ip(skip(found, np.where(head[:, 0] >> 4 == 4, 0, 4)))  # noqa: PLR2004 - IP version


def _erspan(opening: Opening, found: Candidates, first: npt.NDArray[np.bool_]) -> None:
    """Type I has no header of its own, and no sequence number in GRE tells it."""
    opening.name(found, "gre>erspan")
    opening.ethernet(found.where(first))
    found, head = opening.read(found.where(~first), 8)
    session = number(head, 2, 2) & 0x3FF
    opening.name(found, "gre>erspan", session)
    version = head[:, 0] >> 4
    opening.ethernet(skip(found, 8, version == 1))
    found, head = opening.read(found.where(version == 2), 12)  # noqa: PLR2004 - of the header of type III
    size = 12 + np.where(head[:, 11] & 1, 8, 0)
    content = (head[:, 10] >> 2) & 0x1F
    opening.ethernet(skip(found, size, content == 0))
    opening.ip(skip(found, size, content == _ERSPAN3_IP))

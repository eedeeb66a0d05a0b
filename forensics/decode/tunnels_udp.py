"""Tunnels in UDP, told by their port: Teredo, VXLAN and VXLAN-GPE, Geneve, GTP-U, L2TP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.network import Candidates
from forensics.decode.tunnels_open import Opening, number, skip

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

_MAX_EXTENSIONS: Final = 16
_TPDU: Final = 0xFF


def open_udp(
    data: npt.NDArray[np.uint8], rows: dict[str, npt.NDArray[Any]]
) -> tuple[npt.NDArray[np.int64], Opening]:
    """Which of ``rows`` (columns of the packet table) have a tunnel's port, and what they hold, in that order."""
    udp = np.flatnonzero(rows["proto"] == 17)  # noqa: PLR2004 - UDP
    sport, dport = rows["sport"][udp], rows["dport"][udp]
    # Wireshark asks what it knows for the lower port first.
    low, high = _BY_PORT[np.minimum(sport, dport)], _BY_PORT[np.maximum(sport, dport)]
    kind = np.where(low, low, high)
    places = np.flatnonzero(kind)
    kind, udp = kind[places], udp[places]
    start = rows["payload_offset"][udp]
    found = Candidates(
        row=np.arange(len(udp), dtype=np.int64),
        start=start,
        end=start + rows["payload_captured"][udp],
        wire_length=rows["payload_len"][udp].astype(np.int64),
    )
    opening = Opening(data, len(udp))
    if len(udp):
        for place, (_, read) in enumerate(_READERS, 1):
            mine = kind == place
            if mine.any():
                read(opening, found.where(mine))
    return udp, opening


def _teredo(opening: Opening, found: Candidates) -> None:
    """RFC 4380, 5.1.1: both headers may stand before IPv6, authentication first."""
    opening.name(found, "teredo")
    found, head = opening.read(found, 4)
    authentic = (head[:, 0] == 0) & (head[:, 1] == 1)
    found = skip(found, np.where(authentic, 13 + head[:, 2].astype(np.int64) + head[:, 3], 0))
    found, head = opening.read(found, 2)
    found = skip(found, np.where((head[:, 0] == 0) & (head[:, 1] == 0), 8, 0))
    opening.ip(found.where(found.end > found.start), 6)


def _vxlan(opening: Opening, found: Candidates) -> None:
    found, head = opening.read(found, 8)
    valid = (head[:, 0] & 8) != 0  # the network identifier must be valid: RFC 7348, 5
    found = skip(found, 8, valid)
    opening.name(found, "vxlan", number(head, 4, 3)[valid])
    opening.ethernet(found)


def _vxlan_gpe(opening: Opening, found: Candidates) -> None:
    found, head = opening.read(found, 8)
    opening.name(found, "vxlan-gpe", number(head, 4, 3))
    found, following = skip(found, 8), head[:, 3]
    opening.ip(found.where(following == 1), 4)
    opening.ip(found.where(following == 2), 6)  # noqa: PLR2004 - next protocols (section 3.2 there)
    opening.ethernet(found.where(following == 3))  # noqa: PLR2004


def _geneve(opening: Opening, found: Candidates) -> None:
    found, head = opening.read(found, 8)
    first = head[:, 0].astype(np.int64)
    size = 8 + (first & 0x3F) * 4
    good = (first >> 6 == 0) & (size <= found.end - found.start)
    kind = number(head, 2, 2)[good].astype(np.int32)
    found = skip(found, size, good)
    opening.name(found, "geneve", number(head, 4, 3)[good])
    opening.ethertype(found, kind)


def _gtp_u(opening: Opening, found: Candidates) -> None:
    """3GPP TS 29.281, 5.1: four bytes more where any of three flags is set, then extension headers."""
    found, head = opening.read(found, 12)
    flags = head[:, 0]
    carries = (flags >> 4 == 3) & (head[:, 1] == _TPDU)  # noqa: PLR2004 - version 1, protocol type GTP
    found, head, flags = found.where(carries), head[carries], flags[carries]
    opening.name(found, "gtp-u", number(head, 4, 4))
    start = found.start + np.where(flags & 7, 12, 8)
    following = np.where(flags & 4, head[:, 11], 0)
    for _ in range(_MAX_EXTENSIONS):
        if not following.any():
            break
        extended = np.flatnonzero(following)
        begin, end = start[extended], found.end[extended]
        size = gather_rows(opening.data, begin, 1)[:, 0].astype(np.int64) * 4
        good = (size > 0) & (begin + size < end)
        last = gather_rows(opening.data, begin + np.maximum(size, 1) - 1, 1)[:, 0]
        following[extended] = np.where(good, last, 0)
        start[extended] = np.where(good, begin + size, end)
    found = skip(found, start - found.start, (following == 0) & (start < found.end))
    found, head = opening.read(found, 1)
    # As Wireshark tells them: a byte of PPP begins otherwise than IP.
    four = (head[:, 0] >= 0x45) & (head[:, 0] <= 0x4E)  # noqa: PLR2004
    six = head[:, 0] >> 4 == 6  # noqa: PLR2004 - IP version
    opening.ip(found.where(four | six))
    opening.ppp(found.where(~(four | six)))


def _l2tp(opening: Opening, found: Candidates) -> None:
    """RFC 2661, 3.1."""
    found, head = opening.read(found, 6)
    flags = number(head, 0, 2)
    size = 6 + np.where(flags & 0x4000, 2, 0)
    ids = np.where(
        flags & 0x4000, number(gather_rows(opening.data, found.start + 4, 4), 0, 4), number(head, 2, 4)
    )
    size += np.where(flags & 0x0800, 4, 0)
    offset = np.where(flags & 0x0200, number(gather_rows(opening.data, found.start + size, 2), 0, 2) + 2, 0)
    data = (flags & 0x800F == 2) & (size + offset <= found.end - found.start)  # noqa: PLR2004 - version
    opening.name(found.where(data), "l2tp", ids[data])
    opening.ppp(skip(found, size + offset, data))


_READERS: Final[tuple[tuple[int, Callable[[Opening, Candidates], None]], ...]] = (
    (3544, _teredo),
    (4789, _vxlan),
    (4790, _vxlan_gpe),
    (6081, _geneve),
    (2152, _gtp_u),
    (2123, _gtp_u),  # meant for control messages, but Wireshark reads both on all three
    (3386, _gtp_u),
    (1701, _l2tp),
)
_BY_PORT: Final = np.zeros(1 << 16, dtype=np.uint8)
_BY_PORT[[port for port, _ in _READERS]] = np.arange(1, len(_READERS) + 1)

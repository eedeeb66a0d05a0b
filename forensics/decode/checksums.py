"""Checksums of IPv4 headers (RFC 791), TCP (RFC 9293) and UDP (RFC 768, RFC 8200 8.1), of a sample of the packets.

A wrong checksum is noted and never a reason to drop: where the capturing host leaves checksums to its network card, its
own packets are captured before the card fills them in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.decode.flags import TCP, UDP

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.network import IpPackets

ALL_UP_TO: Final = 1024
EVERY: Final = 512
"""Looked at are the frames 1 to ALL_UP_TO, and of later ones those whose number is a multiple of EVERY."""
MAX_SENDERS: Final = 1000
_ONES: Final = 0xFFFF
_FIELD: Final = {TCP: 16, UDP: 6}
_SMALLEST: Final = {TCP: 20, UDP: 8}
_V6_HEADER: Final = 40


@dataclass
class ChecksumCounts:
    """What the sample showed; headers in tunnels are among it."""

    ip_checked: int = 0
    ip_bad: int = 0
    tcp_checked: int = 0
    """Segments that were captured whole."""
    tcp_bad: int = 0
    tcp_offloaded: int = 0
    """Of the bad ones those that hold the sum of the pseudo-header alone, as the host leaves it to its card."""
    udp_checked: int = 0
    """Datagrams that were captured whole and carry a checksum."""
    udp_bad: int = 0
    udp_offloaded: int = 0
    senders: set[int] = field(default_factory=set)
    """Address ids that sent the bad ones; the first MAX_SENDERS."""

    def look(self, data: npt.NDArray[np.uint8], packets: IpPackets, first_frame: int) -> None:
        """Check those of the packets that belong to the sample; none of them is a fragment."""
        frame = packets.row + first_frame
        rows = np.flatnonzero((frame <= ALL_UP_TO) | (frame % EVERY == 0))
        if not len(rows):
            return
        columns = ("version", "proto", "src", "length", "payload", "limit", "captured")
        lists = [getattr(packets, name)[rows].tolist() for name in columns]
        for version, proto, src, length, payload, limit, captured in zip(*lists, strict=True):
            start = limit - length
            if start < 0 or payload > captured:
                continue
            head = data[start:payload].tobytes()
            if version == 4:  # noqa: PLR2004 - IP version
                self.ip_checked += 1
                self.ip_bad += int.from_bytes(head, "big") % _ONES != 0
            elif len(head) != _V6_HEADER:  # a routing header may hold the address that counts
                continue
            if proto in _FIELD:
                self._transport(data[payload:captured].tobytes(), limit - payload, head, (proto, src))

    def _transport(self, body: bytes, size: int, head: bytes, who: tuple[int, int]) -> None:
        proto, src = who
        if len(body) < _SMALLEST[proto]:
            return
        if proto == UDP:
            size = int.from_bytes(body[4:6], "big")
        if not _SMALLEST[proto] <= size <= len(body):
            return
        at = _FIELD[proto]
        said = int.from_bytes(body[at : at + 2], "big")
        if proto == UDP and not said:
            return
        addresses = head[8:] if len(head) == _V6_HEADER and head[0] >> 4 == 6 else head[12:20]  # noqa: PLR2004
        pseudo = int.from_bytes(addresses, "big") + proto + size
        odd = size % 2
        # 2¹⁶ = 1 modulo 2¹⁶ - 1: the ones' complement sum is the remainder (RFC 1071, 2).
        bad = (pseudo + (int.from_bytes(body[:size], "big") << 8 * odd)) % _ONES != 0
        offloaded = bad and said == (pseudo % _ONES or _ONES)
        if proto == TCP:
            self.tcp_checked += 1
            self.tcp_bad += bad
            self.tcp_offloaded += offloaded
        else:
            self.udp_checked += 1
            self.udp_bad += bad
            self.udp_offloaded += offloaded
        if bad and len(self.senders) < MAX_SENDERS:
            self.senders.add(src)

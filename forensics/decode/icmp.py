"""ICMP (RFC 792) and ICMPv6 (RFC 4443) errors: which TCP or UDP packet they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.network import Candidates, read_ip

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.addresses import AddressBook
    from forensics.decode.network import IpPackets

ICMP: Final = 1
ICMPV6: Final = 58
_HEADER: Final = 8
_TCP, _UDP = 6, 17
# Unreachable, source quench, redirect, time exceeded, parameter problem; and the four errors of ICMPv6.
_V4_ERRORS: Final = (3, 4, 5, 11, 12)
_V6_ERRORS: Final = (1, 2, 3, 4)


def read_icmp_errors(
    data: npt.NDArray[np.uint8], packets: IpPackets, book: AddressBook
) -> dict[str, npt.NDArray[Any]]:
    """Columns of the packet table for each error whose quote reaches the ports; payload columns are absent."""
    head = gather_rows(data, packets.payload, _HEADER)
    four = packets.version == 4  # noqa: PLR2004 - IP version
    error = np.where(four, np.isin(head[:, 0], _V4_ERRORS), np.isin(head[:, 0], _V6_ERRORS))
    error &= packets.captured - packets.payload >= _HEADER
    packets, head = packets.where(error), head[error]
    start = packets.payload + _HEADER
    quote = Candidates(
        row=np.arange(len(packets), dtype=np.int64),
        start=start,
        end=packets.captured,
        wire_length=packets.limit - start,
    )
    quoted = read_ip(data, quote, packets.version, book, None)
    room = quoted.captured - quoted.payload
    usable = np.isin(quoted.proto, (_TCP, _UDP)) & ~quoted.later_fragment & (room >= 4)  # noqa: PLR2004 - ports
    quoted, room = quoted.where(usable), room[usable]
    packets, head = packets.where(np.isin(quote.row, quoted.row)), head[quoted.row]
    transport = gather_rows(data, quoted.payload, 16)
    ports = transport[:, :4].copy().view(">u2")
    seq = transport[:, 4:8].copy().view(">u4").reshape(-1)
    tcp = quoted.proto == _TCP
    return {
        "row": packets.row,
        "proto": quoted.proto,
        "src": quoted.src,
        "dst": quoted.dst,
        "sport": ports[:, 0],
        "dport": ports[:, 1],
        "ttl": packets.ttl,
        "ipid": packets.ipid,
        "df": packets.df,
        "ip_bytes": packets.length,
        "flags": np.where(tcp & (room >= 14), transport[:, 13], 0),  # noqa: PLR2004 - the flags are byte 13
        "seq": np.where(tcp & (room >= 8), seq, 0),  # noqa: PLR2004 - the sequence number ends there
        "icmp_type": head[:, 0].astype(np.int16),
        "icmp_code": head[:, 1].astype(np.int16),
        "icmp_from": packets.src,
    }

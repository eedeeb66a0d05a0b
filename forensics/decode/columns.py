"""The packet table: one row per TCP or UDP header of a batch, and one per ICMP error that quotes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

PACKET_COLUMNS: Final[dict[str, type[np.generic]]] = {
    "frame": np.int64,  # 1-based, as Wireshark; rises, and repeats where one frame holds several headers
    "time": np.int64,  # ns since the epoch
    "proto": np.uint8,  # 6 TCP, 17 UDP
    "src": np.int64,  # address id, see AddressBook
    "dst": np.int64,
    "sport": np.uint16,
    "dport": np.uint16,
    "ttl": np.uint8,  # IPv4 TTL or IPv6 hop limit
    "ipid": np.int32,  # IPv4 identification; -1 for IPv6
    "df": np.bool_,  # IPv4 don't-fragment; false for IPv6
    "ip_bytes": np.int32,  # length of the IP packet by its header (the wire length when offload left 0 there)
    "flags": np.uint8,  # TCP flags CWR..FIN; 0 for UDP
    "seq": np.uint32,  # raw, as on the wire; 0 for UDP
    "ack": np.uint32,
    "window": np.uint16,  # unscaled
    "payload_len": np.int32,  # transport payload on the wire, by the headers
    "payload_offset": np.int64,  # into Decoded.data
    "payload_captured": np.int32,  # bytes of it that are really in Decoded.data
    # -1: an ordinary packet. Else the ICMP or ICMPv6 type of an error whose quoted packet
    "icmp_type": np.int16,
    # fills src..dport, flags (0 where cut off) and seq; payload columns are 0, ttl is that of the ICMP packet
    "icmp_code": np.int16,
    "icmp_from": np.int64,  # address id of the ICMP sender; -1 for an ordinary packet
    "tunnel": np.int32,  # what carried the packet, see TunnelBook; -1 for a packet that came as it is
    "carrier": np.bool_,  # the UDP header of a tunnel: it has a stream number, what it carries stands in later rows
    "uid": np.int32,  # UID of the phone's app that owned the packet; -1 when the capture does not say
    "checksum": np.uint16,  # of the TCP or UDP header, as it stands there; 0 for none
}
"""Column names and dtypes. Units and meaning stand beside each line."""
ABSENT: Final = {"icmp_type": -1, "icmp_code": -1, "icmp_from": -1, "tunnel": -1, "uid": -1}
"""Value of a column that a source of rows does not fill; 0 for all others."""


@dataclass(frozen=True)
class PacketTable:
    """Columns of PACKET_COLUMNS as numpy arrays of one length, in frame order."""

    columns: dict[str, npt.NDArray[Any]]

    def __post_init__(self) -> None:
        """All columns, in the types above."""
        whole = self.columns
        if len(whole) != len(PACKET_COLUMNS):
            size = len(whole["frame"])
            for name, dtype in PACKET_COLUMNS.items():
                if name not in whole:
                    whole[name] = np.full(size, ABSENT.get(name, 0), dtype=dtype)
        for name, dtype in PACKET_COLUMNS.items():
            whole[name] = np.ascontiguousarray(whole[name], dtype=dtype)

    @classmethod
    def of_rows(cls, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> PacketTable:
        """From rows written down by hand: values in column order (the last ones may be left out), or by name."""
        full = []
        for row in rows:
            named = dict(zip(PACKET_COLUMNS, row, strict=False)) if not hasattr(row, "keys") else dict(row)
            full.append([named.get(name, ABSENT.get(name, 0)) for name in PACKET_COLUMNS])
        columns = zip(*full, strict=True) if full else [()] * len(PACKET_COLUMNS)
        return cls(
            {
                name: np.array(values, dtype=dtype)
                for (name, dtype), values in zip(PACKET_COLUMNS.items(), columns, strict=True)
            }
        )

    def __len__(self) -> int:
        return len(self.columns["frame"])

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """One column."""
        return self.columns[name]

    def where(self, chosen: npt.NDArray[Any]) -> PacketTable:
        """Only the rows that a mask or an array of row numbers selects."""
        return PacketTable({name: values[chosen] for name, values in self.columns.items()})

    def to_dicts(self) -> list[dict[str, Any]]:
        """Rows as dictionaries of Python values."""
        lists = {name: values.tolist() for name, values in self.columns.items()}
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


@dataclass(frozen=True)
class Decoded:
    """What a batch of raw packets gave."""

    packets: PacketTable
    data: npt.NDArray[np.uint8]
    """What ``payload_offset`` points into: the data of the batch, or a copy of it with reassembled datagrams behind."""

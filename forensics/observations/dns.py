"""The dns table: one row per transaction, which is a query and all that answered it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from forensics.observations.dns_stream import OPEN, DnsReader, looks_like_dns
from forensics.observations.dns_summary import add_cross_row_columns, transactions
from forensics.observations.dns_transactions import KEPT, PORTS, TCP, UDP, Carried, Transactions
from forensics.observations.streams import Opener
from forensics.protocols.dns import parse_message
from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.addresses import AddressBook
    from forensics.decode.columns import PacketTable
    from forensics.flows.arrays import BoolArray
    from forensics.flows.engine import FlowEngine
    from forensics.observations.streams import Opening, StreamReader

__all__ = ["KEPT", "DnsCollector", "asks_for_names"]

DNS_PORT: Final = 53
MDNS_PORT: Final = 5353
MAX_OPEN: Final = 1 << 16
"""Transactions over UDP kept open; past it the oldest is closed."""
_ROWS_A_FRAME: Final = 4096
"""Finished rows that are kept as Python values, which take ten times the memory of a table."""
_FRAMES_KEPT: Final = 4


def asks_for_names(sport: npt.NDArray[np.uint16], dport: npt.NDArray[np.uint16]) -> BoolArray:
    """Which UDP packets, by their ports, may be DNS, multicast DNS or LLMNR."""
    found = np.zeros(len(sport), dtype=np.bool_)
    for port in PORTS:
        found |= (sport == port) | (dport == port)
    return found


class DnsCollector:
    """Follows DNS through a capture; how that is cut into batches makes no difference.

    ``add`` is given the packets of UDP, ``opener`` makes readers of TCP connections.
    """

    def __init__(self) -> None:
        self.not_dns = 0
        """Datagrams on port 53, and beginnings of TCP connections, that are not DNS."""
        self.cut = 0
        """Messages whose question the capture did not keep."""
        self._udp = Transactions(UDP, MAX_OPEN, self._done)
        self._frames: list[pl.DataFrame] = []
        self._closed: list[tuple[Any, ...]] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> DnsCollector:
        """The table so far, for a look at it; only streams, which are copied with it, can still add to it."""
        other = DnsCollector()
        memo[id(self)] = other
        other.not_dns, other.cut = self.not_dns, self.cut
        other._frames = self._frames.copy()
        # What is open changes in place: of each what it shows by now is less to copy than all it is made of.
        other._closed = [*self._closed, *self._udp.rows()]
        return other

    def add(
        self,
        packets: PacketTable,
        stream: npt.NDArray[np.int64],
        clock: npt.NDArray[np.int64],
        data: npt.NDArray[np.uint8],
        copied: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Takes the next packets, in frame order: only UDP packets with payload that ``asks_for_names``.

        Of each: ``stream`` (Wireshark's udp.stream), ``clock`` (ns: the running maximum of ``time``), and whether the
        capture holds it a second time. ``data`` is the uint8 array that ``payload_offset`` points into.
        """
        twice = np.zeros(len(stream), dtype=np.bool_) if copied is None else copied
        given: dict[str, npt.NDArray[Any]] = {"stream": stream, "clock": clock, "copied": twice}
        columns = [(given[name] if name in given else packets[name]).tolist() for name in Carried._fields]
        for row in zip(*columns, strict=True):
            packet = Carried._make(row)
            payload = data[packet.payload_offset : packet.payload_offset + packet.payload_captured].tobytes()
            whole = packet.payload_captured >= packet.payload_len
            ports = (packet.sport, packet.dport)
            try:
                message = parse_message(payload, multicast=DNS_PORT not in ports and MDNS_PORT in ports)
            except ProtocolError:
                known = False
                whole_or_cut = "not_dns" if whole else "cut"
            else:
                known = self._udp.add(packet, message, payload, whole=whole)
                whole_or_cut = "not_dns"
            if not known and DNS_PORT in ports:
                self._count(whole_or_cut)

    def opener(self, engine: FlowEngine) -> Opener:
        """What makes readers of DNS over TCP; ``engine`` is the one that the streams are followed with."""

        def make(opening: Opening) -> StreamReader:
            keys = engine.conversations.flows
            ends = int(keys["lo"][opening.flow]), int(keys["hi"][opening.flow])
            mine = Transactions(TCP, OPEN, self._done)
            return DnsReader(opening, ends, int(keys["stream"][opening.flow]), mine, self._count)

        return Opener("dns", looks_like_dns, make)

    def _count(self, what: str) -> None:
        if what == "cut":
            self.cut += 1
        else:
            self.not_dns += 1

    def _done(self, row: tuple[Any, ...]) -> None:
        self._closed.append(row)
        if len(self._closed) >= _ROWS_A_FRAME:
            self._frames.append(transactions(self._closed))
            self._closed.clear()

    @property
    def height(self) -> int:
        """Rows that are finished."""
        return sum(frame.height for frame in self._frames) + len(self._closed)

    def forget(self) -> None:
        """Drop finished rows but for the last some thousand, which flows that go on may have begun with."""
        del self._frames[:-_FRAMES_KEPT]

    def finish(self, book: AddressBook) -> pl.DataFrame:
        """The table so far, with the schema of ``dictionary.DNS``; more packets may be added afterwards.

        Streams are finished before. Columns from ``pool`` on are null (lists: empty): later rooms fill them.
        """
        frames = [*self._frames, transactions([*self._closed, *self._udp.rows()])]
        whole = pl.concat(frames).sort("first_frame", maintain_order=True)
        return add_cross_row_columns(whole, book)

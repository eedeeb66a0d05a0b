"""A batch of raw packets to the packet table: TCP (RFC 9293), UDP (RFC 768) and the errors that quote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.addresses import AddressBook
from forensics.decode.columns import ABSENT, Decoded, PacketTable
from forensics.decode.counts import DecodeCounts
from forensics.decode.flags import TCP, UDP
from forensics.decode.icmp import ICMP, ICMPV6, read_icmp_errors
from forensics.decode.link import find_network
from forensics.decode.network import Candidates, read_ip
from forensics.decode.pcapdroid import PhoneNotes

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.capture.batch import Batch
    from forensics.decode.network import IpPackets

_TCP: Final = np.dtype([
    ("sport", ">u2"), ("dport", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("offset", "u1"), ("flags", "u1"),
    ("window", ">u2"), ("checksum", ">u2"), ("urgent", ">u2"),
])  # fmt: skip
_UDP_LENGTH: Final = 8


class Decoder:
    """Turns the batches of one capture, in their order, into packet tables.

    Rows of ICMP errors take ``ipid``, ``df`` and ``ip_bytes`` from the ICMP packet itself, as they do its
    TTL; ``ack`` and ``window`` are 0 there.
    """

    def __init__(self) -> None:
        self.book = AddressBook()
        self.counts = DecodeCounts()
        self.phone = PhoneNotes()

    def known(self) -> tuple[int, ...]:
        """Length of every book of ids."""
        return (len(self.book),)

    def since(self, known: tuple[int, ...]) -> tuple[Any, ...]:
        """What the books have beyond ``known``, for the decoder of another process."""
        return (self.book.since(known[0]),)

    def extend(self, grown: tuple[Any, ...]) -> None:
        """Take over what ``since`` gave in another process."""
        self.book.extend(grown[0])

    def facts(self) -> tuple[Any, ...]:
        """What is complete after the last batch."""
        return self.counts, self.phone

    def take_over(self, facts: tuple[Any, ...]) -> None:
        """Have the facts of another process's decoder."""
        self.counts, self.phone = facts

    def decode(self, batch: Batch) -> Decoded:
        """The rows that ``batch`` gives, in frame order; everything else is added to ``counts``."""
        packets = _decode(batch, self.book, self.counts)
        uid = self.phone.uids(batch)
        if uid is not None:
            packets.columns["uid"] = uid[packets["frame"] - batch.first_frame]
        self.phone.see(packets, self.book)
        return Decoded(packets, batch.data)


def _decode(batch: Batch, book: AddressBook, counts: DecodeCounts) -> PacketTable:
    counts.packets += len(batch)
    network = find_network(batch, counts)
    row = network.row
    found = Candidates(
        row=row,
        start=network.start,
        end=batch.offset[row] + batch.caplen[row],
        wire_length=batch.wirelen[row] - (network.start - batch.offset[row]),
    )
    packets = read_ip(batch.data, found, network.version, book, counts)
    if packets.fragment.any():
        counts.fragments += int(np.count_nonzero(packets.fragment))
        packets = packets.where(~packets.fragment)
    tcp, udp = packets.proto == TCP, packets.proto == UDP
    plain = tcp | udp
    if plain.all():
        return _frame(batch, _read_transport(batch.data, packets, counts))
    icmp = np.where(packets.version == 4, packets.proto == ICMP, packets.proto == ICMPV6)  # noqa: PLR2004
    counts.other_ip += int(np.count_nonzero(~plain & ~icmp))
    rows = _read_transport(batch.data, packets.where(plain), counts)
    errors = read_icmp_errors(batch.data, packets.where(icmp), book)
    counts.icmp_errors += len(errors["row"])
    counts.icmp_other += int(np.count_nonzero(icmp)) - len(errors["row"])
    if len(errors["row"]):
        order = np.argsort(np.concatenate([rows["row"], errors["row"]]), kind="stable")
        size = len(rows["row"]), len(errors["row"])
        rows = {
            name: np.concatenate(
                [
                    np.broadcast_to(rows.get(name, ABSENT.get(name, 0)), size[0]),
                    np.broadcast_to(errors.get(name, 0), size[1]),
                ]
            )[order]
            for name in {**rows, **errors}
        }
    return _frame(batch, rows)


def _read_transport(
    data: npt.NDArray[np.uint8], packets: IpPackets, counts: DecodeCounts
) -> dict[str, npt.NDArray[Any]]:
    """Columns of TCP and UDP packets; headers that cannot be are counted and left out."""
    header = gather_rows(data, packets.payload, _TCP.itemsize).view(_TCP).reshape(-1)
    size = packets.limit - packets.payload
    room = packets.captured - packets.payload
    tcp = packets.proto == TCP
    header_length = np.where(tcp, (header["offset"] >> 4).astype(np.int64) * 4, _UDP_LENGTH)
    smallest = np.where(tcp, _TCP.itemsize, _UDP_LENGTH)
    good = (room >= smallest) & (header_length >= smallest) & (header_length <= size)
    udp_only = not tcp.all()
    if udp_only:
        # UDP has its length where TCP has the upper half of the sequence number; in a jumbogram it is 0 (RFC 2675).
        udp_length = (header["seq"] >> 16).astype(np.int64)
        whole = tcp | ((udp_length == 0) & (packets.version == 6))  # noqa: PLR2004 - IPv6
        size = np.where(whole, size, np.minimum(size, udp_length))
        good &= header_length <= size
    if not good.all():
        counts.bad_transport_header += int(np.count_nonzero(~good))
        packets = packets.where(good)
        header, size, header_length, tcp = header[good], size[good], header_length[good], tcp[good]
    counts.tcp += int(np.count_nonzero(tcp))
    counts.udp += int(np.count_nonzero(~tcp))
    start = np.minimum(packets.payload + header_length, packets.captured)
    payload = size - header_length
    return {
        "row": packets.row,
        "proto": packets.proto,
        "src": packets.src,
        "dst": packets.dst,
        "sport": header["sport"],
        "dport": header["dport"],
        "ttl": packets.ttl,
        "ipid": packets.ipid,
        "df": packets.df,
        "ip_bytes": packets.length,
        "flags": header["flags"] * tcp,
        "seq": header["seq"] * tcp,
        "ack": header["ack"] * tcp,
        "window": header["window"] * tcp,
        "checksum": np.where(tcp, header["checksum"], header["seq"] & 0xFFFF) if udp_only else header["checksum"],
        "payload_len": payload,
        "payload_offset": start,
        "payload_captured": np.minimum(payload, packets.captured - start),
    }


def _frame(batch: Batch, rows: dict[str, npt.NDArray[Any]]) -> PacketTable:
    row = rows.pop("row")
    rows["frame"] = row + batch.first_frame
    rows["time"] = batch.time[row]
    return PacketTable(rows)

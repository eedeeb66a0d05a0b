"""A batch of raw packets to the packet table: TCP (RFC 9293), UDP (RFC 768) and the errors that quote them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.addresses import AddressBook
from forensics.decode.columns import ABSENT, Decoded, PacketTable
from forensics.decode.counts import MAX_OVERLAP_FRAMES, DecodeCounts
from forensics.decode.flags import TCP, UDP
from forensics.decode.fragments import Reassembly
from forensics.decode.icmp import ICMP, ICMPV6, read_icmp_errors
from forensics.decode.link import find_network
from forensics.decode.network import Candidates, in_order, read_ip
from forensics.decode.pcapdroid import PhoneNotes
from forensics.decode.tunnels import KINDS, BatchTunnels, TunnelBook
from forensics.decode.tunnels_ip import open_ip
from forensics.decode.tunnels_udp import open_udp

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.capture.batch import Batch
    from forensics.decode.network import IpPackets
    from forensics.decode.tunnels_open import Opening

_TCP: Final = np.dtype([
    ("sport", ">u2"), ("dport", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("offset", "u1"), ("flags", "u1"),
    ("window", ">u2"), ("checksum", ">u2"), ("urgent", ">u2"),
])  # fmt: skip
_UDP_LENGTH: Final = 8
MAX_TUNNELS: Final = 8
"""Tunnels in one another that are followed."""


class Decoder:
    """Turns the batches of one capture, in their order, into packet tables.

    Rows of ICMP errors take ``ipid``, ``df`` and ``ip_bytes`` from the ICMP packet itself, as they do its
    TTL; ``ack`` and ``window`` are 0 there.
    """

    def __init__(self) -> None:
        self.book = AddressBook()
        self.counts = DecodeCounts()
        self.phone = PhoneNotes()
        self.tunnels = TunnelBook()
        self.fragments: list[Reassembly] = []
        """By depth of tunnels: what waits for the rest of its datagram."""
        self.first_time: int | None = None
        """Of the earliest packet so far (ns since the epoch); None without one that has a time."""
        self.last_time: int | None = None

    def known(self) -> tuple[int, ...]:
        """Length of every book of ids."""
        return len(self.book), len(self.tunnels)

    def since(self, known: tuple[int, ...]) -> tuple[Any, ...]:
        """What the books have beyond ``known``, for the decoder of another process."""
        return self.book.since(known[0]), self.tunnels.since(known[1])

    def extend(self, grown: tuple[Any, ...]) -> None:
        """Take over what ``since`` gave in another process."""
        self.book.extend(grown[0])
        self.tunnels.extend(grown[1])

    def facts(self) -> tuple[Any, ...]:
        """What is complete after the last batch."""
        return self.counts, self.phone, self.first_time, self.last_time

    def take_over(self, facts: tuple[Any, ...]) -> None:
        """Have the facts of another process's decoder."""
        self.counts, self.phone, self.first_time, self.last_time = facts

    def decode(self, batch: Batch) -> Decoded:
        """The rows that ``batch`` gives, in frame order; everything else is added to ``counts``."""
        layers = _Layers(batch, self)
        packets = layers.read()
        uid = self.phone.uids(batch)
        if uid is not None:
            packets.columns["uid"] = uid[packets["frame"] - batch.first_frame]
        self.phone.see(packets, self.book)
        timed = batch.time[batch.time != 0]
        if len(timed):
            low, high = int(timed.min()), int(timed.max())
            self.first_time = low if self.first_time is None else min(self.first_time, low)
            self.last_time = high if self.last_time is None else max(self.last_time, high)
        return Decoded(packets, layers.data)


class _Layers:
    """One batch on its way from its outermost IP headers to what they carry in the end, level by level."""

    def __init__(self, batch: Batch, decoder: Decoder) -> None:
        self.batch = batch
        self.data = batch.data
        self.decoder = decoder
        self.counts = decoder.counts
        self.parts: list[dict[str, npt.NDArray[Any]]] = []
        self.tunnels: BatchTunnels | None = None
        self.tunnel_of = np.empty(0, dtype=np.int64)
        """Of the level at hand: tunnel of this batch that each packet of the batch is in; empty without tunnels."""

    def read(self) -> PacketTable:
        """All rows of the batch."""
        batch, decoder = self.batch, self.decoder
        self.counts.packets += len(batch)
        network = find_network(batch, self.counts)
        row = network.row
        found = Candidates(
            row=row,
            start=network.start,
            end=network.end,
            wire_length=network.wire_length,
        )
        packets: IpPackets | None = read_ip(batch.data, found, network.version, decoder.book, self.counts)
        level = 0
        while packets is not None:
            packets = self._level(packets, level)
            level += 1
        rows = _merged(self.parts)
        if self.tunnels is not None:
            rows["tunnel"] = self.tunnels.numbers(decoder.tunnels, decoder.book)[rows["tunnel"]]
        return _frame(batch, rows)

    def _level(self, packets: IpPackets, level: int) -> IpPackets | None:
        """Rows of the transport headers of this level; gives the IP packets of the next one."""
        self.counts.checksums.look(self.data, packets.where(~packets.fragment), self.batch.first_frame)
        if packets.fragment.any():
            packets = self._put_together(packets, level)
        plain = (packets.proto == TCP) | (packets.proto == UDP)
        rows = _read_transport(self.data, packets.where(plain), self.counts)
        self._add(rows)
        in_udp = self._inside(*open_udp(self.data, rows), rows["row"], rows["src"], rows["dst"])
        in_ip = None
        if not plain.all():
            icmp = np.where(packets.version == 4, packets.proto == ICMP, packets.proto == ICMPV6)  # noqa: PLR2004
            errors = read_icmp_errors(self.data, packets.where(icmp), self.decoder.book)
            self.counts.icmp_errors += len(errors["row"])
            self.counts.icmp_other += int(np.count_nonzero(icmp)) - len(errors["row"])
            if len(errors["row"]):
                self._add(errors)
            others = packets.where(~plain & ~icmp)
            self.counts.other_ip += len(others)
            in_ip = self._inside(
                np.arange(len(others)), open_ip(self.data, others), others.row, others.src, others.dst
            )
        if in_udp is None and in_ip is None:
            return None
        if level >= MAX_TUNNELS:
            self.counts.tunnel_depth_limit += sum(len(one.packets) for one in (in_udp, in_ip) if one)
            return None
        if in_udp is not None:
            rows["carrier"] = np.zeros(len(rows["row"]), dtype=bool)
            rows["carrier"][in_udp.place] = True
            self.counts.udp -= len(in_udp.place)
            self.counts.carriers += len(in_udp.place)
        if in_ip is not None:
            self.counts.other_ip -= len(in_ip.place)
        return self._enter([one for one in (in_udp, in_ip) if one], level)

    def _inside(
        self,
        places: npt.NDArray[np.int64],
        opening: Opening,
        row: npt.NDArray[np.int64],
        src: npt.NDArray[np.int64],
        dst: npt.NDArray[np.int64],
    ) -> _Inside | None:
        """What is carried by headers given as columns, of which ``places`` were looked into."""
        packets = opening.packets(self.decoder.book)
        if packets is None:
            return None
        place = places[packets.row]
        named = (opening.kind[packets.row], src[place], dst[place], opening.key[packets.row])
        return _Inside(replace(packets, row=row[place]), place, named)

    def _enter(self, inside: list[_Inside], level: int) -> IpPackets:
        """Notes the tunnels, and gives what they carry."""
        packets = in_order([one.packets for one in inside])
        row = np.concatenate([one.packets.row for one in inside])
        order = np.argsort(row, kind="stable")
        named = tuple(
            np.concatenate(column)[order] for column in zip(*(one.named for one in inside), strict=True)
        )
        counts = self.counts
        counts.ipv6 += int(np.count_nonzero(packets.version == 6))  # noqa: PLR2004 - IP version
        counts.ipv4 += int(np.count_nonzero(packets.version == 4))  # noqa: PLR2004
        for kind, times in enumerate(np.bincount(named[0]).tolist()):
            if times:
                counts.tunnels[KINDS[kind]] = counts.tunnels.get(KINDS[kind], 0) + times
        if self.tunnels is None:
            self.tunnels = BatchTunnels()
            self.tunnel_of = np.full(len(self.batch), -1, dtype=np.int64)
        row = row[order]
        self.tunnel_of[row] = self.tunnels.note(row, level, self.tunnel_of[row], named)
        return packets

    def _add(self, rows: dict[str, npt.NDArray[Any]]) -> None:
        if self.tunnels is not None:
            rows["tunnel"] = self.tunnel_of[rows["row"]]
        self.parts.append(rows)

    def _put_together(self, packets: IpPackets, level: int) -> IpPackets:
        """Without fragments, but for the datagrams that they complete."""
        fragment = packets.fragment
        # As Wireshark does: what was captured of a first fragment is all that there will ever be.
        cut = fragment & ~packets.later_fragment & (packets.captured < packets.limit)
        cut &= packets.version == 4  # noqa: PLR2004 - of IPv6 it reads none
        self.counts.fragments += int(np.count_nonzero(fragment))
        self.counts.fragments_read += int(np.count_nonzero(cut))
        pieces = packets.where(fragment & ~cut)
        chains = None
        if self.tunnels is not None:
            chains = [self.tunnels.chain(number) for number in self.tunnel_of[pieces.row].tolist()]
        states = self.decoder.fragments
        while len(states) <= level:
            states.append(Reassembly())
        made, self.data, overlapping = states[level].put_together(
            self.data, pieces, self.batch.time[pieces.row], chains, self.counts
        )
        if len(overlapping):
            frames = {*self.counts.fragment_overlap_frames, *(overlapping + self.batch.first_frame).tolist()}
            self.counts.fragment_overlap_frames = sorted(frames)[:MAX_OVERLAP_FRAMES]
        return in_order([packets.where(~fragment | cut), made])


@dataclass(frozen=True)
class _Inside:
    """IP packets that came in tunnels; one element a packet."""

    packets: IpPackets
    place: npt.NDArray[np.int64]
    """Of what carries them, among its kind."""
    named: tuple[npt.NDArray[np.int64], ...]
    """Kind, source, target and key of the tunnel."""


def _merged(parts: list[dict[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Columns of all parts in frame order; within a frame in the order of the parts."""
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part["row"]) for part in parts]
    order = np.argsort(np.concatenate([part["row"] for part in parts]), kind="stable")
    return {
        name: np.concatenate(
            [
                np.broadcast_to(part.get(name, ABSENT.get(name, 0)), size)
                for part, size in zip(parts, sizes, strict=True)
            ]
        )[order]
        for name in {name: None for part in parts for name in part}
    }


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
        "checksum": np.where(tcp, header["checksum"], header["seq"] & 0xFFFF)
        if udp_only
        else header["checksum"],
        "payload_len": payload,
        "payload_offset": start,
        "payload_captured": np.minimum(payload, packets.captured - start),
    }


def _frame(batch: Batch, rows: dict[str, npt.NDArray[Any]]) -> PacketTable:
    row = rows.pop("row")
    rows["frame"] = row + batch.first_frame
    rows["time"] = batch.time[row]
    return PacketTable(rows)

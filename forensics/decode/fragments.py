"""IP fragments put together: IPv4 (RFC 791, RFC 815) and IPv6 (RFC 8200, 4.5, and RFC 5722)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.capture.gather import gather_rows
from forensics.decode.network import FRAGMENT, MAX_EXTENSIONS, IpPackets, extension_sizes, walk_extensions

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.counts import DecodeCounts

TIMEOUT_V4: Final = 30 * 10**9
"""Nanoseconds of capture time after its first fragment that a datagram may take, as Linux has it."""
TIMEOUT_V6: Final = 60 * 10**9
"""The same for IPv6: RFC 8200, 4.5."""
MAX_OPEN: Final = 16_384
"""Datagrams that are waited for at a time, the oldest being given up first."""
MAX_BYTES: Final = 16 << 20
"""Bytes held of them."""
_ENTRY_BYTES: Final = 512
"""What a datagram costs besides its bytes."""
_LARGEST: Final = 65_535


@dataclass(slots=True)
class _First:
    """What the reassembled datagram takes from its first fragment."""

    ttl: int
    df: bool
    ipid: int
    proto: int
    header_length: int


@dataclass(slots=True)
class Datagram:
    """A datagram that is not complete yet."""

    time: int
    buffer: bytearray = field(default_factory=bytearray)
    starts: list[int] = field(default_factory=list)
    """Of the runs of bytes that are there; in order, neither touching nor overlapping."""
    ends: list[int] = field(default_factory=list)
    end: int = -1
    """Where it ends, by the first fragment that says so."""
    first: _First | None = None
    refused: bool = False

    def take(self, start: int, data: bytes) -> tuple[bool, bool, bool]:
        """Fill what is still empty (what came first stays); whether bytes were there already, differ, are all there."""
        stop = start + len(data)
        if len(self.buffer) < stop:
            self.buffer.extend(bytes(stop - len(self.buffer)))
        low, high = bisect_left(self.ends, start), bisect_right(self.starts, stop)
        overlap = differs = False
        at, covered = start, 0
        for have, until in zip(self.starts[low:high], self.ends[low:high], strict=True):
            if at < have:
                self.buffer[at:have] = data[at - start : have - start]
            a, b = max(have, start), min(until, stop)
            if a < b:
                overlap = True
                covered += b - a
                differs = differs or self.buffer[a:b] != data[a - start : b - start]
            at = max(at, until)
        if at < stop:
            self.buffer[at:stop] = data[at - start :]
        if low < high:
            start, stop = min(start, self.starts[low]), max(stop, self.ends[high - 1])
        self.starts[low:high], self.ends[low:high] = [start], [stop]
        return overlap, differs, covered == len(data)

    @property
    def complete(self) -> bool:
        """All bytes up to the end are there."""
        return self.end >= 0 and bool(self.starts) and self.starts[0] == 0 and self.ends[0] >= self.end


@dataclass(frozen=True)
class Fragments:
    """The fields of fragments that reassembly needs; one element a fragment, in frame order."""

    packets: IpPackets
    offset: npt.NDArray[np.int64]
    """Of its bytes in the datagram."""
    more: npt.NDArray[np.bool_]
    ident: npt.NDArray[np.int64]
    proto: npt.NDArray[np.int64]
    """What the datagram begins with, as this fragment says."""
    data: npt.NDArray[np.int64]
    """First byte behind the headers that every fragment has."""
    header_length: npt.NDArray[np.int64]
    """Bytes of the IP header that the whole datagram would have."""


class Reassembly:
    """Fragments of one depth of tunnels, over all batches of a capture.

    Where fragments overlap, the bytes that came first stay; IPv6 datagrams whose fragments overlap are given up, as
    their receiver must (RFC 5722), but for fragments that repeat what is there. What is given up, when and why, is
    decided by the fragments before and their times alone.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[Any, ...], Datagram] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """Datagrams that are waited for."""
        return len(self._open)

    @property
    def held(self) -> int:
        """Bytes that they take."""
        return self._bytes

    def put_together(
        self,
        data: npt.NDArray[np.uint8],
        packets: IpPackets,
        time: npt.NDArray[np.int64],
        chains: list[tuple[object, ...]] | None,
        counts: DecodeCounts,
    ) -> tuple[IpPackets, npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """The datagrams that these fragments complete, in the rows of those that do.

        ``time`` has one element a fragment; ``chains`` what identifies the tunnel each came in. Gives also ``data``
        with the datagrams behind it, and the rows of fragments that overlap with others.
        """
        fragments = read_fragments(data, packets)
        done: list[tuple[int, _First, bytes]] = []
        overlapping: list[int] = []
        whole = packets.captured >= packets.limit
        size = packets.limit - fragments.data
        fits = (size > 0) & (fragments.offset + size + np.where(packets.version == 4, 20, 0) <= _LARGEST)  # noqa: PLR2004
        counts.fragments_impossible += int(np.count_nonzero(~fits))
        rows = np.flatnonzero(whole & fits)
        columns = zip(
            rows.tolist(),
            packets.version[rows].tolist(),
            packets.src[rows].tolist(),
            packets.dst[rows].tolist(),
            fragments.ident[rows].tolist(),
            fragments.proto[rows].tolist(),
            fragments.offset[rows].tolist(),
            fragments.more[rows].tolist(),
            fragments.data[rows].tolist(),
            packets.limit[rows].tolist(),
            time[rows].tolist(),
            strict=True,
        )
        for place, version, src, dst, ident, proto, offset, more, begin, end, when in columns:
            # The next header of IPv6 is the first fragment's, and others may say otherwise.
            key = (version, src, dst, ident, proto if version == 4 else -1, chains[place] if chains else None)  # noqa: PLR2004
            datagram = self._find(key, when, TIMEOUT_V4 if version == 4 else TIMEOUT_V6, counts)  # noqa: PLR2004
            if datagram.refused:
                continue
            if offset == 0 and datagram.first is None:
                datagram.first = _First(
                    ttl=int(packets.ttl[place]),
                    df=bool(packets.df[place]),
                    ipid=int(packets.ipid[place]),
                    proto=proto,
                    header_length=int(fragments.header_length[place]),
                )
            before = len(datagram.buffer)
            overlap, differs, repeated = datagram.take(offset, data[begin:end].tobytes())
            self._bytes += len(datagram.buffer) - before
            tail = -1 if more else offset + end - begin
            if tail >= 0 and datagram.end >= 0 and tail != datagram.end:
                overlap = differs = True
            elif tail >= 0:
                datagram.end = tail
            if overlap:
                overlapping.append(place)
                counts.fragment_overlaps += 1
                counts.fragment_conflicts += differs
                if version == 6 and (differs or not repeated):  # noqa: PLR2004
                    self._bytes -= len(datagram.buffer)
                    datagram.refused, datagram.buffer = True, bytearray()
                    counts.fragments_refused += 1
                    counts.fragments_unfinished -= 1
                    continue
            if datagram.complete and datagram.first is not None:
                done.append((place, datagram.first, bytes(datagram.buffer[: datagram.end])))
                self._drop(key)
                counts.fragments_reassembled += 1
                counts.fragments_unfinished -= 1
            while len(self._open) > MAX_OPEN or self._bytes > MAX_BYTES:
                self._drop(next(iter(self._open)))
        made, data = _as_packets(data, packets, done)
        return made, data, packets.row[np.array(overlapping, dtype=np.int64)]

    def _find(self, key: tuple[Any, ...], time: int, timeout: int, counts: DecodeCounts) -> Datagram:
        datagram = self._open.get(key)
        if datagram is not None and abs(time - datagram.time) > timeout:
            self._drop(key)
            datagram = None
        if datagram is None:
            datagram = self._open[key] = Datagram(time)
            self._bytes += _ENTRY_BYTES
            counts.fragments_unfinished += 1
        return datagram

    def _drop(self, key: tuple[Any, ...]) -> None:
        self._bytes -= len(self._open.pop(key).buffer) + _ENTRY_BYTES


def read_fragments(data: npt.NDArray[np.uint8], packets: IpPackets) -> Fragments:
    """Fields of packets that are fragments."""
    start = packets.limit - packets.length
    head = gather_rows(data, start, 8)
    offset = ((head[:, 6].astype(np.int64) << 8 | head[:, 7]) & 0x1FFF) * 8
    more = (head[:, 6] & 0x20) != 0
    ident = packets.ipid.astype(np.int64)
    proto = packets.proto.astype(np.int64)
    begin = packets.payload.copy()
    six = np.flatnonzero(packets.version == 6)  # noqa: PLR2004 - IP version
    header_length = begin - start
    if len(six):
        at, after, field_, ident[six] = _fragment_headers(
            data, head[six, 6], start[six] + 40, packets.captured[six]
        )
        proto[six] = after
        offset[six], more[six] = field_ & 0xFFF8, (field_ & 1) == 1
        begin[six] = at + 8
        header_length[six] = at - start[six]
    return Fragments(packets, offset, more, ident, proto, begin, header_length)


def _fragment_headers(
    data: npt.NDArray[np.uint8],
    kind: npt.NDArray[np.uint8],
    at: npt.NDArray[np.int64],
    captured: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], ...]:
    """Of IPv6: where the fragment header is that makes a packet a fragment, its next header, offset field and ident."""
    kind = kind.copy()
    going = np.arange(len(at))
    field_ = np.zeros(len(at), dtype=np.int64)
    for _ in range(MAX_EXTENSIONS + 1):
        head = gather_rows(data, at[going], 8)
        field_[going] = head[:, 2].astype(np.int64) << 8 | head[:, 3]
        # A fragment header that makes no fragment of the packet (RFC 6946) is passed over.
        further = ~((kind[going] == FRAGMENT) & (field_[going] & 0xFFF9 != 0))
        further &= at[going] + 8 <= captured[going]
        if not further.any():
            break
        size = extension_sizes(kind[going], head)
        going, head, size = going[further], head[further], size[further]
        kind[going] = head[:, 0]
        at[going] += size
    head = gather_rows(data, at, 8)
    ident = head[:, 4:8].copy().view(">u4").reshape(-1).astype(np.int64)
    return at, head[:, 0].astype(np.int64), field_, ident


def _as_packets(
    data: npt.NDArray[np.uint8], fragments: IpPackets, done: list[tuple[int, _First, bytes]]
) -> tuple[IpPackets, npt.NDArray[np.uint8]]:
    """Datagrams as packets whose bytes stand behind ``data``."""
    if not done:
        return fragments.where(np.zeros(len(fragments), dtype=bool)), data
    place = np.array([at for at, _, _ in done], dtype=np.int64)
    size = np.array([len(whole) for _, _, whole in done], dtype=np.int64)
    payload = len(data) + np.cumsum(size) - size
    limit = payload + size
    data = np.concatenate([data, np.frombuffer(b"".join(whole for _, _, whole in done), dtype=np.uint8)])
    proto = np.array([first.proto for _, first, _ in done], dtype=np.uint8)
    header = np.array([first.header_length for _, first, _ in done], dtype=np.int64)
    six = np.flatnonzero(fragments.version[place] == 6)  # noqa: PLR2004 - IP version
    keep = np.ones(len(place), dtype=bool)
    if len(six):
        # What may be fragmented can begin with further extension headers.
        proto[six], payload[six], broken, offset, more = walk_extensions(
            data, proto[six], payload[six].copy(), limit[six]
        )
        keep[six] = ~broken & (offset == 0) & ~more
    no = np.zeros(len(place), dtype=bool)
    made = IpPackets(
        row=fragments.row[place],
        version=fragments.version[place],
        src=fragments.src[place],
        dst=fragments.dst[place],
        ttl=np.array([first.ttl for _, first, _ in done], dtype=np.uint8),
        ipid=np.array([first.ipid for _, first, _ in done], dtype=np.int32),
        df=np.array([first.df for _, first, _ in done], dtype=bool),
        length=header + size,
        proto=proto,
        payload=payload,
        limit=limit,
        captured=limit,
        fragment=no,
        later_fragment=no,
    )
    return made.where(keep), data

"""The kernel's ring of captured packets (packet(7), TPACKET_V3): blocks of memory that it fills and we empty."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import socket

    import numpy.typing as npt

# linux/if_packet.h
SOL_PACKET: Final = 263
_RX_RING, _STATISTICS, _VERSION = 5, 6, 10
_V3: Final = 2
_STATUS_AT, _COUNT_AT, _FIRST_AT, _LENGTH_AT = 8, 12, 16, 20
"""Where a block's descriptor holds them."""
_OURS: Final = 1
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6
_ADDRESS_AT: Final = 48
"""Where a packet's sockaddr_ll stands behind its header."""
_VLAN: Final = 0x8100
_TAG_BYTES: Final = 4
_MACS: Final = 12

BLOCK_BYTES: Final = 1 << 20
RETIRE_MS: Final = 60
"""A block that is not full is handed over after that time."""
_SMALLEST: Final = 4


@dataclass(frozen=True)
class RingPackets:
    """Packets of some blocks; one element a packet, in the order of arrival. Bytes stand in ``data``."""

    data: npt.NDArray[np.uint8]
    start: npt.NDArray[np.int64]
    """Of the link header, or where there is none of the network header."""
    network: npt.NDArray[np.int64]
    """Of the network header."""
    captured: npt.NDArray[np.int64]
    wire: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    """Nanoseconds since the epoch."""
    protocol: npt.NDArray[np.uint16]
    """EtherType of what is inside, as the kernel tells it."""
    interface: npt.NDArray[np.int32]
    """Number of the interface (ifindex)."""
    hardware: npt.NDArray[np.uint16]
    """ARPHRD_ of the interface."""
    kind: npt.NDArray[np.uint8]
    """PACKET_HOST, …, PACKET_OUTGOING."""

    def __len__(self) -> int:
        return len(self.start)


class Ring:
    """The ring of a packet socket. Memory is asked for in full, and less is taken where there is none.

    Raises OSError where the socket has no ring at all.
    """

    def __init__(self, sock: socket.socket, size: int) -> None:
        sock.setsockopt(SOL_PACKET, _VERSION, _V3)
        blocks = max(size // BLOCK_BYTES, _SMALLEST)
        while True:
            frame = 2048
            request = (BLOCK_BYTES, blocks, frame, BLOCK_BYTES * blocks // frame, RETIRE_MS, 0, 0)
            try:
                sock.setsockopt(SOL_PACKET, _RX_RING, struct.pack("7I", *request))
            except OSError:
                if blocks <= _SMALLEST:
                    raise
                blocks //= 2
            else:
                break
        self._sock = sock
        self._map = mmap.mmap(sock.fileno(), BLOCK_BYTES * blocks)
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)
        self._words = self._bytes.view(np.uint32)
        self._blocks = blocks
        self._next = 0

    @property
    def size(self) -> int:
        """Bytes of the ring."""
        return self._blocks * BLOCK_BYTES

    def take(self, most: int) -> RingPackets | None:
        """Copy what is ready, at most about ``most`` bytes, and give the blocks back; None when nothing is."""
        pieces: list[npt.NDArray[np.uint8]] = []
        places: list[int] = []
        total = 0
        while total < most:
            at = self._next * BLOCK_BYTES
            word = at // 4
            if not int(self._words[word + _STATUS_AT // 4]) & _OURS:
                break
            count, first, length = (
                int(self._words[word + place // 4]) for place in (_COUNT_AT, _FIRST_AT, _LENGTH_AT)
            )
            places += _walk(self._words[word : word + BLOCK_BYTES // 4], first, count, total)
            used = -(-length // 16) * 16
            pieces.append(self._bytes[at : at + used].copy())
            total += used
            self._words[word + _STATUS_AT // 4] = 0
            self._next = (self._next + 1) % self._blocks
        if not places:
            return None
        data = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return _packets(data, np.array(places, dtype=np.int64))

    def lost(self) -> tuple[int, int]:
        """Packets that came, and those dropped among them for want of room, since this was asked last."""
        raw = self._sock.getsockopt(SOL_PACKET, _STATISTICS, 12)
        seen, dropped, _ = struct.unpack("3I", raw)
        return seen, dropped

    def close(self) -> None:
        """Give the memory back."""
        del self._bytes, self._words
        self._map.close()


def _walk(words: npt.NDArray[np.uint32], first: int, count: int, above: int) -> list[int]:
    """Where the packets of a block begin, in bytes from ``above`` on: each tells where the next one is."""
    places = []
    at = first
    follow = words.data  # a look at one word costs a tenth of what it costs through numpy
    for _ in range(count):
        places.append(above + at)
        at += follow[at // 4]
    return places


def _packets(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> RingPackets:
    """Fields of struct tpacket3_hdr and struct sockaddr_ll, gathered from all packets at once."""
    word = at // 4
    words, halves = data.view(np.uint32), data.view(np.uint16)

    def field(place: int) -> npt.NDArray[Any]:
        return words[word + place // 4].astype(np.int64)

    seconds, nanoseconds, captured, wire, status = (field(place) for place in (4, 8, 12, 16, 20))
    start = at + halves[2 * word + 12]
    network = at + halves[2 * word + 13]
    address = word + _ADDRESS_AT // 4
    protocol = halves[2 * address + 1].byteswap()
    hardware = halves[2 * address + 4]
    kind = data[4 * address + 10]
    tagged = np.flatnonzero((status & _VLAN_VALID != 0) & (network - start == _MACS + 2))
    if len(tagged):
        tag = halves[2 * word[tagged] + 16]
        tpid = np.where(status[tagged] & _VLAN_TPID_VALID, halves[2 * word[tagged] + 18], _VLAN)
        _put_back(data, start[tagged], tpid.astype(np.uint16), tag)
        start[tagged] -= _TAG_BYTES
        captured[tagged] += _TAG_BYTES
        wire[tagged] += _TAG_BYTES
    return RingPackets(
        data=data,
        start=start,
        network=network,
        captured=captured,
        wire=wire,
        time=seconds * 1_000_000_000 + nanoseconds,
        protocol=protocol,
        interface=words[address + 1].astype(np.int32),
        hardware=hardware,
        kind=kind,
    )


def _put_back(
    data: npt.NDArray[np.uint8],
    start: npt.NDArray[np.int64],
    tpid: npt.NDArray[np.uint16],
    tag: npt.NDArray[np.uint16],
) -> None:
    """The VLAN tag that the interface took off: behind the two MAC addresses, which move into the room before them."""
    macs = start[:, None] + np.arange(_MACS)
    data[macs - _TAG_BYTES] = data[macs]
    behind = start + _MACS - _TAG_BYTES
    for place, value in ((0, tpid >> 8), (1, tpid & 255), (2, tag >> 8), (3, tag & 255)):
        data[behind + place] = value.astype(np.uint8)

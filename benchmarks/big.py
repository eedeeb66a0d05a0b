"""Builds a capture of any size by repeating the one of `million.py` with other times and addresses.

    python benchmarks/big.py build/bench/million.pcap build/bench/big-10.pcap 10

The last argument is the size in units of 10⁹ bytes. Every copy begins one second after the one before it has ended,
its addresses are shifted at both ends, and the addresses in its DNS answers with them: its flows are flows of their
own, and its names resolve to its servers. IPv4 checksums are those of the new headers. The copy that exceeds the
size is cut behind a packet, as when somebody stops capturing.
"""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

FILE_HEADER: Final = 24
RECORD_HEADER: Final = 16
BLOCK: Final = 1 << 26  # bytes patched and written at once
CLIENTS: Final = 1 << 16  # the clients and the resolver of one copy share a /16
SERVERS: Final = 1 << 22  # the servers of one copy share a /10
MOST: Final = 256  # copies: the clients stay inside 10.0.0.0/8
SPARE: Final = 2_000_000_000  # bytes of disk to leave free

Int = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_NETWORK, _SERVER_NET = 0x0A000000, 0x17000000  # where million.py puts clients and servers
_UDP, _DNS = 17, 53


def records(data: Bytes) -> Int:
    """Where each record of a little-endian pcap file begins, and at the end where the file ends."""
    view, at, starts = memoryview(data), FILE_HEADER, []
    length = struct.Struct("<I").unpack_from
    while at < len(data):
        starts.append(at)
        at += RECORD_HEADER + length(view, at + 8)[0]
    return np.array([*starts, at], np.int64)


def field(block: Bytes, at: Int, dtype: str) -> Int:
    """Values of one header field of all packets."""
    width = np.dtype(dtype).itemsize
    return block[at[:, None] + np.arange(width)].view(dtype).reshape(-1).astype(np.int64)


def put(block: Bytes, at: Int, values: Int, dtype: str) -> None:
    """Writes one header field of all packets."""
    raw = np.ascontiguousarray(values.astype(dtype)).view(np.uint8).reshape(len(at), np.dtype(dtype).itemsize)
    block[at[:, None] + np.arange(raw.shape[1])] = raw


def moved(addresses: Int, copy: int) -> Int:
    """Addresses of the given copy; copy 0 is the original."""
    servers = addresses >= _SERVER_NET
    return addresses + np.where(servers, SERVERS, CLIENTS) * copy


def patch(block: Bytes, starts: Int, ends: Int, copy: int, seconds: int) -> None:
    """Turns packets of the original into those of a copy, in place."""
    put(block, starts, field(block, starts, "<u4") + seconds * copy, "<u4")
    ip = starts + RECORD_HEADER + 14
    for at in (ip + 12, ip + 16):
        put(block, at, moved(field(block, at, ">u4"), copy), ">u4")
    put(block, ip + 10, np.zeros_like(ip), ">u2")
    words = block[ip[:, None] + np.arange(20)].view(">u2").astype(np.int64).sum(axis=1)
    words = (words & 0xFFFF) + (words >> 16)
    put(block, ip + 10, ~((words & 0xFFFF) + (words >> 16)) & 0xFFFF, ">u2")
    # The address an answer gives stands last in it (RFC 1035 3.4.1); million.py sends UDP without a checksum.
    answer = (block[ip + 9] == _UDP) & (field(block, ip + 20, ">u2") == _DNS)
    last = ends[answer] - 4
    put(block, last, moved(field(block, last, ">u4"), copy), ">u4")


def repeat(data: Bytes, size: int, file: IO[bytes]) -> int:
    """Writes a capture of at most ``size`` bytes; gives the number of packets in it."""
    edges = records(data)
    whole = int(edges[-1]) - FILE_HEADER
    if size > whole * MOST:
        sys.exit(f"big: at most {whole * MOST / 1e9:.0f} GB can be built from this capture")
    times = field(np.asarray(data), edges[:-1], "<u4")
    seconds = int(times.max() - times.min()) + 1
    file.write(data[:FILE_HEADER])
    room, packets, copy = size - FILE_HEADER, 0, 0
    while room > 0:
        first = 0
        while first < len(edges) - 1 and room > 0:
            start = int(edges[first])
            end = min(start + min(BLOCK, room), int(edges[-1]))
            after = int(np.searchsorted(edges, end, side="right")) - 1
            if after == first:
                return packets
            block = np.array(data[start : edges[after]])
            if copy:
                patch(block, edges[first:after] - start, edges[first + 1 : after + 1] - start, copy, seconds)
            file.write(block)
            room -= len(block)
            packets += after - first
            first = after
        copy += 1
    return packets


def build(source: Path, path: Path, gigabytes: float) -> int:
    """Writes the capture; a file of that name is replaced once the new one is whole. Gives its packets."""
    size = int(gigabytes * 1e9)
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < size + SPARE:
        sys.exit(f"big: {path.parent} has {free / 1e9:.0f} GB free, {(size + SPARE) / 1e9:.0f} GB are needed")
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        packets = repeat(np.memmap(source, np.uint8, "r"), size, file)
    partial.replace(path)
    return packets


def main() -> None:
    """Builds the capture of the command line."""
    source, path, gigabytes = sys.argv[1:]
    packets = build(Path(source), Path(path), float(gigabytes))
    print(f"{path}: {packets:,} packets, {Path(path).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

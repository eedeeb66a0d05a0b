"""What can be opened: containers and compressions, told by their first bytes. Reader and manual rest on this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from forensics.capture.pcap import is_pcap, open_pcap
from forensics.capture.pcapng import PcapngFormat, is_pcapng
from forensics.capture.snoop import is_snoop, open_snoop
from forensics.capture.unpack import GZIP_MAGIC, GzipBytes
from forensics.capture.unpack_blocks import LZ4_LEGACY_MAGIC, LZ4_MAGIC, ZSTD_MAGIC, Lz4Bytes, ZstdBytes
from forensics.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from forensics.capture.batch import CaptureNotes
    from forensics.capture.scan import RecordFormat
    from forensics.capture.source import ByteSource, Peeking, StoredBytes

HEAD: Final = 12
"""Bytes that tell a container."""
_SKIPPED_MOST: Final = 1 << 16


@dataclass(frozen=True)
class Container:
    """A kind of capture file."""

    name: str
    what: str
    recognised: str
    is_it: Callable[[bytes], bool]
    """Asked with the first HEAD bytes (fewer where the file is shorter)."""
    open: Callable[[Peeking, CaptureNotes], tuple[RecordFormat, int]]
    """Gives the format and how many bytes come before the first record."""


@dataclass(frozen=True)
class Compression:
    """Something a capture may be packed in."""

    name: str
    what: str
    recognised: str
    magic: bytes
    unpack: Callable[[ByteSource, StoredBytes], ByteSource]


def _open_pcapng(_source: Peeking, notes: CaptureNotes) -> tuple[RecordFormat, int]:
    return PcapngFormat(notes), 0


CONTAINERS: Final = (
    Container(
        "pcap",
        "the classic capture file of tcpdump (draft-ietf-opsawg-pcap), versions 2.0 to 2.4, times in microseconds or "
        "nanoseconds; also as AIX, Red Hat 6.1, SuSE 6.3, Kuznetzov's patches to libpcap and Nokia wrote it",
        "`a1b2c3d4`, `a1b23c4d` (nanoseconds) or `a1b2cd34` (patched), in either byte order; patched and Nokia's "
        "records by trying the first three",
        is_pcap,
        open_pcap,
    ),
    Container(
        "pcapng",
        "Wireshark's capture file (draft-ietf-opsawg-pcapng): any number of sections, byte orders, interfaces and "
        "clocks",
        "`0a0d0d0a`, and `1a2b3c4d` in either byte order at byte 8",
        is_pcapng,
        _open_pcapng,
    ),
    Container(
        "snoop",
        "the capture file of Solaris (RFC 1761) on Ethernet or the loopback; also Shomiti's and Finisar's Surveyor",
        "`snoop` and three zero bytes",
        is_snoop,
        open_snoop,
    ),
)
COMPRESSIONS: Final = (
    Compression("gzip", "one or more members (RFC 1952)", "`1f8b`", GZIP_MAGIC, GzipBytes),
    Compression(
        "zstd",
        "one or more frames (RFC 8878) with windows of at most 128 MiB, without a dictionary",
        "`28b52ffd`, or a skippable frame",
        ZSTD_MAGIC,
        ZstdBytes,
    ),
    Compression(
        "lz4",
        "one or more frames of the LZ4 frame format, without a dictionary; not the older `lz4 -l`",
        "`04224d18`",
        LZ4_MAGIC,
        Lz4Bytes,
    ),
)
_FOREIGN: Final = {
    LZ4_LEGACY_MAGIC: "compressed by lz4 in its legacy format: unpack it first, with 'lz4 -d'",
    b"\xfd7zX": "xz-compressed: unpack it first, such as with 'xz -dc'",
    b"BZh": "bzip2-compressed: unpack it first, such as with 'bzip2 -dc'",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\xa1\xb2\x34\xcd": "a pcap variant whose records nobody describes: convert it with editcap",
    b"\xcd\x34\xb2\xa1": "a pcap variant whose records nobody describes: convert it with editcap",
    b"\xa1\x2b\x3c\x4d": "Navtel's pcap variant: convert it with editcap",
    b"\x4d\x3c\x2b\xa1": "Navtel's pcap variant: convert it with editcap",
    b"\x1c\x00\x01\xab": "Ixia's pcap variant (lcap): convert it with editcap",
    b"\xab\x01\x00\x1c": "Ixia's pcap variant (lcap): convert it with editcap",
    b"\x1c\x00\x01\xac": "Ixia's pcap variant (lcap): convert it with editcap",
    b"\xac\x01\x00\x1c": "Ixia's pcap variant (lcap): convert it with editcap",
}


def compression(source: Peeking) -> Compression | None:
    """What the stored bytes are packed in; None when in nothing that is taken off."""
    start = 0
    while start < _SKIPPED_MOST:
        head = source.peek(start + 8)[start:]
        for packed in COMPRESSIONS:
            if head.startswith(packed.magic):
                return packed
        # zstd and lz4 share frames to be skipped; pzstd begins its files with one.
        if len(head) < 8 or head[1:4] != b"\x2a\x4d\x18" or head[0] >> 4 != 5:  # noqa: PLR2004 - see unpack_blocks
            break
        start += 8 + int.from_bytes(head[4:], "little")
    return None


def open_format(source: Peeking, notes: CaptureNotes) -> tuple[RecordFormat, int]:
    """The format of an unpacked source, and the bytes before its first record; raises CaptureError (without a name)."""
    head = source.peek(HEAD)
    for container in CONTAINERS:
        if container.is_it(head):
            try:
                return container.open(source, notes)
            except CaptureError:
                if source.damage:
                    break
                raise
    raise CaptureError(_refusal(source))


def _refusal(source: Peeking) -> str:
    head = source.peek(HEAD)
    if source.damage:
        hint = "" if "unpack it" in source.damage else ": get a whole copy of the capture"
        return f"{source.damage}, before any packet{hint}"
    if not head:
        return "the file is empty: name a capture file"
    packed = compression(source)
    if packed is not None:
        return f"is compressed twice, and {packed.name} is the inner one: unpack it once first"
    for magic, reason in _FOREIGN.items():
        if head.startswith(magic):
            return f"is {reason}"
    if head.startswith(b"\x0a\x0d\x0d\x0a"):
        return "the capture's file header is cut short or broken: get a whole copy of the capture"
    return "is no capture that is known here (pcap, pcapng, snoop): name a capture file"

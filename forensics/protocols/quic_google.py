"""Google's QUIC before the IETF's: Q025 to Q046, whose hellos are in clear, and the messages that Q050 encrypts.

Described in "QUIC: Design Document and Specification Rationale", "QUIC Crypto" and "QUIC Wire Layout Specification"
(Google, 2013 to 2018) and by the public header that Wireshark calls GQUIC.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.protocols.errors import ProtocolError
from forensics.protocols.quic import CutPacketError, read_varint
from forensics.protocols.text import printable

if TYPE_CHECKING:
    import numpy.typing as npt

# public flags, first byte of every packet up to Q043
_VERSION, _RESET, _NONCE, _CID = 0x01, 0x02, 0x04, 0x08
_PUBLIC: Final = 0x3F
_NUMBER_BYTES: Final = (1, 2, 4, 6)
_CID_BYTES: Final = 8
_NONCE_BYTES: Final = 32
_HASH: Final = 12
"""Hash (FNV-1a) that stands where encrypted packets have their tag."""

_BIG_ENDIAN_SINCE: Final = 0x51303339
"""Q039."""
_NO_PRIVATE_FLAGS_SINCE: Final = 0x51303334
"""Q034."""
_LONG_SINCE: Final = 0x51303434
"""Q044: a long header as in the IETF's drafts of that time."""
Q046: Final = 0x51303436
Q050: Final = 0x51303530

# frames
_PADDING, _RST_STREAM, _CLOSE, _GOAWAY, _WINDOW, _BLOCKED, _STOP_WAITING, _PING, _CRYPTO = range(9)
_STREAM, _ACK = 0x80, 0x40
_FIXED_SIZES: Final = {_RST_STREAM: 16, _WINDOW: 12, _BLOCKED: 4, _PING: 0}
_HANDSHAKE_STREAM: Final = 1
_PAD: Final = re.compile(rb"\0*")
_MAX_FRAMES: Final = 512

_ENTRY: Final = 8
_MESSAGE_HEADER: Final = 8
_MAX_ENTRIES: Final = 128
MAX_MESSAGE: Final = 1 << 14


class GooglePacket(NamedTuple):
    """One packet with Google's public header, or the long header of Q044 to Q046."""

    kind: str
    """``version`` (a client's, or a server's Version Negotiation), ``reset`` (Public Reset) or ``data``."""
    version: int
    """Version that a client wrote; 0 where there is none."""
    cid: bytes
    """Connection id; empty where it was left out."""
    versions: tuple[int, ...]
    """All versions after the connection id, where that is how the packet ends: what a server speaks."""
    frames_at: int
    """Where the frames begin, if they are in clear."""


class Message(NamedTuple):
    """A message of the handshake: a tag, and values that have tags."""

    tag: str
    """``CHLO``, ``REJ``, ``SREJ``, ``SHLO``, ``PRST``."""
    values: dict[str, bytes]

    @property
    def sni(self) -> str | None:
        """Server name, lower case, made printable."""
        name = self.values.get("SNI")
        return printable(name.lower()) if name else None

    def text(self, tag: str) -> str | None:
        """One value made printable: ``UAID`` (what the client is), ``VER`` (the version it speaks)."""
        value = self.values.get(tag)
        return printable(value) if value is not None else None


def looks_like_google(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Datagrams with a public header and a version, as a client sends until it was answered.

    ``head``: n x 32 bytes, zero padded; ``length``: of the payload.
    """
    first = head[:, 0]
    likely = (first & (0x80 | 0x40 | _RESET | _CID | _VERSION)) == _CID | _VERSION
    found = np.zeros(len(head), dtype=np.bool_)
    rows = np.flatnonzero(likely & (length > 9 + 4 + _HASH))
    text = head[rows, 9:13]
    digits = ((text[:, 1:] >= ord("0")) & (text[:, 1:] <= ord("9"))).all(axis=1)
    found[rows] = digits & (text[:, 0] == ord("Q"))
    return found


def looks_like_google_reply(head: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Datagrams that may be Public Reset or Version Negotiation, in a conversation with public headers."""
    first = head[:, 0]
    found: npt.NDArray[np.bool_] = (first & (0xC0 | _CID)) == _CID
    found &= (first & (_VERSION | _RESET)) != 0
    return found


def parse_google_packet(data: bytes) -> GooglePacket:
    """A packet with a public header. Nothing but its place in a conversation tells a server's from other bytes."""
    if not data:
        raise CutPacketError("no byte of a packet is there")
    flags = data[0]
    if flags & ~_PUBLIC:
        raise ProtocolError(f"public flags 0x{flags:02x}")
    at = 1
    cid = b""
    if flags & _CID:
        cid, at = _take(data, at, _CID_BYTES)
    if flags & _RESET:
        return GooglePacket("reset", 0, cid, (), at)
    version = 0
    versions: tuple[int, ...] = ()
    if flags & _VERSION:
        text, at = _take(data, at, 4)
        version = int.from_bytes(text, "big")
        rest = data[at - 4 :]
        if len(rest) % 4 == 0 and all(rest[i : i + 1] in {b"Q", b"T"} for i in range(0, len(rest), 4)):
            versions = tuple(int.from_bytes(rest[i : i + 4], "big") for i in range(0, min(len(rest), 256), 4))
    elif flags & _NONCE:
        _, at = _take(data, at, _NONCE_BYTES)
    _, at = _take(data, at, _NUMBER_BYTES[flags >> 4 & 3])
    private = 1 if 0 < version < _NO_PRIVATE_FLAGS_SINCE else 0
    return GooglePacket("version" if version else "data", version, cid, versions, at + _HASH + private)


def parse_google_long(data: bytes) -> GooglePacket:
    """A packet of Q044 to Q046: a long header with both lengths of ids in one byte, and no length of its own."""
    if len(data) < 6:  # noqa: PLR2004 - flags, version, lengths
        raise CutPacketError("the header is cut short")
    sizes = data[5]
    dcid, at = _take(data, 6, (sizes >> 4) + 3 if sizes >> 4 else 0)
    scid, at = _take(data, at, (sizes & 15) + 3 if sizes & 15 else 0)
    _, at = _take(data, at, (data[0] & 3) + 1)
    return GooglePacket("version", int.from_bytes(data[1:5], "big"), dcid or scid, (), at + _HASH)


def parse_google_frames(data: bytes, at: int, version: int) -> tuple[tuple[int, bytes], ...]:
    """The pieces of the handshake, each with its place in it, that the frames from ``at`` on carry."""
    order = "big" if version >= _BIG_ENDIAN_SINCE else "little"
    pieces: list[tuple[int, bytes]] = []
    for _ in range(_MAX_FRAMES):
        if at >= len(data):
            return tuple(pieces)
        kind = data[at]
        at += 1
        if kind == _PADDING:
            found = _PAD.match(data, at)
            at = found.end() if found else at
        elif kind & _STREAM:
            stream, offset, piece, at = _stream_frame(data, at, kind, order)
            if stream == _HANDSHAKE_STREAM:
                pieces.append((offset, piece))
        elif kind & _ACK:
            at = _skip_ack(data, at, kind)
        elif kind == _CRYPTO:
            offset, at = read_varint(data, at)
            length, at = read_varint(data, at)
            piece, at = _take(data, at, length)
            pieces.append((offset, piece))
        elif kind in _FIXED_SIZES:
            _, at = _take(data, at, _FIXED_SIZES[kind])
        else:
            raise ProtocolError(f"a frame of type {kind} in the handshake")
    raise ProtocolError(f"more than {_MAX_FRAMES} frames in one packet")


def parse_google_message(stream: bytes) -> Message | None:
    """The message at the beginning of the handshake stream; None while it is not whole."""
    tag = stream[:4]
    values: dict[str, bytes] = {}
    if tag and (not tag.rstrip(b"\0").isalnum() or not tag[:1].isupper()):
        raise ProtocolError("the handshake does not begin with a tag")
    if len(stream) < _MESSAGE_HEADER:
        return None
    count = int.from_bytes(stream[4:6], "little")
    if count > _MAX_ENTRIES:
        raise ProtocolError(f"a message of {count} values")
    first = _MESSAGE_HEADER + count * _ENTRY
    if len(stream) < first:
        return None
    begin = 0
    for index in range(count):
        place = _MESSAGE_HEADER + index * _ENTRY
        end = int.from_bytes(stream[place + 4 : place + 8], "little")
        if end < begin or end > MAX_MESSAGE:
            raise ProtocolError("the values of a message are out of order")
        name = printable(stream[place : place + 4].rstrip(b"\0"))
        values.setdefault(name, stream[first + begin : first + end])
        begin = end
    return Message(printable(tag.rstrip(b"\0")), values) if len(stream) >= first + begin else None


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(data):
        raise CutPacketError("the packet is cut short")
    return data[at : at + size], at + size


def _number(data: bytes, at: int, size: int, order: str) -> tuple[int, int]:
    raw, at = _take(data, at, size)
    return int.from_bytes(raw, "big" if order == "big" else "little"), at


def _stream_frame(data: bytes, at: int, kind: int, order: str) -> tuple[int, int, bytes, int]:
    """Stream, offset, bytes and end of a STREAM frame, whose type (1fdoooss) says how long its fields are."""
    stream, at = _number(data, at, (kind & 3) + 1, order)
    width = kind >> 2 & 7
    offset, at = _number(data, at, width + 1 if width else 0, order)
    if kind & 0x20:
        length, at = _number(data, at, 2, order)
    else:
        length = len(data) - at
    piece, at = _take(data, at, length)
    return stream, offset, piece, at


def _skip_ack(data: bytes, at: int, kind: int) -> int:
    """Where an ACK frame ends, whose type is 01ntllmm."""
    block = _NUMBER_BYTES[kind & 3]
    at += _NUMBER_BYTES[kind >> 2 & 3] + 2  # largest, delay
    blocks = 0
    if kind & 0x20:
        _, at = _take(data, at, 1)
        blocks = data[at - 1]
    at += block + blocks * (1 + block)
    _, at = _take(data, at, 1)
    times = data[at - 1]
    _, at = _take(data, at, 5 + 3 * (times - 1) if times else 0)
    return at

"""The frames in an Initial packet, and the handshake messages that their pieces make up.

https://www.rfc-editor.org/rfc/rfc9000#section-19
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from forensics.protocols.errors import ProtocolError
from forensics.protocols.quic import read_varint
from forensics.protocols.text import printable

# https://www.rfc-editor.org/rfc/rfc9000#section-19
_PADDING, _PING, _ACK, _ACK_ECN, _CRYPTO = 0x00, 0x01, 0x02, 0x03, 0x06
_CLOSE, _CLOSE_APPLICATION = 0x1C, 0x1D
_PAD: Final = re.compile(rb"\0*")
MAX_FRAMES: Final = 512
"""Most frames other than padding in one packet. Clients that scatter their hello on purpose send some 50."""

MAX_CRYPTO: Final = 20 * 1024
"""How far into a CRYPTO stream bytes are kept: more than the largest hello seen in the wild."""
MAX_GAPS: Final = 128

# https://www.rfc-editor.org/rfc/rfc9000#section-20.1
ERROR_NAMES: Final[dict[int, str]] = {
    0x00: "no_error",
    0x01: "internal_error",
    0x02: "connection_refused",
    0x03: "flow_control_error",
    0x04: "stream_limit_error",
    0x05: "stream_state_error",
    0x06: "final_size_error",
    0x07: "frame_encoding_error",
    0x08: "transport_parameter_error",
    0x09: "connection_id_limit_error",
    0x0A: "protocol_violation",
    0x0B: "invalid_token",
    0x0C: "application_error",
    0x0D: "crypto_buffer_exceeded",
    0x0E: "key_update_error",
    0x0F: "aead_limit_reached",
    0x10: "no_viable_path",
    0x11: "version_negotiation_error",
}
CRYPTO_ERROR: Final = 0x0100
"""Codes from here to 0x01ff are TLS alerts."""


class Close(NamedTuple):
    """A CONNECTION_CLOSE frame."""

    code: int
    application: bool
    """The code is the application's, not QUIC's own."""
    reason: str
    """Made printable."""


class Frames(NamedTuple):
    """What the frames of one Initial packet hold."""

    crypto: tuple[tuple[int, bytes], ...]
    """Pieces of handshake messages, each with its place in the stream, as they were sent."""
    acks: bool
    pings: bool
    close: Close | None


def error_text(code: int) -> str:
    """The name of a transport error; ``crypto_40`` for TLS alert 40; hexadecimal for others."""
    if CRYPTO_ERROR <= code < 2 * CRYPTO_ERROR:
        return f"crypto_{code - CRYPTO_ERROR}"
    return ERROR_NAMES.get(code) or f"0x{code:x}"


def parse_frames(payload: bytes) -> Frames:
    """The frames of the payload of an Initial packet; ProtocolError where it holds what it must not (RFC 9000 12.4)."""
    pieces: list[tuple[int, bytes]] = []
    acks = pings = False
    close: Close | None = None
    at = frames = 0
    size = len(payload)
    if not size:
        raise ProtocolError("a packet without frames")
    while at < size:
        kind = payload[at]
        at += 1
        if kind == _PADDING:
            found = _PAD.match(payload, at)
            at = found.end() if found else at
            continue
        frames += 1
        if frames > MAX_FRAMES:
            raise ProtocolError(f"more than {MAX_FRAMES} frames in one packet")
        if kind == _CRYPTO:
            offset, piece, at = _crypto(payload, at)
            pieces.append((offset, piece))
        elif kind == _PING:
            pings = True
        elif kind in {_ACK, _ACK_ECN}:
            acks = True
            at = _skip_ack(payload, at, ecn=kind == _ACK_ECN)
        elif kind in {_CLOSE, _CLOSE_APPLICATION}:
            found_close, at = _close(payload, at, application=kind == _CLOSE_APPLICATION)
            close = close or found_close
        else:
            raise ProtocolError(f"a frame of type {kind} in an Initial packet")
    return Frames(tuple(pieces), acks, pings, close)


def _crypto(payload: bytes, at: int) -> tuple[int, bytes, int]:
    # https://www.rfc-editor.org/rfc/rfc9000#section-19.6
    offset, at = read_varint(payload, at)
    length, at = read_varint(payload, at)
    if at + length > len(payload):
        raise ProtocolError("a CRYPTO frame reaches past the end of its packet")
    return offset, payload[at : at + length], at + length


def _close(payload: bytes, at: int, *, application: bool) -> tuple[Close, int]:
    # https://www.rfc-editor.org/rfc/rfc9000#section-19.19
    code, at = read_varint(payload, at)
    if not application:
        _, at = read_varint(payload, at)  # type of the frame that was wrong
    length, at = read_varint(payload, at)
    if at + length > len(payload):
        raise ProtocolError("a CONNECTION_CLOSE frame reaches past the end of its packet")
    return Close(code, application, printable(payload[at : at + length])), at + length


def _skip_ack(payload: bytes, at: int, *, ecn: bool) -> int:
    # https://www.rfc-editor.org/rfc/rfc9000#section-19.3
    for _ in range(2):  # largest, delay
        _, at = read_varint(payload, at)
    ranges, at = read_varint(payload, at)
    if ranges > len(payload):
        raise ProtocolError(f"an ACK frame of {ranges} ranges")
    for _ in range(1 + 2 * ranges + 3 * ecn):
        _, at = read_varint(payload, at)
    return at


class CryptoStream:
    """Puts the pieces of one CRYPTO stream together, in whatever order they come.

    Where pieces overlap, the bytes that came first are kept. Memory is bounded by ``MAX_CRYPTO`` and ``MAX_GAPS``.
    """

    __slots__ = ("_bytes", "_ranges", "conflict", "overflow")

    def __init__(self) -> None:
        self._bytes: bytearray | None = bytearray()
        self._ranges: list[list[int]] = []  # [start, end), sorted, disjoint, not touching
        self.conflict = False
        """Two pieces held different bytes for the same place."""
        self.overflow = False
        """A piece was left out: too far into the stream, or too many gaps."""

    def add(self, offset: int, piece: bytes) -> bool:
        """Take in one piece; whether it held bytes that were not there before."""
        end = offset + len(piece)
        if end > MAX_CRYPTO:
            self.overflow = True
            return False
        ranges = self._ranges
        # the ranges that the piece overlaps or touches
        first = next((i for i, (_, stop) in enumerate(ranges) if stop >= offset), len(ranges))
        last = next((i for i in range(first, len(ranges)) if ranges[i][0] > end), len(ranges))
        fresh = self._missing(first, last, offset, piece)
        if not fresh:
            return False
        if first == last and len(ranges) >= MAX_GAPS:
            self.overflow = True
            return False
        if first < last:
            ranges[first:last] = [[min(offset, ranges[first][0]), max(end, ranges[last - 1][1])]]
        else:
            ranges.insert(first, [offset, end])
        held = self._bytes
        if held is not None:
            if len(held) < end:
                held.extend(bytes(end - len(held)))
            for start, stop in fresh:
                held[start:stop] = piece[start - offset : stop - offset]
        return True

    def _missing(self, first: int, last: int, offset: int, piece: bytes) -> list[tuple[int, int]]:
        """The parts of a piece that are not there yet; looks whether the others agree."""
        end = offset + len(piece)
        fresh: list[tuple[int, int]] = []
        at = offset
        for start, stop in self._ranges[first:last]:
            if start > at:
                fresh.append((at, start))
            self._compare(max(offset, start), min(end, stop), offset, piece)
            at = max(at, stop)
        if at < end:
            fresh.append((at, end))
        return fresh

    def _compare(self, start: int, stop: int, offset: int, piece: bytes) -> None:
        held = self._bytes
        if held is not None and start < stop and held[start:stop] != piece[start - offset : stop - offset]:
            self.conflict = True

    def contiguous(self) -> bytes:
        """The bytes known without a gap from the beginning; none once they were forgotten."""
        if not self._ranges or self._ranges[0][0] or self._bytes is None:
            return b""
        return bytes(self._bytes[: self._ranges[0][1]])

    @property
    def held(self) -> int:
        """Bytes of memory taken."""
        return len(self._bytes) if self._bytes is not None else 0

    def forget_bytes(self) -> None:
        """Keep only which bytes came: they have been read."""
        self._bytes = None

"""Telegram's MTProto 2.0 over TCP: how a client's stream begins in each of its transports.

https://core.telegram.org/mtproto/mtproto-transports
"""

from __future__ import annotations

from typing import Final, NamedTuple
from zlib import crc32

from forensics.protocols.encrypted import looks_random
from forensics.protocols.errors import ProtocolError

ABRIDGED, INTERMEDIATE, PADDED, FULL = "abridged", "intermediate", "padded-intermediate", "full"
INIT: Final = 64
"""Bytes with which an obfuscated stream begins."""

_ABRIDGED_TAG: Final = 0xEF
_TAG: Final = {0xEE: INTERMEDIATE, 0xDD: PADDED}
_LONG: Final = 0x7F
_QUICK_ACK: Final = 0x80000000
_LONGEST: Final = 1 << 20
_PLAIN_HEADER: Final = 20
"""auth_key_id (0), message_id, message_data_length: https://core.telegram.org/mtproto/description#unencrypted-message"""
_LONGEST_PLAIN: Final = 1024
_MOST_PADDING: Final = 15
_FULL_FRAME: Final = 12
"""Length, sequence number and CRC of the full transport."""
# https://core.telegram.org/mtproto/auth_key: what a client without a key asks first
REQUESTS: Final = {0x60469778: "req_pq", 0xBE7E8EF1: "req_pq_multi"}
_RES_PQ: Final = 0x05162463
# https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation: how obfuscated streams never begin
_NEVER_FIRST: Final = (
    b"PVrG",
    b"GET ",
    b"POST",
    b"HEAD",
    b"OPTI",
    b"\xee" * 4,
    b"\xdd" * 4,
    b"\x16\x03\x01\x02",
)


class MtprotoStart(NamedTuple):
    """The first packet of a client's stream."""

    transport: str
    request: str | None
    """``req_pq`` or ``req_pq_multi`` in the clear: the client has no key yet; None: it goes on with a key it has."""
    certain: bool
    """False: an abridged stream with a key, told by its first byte and a length that fits, no more."""
    packet: int
    """Bytes of the first packet, without transport framing."""
    length: int
    """Bytes of the stream up to its end."""


def looks_like_mtproto(data: bytes) -> bool:
    """Whether the first bytes of a client (at least 4 count) can be one of the transports that are not obfuscated."""
    if len(data) < 4:  # noqa: PLR2004 - the tag
        return data[:1] == b"\xef"
    return data[0] == _ABRIDGED_TAG or data[:4] in {bytes([byte]) * 4 for byte in _TAG} or _looks_full(data)


def _looks_full(data: bytes) -> bool:
    length = int.from_bytes(data[:4], "little")
    plain = _FULL_FRAME + _PLAIN_HEADER <= length <= _LONGEST_PLAIN and length % 4 == 0
    return plain and data[4:16] == bytes(12)[: len(data[4:16])]


def parse_mtproto_start(data: bytes) -> MtprotoStart | None:
    """The first packet of a client; None: more bytes are needed. Raises ProtocolError.

    Of a packet with a key no more than its first eight bytes are looked for.
    """
    if not data:
        return None
    if data[0] == _ABRIDGED_TAG:
        return _abridged(data)
    if data[0] in _TAG and data[: min(4, len(data))] == data[:1] * min(4, len(data)):
        return _intermediate(data, _TAG[data[0]])
    if len(data) < 4:  # noqa: PLR2004 - a length
        return None
    return _full(data)


def _abridged(data: bytes) -> MtprotoStart | None:
    if len(data) < 2:  # noqa: PLR2004 - tag and length
        return None
    words, at = data[1] & 0x7F, 2  # the highest bit asks for a quick acknowledgement
    if words == _LONG:
        if len(data) < 5:  # noqa: PLR2004
            return None
        words, at = int.from_bytes(data[2:5], "little"), 5
    size = 4 * words
    if not _PLAIN_HEADER <= size <= _LONGEST:
        message = f"a packet of {size} bytes"
        raise ProtocolError(message)
    if len(data) < at + 8:
        return None
    request = _request(data, at, size, 0)
    if request is None:
        return None
    return MtprotoStart(ABRIDGED, request or None, bool(request), size, at + size)


def _intermediate(data: bytes, transport: str) -> MtprotoStart | None:
    if len(data) < 16:  # noqa: PLR2004 - tag, length, auth_key_id
        return None
    size = int.from_bytes(data[4:8], "little") & ~_QUICK_ACK
    padding = _MOST_PADDING if transport == PADDED else 0
    if not _PLAIN_HEADER <= size <= _LONGEST or (size % 4 and not padding):
        message = f"a packet of {size} bytes"
        raise ProtocolError(message)
    request = _request(data, 8, size, padding)
    if request is None:
        return None
    return MtprotoStart(transport, request or None, certain=True, packet=size, length=8 + size)


def _full(data: bytes) -> MtprotoStart | None:
    if not _looks_full(data):
        message = "no MTProto transport"
        raise ProtocolError(message)
    length = int.from_bytes(data[:4], "little")
    if len(data) < length:
        return None
    body = data[: length - 4]
    if crc32(body) != int.from_bytes(data[length - 4 : length], "little"):
        message = "the CRC of a full packet does not fit"
        raise ProtocolError(message)
    request = _request(body, 8, length - _FULL_FRAME, 0)
    if not request:
        message = "a full packet without a request in the clear"
        raise ProtocolError(message)
    return MtprotoStart(FULL, request, certain=True, packet=length - _FULL_FRAME, length=length)


def _request(data: bytes, at: int, size: int, padding: int) -> str | None:
    """What a client without key asks; empty when the packet has a key; None: more bytes are needed."""
    if data[at : at + 8] != bytes(8):
        return ""
    if len(data) < at + _PLAIN_HEADER + 4:
        return None
    inner = int.from_bytes(data[at + 16 : at + 20], "little")
    name = REQUESTS.get(int.from_bytes(data[at + 20 : at + 24], "little"))
    if name is None or not size - _PLAIN_HEADER - padding <= inner <= size - _PLAIN_HEADER:
        message = "no request that a client without key may send"
        raise ProtocolError(message)
    return name


def parse_mtproto_answer(data: bytes, start: MtprotoStart) -> bool | None:
    """Whether the server's stream begins with a packet in the transport of the client; None: more bytes are needed.

    To a request in the clear that is ``resPQ``, or a transport error of four bytes (a negative number, -404 say).
    """
    short = start.transport == ABRIDGED and data[:1] != b"\x7f"
    at = 1 if short else 8 if start.transport == FULL else 4
    if len(data) < at + 4:
        return None
    if start.transport == ABRIDGED:
        size = 4 * (data[0] if short else int.from_bytes(data[1:4], "little"))
    else:
        size = int.from_bytes(data[:4], "little")
    if size == 4 and data[at + 2 : at + 4] == b"\xff\xff":  # noqa: PLR2004 - an error code, small and negative
        return True
    if start.request is None:
        return _PLAIN_HEADER <= size <= _LONGEST
    if data[at : at + 4] != bytes(4):
        return False
    if len(data) < at + 24:
        return None
    return data[at : at + 8] == bytes(8) and int.from_bytes(data[at + 20 : at + 24], "little") == _RES_PQ


def may_be_obfuscated(data: bytes) -> bool:
    """Whether a client's first bytes can begin the obfuscated transport: random, and none of what is ruled out.

    Every other fully encrypted protocol begins so too: this is never more than possible.
    """
    begin = data[:INIT]
    if len(begin) < INIT or begin[0] == _ABRIDGED_TAG or begin[:4] in _NEVER_FIRST:
        return False
    return begin[4:8] != bytes(4) and looks_random(begin)

"""WhatsApp's chat connection: the client's header and hello, and the server's answer.

Source: the protocol's own open-source clients (``Noise_XX_25519_AESGCM_SHA256`` behind a header "WA"), and captures of
2015 and 2017 for the older header with FunXMPP behind it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from forensics.protocols.errors import ProtocolError

NOISE: Final = "noise"
FUNXMPP: Final = "funxmpp"

_ROUTE: Final = b"ED\x00\x01"
_MAGIC: Final = b"WA"
_LONGEST_ROUTE: Final = 64
_LATEST: Final = 9
"""Highest major version that is believed: 6 is current."""
_LISTS: Final = (0xF8, 0xF9)
"""Tokens with which a FunXMPP message begins: a short list, a long list."""
_EPHEMERAL: Final = b"\x0a\x20"
"""Protocol Buffers: field 1 with the 32 bytes of an X25519 key."""
_CLIENT_FIELD, _SERVER_FIELD = 0x12, 0x1A
_SHORTEST_HELLO: Final = 36
_LONGEST_HELLO: Final = 4096


class WhatsAppHello(NamedTuple):
    """What a client opens the connection with."""

    routed: bool
    """The routing prefix "ED" stands before it."""
    major: int
    minor: int
    kind: str
    """``noise``, or ``funxmpp`` for clients until about 2017."""
    message: int
    """Bytes of the first message, without the three that tell them."""
    length: int
    """Bytes from the beginning of the stream to the first message."""


def looks_like_whatsapp(data: bytes) -> bool:
    """Whether a stream that begins with these bytes (at least 4 count) can be WhatsApp's chat."""
    begin = data[:4]
    return begin == _ROUTE or (begin[:2] == _MAGIC and len(begin) > 2 and 1 <= begin[2] <= _LATEST)  # noqa: PLR2004


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    """Value and end of a Protocol Buffers length of at most two bytes (no hello needs three)."""
    if len(data) <= at:
        return None
    if data[at] < 0x80:  # noqa: PLR2004 - the bit that says more follows
        return data[at], at + 1
    if len(data) <= at + 1:
        return None
    if data[at + 1] >= 0x80:  # noqa: PLR2004
        message = "a hello of 16 KB and more"
        raise ProtocolError(message)
    return data[at] & 0x7F | data[at + 1] << 7, at + 2


def _noise(data: bytes, at: int, field: int) -> int | None:
    """Length of a Noise handshake message that begins at ``at``; None: more bytes are needed."""
    if len(data) < at + 4:
        return None
    size = int.from_bytes(data[at : at + 3], "big")
    if not _SHORTEST_HELLO <= size <= _LONGEST_HELLO or data[at + 3] != field:
        message = f"no Noise hello: {size} bytes, field {data[at + 3]}"
        raise ProtocolError(message)
    inner = _varint(data, at + 4)
    if inner is None or len(data) < inner[1] + 2:
        return None
    if inner[1] - (at + 3) + inner[0] != size or data[inner[1] : inner[1] + 2] != _EPHEMERAL:
        message = "no key in the hello"
        raise ProtocolError(message)
    return size


def _funxmpp(data: bytes, at: int) -> int | None:
    """Length of a FunXMPP message: four bits of flags, twenty of length, then a list."""
    if len(data) < at + 4:
        return None
    size = int.from_bytes(data[at : at + 3], "big") & 0xFFFFF
    if size < 2 or data[at + 3] not in _LISTS:  # noqa: PLR2004 - a list and its length
        message = f"no FunXMPP message: {size} bytes, token {data[at + 3]}"
        raise ProtocolError(message)
    return size


def parse_whatsapp_hello(data: bytes) -> WhatsAppHello | None:
    """The beginning of a client's stream; None: more bytes are needed. Raises ProtocolError."""
    at = 0
    routed = _ROUTE.startswith(data[:4])
    if routed:
        if len(data) < 7:  # noqa: PLR2004 - prefix and length
            return None
        size = int.from_bytes(data[4:7], "big")
        if size > _LONGEST_ROUTE:
            message = f"a routing prefix of {size} bytes"
            raise ProtocolError(message)
        at = 7 + size
    if not _MAGIC.startswith(data[at : at + 2]):
        message = "no WA where it belongs"
        raise ProtocolError(message)
    if len(data) < at + 4:
        return None
    major, minor = data[at + 2], data[at + 3]
    if not 1 <= major <= _LATEST:
        message = f"version {major}"
        raise ProtocolError(message)
    old = major == 1
    size_of = _funxmpp(data, at + 4) if old else _noise(data, at + 4, _CLIENT_FIELD)
    if size_of is None:
        return None
    return WhatsAppHello(routed, major, minor, FUNXMPP if old else NOISE, size_of, at + 7)


def parse_whatsapp_answer(data: bytes, kind: str) -> int | None:
    """Length of the server's first message, from the beginning of its stream; None: more bytes are needed.

    ``kind`` is that of the client's hello. Raises ProtocolError when it is no answer to such a hello.
    """
    return _funxmpp(data, 0) if kind == FUNXMPP else _noise(data, 0, _SERVER_FIELD)

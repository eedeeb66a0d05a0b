"""STUN and TURN messages, and the frames of TURN's channels, whole datagrams or the beginning of a stream.

RFC 8489 and RFC 5389 (STUN), RFC 3489 (classic STUN, without a magic cookie), RFC 8656 (TURN), RFC 8445 (ICE).
WhatsApp speaks STUN of its own make: message types from 0x0800 on and attributes from 0x4000 on, which it does not
pad to four bytes.
"""

from __future__ import annotations

import ipaddress
import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.protocols.errors import ProtocolError
from forensics.protocols.text import printable

if TYPE_CHECKING:
    import numpy.typing as npt

HEADER: Final = 20
COOKIE: Final = 0x2112A442
_COOKIE_BYTES: Final = COOKIE.to_bytes(4, "big")

REQUEST, INDICATION, SUCCESS, ERROR = range(4)
"""Message classes, https://www.rfc-editor.org/rfc/rfc8489#section-5."""

BINDING: Final = 0x001
ALLOCATE: Final = 0x003
REFRESH: Final = 0x004
SEND: Final = 0x006
DATA: Final = 0x007
CREATE_PERMISSION: Final = 0x008
CHANNEL_BIND: Final = 0x009
CONNECT: Final = 0x00A
GOOG_PING: Final = 0x080
METHODS: Final[dict[int, str]] = {
    BINDING: "Binding",
    0x002: "SharedSecret",
    ALLOCATE: "Allocate",
    REFRESH: "Refresh",
    SEND: "Send",
    DATA: "Data",
    CREATE_PERMISSION: "CreatePermission",
    CHANNEL_BIND: "ChannelBind",
    CONNECT: "Connect",
    0x00B: "ConnectionBind",
    0x00C: "ConnectionAttempt",
    GOOG_PING: "GooglePing",
}
"""Method → its name in the IANA registry of STUN parameters (the last one is Google's own)."""

SEND_INDICATION: Final = 0x0016
DATA_INDICATION: Final = 0x0017
WHATSAPP_TYPES: Final = range(0x0800, 0x0806)
WHATSAPP_ATTRIBUTES: Final = frozenset({0x4000, 0x4001, 0x4002, 0x4003, 0x4004, 0x4007})
CHANNELS: Final = range(0x4000, 0x5000)
"""https://www.rfc-editor.org/rfc/rfc8656#section-12"""

# https://www.rfc-editor.org/rfc/rfc8489#section-14, https://www.rfc-editor.org/rfc/rfc8656#section-18
_MAPPED: Final = 0x0001
_USERNAME: Final = 0x0006
_ERROR_CODE: Final = 0x0009
_CHANNEL_NUMBER: Final = 0x000C
_LIFETIME: Final = 0x000D
_XOR_PEER: Final = 0x0012
_DATA: Final = 0x0013
_REALM: Final = 0x0014
_XOR_RELAYED: Final = 0x0016
_XOR_MAPPED: Final = 0x0020
_XOR_MAPPED_OLD: Final = 0x8020  # drafts of RFC 5389, and servers that answer classic clients
_SOFTWARE: Final = 0x8022
_ALTERNATE_SERVER: Final = 0x8023
_FINGERPRINT: Final = 0x8028
_FINGERPRINT_XOR: Final = 0x5354554E

_CLASSIC_TYPES: Final = (0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112)
_CLASSIC_ATTRIBUTES: Final = frozenset(
    {*range(0x0001, 0x000C), _XOR_MAPPED_OLD, _SOFTWARE, _ALTERNATE_SERVER}
)
_ADDRESS_SIZES: Final = {1: 4, 2: 16}
_MAX_ATTRIBUTES: Final = 64


class Address(NamedTuple):
    """A transport address out of an attribute."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class StunMessage(NamedTuple):
    """One message; an attribute that is not there, or was cut off by the capture, is None."""

    type: int
    """The first two bytes, as Wireshark's stun.type."""
    method: int
    message_class: int
    """REQUEST, INDICATION, SUCCESS or ERROR."""
    classic: bool
    """Without a magic cookie (RFC 3489)."""
    transaction: bytes
    """12 bytes; 16 where classic."""
    attributes: tuple[int, ...]
    """Types in the order of the message."""
    truncated: bool
    """The capture holds only part of it."""
    mapped: Address | None = None
    """XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS."""
    relayed: Address | None = None
    peer: Address | None = None
    """The first XOR-PEER-ADDRESS."""
    alternate: Address | None = None
    error_code: int | None = None
    reason: str | None = None
    """What stands beside the error code, as printable text."""
    lifetime: int | None = None
    """Seconds."""
    channel: int | None = None
    software: str | None = None
    realm: str | None = None
    username: bool = False
    fingerprint: bool | None = None
    """Whether FINGERPRINT holds the CRC of the message."""
    data: bytes | None = None
    """What a Send or Data indication carries."""

    @property
    def whatsapp(self) -> bool:
        """A message type or an attribute that only WhatsApp uses."""
        return self.type in WHATSAPP_TYPES or not WHATSAPP_ATTRIBUTES.isdisjoint(self.attributes)


class ChannelData(NamedTuple):
    """What TURN carries in a channel, https://www.rfc-editor.org/rfc/rfc8656#section-12.4."""

    channel: int
    data: bytes


def method_of(message_type: int) -> int:
    """The method's 12 bits, which lie around the two of the class."""
    return message_type & 0x000F | message_type >> 1 & 0x0070 | message_type >> 2 & 0x0F80


def class_of(message_type: int) -> int:
    """REQUEST, INDICATION, SUCCESS or ERROR."""
    return message_type >> 4 & 1 | message_type >> 7 & 2


def parse_message(data: bytes, length: int | None = None) -> StunMessage:
    """The message that fills one datagram of ``length`` bytes (default: all of ``data``, else ``data`` was cut).

    Raises ProtocolError when it is none.
    """
    size = len(data) if length is None else length
    if len(data) < HEADER:
        raise ProtocolError("shorter than the header of a STUN message")
    message_type, body = struct.unpack_from("!HH", data)
    if message_type >> 14 or HEADER + body != size:
        raise ProtocolError("not the header of a STUN message")
    classic = data[4:8] != _COOKIE_BYTES
    if classic and (message_type not in _CLASSIC_TYPES or body % 4):
        raise ProtocolError("neither a magic cookie nor a classic message type")
    values = _walk(data[: min(len(data), size)], size)
    kinds = tuple(kind for kind, _, _ in values)
    if classic and not _CLASSIC_ATTRIBUTES.issuperset(kinds):
        raise ProtocolError("no magic cookie, and an attribute that RFC 3489 does not know")
    found: dict[str, object] = {}
    for kind, begin, value in values:
        if kind in _READERS:
            name, read = _READERS[kind]
            if name not in found:
                found[name] = read(value, data[4:HEADER])
        elif kind == _ERROR_CODE and len(value) >= 4:  # noqa: PLR2004 - two empty bytes, class, number
            found["error_code"] = (value[2] & 7) * 100 + value[3]
            found["reason"] = printable(value[4:])
        elif kind == _FINGERPRINT and len(value) == 4:  # noqa: PLR2004 - a CRC-32
            crc = zlib.crc32(data[: begin - 4]) ^ _FINGERPRINT_XOR
            found["fingerprint"] = crc == int.from_bytes(value, "big")
    mapped = found.pop("xor_mapped", None) or found.pop("plain_mapped", None)
    found.pop("plain_mapped", None)
    return StunMessage(
        type=message_type,
        method=method_of(message_type),
        message_class=class_of(message_type),
        classic=classic,
        transaction=data[4:HEADER] if classic else data[8:HEADER],
        attributes=kinds,
        truncated=len(data) < size,
        mapped=mapped,  # type: ignore[arg-type] # the readers below say what each name holds
        username=_USERNAME in kinds,
        **found,  # type: ignore[arg-type]
    )


def parse_stream(data: bytes) -> tuple[StunMessage | ChannelData, int] | None:
    """The message or channel frame at the beginning of a TCP stream, and how many bytes it took.

    None: more bytes are needed. Raises ProtocolError when it is neither.
    https://www.rfc-editor.org/rfc/rfc8489#section-6.2.2, https://www.rfc-editor.org/rfc/rfc8656#section-12.5
    """
    size = stream_size(data[:HEADER])
    if size is None or len(data) < size:
        return None
    number, body = struct.unpack_from("!HH", data)
    if number in CHANNELS:
        return ChannelData(number, data[4 : 4 + body]), size
    return parse_message(data[:size]), size


def stream_size(data: bytes) -> int | None:
    """Bytes that the message or channel frame at the beginning of a TCP stream takes, by its first bytes.

    None: more bytes are needed (at most 8). Raises ProtocolError when it is neither.
    """
    if not data:
        return None
    if data[0] in range(CHANNELS.start >> 8, CHANNELS.stop >> 8):
        return 4 + (int.from_bytes(data[2:4], "big") + 3) // 4 * 4 if len(data) >= 4 else None  # noqa: PLR2004
    if data[0] >> 6:
        raise ProtocolError("neither a STUN message nor a channel frame")
    if not _COOKIE_BYTES.startswith(data[4:8]):
        raise ProtocolError("a STUN message in a stream without its magic cookie")
    return HEADER + int.from_bytes(data[2:4], "big") if len(data) >= 8 else None  # noqa: PLR2004


def looks_like_stun(
    head: npt.NDArray[np.uint8], length: npt.NDArray[np.integer], *, stun_port: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Which datagrams may be STUN; ``parse_message`` has the last word.

    ``head`` is (n × 24 or more) uint8, zero padded; ``length`` the payload on the wire; ``stun_port`` whether either
    port is one of STUN's: the only sign of a classic request without attributes.
    """
    kind = head[:, 0].astype(np.int32) << 8 | head[:, 1]
    body = head[:, 2].astype(np.int32) << 8 | head[:, 3]
    whole = (head[:, 0] < 64) & (body + HEADER == length)  # noqa: PLR2004 - the first two bits are 0
    cookie = np.ones(len(head), dtype=np.bool_)
    for place, byte in enumerate(_COOKIE_BYTES, 4):
        cookie &= head[:, place] == byte
    attribute = head[:, 20].astype(np.int32) << 8 | head[:, 21]
    known = np.isin(attribute, list(_CLASSIC_ATTRIBUTES)) & (body >= 4) | stun_port & (body == 0)  # noqa: PLR2004
    classic = np.isin(kind, _CLASSIC_TYPES) & (body % 4 == 0) & known
    return np.asarray(whole & (cookie | classic))


def looks_like_channel(head: npt.NDArray[np.uint8], length: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Which datagrams have the shape of TURN's ChannelData; over UDP its padding may be left out.

    One random datagram in 4,000 that begins so has it too: what it carries has to be looked at.
    """
    body = head[:, 2].astype(np.int32) << 8 | head[:, 3]
    spare = length - 4 - body
    return np.asarray((head[:, 0] >> 4 == CHANNELS.start >> 12) & (spare >= 0) & (spare < 4))  # noqa: PLR2004


def _walk(data: bytes, size: int) -> list[tuple[int, int, bytes]]:
    """Type, offset and value of every attribute in the captured part of a message of ``size`` bytes."""
    values: list[tuple[int, int, bytes]] = []
    at = HEADER
    while at < size:
        if len(values) == _MAX_ATTRIBUTES:
            raise ProtocolError("more attributes than a STUN message has")
        if size - at < 4:  # noqa: PLR2004 - type and length
            raise ProtocolError("an attribute without its length")
        if len(data) - at < 4:  # noqa: PLR2004
            break
        kind, length = struct.unpack_from("!HH", data, at)
        begin, at = at + 4, at + 4 + (length + 3) // 4 * 4
        if begin + length > size:
            raise ProtocolError("an attribute longer than its message")
        if begin + length > len(data):
            break
        values.append((kind, begin, data[begin : begin + length]))
    return values


def _address(value: bytes, mask: bytes) -> Address | None:
    """https://www.rfc-editor.org/rfc/rfc8489#section-14.1; ``mask`` is zero, or cookie and transaction."""
    if len(value) < 4 or len(value) != 4 + _ADDRESS_SIZES.get(value[1], -1):  # noqa: PLR2004
        return None
    port = int.from_bytes(value[2:4], "big") ^ int.from_bytes(mask[:2], "big")
    packed = bytes(byte ^ over for byte, over in zip(value[4:], mask, strict=False))
    return Address(str(ipaddress.ip_address(packed)), port)


def _plain(value: bytes, _mask: bytes) -> Address | None:
    return _address(value, bytes(16))


def _text(value: bytes, _mask: bytes) -> str:
    return printable(value)


def _number(value: bytes, _mask: bytes) -> int | None:
    return int.from_bytes(value, "big") if len(value) == 4 else None  # noqa: PLR2004 - 32 bits


def _channel(value: bytes, _mask: bytes) -> int | None:
    return int.from_bytes(value[:2], "big") if len(value) == 4 else None  # noqa: PLR2004 - two bytes are reserved


def _whole(value: bytes, _mask: bytes) -> bytes:
    return value


_READERS: Final = {
    _MAPPED: ("plain_mapped", _plain),
    _XOR_MAPPED: ("xor_mapped", _address),
    _XOR_MAPPED_OLD: ("xor_mapped", _address),
    _XOR_RELAYED: ("relayed", _address),
    _XOR_PEER: ("peer", _address),
    _ALTERNATE_SERVER: ("alternate", _plain),
    _LIFETIME: ("lifetime", _number),
    _CHANNEL_NUMBER: ("channel", _channel),
    _SOFTWARE: ("software", _text),
    _REALM: ("realm", _text),
    _DATA: ("data", _whole),
}
"""Attribute → where its value goes and what reads it; of several of one kind the first counts."""

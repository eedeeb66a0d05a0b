"""What the readers of TLS messages share: records, vectors, numbers, versions.

https://www.rfc-editor.org/rfc/rfc8446
"""

from __future__ import annotations

import functools
import struct
from typing import Final

from forensics.protocols.errors import ProtocolError

# https://www.rfc-editor.org/rfc/rfc8446#section-5.1
ALERT: Final = 21
HANDSHAKE: Final = 22
RECORD_HEADER: Final = 5
MAX_FRAGMENT: Final = 1 << 14

# https://www.rfc-editor.org/rfc/rfc8446#section-4
HELLO_REQUEST: Final = 0
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
MESSAGE_HEADER: Final = 4
MAX_HELLO: Final = 1 << 16
"""Longest hello that is read; the format would allow about 128 kB, the largest ones seen are below 20 kB."""

# https://www.rfc-editor.org/rfc/rfc8446#section-4.2
SERVER_NAME: Final = 0
GROUPS: Final = 10
POINT_FORMATS: Final = 11
SIGNATURE_ALGORITHMS: Final = 13
ALPN: Final = 16
SUPPORTED_VERSIONS: Final = 43
KEY_SHARE: Final = 51

TWO_WORDS: Final = struct.Struct("!HH").unpack_from
_GREASE: Final = 0x0A0A
VERSION_NAMES: Final[dict[int, str]] = {
    0x0002: "ssl2",
    0x0300: "ssl3",
    0x0301: "1.0",
    0x0302: "1.1",
    0x0303: "1.2",
    0x0304: "1.3",
    0xFEFF: "dtls1.0",
    0xFEFD: "dtls1.2",
    0xFEFC: "dtls1.3",
}
"""Version field → name. DTLS: RFC 6347 4.2.1 and RFC 9147 5.3 (there was no DTLS 1.1)."""


def version_name(version: int) -> str:
    """``1.3`` for 0x0304, ``dtls1.2`` for 0xfefd and so on; an unknown version in hex."""
    return VERSION_NAMES.get(version) or f"0x{version:04x}"


def is_grease(value: int) -> bool:
    """Whether a 16-bit value is one of those that must be ignored (RFC 8701 2)."""
    return value & 0x0F0F == _GREASE and value >> 8 == value & 0xFF


def record_header(data: bytes, at: int) -> tuple[int, int]:
    """Type and length of the record at ``at``; -1 for what is not there yet."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-5.1
    head = data[at : at + RECORD_HEADER]
    if len(head) > 1 and head[1] != 3:  # noqa: PLR2004 - major version of SSL 3.0 and every TLS
        raise ProtocolError(f"record version {head[1]}.x is no TLS")
    if len(head) > 2 and head[2] > 4:  # noqa: PLR2004 - minor version of TLS 1.3
        raise ProtocolError(f"record version 3.{head[2]} is no TLS")
    if len(head) < RECORD_HEADER:
        return (head[0] if head else -1), -1
    size = head[3] << 8 | head[4]
    if size == 0:
        raise ProtocolError("an empty handshake or alert record")
    if size > MAX_FRAGMENT:
        raise ProtocolError(f"a record of {size} bytes is longer than {MAX_FRAGMENT}")
    return head[0], size


def vector(data: bytes, at: int, width: int, what: str) -> tuple[bytes, int]:
    """A vector with a length of ``width`` bytes before it, and where it ends (RFC 8446 3.4)."""
    start = at + width
    if start > len(data):
        raise ProtocolError(f"the {what} is cut short")
    end = start + (data[at] if width == 1 else data[at] << 8 | data[at + 1])
    if end > len(data):
        raise ProtocolError(f"the {what} reaches past the end of what holds it")
    return data[start:end], end


def words(data: bytes) -> tuple[int, ...]:
    """The bytes as 16-bit numbers in network order."""
    if len(data) % 2:
        raise ProtocolError("a list of 16-bit numbers has an odd length")
    return struct.unpack(f"!{len(data) // 2}H", data)


remembered_words = functools.lru_cache(maxsize=256)(words)

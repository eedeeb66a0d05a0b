"""MMTLS, WeChat's own variant of TLS 1.3, spoken over bare TCP ("longlink") and inside HTTP POST ("shortlink").

Source: "Should We Chat, Too?" (Citizen Lab, 2024), which describes the records and the hello:
https://citizenlab.ca/2024/10/should-we-chat-too-security-analysis-of-wechats-mmtls-encryption-protocol/
"""

from __future__ import annotations

from typing import Final, NamedTuple

from forensics.protocols.errors import ProtocolError

HANDSHAKE, DATA, ALERT, EARLY = 0x16, 0x17, 0x15, 0x19
VERSIONS: Final = {0xF103: "f103", 0xF104: "f104"}
SHORTLINK: Final = b"POST /mmtls/"

_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_LONGEST: Final = 1 << 14
_HEADER: Final = 5
_MESSAGE: Final = 5
"""Length (4 bytes) and type of a handshake message."""


class MmtlsHello(NamedTuple):
    """A client's or server's first record."""

    version: str
    server: bool
    length: int
    """Bytes of the record with its header."""


def looks_like_mmtls(data: bytes) -> bool:
    """Whether a stream begins with the header of an MMTLS record."""
    return (
        len(data) >= _HEADER
        and data[0] in (HANDSHAKE, DATA, ALERT, EARLY)
        and int.from_bytes(data[1:3], "big") in VERSIONS
        and 0 < int.from_bytes(data[3:5], "big") <= _LONGEST
    )


def parse_mmtls_hello(data: bytes) -> MmtlsHello | None:
    """The record with which a stream begins; None: more bytes are needed. Raises ProtocolError."""
    if len(data) < _HEADER:
        return None
    if not looks_like_mmtls(data) or data[0] not in (HANDSHAKE, EARLY):
        message = "no MMTLS hello"
        raise ProtocolError(message)
    if len(data) < _HEADER + _MESSAGE:
        return None
    size = int.from_bytes(data[3:5], "big")
    inner, kind = int.from_bytes(data[5:9], "big"), data[9]
    if inner + 4 > size or kind not in (_CLIENT_HELLO, _SERVER_HELLO):
        message = f"a handshake message of type {kind} and {inner} bytes in a record of {size}"
        raise ProtocolError(message)
    version = VERSIONS[int.from_bytes(data[1:3], "big")]
    return MmtlsHello(version, kind == _SERVER_HELLO, _HEADER + size)

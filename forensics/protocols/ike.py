"""IKE versions 1 and 2 over UDP 500 and 4500, and ESP in UDP.

https://www.rfc-editor.org/rfc/rfc2408#section-3.1, https://www.rfc-editor.org/rfc/rfc7296#section-3.1 and
https://www.rfc-editor.org/rfc/rfc3948#section-2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PORTS: Final = (500, 4500)
HEADER: Final = 28

EXCHANGES: Final = {
    2: "Identity Protection",
    4: "Aggressive",
    5: "Informational",
    6: "Transaction",
    32: "Quick Mode",
    33: "New Group Mode",
    34: "IKE_SA_INIT",
    35: "IKE_AUTH",
    36: "CREATE_CHILD_SA",
    37: "INFORMATIONAL",
    38: "IKE_SESSION_RESUME",
    43: "IKE_INTERMEDIATE",
}
_OPENING: Final = (2, 4, 34)
"""Exchanges that begin an association."""
# https://www.iana.org/assignments/ikev2-parameters
NOTIFICATIONS: Final = {
    5: "INVALID_MAJOR_VERSION",
    7: "INVALID_SYNTAX",
    14: "NO_PROPOSAL_CHOSEN",
    17: "INVALID_KE_PAYLOAD",
    24: "AUTHENTICATION_FAILED",
    16388: "NAT_DETECTION_SOURCE_IP",
    16389: "NAT_DETECTION_DESTINATION_IP",
    16390: "COOKIE",
    16407: "REDIRECT",
    16430: "IKEV2_FRAGMENTATION_SUPPORTED",
}
_NOTIFY: Final = {1: 11, 2: 41}
"""Number of the Notify payload in each version."""
_MARKER: Final = bytes(4)
_MOST_PAYLOADS: Final = 64
_ENCRYPTED_V1: Final = 0x01
_RESPONSE_V2: Final = 0x20
_SK, _SKF = 46, 53
_LONGEST: Final = 1 << 16


class IkeMessage(NamedTuple):
    """The header of one message, and what its payloads notify of as far as they are in the clear."""

    initiator: bytes
    """SPI (version 1: cookie) of who began."""
    responder: bytes
    """Eight zeros in the first message."""
    major: int
    exchange: int
    response: bool
    """Version 2: the response bit; version 1: the responder's cookie is there."""
    message_id: int
    notify: tuple[int, ...]
    """Types of the notifications, in order."""
    marker: bool
    """Four zeros stand before it (RFC 3948), as on port 4500."""

    @property
    def opens(self) -> bool:
        """The first message of an association."""
        return self.exchange in _OPENING and not self.response and self.responder == bytes(8)


def parse_ike(data: bytes) -> IkeMessage:
    """One datagram of port 500 or 4500. Raises ProtocolError."""
    marker = data[:4] == _MARKER
    if marker:
        data = data[4:]
    if len(data) < HEADER:
        message = f"{len(data)} bytes are no IKE header"
        raise ProtocolError(message)
    major, exchange, flags = data[17] >> 4, data[18], data[19]
    length = int.from_bytes(data[24:28], "big")
    known = exchange in EXCHANGES and (exchange >= 34) == (major == 2)  # noqa: PLR2004 - those of IKEv2
    if major not in _NOTIFY or not known or not HEADER <= length <= _LONGEST or data[:8] == bytes(8):
        message = f"no IKE: version {major}, exchange {exchange}, {length} bytes"
        raise ProtocolError(message)
    if length > len(data):
        message = f"{len(data)} of {length} bytes"
        raise ProtocolError(message)
    responder = data[8:16]
    response = bool(flags & _RESPONSE_V2) if major == 2 else responder != bytes(8)  # noqa: PLR2004
    hidden = major == 1 and flags & _ENCRYPTED_V1
    notify = () if hidden else tuple(_notify(data[:length], data[16], major))
    message_id = int.from_bytes(data[20:24], "big")
    return IkeMessage(data[:8], responder, major, exchange, response, message_id, notify, marker)


def _notify(data: bytes, kind: int, major: int) -> list[int]:
    """Types in the Notify payloads of a chain; it ends where it is encrypted or does not fit."""
    types: list[int] = []
    at = HEADER
    for _ in range(_MOST_PAYLOADS):
        if kind in (0, _SK, _SKF) or len(data) < at + 4:
            break
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 4 or at + size > len(data):  # noqa: PLR2004 - the payload's own header
            break
        # version 1: domain of interpretation (4), protocol, SPI size, type; version 2: protocol, SPI size, type
        place = at + (10 if major == 1 else 6)
        if kind == _NOTIFY[major] and place + 2 <= at + size:
            types.append(int.from_bytes(data[place : place + 2], "big"))
        kind, at = data[at], at + size
    return types


def looks_like_ike(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Datagrams that may be IKE, for parse_ike to judge. ``head``: n x 32."""
    marker = (head[:, 0] | head[:, 1] | head[:, 2] | head[:, 3]) == 0
    versions = (0x10, 0x20)
    plain = ~marker & ((head[:, 17] == versions[0]) | (head[:, 17] == versions[1]))
    moved = marker & ((head[:, 21] == versions[0]) | (head[:, 21] == versions[1]))
    found: npt.NDArray[np.bool_] = (length >= HEADER) & (plain | moved)
    return found


def looks_like_esp(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Datagrams of port 4500 that are ESP by RFC 3948: an SPI above 255, the sequence number below 2²⁴."""
    spi = (head[:, 0] | head[:, 1] | head[:, 2]) != 0
    whole = (length >= 36) & (length % 4 == 0)  # noqa: PLR2004 - header, IV, a block, ICV
    found: npt.NDArray[np.bool_] = whole & spi & (head[:, 4] == 0)
    return found

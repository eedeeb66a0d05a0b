"""OpenVPN's control channel, over UDP and TCP, with and without tls-auth, tls-crypt and tls-crypt-v2.

https://openvpn.net/community-resources/openvpn-protocol/ and
https://www.ietf.org/archive/id/draft-openvpn-openvpn-wire-protocol-00.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CLIENT_RESETS: Final = {1: 1, 7: 2, 10: 3}
"""Opcode of P_CONTROL_HARD_RESET_CLIENT → its version."""
SERVER_RESETS: Final = {2: 1, 8: 2}
OPCODES: Final = {
    1: "P_CONTROL_HARD_RESET_CLIENT_V1",
    2: "P_CONTROL_HARD_RESET_SERVER_V1",
    3: "P_CONTROL_SOFT_RESET_V1",
    4: "P_CONTROL_V1",
    5: "P_ACK_V1",
    6: "P_DATA_V1",
    7: "P_CONTROL_HARD_RESET_CLIENT_V2",
    8: "P_CONTROL_HARD_RESET_SERVER_V2",
    9: "P_DATA_V2",
    10: "P_CONTROL_HARD_RESET_CLIENT_V3",
    11: "P_CONTROL_WKC_V1",
}
PLAIN, AUTH, CRYPT = "plain", "tls-auth", "tls-crypt"

_SESSION: Final = 8
_START: Final = 1 + _SESSION
_HMACS: Final = (16, 20, 28, 32, 48, 64)
"""Bytes of the digests that tls-auth may use: MD5, SHA1, SHA224, SHA256, SHA384, SHA512."""
_REPLAY: Final = 8
"""Packet id and time, with tls-auth and tls-crypt."""
_CRYPT_TAG: Final = 32
_TAIL: Final = 5
"""No acknowledgements (one byte), message packet id 0 (four)."""
_FIRST_IDS: Final = 256
"""A reset is among the first packets of its sender, so its packet id is small."""
_ACKS: Final = 4
"""Most packets that one packet acknowledges."""
_SHORTEST, _LONGEST = 14, 4096
_CRYPT_SIZE: Final = _START + _REPLAY + _CRYPT_TAG + _TAIL
CLIENT_SIZES: Final = frozenset(
    {_START + _TAIL, _CRYPT_SIZE, *(_START + hmac + _REPLAY + _TAIL for hmac in _HMACS)}
)
"""Bytes of a client's reset of version 1 and 2, over UDP."""


class OpenVpnReset(NamedTuple):
    """The hard reset with which one side begins a session."""

    opcode: int
    client: bool
    version: int
    session: bytes
    """The sender's session id."""
    peer: bytes | None
    """The session id it answers; None when it answers none, or cannot be read (tls-crypt)."""
    protection: str
    """``plain``, ``tls-auth`` or ``tls-crypt``."""
    length: int
    """Bytes of the packet; over TCP with the two that tell its length."""


def _tail(data: bytes, at: int) -> tuple[bytes | None] | None:
    """Session id that is acknowledged from ``at`` to the end of a reset (None: none is); None: this is no such end."""
    if len(data) < at + _TAIL or data[-4:] != bytes(4):
        return None
    count = data[at]
    if count == 0:
        return (None,) if len(data) == at + _TAIL else None
    if count > _ACKS or len(data) != at + 1 + 4 * count + _SESSION + 4:
        return None
    return (data[at + 1 + 4 * count : at + 1 + 4 * count + _SESSION],)


def _fresh(data: bytes, at: int) -> bool:
    """Whether a packet id at ``at`` is one of the first, and a time after 2001 follows it."""
    number, time = int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 4 : at + 8], "big")
    return 0 < number < _FIRST_IDS and time >= 1_000_000_000  # noqa: PLR2004 - OpenVPN is of 2001


def parse_openvpn_reset(data: bytes) -> OpenVpnReset:
    """One whole packet (a datagram) that is a hard reset. Raises ProtocolError."""
    opcode, key = (data[0] >> 3, data[0] & 7) if data else (0, 0)
    version = CLIENT_RESETS.get(opcode) or SERVER_RESETS.get(opcode)
    if version is None or key or not _SHORTEST <= len(data) <= _LONGEST or not any(data[1:_START]):
        message = f"no hard reset: opcode {opcode}, key {key}, {len(data)} bytes"
        raise ProtocolError(message)
    client, session = opcode in CLIENT_RESETS, data[1:_START]
    found = _tail(data, _START)
    protection = PLAIN
    if found is None:
        protection = AUTH
        for hmac in _HMACS:
            if _fresh(data, _START + hmac) and (found := _tail(data, _START + hmac + _REPLAY)):
                break
    if found is None and _fresh(data, _START) and len(data) >= _CRYPT_SIZE:
        protection, found = CRYPT, (None,)
    if found is None or (client and found[0] is not None):
        message = f"no hard reset has this end, opcode {opcode}, {len(data)} bytes"
        raise ProtocolError(message)
    return OpenVpnReset(opcode, client, version, session, found[0], protection, len(data))


def parse_openvpn_stream(data: bytes) -> OpenVpnReset | None:
    """The packet with which a TCP stream begins; None: more bytes are needed. Raises ProtocolError."""
    if len(data) < 3:  # noqa: PLR2004 - length and opcode
        return None
    size = int.from_bytes(data[:2], "big")
    opcode, key = data[2] >> 3, data[2] & 7
    if key or not _SHORTEST <= size <= _LONGEST or opcode not in (*CLIENT_RESETS, *SERVER_RESETS):
        message = f"no hard reset: opcode {opcode}, {size} bytes"
        raise ProtocolError(message)
    if len(data) < 2 + size:
        return None
    return parse_openvpn_reset(data[2 : 2 + size])._replace(length=2 + size)


def looks_like_openvpn(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Datagrams that may be hard resets, for parse_openvpn_reset to judge. ``head``: n x 32."""
    import numpy as np  # noqa: PLC0415 - the parsers need none of it

    opcode = head[:, 0] >> 3
    plain = np.isin(opcode, (1, 7)) & np.isin(length, np.fromiter(CLIENT_SIZES, dtype=np.int64))
    other = np.isin(opcode, (2, 8, 10)) & (length >= _SHORTEST) & (length <= _LONGEST)
    found: npt.NDArray[np.bool_] = ((head[:, 0] & 7) == 0) & (plain | other)
    return found

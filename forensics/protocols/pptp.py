"""PPTP's control connection on TCP 1723: https://www.rfc-editor.org/rfc/rfc2637#section-2."""

from __future__ import annotations

from typing import Final, NamedTuple

from forensics.protocols.errors import ProtocolError

PORT: Final = 1723
MESSAGES: Final = {
    1: "Start-Control-Connection-Request",
    2: "Start-Control-Connection-Reply",
    3: "Stop-Control-Connection-Request",
    4: "Stop-Control-Connection-Reply",
    5: "Echo-Request",
    6: "Echo-Reply",
    7: "Outgoing-Call-Request",
    8: "Outgoing-Call-Reply",
    9: "Incoming-Call-Request",
    10: "Incoming-Call-Reply",
    11: "Incoming-Call-Connected",
    12: "Call-Clear-Request",
    13: "Call-Disconnect-Notify",
    14: "WAN-Error-Notify",
    15: "Set-Link-Info",
}
REQUEST, REPLY = 1, 2

_MAGIC: Final = b"\x1a\x2b\x3c\x4d"
_HEADER: Final = 12
_START_SIZE: Final = 156


class PptpControl(NamedTuple):
    """One control message."""

    message: int
    """Type, see MESSAGES."""
    result: int | None
    """Result code of a Start-Control-Connection-Reply; 1 is success."""
    length: int


def parse_pptp_control(data: bytes) -> PptpControl | None:
    """The message with which a stream begins; None: more bytes are needed. Raises ProtocolError."""
    if len(data) < _HEADER:
        if len(data) > 4 and not _MAGIC.startswith(data[4:8]):  # noqa: PLR2004 - length and type stand before
            message = "no magic cookie"
            raise ProtocolError(message)
        return None
    length, kind = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
    control = int.from_bytes(data[8:10], "big")
    fits = length == _START_SIZE if control in (REQUEST, REPLY) else length >= _HEADER
    if data[4:8] != _MAGIC or kind != 1 or control not in MESSAGES or not fits:
        message = f"no control message: type {kind}, message {control}, {length} bytes"
        raise ProtocolError(message)
    if control != REPLY:
        return PptpControl(control, None, length)
    if len(data) < _HEADER + 3:
        return None
    return PptpControl(control, data[14], length)

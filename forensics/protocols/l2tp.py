"""L2TP's control messages: https://www.rfc-editor.org/rfc/rfc2661#section-3.1 and, version 3, RFC 3931 section 3.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PORT: Final = 1701
MESSAGES: Final = {
    1: "SCCRQ",
    2: "SCCRP",
    3: "SCCCN",
    4: "StopCCN",
    6: "HELLO",
    7: "OCRQ",
    8: "OCRP",
    9: "OCCN",
    10: "ICRQ",
    11: "ICRP",
    12: "ICCN",
    14: "CDN",
    15: "WEN",
    16: "SLI",
}
REQUEST, REPLY, STOP = 1, 2, 4

_HEADER: Final = 12
_CONTROL: Final = 0xC800
"""A control message has type, length and sequence bits, and no others but the version."""
_UNUSED: Final = 0xFFF0
_AVP: Final = 8


class L2tpControl(NamedTuple):
    """One control message."""

    version: int
    tunnel: int
    """Number that its receiver gave the tunnel; 0 in the first message. Version 3: the connection."""
    session: int
    message: int | None
    """Type, see MESSAGES; None for a bare acknowledgement."""
    sent: int
    """Ns."""
    received: int
    """Nr."""


def parse_l2tp_control(data: bytes) -> L2tpControl:
    """One datagram. Raises ProtocolError; data messages are none of what is looked for."""
    if len(data) < _HEADER:
        message = f"{len(data)} bytes are no control message"
        raise ProtocolError(message)
    flags, length = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
    version = flags & 0xF
    if flags & _UNUSED != _CONTROL or version not in (2, 3) or not _HEADER <= length <= len(data):
        message = f"no control message: flags {flags:#06x}, {length} of {len(data)} bytes"
        raise ProtocolError(message)
    tunnel, session = int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big")
    if version == 3:  # noqa: PLR2004 - one number of 32 bits
        tunnel, session = int.from_bytes(data[4:8], "big"), 0
    kind = None
    if length > _HEADER:
        # the first AVP is the message type: vendor 0, attribute 0, mandatory, not hidden
        avp = data[_HEADER : _HEADER + _AVP]
        if len(avp) < _AVP or length < _HEADER + _AVP or avp[:6] != b"\x80\x08\x00\x00\x00\x00":
            message = "the first attribute is no message type"
            raise ProtocolError(message)
        kind = int.from_bytes(avp[6:8], "big")
        if kind not in MESSAGES:
            message = f"message type {kind}"
            raise ProtocolError(message)
    sent, received = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
    return L2tpControl(version, tunnel, session, kind, sent, received)


def looks_like_l2tp(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Datagrams that may be control messages, for parse_l2tp_control to judge. ``head``: n x 32."""
    version = (head[:, 1] == 2) | (head[:, 1] == 3)  # noqa: PLR2004
    found: npt.NDArray[np.bool_] = (head[:, 0] == _CONTROL >> 8) & version & (length >= _HEADER)
    return found

"""SSH's identification string and the first packet of the key exchange.

https://www.rfc-editor.org/rfc/rfc4253#section-4.2
"""

from __future__ import annotations

from typing import Final, NamedTuple

from forensics.protocols.errors import ProtocolError
from forensics.protocols.text import printable

LONGEST: Final = 255
"""Bytes of an identification string with its end of line."""
KEXINIT: Final = 20
"""https://www.rfc-editor.org/rfc/rfc4253#section-7.1"""

_BEGIN: Final = b"SSH-"
_LONGEST_PACKET: Final = 35_000
_PACKET: Final = 6
"""packet_length, padding_length and the type of the message."""


class SshBanner(NamedTuple):
    """An identification string."""

    version: str
    """``2.0``, ``1.99``…"""
    software: str
    comment: str
    """Empty when there is none."""
    length: int
    """Bytes with the end of line."""


def parse_ssh_banner(data: bytes) -> SshBanner | None:
    """The identification string with which a stream begins; None: more bytes are needed. Raises ProtocolError.

    Lines that a server may send before it are not looked for.
    """
    if not _BEGIN.startswith(data[:4]):
        message = "no SSH- stands first"
        raise ProtocolError(message)
    end = data.find(b"\n", 0, LONGEST)
    if end < 0:
        if len(data) >= LONGEST:
            message = f"no end of line in {LONGEST} bytes"
            raise ProtocolError(message)
        return None
    line = data[4:end].removesuffix(b"\r")
    version, dash, rest = line.partition(b"-")
    software, _, comment = rest.partition(b" ")
    if not dash or not version or not software:
        message = "no version and software in the identification string"
        raise ProtocolError(message)
    return SshBanner(printable(version), printable(software), printable(comment), end + 1)


def begins_key_exchange(data: bytes) -> bool | None:
    """Whether a packet with SSH_MSG_KEXINIT follows an identification string; None: more bytes are needed."""
    if len(data) < _PACKET:
        return None
    return _PACKET < int.from_bytes(data[:4], "big") <= _LONGEST_PACKET and data[5] == KEXINIT

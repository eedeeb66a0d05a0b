"""Viber's own framing over TCP and UDP, as far as DPI libraries describe it: a length, and marks at fixed places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TCP_PORTS: Final = (4244, 5242)
UDP_PORTS: Final = (5243, 7985, 7987, 9785)

_SHORTEST: Final = 11


class ViberMessage(NamedTuple):
    """The first message of one side of a TCP stream."""

    answer: bool
    """The server's form of it."""
    length: int


def parse_viber_message(data: bytes) -> ViberMessage | None:
    """The message with which a stream begins; None: more bytes are needed. Raises ProtocolError.

    Its first two bytes are its whole length, little endian.
    """
    if len(data) < _SHORTEST:
        return None
    length = int.from_bytes(data[:2], "little")
    request = data[6:8] == b"\xfc\xff" and data[9] == 0x80  # noqa: PLR2004 - marks without a name
    answer = data[4:6] == b"\x03\x80" and data[10] == 0x0A  # noqa: PLR2004
    if length < _SHORTEST or not (request or answer):
        message = f"no mark of a Viber message of {length} bytes"
        raise ProtocolError(message)
    return ViberMessage(not request, length)


def looks_like_viber(
    head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64], at_port: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Which datagrams are Viber's; ``head``: n x 32, ``at_port``: to or from one of UDP_PORTS.

    The marks are two bytes, too few to believe at any port.
    """
    kind = head[:, 2].astype(int) | head[:, 3].astype(int) << 8
    call = (kind == 1) & (head[:, 4] == 5) & (head[:, 5] == 0)  # noqa: PLR2004
    ping = (length == 20) & ((kind == 9) | (kind == 0x1A))  # noqa: PLR2004
    probe = (length == 34) & ((kind == 0x19) | (kind == 0x1B) | (kind == 0x0B))  # noqa: PLR2004
    found: npt.NDArray[np.bool_] = at_port & (length >= _SHORTEST) & (call | ping | probe | (kind == 3))  # noqa: PLR2004
    return found

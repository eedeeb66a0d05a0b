"""WireGuard datagrams.

https://www.wireguard.com/protocol/ and https://www.wireguard.com/papers/wireguard.pdf section 5.4
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4
SIZES: Final = {INITIATION: 148, RESPONSE: 92, COOKIE: 64}
"""Bytes of each message of the handshake; no other length is valid."""

_SHORTEST_DATA: Final = 32
_BLOCK: Final = 16
"""Data is padded to a multiple of it."""


class WireGuardMessage(NamedTuple):
    """One datagram."""

    kind: int
    sender: int | None
    """Index that the sender gave itself (initiation, response)."""
    receiver: int | None
    """Index of the one it is for (response, cookie, data)."""
    counter: int | None
    """Of a data packet."""


def parse_wireguard(data: bytes) -> WireGuardMessage:
    """One whole datagram. Raises ProtocolError."""
    kind = int.from_bytes(data[:4], "little")
    if SIZES.get(kind) != len(data) and not (
        kind == DATA and len(data) >= _SHORTEST_DATA and len(data) % _BLOCK == 0
    ):
        message = f"no WireGuard message of type {kind} has {len(data)} bytes"
        raise ProtocolError(message)
    first = int.from_bytes(data[4:8], "little")
    if kind == INITIATION:
        return WireGuardMessage(kind, first, None, None)
    if kind == RESPONSE:
        return WireGuardMessage(kind, first, int.from_bytes(data[8:12], "little"), None)
    counter = int.from_bytes(data[8:16], "little") if kind == DATA else None
    return WireGuardMessage(kind, None, first, counter)


def looks_like_wireguard(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """Type of each datagram (1 to 4), 0 for what is none. ``head``: n x 32, ``length``: payload on the wire.

    Of data packets only those are believed whose 64-bit counter is below 2³²: a session is renewed long before.
    """
    kind = head[:, 0].astype("int8")
    kind[(head[:, 1] | head[:, 2] | head[:, 3]) != 0] = 0
    fits = (kind == DATA) & (length >= _SHORTEST_DATA) & (length % _BLOCK == 0)
    fits &= (head[:, 12] | head[:, 13] | head[:, 14] | head[:, 15]) == 0
    for one, size in SIZES.items():
        fits |= (kind == one) & (length == size)
    kind[~fits] = 0
    return kind

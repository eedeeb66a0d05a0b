"""Fully encrypted streams: the properties of a first packet that decide whether a known filter lets it pass.

The rules are those of "How the Great Firewall of China Detects and Blocks Fully Encrypted Traffic"
(https://www.usenix.org/conference/usenixsecurity23/presentation/wu-mingshi), with the limits of the authors' own code.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

FEW_BITS, MANY_BITS = 3.4, 4.6
PRINTABLE_PREFIX: Final = 6
PRINTABLE_SHARE: Final = 0.5
PRINTABLE_RUN: Final = 20

_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_RUNS: Final = re.compile(rb"[\x20-\x7e]+")
_TLS: Final = re.compile(rb"[\x16\x17]\x03[\x00-\x0f]", re.DOTALL)
_HTTP: Final = (b"GET ", b"PUT ", b"POST ", b"HEAD ")
# Of 64 random bytes the sum of bits is 256 ± 11.3, the number of different bytes 56.6 ± 2.2; here is four times that.
_RANDOM_BITS: Final = (3.29, 4.71)
_RANDOM_KINDS: Final = 47 / 64


class FirstPacket(NamedTuple):
    """The five properties, of the payload of one packet."""

    size: int
    bits: float
    """Bits that are set, a byte, on average: 4 in random bytes."""
    printable_prefix: bool
    """The first six bytes are printable ASCII (0x20 to 0x7e)."""
    printable_share: float
    """Part of the bytes that are printable, 0 to 1."""
    printable_run: int
    """Longest run of printable bytes."""
    known_prefix: bool
    """It begins as TLS or as one of four methods of HTTP."""

    @property
    def exempt(self) -> bool:
        """Whether any of the five lets it pass."""
        return (
            not FEW_BITS < self.bits < MANY_BITS
            or self.printable_prefix
            or self.printable_share > PRINTABLE_SHARE
            or self.printable_run > PRINTABLE_RUN
            or self.known_prefix
        )


def measure_first_packet(data: bytes) -> FirstPacket:
    """The five properties of the whole payload of one packet; ValueError when it is empty."""
    size = len(data)
    if not size:
        message = "an empty packet has no properties"
        raise ValueError(message)
    return FirstPacket(
        size=size,
        bits=int.from_bytes(data, "big").bit_count() / size,
        printable_prefix=size >= PRINTABLE_PREFIX and not data[:PRINTABLE_PREFIX].translate(None, _PRINTABLE),
        printable_share=(size - len(data.translate(None, _PRINTABLE))) / size,
        printable_run=max(map(len, _RUNS.findall(data)), default=0),
        known_prefix=_TLS.match(data) is not None or data.startswith(_HTTP),
    )


def looks_random(data: bytes) -> bool:
    """Whether 32 bytes or more can be random, by their bits and by how many different bytes there are among 64."""
    begin = data[:64]
    if len(begin) < 32:  # noqa: PLR2004
        return False
    bits = int.from_bytes(begin, "big").bit_count() / len(begin)
    return _RANDOM_BITS[0] < bits < _RANDOM_BITS[1] and len(set(begin)) >= _RANDOM_KINDS * len(begin)

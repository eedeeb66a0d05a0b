"""Fingerprints of TLS hellos: JA3 and JA3S, and JA4 (which alone of its family is under a free licence).

JA3, JA3S: https://github.com/salesforce/ja3 . JA4 (BSD-3-Clause, FoxIO):
https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md

All take what was read of a hello and return text. They cost some microseconds, so they are worked out only for
those who read them.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from forensics.protocols.text import printable
from forensics.protocols.tls_wire import ALPN, SERVER_NAME, VERSION_NAMES, is_grease

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forensics.protocols.tls import ClientHello

Transport: TypeAlias = Literal["t", "q", "d"]
"""What carried a hello: TLS over TCP, QUIC, or DTLS."""

_NUMBERS: Final = {name: number for number, name in VERSION_NAMES.items()}
_JA4_VERSIONS: Final = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}
_NOTHING: Final = "0" * 12
_MOST: Final = 99
_GREASE_ALPN: Final = frozenset(printable(bytes([byte, byte])) for byte in range(0x0A, 0x100, 0x10))
"""Protocol names that are GREASE (RFC 8701 2), as ``printable`` shows them."""


def ja3(hello: ClientHello) -> str:
    """MD5 of version, ciphers, extensions, groups and point formats in the order sent, GREASE left out.

    The version is the one of the message itself, 771 for TLS 1.2 and 1.3 alike, as in the original and Wireshark.
    """
    parts = (
        str(hello.legacy_version),
        _decimal(hello.cipher_suites),
        _decimal(hello.extensions),
        _decimal(hello.groups),
        _decimal(hello.point_formats),
    )
    return _md5(",".join(parts))


def ja3s(legacy_version: int, cipher: int, extensions: Sequence[int]) -> str:
    """MD5 of what a ServerHello (or HelloRetryRequest) says: version of the message, cipher, extension types."""
    return _md5(f"{legacy_version},{cipher},{_decimal(extensions)}")


def ja4(hello: ClientHello, transport: Transport) -> str:
    """JA4 of a hello.

    Where its text leaves a choice: the highest version is that with the largest number, also for DTLS, whose
    numbers fall; GREASE is ignored in the list of protocols too.
    """
    kind, extensions = _extensions_part(hello.extensions, hello.signature_algorithms)
    count, ciphers = _ciphers_part(hello.cipher_suites)
    return f"{transport}{_version(hello.versions)}{kind[0]}{count}{kind[1:]}{_alpn(hello.alpn)}_{ciphers}_{extensions}"


def _version(names: tuple[str, ...]) -> str:
    highest = max(_NUMBERS[name] if name in _NUMBERS else int(name, 16) for name in names)
    return _JA4_VERSIONS.get(highest, "00")


def _alpn(names: tuple[str, ...]) -> str:
    """First and last character of the first protocol, or of its bytes in hex where either is no letter or digit."""
    name = next((name for name in names if name not in _GREASE_ALPN), "")
    if not name:
        return "00"
    # A backslash begins four characters that stand for one byte; that is how ``printable`` writes.
    first = ord(name[0]) if name[0] != "\\" else int(name[2:4], 16)
    last = ord(name[-1]) if name[-4:-3] != "\\" else int(name[-2:], 16)
    if chr(first).isalnum() and chr(last).isalnum() and max(first, last) < 0x80:  # noqa: PLR2004 - ASCII
        return chr(first) + chr(last)
    return f"{first >> 4:x}{last & 15:x}"


@functools.lru_cache(maxsize=256)
def _ciphers_part(suites: tuple[int, ...]) -> tuple[str, str]:
    """How many, and their hash. All hellos of one client carry the same list: it is remembered."""
    known = sorted(suite for suite in suites if not is_grease(suite))
    return f"{min(len(known), _MOST):02}", _hash(_hex(known)) if known else _NOTHING


def _extensions_part(extensions: tuple[int, ...], algorithms: tuple[int, ...]) -> tuple[str, str]:
    """``d`` or ``i`` and how many, and their hash; the order of extensions, which clients shuffle, is undone."""
    known = sorted(kind for kind in extensions if not is_grease(kind))
    kind = f"{'d' if SERVER_NAME in known else 'i'}{min(len(known), _MOST):02}"
    return kind, _extensions_hash(tuple(known), algorithms)


@functools.lru_cache(maxsize=256)
def _extensions_hash(known: tuple[int, ...], algorithms: tuple[int, ...]) -> str:
    listed = [kind for kind in known if kind not in {SERVER_NAME, ALPN}]
    if not listed:
        return _NOTHING
    signed = [algorithm for algorithm in algorithms if not is_grease(algorithm)]
    return _hash(_hex(listed) + ("_" + _hex(signed) if signed else ""))


def _decimal(values: Iterable[int]) -> str:
    return "-".join([str(value) for value in values if not is_grease(value)])


def _hex(values: Iterable[int]) -> str:
    return ",".join([f"{value:04x}" for value in values])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

"""What a server's first segment and an alert record say, by array code: version, cipher suite, description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.protocols.tls_server import ALERT_NAMES, RETRY_RANDOM
from forensics.protocols.tls_wire import version_name

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.flows.arrays import BoolArray, IntArray
    from forensics.protocols.tls_server import ServerHello

CHOICE_BYTES: Final = 78
"""Headers of record and message, version, random, the longest session id, cipher suite."""
ALERT_BYTES: Final = 7
"""Header of a record, and an alert in plaintext."""
UNKNOWN: Final = -1
"""Of every number here: it is not known."""
ENCRYPTED: Final = 0
"""The code of an alert that is encrypted; of others it is 256 x level + description."""

_SESSION_ID, _CIPHER = 43, 44
_LONGEST_ID: Final = 32
_TLS13: Final = 0x0304
_TLS13_CIPHERS: Final = 0x13
"""High byte of all cipher suites of TLS 1.3, which older versions do not have (RFC 8446 B.4)."""
_LEAST_ENCRYPTED: Final = 18
"""Two bytes and the shortest authentication code of any cipher suite (MD5)."""
_RANDOM: Final = np.frombuffer(RETRY_RANDOM, dtype=np.uint8)
_LEVELS: Final = {1: "warning", 2: "fatal"}


class Choices(NamedTuple):
    """What servers chose, one entry a server; ``UNKNOWN`` where too little is there to tell."""

    version: IntArray
    """0x0304 with a cipher suite of TLS 1.3, else the version field of the message."""
    cipher: IntArray
    retry: IntArray
    """1 for a HelloRetryRequest, else 0."""
    known: BoolArray


def choices(head: npt.NDArray[np.uint8], captured: npt.NDArray[np.integer]) -> Choices:
    """Reads segments that begin with a ServerHello.

    ``head`` holds their first ``CHOICE_BYTES`` bytes (n x 78), ``captured`` how many of them are real, or more.
    A hello that is cut into several records before its cipher suite is not read.
    """
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
    wide = head.astype(np.int64)
    at = _CIPHER + np.minimum(wide[:, _SESSION_ID], _LONGEST_ID)
    record_end = 5 + (wide[:, 3] << 8 | wide[:, 4])
    message_end = 9 + (wide[:, 6] << 16 | wide[:, 7] << 8 | wide[:, 8])
    end = np.minimum(np.minimum(record_end, message_end), captured.astype(np.int64))
    known = (wide[:, _SESSION_ID] <= _LONGEST_ID) & (end >= at + 2)
    rows = np.arange(len(head))
    cipher = wide[rows, at] << 8 | wide[rows, at + 1]
    legacy = wide[:, 9] << 8 | wide[:, 10]
    retry = (head[:, 11:43] == _RANDOM).all(axis=1).astype(np.int64)
    version = np.where(cipher >> 8 == _TLS13_CIPHERS, _TLS13, legacy)
    version, cipher, retry = (np.where(known, values, UNKNOWN) for values in (version, cipher, retry))
    return Choices(version, cipher, retry, known)


def choice_of(hello: ServerHello) -> tuple[int, int, int]:
    """The same of one hello that was read in full or in part: version, cipher, retry."""
    if hello.cipher is None or hello.legacy_version is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    version = _TLS13 if hello.cipher >> 8 == _TLS13_CIPHERS else hello.legacy_version
    return version, hello.cipher, int(hello.hello_retry_request)


def alert_codes(head: npt.NDArray[np.uint8], captured: npt.NDArray[np.integer]) -> IntArray:
    """Codes of alert records, of which ``head`` holds the first ``ALERT_BYTES`` bytes (n x 7)."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-6
    wide = head.astype(np.int64)
    size = wide[:, 3] << 8 | wide[:, 4]
    plain = (captured >= ALERT_BYTES) & ((wide[:, 5] == 1) | (wide[:, 5] == 2))  # noqa: PLR2004 - the two levels
    return np.select(
        [size >= _LEAST_ENCRYPTED, plain], [np.int64(ENCRYPTED), wide[:, 5] << 8 | wide[:, 6]], UNKNOWN
    ).astype(np.int64)


def alert_name(code: int) -> str | None:
    """Description of an alert: its name, or its number, or ``encrypted``; None where it is not known."""
    if code == UNKNOWN:
        return None
    return "encrypted" if code == ENCRYPTED else ALERT_NAMES.get(code & 0xFF, str(code & 0xFF))


def alert_level(code: int) -> str | None:
    """``warning`` or ``fatal``; None where it is not known, or encrypted."""
    return _LEVELS.get(code >> 8)


def version_text(version: int) -> str | None:
    """``1.2`` and so on; None where it is not known."""
    return None if version == UNKNOWN else version_name(version)

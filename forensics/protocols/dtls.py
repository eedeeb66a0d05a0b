"""DTLS: records of a datagram, fragments of its handshake, and the hellos they carry.

https://www.rfc-editor.org/rfc/rfc6347 (1.2), https://www.rfc-editor.org/rfc/rfc9147 (1.3). What the hellos say is
read by the modules of TLS: a ServerHello is the same in both, a ClientHello has a cookie besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls import ClientHello, client_hello
from forensics.protocols.tls_server import ServerHello, server_hello
from forensics.protocols.tls_wire import ALERT, CLIENT_HELLO, HANDSHAKE, SERVER_HELLO, vector

if TYPE_CHECKING:
    import numpy.typing as npt

# https://www.rfc-editor.org/rfc/rfc9147#section-4 and https://www.rfc-editor.org/rfc/rfc9146#section-4
CHANGE_CIPHER_SPEC: Final = 20
APPLICATION_DATA: Final = 23
WITH_CONNECTION_ID: Final = 25
UNIFIED: Final = 32
"""Stands for the type of a record of DTLS 1.3 that is encrypted: its first byte is 0b001….."""
RECORD_HEADER: Final = 13
VERSIONS: Final = frozenset({0xFEFF, 0xFEFD, 0xFEFC, 0x0100})
"""Of records: DTLS 1.0, 1.2 (which 1.3 says too), 1.3, and OpenSSL's from before there was a standard."""

# https://www.rfc-editor.org/rfc/rfc6347#section-4.2.2
HELLO_VERIFY_REQUEST: Final = 3
FRAGMENT_HEADER: Final = 12
MAX_MESSAGE: Final = 1 << 14
"""Longest hello that is read; the largest ones seen are below 3 kB."""
_MAX_RECORD: Final = (1 << 14) + 2048
_HELLOS: Final = (CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST)


class Record(NamedTuple):
    """One record."""

    kind: int
    """Content type, or ``UNIFIED``."""
    version: int
    """Its version field; 0 where there is none."""
    epoch: int
    """0 before the keys are changed; of a ``UNIFIED`` record only the two low bits are sent."""
    sequence: int
    """0 where it is encrypted."""
    size: int
    """Bytes of the content, header left out."""
    content: bytes
    """As much of it as is there."""

    @property
    def encrypted(self) -> bool:
        """Its content is no plaintext."""
        return self.kind in {UNIFIED, WITH_CONNECTION_ID} or self.epoch > 0


class Fragment(NamedTuple):
    """A handshake message, or a piece of it."""

    kind: int
    length: int
    """Of the whole message, header left out."""
    sequence: int
    """Number of the message: 0 for the first hello of either side, 1 for one that brings the cookie."""
    offset: int
    size: int
    """Of this piece."""
    data: bytes
    """As much of it as is there."""


class HelloVerify(NamedTuple):
    """A HelloVerifyRequest: the server wants to see the client send this cookie."""

    version: int
    cookie: bytes


def looks_like_dtls(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether datagrams begin with a record header in full that their length allows.

    ``head``: first bytes, n x 16 at least, zero beyond the end; ``length``: bytes on the wire.
    """
    version = head[:, 1].astype(np.int64) << 8 | head[:, 2]
    kind = (head[:, 0] >= CHANGE_CIPHER_SPEC) & (head[:, 0] <= WITH_CONNECTION_ID)
    size = head[:, 11].astype(np.int64) << 8 | head[:, 12]
    fits = (size > 0) & (size <= _MAX_RECORD) & (RECORD_HEADER + size <= length)
    # behind a connection id, whose length nobody tells, stands something else
    fits |= (head[:, 0] == WITH_CONNECTION_ID) & (length > RECORD_HEADER)
    found: npt.NDArray[np.bool_] = kind & np.isin(version, list(VERSIONS)) & fits
    return found


def begins_handshake(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether datagrams begin with a plaintext record that holds (a piece of) a hello.

    ``head``: first bytes, n x 25 at least, zero beyond the end; ``length``: bytes on the wire.
    """
    wide = head.astype(np.int64)
    size = wide[:, 11] << 8 | wide[:, 12]
    whole, offset, piece = (
        wide[:, at] << 16 | wide[:, at + 1] << 8 | wide[:, at + 2]
        for at in (RECORD_HEADER + 1, RECORD_HEADER + 6, RECORD_HEADER + 9)
    )
    fits = (
        (offset + piece <= whole) & (FRAGMENT_HEADER + piece <= size) & (whole > 1) & (whole <= MAX_MESSAGE)
    )
    hello = (wide[:, 0] == HANDSHAKE) & (wide[:, 3] == 0) & (wide[:, 4] == 0)
    found: npt.NDArray[np.bool_] = (
        looks_like_dtls(head, length) & hello & np.isin(wide[:, RECORD_HEADER], _HELLOS) & fits
    )
    return found


def parse_records(data: bytes) -> tuple[Record, ...]:
    """The records of a datagram, at least one.

    The datagram may be cut by the capture: the content of its last record then is. A record that is none ends the
    list (an endpoint drops the rest), unless it is the first: that is a ProtocolError.
    """
    found: list[Record] = []
    at = 0
    while at < len(data):
        try:
            record, at = _record(data, at)
        except ProtocolError:
            if not found:
                raise
            break
        found.append(record)
    if not found:
        raise ProtocolError("an empty datagram holds no record")
    return tuple(found)


def _record(data: bytes, at: int) -> tuple[Record, int]:
    # https://www.rfc-editor.org/rfc/rfc9147#section-4
    kind = data[at]
    if kind >> 5 == 1:  # the length may be left out, and that of a connection id is not told
        return Record(UNIFIED, 0, kind & 3, 0, len(data) - at - 1, data[at + 1 :]), len(data)
    if not CHANGE_CIPHER_SPEC <= kind <= WITH_CONNECTION_ID:
        raise ProtocolError(f"a record of type {kind} is no DTLS")
    header = data[at : at + RECORD_HEADER]
    if len(header) < RECORD_HEADER:
        raise ProtocolError(f"a record header of {len(header)} bytes is cut short")
    version = header[1] << 8 | header[2]
    if version not in VERSIONS:
        raise ProtocolError(f"record version 0x{version:04x} is no DTLS")
    epoch, sequence = header[3] << 8 | header[4], int.from_bytes(header[5:11], "big")
    start = at + RECORD_HEADER
    if kind == WITH_CONNECTION_ID:  # https://www.rfc-editor.org/rfc/rfc9146#section-4
        return Record(kind, version, epoch, sequence, len(data) - start + 2, data[start - 2 :]), len(data)
    size = header[11] << 8 | header[12]
    if not 0 < size <= _MAX_RECORD:
        raise ProtocolError(f"a record of {size} bytes")
    return Record(kind, version, epoch, sequence, size, data[start : start + size]), start + size


def parse_fragments(record: Record) -> tuple[Fragment, ...]:
    """The handshake messages, or pieces of them, in a plaintext handshake record; at least one.

    One that is broken ends the list, unless it is the first: that is a ProtocolError.
    """
    if record.kind != HANDSHAKE or record.encrypted:
        raise ProtocolError(
            f"a record of type {record.kind} in epoch {record.epoch} holds no readable handshake"
        )
    found: list[Fragment] = []
    content = record.content
    at = 0
    while at < len(content) or not found:
        try:
            fragment = _fragment(content, at, record.size)
        except ProtocolError:
            if not found:
                raise
            break
        found.append(fragment)
        at += FRAGMENT_HEADER + fragment.size
    return tuple(found)


def _fragment(content: bytes, at: int, end: int) -> Fragment:
    # https://www.rfc-editor.org/rfc/rfc6347#section-4.2.2
    header = content[at : at + FRAGMENT_HEADER]
    if len(header) < FRAGMENT_HEADER:
        raise ProtocolError(f"the header of a handshake message is cut after {len(header)} bytes")
    length, offset, size = (int.from_bytes(header[place : place + 3], "big") for place in (1, 6, 9))
    start = at + FRAGMENT_HEADER
    if offset + size > length:
        raise ProtocolError(f"{size} bytes at {offset} reach past the end of a message of {length} bytes")
    if start + size > end:
        raise ProtocolError(f"a handshake message of {size} bytes reaches past the end of its record")
    if size == 0 and length:
        raise ProtocolError("an empty piece of a handshake message")
    data = content[start : start + size]
    return Fragment(header[0], length, header[4] << 8 | header[5], offset, size, data)


def parse_client_hello_body(body: bytes, fragments: int = 1) -> ClientHello:
    """Reads a ClientHello without its header: RFC 6347 4.2.1, RFC 9147 5.3.

    ``records`` of the result is ``fragments``: nearly always each is a record of its own. ``length`` counts the
    headers of these records and fragments too.
    """
    return client_hello(body, len(body) + fragments * (RECORD_HEADER + FRAGMENT_HEADER), fragments, dtls=True)


def parse_server_hello_body(body: bytes, *, whole: bool = True) -> ServerHello:
    """Reads a ServerHello (or HelloRetryRequest) without its header, or the beginning of one; never fails."""
    return server_hello(body, whole=whole)


def parse_hello_verify(body: bytes) -> HelloVerify:
    """Reads a HelloVerifyRequest without its header."""
    # https://www.rfc-editor.org/rfc/rfc6347#section-4.2.1
    if len(body) < 3:  # noqa: PLR2004 - version, length of the cookie
        raise ProtocolError(f"a HelloVerifyRequest of {len(body)} bytes is cut short")
    cookie, end = vector(body, 2, 1, "cookie")
    if end != len(body):
        raise ProtocolError("bytes are left after the cookie of a HelloVerifyRequest")
    return HelloVerify(body[0] << 8 | body[1], cookie)


def parse_alert(record: Record) -> tuple[int, int] | None:
    """Level (1 warning, 2 fatal) and description of a plaintext alert; None where it is encrypted or cut."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-6
    if record.kind != ALERT:
        raise ProtocolError(f"a record of type {record.kind} is no alert")
    if record.encrypted or record.size != 2 or len(record.content) != 2:  # noqa: PLR2004 - level, description
        return None
    level, description = record.content
    return (level, description) if level in {1, 2} else None

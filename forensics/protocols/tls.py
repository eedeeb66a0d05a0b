"""The ClientHello of TLS, QUIC and DTLS: what a client says first.

Only the plaintext beginning of a connection is read. https://www.rfc-editor.org/rfc/rfc8446
"""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

from forensics.protocols.errors import ProtocolError
from forensics.protocols.text import printable
from forensics.protocols.tls_wire import (
    ALPN,
    CLIENT_HELLO,
    GROUPS,
    HANDSHAKE,
    MAX_FRAGMENT,
    MAX_HELLO,
    MESSAGE_HEADER,
    POINT_FORMATS,
    RECORD_HEADER,
    SERVER_NAME,
    SIGNATURE_ALGORITHMS,
    SUPPORTED_VERSIONS,
    TWO_WORDS,
    is_grease,
    record_header,
    remembered_words,
    vector,
    version_name,
    words,
)

_MINOR_VERSIONS: Final = frozenset(bytes([minor]) for minor in range(5))
_LISTS: Final = frozenset({GROUPS, POINT_FORMATS, SIGNATURE_ALGORITHMS, ALPN, SUPPORTED_VERSIONS})
_READ_TYPES: Final = _LISTS | {SERVER_NAME}
_REMEMBERED: Final = 256
"""Longest list that is remembered, so that what is remembered stays small."""
_LONGEST_NAME: Final = 4 * 255
"""An ALPN name has at most 255 bytes, each of which is shown as at most four characters."""


class ClientHello(NamedTuple):
    """What a client offered. Numbers are kept as they were sent, GREASE (RFC 8701) included, unless said."""

    sni: str | None
    """Server name, lower case, made printable; None when the extension is absent or holds no host name."""
    alpn: tuple[str, ...]
    """Protocols offered, made printable, in order."""
    versions: tuple[str, ...]
    """Versions offered, such as ``("1.3", "1.2")``: supported_versions (no GREASE) or legacy_version."""
    legacy_version: int
    """The version field of the message itself, such as 0x0303."""
    cipher_suites: tuple[int, ...]
    """In order of preference."""
    extensions: tuple[int, ...]
    """Extension types in the order sent."""
    groups: tuple[int, ...]
    """supported_groups."""
    point_formats: tuple[int, ...]
    """ec_point_formats."""
    signature_algorithms: tuple[int, ...]
    """signature_algorithms."""
    malformed_extensions: tuple[int, ...]
    """Types read here whose content is broken, or that came twice; the hello itself is whole."""
    length: int
    """Bytes of the stream it took, headers of records and messages included."""
    records: int
    """TLS records it was cut into; 0 where there are no records (QUIC)."""
    block: bytes
    """The extensions as they were sent: what is read of them only when asked stands in tls_details.py."""


def looks_like_tls_client(data: bytes) -> bool:
    """Whether the first bytes of a client are those of a TLS handshake: ``16 03 0x .. .. 01``.

    Three bytes are needed; a byte that is not there yet is given the benefit of the doubt.
    """
    return (
        data[:2] == b"\x16\x03" and data[2:3] in _MINOR_VERSIONS and data[5:6] in {b"", bytes([CLIENT_HELLO])}
    )


def parse_client_hello(data: bytes) -> ClientHello | None:
    """Reads the ClientHello at the beginning of a client's TCP stream.

    ``data`` may be a prefix of the stream (None: more is needed) or longer than the hello. The hello may be
    cut into any number of records (RFC 8446 5.1). An SSLv2-compatible hello (RFC 5246 E.2) has no extensions
    and so no server name: it is a ProtocolError that says so. So is a hello longer than ``MAX_HELLO``.
    """
    if not data:
        return None
    if data[0] != HANDSHAKE:
        raise ProtocolError(_no_handshake(data))
    if (whole := _in_one_record(data)) is not None:
        return whole
    body = bytearray()
    at = 0
    records = 0
    need = MESSAGE_HEADER
    while len(body) < need:
        kind, size = record_header(data, at)
        if kind not in {-1, HANDSHAKE}:
            raise ProtocolError(f"a record of type {kind} interrupts the ClientHello")
        fragment = data[at + RECORD_HEADER : at + RECORD_HEADER + max(size, 0)]
        body += fragment
        if body and body[0] != CLIENT_HELLO:
            raise ProtocolError(f"handshake message of type {body[0]} where a ClientHello was expected")
        if len(body) >= MESSAGE_HEADER:
            need = MESSAGE_HEADER + int.from_bytes(body[1:4], "big")
            if need > MAX_HELLO:
                raise ProtocolError(f"a ClientHello of {need} bytes is longer than {MAX_HELLO}")
        records += 1
        if len(body) < need and len(fragment) < max(size, 1):
            return None
        at += RECORD_HEADER + len(fragment)  # of a record cut short by the end of the data, what is there
    # what the last record holds beyond the hello is not part of it
    return client_hello(bytes(body[MESSAGE_HEADER:need]), at - (len(body) - need), records)


def parse_client_hello_message(data: bytes) -> ClientHello | None:
    """Reads a ClientHello that stands in no TLS record, as in the CRYPTO frames of QUIC (RFC 9001 4.1.3).

    ``data`` begins with the header of the message (type 1, three bytes of length); None while it is not whole,
    and what follows it is not looked at. ``length`` of the result counts the header, ``records`` is 0.
    """
    if data and data[0] != CLIENT_HELLO:
        raise ProtocolError(f"handshake message of type {data[0]} where a ClientHello was expected")
    if len(data) < MESSAGE_HEADER:
        return None
    end = MESSAGE_HEADER + int.from_bytes(data[1:4], "big")
    if end > MAX_HELLO:
        raise ProtocolError(f"a ClientHello of {end} bytes is longer than {MAX_HELLO}")
    if len(data) < end:
        return None
    return client_hello(bytes(data[MESSAGE_HEADER:end]), end, 0)


def _no_handshake(data: bytes) -> str:
    if data[0] & 0x80 and data[2:4] == b"\x01\x03":
        return "an SSLv2-compatible ClientHello carries no server name"
    return f"the first byte is {data[0]}, not that of a TLS handshake record"


def _in_one_record(data: bytes) -> ClientHello | None:
    """The hello where it is one whole record, as nearly every one is; None leaves the question open."""
    begin = RECORD_HEADER + MESSAGE_HEADER
    if len(data) <= begin or data[1] != 3 or data[2] > 4 or data[5] != CLIENT_HELLO:  # noqa: PLR2004 - versions as in record_header
        return None
    need = MESSAGE_HEADER + (data[6] << 16 | data[7] << 8 | data[8])
    end = RECORD_HEADER + need
    if end > len(data) or not need <= (data[3] << 8 | data[4]) <= MAX_FRAGMENT:
        return None
    return client_hello(data[begin:end], end, 1)


def client_hello(body: bytes, length: int, records: int, *, dtls: bool = False) -> ClientHello:
    """Reads the message without its header; ``length`` and ``records`` go into the result as they are.

    With ``dtls`` a cookie stands behind the session id.
    """
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2
    at = 34
    if len(body) < at:
        raise ProtocolError("the ClientHello ends before its session id")
    legacy_version = body[0] << 8 | body[1]
    _, at = vector(body, at, 1, "session id")
    if dtls:  # https://www.rfc-editor.org/rfc/rfc6347#section-4.2.1
        _, at = vector(body, at, 1, "cookie")
    suites, at = vector(body, at, 2, "cipher suites")
    _, at = vector(body, at, 1, "compression methods")
    found: dict[int, Any] = {}
    types: list[int] = []
    malformed: list[int] = []
    block = b""
    if at < len(body):
        block, at = vector(body, at, 2, "extensions")
        if at != len(body):
            raise ProtocolError("bytes are left after the extensions of the ClientHello")
        _extensions(block, found, types, malformed)
    if len(suites) % 2:
        raise ProtocolError("the cipher suites have an odd length")
    numbers = remembered_words(suites) if len(suites) <= _REMEMBERED else words(suites)
    content = found.get
    return ClientHello(
        sni=content(SERVER_NAME),
        alpn=content(ALPN, ()),
        versions=content(SUPPORTED_VERSIONS) or (version_name(legacy_version),),
        legacy_version=legacy_version,
        cipher_suites=numbers,
        extensions=tuple(types),
        groups=content(GROUPS, ()),
        point_formats=content(POINT_FORMATS, ()),
        signature_algorithms=content(SIGNATURE_ALGORITHMS, ()),
        malformed_extensions=tuple(malformed),
        length=length,
        records=records,
        block=block,
    )


def _extensions(block: bytes, found: dict[int, Any], types: list[int], malformed: list[int]) -> None:
    """Walks the block: type, length, content. Content that is broken spoils its own field only."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.2
    # the one loop here that runs often, hence no helper calls for types that are only noted
    at = 0
    size = len(block)
    seen: set[int] = set()
    while at < size:
        if at + 4 > size:
            raise ProtocolError("an extension is cut short")
        kind, length = TWO_WORDS(block, at)
        start = at + 4
        at = start + length
        if at > size:
            raise ProtocolError("an extension reaches past the end of what holds it")
        types.append(kind)
        if kind not in _READ_TYPES:
            continue
        if kind in seen:  # forbidden; the first is what most servers act on
            malformed.append(kind)
            continue
        seen.add(kind)
        content = block[start:at]
        try:
            if kind == SERVER_NAME:
                found[kind] = _server_name(content)
            elif length <= _REMEMBERED:  # all hellos of one client carry the same lists
                found[kind] = _remembered(kind, content)
            else:
                found[kind] = _list_in(kind, content)
        except ProtocolError:
            malformed.append(kind)


def _list_in(kind: int, content: bytes) -> tuple[str, ...] | tuple[int, ...]:
    """What an extension of one of the types in ``_LISTS`` lists."""
    if kind == ALPN:
        # https://www.rfc-editor.org/rfc/rfc7301#section-3.1
        names, at = vector(content, 0, 2, "ALPN list")
        offered: list[str] = []
        at = 0
        while at < len(names):
            name, at = vector(names, at, 1, "ALPN name")
            offered.append(printable(name, _LONGEST_NAME))
        return tuple(offered)
    if kind == SUPPORTED_VERSIONS:
        # https://www.rfc-editor.org/rfc/rfc8446#section-4.2.1
        versions = words(vector(content, 0, 1, "versions")[0])
        return tuple(version_name(v) for v in versions if not is_grease(v))
    if kind == POINT_FORMATS:
        # https://www.rfc-editor.org/rfc/rfc8422#section-5.1.2
        return tuple(vector(content, 0, 1, "point formats")[0])
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.2.7 and #section-4.2.3
    return words(vector(content, 0, 2, "groups or signature algorithms")[0])


_remembered = functools.lru_cache(maxsize=256)(_list_in)


def _server_name(content: bytes) -> str | None:
    """The host name of a server_name extension."""
    # https://www.rfc-editor.org/rfc/rfc6066#section-3
    if not content:
        return None
    names, _ = vector(content, 0, 2, "server name list")
    at = 0
    while at < len(names):
        kind = names[at]
        name, at = vector(names, at + 1, 2, "server name")
        if kind == 0 and name:
            return printable(name.lower())
    return None

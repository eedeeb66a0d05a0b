"""TLS handshake starts: the ClientHello, and what the server says first.

Only the plaintext beginning of a connection is read. https://www.rfc-editor.org/rfc/rfc8446
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from forensics.protocols.errors import ProtocolError
from forensics.protocols.text import printable

# https://www.rfc-editor.org/rfc/rfc8446#section-5.1
ALERT: Final = 21
HANDSHAKE: Final = 22
_HEADER: Final = 5
_MAX_FRAGMENT: Final = 1 << 14
_FATAL: Final = 2
_MINOR_VERSIONS: Final = frozenset(bytes([minor]) for minor in range(5))

# https://www.rfc-editor.org/rfc/rfc8446#section-4
_CLIENT_HELLO: Final = 1
_SERVER_HELLO: Final = 2
_HELLO_REQUEST: Final = 0
_MESSAGE_HEADER: Final = 4
MAX_HELLO: Final = 1 << 16
"""Longest hello that is read; the format would allow about 128 kB, the largest ones seen are below 20 kB."""

# https://www.rfc-editor.org/rfc/rfc8446#section-4.2
_SERVER_NAME: Final = 0
_GROUPS: Final = 10
_POINT_FORMATS: Final = 11
_SIGNATURE_ALGORITHMS: Final = 13
_ALPN: Final = 16
_SUPPORTED_VERSIONS: Final = 43
_LISTS: Final = frozenset({_GROUPS, _POINT_FORMATS, _SIGNATURE_ALGORITHMS, _ALPN, _SUPPORTED_VERSIONS})
_READ_TYPES: Final = _LISTS | {_SERVER_NAME}
_REMEMBERED: Final = 256
"""Longest list that is remembered, so that what is remembered stays small."""

_TWO_WORDS: Final = struct.Struct("!HH").unpack_from
_GREASE: Final = 0x0A0A
# SHA-256 of "HelloRetryRequest": https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
_RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

_VERSION_NAMES: Final = {0x0300: "ssl3", 0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}

# https://www.rfc-editor.org/rfc/rfc8446#section-6, with the names older versions used
ALERT_NAMES: Final[dict[int, str]] = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
    121: "ech_required",
}
"""Description byte of an alert → its name."""


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
    """Bytes of the stream it took, record headers included."""
    records: int
    """TLS records it was cut into."""


@dataclass(frozen=True, slots=True)
class ServerStart:
    """What a server said first."""

    server_hello: bool
    """A ServerHello or a HelloRetryRequest was seen, perhaps cut."""
    hello_retry_request: bool
    """It was a HelloRetryRequest."""
    version: str | None
    """Version chosen, such as ``"1.3"``; None when too little of the ServerHello is there to tell."""
    cipher: int | None
    """Cipher suite chosen; None when not there."""
    alert_level: int | None
    """Level of a plaintext alert that came before any ServerHello: 1 warning, 2 fatal."""
    alert_description: int | None
    """Its description; see ``ALERT_NAMES``."""
    complete: bool
    """More bytes would add nothing: a whole ServerHello, or a fatal alert."""


def looks_like_tls_client(data: bytes) -> bool:
    """Whether the first bytes of a client are those of a TLS handshake: ``16 03 0x .. .. 01``.

    Three bytes are needed; a byte that is not there yet is given the benefit of the doubt.
    """
    return (
        data[:2] == b"\x16\x03"
        and data[2:3] in _MINOR_VERSIONS
        and data[5:6] in {b"", bytes([_CLIENT_HELLO])}
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
    need = _MESSAGE_HEADER
    while len(body) < need:
        kind, size = _record_header(data, at)
        if kind not in {-1, HANDSHAKE}:
            raise ProtocolError(f"a record of type {kind} interrupts the ClientHello")
        fragment = data[at + _HEADER : at + _HEADER + max(size, 0)]
        body += fragment
        if body and body[0] != _CLIENT_HELLO:
            raise ProtocolError(f"handshake message of type {body[0]} where a ClientHello was expected")
        if len(body) >= _MESSAGE_HEADER:
            need = _MESSAGE_HEADER + int.from_bytes(body[1:4], "big")
            if need > MAX_HELLO:
                raise ProtocolError(f"a ClientHello of {need} bytes is longer than {MAX_HELLO}")
        records += 1
        if len(body) < need and len(fragment) < max(size, 1):
            return None
        at += _HEADER + len(fragment)  # of a record cut short by the end of the data, what is there
    # what the last record holds beyond the hello is not part of it
    return _client_hello(bytes(body[_MESSAGE_HEADER:need]), at - (len(body) - need), records)


def _no_handshake(data: bytes) -> str:
    if data[0] & 0x80 and data[2:4] == b"\x01\x03":
        return "an SSLv2-compatible ClientHello carries no server name"
    return f"the first byte is {data[0]}, not that of a TLS handshake record"


def _in_one_record(data: bytes) -> ClientHello | None:
    """The hello where it is one whole record, as nearly every one is; None leaves the question open."""
    begin = _HEADER + _MESSAGE_HEADER
    if len(data) <= begin or data[1] != 3 or data[2] > 4 or data[5] != _CLIENT_HELLO:  # noqa: PLR2004 - versions as in _record_header
        return None
    need = _MESSAGE_HEADER + (data[6] << 16 | data[7] << 8 | data[8])
    end = _HEADER + need
    if end > len(data) or not need <= (data[3] << 8 | data[4]) <= _MAX_FRAGMENT:
        return None
    return _client_hello(data[begin:end], end, 1)


def parse_server_start(data: bytes) -> ServerStart | None:
    """Reads what comes first in a server's TCP stream.

    Answers as soon as something is known: a ServerHello counts as seen when its first six bytes (type,
    length, version) are there, even if the capture cut the rest; call again with more of the stream while
    ``complete`` is false. A warning alert may come before the ServerHello (RFC 6066 3): both are reported.
    ProtocolError when the stream is not TLS or does not begin with its handshake.
    """
    alert: tuple[int, int] | None = None
    body = bytearray()
    at = 0
    last = False
    while not last:
        kind, size = _record_header(data, at)
        fragment = data[at + _HEADER : at + _HEADER + max(size, 0)]
        if kind == ALERT and not body:
            alert = alert or _alert(fragment, size)
            if alert and alert[0] == _FATAL:
                return _server_start(alert=alert, complete=True)
        elif kind == HANDSHAKE:
            body += fragment
            while body[:4] == bytes(4):  # a HelloRequest may come at any time: RFC 5246 7.4.1.1
                del body[:4]
            if body and body[0] not in {_SERVER_HELLO, _HELLO_REQUEST}:
                raise ProtocolError(f"handshake message of type {body[0]} where a ServerHello was expected")
        elif kind != -1:
            raise ProtocolError(f"a record of type {kind} where a ServerHello was expected")
        at += _HEADER + size
        last = size < 0 or at >= len(data) or len(body) >= MAX_HELLO
        if len(body) >= _MESSAGE_HEADER:
            last = last or len(body) >= _MESSAGE_HEADER + int.from_bytes(body[1:4], "big")
    return _server_hello(bytes(body), alert) or (_server_start(alert=alert) if alert else None)


def version_name(version: int) -> str:
    """``1.3`` for 0x0304 and so on; an unknown version in hex."""
    return _VERSION_NAMES.get(version) or f"0x{version:04x}"


def is_grease(value: int) -> bool:
    """Whether a 16-bit value is one of those that must be ignored (RFC 8701 2)."""
    return value & 0x0F0F == _GREASE and value >> 8 == value & 0xFF


def _record_header(data: bytes, at: int) -> tuple[int, int]:
    """Type and length of the record at ``at``; -1 for what is not there yet."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-5.1
    head = data[at : at + _HEADER]
    if len(head) > 1 and head[1] != 3:  # noqa: PLR2004 - major version of SSL 3.0 and every TLS
        raise ProtocolError(f"record version {head[1]}.x is no TLS")
    if len(head) > 2 and head[2] > 4:  # noqa: PLR2004 - minor version of TLS 1.3
        raise ProtocolError(f"record version 3.{head[2]} is no TLS")
    if len(head) < _HEADER:
        return (head[0] if head else -1), -1
    size = head[3] << 8 | head[4]
    if size == 0:
        raise ProtocolError("an empty handshake or alert record")
    if size > _MAX_FRAGMENT:
        raise ProtocolError(f"a record of {size} bytes is longer than {_MAX_FRAGMENT}")
    return head[0], size


def _client_hello(body: bytes, length: int, records: int) -> ClientHello:
    """Reads the message without its header."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2
    at = 34
    if len(body) < at:
        raise ProtocolError("the ClientHello ends before its session id")
    legacy_version = body[0] << 8 | body[1]
    _, at = _vector(body, at, 1, "session id")
    suites, at = _vector(body, at, 2, "cipher suites")
    _, at = _vector(body, at, 1, "compression methods")
    found: dict[int, Any] = {}
    types: list[int] = []
    malformed: list[int] = []
    if at < len(body):
        block, at = _vector(body, at, 2, "extensions")
        if at != len(body):
            raise ProtocolError("bytes are left after the extensions of the ClientHello")
        _extensions(block, found, types, malformed)
    if len(suites) % 2:
        raise ProtocolError("the cipher suites have an odd length")
    numbers = _remembered_words(suites) if len(suites) <= _REMEMBERED else _words(suites)
    content = found.get
    return ClientHello(
        sni=content(_SERVER_NAME),
        alpn=content(_ALPN, ()),
        versions=content(_SUPPORTED_VERSIONS) or (version_name(legacy_version),),
        legacy_version=legacy_version,
        cipher_suites=numbers,
        extensions=tuple(types),
        groups=content(_GROUPS, ()),
        point_formats=content(_POINT_FORMATS, ()),
        signature_algorithms=content(_SIGNATURE_ALGORITHMS, ()),
        malformed_extensions=tuple(malformed),
        length=length,
        records=records,
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
        kind, length = _TWO_WORDS(block, at)
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
            if kind == _SERVER_NAME:
                found[kind] = _server_name(content)
            elif length <= _REMEMBERED:  # all hellos of one client carry the same lists
                found[kind] = _remembered(kind, content)
            else:
                found[kind] = _list_in(kind, content)
        except ProtocolError:
            malformed.append(kind)


def _list_in(kind: int, content: bytes) -> tuple[str, ...] | tuple[int, ...]:
    """What an extension of one of the types in ``_LISTS`` lists."""
    if kind == _ALPN:
        # https://www.rfc-editor.org/rfc/rfc7301#section-3.1
        names, at = _vector(content, 0, 2, "ALPN list")
        offered: list[str] = []
        at = 0
        while at < len(names):
            name, at = _vector(names, at, 1, "ALPN name")
            offered.append(printable(name))
        return tuple(offered)
    if kind == _SUPPORTED_VERSIONS:
        # https://www.rfc-editor.org/rfc/rfc8446#section-4.2.1
        versions = _words(_vector(content, 0, 1, "versions")[0])
        return tuple(version_name(v) for v in versions if not is_grease(v))
    if kind == _POINT_FORMATS:
        # https://www.rfc-editor.org/rfc/rfc8422#section-5.1.2
        return tuple(_vector(content, 0, 1, "point formats")[0])
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.2.7 and #section-4.2.3
    return _words(_vector(content, 0, 2, "groups or signature algorithms")[0])


_remembered = functools.lru_cache(maxsize=256)(_list_in)


def _server_name(content: bytes) -> str | None:
    """The host name of a server_name extension."""
    # https://www.rfc-editor.org/rfc/rfc6066#section-3
    if not content:
        return None
    names, _ = _vector(content, 0, 2, "server name list")
    at = 0
    while at < len(names):
        kind = names[at]
        name, at = _vector(names, at + 1, 2, "server name")
        if kind == 0 and name:
            return printable(name.lower())
    return None


def _server_hello(body: bytes, alert: tuple[int, int] | None) -> ServerStart | None:
    """Reads as much of a ServerHello as is there; None below six bytes."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
    if len(body) < 6 or body[0] != _SERVER_HELLO:  # noqa: PLR2004 - type, length, version
        return None
    end = _MESSAGE_HEADER + int.from_bytes(body[1:4], "big")
    if end > MAX_HELLO:
        raise ProtocolError(f"a ServerHello of {end} bytes is longer than {MAX_HELLO}")
    hello = body[_MESSAGE_HEADER:end]
    whole = len(body) >= end
    legacy = hello[0] << 8 | hello[1] if len(hello) > 1 else 0
    # 1.2 may still turn out to be 1.3 by an extension; anything older stands
    version = version_name(legacy) if whole or legacy != 0x0303 else None  # noqa: PLR2004 - TLS 1.2
    cipher: int | None = None
    try:
        _, at = _vector(hello, 34, 1, "session id")
        if at + 2 <= len(hello):
            cipher = hello[at] << 8 | hello[at + 1]
        block, _ = _vector(hello, at + 3, 2, "extensions")
        at = 0
        while at + 4 <= len(block):
            kind = block[at] << 8 | block[at + 1]
            content, at = _vector(block, at + 2, 2, "extension")
            if kind == _SUPPORTED_VERSIONS and len(content) == 2:  # noqa: PLR2004 - one version
                version = version_name(content[0] << 8 | content[1])
    except ProtocolError:
        pass  # cut by the capture, or an old ServerHello without extensions: what was read stands
    return _server_start(
        server_hello=True,
        hello_retry_request=hello[2:34] == _RETRY_RANDOM,
        version=version,
        cipher=cipher,
        alert=alert,
        complete=whole,
    )


def _server_start(  # noqa: PLR0913 - the fields of the result
    *,
    server_hello: bool = False,
    hello_retry_request: bool = False,
    version: str | None = None,
    cipher: int | None = None,
    alert: tuple[int, int] | None = None,
    complete: bool = False,
) -> ServerStart:
    level, description = alert or (None, None)
    return ServerStart(server_hello, hello_retry_request, version, cipher, level, description, complete)


def _alert(fragment: bytes, size: int) -> tuple[int, int] | None:
    """Level and description of a plaintext alert; None while they are not there."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-6
    if size > 0 and size % 2:
        raise ProtocolError(f"an alert record of {size} bytes is not plaintext")
    if len(fragment) < 2:  # noqa: PLR2004 - level, description
        return None
    if fragment[0] not in {1, 2}:
        raise ProtocolError(f"an alert of level {fragment[0]}")
    return fragment[0], fragment[1]


def _vector(data: bytes, at: int, width: int, what: str) -> tuple[bytes, int]:
    """A vector with a length of ``width`` bytes before it, and where it ends (RFC 8446 3.4)."""
    start = at + width
    if start > len(data):
        raise ProtocolError(f"the {what} is cut short")
    end = start + (data[at] if width == 1 else data[at] << 8 | data[at + 1])
    if end > len(data):
        raise ProtocolError(f"the {what} reaches past the end of what holds it")
    return data[start:end], end


def _words(data: bytes) -> tuple[int, ...]:
    """The bytes as 16-bit numbers in network order."""
    if len(data) % 2:
        raise ProtocolError("a list of 16-bit numbers has an odd length")
    return struct.unpack(f"!{len(data) // 2}H", data)


_remembered_words = functools.lru_cache(maxsize=256)(_words)

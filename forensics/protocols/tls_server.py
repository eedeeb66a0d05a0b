"""What a TLS server says first: ServerHello, HelloRetryRequest, alerts.

https://www.rfc-editor.org/rfc/rfc8446
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from forensics.protocols.errors import ProtocolError
from forensics.protocols.text import printable
from forensics.protocols.tls_wire import (
    ALERT,
    ALPN,
    HANDSHAKE,
    HELLO_REQUEST,
    KEY_SHARE,
    MAX_HELLO,
    MESSAGE_HEADER,
    RECORD_HEADER,
    SERVER_HELLO,
    SUPPORTED_VERSIONS,
    record_header,
    vector,
    version_name,
    words,
)

_FATAL: Final = 2
_MAY_BE_NEWER: Final = frozenset({0x0303, 0xFEFD})
"""Version fields of TLS and DTLS 1.2 that an extension may make 1.3; anything older stands."""
# SHA-256 of "HelloRetryRequest": https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

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


class ServerHello(NamedTuple):
    """What a server chose; of a hello that is cut, what stands before the cut."""

    version: str | None
    """Version chosen, such as ``"1.3"``; None when too little is there to tell."""
    legacy_version: int | None
    """The version field of the message itself, 0x0303 for TLS 1.2 and 1.3 alike."""
    cipher: int | None
    """Cipher suite chosen."""
    extensions: tuple[int, ...] | None
    """Extension types in the order sent; None when they are not all there."""
    alpn: str | None
    """Protocol chosen, made printable; TLS 1.3 says it in secret."""
    group: int | None
    """Group of the key share (in a HelloRetryRequest: the group wanted)."""
    hello_retry_request: bool
    whole: bool
    """All of it was there."""


@dataclass(frozen=True, slots=True)
class ServerStart:
    """What a server said first."""

    hello: ServerHello | None
    """A ServerHello or a HelloRetryRequest, perhaps cut."""
    alert_level: int | None
    """Level of a plaintext alert that came before any ServerHello: 1 warning, 2 fatal."""
    alert_description: int | None
    """Its description; see ``ALERT_NAMES``."""
    complete: bool
    """More bytes would add nothing: a whole ServerHello, or a fatal alert."""

    @property
    def server_hello(self) -> bool:
        """A ServerHello or a HelloRetryRequest was seen, perhaps cut."""
        return self.hello is not None

    @property
    def version(self) -> str | None:
        """Version chosen, as far as it is known."""
        return self.hello.version if self.hello else None

    @property
    def cipher(self) -> int | None:
        """Cipher suite chosen, as far as it is known."""
        return self.hello.cipher if self.hello else None

    @property
    def hello_retry_request(self) -> bool:
        """It was a HelloRetryRequest."""
        return self.hello is not None and self.hello.hello_retry_request


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
        kind, size = record_header(data, at)
        fragment = data[at + RECORD_HEADER : at + RECORD_HEADER + max(size, 0)]
        if kind == ALERT and not body:
            alert = alert or _alert(fragment, size)
            if alert and alert[0] == _FATAL:
                return ServerStart(None, *alert, complete=True)
        elif kind == HANDSHAKE:
            body += fragment
            while body[:4] == bytes(4):  # a HelloRequest may come at any time: RFC 5246 7.4.1.1
                del body[:4]
            if body and body[0] not in {SERVER_HELLO, HELLO_REQUEST}:
                raise ProtocolError(f"handshake message of type {body[0]} where a ServerHello was expected")
        elif kind != -1:
            raise ProtocolError(f"a record of type {kind} where a ServerHello was expected")
        at += RECORD_HEADER + size
        last = size < 0 or at >= len(data) or len(body) >= MAX_HELLO
        if len(body) >= MESSAGE_HEADER:
            last = last or len(body) >= MESSAGE_HEADER + int.from_bytes(body[1:4], "big")
    hello = _beginning(bytes(body))
    if hello is None and alert is None:
        return None
    level, description = alert or (None, None)
    return ServerStart(hello, level, description, complete=hello is not None and hello.whole)


def parse_server_hello_message(data: bytes) -> ServerHello | None:
    """Reads a ServerHello that stands in no TLS record, as in the CRYPTO frames of QUIC (RFC 9001 4.1.3).

    ``data`` begins with the header of the message; None while it is not whole, and what follows it is not looked at.
    """
    if data and data[0] != SERVER_HELLO:
        raise ProtocolError(f"handshake message of type {data[0]} where a ServerHello was expected")
    found = _beginning(data)
    return found if found and found.whole else None


def _beginning(data: bytes) -> ServerHello | None:
    """As much of a ServerHello with its header as is there; None below six bytes."""
    if len(data) < 6 or data[0] != SERVER_HELLO:  # noqa: PLR2004 - type, length, version
        return None
    end = MESSAGE_HEADER + int.from_bytes(data[1:4], "big")
    if end > MAX_HELLO:
        raise ProtocolError(f"a ServerHello of {end} bytes is longer than {MAX_HELLO}")
    return server_hello(data[MESSAGE_HEADER:end], whole=len(data) >= end)


def server_hello(body: bytes, *, whole: bool = True) -> ServerHello:
    """Reads the message without its header, or the beginning of it; never fails."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
    legacy = body[0] << 8 | body[1] if len(body) > 1 else None
    cipher: int | None = None
    found: dict[int, bytes] = {}
    types: list[int] = []
    complete = whole
    try:
        _, at = vector(body, 34, 1, "session id")
        if at + 2 <= len(body):
            cipher = body[at] << 8 | body[at + 1]
        if not whole or at + 3 < len(body):  # an old ServerHello may end without extensions
            block, _ = vector(body, at + 3, 2, "extensions")
            at = 0
            while at < len(block):
                (kind,) = words(block[at : at + 2])
                content, at = vector(block, at + 2, 2, "extension")
                types.append(kind)
                found.setdefault(kind, content)
    except (ProtocolError, ValueError):
        complete = False  # cut by the capture, or broken: what was read stands
    chosen = found.get(SUPPORTED_VERSIONS, b"")
    share = found.get(KEY_SHARE, b"")
    version: str | None = None
    if len(chosen) == 2:  # noqa: PLR2004 - one version
        version = version_name(chosen[0] << 8 | chosen[1])
    elif legacy is not None and (whole or legacy not in _MAY_BE_NEWER):
        version = version_name(legacy)
    return ServerHello(
        version=version,
        legacy_version=legacy,
        cipher=cipher,
        extensions=tuple(types) if complete else None,
        alpn=_chosen_protocol(found.get(ALPN, b"")),
        group=share[0] << 8 | share[1] if len(share) > 1 else None,
        hello_retry_request=body[2:34] == RETRY_RANDOM,
        whole=whole,
    )


def _chosen_protocol(content: bytes) -> str | None:
    # https://www.rfc-editor.org/rfc/rfc7301#section-3.1
    return printable(content[3 : 3 + content[2]]) if len(content) > 3 else None  # noqa: PLR2004 - two lengths


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

"""What a TLS server says first: ServerHello, HelloRetryRequest, alerts.

https://www.rfc-editor.org/rfc/rfc8446
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls_wire import (
    ALERT,
    HANDSHAKE,
    HELLO_REQUEST,
    MAX_HELLO,
    MESSAGE_HEADER,
    RECORD_HEADER,
    SERVER_HELLO,
    SUPPORTED_VERSIONS,
    record_header,
    vector,
    version_name,
)

_FATAL: Final = 2
# SHA-256 of "HelloRetryRequest": https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
_RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

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
                return _server_start(alert=alert, complete=True)
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
    return _server_hello(bytes(body), alert) or (_server_start(alert=alert) if alert else None)


def _server_hello(body: bytes, alert: tuple[int, int] | None) -> ServerStart | None:
    """Reads as much of a ServerHello as is there; None below six bytes."""
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3
    if len(body) < 6 or body[0] != SERVER_HELLO:  # noqa: PLR2004 - type, length, version
        return None
    end = MESSAGE_HEADER + int.from_bytes(body[1:4], "big")
    if end > MAX_HELLO:
        raise ProtocolError(f"a ServerHello of {end} bytes is longer than {MAX_HELLO}")
    hello = body[MESSAGE_HEADER:end]
    whole = len(body) >= end
    legacy = hello[0] << 8 | hello[1] if len(hello) > 1 else 0
    # 1.2 may still turn out to be 1.3 by an extension; anything older stands
    version = version_name(legacy) if whole or legacy != 0x0303 else None  # noqa: PLR2004 - TLS 1.2
    cipher: int | None = None
    try:
        _, at = vector(hello, 34, 1, "session id")
        if at + 2 <= len(hello):
            cipher = hello[at] << 8 | hello[at + 1]
        block, _ = vector(hello, at + 3, 2, "extensions")
        at = 0
        while at + 4 <= len(block):
            kind = block[at] << 8 | block[at + 1]
            content, at = vector(block, at + 2, 2, "extension")
            if kind == SUPPORTED_VERSIONS and len(content) == 2:  # noqa: PLR2004 - one version
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

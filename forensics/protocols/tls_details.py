"""What a ClientHello says besides what every one is asked for: key shares, padding, and how it hides its name.

https://www.rfc-editor.org/rfc/rfc8446 . Reading this costs some microseconds a hello, so it is done for those only
whose table somebody reads.

Encrypted Client Hello (RFC 9849) is made so that nobody on the path can tell a real extension from one of random
bytes (section 6.2, "GREASE ECH"): suite, key length and payload length of both are drawn from the same sets. What
the wire does tell is when an extension *cannot* be real. A real outer one (section 6.1)

* stands in a hello that offers TLS 1.3,
* stands beside a server name, that of the public name of the server's configuration,
* names a KDF and an AEAD of HPKE (RFC 9180 7.2, 7.3),
* holds the encapsulated key of one of its KEMs, whose length the KEM fixes (RFC 9180 7.1), or none at all in the
  hello after a HelloRetryRequest (section 6.1.5),
* holds a payload longer than the tag of the AEAD, 16 bytes.

So there is ``outer`` (may be real, may be GREASE), ``grease`` (breaks one of these), ``inner`` (type 1, the hello of
which an outer one is made: seen in plaintext only behind the server that decrypted it) and ``malformed``.
The configuration's one-byte number helps where several hellos to one server are seen: a real one repeats, GREASE
draws it anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls_wire import KEY_SHARE, TWO_WORDS, vector, words

if TYPE_CHECKING:
    from forensics.protocols.tls import ClientHello

# https://www.iana.org/assignments/tls-extensiontype-values
PADDING: Final = 21
PRE_SHARED_KEY: Final = 41
EARLY_DATA: Final = 42
ESNI: Final = 0xFFCE
"""Encrypted server name: https://www.ietf.org/archive/id/draft-ietf-tls-esni-05.html and those before it."""
ECH: Final = 0xFE0D
"""Encrypted Client Hello: https://www.rfc-editor.org/rfc/rfc9849#section-5 (drafts 13 and later)."""

_OUTER, _INNER = 0, 1
_KDFS: Final = frozenset({1, 2, 3})
_AEADS: Final = frozenset({1, 2, 3})
_KEY_LENGTHS: Final = frozenset({0, 32, 56, 65, 97, 133, 1088, 1120, 1153, 1568, 1665})
"""Of DHKEM over X25519, X448, P-256, P-384, P-521; ML-KEM-768 and -1024 and their hybrids; 0 after a retry."""
_TAG: Final = 16


class Ech(NamedTuple):
    """An encrypted_client_hello extension of a ClientHello."""

    kind: str
    """``outer``, ``grease``, ``inner`` or ``malformed``: see the beginning of this module."""
    config_id: int | None
    """Number of the configuration; None unless the extension is of the outer form."""
    kdf: int | None
    aead: int | None
    key_length: int | None
    """Bytes of the encapsulated key."""
    payload_length: int | None
    """Bytes of the encrypted inner hello."""


_BROKEN: Final = Ech("malformed", None, None, None, None, None)


class HelloDetails(NamedTuple):
    """More of a ClientHello."""

    key_shares: tuple[int, ...]
    """Groups for which a key was sent, GREASE included."""
    padding: int | None
    """Bytes of the padding extension (RFC 7685); None without one."""
    pre_shared_key: bool
    """A session is resumed, in the way of TLS 1.3."""
    early_data: bool
    esni: bool
    """The extension 0xffce is there."""
    ech: Ech | None


def hello_details(hello: ClientHello) -> HelloDetails:
    """Reads what ``hello.block`` holds besides; never fails: a hello was read from the same bytes.

    Of an extension that comes twice the first counts. A key_share that is broken lists what stands before that.
    """
    found = _contents(hello.block)
    ech = found.get(ECH)
    padding = found.get(PADDING)
    return HelloDetails(
        key_shares=_key_shares(found.get(KEY_SHARE, b"")),
        padding=None if padding is None else len(padding),
        pre_shared_key=PRE_SHARED_KEY in found,
        early_data=EARLY_DATA in found,
        esni=ESNI in found,
        ech=None if ech is None else read_ech(ech, hello),
    )


def ech_kind(hello: ClientHello) -> str | None:
    """``outer``, ``grease``, ``inner`` or ``malformed``; None without the extension (which costs nothing)."""
    if ECH not in hello.extensions:
        return None
    return read_ech(_contents(hello.block)[ECH], hello).kind


def read_ech(content: bytes, hello: ClientHello) -> Ech:
    """Reads an encrypted_client_hello extension of ``hello``."""
    # https://www.rfc-editor.org/rfc/rfc9849#section-5
    if content == bytes([_INNER]):
        return Ech("inner", None, None, None, None, None)
    if len(content) < 6 or content[0] != _OUTER:  # noqa: PLR2004 - type, suite, number
        return _BROKEN
    kdf, aead = TWO_WORDS(content, 1)
    try:
        key, at = vector(content, 6, 2, "encapsulated key")
        payload, at = vector(content, at, 2, "payload")
    except ProtocolError:
        return _BROKEN
    if at != len(content):
        return _BROKEN
    possible = (
        ("1.3" in hello.versions or "dtls1.3" in hello.versions)
        and hello.sni is not None
        and kdf in _KDFS
        and aead in _AEADS
        and len(key) in _KEY_LENGTHS
        and len(payload) > _TAG
    )
    return Ech("outer" if possible else "grease", content[5], kdf, aead, len(key), len(payload))


def _contents(block: bytes) -> dict[int, bytes]:
    """Type → content of the extensions; their lengths were found right when the hello was read."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(block):
        kind, length = TWO_WORDS(block, at)
        found.setdefault(kind, block[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _key_shares(content: bytes) -> tuple[int, ...]:
    # https://www.rfc-editor.org/rfc/rfc8446#section-4.2.8
    groups: list[int] = []
    try:
        shares, _ = vector(content, 0, 2, "key shares")
        at = 0
        while at < len(shares):
            (group,) = words(shares[at : at + 2])
            _, at = vector(shares, at + 2, 2, "key")
            groups.append(group)
    except (ProtocolError, ValueError):
        pass  # what was read stands
    return tuple(groups)

"""X.509 certificates as they are sent in TLS: whose, by whom, for which names, how long.

https://www.rfc-editor.org/rfc/rfc5280 . A certificate is what the sender says of itself: nothing is verified here,
and the signature is not looked at.
"""

from __future__ import annotations

import functools
import re
import warnings
from datetime import UTC
from hashlib import sha1, sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from forensics.protocols.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography import x509

MAX_NAMES: Final = 64
"""Alternative names that are kept."""
_LONGEST: Final = 1024
"""Characters of a distinguished name that are kept."""
_REMEMBERED: Final = 4096
"""Longest certificate that is remembered, so that what is remembered stays small."""
_SPACE: Final = re.compile(r"\\x20")
_SPELLED: Final = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.42": "GN",
    "2.5.4.15": "businessCategory", "2.5.4.41": "name", "2.5.4.17": "postalCode", "2.5.4.97": "organizationIdentifier",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC", "1.2.840.113549.1.9.1": "emailAddress",
    "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}  # fmt: skip
"""Object identifier of a part of a name → how RFC 4514 3 and common tools spell it."""
# https://www.rfc-editor.org/rfc/rfc8017#appendix-A.2.4, rfc5758, rfc8410
_ALGORITHMS: Final = {
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption", "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.113549.1.1.10": "rsassaPss", "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption", "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
    "1.2.840.10040.4.3": "dsa-with-sha1", "1.2.840.10045.4.1": "ecdsa-with-SHA1",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256", "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512", "1.3.101.112": "ed25519", "1.3.101.113": "ed448",
}  # fmt: skip
_SPECIAL: Final = re.compile(r'([,+"<>;])')
_COMMON_NAME: Final = "2.5.4.3"
_READABLE: Final = re.compile(r"[ -\[\]-~]*\Z")


class Certificate(NamedTuple):
    """What a certificate says. A field is None where it cannot be read, which ``malformed`` names, or is absent."""

    length: int
    """Bytes."""
    sha256: str
    """Fingerprint: hex of the SHA-256 of all of it."""
    sha1: str
    subject: str | None
    """Distinguished name in the order of RFC 4514 (most special part first), made printable."""
    subject_cn: str | None
    """Its (first) common name."""
    issuer: str | None
    issuer_cn: str | None
    self_issued: bool | None
    """Subject and issuer are the same name, byte for byte."""
    serial: str | None
    """Hex."""
    not_before: str | None
    """UTC, such as ``2026-01-31T00:00:00Z``."""
    not_after: str | None
    names: tuple[str, ...]
    """dNSName (lower case) and iPAddress of subjectAltName, in their order."""
    ca: bool | None
    """basicConstraints says that it is of a certification authority; None without that extension."""
    key: str | None
    """Kind of the public key and its bits or curve, such as ``rsa 2048`` and ``ec secp256r1``."""
    signature_algorithm: str | None
    """Name of the algorithm, such as ``sha256WithRSAEncryption``, or its object identifier."""
    malformed: tuple[str, ...]
    """Fields that cannot be read; ``certificate`` where it is none at all."""


def read_certificate(der: bytes) -> Certificate:
    """Reads one certificate; never fails: of one that is broken the fingerprint and what can be read is told."""
    return _remembered(der) if len(der) <= _REMEMBERED else _read(der)


def covers(names: tuple[str, ...], host: str) -> bool:
    """Whether one of the ``names`` of a certificate is that of the host, both in lower case.

    A ``*`` stands for the whole first label (RFC 9525 6.3). The common name does not count.
    """
    _, dot, rest = host.partition(".")
    return host in names or (bool(dot) and f"*.{rest}" in names)


def _read(der: bytes) -> Certificate:
    # imported here, so that only captures with certificates pay for it
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415 - see above

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what certificates do wrong is no news of this program
        try:
            certificate = load_der_x509_certificate(der)
        except Exception:  # noqa: BLE001 - ValueError is what it should raise; what is fed was made by anyone
            return _nothing(der)
        return _described(der, certificate)


_remembered = functools.lru_cache(maxsize=256)(_read)


def _nothing(der: bytes) -> Certificate:
    fields = dict.fromkeys(Certificate._fields)
    fields |= {"length": len(der), "names": (), "malformed": ("certificate",)}
    return Certificate(**{**fields, **_prints(der)})


def _prints(der: bytes) -> dict[str, Any]:
    # SHA-1 is a name here, the one that lists of certificates use; nothing is trusted for it
    return {"sha256": sha256(der).hexdigest(), "sha1": sha1(der, usedforsecurity=False).hexdigest()}


def _described(der: bytes, certificate: x509.Certificate) -> Certificate:
    malformed: list[str] = []

    def read(name: str, get: Callable[[], Any], otherwise: Any = None) -> Any:  # noqa: ANN401 - of any field
        try:
            return get()
        except Exception:  # noqa: BLE001 - of a broken field any; the others are told all the same
            malformed.append(name)
            return otherwise

    return Certificate(
        length=len(der),
        **_prints(der),
        subject=read("subject", lambda: _distinguished(certificate.subject)),
        subject_cn=read("subject_cn", lambda: _common(certificate.subject)),
        issuer=read("issuer", lambda: _distinguished(certificate.issuer)),
        issuer_cn=read("issuer_cn", lambda: _common(certificate.issuer)),
        self_issued=read(
            "self_issued", lambda: certificate.subject.public_bytes() == certificate.issuer.public_bytes()
        ),
        serial=read("serial", lambda: _hex(certificate.serial_number)),
        not_before=read("not_before", lambda: _moment(certificate.not_valid_before_utc)),
        not_after=read("not_after", lambda: _moment(certificate.not_valid_after_utc)),
        names=read("names", lambda: _names(certificate), ()),
        ca=read("ca", lambda: _authority(certificate)),
        key=read("key", lambda: _key(certificate)),
        signature_algorithm=read("signature_algorithm", lambda: _algorithm(certificate)),
        malformed=tuple(malformed),
    )


def _text(value: str | bytes, limit: int = 255) -> str:
    """Printable, with its spaces."""
    if isinstance(value, str):
        if len(value) <= limit and _READABLE.match(value):
            return value
        value = value.encode("utf-8", "surrogatepass")
    return _SPACE.sub(" ", printable(value, limit))


def _distinguished(name: x509.Name) -> str:
    # https://www.rfc-editor.org/rfc/rfc4514#section-2.1
    parts = []
    for relative in reversed(name.rdns):
        pairs = []
        for attribute in relative:
            oid = attribute.oid.dotted_string
            value = _SPECIAL.sub(r"\\\1", _text(attribute.value))
            pairs.append(f"{_SPELLED.get(oid, oid)}={value}")
        parts.append("+".join(pairs))
    return ",".join(parts)[:_LONGEST]


def _common(name: x509.Name) -> str | None:
    for attribute in name:
        if attribute.oid.dotted_string == _COMMON_NAME:
            return _text(attribute.value)
    return None


def _hex(number: int) -> str:
    """Whole bytes, as tools print serial numbers."""
    digits = f"{abs(number):x}"
    return f"{'-' * (number < 0)}{'0' * (len(digits) % 2)}{digits}"


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    # https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.6
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found = []
    for name in names:
        if isinstance(name, x509.DNSName):
            found.append(_text(name.value.lower()))
        elif isinstance(name, x509.IPAddress):
            found.append(str(name.value))
        if len(found) == MAX_NAMES:
            break
    return tuple(found)


def _authority(certificate: x509.Certificate) -> bool | None:
    # https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.9
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return None


def _key(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa  # noqa: PLC0415 - as above

    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ec {key.curve.name}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"dsa {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").strip("_").lower()


def _algorithm(certificate: x509.Certificate) -> str:
    oid = certificate.signature_algorithm_oid.dotted_string
    return _ALGORITHMS.get(oid, oid)

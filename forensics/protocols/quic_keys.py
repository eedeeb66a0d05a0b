"""Removes the protection of QUIC Initial packets, whose keys follow from what everyone can see.

https://www.rfc-editor.org/rfc/rfc9001#section-5 and https://www.rfc-editor.org/rfc/rfc9369#section-3.3
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final

from forensics.protocols.errors import ProtocolError
from forensics.protocols.quic import FIRST_DRAFT, MVFST, MVFST_V1, Q050, V1, V2

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

    from forensics.protocols.quic import Packet

# https://www.rfc-editor.org/rfc/rfc9001#section-5.2 and https://www.rfc-editor.org/rfc/rfc9369#section-3.3.1
_SALT_V1: Final = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_SALT_V2: Final = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
# draft-ietf-quic-tls-23 and -29, section 5.2
_SALT_DRAFT_23: Final = bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
_SALT_DRAFT_29: Final = bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899")
# Google's QUICHE, quic/core/crypto/crypto_utils.cc
_SALT_Q050: Final = bytes.fromhex("504574efd066fe2f9d945cfcdbd3a7f0d3b56b45")

# https://www.rfc-editor.org/rfc/rfc9001#section-5.8 and https://www.rfc-editor.org/rfc/rfc9369#section-3.3.3
_RETRY_V1: Final = ("be0c690b9f66575a1d766b54e368c84e", "461599d35d632bf2239825bb")
_RETRY_V2: Final = ("8fb4b01b56ac48e260fbcbcead7ccc92", "d86969bc2d7c6d9990efb04a")
_RETRY_DRAFT_29: Final = ("ccce187ed09a09d05728155a6cb96be1", "e54930f97f2136f0530a8c1c")

_TAG: Final = 16
_SAMPLE: Final = 16
_DRAFT_29, _DRAFT_33 = 0xFF00001D, 0xFF000021
_HASH: Final = "sha256"


def initial_salt(version: int) -> bytes:
    """The salt of the Initial secrets of a version; ProtocolError for one that is not readable here."""
    if version in {V1, MVFST_V1} or version >= _DRAFT_33:
        return _SALT_V1
    if version == V2:
        return _SALT_V2
    if version == Q050:
        return _SALT_Q050
    if version >= _DRAFT_29:
        return _SALT_DRAFT_29
    if version >= FIRST_DRAFT or version in MVFST:
        return _SALT_DRAFT_23
    raise ProtocolError(f"the Initial packets of version 0x{version:08x} cannot be read")


def expand_label(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label of TLS 1.3 without context, for at most 32 bytes (RFC 8446 7.1)."""
    # for so few bytes it is one HMAC, whose input is the label and the counter 1 (RFC 5869 2.3)
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\x00\x01"
    return hmac.digest(secret, info, _HASH)[:length]


class InitialKeys:
    """Keys of one sender's Initial packets. AES contexts are made once and kept."""

    __slots__ = ("_aead", "_iv", "_mask", "hp", "iv", "key", "secret")

    def __init__(self, version: int, dcid: bytes, *, client: bool) -> None:
        """``dcid``: what the client first sent as destination, or after a Retry what that told it to use."""
        from cryptography.hazmat.primitives.ciphers import Cipher  # noqa: PLC0415 - only captures with QUIC pay for it
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - the same
        from cryptography.hazmat.primitives.ciphers.algorithms import AES  # noqa: PLC0415 - the same
        from cryptography.hazmat.primitives.ciphers.modes import ECB  # noqa: PLC0415 - the same

        common = hmac.digest(initial_salt(version), dcid, _HASH)
        self.secret = expand_label(common, b"client in" if client else b"server in", 32)
        prefix = b"quicv2 " if version == V2 else b"quic "
        self.key = expand_label(self.secret, prefix + b"key", 16)
        self.iv = expand_label(self.secret, prefix + b"iv", 12)
        self.hp = expand_label(self.secret, prefix + b"hp", 16)
        self._iv = int.from_bytes(self.iv, "big")
        self._aead = AESGCM(self.key)
        # One block under header protection is all that ECB is used for, as RFC 9001 5.4.3 says.
        self._mask: CipherContext = Cipher(AES(self.hp), ECB()).encryptor()  # noqa: S305 - see above

    def __deepcopy__(self, memo: dict[int, Any]) -> InitialKeys:
        """They never change, and their AES contexts cannot be copied."""
        return self

    def open(self, datagram: bytes, packet: Packet) -> tuple[int, bytes] | None:
        """Packet number and payload of an Initial packet; None where these are not its keys.

        ProtocolError where the packet is too short to have been protected, or cut by the capture.
        """
        # https://www.rfc-editor.org/rfc/rfc9001#section-5.4.2
        at = packet.number_at
        if packet.end > len(datagram):
            raise ProtocolError("the packet is not whole")
        sample = datagram[at + 4 : at + 4 + _SAMPLE]
        if packet.end < at + 4 + _SAMPLE:
            raise ProtocolError(f"a protected packet of {packet.end - at} bytes")
        mask = self._mask.update(sample)
        first = datagram[packet.start] ^ mask[0] & 0x0F
        begin = at + 1 + (first & 3)
        number = int.from_bytes(datagram[at:begin], "big") ^ int.from_bytes(mask[1 : begin - at + 1], "big")
        header = bytearray(datagram[packet.start : begin])
        header[0] = first
        header[at - packet.start :] = number.to_bytes(begin - at, "big")
        # Numbers begin with 0 and are sent with as many bytes as tell them apart: those of Initials are whole.
        nonce = (self._iv ^ number).to_bytes(12, "big")
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above

        try:
            return number, self._aead.decrypt(nonce, datagram[begin : packet.end], bytes(header))
        except InvalidTag:
            return None


def retry_is_genuine(datagram: bytes, packet: Packet, dcid: bytes) -> bool | None:
    """Whether a Retry packet answers an Initial with that destination id; None for drafts before 29.

    Whoever saw the Initial can make one: false means that the sender did not see it.
    """
    # https://www.rfc-editor.org/rfc/rfc9001#section-5.8
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - only captures with Retry packets pay for it
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - the same

    version = packet.version
    if version == V1 or version >= _DRAFT_33:
        key, nonce = _RETRY_V1
    elif version == V2:
        key, nonce = _RETRY_V2
    elif version >= _DRAFT_29:
        key, nonce = _RETRY_DRAFT_29
    else:
        return None
    tag = datagram[packet.number_at : packet.end]
    pseudo = bytes([len(dcid)]) + dcid + datagram[packet.start : packet.number_at]
    try:
        AESGCM(bytes.fromhex(key)).decrypt(bytes.fromhex(nonce), tag, pseudo)
    except InvalidTag:
        return False
    return len(tag) == _TAG

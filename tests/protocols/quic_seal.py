"""Protects Initial packets, as a sender does: written from RFC 9001 5 with the library's own HKDF."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

SALTS = {
    1: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    0x6B3343CF: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    0xFF00001D: "afbfec289993d24c9e9786f19c6111e04390a899",
    0xFF000017: "c3eef712c72ebb5a11a7d2432bb46365bef9f502",
    0xFACEB002: "c3eef712c72ebb5a11a7d2432bb46365bef9f502",
    0xFACEB003: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    0x51303530: "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45",
}


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\x00"
    return HKDFExpand(SHA256(), length, info).derive(secret)


def varint(value: int) -> bytes:
    if value < 64:
        return bytes([value])
    if value < 16384:
        return (value | 0x4000).to_bytes(2, "big")
    return (value | 0x80000000).to_bytes(4, "big")


def crypto(offset: int, piece: bytes) -> bytes:
    return b"\x06" + varint(offset) + varint(len(piece)) + piece


def initial(  # noqa: PLR0913 - the fields of a packet
    payload: bytes,
    *,
    key_dcid: bytes,
    dcid: bytes | None = None,
    scid: bytes = b"",
    version: int = 1,
    client: bool = True,
    number: int = 0,
    token: bytes = b"",
    size: int = 1200,
) -> bytes:
    """One protected Initial packet, padded to ``size`` bytes."""
    dcid = key_dcid if dcid is None else dcid
    head = version.to_bytes(4, "big") + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid
    head += varint(len(token)) + token
    payload += bytes(max(0, size - 1 - len(head) - 2 - 2 - 16 - len(payload)))
    first = 0xC1 | (0x10 if version == 0x6B3343CF else 0)
    head = bytes([first]) + head + (0x4000 | len(payload) + 18).to_bytes(2, "big") + number.to_bytes(2, "big")
    extract = HMAC(bytes.fromhex(SALTS[version]), SHA256())
    extract.update(key_dcid)
    secret = _expand(extract.finalize(), b"client in" if client else b"server in", 32)
    word = b"quicv2 " if version == 0x6B3343CF else b"quic "
    key, iv, hp = (_expand(secret, word + name, n) for name, n in ((b"key", 16), (b"iv", 12), (b"hp", 16)))
    nonce = iv[:4] + (int.from_bytes(iv[4:], "big") ^ number).to_bytes(8, "big")
    sealed = AESGCM(key).encrypt(nonce, payload, head)
    mask = Cipher(AES(hp), ECB()).encryptor().update(sealed[2:18])  # noqa: S305 - RFC 9001 5.4.3
    out = bytearray(head)
    out[0] ^= mask[0] & 0x0F
    out[-2] ^= mask[1]
    out[-1] ^= mask[2]
    return bytes(out) + sealed


def long_header(kind: int, dcid: bytes, scid: bytes, body: bytes, version: int = 1) -> bytes:
    """A 0-RTT (1) or Handshake (2) packet of version 1 with a body that nobody can read."""
    head = bytes([0xC0 | kind << 4]) + version.to_bytes(4, "big") + bytes([len(dcid)]) + dcid
    return head + bytes([len(scid)]) + scid + varint(len(body)) + body


def negotiation(dcid: bytes, scid: bytes, *versions: int) -> bytes:
    head = b"\xc0" + bytes(4) + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid
    return head + b"".join(version.to_bytes(4, "big") for version in versions)


def retry(dcid: bytes, scid: bytes, token: bytes, original: bytes) -> bytes:
    """A Retry packet of version 1 with a genuine integrity tag."""
    head = b"\xf0" + b"\x00\x00\x00\x01" + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid + token
    key, nonce = bytes.fromhex("be0c690b9f66575a1d766b54e368c84e"), bytes.fromhex("461599d35d632bf2239825bb")
    return head + AESGCM(key).encrypt(nonce, b"", bytes([len(original)]) + original + head)

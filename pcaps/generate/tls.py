"""TLS bytes put together by hand: a browser's ClientHello and a server's first flight (RFC 8446)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

EXTENSION_HEADER = 4
ML_KEM_SHARE = 1216
"""Bytes of an X25519MLKEM768 key share in a ClientHello: 1,184 + 32."""


def _vector(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def _extension(number: int, data: bytes) -> bytes:
    return struct.pack("!H", number) + _vector(data, 2)


def record(kind: int, data: bytes, version: int = 0x0303) -> bytes:
    """One TLS record (RFC 8446 section 5.1)."""
    return struct.pack("!BHH", kind, version, len(data)) + data


def client_hello(rng: random.Random, sni: bytes | None, *, post_quantum: bool = False) -> bytes:
    """A ClientHello in one record: 517 bytes, or about 1,800 with a post-quantum key share."""
    parts = []
    if sni is not None:
        parts.append(_extension(0, _vector(b"\0" + _vector(sni, 2), 2)))
    groups = [0x11EC, 0x001D, 0x0017, 0x0018] if post_quantum else [0x001D, 0x0017, 0x0018]
    shares = struct.pack("!H", 0x001D) + _vector(rng.randbytes(32), 2)
    if post_quantum:
        shares = struct.pack("!H", 0x11EC) + _vector(rng.randbytes(ML_KEM_SHARE), 2) + shares
    signatures = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
    parts += [
        _extension(23, b""),
        _extension(0xFF01, b"\0"),
        _extension(10, _vector(struct.pack(f"!{len(groups)}H", *groups), 2)),
        _extension(11, b"\x01\x00"),
        _extension(35, b""),
        _extension(16, _vector(_vector(b"h2", 1) + _vector(b"http/1.1", 1), 2)),
        _extension(5, b"\x01\0\0\0\0"),
        _extension(13, _vector(struct.pack(f"!{len(signatures)}H", *signatures), 2)),
        _extension(18, b""),
        _extension(51, _vector(shares, 2)),
        _extension(45, b"\x01\x01"),
        _extension(43, _vector(struct.pack("!HH", 0x0304, 0x0303), 1)),
    ]
    ciphers = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014)
    fixed = (
        struct.pack("!H", 0x0303)
        + rng.randbytes(32)
        + _vector(rng.randbytes(32), 1)
        + _vector(struct.pack(f"!{len(ciphers)}H", *ciphers), 2)
        + b"\x01\x00"
    )
    extensions = b"".join(parts)
    missing = 512 - (4 + len(fixed) + 2 + len(extensions))
    if missing >= EXTENSION_HEADER:
        extensions += _extension(21, bytes(missing - EXTENSION_HEADER))
    body = fixed + _vector(extensions, 2)
    return record(22, b"\x01" + _vector(body, 3), 0x0301)


def server_flight(rng: random.Random, size: int = 2800) -> bytes:
    """ServerHello, ChangeCipherSpec and ``size`` bytes of encrypted handshake."""
    extensions = _extension(51, struct.pack("!H", 0x001D) + _vector(rng.randbytes(32), 2))
    extensions += _extension(43, struct.pack("!H", 0x0304))
    body = struct.pack("!H", 0x0303) + rng.randbytes(32) + _vector(rng.randbytes(32), 1)
    body += struct.pack("!HB", 0x1301, 0) + _vector(extensions, 2)
    hello = record(22, b"\x02" + _vector(body, 3))
    return hello + record(20, b"\x01") + data(rng, size)


def client_finished(rng: random.Random) -> bytes:
    """ChangeCipherSpec and the encrypted Finished."""
    return record(20, b"\x01") + record(23, rng.randbytes(53))


def data(rng: random.Random, size: int) -> bytes:
    """``size`` bytes of application data in records of at most 16 KiB."""
    out = []
    while size > 0:
        piece = min(size, 16384)
        out.append(record(23, rng.randbytes(piece)))
        size -= piece
    return b"".join(out)


def alert(description: int) -> bytes:
    """A fatal alert in the clear."""
    return record(21, bytes((2, description)))

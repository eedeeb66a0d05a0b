"""TLS 1.2, in which certificates go by in the clear: an ordinary visit, and one in which both sides show theirs."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pcaps.generate import tls
from pcaps.generate.certificate_samples import CLIENT as CLIENT_CERTIFICATE
from pcaps.generate.certificate_samples import LEAF, ROOT
from pcaps.generate.dns import lookup
from pcaps.generate.tcp import CLIENT, SERVER, Tcp

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generate.world import Packet, World

NAME, ADDRESS = "www.example.org", "93.184.215.14"


def message(kind: int, body: bytes) -> bytes:
    """A handshake message (RFC 5246 section 7.4)."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def certificates(*ders: bytes) -> bytes:
    """A Certificate message (RFC 5246 section 7.4.2)."""
    chain = b"".join(len(der).to_bytes(3, "big") + der for der in ders)
    return message(11, len(chain).to_bytes(3, "big") + chain)


def server_hello(random: bytes, session: bytes = b"") -> bytes:
    """A ServerHello that chooses TLS 1.2 and ECDHE-ECDSA-AES128-GCM-SHA256."""
    extensions = struct.pack("!HHB", 0xFF01, 1, 0) + struct.pack("!HHH", 23, 0, 0x000B) + b"\0\x02\x01\0"
    body = b"\x03\x03" + random + bytes([len(session)]) + session + b"\xc0\x2b\0"
    return message(2, body + len(extensions).to_bytes(2, "big") + extensions)


def key_exchange(w: World) -> bytes:
    """A ServerKeyExchange: a point on P-256 and a signature, neither of them real."""
    signature = w.rng.randbytes(71)
    return message(12, b"\x03\0\x17\x41\x04" + w.rng.randbytes(64) + b"\x04\x03\0\x47" + signature)


def request() -> bytes:
    """A CertificateRequest: ECDSA keys, two signature algorithms, no names."""
    return message(13, b"\x01\x40\0\x04\x04\x03\x08\x04\0\0")


def handshake(w: World, *, mutual: bool, small: int = 0) -> None:
    """A visit; ``small`` cuts the server's first messages into records of so many bytes."""
    lookup(w, 0.0, NAME, [ADDRESS])
    flow = Tcp(w, w.host(ADDRESS, 53), mss=600)
    at = flow.open(0.3) + 0.001
    flow.hello(at, NAME)
    hello = server_hello(w.rng.randbytes(32), w.rng.randbytes(32))
    chain = certificates(LEAF, ROOT)
    rest = key_exchange(w) + (request() if mutual else b"") + message(14, b"")
    if small:
        whole = hello + chain + rest
        sent = b"".join(tls.record(22, whole[n : n + small]) for n in range(0, len(whole), small))
    else:
        sent = b"".join(tls.record(22, part) for part in (hello, chain, rest))
    at += flow.rtt + 0.004
    shown = flow.send(SERVER, at, sent)
    note(w, flow, "server", shown, 2)
    at += 0.01
    point = message(16, b"\x41\x04" + w.rng.randbytes(64))
    secret = tls.record(20, b"\x01") + tls.record(22, w.rng.randbytes(40))
    if mutual:
        verify = message(15, b"\x04\x03\0\x46" + w.rng.randbytes(70))
        parts = (certificates(CLIENT_CERTIFICATE), point, verify)
        note(w, flow, "client", flow.send(CLIENT, at, tls.record(22, b"".join(parts)) + secret), 1)
    else:
        flow.send(CLIENT, at, tls.record(22, point) + secret)
    at += flow.rtt + 0.003
    flow.send(SERVER, at, secret)
    flow.send(CLIENT, at + 0.001, tls.data(w.rng, 400))
    flow.send(SERVER, at + flow.rtt + 0.01, tls.data(w.rng, 6000))
    flow.close(at + flow.rtt + 0.5)


def note(w: World, flow: Tcp, sender: str, packets: list[Packet], count: int) -> None:
    """Who showed how many certificates, within which packets, for the expectation."""
    w.expect.notes.setdefault("certificates", []).append(
        {"flow": flow, "sender": sender, "within_frames": packets, "count": count}
    )


def ordinary(w: World) -> None:
    """A visit over TLS 1.2."""
    w.story(
        """An ordinary visit over TLS 1.2 (ECDHE-ECDSA). The server shows its certificate and that of the root in one
        record of its own, cut over three segments.""",
        "tls-1.2-certificate-mutual",
    )
    handshake(w, mutual=False)


def mutual(w: World) -> None:
    """Both show certificates, in small records."""
    w.story(
        """As tls-1.2-certificate, but the server asks for a certificate and gets one, and it cuts all its
        messages into records of 100 bytes.""",
        "tls-1.2-certificate",
    )
    handshake(w, mutual=True, small=100)


CASES: dict[str, Callable[[World], None]] = {
    "tls-1.2-certificate": ordinary,
    "tls-1.2-certificate-mutual": mutual,
}

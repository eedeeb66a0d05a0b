"""Names the protocol of datagrams by their first bytes and ports, with array code, where those leave no doubt.

Only protocols that need no more than that: those with a handshake have modules of their own.
"""

# ruff: noqa: PLR2004 - the numbers are those of the formats that are linked above each test
from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from forensics.protocols.ike import looks_like_esp
from forensics.protocols.viber import UDP_PORTS, looks_like_viber
from forensics.protocols.wireguard import looks_like_wireguard

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Ints: TypeAlias = npt.NDArray[np.int64]
    Bools: TypeAlias = npt.NDArray[np.bool_]

_DNS_PORTS: Final = {"dns": 53, "mdns": 5353, "llmnr": 5355}
_STUN_PORTS: Final = (3478, 3479, 19302)
_RADIUS_PORTS: Final = (1645, 1646, 1812, 1813)
# https://www.rfc-editor.org/rfc/rfc9000#section-17.2; versions: 1, 2, drafts 27 to 34, and Google's Q043 to Q050
_QUIC_VERSIONS: Final = (
    0x00000001,
    0x6B3343CF,
    *range(0xFF00001B, 0xFF000023),
    *(int.from_bytes(name, "big") for name in (b"Q043", b"Q044", b"Q046", b"Q050", b"T050", b"T051")),
)


class _Seen:
    """The datagrams, and what several protocols ask of them."""

    def __init__(self, head: Bytes, length: Ints, sport: Ints, dport: Ints) -> None:
        self.head, self.length, self.sport, self.dport = head, length, sport, dport

    def port(self, *numbers: int) -> Bools:
        return np.isin(self.sport, numbers) | np.isin(self.dport, numbers)

    def begins(self, text: bytes, at: int = 0) -> Bools:
        found: Bools = (self.head[:, at : at + len(text)] == np.frombuffer(text, dtype=np.uint8)).all(axis=1)
        return found

    def u16(self, at: int) -> Ints:
        found: Ints = self.head[:, at].astype(np.int64) << 8 | self.head[:, at + 1]
        return found

    def u32(self, at: int) -> Ints:
        return self.u16(at) << 16 | self.u16(at + 2)


def _dns(seen: _Seen, port: int, opcodes: int = 6) -> Bools:
    """https://www.rfc-editor.org/rfc/rfc1035#section-4.1.1; counts that a datagram can hold."""
    counts = [seen.u16(at) for at in (4, 6, 8, 10)]
    small = np.all([count <= 256 for count in counts], axis=0) & (sum(counts) > 0)
    opcode = seen.head[:, 2] >> 3 & 15
    found: Bools = seen.port(port) & (seen.length >= 12) & (opcode <= opcodes) & small
    return found


def _stun(seen: _Seen) -> Bools:
    """https://www.rfc-editor.org/rfc/rfc8489#section-5; without the cookie (RFC 3489) only at the ports of STUN.

    WhatsApp's messages have the cookie, but lengths that are no multiple of four, and types of their own.
    """
    fits = (seen.length >= 20) & (seen.u16(2) + 20 == seen.length)
    old = np.isin(seen.u16(0), (1, 2, 0x101, 0x102, 0x111, 0x112)) & seen.port(*_STUN_PORTS)
    kind = seen.head[:, 0] < 64
    found: Bools = fits & kind & ((seen.u32(4) == 0x2112A442) | (old & (seen.length % 4 == 0)))
    return found


def _dtls(seen: _Seen) -> Bools:
    """https://www.rfc-editor.org/rfc/rfc9147#section-4, records with a header in full."""
    version = seen.u16(1)
    known = (version == 0xFEFF) | (version == 0xFEFD) | (version == 0x0100)
    kind = (seen.head[:, 0] >= 20) & (seen.head[:, 0] <= 25)
    found: Bools = kind & known & (seen.length >= 14) & (seen.u16(11) + 13 <= seen.length)
    return found


def _quic(seen: _Seen) -> Bools:
    """Long headers of a known version; a Q043 packet has flags with a version, a connection id, and the version."""
    long = (seen.head[:, 0] >= 0xC0) & np.isin(seen.u32(1), _QUIC_VERSIONS) & (seen.head[:, 5] <= 20)
    google = np.isin(seen.head[:, 0], (0x09, 0x0D)) & seen.begins(b"Q0", 9)
    found: Bools = (seen.length >= 20) & (long | google) & (seen.port(80, 443, 784, 853, 8443) | long)
    return found


def _dhcp(seen: _Seen) -> Bools:
    """https://www.rfc-editor.org/rfc/rfc2131#section-2."""
    op = (seen.head[:, 0] == 1) | (seen.head[:, 0] == 2)
    found: Bools = seen.port(67, 68) & op & (seen.head[:, 2] <= 16) & (seen.length >= 240)
    return found


def _ntp(seen: _Seen) -> Bools:
    """https://www.rfc-editor.org/rfc/rfc5905#section-7.3; mode 6 and 7 are control messages."""
    version, mode = seen.head[:, 0] >> 3 & 7, seen.head[:, 0] & 7
    long = (seen.length >= 48) | ((mode >= 6) & (seen.length >= 8))
    found: Bools = seen.port(123) & (version >= 1) & (version <= 4) & (mode >= 1) & long
    return found


def _netbios(seen: _Seen) -> Bools:
    """Name service and datagrams: https://www.rfc-editor.org/rfc/rfc1002#section-4.2 and 4.4."""
    datagram = seen.port(138) & (seen.head[:, 0] >= 0x10) & (seen.head[:, 0] <= 0x16)
    found: Bools = _dns(seen, 137, 9) | (datagram & (seen.length >= 14))
    return found


def _sip(seen: _Seen) -> Bools:
    words = (
        b"SIP/2.0 ",
        b"INVITE sip:",
        b"REGISTER sip:",
        b"OPTIONS sip:",
        b"ACK sip:",
        b"BYE sip:",
        b"CANCEL sip:",
    )
    more = (b"SUBSCRIBE sip:", b"NOTIFY sip:", b"MESSAGE sip:", b"PUBLISH sip:", b"INFO sip:")
    found: Bools = np.any([seen.begins(word) for word in words + more], axis=0)
    return found


def _radius(seen: _Seen) -> Bools:
    """https://www.rfc-editor.org/rfc/rfc2865#section-3."""
    code = np.isin(seen.head[:, 0], (1, 2, 3, 4, 5, 11, 12, 13))
    found: Bools = seen.port(*_RADIUS_PORTS) & code & (seen.u16(2) == seen.length) & (seen.length >= 20)
    return found


def _snmp(seen: _Seen) -> Bools:
    """https://www.rfc-editor.org/rfc/rfc1157#section-4: a sequence that begins with a version."""
    version = seen.begins(b"\x02\x01", 2) | seen.begins(b"\x02\x01", 3) | seen.begins(b"\x02\x01", 4)
    found: Bools = seen.port(161, 162) & (seen.head[:, 0] == 0x30) & version
    return found


def _rip(seen: _Seen) -> Bools:
    """https://www.rfc-editor.org/rfc/rfc2453#section-4."""
    kind = (seen.head[:, 0] >= 1) & (seen.head[:, 0] <= 2) & (seen.head[:, 1] >= 1) & (seen.head[:, 1] <= 2)
    found: Bools = seen.port(520) & kind & (seen.u16(2) == 0) & (seen.length % 20 == 4)
    return found


def _tftp(seen: _Seen) -> Bools:
    """https://www.rfc-editor.org/rfc/rfc1350#section-5: a request to read or write."""
    kind = seen.u16(0)
    name = (seen.head[:, 2] >= 0x20) & (seen.head[:, 2] < 0x7F)
    found: Bools = (seen.dport == 69) & ((kind == 1) | (kind == 2)) & name
    return found


def _telegram_call(seen: _Seen) -> Bools:
    """A tag of 16 bytes, then exactly twelve times 0xff, at ports of Telegram's reflectors."""
    run = (seen.head[:, 16:28] == 0xFF).all(axis=1) & (seen.head[:, 28] != 0xFF) & (seen.head[:, 15] != 0xFF)
    run |= (seen.head[:, 16:28] == 0xFF).all(axis=1) & (seen.head[:, 28] == 0xFE)
    at = ((seen.dport >= 500) & (seen.dport <= 600)) | ((seen.sport >= 500) & (seen.sport <= 600))
    found: Bools = at & run & (seen.length >= 32)
    return found


def _bittorrent(seen: _Seen) -> Bools:
    """Its distributed hash table: http://www.bittorrent.org/beps/bep_0005.html."""
    return seen.begins(b"d1:ad2:id20:") | seen.begins(b"d1:rd2:id20:")


_TESTS: Final[tuple[tuple[str, Callable[[_Seen], Bools]], ...]] = (
    ("dns", lambda seen: _dns(seen, _DNS_PORTS["dns"])),
    ("mdns", lambda seen: _dns(seen, _DNS_PORTS["mdns"])),
    ("llmnr", lambda seen: _dns(seen, _DNS_PORTS["llmnr"])),
    ("quic", _quic),
    ("stun", _stun),
    ("dtls", _dtls),
    ("wireguard", lambda seen: looks_like_wireguard(seen.head, seen.length) > 0),
    ("telegram-call", _telegram_call),
    ("viber", lambda seen: looks_like_viber(seen.head, seen.length, seen.port(*UDP_PORTS))),
    ("sip", _sip),
    ("dhcp", _dhcp),
    ("dhcpv6", lambda seen: seen.port(546, 547) & (seen.head[:, 0] >= 1) & (seen.head[:, 0] <= 36)),
    ("ntp", _ntp),
    (
        "ssdp",
        lambda seen: (
            seen.port(1900)
            & (seen.begins(b"M-SEARCH *") | seen.begins(b"NOTIFY *") | seen.begins(b"HTTP/1.1 200"))
        ),
    ),
    ("netbios", _netbios),
    ("radius", _radius),
    ("snmp", _snmp),
    ("rip", _rip),
    ("tftp", _tftp),
    ("ike", lambda seen: seen.port(4500) & looks_like_esp(seen.head, seen.length)),
    ("syslog", lambda seen: seen.port(514) & (seen.head[:, 0] == 0x3C) & (seen.head[:, 1] >= 0x30)),
    ("bittorrent", _bittorrent),
    ("spotify-connect", lambda seen: seen.begins(b"SpotUdp0")),
    ("dropbox-lan", lambda seen: seen.port(17500) & seen.begins(b'{"')),
)
WORDS: Final = ("", *(word for word, _ in _TESTS))
"""Words by number; see known.py. Number 0: none."""


def name_datagrams(head: Bytes, length: Ints, sport: Ints, dport: Ints) -> npt.NDArray[np.int8]:
    """Number (see WORDS) of the protocol of each datagram; ``head``: n x 32, ``length``: payload on the wire."""
    number = np.zeros(len(head), dtype=np.int8)
    if not len(head):
        return number
    seen = _Seen(head, length, sport, dport)
    for place, (_, test) in enumerate(_TESTS, start=1):
        number[(number == 0) & test(seen)] = place
        if number.all():
            break
    return number

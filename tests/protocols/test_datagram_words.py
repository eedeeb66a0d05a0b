"""Datagrams by their first bytes and ports: what is named, and at which port it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.datagram_words import WORDS, name_datagrams

QUERY = b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"
STUN = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(range(12))


def name(data: bytes, sport: int, dport: int) -> str:
    head = np.frombuffer(data[:32].ljust(32, b"\0"), dtype=np.uint8).reshape(1, 32)
    found = name_datagrams(head, np.array([len(data)]), np.array([sport]), np.array([dport]))
    return WORDS[int(found[0])]


@pytest.mark.parametrize(
    ("data", "port", "word"),
    [
        (QUERY, 53, "dns"),
        (QUERY, 5353, "mdns"),
        (QUERY, 5355, "llmnr"),
        (QUERY, 137, "netbios"),
        (b"\x11\x02\xab\xcd" + bytes(40), 138, "netbios"),
        (b"\xc3\x00\x00\x00\x01\x08" + bytes(1194), 443, "quic"),
        (b"\xd3\x6b\x33\x43\xcf\x08" + bytes(1194), 4433, "quic"),
        (STUN, 3478, "stun"),
        (STUN, 61000, "stun"),
        (b"\x08\x00\x00\x06" + STUN[4:] + bytes(6), 3478, "stun"),  # a type and a length of WhatsApp's own
        (b"\x00\x01\x00\x08" + bytes(24), 3478, "stun"),  # RFC 3489
        (b"\x16\xfe\xff" + bytes(8) + b"\x00\x90" + bytes(0x90), 19305, "dtls"),
        (b"\x04\x00\x00\x00" + bytes(28), 51820, "wireguard"),
        (bytes(range(1, 17)) + b"\xff" * 12 + b"\xfe\xff\xff\xff" + bytes(8), 529, "telegram-call"),
        (b"\xed\xf6\x01\x00\x05\x00" + bytes(100), 7985, "viber"),
        (b"INVITE sip:bob@example.org SIP/2.0\r\n", 5060, "sip"),
        (b"SIP/2.0 200 OK\r\n", 40000, "sip"),
        (b"\x01\x01\x06\x00" + bytes(236), 67, "dhcp"),
        (b"\x01\x66\x33\xdc" + bytes(40), 547, "dhcpv6"),
        (b"\x23" + bytes(47), 123, "ntp"),
        (b"M-SEARCH * HTTP/1.1\r\n", 1900, "ssdp"),
        (b"\x01\x0a\x00\x14" + bytes(16), 1812, "radius"),
        (b"\x30\x29\x02\x01\x01\x04\x06public", 161, "snmp"),
        (b"\x02\x01\x00\x00" + bytes(20), 520, "rip"),
        (b"\x00\x01boot.img\x00octet\x00", 69, "tftp"),
        (b"\x12\x34\x56\x78\x00\x00\x00\x01" + bytes(40), 4500, "ike"),
        (b"<34>Oct 11", 514, "syslog"),
        (b"d1:ad2:id20:abcdefgh", 6881, "bittorrent"),
        (b"SpotUdp0" + bytes(36), 57621, "spotify-connect"),
        (b'{"host_int": 1}', 17500, "dropbox-lan"),
    ],
)
def test_named(data: bytes, port: int, word: str) -> None:
    assert name(data, 50000, port) == word


@pytest.mark.parametrize(
    ("data", "port"),
    [
        (QUERY, 5300),
        (bytes(40), 53),
        (b"\xc3\xff\xff\xff\xff\x08" + bytes(1194), 443),
        (STUN + b"\x00", 3478),
        (b"\x00\x01\x00\x08" + bytes(24), 6000),
        (b"\x16\x03\x01\x00\x10" + bytes(30), 443),
        (b"\x01\x0a\x00\x15" + bytes(16), 1812),
        (bytes(range(1, 17)) + b"\xff" * 16 + bytes(8), 529),
        (bytes(range(1, 17)) + b"\xff" * 12 + b"\xfe\xff\xff\xff" + bytes(8), 4000),
        (b"\x23" + bytes(20), 123),
        (b"", 443),
    ],
)
def test_not_named(data: bytes, port: int) -> None:
    assert name(data, 50000, port) == ""


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from([53, 123, 443, 4500, 50000]))
def test_rows_do_not_depend_on_each_other(rows: list[bytes], port: int) -> None:
    head = np.frombuffer(b"".join(data[:32].ljust(32, b"\0") for data in rows), dtype=np.uint8).reshape(
        -1, 32
    )
    length = np.array([len(data) for data in rows], dtype=np.int64)
    ports = np.full(len(rows), port)
    found = name_datagrams(head, length, np.full(len(rows), 50001), ports)
    assert [WORDS[number] for number in found.tolist()] == [name(data, 50001, port) for data in rows]

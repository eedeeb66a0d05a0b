from __future__ import annotations

import struct

import pytest

from forensics.decode import Decoder
from tests.decode.build import A6, B6, ROUTER, ROUTER6, A, B, batch_of, decode, ipv4, ipv6, tcp, udp


def raw(*frames):
    return decode(*frames, linktype=101)


def error(quote, kind=3, code=13):
    return ipv4(struct.pack(">BBHI", kind, code, 0, 0) + quote, 1, src=ROUTER, dst=A, ttl=250, ident=77)


def error6(quote, kind=1, code=1):
    return ipv6(struct.pack(">BBHI", kind, code, 0, 0) + quote, 58, src=ROUTER6, dst=A6, hops=63)


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_an_error_gives_the_packet_it_quotes(kind):
    quote = ipv4(tcp(b"payload", sport=5, dport=6, seq=99, flags=2), 6, ttl=1, ident=9)
    (row,), counts = raw(error(quote, kind, 4))
    names = "proto src dst sport dport flags seq icmp_type icmp_code ttl ipid payload_len payload_captured ack window"
    assert [row[name] for name in names.split()] == [6, A, B, 5, 6, 2, 99, kind, 4, 250, 77, 0, 0, 0, 0]
    assert counts.icmp_errors == 1


def test_the_sender_is_kept():
    decoder = Decoder()
    table = decoder.decode(batch_of(error(ipv4(udp(), 17)), linktype=101)).packets
    assert decoder.book.text(table["icmp_from"][0]) == ROUTER


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_icmpv6(kind):
    extended = ipv6(b"\x11\0" + bytes(6) + udp(b"q", sport=7, dport=8), 60)
    rows, _ = raw(error6(ipv6(tcp(sport=5), 6), kind), error6(extended, kind))
    assert [(r["proto"], r["src"], r["dst"], r["sport"], r["icmp_type"], r["ttl"]) for r in rows] == [
        (6, A6, B6, 5, kind, 63),
        (17, A6, B6, 7, kind, 63),
    ]


@pytest.mark.parametrize(
    ("quoted", "flags", "seq"), [(20, 2, 99), (14, 2, 99), (13, 0, 99), (8, 0, 99), (7, 0, 0), (4, 0, 0)]
)
def test_what_the_quote_cuts_off_is_0(quoted, flags, seq):
    quote = ipv4(tcp(seq=99, flags=2), 6)[: 20 + quoted]
    (row,), _ = raw(error(quote))
    assert (row["sport"], row["flags"], row["seq"]) == (40000, flags, seq)


@pytest.mark.parametrize(
    "packet",
    [
        error(ipv4(tcp(), 6), kind=0),
        error(ipv4(tcp(), 6), kind=8),
        error6(ipv6(tcp(), 6), kind=128),
        error6(ipv6(tcp(), 6), kind=135),
        error(ipv4(tcp(), 6)[:23]),
        error(ipv4(tcp(), 6)[:10]),
        error(ipv4(tcp(), 6, fragment=1)),
        error(ipv4(bytes(8), 1)),
        error(ipv6(tcp(), 6)),
        error(b""),
        ipv4(b"\3\1", 1),
        ipv4(tcp(), 58),
    ],
)
def test_icmp_that_quotes_nothing_of_use(packet):
    rows, counts = raw(packet)
    assert rows == []
    assert counts.icmp_other + counts.other_ip == 1


def test_the_first_fragment_of_a_quote_has_ports():
    (row,), _ = raw(error(ipv4(udp(), 17, fragment=0x2000)))
    assert row["dport"] == 53


def test_errors_stand_among_packets_in_frame_order():
    quote = ipv4(tcp(), 6)
    rows, _ = raw(error(quote), quote, error6(ipv6(udp(), 17)), ipv6(udp(), 17), error(quote))
    assert [(row["frame"], row["icmp_type"]) for row in rows] == [(1, 3), (2, -1), (3, 1), (4, -1), (5, 3)]

"""Checksums as scapy writes them and tshark judges them."""

from __future__ import annotations

import shutil
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from forensics.capture import open_capture
from forensics.decode import Decoder
from forensics.decode.checksums import ALL_UP_TO, EVERY
from tests.conftest import NO_SHARED, SHARED_CAPTURES
from tests.decode.build import batch_of
from tests.flows.made import ask_tshark

RAW_IP = 101


def counts(*frames, first_frame=1):
    decoder = Decoder()
    decoder.decode(batch_of(*frames, linktype=RAW_IP, first_frame=first_frame))
    return decoder.counts.checksums


def packet(kind=TCP, payload=b"hello", *, six=False, **fields):
    head = IPv6(src="2001:db8::1", dst="2001:db8::2") if six else IP(src="192.0.2.1", dst="198.51.100.7")
    return bytes(head / kind(sport=1000, dport=53, **fields) / Raw(payload))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.booleans(), st.sampled_from([TCP, UDP]))
def test_good_ones(payload, six, kind):
    found = counts(packet(kind, payload, six=six))
    assert (found.ip_checked, found.ip_bad) == (0 if six else 1, 0)
    assert (found.tcp_checked, found.udp_checked) == ((1, 0) if kind is TCP else (0, 1))
    assert (found.tcp_bad, found.udp_bad, len(found.senders)) == (0, 0, 0)


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("kind", [TCP, UDP])
def test_a_flipped_bit(kind, six):
    raw = bytearray(packet(kind, b"hello", six=six))
    raw[-1] ^= 1
    found = counts(bytes(raw), packet(kind, b"hello", six=six))
    assert (found.tcp_bad + found.udp_bad, found.tcp_checked + found.udp_checked) == (1, 2)
    assert found.tcp_offloaded + found.udp_offloaded == 0
    assert len(found.senders) == 1


def test_a_bad_ip_header():
    raw = bytearray(packet())
    raw[8] -= 1
    assert counts(bytes(raw)).ip_bad == 1


def test_left_to_the_card():
    """The sum of the pseudo-header, not complemented: what Linux writes there (skbuff.h, CHECKSUM_PARTIAL)."""
    addresses = struct.unpack(">4H", bytes([192, 0, 2, 1, 198, 51, 100, 7]))
    total = sum(addresses) + 6 + 25
    found = counts(packet(TCP, chksum=(total & 0xFFFF) + (total >> 16)))
    assert (found.tcp_bad, found.tcp_offloaded) == (1, 1)


def test_what_is_not_looked_at():
    assert counts(packet(UDP, chksum=0)).udp_checked == 0
    assert counts(packet()[:-1]).tcp_checked == 0  # not captured whole
    late = ALL_UP_TO + EVERY - ALL_UP_TO % EVERY
    assert counts(packet(), packet(), first_frame=late).tcp_checked == 1
    assert counts(packet(), first_frame=ALL_UP_TO).tcp_checked == 1


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", ["ndpi_instagram.pcap", "ndpi_signal.pcap", "ndpi_wa_voice.pcap"])
def test_as_tshark_judges(name):
    paths = sorted(SHARED_CAPTURES.glob(f"*/{name}"))
    if not paths:
        pytest.skip(NO_SHARED)
    decoder = Decoder()
    with open_capture(str(paths[0])) as reader:
        for batch in reader:
            decoder.decode(batch)
    found = decoder.counts.checksums
    for kind, bad, checked in (
        ("tcp", found.tcp_bad, found.tcp_checked),
        ("udp", found.udp_bad, found.udp_checked),
    ):
        rows = ask_tshark(
            paths[0],
            f"{kind}.checksum.status",
            where=f"{kind} and not icmp and frame.number <= {ALL_UP_TO}",
            prefs=[f"{kind}.check_checksum:TRUE", "ip.defragment:FALSE"],
        )
        said = [row[0] for row in rows]
        assert (said.count("0"), said.count("0") + said.count("1")) == (bad, checked)

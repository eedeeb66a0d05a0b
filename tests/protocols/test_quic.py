from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.errors import ProtocolError
from forensics.protocols.quic import (
    LONG,
    MAX_PACKETS,
    MAX_VERSIONS,
    OTHER,
    RESERVED,
    SHORT,
    V1,
    V2,
    CutPacketError,
    classify,
    is_google,
    is_readable,
    is_reserved,
    parse_datagram,
    parse_packet,
    read_varint,
    version_text,
)
from pcaps.generate.quic_samples import (
    CLIENT_V1,
    CLIENT_V2,
    DCID,
    RETRY_V1,
    RETRY_V2,
    SCID,
    SERVER_FRAMES,
    SERVER_V1,
    SERVER_V2,
)
from tests.protocols.quic_seal import initial, long_header, negotiation

SAMPLES = [CLIENT_V1, SERVER_V1, RETRY_V1, CLIENT_V2, SERVER_V2, RETRY_V2]


def kinds_of(*payloads: bytes, length: int | None = None) -> list[int]:
    head = np.zeros((len(payloads), 32), dtype=np.uint8)
    for row, payload in zip(head, payloads, strict=True):
        row[: len(payload[:32])] = np.frombuffer(payload[:32], dtype=np.uint8)
    lengths = np.array([length or len(payload) for payload in payloads], dtype=np.int64)
    return classify(head, lengths).tolist()


@pytest.mark.parametrize(
    ("encoded", "value"),
    # RFC 9000 A.1
    [
        ("c2197c5eff14e88c", 151288809941952652),
        ("9d7f3e7d", 494878333),
        ("7bbd", 15293),
        ("25", 37),
        ("4025", 37),
    ],
)
def test_variable_length_integers_of_rfc_9000(encoded, value):
    data = bytes.fromhex(encoded)
    assert read_varint(data, 0) == (value, len(data))
    assert read_varint(b"\xff" + data + b"\xff", 1) == (value, len(data) + 1)
    for length in range(len(data)):
        with pytest.raises(CutPacketError):
            read_varint(data[:length], 0)


@pytest.mark.parametrize(("sample", "version"), [(CLIENT_V1, V1), (CLIENT_V2, V2)])
def test_client_initial_of_the_rfcs(sample, version):
    packet = parse_packet(sample)
    assert packet.kind == "initial"
    assert packet.version == version
    assert (packet.dcid, packet.scid, packet.token) == (DCID, b"", b"")
    assert (packet.number_at, packet.end) == (18, 1200)
    assert parse_datagram(sample) == [packet]


@pytest.mark.parametrize(("sample", "version"), [(SERVER_V1, V1), (SERVER_V2, V2)])
def test_server_initial_of_the_rfcs(sample, version):
    packet = parse_packet(sample)
    assert packet.kind == "initial"
    assert packet.version == version
    assert (packet.dcid, packet.scid, packet.token) == (b"", SCID, b"")
    assert (packet.number_at, packet.end) == (18, len(sample))


@pytest.mark.parametrize(("sample", "version"), [(RETRY_V1, V1), (RETRY_V2, V2)])
def test_retry_of_the_rfcs(sample, version):
    packet = parse_packet(sample)
    assert packet.kind == "retry"
    assert packet.version == version
    assert (packet.dcid, packet.scid, packet.token) == (b"", SCID, b"token")
    assert sample[packet.number_at :] == sample[-16:]


def test_growing_prefixes_are_cut_or_say_that_their_end_is_missing():
    for sample in SAMPLES:
        whole = parse_packet(sample)
        for length in range(len(sample)):
            try:
                packet = parse_packet(sample[:length])
            except CutPacketError:
                continue
            assert packet.kind == whole.kind
            if packet.kind != "retry":  # it has no length: what is there is the packet
                assert packet[:8] == whole[:8]
                assert packet.end == whole.end > length


def test_trailing_bytes_do_not_belong_to_a_packet_with_a_length():
    for sample in (CLIENT_V1, SERVER_V1, CLIENT_V2, SERVER_V2):
        assert parse_packet(sample + b"\x40junk") == parse_packet(sample)
        # zeros after the last packet are padding of the datagram, a packet of another connection is left out
        assert parse_datagram(sample + bytes(20)) == [parse_packet(sample)]
    assert parse_datagram(SERVER_V1 + CLIENT_V1) == [parse_packet(SERVER_V1)]


def test_coalesced_packets_are_told_apart():
    datagram = SERVER_V1 + long_header(2, b"", SCID, bytes(40)) + b"\x41" + bytes(30)
    packets = parse_datagram(datagram)
    assert [packet.kind for packet in packets] == ["initial", "handshake", "short"]
    assert packets[0].end == packets[1].start == len(SERVER_V1)
    assert packets[2].end == len(datagram)


def test_the_two_versions_number_their_packets_differently():
    kinds = [parse_packet(long_header(kind, DCID, SCID, bytes(40))).kind for kind in (1, 2)]
    assert kinds == ["0rtt", "handshake"]
    kinds = [parse_packet(long_header(kind, DCID, SCID, bytes(40), version=V2)).kind for kind in (2, 3)]
    assert kinds == ["0rtt", "handshake"]


def test_no_datagram_is_told_apart_without_end():
    assert len(parse_datagram(long_header(2, DCID, SCID, b"x") * 1000)) == MAX_PACKETS


def test_version_negotiation():
    packet = parse_packet(negotiation(SCID, DCID, V1, 0xFF00001D, 0x1A2A3A4A))
    assert packet.kind == "vn"
    assert (packet.dcid, packet.scid) == (SCID, DCID)
    assert [version_text(version) for version in packet.versions] == ["1", "draft-29", "grease"]
    assert len(parse_packet(negotiation(SCID, DCID, *[V1] * 1000)).versions) == MAX_VERSIONS
    with pytest.raises(CutPacketError):
        parse_packet(negotiation(SCID, DCID))


def test_connection_ids_of_unknown_versions_may_be_longer():
    unknown = b"\xc0" + (0x12345678).to_bytes(4, "big") + bytes([40]) + bytes(40) + bytes([0])
    assert len(parse_packet(unknown).dcid) == 40
    known = b"\xc0" + (1).to_bytes(4, "big") + bytes([40]) + bytes(40) + bytes(30)
    with pytest.raises(ProtocolError, match="longer than 20"):
        parse_packet(known)


def test_names_of_versions():
    assert version_text(0x51303433) == "Q043"
    assert version_text(0xFACEB00E) == "0xfaceb00e"
    assert is_reserved(0xBABABABA)
    assert not is_reserved(V1)
    assert is_google(0x54303530)
    assert not is_google(0x51413433)
    assert is_readable(0x51303530)
    assert is_readable(0xFF000017)
    assert is_readable(0xFF000022)
    assert not is_readable(0xFF000016)
    assert not is_readable(0xFF000023)
    assert not is_readable(0xBABABABA)
    assert is_readable(0xFACEB002)
    assert not is_readable(0xFACEB001)


def test_first_bytes_tell_what_may_open_a_conversation():
    forced = b"\xc0" + (0xBABABABA).to_bytes(4, "big") + CLIENT_V1[5:]
    assert kinds_of(CLIENT_V1, SERVER_V2, forced, RETRY_V1) == [LONG, LONG, RESERVED, LONG]
    # an RTP packet, a Version Negotiation, a short forced version, STUN, a short header
    assert kinds_of(
        b"\x80\x00\x00\x00\x01" + bytes(30),
        negotiation(SCID, DCID, V1),
        forced[:100],
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
        b"\x41" + bytes(30),
    ) == [OTHER, OTHER, OTHER, SHORT, SHORT]
    # an id that is longer than the datagram
    assert kinds_of(b"\xc0\x00\x00\x00\x01\x14" + bytes(10)) == [OTHER]
    assert kinds_of(b"\xc0\xfa\xce\xb0\x02" + CLIENT_V1[5:]) == [LONG]
    assert kinds_of(b"\xc3Q046\x50" + bytes(40)) == [LONG]
    assert kinds_of(b"\xc0") == [OTHER]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 1200), st.binary(max_size=64))
def test_damage_is_one_kind_of_error(sample, keep, junk):
    data = sample[:keep] + junk
    try:
        packets = parse_datagram(data)
    except ProtocolError:
        return
    assert len(packets) <= MAX_PACKETS
    at = 0
    for packet in packets:
        assert packet.start == at
        assert packet.end > at
        at = packet.end


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_an_error(data):
    try:
        packet = parse_packet(data)
    except ProtocolError:
        return
    assert packet.end > 0
    assert kinds_of(data)[0] in {SHORT, LONG, RESERVED, OTHER}


def test_made_packets_are_those_of_the_rfc():
    # the sealing that other tests rely on makes the packet of RFC 9001 A.3, byte for byte
    made = initial(SERVER_FRAMES, key_dcid=DCID, dcid=b"", scid=SCID, client=False, number=1, size=0)
    assert made == SERVER_V1

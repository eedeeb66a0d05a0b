"""The first bytes of TCP streams: kept in any order and cut, and left to others where they are TLS or HTTP."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.observations.collector import Asked
from forensics.observations.handshakes import HandshakeCollector
from tests.flows.made import ACK, PSH, Talk, collect, flow
from tests.protocols.test_whatsapp import HELLO, NOISE, ROUTE

CHAT = ROUTE + NOISE + HELLO
PLAIN = b"\x16\x03\x01\x00\xee\x01\x00\x00\xea\x03\x03" + bytes(200)


def talk(pieces: list[tuple[int, bytes]]) -> Talk:
    made = Talk().shake()
    for place, data in pieces:
        made.c(ACK | PSH, 1 + place, 1, data=data)
    return made


def kept(made: Talk) -> HandshakeCollector:
    found = [one for one in collect(made.packets).protocols if isinstance(one, HandshakeCollector)]
    return found[0]


def test_pieces_in_any_order() -> None:
    row = flow(talk([(20, CHAT[20:]), (0, CHAT[:9]), (9, CHAT[9:20])]).packets)
    assert (row["protocol"], row["protocol_source"]) == ("whatsapp", "handshake")
    assert row["handshake_frame"] == 5
    assert row["handshake_tries"] == 1


def test_repetitions_are_tries() -> None:
    row = flow(talk([(0, CHAT)] * 20).packets)
    assert row["handshake_tries"] == 20
    assert row["handshake_frames"] == list(range(4, 20))


def test_tls_and_http_are_left_to_others() -> None:
    for begin in (PLAIN, b"GET / HTTP/1.1\r\n\r\n"):
        collector = kept(talk([(0, begin), (len(begin), b"x" * 100)]))
        assert collector.streams.opening(0) is None
        assert collector.streams.opening(1) is None
        assert not collector.streams.frames


def test_mid_flow_says_nothing() -> None:
    made = Talk()
    made.c(ACK | PSH, 500, 1, data=CHAT)
    row = flow(made.packets)
    assert row["handshake_protocol"] is None
    assert row["first_packet_bits"] is None


def test_forgotten_flows_leave_nothing() -> None:
    collector = kept(talk([(0, CHAT)]))
    assert collector.streams.frames
    collector.clear(__import__("numpy").array([0]))
    assert not collector.streams.frames
    assert collector.streams.opening(0) is None
    assert collector.streams.opening(1) is None
    assert HandshakeCollector(Asked()).tables == ()


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 120), st.integers(1, 60)), max_size=12),
    st.sets(st.integers(1, 14), max_size=6),
    st.sampled_from([CHAT, PLAIN, b"SSH-2.0-OpenSSH_9.6\r\n", bytes(range(256))]),
)
def test_no_cut_changes_anything(spans: list[tuple[int, int]], cuts: set[int], stream: bytes) -> None:
    packets = talk(
        [(begin, piece) for begin, size in spans if (piece := stream[begin : begin + size])]
    ).packets
    assert flow(packets, cuts) == flow(packets)

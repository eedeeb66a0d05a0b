from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6MLReport2, IPv6
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from tests.lab import truth
from tests.lab.middlebox import digest
from tests.lab.network import CLIENT_ADDRESSES
from tests.lab.packet import hopped
from tests.lab.truth import Capture, Frame

CLIENT, SERVER = CLIENT_ADDRESSES[0], "203.0.113.10"
LATE = 10**12


def test_tshark_tells_conversations_and_streams(tmp_path: Path, tshark: str) -> None:  # noqa: ARG001 - skipped without it
    query = IP(src=CLIENT, dst=SERVER) / UDP(sport=40_000, dport=53) / b"a query"
    answer = IP(src=SERVER, dst=CLIENT, ttl=50) / UDP(sport=53, dport=40_000) / b"an answer"
    packets = [
        IPv6(src="fe80::1", dst="ff02::16", hlim=1) / ICMPv6MLReport2(),
        query,
        answer,
        IP(src=CLIENT, dst=SERVER) / ICMP(type=3, code=3) / answer,
        IP(src=CLIENT, dst=SERVER) / TCP(sport=40_001, dport=443, flags="S"),
        IPv6(src=CLIENT_ADDRESSES[1], dst="2001:db8::7") / TCP(sport=40_002, dport=443, flags="S"),
    ]
    path = tmp_path / "six.pcap"
    wrpcap(str(path), [Ether() / packet for packet in packets])
    capture = truth.read(path)
    asked = ("udp", CLIENT, 40_000, SERVER, 53)
    assert [frame.key for frame in capture.frames] == [
        None,
        asked,
        asked,
        None,
        ("tcp", CLIENT, 40_001, SERVER, 443),
        ("tcp", CLIENT_ADDRESSES[1], 40_002, "2001:db8::7", 443),
    ]
    assert [frame.from_client for frame in capture.frames] == [False, True, False, True, True, True]
    assert capture.streams()["udp", 0] == asked
    assert capture.streams()["tcp", 1][2] == 40_002
    assert capture.frames[0].digest == ""
    assert capture.frames[1].digest == digest(bytes(query))


@pytest.mark.parametrize(
    "packet",
    [
        IP(src=CLIENT, dst=SERVER, id=7) / TCP(sport=1, dport=2, seq=3),
        IPv6(src=CLIENT_ADDRESSES[1], dst="2001:db8::7") / UDP(sport=1, dport=2) / b"x",
    ],
)
def test_a_packet_keeps_its_digest_on_the_way(packet: Any) -> None:
    data = bytes(packet)
    later = hopped(data, 13)
    assert later is not None
    assert later != data
    assert digest(later) == digest(data)


def capture(*sent: tuple[str, bool]) -> Capture:
    """Packets by name, and whether the client sent them."""
    key = ("tcp", CLIENT, 40_000, SERVER, 443)
    return Capture(
        tuple(
            Frame(number, number, from_client, name, key, 0)
            for number, (name, from_client) in enumerate(sent, 1)
        )
    )


def event(what: str, packet: str, to: str) -> dict[str, Any]:
    return {"event": what, "packet": packet, "to": to, "client": CLIENT, "server": SERVER, "time": 1}


def check(client: Capture, server: Capture, *events: dict[str, Any], stopped: int = LATE) -> list[str]:
    return truth.check({"client": client, "server": server}, events, stopped)


BOTH = capture(("syn", True), ("syn-ack", False), ("hello", True))


def test_what_arrives_as_it_was_sent_needs_no_event() -> None:
    assert check(BOTH, BOTH) == []


def test_what_was_dropped_must_not_arrive() -> None:
    beyond = capture(("syn", True), ("syn-ack", False))
    assert check(BOTH, beyond, event("dropped", "hello", "server")) == []
    assert check(BOTH, BOTH, event("dropped", "hello", "server")) == [
        "frame 3 arrived at the server and was neither sent nor forged"
    ]
    assert check(BOTH, beyond) == ["frame 3 never arrived at the server, and nobody dropped it"]


def test_what_the_middlebox_did_not_live_to_send_on_is_no_loss() -> None:
    assert check(BOTH, capture(("syn", True), ("syn-ack", False)), stopped=5) == []


def test_what_was_forged_must_arrive_and_nothing_else_may() -> None:
    seen = capture(("syn", True), ("syn-ack", False), ("hello", True), ("reset", False))
    assert check(seen, BOTH, event("forged", "reset", "client")) == []
    assert check(seen, BOTH) == ["frame 4 arrived at the client and was neither sent nor forged"]
    assert check(BOTH, BOTH, event("forged", "reset", "client"))


def test_copies_are_counted() -> None:
    twice = capture(("syn", True), ("syn", True), ("syn-ack", False), ("hello", True))
    assert check(twice, BOTH, event("lost", "syn", "server")) == []
    assert check(twice, BOTH)
    assert check(twice, BOTH, event("lost", "syn", "server"), event("lost", "syn", "server"))


def test_nobody_can_drop_what_was_not_sent() -> None:
    assert check(BOTH, BOTH, event("dropped", "other", "client")) == [
        "a packet to the client was dropped that the server never sent"
    ]

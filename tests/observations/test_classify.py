"""Which protocol a flow is said to speak: the strongest of what is known, and nothing against what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.observations.classify import classify
from forensics.protocols.known import SOURCES, WORDS

QUIET = {
    "proto": "tcp",
    "server_port": 50000,
    "bytes_to_server": 10,
    "bytes_to_client": 10,
    "start_seen": True,
}


def said(**more: Any) -> tuple[Any, Any]:
    found = classify({name: [value] for name, value in (QUIET | more).items()})
    word, source = found["protocol"][0], found["protocol_source"][0]
    assert word is None or word in WORDS
    assert source is None or source in SOURCES
    return word, source


@pytest.mark.parametrize(
    ("columns", "answer"),
    [
        ({}, (None, None)),
        (
            {"tls_client_hello": True, "told_word": "tls", "told_source": "first_bytes"},
            ("tls", "client_hello"),
        ),
        ({"tls_client_hello": True, "proto": "udp"}, ("dtls", "client_hello")),
        ({"tls_server_hello": True}, ("tls", "server_hello")),
        ({"tls_client_hello_partial": True}, ("tls", "first_bytes")),
        ({"told_word": "tls", "told_source": "first_bytes", "start_seen": False}, ("tls", "records")),
        ({"told_word": "tls", "told_source": "first_bytes"}, ("tls", "first_bytes")),
        ({"quic_client_hello": True, "proto": "udp"}, ("quic", "quic_initial")),
        ({"quic_initials_to_server": 2, "proto": "udp"}, ("quic", "quic_initial")),
        ({"quic_connections": 1, "proto": "udp"}, ("quic", "first_bytes")),
        (
            {"told_word": "whatsapp", "told_source": "handshake", "server_port": 443},
            ("whatsapp", "handshake"),
        ),
        ({"told_word": "quic", "told_source": "port", "proto": "udp"}, ("quic", "port")),
        (
            {"rtp_packets_to_client": 5, "told_word": "stun", "told_source": "first_bytes"},
            ("rtp", "behaviour"),
        ),
        ({"stun_requests": 2, "proto": "udp"}, ("stun", "messages")),
        ({"carrier": True, "proto": "udp", "server_port": 4789}, ("vxlan", "tunnel")),
        ({"carrier": True, "proto": "udp", "client_port": 3544}, ("teredo", "tunnel")),
        ({"carrier": True, "proto": "udp", "server_port": 999}, ("tunnel", "tunnel")),
    ],
)
def test_evidence(columns: dict[str, Any], answer: tuple[Any, Any]) -> None:
    assert said(**columns) == answer


def test_ports_count_only_where_nothing_was_seen() -> None:
    assert said(server_port=443) == (None, None)
    assert said(server_port=443, bytes_to_server=0, bytes_to_client=0) == ("tls", "port")
    assert said(server_port=443, start_seen=False) == ("tls", "port")
    assert said(server_port=443, start_seen=False, proto="udp") == (None, None)
    assert said(server_port=50000, start_seen=False) == (None, None)


def test_first_packets_stand_only_where_nothing_names_the_flow() -> None:
    columns = {name: [value, value] for name, value in QUIET.items()}
    found = classify({**columns, "tls_client_hello": [True, False], "first_packet_bits": [4.0, 4.0]})
    assert found["first_packet_bits"].to_list() == [None, 4.0]


def test_tor_is_only_possible() -> None:
    columns = {name: [value] * 4 for name, value in QUIET.items()}
    names = ["www.ct7ctrgb6cr7.com", "www.ct7ctrgb6cr7.com", "www.example.com", None]
    found = classify(
        {**columns, "tls_client_hello": [True] * 4, "sni": names, "alpn": [None, ["h2"], None, None]}
    )
    assert found["protocol_possible"].to_list() == ["tor", None, None, None]
    assert found["protocol"].to_list() == ["tls"] * 4


def test_no_flows() -> None:
    assert classify({name: [] for name in QUIET})["protocol"].to_list() == []

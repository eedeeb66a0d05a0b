"""Targets for the parsers of messages: what a stream or datagram of somebody else's choice holds."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dpkt

from forensics.protocols.dns import parse_message
from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls import parse_client_hello
from forensics.protocols.tls_server import parse_server_start
from tests.conftest import REPO_ROOT

CORPUS = REPO_ROOT / "pcaps"
CASES = (
    "demo-whatsapp-2017",
    "sni-reset-split-hello",
    "hostile-sni-escapes",
    "dns-race-df-differs",
    "hostile-dns-loop",
)
JUNK = b"\x17\x03\x03\x00\x02ab\x00\xff"


def check_text(value: Any) -> None:
    """Nothing that a parser hands on may steer a terminal."""
    if isinstance(value, str):
        assert value.isprintable(), ascii(value)
    elif isinstance(value, tuple | list):
        for item in value:
            check_text(item)


def answer(parse: Callable[[bytes], Any], raw: bytes) -> Any:
    """The message, None for "more is needed", or ``refused`` by the only error there is."""
    try:
        found = parse(raw)
    except ProtocolError as error:
        check_text(str(error))
        return "refused"
    for name in getattr(found, "__dataclass_fields__", ()):
        check_text(getattr(found, name))
    return found


def check_dns(raw: bytes) -> None:
    """A message means the same each time it is read."""
    assert answer(parse_message, raw) == answer(parse_message, raw)


def check_hello(raw: bytes) -> None:
    """A hello is the same, or refused, however much of the stream follows."""
    found = answer(parse_client_hello, raw)
    if found is not None:
        assert answer(parse_client_hello, raw + JUNK) == found
    for size in range(0, len(raw), 1 + len(raw) // 16):
        early = answer(parse_client_hello, raw[:size])
        assert early is None or early == found


def check_server(raw: bytes) -> None:
    """A server that has said all it will say at first is not read otherwise when more arrives."""
    found = answer(parse_server_start, raw)
    if getattr(found, "complete", False):
        assert answer(parse_server_start, raw + JUNK) == found


def payloads(path: Path, proto: int, port: int, *, from_port: bool) -> list[bytes]:
    """What was sent to or from a port, packet by packet, as dpkt reads it."""
    found = []
    with path.open("rb") as file:
        for _, raw in dpkt.pcap.Reader(file):
            packet = dpkt.ethernet.Ethernet(raw).data
            if getattr(packet, "p", None) == proto and not isinstance(packet.data, bytes):
                here = packet.data.sport if from_port else packet.data.dport
                found += [bytes(packet.data.data)] if here == port and packet.data.data else []
    return found


def seeds(proto: int, port: int, *, from_port: bool) -> Callable[[], list[bytes]]:
    """First messages of the corpus; a seed that is one byte string comes once."""

    def load() -> list[bytes]:
        found = [
            payload
            for case in CASES
            for payload in payloads(CORPUS / case / "capture.pcap", proto, port, from_port=from_port)
            if port != TLS_PORT or payload[:1] in {b"\x16", b"\x15"}
        ]
        return sorted(dict.fromkeys(found))[:200]

    return load


TLS_PORT, DNS_PORT = 443, 53
MESSAGES = {
    "message-dns": (check_dns, seeds(socket.IPPROTO_UDP, DNS_PORT, from_port=True)),
    "message-client-hello": (check_hello, seeds(socket.IPPROTO_TCP, TLS_PORT, from_port=False)),
    "message-server-hello": (check_server, seeds(socket.IPPROTO_TCP, TLS_PORT, from_port=True)),
}
"""Name → how to run bytes, valid inputs."""

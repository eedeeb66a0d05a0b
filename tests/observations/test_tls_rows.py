"""The tls table and the TLS columns of flows, however the stream reaches the capture."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from forensics.decode import AddressBook
from forensics.observations.collect import Collectors
from forensics.observations.collector import Asked
from forensics.observations.dictionary import TLS
from forensics.protocols.tls_server import RETRY_RANDOM
from pcaps.generate.tls import alert, client_hello, record, server_flight
from tests.flows.made import ACK, PSH, Talk, ask_tshark, frames, table, write_pcap

RNG = random.Random(7)  # noqa: S311 - reproducible bytes
HELLO = client_hello(RNG, b"Example.ORG")
ANSWER = server_flight(RNG, 500)
FINGERPRINTS = frozenset({"ja3", "ja4", "ja3s", "tls_ech"})
ALL = Asked(frozenset({"tls"}), FINGERPRINTS)


def server_hello(legacy=0x0303, cipher=0xC02F, random=bytes(32), extensions=b""):
    body = struct.pack("!H", legacy) + random + b"\0" + struct.pack("!HB", cipher, 0)
    if extensions:
        body += struct.pack("!H", len(extensions)) + extensions
    return record(22, b"\x02" + len(body).to_bytes(3, "big") + body)


def collected(packets, cuts=(), asked=ALL):
    book = AddressBook()
    collectors = Collectors(book, asked=asked)
    begin = 0
    for end in [*sorted(set(cuts)), len(packets)]:
        collectors.add(table(packets[begin:end], book, begin + 1))
        begin = end
    return frames(collectors)


def both(packets, asked=ALL):
    """The row of the tls table and of the flow table, the same wherever batches are cut."""
    whole = collected(packets, asked=asked)
    for cuts in (range(len(packets)), [len(packets) // 2]):
        parts = collected(packets, cuts, asked)
        assert parts["tls"].equals(whole["tls"])
        assert parts["flow"].equals(whole["flow"])
    (of_flow,) = whole["flow"].to_dicts()
    rows = whole["tls"].to_dicts()
    assert len(rows) <= 1
    return (rows or [None])[0], of_flow


def exchange(answer=ANSWER, hello=HELLO, cut=None):
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=hello)
    if cut:
        talk.s(ACK | PSH, 1, 1 + len(hello), data=answer[:cut])
        talk.s(ACK | PSH, 1 + cut, 1 + len(hello), data=answer[cut:])
    else:
        talk.s(ACK | PSH, 1, 1 + len(hello), data=answer)
    return talk


@pytest.mark.parametrize("cut", [None, 3, 17, 60, 77, 90])
def test_a_connection(cut):
    row, of_flow = both(exchange(cut=cut).packets)
    assert set(row) == set(TLS.schema().names())
    assert (row["proto"], row["server_port"], row["flow"], row["first_frame"]) == ("tcp", 443, 0, 4)
    assert row["client_hello"]
    assert not row["client_hello_partial"]
    assert (row["client_hello_frame"], row["client_hello_frames"], row["server_hello_frame"]) == (4, [4], 5)
    assert (row["sni"], row["alpn"], row["versions"]) == ("example.org", ["h2", "http/1.1"], ["1.3", "1.2"])
    assert row["client_hello_bytes"] == len(HELLO)
    assert row["legacy_version"] == 0x0303
    assert (row["version"], row["cipher"], row["server_group"]) == ("1.3", 0x1301, 0x1D)
    assert row["server_extensions"] == [51, 43]
    assert row["hello_retry"] is False
    assert not row["established"]
    assert len(row["ja3"]) == len(row["ja3s"]) == 32
    assert row["ja4"].startswith("t13d")
    for name in ("ja3", "ja4", "ja3s"):
        assert of_flow[name] == row[name]
    assert (of_flow["tls_version"], of_flow["tls_cipher"], of_flow["tls_hello_retry"]) == (
        "1.3",
        0x1301,
        False,
    )
    assert of_flow["tls_esni"] is False
    assert of_flow["content_conflict"] is False
    assert of_flow["content_conflict_to_client_frames"] is None


@pytest.mark.parametrize("cut", [None, 3, 17, 60, 77, 90])
def test_what_nobody_asks_for_changes_nothing_else(cut):
    packets = exchange(cut=cut).packets
    asked = collected(packets)["flow"]
    unasked = collected(packets, asked=Asked())["flow"]
    assert unasked.select(FINGERPRINTS).null_count().row(0) == (1,) * len(FINGERPRINTS)
    assert asked.drop(FINGERPRINTS).equals(unasked.drop(FINGERPRINTS))


def test_an_older_version_and_its_choice_of_protocol():
    alpn = struct.pack("!HHH", 16, 5, 3) + b"\x02h2"
    row, of_flow = both(exchange(server_hello(extensions=alpn)).packets)
    assert (row["version"], row["cipher"], row["server_alpn"]) == ("1.2", 0xC02F, "h2")
    assert row["server_extensions"] == [16]
    assert (of_flow["tls_version"], of_flow["tls_cipher"]) == ("1.2", 0xC02F)


def test_a_hello_retry_request():
    row, of_flow = both(exchange(server_hello(cipher=0x1302, random=RETRY_RANDOM)).packets)
    assert row["hello_retry"]
    assert of_flow["tls_hello_retry"]
    assert row["version"] == "1.3"


def test_an_alert_instead_of_a_hello():
    row, of_flow = both(exchange(alert(40)).packets)
    assert not row["server_hello"]
    assert row["version"] is None
    assert (row["alert_to_client_frame"], row["alert_to_client"]) == (5, "handshake_failure")
    assert row["alert_to_client_level"] == "fatal"
    assert row["alert_to_server"] is None
    assert (of_flow["tls_alert_to_client"], of_flow["tls_alert_to_server"]) == ("handshake_failure", None)


def test_alerts_that_are_encrypted():
    talk = exchange()
    talk.c(ACK | PSH, 1 + len(HELLO), 1 + len(ANSWER), data=record(21, bytes(18)))
    row, of_flow = both(talk.packets)
    assert (row["alert_to_server_frame"], row["alert_to_server"], row["alert_to_server_level"]) == (
        6,
        "encrypted",
        None,
    )
    assert of_flow["tls_alert_to_server"] == "encrypted"


def test_what_is_no_tls_has_no_row():
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=b"GET / HTTP/1.1\r\n\r\n")
    talk.s(ACK | PSH, 1, 19, data=alert(40))
    row, of_flow = both(talk.packets)
    assert row is None
    assert of_flow["tls_alert_to_client"] is None
    assert of_flow["tls_esni"] is None


def test_a_hello_that_is_not_whole():
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO[:100])
    row, _ = both(talk.packets)
    assert (row["client_hello"], row["client_hello_partial"], row["first_frame"]) == (False, True, 4)
    assert row["sni"] is None
    assert row["ja3"] is None


def test_a_server_hello_alone():
    talk = Talk().shake()
    talk.s(ACK | PSH, 1, 1, data=ANSWER)
    row, _ = both(talk.packets)
    assert (row["client_hello"], row["server_hello"], row["first_frame"]) == (False, True, 4)
    assert row["ja3s"]


@pytest.mark.parametrize("kept", [30, 50, 77, 78, 100])
def test_a_capture_that_cuts_packets_short(kept):
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO)
    talk.s(ACK | PSH, 1, 1 + len(HELLO), data=ANSWER[:kept], size=len(ANSWER))
    row, of_flow = both(talk.packets)
    assert row["server_hello"]
    assert row["version"] == of_flow["tls_version"] == ("1.3" if kept >= 78 else None)
    assert row["hello_retry"] is (False if kept >= 78 else None)
    assert row["server_extensions"] is None
    assert row["ja3s"] is None


def test_esni_and_ech():
    def hello(*extensions):
        block = b"".join(struct.pack("!HH", kind, len(body)) + body for kind, body in extensions)
        body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
        body += struct.pack("!H", len(block)) + block
        return record(22, b"\x01" + len(body).to_bytes(3, "big") + body)

    name = b"\0\x0e\0\0\x0bexample.org"
    versions = b"\x02\x03\x04"
    ech = struct.pack("!BHHBH", 0, 1, 1, 77, 32) + bytes(32) + struct.pack("!H", 200) + bytes(200)
    row, of_flow = both(exchange(hello=hello((0, name), (43, versions), (0xFE0D, ech))).packets)
    assert (row["ech"], row["ech_config_id"], row["ech_payload_bytes"]) == ("outer", 77, 200)
    assert of_flow["tls_ech"] == "outer"
    packets = exchange(hello=hello((0, name), (43, versions), (0xFE0D, ech))).packets
    alone = collected(packets, asked=Asked(columns=frozenset({"tls_ech"})))
    assert alone["flow"]["tls_ech"].to_list() == ["outer"]
    assert "tls" not in alone
    assert not row["esni"]
    row, of_flow = both(exchange(hello=hello((0xFFCE, b"x"), (41, b""), (42, b""))).packets)
    assert row["esni"]
    assert of_flow["tls_esni"]
    assert row["pre_shared_key"]
    assert row["early_data"]
    assert row["ech"] is None


def test_two_answers_that_differ():
    """The first bytes of the answer come twice, once forged."""
    talk = exchange()
    for _ in range(10):
        talk.s(ACK | PSH, 1, 1 + len(HELLO), data=alert(40))
    _, of_flow = both(talk.packets)
    assert of_flow["content_conflict"]
    assert of_flow["content_conflict_to_client_frames"] == list(range(6, 14))
    assert of_flow["content_conflict_to_server_frames"] is None


def test_a_hello_that_comes_again_with_other_bytes():
    other = HELLO.replace(b"Example.ORG", b"decoy12.org")
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO[:300])
    talk.c(ACK | PSH, 1, 1, data=other[:300])
    talk.c(ACK | PSH, 301, 1, data=HELLO[300:])
    talk.c(ACK | PSH, 1, 1, data=b"GET /")
    _, of_flow = both(talk.packets)
    assert of_flow["content_conflict_to_server_frames"] == [5, 7]


def test_repetitions_are_no_conflict():
    """The same bytes cut otherwise, a keep-alive of one byte, and a packet that the capture cut."""
    talk = exchange()
    talk.c(ACK | PSH, 1, 1, data=HELLO[:10])
    talk.c(ACK | PSH, 1, 1, data=HELLO)
    talk.c(ACK, 1, 1, data=b"\0")
    talk.s(ACK | PSH, 1, 1 + len(HELLO), data=ANSWER[:4], size=len(ANSWER))
    _, of_flow = both(talk.packets)
    assert not of_flow["content_conflict"]


def test_a_keep_alive_within_an_unfinished_hello_is_no_conflict():
    """RFC 1122 4.2.3.6: one byte of garbage, just below what comes next."""
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO[:100])
    talk.c(ACK, 100, 1, data=bytes([HELLO[99] ^ 0xFF]))
    talk.c(ACK | PSH, 101, 1, data=HELLO[100:])
    row, of_flow = both(talk.packets)
    assert row["client_hello"]
    assert not of_flow["content_conflict"]


def test_flows_that_end_give_their_numbers_back():
    """What one connection said is not told of the next with its number."""
    talk = exchange(alert(40))
    talk.s(ACK | PSH, 1, 1 + len(HELLO), data=b"something else")
    book = AddressBook()
    collectors = Collectors(book, asked=ALL)
    collectors.add(table(talk.packets, book, 1))
    tls = collectors.tls
    assert tls.first.conflicts
    tls.clear(np.array([0]))
    assert not tls.first.conflicts
    assert not tls.servers
    assert not tls.hellos
    assert (tls.sides["alert_code"][:2] == -1).all()


@pytest.mark.usefixtures("tshark")
def test_fingerprints_equal_those_of_tshark(tmp_path):
    packets = []
    for i in range(8):
        talk = Talk(client=("10.1.0.1", 2000 + i), ms=i * 1000).shake()
        hello = client_hello(RNG, b"host%d.example" % i, post_quantum=i % 2 == 0)
        answer = server_flight(RNG, 300) if i % 3 else server_hello()
        talk.c(ACK | PSH, 1, 1, data=hello)
        talk.s(ACK | PSH, 1, 1 + len(hello), data=answer)
        packets += talk.packets
    path = write_pcap(tmp_path / "x.pcap", packets)
    rows = ask_tshark(path, "tcp.stream", "tls.handshake.ja3", where="tls.handshake.type==1")
    servers = ask_tshark(path, "tcp.stream", "tls.handshake.ja3s", where="tls.handshake.type==2")
    ours = collected(packets)["tls"]
    assert [(str(a), b) for a, b in ours.select("stream", "ja3").rows()] == [tuple(row) for row in rows]
    assert [(str(a), b) for a, b in ours.select("stream", "ja3s").rows()] == [tuple(row) for row in servers]

"""ClientHellos, ServerHellos, alerts and first bytes, however the stream reaches the capture."""

from __future__ import annotations

import itertools
import random

import polars as pl
import pytest

from forensics.observations import tls
from pcaps.generate.tls import client_hello, data, record, server_flight
from tests.flows.made import (
    ACK,
    CLIENT,
    FIN,
    PSH,
    RST,
    SERVER,
    SYN,
    Pkt,
    Talk,
    ask_tshark,
    collect,
    flow,
    frames,
    read,
    tables,
    write_pcap,
)

RNG = random.Random(2)  # noqa: S311 - reproducible bytes
HELLO = client_hello(RNG, b"Example.ORG")
LARGE = client_hello(RNG, b"large.example", post_quantum=True)
ANSWER = server_flight(RNG, 500)
ALERT = record(21, b"\x02\x28")
WARNING = record(21, b"\x01\x70")
END = 1 + len(HELLO)


def pieces(stream, *cuts):
    """(offset, bytes) of a stream cut at the offsets given."""
    edges = [0, *cuts, len(stream)]
    return [(a, stream[a:b]) for a, b in itertools.pairwise(edges)]


def every_cut(packets):
    """The only flow, which must be the same in one batch, packet by packet, and cut in the middle."""
    row = flow(packets)
    for cuts in (range(len(packets)), [len(packets) // 2]):
        assert flow(packets, cuts) == row
    return row


def told(segments, *, shake=True, answer=True):
    """A client that sends these (offset, bytes) after its handshake, and a server that answers."""
    talk = Talk()
    if shake:
        talk.shake()
    for offset, payload in segments:
        talk.c(ACK | PSH, 1 + offset, 1, data=payload)
    if answer:
        talk.s(ACK | PSH, 1, END, data=ANSWER)
    return talk.packets


def test_a_hello_in_one_segment():
    row = every_cut(told([(0, HELLO)]))
    assert row["tls_client_hello"]
    assert not row["tls_client_hello_partial"]
    assert row["tls_client_hello_frame"] == 4
    assert row["tls_client_hello_frames"] == [4]
    assert row["tls_hello_bytes"] == len(HELLO)
    assert (row["tls_hello_segments"], row["tls_hello_records"]) == (1, 1)
    assert row["sni"] == "example.org"
    assert row["alpn"] == ["h2", "http/1.1"]
    assert row["tls_versions"] == ["1.3", "1.2"]
    assert row["tls_server_hello_frame"] == 5
    assert row["client_first_bytes"] == HELLO[:16].hex()
    assert row["server_first_bytes"] == ANSWER[:16].hex()
    assert row["hello_acked_bytes"] == len(HELLO)
    assert (row["to_client_packets_after_hello"], row["to_client_bytes_after_hello"]) == (1, len(ANSWER))


@pytest.mark.parametrize(
    ("order", "completing"),
    [
        ([0, 1, 2], 6),
        ([2, 1, 0], 6),
        ([1, 0, 2], 6),
        ([1, 2, 0], 6),
        ([0, 1, 1, 0, 2], 8),
        ([0, 0, 2, 2, 1], 8),
    ],
)
def test_a_hello_in_any_order_of_segments(order, completing):
    cut = pieces(LARGE, 600, 1200)
    row = every_cut(told([cut[i] for i in order], answer=False))
    assert row["tls_client_hello_frame"] == completing
    firsts = sorted({3 + 1 + order.index(i) for i in range(3)})
    assert row["tls_client_hello_frames"] == firsts
    assert row["tls_hello_segments"] == 3
    assert row["sni"] == "large.example"


def test_a_hello_in_tiny_segments_and_two_records():
    body = HELLO[5:]
    stream = record(22, body[:40]) + record(22, body[40:])
    row = every_cut(told(pieces(stream, 1, 2, 3, 5, 6, 50), answer=False))
    assert row["sni"] == "example.org"
    assert row["tls_hello_records"] == 2
    assert row["tls_hello_segments"] == 7
    assert row["tls_hello_bytes"] == len(stream)


def test_a_retransmitted_hello_counts_as_such():
    talk = Talk(gap=200).shake()
    for _ in range(3):
        talk.c(ACK | PSH, 1, 1, data=HELLO)
    row = every_cut(talk.packets)
    assert row["tls_client_hello_frames"] == [4]
    assert row["hello_retransmissions"] == 2
    assert row["hello_retransmission_frames"] == [5, 6]
    assert not row["tls_server_hello"]
    assert row["hello_acked_bytes"] == 0


def test_a_hello_in_the_syn():
    talk = Talk()
    talk.c(SYN, 0, data=HELLO)  # RFC 7413: the first byte of data is number 1
    talk.s(SYN | ACK, 0, END)
    row = every_cut(talk.packets)
    assert row["sni"] == "example.org"
    assert row["tls_client_hello_frame"] == 1
    assert row["client_first_bytes"] == HELLO[:16].hex()


def test_a_capture_that_starts_after_the_handshake():
    row = every_cut(told(pieces(LARGE, 700), shake=False))
    assert row["sni"] == "large.example"
    assert not row["start_seen"]


def test_the_middle_of_a_stream_is_no_hello():
    talk = Talk()
    talk.c(ACK | PSH, 9001, 7001, data=data(RNG, 300))
    talk.s(ACK | PSH, 7001, 9306, data=data(RNG, 300))
    row = every_cut(talk.packets)
    assert not row["tls_client_hello"]
    assert not row["tls_client_hello_partial"]
    assert not row["tls_server_hello"]


def test_a_hello_that_is_not_whole_is_partial():
    row = every_cut(told(pieces(LARGE, 600, 1200)[:2], answer=False))
    assert row["tls_client_hello_partial"]
    assert not row["tls_client_hello"]
    assert row["sni"] is None


def test_a_server_hello_in_small_pieces_is_no_partial_client_hello():
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=b"STARTTLS-like banner\r\n")
    for offset, payload in pieces(ANSWER, 4, 9):
        talk.s(ACK | PSH, 1 + offset, 23, data=payload)
    row = every_cut(talk.packets)
    assert not row["tls_client_hello_partial"]
    assert row["tls_server_hello_frame"] == 5


def test_the_bytes_that_came_first_are_kept():
    """Ptacek and Newsham 1998: which of two overlapping segments counts is the receiver's secret."""
    name = HELLO.index(b"Example.ORG")
    other = HELLO.replace(b"Example.ORG", b"decoy12.org")
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO[: name + 3])
    talk.c(ACK | PSH, 1, 1, data=other[: name + 50])
    talk.c(ACK | PSH, 1 + name, 1, data=HELLO[name:])
    for cuts in ((), range(6)):
        assert collect(talk.packets, cuts).tls.first.conflicts == {int(CLIENT[0] > SERVER[0]): [5, 6]}
    row = every_cut(talk.packets)
    assert row["sni"] == "exaoy12.org"
    assert row["tls_client_hello_frames"] == [4, 5, 6]


def test_the_server_may_be_captured_first():
    talk = Talk()
    talk.s(ACK | PSH, 1, END, data=ANSWER)
    talk.c(ACK | PSH, 1, 1, data=HELLO)
    row = every_cut(talk.packets)
    assert (row["client"], row["server"]) == (CLIENT[0], SERVER[0])
    assert row["tls_server_hello_frame"] == 1
    assert row["tls_client_hello_frame"] == 2
    assert row["to_client_packets_after_hello"] == 0


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("cut", [None, 300])
def test_of_two_hellos_the_one_that_was_whole_first_counts(swap, cut):
    """Both ends say ClientHello, which no TLS does: where batches are cut must not decide."""
    talk = Talk(client=SERVER, server=CLIENT) if swap else Talk()
    talk.c(ACK | PSH, 1, 1, data=LARGE[:cut])
    if cut:
        talk.c(ACK | PSH, 1 + cut, 1, data=LARGE[cut:])
    talk.s(ACK | PSH, 1, 1, data=HELLO)
    row = every_cut(talk.packets)
    assert row["sni"] == "large.example"


def test_alerts_and_application_data():
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO)
    talk.s(ACK | PSH, 1, END, data=ANSWER)
    begin = 1 + len(ANSWER)
    talk.c(ACK | PSH, END, begin, data=data(RNG, 40))
    talk.s(ACK | PSH, begin, END, data=data(RNG, 40))
    talk.s(ACK | PSH, begin + 45, END, data=ALERT)
    talk.c(ACK | PSH, END + 45, begin, data=record(21, bytes(18)))
    talk.c(ACK | PSH, END + 68, begin, data=record(21, bytes(18)))
    row = every_cut(talk.packets)
    assert row["tls_alert_to_client_frame"] == 8
    assert row["tls_alert_to_server_frame"] == 9
    assert row["tls_established"]


def test_what_is_no_tls_has_no_alert():
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=b"GET / HTTP/1.1\r\n\r\n")
    talk.s(ACK | PSH, 1, 19, data=ALERT)
    row = every_cut(talk.packets)
    assert row["tls_alert_to_client_frame"] is None
    assert not row["tls_established"]


def test_a_warning_before_the_server_hello():
    """RFC 6066 section 3: unrecognized_name may come as a warning."""
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO)
    talk.s(ACK | PSH, 1, END, data=WARNING)
    talk.s(ACK | PSH, 8, END, data=ANSWER)
    row = every_cut(talk.packets)
    assert row["tls_alert_to_client_frame"] == 5
    assert row["tls_server_hello_frame"] == 6


def test_a_warning_in_the_segment_of_the_server_hello():
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=HELLO)
    talk.s(ACK | PSH, 1, END, data=WARNING[:4])
    talk.s(ACK | PSH, 5, END, data=WARNING[4:] + WARNING + ANSWER)
    assert every_cut(talk.packets)["tls_server_hello_frame"] == 6


def test_data_in_a_reset_is_no_stream():
    talk = Talk().shake()
    talk.c(RST | ACK, 1, 1, data=HELLO)
    row = every_cut(talk.packets)
    assert not row["tls_client_hello"]
    assert row["client_first_bytes"] is None


def test_first_bytes_may_be_few():
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, data=b"AB")
    talk.c(ACK | PSH, 3, 1, data=b"CDE")
    talk.c(FIN | ACK, 6, 1)
    row = every_cut(talk.packets)
    assert row["client_first_bytes"] == b"ABCDE".hex()
    assert row["server_first_bytes"] is None


def test_a_flood_of_unfinished_hellos_stays_bounded(monkeypatch):
    monkeypatch.setattr(tls, "_PENDING_BYTES", 5000)
    packets = []
    for i in range(60):
        src = ("10.0.0.9", 1000 + i)
        packets += [
            Pkt(src, SERVER, SYN, 0),
            Pkt(src, SERVER, ACK, 1, 1, LARGE[:90]),
            Pkt(src, SERVER, ACK, 91, 1, LARGE[90:390]),
        ]
    rows = None
    for cuts in ((), range(len(packets)), [7, 50]):
        collectors = collect(packets, cuts)
        assert collectors.tls.held <= 5000
        assert len(collectors.tls.waiting) <= 13
        found = frames(collectors)["flow"]["tls_client_hello_partial"].to_list()
        assert rows in (None, found)
        rows = found


def test_endless_repetition_of_a_beginning_stays_bounded():
    talk = Talk(gap=1).shake()
    for _ in range(2000):
        talk.c(ACK | PSH, 1, 1, data=LARGE[:600])
    for cuts in ((), [500, 1000, 1999]):
        collectors = collect(talk.packets, cuts)
        assert collectors.tls.held < 100_000
        assert sum(len(one.times) for one in collectors.tls.waiting.values()) < 1000


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("seed", range(6))
def test_completing_frames_equal_those_of_tshark(seed, tmp_path):
    rng = random.Random(seed)  # noqa: S311 - reproducible packets
    packets = []
    for i in range(12):
        talk = Talk(client=("10.1.0.1", 2000 + i), isn=rng.choice([50, 2**32 - 300]), ms=i * 1000).shake()
        hello = client_hello(rng, b"host%d.example" % i, post_quantum=rng.random() < 0.5)
        cut = pieces(hello, *sorted(rng.sample(range(1, len(hello)), rng.randrange(5))))
        if rng.random() < 0.3:
            cut.insert(rng.randrange(len(cut)) + 1, cut[0])
        if rng.random() < 0.3:
            cut.reverse()
        for offset, payload in cut:
            talk.c(ACK | PSH, 1 + offset, 1, data=payload)
        talk.s(ACK | PSH, 1, 1 + len(hello), data=ANSWER)
        packets += talk.packets
    path = write_pcap(tmp_path / "x.pcap", packets)
    rows = ask_tshark(
        path, "tcp.stream", "frame.number", "tls.handshake.extensions_server_name",
        where="tls.handshake.type==1", prefs=["tcp.reassemble_out_of_order:TRUE"],
    )  # fmt: skip
    truth = {(int(stream), int(frame), name) for stream, frame, name in rows}
    columns = ["stream", "tls_client_hello_frame", "sni"]
    assert set(tables(packets)["flow"].select(columns).rows()) == truth


@pytest.mark.usefixtures("tshark")
def test_real_hellos_complete_where_tshark_completes_them(shared_captures):
    differing = {}
    for path in sorted((shared_captures / "tls").iterdir()):
        rows = ask_tshark(
            path, "tcp.stream", "frame.number", where="tls.handshake.type==1 && tcp",
            prefs=["tcp.reassemble_out_of_order:TRUE"],
        )  # fmt: skip
        truth = {}
        for stream, frame in rows:
            truth.setdefault(int(stream), int(frame))
        flows = frames(read(path))["flow"].filter(pl.col("tls_client_hello"), proto="tcp")
        ours = dict(flows.select("stream", "tls_client_hello_frame").rows())
        if ours != truth:
            differing[path.name] = (truth.items() - ours.items(), ours.items() - truth.items())
    assert differing == {}

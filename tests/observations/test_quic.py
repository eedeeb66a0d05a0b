"""The quic table and what QUIC says of flows, however the capture is cut into batches."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture import open_capture
from forensics.decode import AddressBook, Decoder
from forensics.flows.ending import Limits
from forensics.observations import collect, quic
from forensics.observations.collect import Collectors
from forensics.observations.collector import Asked
from forensics.observations.dictionary import QUIC
from forensics.observations.quic import MOST_LOOKED, QuicCollector
from forensics.observations.table import fact_table
from pcaps.generate.quic_samples import CLIENT_V1, DCID, SCID, SERVER_FRAMES, SERVER_V1
from pcaps.generate.tls import client_hello
from tests.conftest import SHARED_CAPTURES
from tests.flows.made import CLIENT, MS, SERVER, START, Pkt, table
from tests.protocols.quic_seal import crypto, initial, long_header, negotiation, retry
from tests.protocols.test_quic_google import CHLO, public, stream_frame

ALL = Asked(frozenset({"quic"}), frozenset({"ja4"}))
LARGE = client_hello(random.Random(5), b"large.example", post_quantum=True)[5:]  # noqa: S311 - bytes of a test
SHORT = b"\x41" + bytes(40)


@pytest.fixture(autouse=True)
def _only_quic(monkeypatch):
    monkeypatch.setattr(collect, "PROTOCOLS", (QuicCollector,))


def to_server(data, ms, client=CLIENT, **more):
    return Pkt(client, SERVER, data=data, ms=ms, proto=17, **more)


def to_client(data, ms, client=CLIENT, **more):
    return Pkt(SERVER, client, data=data, ms=ms, proto=17, **more)


def tables(packets, cuts=(), asked=ALL, limits=None):
    book = AddressBook()
    collectors = Collectors(book, asked=asked, limits=limits or Limits())
    begin = 0
    for end in [*sorted(set(cuts)), len(packets)]:
        collectors.add(table(packets[begin:end], book, begin + 1))
        begin = end
    return {name: fact_table(name, rows).frame() for name, rows in collectors.finish().items()}


def every_cut(packets):
    """Rows of the quic table and of the flow table, which no cut may change."""
    whole = tables(packets)
    for cuts in (range(len(packets)), [len(packets) // 2], range(0, len(packets), 3)):
        part = tables(packets, cuts)
        for name in ("quic", "flow"):
            assert part[name].equals(whole[name])
    return whole["quic"].to_dicts(), whole["flow"].to_dicts()


def one_row(packets):
    rows, flows = every_cut(packets)
    assert len(rows) == len(flows) == 1
    return rows[0], flows[0]


def answered():
    """A connection that comes to data both ways."""
    return [
        to_server(CLIENT_V1, 0),
        to_client(SERVER_V1 + long_header(2, b"", SCID, bytes(300)), 20),
        to_server(long_header(2, SCID, b"", bytes(50)) + SHORT, 25),
        to_client(SHORT, 45),
        to_server(SHORT * 2, 60),
        to_client(SHORT, 90),
    ]


def test_a_connection_that_works():
    row, flow = one_row(answered())
    assert (row["proto"], row["stream"], row["client_port"], row["server_port"]) == ("udp", 0, 40000, 443)
    assert (row["version"], row["sni"], row["alpn"]) == ("1", "example.com", ["alpn"])
    assert row["ja4"].startswith("q13d0211an_")
    assert (row["dcid"], row["scid"], row["server_cid"]) == (DCID.hex(), "", SCID.hex())
    assert (row["first_frame"], row["first_time"]) == (1, START)
    assert row["server_reply"] == ["handshake", "initial", "short"]
    assert (row["packets_to_server"], row["packets_to_client"]) == (3, 3)
    assert row["bytes_to_server"] == 1200 + len(long_header(2, SCID, b"", bytes(50)) + SHORT) + 82
    assert (row["short_to_server"], row["short_to_client"]) == (1, 2)
    assert (row["packets_to_client_after_hello"], row["packets_to_server_after_hello"]) == (3, 2)
    assert row["reply_ms"] == 20.0
    assert row["established"]
    assert (row["last_to_server_frame"], row["last_to_server_time"]) == (5, START + 60 * MS)
    assert (row["unanswered_to_server"], row["unanswered_to_client"]) == (0, 1)
    assert (row["to_client_silent_ms"], row["to_server_silent_ms"]) == (0.0, 30.0)
    assert (flow["sni"], flow["alpn"]) == ("example.com", ["alpn"])
    assert (flow["quic_connections"], flow["quic_version"], flow["quic_established"]) == (1, "1", True)
    assert flow["quic_client_hello_frames"] == [1]
    assert flow["quic_server_hello_frame"] == 2


def test_a_client_that_nobody_answers():
    packets = [to_server(initial(b"\x01", key_dcid=DCID, number=n), 1000 * n) for n in range(1, 4)]
    row, flow = one_row([to_server(CLIENT_V1, 0), *packets])
    assert flow["quic_initials_to_server"] == 4
    assert flow["quic_initial_tries"] == 4
    assert flow["quic_initial_span_ms"] == 3000.0
    assert flow["quic_server_reply"] == []
    assert flow["quic_packets_to_client"] == 0
    assert flow["quic_unanswered_to_server"] == 4
    assert flow["quic_to_client_silent_ms"] == 3000.0
    assert row["first_to_client_frame"] is None
    assert row["initials_retransmitted"] == 0


def test_a_large_hello_in_several_initials_out_of_order():
    cut = 900
    first = initial(crypto(0, LARGE[:cut]), key_dcid=DCID)
    second = initial(crypto(cut, LARGE[cut:]), key_dcid=DCID, number=1)
    row, flow = one_row(
        [to_server(second, 0), to_server(first, 1), to_server(second, 1000), to_client(SHORT, 1010)]
    )
    assert row["client_hello_frames"] == flow["quic_client_hello_frames"] == [1, 2]
    assert row["sni"] == "large.example"
    assert row["client_hello_bytes"] == len(LARGE)
    assert row["initials_retransmitted"] == 1
    assert (row["packets_to_client_after_hello"], row["reply_ms"]) == (1, 1009.0)


def test_the_answer_before_the_question_in_the_capture(monkeypatch):
    collector = QuicCollector(ALL)
    monkeypatch.setattr(collect, "PROTOCOLS", (lambda _: collector,))
    tables([to_client(SERVER_V1, 1), to_server(CLIENT_V1, 0)])
    # SERVER has the greater address: the client is side 0
    assert collector.client_sides(np.array([0])).tolist() == [0]
    monkeypatch.setattr(collect, "PROTOCOLS", (QuicCollector,))
    row, _ = one_row([to_client(SERVER_V1, 1), to_server(CLIENT_V1, 0)])
    assert row["server_hello_frame"] == 1
    assert row["sni"] == "example.com"
    assert row["packets_to_client_after_hello"] == 0


def test_two_connections_of_one_conversation():
    other = client_hello(random.Random(6), b"other.example")[5:]  # noqa: S311 - bytes of a test
    packets = [
        *answered(),
        to_server(initial(crypto(0, other), key_dcid=SCID[::-1]), 5000),
        to_client(initial(SERVER_FRAMES, key_dcid=SCID[::-1], dcid=b"", client=False, size=0), 5010),
        to_client(SHORT, 5020),
    ]
    rows, flows = every_cut(packets)
    assert [row["connection"] for row in rows] == [0, 1]
    assert [row["sni"] for row in rows] == ["example.com", "other.example"]
    assert [row["packets_to_client"] for row in rows] == [3, 2]
    assert [row["first_frame"] for row in rows] == [1, 7]
    assert [row["to_client_silent_ms"] for row in rows] == [0.0, 0.0]
    assert flows[0]["quic_connections"] == 2
    assert flows[0]["sni"] == "example.com"


def test_several_clients_at_once_and_other_traffic():
    packets = []
    for place in range(6):
        client = ("192.0.2.1", 40001 + place)
        hello = client_hello(random.Random(place), f"host{place}.example".encode())[5:]  # noqa: S311 - as above
        dcid = bytes([place]) * 8
        packets += [
            (place, to_server(b"\x00\x01" + bytes(18), place, client)),  # a STUN request on the same port
            (10 + place, to_server(initial(crypto(0, hello), key_dcid=dcid), 10 + place, client)),
            (30 - place, to_client(long_header(2, b"", b"", bytes(50)), 30 - place, client)),
            (40 + place, to_client(SHORT, 40 + place, client)),
        ]
    packets += [(5, Pkt(("192.0.2.9", 5000), ("192.0.2.8", 5002), data=b"\x80\x60" + bytes(170), proto=17))]
    told = [packet for _, packet in sorted(packets, key=lambda item: item[0])]
    rows, flows = every_cut(told)
    assert [row["sni"] for row in rows] == [f"host{place}.example" for place in range(6)]
    assert {row["packets_to_server"] for row in rows} == {1}
    assert {row["packets_to_client"] for row in rows} == {2}
    assert sum(flow["quic_connections"] is None for flow in flows) == 1


def test_google():
    packets = [
        to_server(public(b"Q043", stream_frame(CHLO)), 0),
        to_client(b"\x08" + DCID + b"\x01" + bytes(40), 20),
        to_server(b"\x08" + DCID + b"\x02" + bytes(40), 30),
    ]
    row, flow = one_row(packets)
    assert (row["version"], row["sni"], flow["sni"]) == ("Q043", "www.example.com", "www.example.com")
    assert row["server_reply"] == ["short"]
    assert row["established"]
    assert row["ja4"] is None
    row, _ = one_row([packets[0], to_client(b"\x0a" + DCID + b"PRST" + bytes(4), 5)])
    assert row["server_reply"] == ["reset", "short"]
    assert not row["established"]


def test_what_only_resembles_quic_opens_nothing():
    packets = [
        to_client(negotiation(DCID, SCID, 1), 0),
        to_server(b"\xc0" + (0x12345678).to_bytes(4, "big") + bytes(1300), 1),
        to_server(SHORT, 2),
        to_server(b"\x80" + bytes(60), 3),
        to_server(b"\xc0\x00\x00\x00\x01", 4),
    ]
    rows, flows = every_cut(packets)
    assert rows == []
    assert flows[0]["quic_version"] is None
    # a known version, but no packet of it
    rows, flows = every_cut([to_server(b"\xc0\x00\x00\x00\x01\x08" + bytes(8) + b"\x14" + bytes(8), 0)])
    assert rows == []
    assert flows[0]["quic_connections"] is None


def test_a_flood_of_initials_costs_no_more_than_the_limit(monkeypatch):
    taken = []
    real = quic.Conversation.take
    monkeypatch.setattr(quic.Conversation, "take", lambda *args: taken.append(1) or real(*args))
    packets = [to_server(CLIENT_V1, n) for n in range(5 * MOST_LOOKED)]
    for cuts in ((), range(0, len(packets), 7)):
        taken.clear()
        row = tables(packets, cuts)["quic"].to_dicts()[0]
        assert len(taken) == MOST_LOOKED
        assert row["packets_to_server"] == 5 * MOST_LOOKED
        assert row["initials_to_server"] == MOST_LOOKED
        assert row["datagrams_not_read"] == 4 * MOST_LOOKED


def test_unfinished_hellos_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(quic, "_HELD", 3000)
    half = [
        to_server(initial(crypto(0, LARGE[:900]), key_dcid=bytes([n]) * 8), n, ("192.0.2.1", 40000 + n))
        for n in range(5)
    ]
    rest = [
        to_server(initial(crypto(900, LARGE[900:]), key_dcid=bytes([n]) * 8, number=1), 10 + n, packet.src)
        for n, packet in enumerate(half)
    ]
    rows, _ = every_cut([*half, *rest])
    # the first two were let go when the fourth and the fifth came
    assert [row["client_hello"] for row in rows] == [False, False, True, True, True]


def test_numbers_of_flows_are_used_again(monkeypatch):
    limits = Limits(frames=6, least=1, udp=10 * MS)
    packets = []
    for place in range(4):
        client = ("192.0.2.1", 40000 + place)
        packets += [
            Pkt(p.src if p.src == SERVER else client, p.dst if p.dst == SERVER else client, data=p.data, proto=17,
                ms=p.ms + 10_000 * place)
            for p in answered()
        ]  # fmt: skip
    collector = QuicCollector(ALL)
    monkeypatch.setattr(collect, "PROTOCOLS", (lambda _: collector,))
    rows = tables(packets, range(0, len(packets), 5), limits=limits)["quic"].to_dicts()
    assert collector.hellos.rows < 4
    monkeypatch.setattr(collect, "PROTOCOLS", (QuicCollector,))
    expected = tables(packets)["quic"].drop("flow").to_dicts()
    for row in rows:
        row.pop("flow")
    assert rows == expected
    assert [row["stream"] for row in rows] == [0, 1, 2, 3]


def test_fingerprints_are_made_when_asked_for(monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(quic, "fingerprint", refuse)
    assert tables(answered(), asked=Asked())["flow"]["sni"].to_list() == ["example.com"]
    with pytest.raises(AssertionError):
        tables(answered(), asked=Asked(frozenset({"quic"})))
    with pytest.raises(AssertionError):
        tables(answered(), asked=Asked(frozenset(), frozenset({"ja4"})))


def test_other_tables_are_not_made_here():
    with pytest.raises(KeyError):
        QuicCollector(ALL).rows("tls", None)


PIECES = st.sampled_from(
    [
        (0, CLIENT_V1),
        (1, SERVER_V1),
        (0, initial(crypto(0, LARGE[:900]), key_dcid=SCID, scid=DCID)),
        (0, initial(crypto(900, LARGE[900:]), key_dcid=SCID, scid=DCID)),
        (1, retry(b"", bytes(10), b"token", DCID)),
        (1, negotiation(b"", DCID, 1, 2)),
        (0, long_header(1, DCID, b"", bytes(90))),
        (1, long_header(2, b"", SCID, bytes(90)) + SHORT),
        (0, long_header(2, SCID, b"", bytes(90)) + SHORT),
        (0, SHORT),
        (1, SHORT),
        (0, public(b"Q043", stream_frame(CHLO))),
        (1, b"\x0a" + DCID + bytes(9)),
        (0, CLIENT_V1[:300]),
        (1, b"\xff" * 40),
    ]
)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(PIECES, st.integers(0, 1), st.integers(0, 1200)), max_size=14),
    st.lists(st.integers(0, 14), max_size=6),
)
def test_cuts_and_damage_change_nothing_and_raise_nothing(told, cuts):
    packets = []
    for place, ((side, data), client, keep) in enumerate(told):
        port = ("192.0.2.1", 40000 + client)
        size = keep if place % 3 == 2 else len(data)
        cut = data[:size] or b"\x00"
        packets.append((to_client if side else to_server)(cut, 30 * place, port, size=len(data)))
    # set here as well: hypothesis runs many examples within one fixture
    whole, part = tables(packets), tables(packets, [cut for cut in cuts if cut < len(packets)])
    for name in ("quic", "flow"):
        assert whole[name].equals(part[name])
    assert whole["quic"].schema == QUIC.schema()
    for row in whole["quic"].to_dicts():
        assert row["packets_to_server"] + row["packets_to_client"] > 0


# ---- real captures, with what independent programs say of them


def shared(path: str) -> dict[str, pl.DataFrame]:
    file = SHARED_CAPTURES / path
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    decoder = Decoder()
    collectors = Collectors(decoder.book, decoder.tunnels, asked=ALL)
    with open_capture(str(file), batch_packets=50) as reader:
        for batch in reader:
            collectors.add(decoder.decode(batch))
    return {name: fact_table(name, rows).frame() for name, rows in collectors.finish().items()}


def truth(path: str) -> str:
    file = SHARED_CAPTURES / "truth" / path
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    return Path(file).read_text()


TSHARK = [
    "quic/ja4_chrome-cloudflare-quic-with-secrets.pcapng",
    "quic/ja4_quic-with-several-tls-frames.pcapng",
    "quic/ndpi_quic-29.pcap",
    "quic/ndpi_quic-v2.pcapng",
    "quic/ndpi_quic_frags_ch_in_multiple_packets.pcapng",
    "quic/suricata_quic-frag.pcap",
    "quic/suricata_quic-retry.pcap",
    "quic/zeek_curl-8.1.2-dev-http3-www-google-de.pcap",
    "quic/zeek_quic-multiple-initial-fragmented-crypto.pcap",
    "quic/zeek_quicgo_handshake.pcap",
    "quic/zeek_quicv2-http3-443.pcap",
    "dns/ndpi_doq.pcapng",
    "interference/gfwreport_flow-tracking-time.pcap",
    "interference/upb_china_vps.pcapng",
    "interference/upb_germany_cloudflare.pcapng",
    "interference/upb_iran_cf_cdn.pcapng",
    "interference/upb_russia_cf_single_ip.pcapng",
    "interference/upb_russia_ech_non_cloudflare.pcapng",
    "tls/ja4_tls-handshake.pcapng",
    "tls/ja4_tls-sni.pcapng",
]
AFTER_RETRY_REQUEST = {("quic/ndpi_quic-29.pcap", 5), ("quic/ndpi_quic-29.pcap", 4)}
"""Frames of a HelloRetryRequest and of the second hello that answers it: tshark lists both, one row has one hello."""


@pytest.mark.parametrize("path", TSHARK)
def test_hellos_as_tshark_reads_them(path):
    told = json.loads(truth(f"tshark/{path}.json"))
    rows = shared(path)["quic"]
    hellos = {
        (hello["frame"], hello["stream"], hello["sni"], *hello["alpn"])
        for hello in told["tls_client_hellos"]
        if hello["transport"] == "udp" and "quic_version" in hello
    }
    ours = {
        (row["client_hello_frame"], row["stream"], row["sni"], *(row["alpn"] or []))
        for row in rows.filter("client_hello").to_dicts()
    }
    assert hellos
    assert {one for one in hellos if (path, one[0]) not in AFTER_RETRY_REQUEST} == ours
    answers = {
        (hello["frame"], hello["stream"], int(hello["cipher"], 16))
        for hello in told.get("tls_server_hellos", [])
        if hello["transport"] == "udp" and "quic_version" in hello
    }
    ours = {
        (row["server_hello_frame"], row["stream"], row["cipher"])
        for row in rows.filter("server_hello").to_dicts()
    }
    assert {one for one in answers if (path, one[0]) not in AFTER_RETRY_REQUEST} == ours


ZEEK = {
    "zeek_curl-8.1.2-dev-http3-www-google-de.pcap": "scripts.base.protocols.quic.curl-http3.quic.log",
    "zeek_quicgo_handshake.pcap": "scripts.base.protocols.quic.interop.quic-go_quic-go.handshake.quic.log",
    "zeek_quicv2-http3-443.pcap": "scripts.base.protocols.quic.quicv2-http3-443.quic.log",
}


@pytest.mark.parametrize("capture", sorted(ZEEK))
def test_ids_and_versions_as_zeek_reads_them(capture):
    lines = truth(f"zeek/quic/{capture}.{ZEEK[capture]}").splitlines()
    names = next(line for line in lines if line.startswith("#fields")).split("\t")[1:]
    (said,) = [dict(zip(names, line.split("\t"), strict=True)) for line in lines if not line.startswith("#")]
    (row,) = shared(f"quic/{capture}")["quic"].to_dicts()
    assert row["version"] == said["version"].removeprefix("quicv")
    assert row["dcid"] == said["client_initial_dcid"]
    assert row["scid"] == said["client_scid"].replace("(empty)", "")
    assert row["server_cid"] == said["server_scid"]
    assert (row["sni"] or "-") == said["server_name"]
    assert row["alpn"][0] == said["client_protocol"]


# nDPI's JA4 differs where the server name is absent (d for i) and takes "h3-29" for h3
NDPI = {
    "ndpi_quic-29.pcap": ("draft-29", "localhost"),
    "ndpi_quic-forcing-vn-with-data.pcapng": ("1", None),
    "ndpi_quic-v2.pcapng": ("2", "test"),
    "ndpi_quic_frags_ch_in_multiple_packets.pcapng": ("1", None),
    "ndpi_quic_q50.pcap": ("Q050", "www.googletagmanager.com"),
    "ndpi_youtube_quic.pcap": ("Q035", "yt3.ggpht.com"),
}


@pytest.mark.parametrize("capture", sorted(NDPI))
def test_names_and_fingerprints_as_ndpi_reads_them(capture):
    version, sni = NDPI[capture]
    said = json.loads(truth(f"ndpi/quic/{capture}.json"))["flows"]
    rows = shared(f"quic/{capture}")["quic"].to_dicts()
    assert {flow.get("sni") for flow in said} == {row["sni"] for row in rows}
    assert sni in {row["sni"] for row in rows}
    assert {row["version"] for row in rows} == {version}
    theirs = {tuple(flow["ja4"].split("_")[1:]) for flow in said if "ja4" in flow}
    assert {tuple(row["ja4"].split("_")[1:]) for row in rows if row["ja4"]} == theirs
    assert {row["packets_to_server"] for row in rows} == {flow["pkts"][0] for flow in said}
    assert {row["packets_to_client"] for row in rows} == {flow["pkts"][1] for flow in said}


def test_retry_as_suricata_counts_it():
    (row,) = shared("quic/suricata_quic-retry.pcap")["quic"].to_dicts()
    assert row["initial_frames"] == [1, 2, 5, 6]
    assert (row["retry_frame"], row["retry_genuine"], row["server_hello_frame"]) == (3, True, 8)
    assert row["initials_unread"] == 0


def test_a_server_that_falls_silent_in_a_real_capture():
    (row,) = shared("quic/suricata_quic-frag.pcap")["quic"].to_dicts()
    # the server's last packet is frame 7; the client goes on with Handshake packets for 22 s
    assert row["last_to_client_frame"] == 7
    assert row["unanswered_to_server"] == 22
    assert 22_000 < row["to_client_silent_ms"] < 22_200
    assert not row["established"]


def test_counters_are_whole_numbers_of_the_engine():
    rows = shared("quic/zeek_curl-8.1.2-dev-http3-www-google-de.pcap")
    (row,), (flow,) = rows["quic"].to_dicts(), rows["flow"].to_dicts()
    assert row["packets_to_server"] == flow["packets_to_server"]
    assert row["packets_to_client"] == flow["packets_to_client"]
    assert np.isclose(row["last_to_client_time"], flow["last_time"])

"""However the packets of a capture are cut into batches, the tables are the same."""

from __future__ import annotations

import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forensics.flows.ending import Limits
from forensics.observations.dictionary import TABLES
from pcaps.generate.tls import client_hello, data, server_flight
from tests.flows.made import ACK, FIN, PSH, RST, SYN, Pkt, Talk, collect, tables

ENDS = [("10.0.0.1", 1000), ("10.0.0.1", 2000), ("10.0.0.2", 443)]
ENDS6 = [("2001:db8::2", 1000), ("2001:db8::1", 1000), ("2001:db8::1", 443)]
FLAGS = [SYN, SYN | ACK, ACK, ACK, ACK, ACK | PSH, RST, RST | ACK, FIN | ACK]
RNG = random.Random(1)  # noqa: S311 - reproducible bytes
HELLO = client_hello(RNG, b"example.org")
ANSWER = server_flight(RNG, 100)[:120]
ALERT = bytes.fromhex("15030300020228")
APP_DATA = data(RNG, 30)
STARTS = [2**32 - 200, 1000]
"""Initial numbers: one of the two wraps soon."""
OFFSETS = [0, 1, 1, 1, 101, 201, 301, 401, 700, 50_000, 2**31]


@st.composite
def packet(draw):
    src, dst = draw(st.permutations(draw(st.sampled_from([ENDS, ENDS, ENDS6]))))[:2]
    isn = draw(st.sampled_from(STARTS))
    offset = draw(st.sampled_from(OFFSETS))
    kind = draw(st.integers(0, 9))
    payload, size = b"", 0
    if kind < 4 and 1 <= offset < 600:  # a slice of a stream that all senders share
        payload = (HELLO if kind < 3 else ANSWER)[offset - 1 : offset + draw(st.sampled_from([99, 150, 520]))]
    elif kind == 4:
        payload = draw(st.sampled_from([ALERT, APP_DATA, b"GET / HTTP/1.1\r\n"]))
    elif kind < 7:
        size = draw(st.sampled_from([1, 100, 40_000]))
    proto = draw(st.sampled_from([6] * 7 + [17]))
    return Pkt(
        src, dst, draw(st.sampled_from(FLAGS)), (isn + offset) % 2**32,
        (draw(st.sampled_from(STARTS)) + draw(st.sampled_from(OFFSETS))) % 2**32, payload, size,
        ms=draw(st.sampled_from([0.0, 1.0, 2.5, 40.0, 300.0, 5000.0])), ttl=draw(st.sampled_from([64, 60, 200])),
        ipid=draw(st.sampled_from([0, 7, 8, 300, 65535])), df=draw(st.booleans()),
        window=draw(st.sampled_from([0, 500])), proto=proto,
        icmp=draw(st.sampled_from([None] * 12 + [(3, 1)])),
    )  # fmt: skip


def check(packets, cuts):
    whole = tables(packets)
    cut = tables(packets, [at for at in cuts if at <= len(packets)])
    for name, table in whole.items():
        assert_frame_equal(cut[name], table, check_exact=True)
    for name, table in whole.items():
        assert table.schema == TABLES[name].schema()


@settings(max_examples=150, deadline=None)
@given(st.lists(packet(), min_size=1, max_size=40), st.sets(st.integers(0, 40), max_size=6))
def test_any_packets_in_any_batches(packets, cuts):
    check(packets, cuts)


SOON = [1, 20_000_000, 2_000_000_000]
LIMITS = st.builds(
    Limits,
    frames=st.sampled_from([1, 5, 16]),
    least=st.sampled_from([1, 1, 3]),
    most=st.sampled_from([1, 3, 100, 100]),
    closed=st.sampled_from(SOON), unanswered=st.sampled_from(SOON), tcp=st.sampled_from(SOON),
    udp=st.sampled_from(SOON),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(packet(), min_size=8, max_size=60), st.sets(st.integers(0, 60), max_size=6), LIMITS)
def test_flows_end_at_the_same_packets_in_any_batches(packets, cuts, limits):
    cuts = [at for at in cuts if at <= len(packets)]
    whole = tables(packets, [], limits)
    for cut in (tables(packets, cuts, limits), tables(packets, range(len(packets)), limits)):
        for name, table in whole.items():
            assert_frame_equal(cut[name], table, check_exact=True)
    # Ending makes several rows of one conversation; a conversation that has one row only is the one it was.
    uncut = tables(packets)
    for name in ("flow", "reset"):
        once = whole["flow"].filter(pl.len().over("proto", "stream") == 1)
        same = uncut["flow"].join(once, on=["proto", "stream", "first_frame"], how="semi")
        # The other direction may lie in a row with another client; what an error quoted before the first packet of
        # a flow may be forgotten when that packet comes.
        differ = ["flow", "both_directions", "icmp_error_frame", "icmp_error_type", "icmp_error_code"]
        if name == "reset":
            once, same = (
                tables_["reset"].join(flows.filter(proto="tcp"), on="flow", how="semi")
                for tables_, flows in ((whole, once), (uncut, same))
            )
            differ = ["flow"]
        assert_frame_equal(once.drop(differ), same.drop(differ), check_exact=True)
    packets_of = pl.col("packets_to_server", "packets_to_client", "duplicated_packets").sum()
    for table in (whole["flow"], uncut["flow"]):
        assert table["flow"].to_list() == list(range(table.height))
        assert table["first_frame"].is_sorted()
    totals = [
        table["flow"].group_by("proto", "stream").agg(packets_of).sort("proto", "stream")
        for table in (whole, uncut)
    ]
    totals = [
        total.select("proto", "stream", pl.sum_horizontal(pl.col(pl.Int64).exclude("stream")))
        for total in totals
    ]
    assert_frame_equal(*totals)
    firsts = whole["flow"].group_by("proto", "stream", maintain_order=True).agg(pl.col("continued"))
    assert all(not first and all(rest) for first, *rest in firsts["continued"].to_list())
    owners = whole["reset"].join(whole["flow"], on="flow", suffix="_of_flow")
    assert owners.height == whole["reset"].height
    assert (owners["stream"] == owners["stream_of_flow"]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_long_scrambles_packet_by_packet(seed, single):
    rng = random.Random(seed)  # noqa: S311 - hypothesis chose it
    talk = Talk(isn=2**32 - 500, server_isn=2**32 - 9000, gap=rng.choice([3, 250]))
    talk.shake()
    for at in range(1, 518, 100):
        talk.c(ACK | PSH, at, 1, data=HELLO[at - 1 : at + 99])
    talk.s(ACK, 1, 518, data=ANSWER)
    for i in range(30):
        talk.s(ACK, 121 + 5000 * i, 518, size=5000, window=rng.choice([0, 700, 700]))
        if rng.random() < 0.3:
            talk.c(ACK, 518, 121 + 5000 * i)
        if rng.random() < 0.1:
            talk.s(rng.choice([RST, RST | ACK]), rng.choice([121 + 5000 * i, 9]), 518, ttl=44)
    packets = talk.packets
    for _ in range(rng.randrange(15)):  # late, repeated and lost packets
        moved = packets.pop(rng.randrange(len(packets)))
        for _ in range(rng.randrange(3)):
            packets.insert(rng.randrange(len(packets)), moved)
    cuts = range(len(packets)) if single else rng.sample(range(len(packets)), 6)
    check(packets, cuts)


def test_backward_times_are_counted_across_batches():
    packets = [Pkt(ms=ms) for ms in (5, 9, 7, 8, 9, 10, 1)]
    for cuts in ((), (2,), range(7)):
        assert collect(packets, cuts).backward_times == 3


def test_nothing_gives_empty_tables():
    for name, table in tables([]).items():
        assert table.height == 0
        assert table.schema == TABLES[name].schema()


def test_an_error_quoting_an_unseen_connection_gets_no_row():
    assert tables([Pkt(flags=SYN, icmp=(3, 1))])["flow"].height == 0


def test_a_quoted_packet_marks_its_flow():
    flow = tables([Pkt(flags=SYN), Pkt(flags=SYN, icmp=(3, 13)), Pkt(flags=SYN, icmp=(3, 1))])["flow"]
    row = flow.select(pl.col("^icmp_error_.*$"), "packets_to_server", "syn_count").row(0)
    assert row == (2, 3, 13, 1, 1)

"""What the engine keeps of every flow and of every sender."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.decode import AddressBook
from forensics.flows.arrays import NEVER
from forensics.flows.engine import FlowEngine
from tests.flows.made import ACK, CLIENT, FIN, MS, PSH, RST, SERVER, START, SYN, Pkt, Talk, flow, table

C, S = (0, 1) if CLIENT < SERVER else (1, 0)
"""Sides of client and server in the only flow."""


def engines(packets):
    """Engines that were fed the packets in one batch, one by one, and in two halves."""
    for cuts in ([], list(range(1, len(packets))), [len(packets) // 2]):
        engine, book, begin = FlowEngine(), AddressBook(), 0
        for end in [*cuts, len(packets)]:
            engine.add(table(packets[begin:end], book, begin + 1).packets)
            begin = end
        yield engine


def side(engine, which, *names):
    return [int(engine.sides[name][which]) for name in names]


def test_a_handshake_is_timed_from_the_last_syn():
    talk = Talk()
    talk.c(SYN, 0, ms=0)
    talk.c(SYN, 0, ms=1000)
    talk.s(SYN | ACK, 0, ms=1050)
    talk.s(SYN | ACK, 0, ms=1055)
    talk.c(ACK, ms=1062)
    talk.c(ACK | PSH, data=b"x", ms=1063)
    talk.c(SYN, 0, ms=2000)
    for engine in engines(talk.packets):
        assert engine.handshake_rtt(np.array([0])).tolist() == [62 * MS]
        assert engine.handshake_rtt(np.array([0]), np.array([5])).tolist() == [-1]
        assert engine.handshake_rtt(np.array([0]), np.array([6])).tolist() == [62 * MS]
        assert side(engine, C, "syn_count", "syn_last_frame") == [3, 7]


@pytest.mark.parametrize("missing", ["syn", "syn_ack", "ack"])
def test_an_incomplete_handshake_has_no_rtt(missing):
    talk = Talk()
    if missing != "syn":
        talk.c(SYN, 0)
    if missing != "syn_ack":
        talk.s(SYN | ACK, 0)
    if missing != "ack":
        talk.c(ACK)
    for engine in engines(talk.packets):
        assert engine.handshake_rtt(np.array([0])).tolist() == [-1]


def test_an_ack_before_the_syn_ack_completes_nothing():
    talk = Talk()
    talk.c(SYN, 0)
    talk.c(ACK)
    talk.s(SYN | ACK, 0)
    talk.c(ACK, ms=70)
    for engine in engines(talk.packets):
        assert engine.handshake_rtt(np.array([0])).tolist() == [60 * MS]


def test_without_a_syn_the_reordering_limit_is_the_smallest():
    """A segment that is repeated 20 ms later was lost, unless the RTT were known to be longer."""
    talk = Talk()
    talk.s(SYN | ACK, 0)
    talk.c(ACK)
    talk.s(ACK, 1, size=100)
    talk.s(ACK, 101, size=100)
    talk.s(ACK, 1, size=100, ms=talk.ms + 20)
    row = flow(talk.packets)
    assert (row["retransmissions_to_client"], row["out_of_order_to_client"]) == (1, 0)
    assert row["handshake_rtt_ms"] is None


def test_a_forged_reset_cannot_complete_a_handshake():
    talk = Talk()
    talk.c(SYN, 0)
    talk.s(SYN | ACK, 0)
    talk.c(RST | ACK)
    for engine in engines(talk.packets):
        assert engine.flows["shake_ack_frame"][0] == NEVER


def test_ttl_habits_count_everything_but_resets():
    talk = Talk().shake()
    for ttl in (50, 51, 51, 49, 49, 51):
        talk.s(ACK, ttl=ttl, df=ttl != 51)
    talk.s(RST, ttl=9)
    talk.s(RST | ACK, ttl=9)
    for engine in engines(talk.packets):
        rows = {row["fs"]: row for row in engine.ttl_habits(np.arange(engine.flows.rows)).to_dicts()}
        # 60 from the handshake, 50, 51 three times, 49 twice
        assert rows[S] == {"fs": S, "ttl": 51, "ttl_packets": 3, "ttl_kinds": 4, "df": True}
        assert rows[C] == {"fs": C, "ttl": 60, "ttl_packets": 2, "ttl_kinds": 1, "df": True}


def test_of_equally_frequent_ttls_the_smaller_is_the_habit():
    talk = Talk()
    for ttl in (70, 40, 70, 40):
        talk.s(ACK, ttl=ttl)
    for engine in engines(talk.packets):
        assert engine.ttl_habits(np.arange(engine.flows.rows))["ttl"].to_list() == [40]


def test_many_batches_of_ttls_are_summed():
    packets = [Pkt(ttl=40 + i % 3) for i in range(100)]
    for engine in engines(packets):
        assert engine.ttl_habits(np.arange(engine.flows.rows)).select(
            "ttl", "ttl_packets", "ttl_kinds"
        ).rows() == [(40, 34, 3)]


def test_ip_ids_of_a_sender():
    talk = Talk()
    for ipid in (65530, 65535, 3, 3, 300, 0, 0, 2000):
        talk.s(ACK, ipid=ipid)
    talk.s(RST, ipid=77)
    talk.s(ACK, ipid=2001)
    for engine in engines(talk.packets):
        found = side(engine, S, "ipids", "ipid_zero", "ipid_steps", "ipid_same", "ipid_near", "ipid_last")
        # steps: 5, 4, 0, 297, 65236, 0, 2000, 1
        assert found == [9, 2, 8, 2, 3, 2001]


def test_ipv6_has_no_ip_ids():
    talk = Talk(client=("2001:db8::1", 4000), server=("2001:db8::2", 443)).shake()
    for engine in engines(talk.packets):
        assert engine.flows["v6"][0] == 1
        assert engine.sides.column("ipids").tolist() == [0, 0]


def test_zero_windows_are_those_of_open_connections():
    talk = Talk()
    talk.c(SYN, 0, window=0)
    talk.s(SYN | ACK, 0, window=0)
    talk.c(ACK, window=0)
    talk.c(ACK, window=0)
    talk.c(ACK, window=9)
    talk.c(RST, window=0)
    talk.c(FIN | ACK, window=0)
    for engine in engines(talk.packets):
        assert side(engine, C, "zero_windows", "first_W") == [2, 3]
        assert side(engine, S, "zero_windows") == [0]


def test_times_and_frames_bear_a_clock_that_steps_back():
    packets = [Pkt(ms=5), Pkt(SERVER, CLIENT, ms=9), Pkt(ms=2), Pkt(SERVER, CLIENT, ms=4)]
    for engine in engines(packets):
        names = ("packets", "first_frame", "last_frame", "first_time", "last_time", "origin")
        found = [int(engine.flows[name][0]) for name in names]
        assert found == [4, 1, 4, START + 2 * MS, START + 9 * MS, START + 5 * MS]
        assert side(engine, S, "first_time", "last_time") == [START + 4 * MS, START + 9 * MS]


def test_udp_has_no_sequence_and_no_flags():
    packets = [
        Pkt(proto=17, size=10),
        Pkt(SERVER, CLIENT, proto=17, size=20),
        Pkt(proto=17, size=10, flags=RST),
    ]
    for engine in engines(packets):
        assert side(engine, C, "packets", "payload", "rst_count", "retransmissions") == [2, 20, 0, 0]
        assert side(engine, S, "packets", "payload", "first_D") == [1, 20, 2]


def test_an_icmp_error_marks_the_flow_it_quotes_once():
    packets = [
        Pkt(flags=SYN),
        Pkt(flags=SYN, icmp=(11, 0)),
        Pkt(flags=SYN, icmp=(3, 1)),
        Pkt(icmp=(3, 3), proto=17),
    ]
    for engine in engines(packets):
        assert engine.flows.column("icmp_frame").tolist() == [2, 4]
        assert engine.flows.column("icmp_type").tolist() == [11, 3]
        assert engine.flows.column("packets").tolist() == [1, 0]


def test_the_batch_is_sorted_by_sender_and_names_its_packets():
    talk = Talk().shake()
    talk.packets.insert(1, Pkt(("10.0.0.9", 5), SERVER, SYN, 3, ms=0))
    engine = FlowEngine()
    batch = engine.add(table(talk.packets, AddressBook()).packets)
    assert batch.flow.tolist() == [0, 0, 0, 1]
    assert batch.column["frame"].tolist() == [1, 4, 3, 2]
    assert batch.starts.tolist() == [0, 2, 3]
    assert batch.flow_by_frame.tolist() == [0, 1, 0, 0]
    assert batch.rel.tolist() == [0, 1, 0, 0]


def test_the_owner_of_a_flow_is_that_of_its_first_packet_with_one():
    first, second = Talk(), Talk(client=("192.0.2.9", 1))
    for talk in (first, second):
        talk.shake().c(ACK, ms=200.0)
    packets = sorted([*first.packets, *second.packets], key=lambda packet: packet.ms)
    packets.append(Pkt(icmp=(3, 1), ms=300.0))
    owners = [-1, -1, 5, -1, 7, 8, 5, 7, 99]
    for cuts in ([], list(range(1, len(packets))), [4]):
        engine, book, begin = FlowEngine(), AddressBook(), 0
        for end in [*cuts, len(packets)]:
            batch = table(packets[begin:end], book, begin + 1).packets
            batch.columns["uid"] = np.array(owners[begin:end], np.int32)
            engine.add(batch)
            begin = end
        by_client = dict(zip(engine.conversations.flows["lo"].tolist(), range(2), strict=False))
        mine, other = (by_client[book.find(address)] for address in ("192.0.2.1", "192.0.2.9"))
        assert engine.flows["uid"][[mine, other]].tolist() == [5, 8]
        assert engine.flows["uid_differs"][[mine, other]].tolist() == [True, True]

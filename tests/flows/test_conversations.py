"""Streams are numbered as Wireshark 4.0 numbers them: by a plain restatement of its rules, and by tshark itself."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture import open_capture
from forensics.decode import AddressBook, Decoder
from forensics.decode.columns import PacketTable
from forensics.flows.conversations import Conversations
from forensics.flows.engine import FlowEngine
from tests.conftest import REPO_ROOT
from tests.flows.made import ACK, CLIENT, FIN, PSH, RST, SERVER, SYN, Pkt, ask_tshark, table, write_pcap

CAPTURES = sorted((REPO_ROOT / "pcaps").glob("*/capture.*"))
ENDS = [("10.0.0.1", 1000), ("10.0.0.1", 2000), ("10.0.0.2", 80)]
FLAGS = [SYN, SYN, SYN | ACK, ACK, ACK | PSH, RST, RST | ACK, FIN | ACK, 0, SYN | FIN, SYN | RST, SYN | PSH]
NUMBERS = [0, 1, 100, 101, 2**32 - 1]


def streams(packets, cuts=()):
    """Protocol and stream of every packet, as we number them."""
    engine, book = FlowEngine(), AddressBook()
    found, begin = [], 0
    for end in [*sorted(set(cuts)), len(packets)]:
        rows = table(packets[begin:end], book, begin + 1).packets
        batch = engine.add(rows)
        found += engine.conversations.flows["stream"][batch.flow_by_frame].tolist()
        begin = end
    return found


def streams_with_ends(packets, ends):
    """The same where, before each of the packets ``ends``, every third conversation is ended, and so by and by all."""
    engine, book = FlowEngine(), AddressBook()
    found, begin, turn = [], 0, 0
    for end in [*sorted(ends), len(packets)]:
        batch = engine.add(table(packets[begin:end], book, begin + 1).packets)
        flows = engine.conversations.flows
        found += flows["stream"][batch.flow_by_frame].tolist()
        going = np.flatnonzero(flows.column("pair") >= 0)
        engine.clear(going[turn::3], np.ones(len(going[turn::3]), dtype=np.int64))
        begin, turn = end, (turn + 1) % 3
    return found


def wireshark_rules(packets):
    """packet-tcp.c of Wireshark 4.0, one packet at a time."""
    current, bases, numbers, found = {}, {}, {6: 0, 17: 0}, []
    for p in packets:
        pair = (p.proto, frozenset([p.src, p.dst]))
        base = bases.setdefault(pair, {})
        opens = p.proto == 6 and p.icmp is None and p.flags & (SYN | ACK) == SYN
        if pair not in current or (opens and base.get(p.src, p.seq) != p.seq):
            current[pair] = numbers[p.proto]
            numbers[p.proto] += 1
            base.clear()
        if p.proto == 6 and p.icmp is None:
            own = p.seq if p.flags & SYN else (p.seq - 1) % 2**32
            if p.src not in base or p.flags & (SYN | ACK) == SYN | ACK:
                base[p.src] = own
            if p.flags & ACK:
                base.setdefault(p.dst, (p.ack - 1) % 2**32)
        found.append(current[pair])
    return found


@st.composite
def packet(draw):
    src, dst = draw(st.permutations(ENDS))[:2]
    return Pkt(
        src, dst, draw(st.sampled_from(FLAGS)), draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(NUMBERS)),
        size=draw(st.sampled_from([0, 10])), proto=draw(st.sampled_from([6, 6, 6, 17])),
        icmp=draw(st.sampled_from([None, None, None, (3, 1)])),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(packet(), max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_numbers_follow_the_rules_wherever_batches_are_cut(packets, cuts):
    cuts = [cut for cut in cuts if cut <= len(packets)]
    assert streams(packets, cuts) == wireshark_rules(packets)


@settings(max_examples=150, deadline=None)
@given(st.lists(packet(), max_size=40), st.sets(st.integers(0, 40), max_size=8))
def test_ended_conversations_keep_their_numbers(packets, ends):
    ends = [end for end in ends if end <= len(packets)]
    assert streams_with_ends(packets, ends) == wireshark_rules(packets)


def test_numbers_of_ended_flows_are_used_again():
    engine, book = FlowEngine(), AddressBook()
    for turn in range(5):
        packets = [Pkt(("192.0.2.1", 100 * turn + port), SERVER, SYN, 9) for port in range(1, 100)]
        engine.add(table(packets, book, 1 + 99 * turn).packets)
        engine.clear(np.arange(99), np.ones(99, dtype=np.int64))
    assert engine.flows.rows == 99
    assert engine.sides.rows == 198


def test_a_conversation_that_goes_on_finds_what_was_said_of_its_client():
    engine, book = FlowEngine(), AddressBook()
    engine.add(table([Pkt(flags=SYN, seq=9)], book).packets)
    engine.clear(np.array([0]), np.array([4]))
    engine.add(table([Pkt(seq=10), Pkt(("192.0.2.1", 1), SERVER, SYN)], book, 2).packets)
    assert engine.conversations.flows.column("client").tolist() == [4, 0]
    engine.add(table([Pkt(flags=SYN, seq=900)], book, 4).packets)
    assert engine.conversations.flows.column("client").tolist() == [4, 0, 0]


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("seed", range(8))
def test_numbers_equal_those_of_tshark(seed, tmp_path):
    rng = random.Random(seed)  # noqa: S311 - reproducible packets
    packets = []
    for i in range(300):
        src, dst = rng.sample(ENDS, 2)
        flags = rng.choice(FLAGS)
        ack = rng.choice(NUMBERS) if flags & ACK else 0
        proto = rng.choice([6, 6, 6, 17])
        packets.append(
            Pkt(src, dst, flags, rng.choice(NUMBERS), ack, size=rng.choice([0, 10]), ms=i, proto=proto)
        )
    rows = ask_tshark(write_pcap(tmp_path / "x.pcap", packets), "tcp.stream", "udp.stream")
    assert streams(packets) == [int(tcp or udp) for tcp, udp in rows]
    assert streams(packets, range(0, 300, 7)) == streams(packets)
    assert streams_with_ends(packets, range(0, 300, 7)) == streams(packets)


C, S = CLIENT, SERVER
STRANGER = ("10.9.9.9", 1)
V6 = ("2001:db8::9", 40000), ("2001:db8::1", 443)
SHAKE = [Pkt(C, S, SYN, 1000), Pkt(S, C, SYN | ACK, 5000, 1001), Pkt(C, S, ACK, 1001, 5001)]
STORIES = {
    "same ISN again": ([Pkt(C, S, SYN, 9), Pkt(C, S, SYN, 9), Pkt(S, C, SYN | ACK, 5, 10)], [0, 0, 0]),
    "new ISN": ([*SHAKE, Pkt(C, S, SYN, 77)], [0, 0, 0, 1]),
    "old ISN after a new one": ([Pkt(C, S, SYN, 9), Pkt(C, S, SYN, 77), Pkt(C, S, SYN, 9)], [0, 1, 2]),
    "SYN from the other side": ([*SHAKE, Pkt(S, C, SYN, 77)], [0, 0, 0, 1]),
    "SYN from the other side, its own ISN": ([*SHAKE, Pkt(S, C, SYN, 5000)], [0, 0, 0, 0]),
    "middle, then SYN": (
        [Pkt(C, S, ACK, 50, 90, size=9), Pkt(S, C, ACK, 90, 59), Pkt(C, S, SYN, 700)],
        [0, 0, 1],
    ),
    "middle, then the SYN that fits": ([Pkt(C, S, ACK, 50, 90, size=9), Pkt(C, S, SYN, 49)], [0, 0]),
    "both open at once": (
        [Pkt(C, S, SYN, 9), Pkt(S, C, SYN, 5), Pkt(S, C, SYN | ACK, 5, 10), Pkt(C, S, SYN | ACK, 9, 6)],
        [0, 0, 0, 0],
    ),
    "reset before the SYN": (
        [Pkt(S, C, RST, 5), Pkt(C, S, SYN, 9), Pkt(S, C, RST | ACK, 0, 10), Pkt(C, S, SYN, 10)],
        [0, 0, 0, 1],
    ),
    "forged SYN/ACK before the true one": (
        [Pkt(C, S, SYN, 9), Pkt(S, C, SYN | ACK, 44, 10), Pkt(S, C, SYN | ACK, 5, 10), Pkt(S, C, SYN, 44)],
        [0, 0, 0, 1],
    ),
    "errors quote connections never seen": (
        [
            Pkt(STRANGER, S, SYN, 5, icmp=(3, 1)),
            Pkt(STRANGER, S, icmp=(3, 3), proto=17),
            *SHAKE,
            Pkt(C, S, SYN, 1000, icmp=(3, 1)),
            Pkt(C, S, proto=17, size=4),
        ],
        [0, 0, 1, 1, 1, 1, 1],
    ),
    "IPv6": ([Pkt(*V6, SYN, 1), Pkt(*V6[::-1], SYN | ACK, 8, 2), Pkt(*V6, SYN, 77)], [0, 0, 1]),
}


@pytest.mark.parametrize("name", STORIES)
def test_stories(name, tmp_path, request):
    packets, expected = STORIES[name]
    assert streams(packets) == expected
    assert streams(packets, range(len(packets))) == expected
    request.getfixturevalue("tshark")
    rows = ask_tshark(write_pcap(tmp_path / "x.pcap", packets), "tcp.stream", "udp.stream")
    assert [int(tcp or udp) for tcp, udp in rows] == expected


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.parent.name)
def test_corpus_streams_equal_those_of_tshark(path):
    engine, decoder, ours = FlowEngine(), Decoder(), {}
    with open_capture(str(path)) as reader:
        for batch in reader:
            rows = decoder.decode(batch).packets
            flow = engine.add(rows).flow_by_frame
            numbers = engine.conversations.flows["stream"][flow].tolist()
            ours.update(zip(rows["frame"].tolist(), numbers, strict=True))
    rows = ask_tshark(path, "frame.number", "tcp.stream", "udp.stream", where="tcp.stream or udp.stream")
    truth = {int(frame): int(tcp or udp) for frame, tcp, udp in rows}
    if path.parent.name == "hostile-lengths":  # frames whose lengths lie, which we refuse or take otherwise
        assert truth.keys() - ours.keys() == {64, 65}  # TCP headers of 60 and of 4 bytes: no packets to us
        assert ours.keys() <= truth.keys()
        for frame in truth.keys() ^ ours.keys():
            truth.pop(frame, None)
            ours.pop(frame, None)
    assert ours == truth


def test_sides_are_the_ends_in_order_of_address():
    book, conversations = AddressBook(), Conversations()
    rows = table([Pkt(CLIENT, SERVER), Pkt(SERVER, CLIENT), Pkt(("192.0.2.1", 9), CLIENT)], book).packets
    _, side = conversations.assign(rows)
    assert side.tolist() == [0, 1, 0]


def datagrams(*ports):
    columns = {"proto": 17, "src": 1, "dst": 2, "dport": 9}
    return PacketTable.of_rows([{"frame": n, "sport": port, **columns} for n, port in enumerate(ports, 1)])


def test_pairs_on_which_nothing_goes_on_can_be_forgotten():
    known = Conversations()
    flows, _ = known.assign(datagrams(10, 11, 12))
    known.release(flows[1:2], np.array([1]))
    known.forget()
    assert known.pairs == 2
    again, _ = known.assign(datagrams(12, 10, 11, 13))
    assert known.flows["stream"][again].tolist() == [2, 0, 3, 4], "what goes on keeps its number"
    assert known.flows["client"][again].tolist() == [0, 0, 0, 0]

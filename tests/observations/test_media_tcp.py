"""TURN in TCP streams: messages put together however the segments are cut, and a real capture against tshark."""

from __future__ import annotations

import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.flows.arrays import NEVER
from forensics.observations.media import MediaCollector
from forensics.observations.media_tcp import HELD, TurnReader, begins_plain, begins_prefixed
from forensics.observations.readers import Heads, Opening
from forensics.observations.sides import Sides
from forensics.observations.streams import StreamCollector
from tests.flows.made import ACK, PSH, Talk, ask_tshark
from tests.observations.following import feed, follow_file
from tests.observations.test_media_rtp import rtp
from tests.protocols.test_stun import message

OPENING = Opening(3, 0, (40000, 3478), 1, 0, b"", None)
ASK, ANSWER = message(0x0001), message(0x0101, (0x0020, bytes(8)))


def channel(data):
    return struct.pack("!HH", 0x4000, len(data)) + data + bytes(-len(data) % 4)


def prefix(data):
    return struct.pack("!H", len(data)) + data


LARGE = message(0x0001, (0x8022, bytes(3000)))
PLAIN = [ASK, channel(rtp(1, 2)), channel(b"abc"), ANSWER, LARGE, channel(rtp(2, 3, size=900)), ASK]
PREFIXED = [ASK, rtp(1, 2), rtp(2, 3, size=3000), ANSWER]


def read(stream, cuts, *, prefixed):
    """(first bytes, length) of every unit."""
    units = []
    reader = TurnReader(OPENING, units.append, prefixed=prefixed)
    wanted, begin = 0, 0
    for frame, end in enumerate([*sorted(cuts), len(stream)], 1):
        if end > max(begin, wanted):
            begin = max(begin, wanted)
            wanted = reader.take(1, begin, stream[begin:end], frame, frame * 10)
        begin = max(begin, end)
    return units


@settings(max_examples=100)
@given(st.booleans(), st.data())
def test_however_it_is_cut(prefixed, data):
    parts = PREFIXED if prefixed else PLAIN
    stream = b"".join(prefix(part) for part in parts) if prefixed else b"".join(parts)
    cuts = data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12))
    units = read(stream, cuts, prefixed=prefixed)
    lengths = [len(part) - (part == channel(b"abc")) for part in parts]
    assert [unit.length for unit in units] == lengths
    assert {unit.fs for unit in units} == {7}
    for unit, part in zip(units, parts, strict=True):
        assert part.startswith(unit.data)
        assert len(unit.data) >= min(unit.length, 96)
        assert len(unit.data) <= HELD


def test_what_follows_no_message_is_left_alone():
    reader = TurnReader(OPENING, [].append, prefixed=False)
    assert reader.take(0, 0, ASK + b"POST / HTTP/1.1\r\n\r\n", 1, 0) == NEVER
    assert reader.lost(1, 0, 20) == NEVER


def heads(*firsts):
    head = np.zeros((len(firsts), 32), dtype=np.uint8)
    for row, first in zip(head, firsts, strict=True):
        row[: len(first[:32])] = np.frombuffer(first[:32], np.uint8)
    empty = np.zeros(len(firsts), dtype=np.int64)
    return Heads(head, np.array([len(one) for one in firsts]), empty, empty, empty, empty, head.reshape(-1))


def test_which_connections_are_read():
    seen = heads(ASK, prefix(ASK), b"\x16\x03\1\0\xc0" + bytes(30), ASK[:7], prefix(ASK[:-1] + b"xx"))
    assert begins_plain(seen).tolist() == [True, False, False, False, False]
    assert begins_prefixed(seen).tolist() == [False, True, False, False, False]


class Both:
    """A StreamCollector and the MediaCollector it feeds, as one."""

    def __init__(self, engine):
        self.media = MediaCollector()
        self.streams = StreamCollector(engine, self.media.openers)

    def add(self, arrived):
        self.streams.add(arrived)
        self.media.add(arrived)

    def finish(self, flows):
        self.streams.finish(flows)
        self.media.finish(flows)


@pytest.mark.parametrize("cuts", [(), (7,), range(60)])
def test_a_call_over_tcp(cuts):
    conversation = Talk(gap=20).shake()
    place = [1, 1]
    for number in range(25):
        for side, send in enumerate((conversation.c, conversation.s)):
            data = (ASK, ANSWER)[side] if number == 0 else channel(rtp(number, number * 960, ssrc=side))
            send(PSH | ACK, place[side], place[1 - side], data=data)
            place[side] += len(data)
    media = feed(conversation.packets, [cut for cut in cuts if cut < 50], Both).media
    nobody = np.array([0])
    sides = Sides(nobody, 2 * nobody, 2 * nobody + 1)
    (row,) = media.rows("call", sides).to_dicts()
    assert (row["rtp_packets_to_server"], row["rtp_packets_to_client"], row["relayed"]) == (24, 24, True)
    assert (row["stun_requests"], row["stun_answered"], row["rtp_lost_to_client"]) == (1, 1, 0)


@pytest.mark.parametrize("name", ["voice/ndpi_stun_dtls_rtp.pcapng", "apps/ndpi_viber.pcap"])
@pytest.mark.usefixtures("tshark")
def test_real_captures_against_tshark(shared_captures, name):
    path = shared_captures / name
    theirs = Counter()
    for stream, port, kind in ask_tshark(path, "tcp.stream", "tcp.srcport", "stun.type", where="tcp && stun"):
        if int(kind, 16) & 0x110 == 0:
            theirs[int(stream), int(port)] += 1
    both, engine = follow_file(path, Both)
    keys = engine.conversations.flows
    ours = Counter()
    for flow, stun in both.media.stun.items():
        if keys["proto"][flow] == 6:
            for asker, end in zip(stun.askers, ("lo_port", "hi_port"), strict=True):
                ours[int(keys["stream"][flow]), int(keys[end][flow])] += asker.requests
    assert +ours == theirs

"""Sequence tracking held against a plain loop over packets, and against RFC 9293 in hand-made cases."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.flows.sequence import REORDER_REACH, SequenceTracker
from tests.flows.made import ACK, FIN, MS, PSH, RST, SYN, Pkt, Talk, flow

WRAP = 2**32
COLUMNS = ("seq", "ack", "flags", "time", "payload_len")


@dataclass
class Segment:
    """A packet of one sender; ``limit`` is how old a gap may be to count as reordering."""

    fs: int
    seq: int
    ack: int = 0
    flags: int = ACK
    time: int = 0
    payload_len: int = 0
    limit: int = 3 * MS


@dataclass
class Naive:
    """What is known of one sender, kept as the words of the dictionary say it."""

    raw: int = -1
    rel: int = 0
    base: int = -1
    ends: list[int] = field(default_factory=list)  # highest end after each packet
    times: list[int] = field(default_factory=list)
    ack_raw: int = -1
    acked: int = 0  # relative to the first ACK
    first_ack: int = -1
    best_ack: int = -1

    @property
    def highest(self):
        return self.ends[-1] if self.ends else -1


def near(raw, before, rel):
    """The number congruent to ``raw`` that is nearest to ``rel``, which stands for ``before``."""
    return rel + (raw - before + WRAP // 2) % WRAP - WRAP // 2


def naive(segments):
    """Per segment (rel, highest before, new ACK, retransmission, out of order); state of every sender."""
    state: dict[int, Naive] = {}
    rows = []
    for s in segments:
        mine = state.setdefault(s.fs, Naive())
        if s.flags & RST:
            rows.append((0, mine.highest, False, False, False))
            continue
        syn, fin = bool(s.flags & SYN), bool(s.flags & FIN)
        if mine.raw < 0:
            rel = 0 if syn else 1
            mine.base = (s.seq - rel) % WRAP
        else:
            rel = near(s.seq, mine.raw, mine.rel)
        mine.raw, mine.rel = s.seq, rel
        end, before = rel + s.payload_len + syn + fin, mine.highest
        again = late = False
        keep_alive = not syn and not fin and s.payload_len <= 1 and rel == before - 1
        if end > rel and mine.ends and rel < before and not keep_alive:
            opened = next(i for i, reached in enumerate(mine.ends) if reached > rel)
            late = len(mine.ends) - opened <= REORDER_REACH and s.time - mine.times[opened] < s.limit
            again = not late
        mine.ends.append(max(before, end))
        mine.times.append(s.time)
        new = False
        if s.flags & ACK:
            if mine.ack_raw < 0:
                mine.first_ack = s.ack
                mine.acked = 0
            else:
                mine.acked = near(s.ack, mine.ack_raw, mine.acked)
            mine.ack_raw = s.ack
            new = mine.acked > mine.best_ack
            mine.best_ack = max(mine.best_ack, mine.acked)
        rows.append((rel, before, new, again, late))
    return rows, state


def tracked(segments, cuts=()):
    """The same from the tracker, fed in batches that end at ``cuts``."""
    tracker = SequenceTracker()
    rows = [None] * len(segments)
    begin = 0
    for end in [*sorted(set(cuts)), len(segments)]:
        order = sorted(range(begin, end), key=lambda i: (segments[i].fs, i))
        batch = [segments[i] for i in order]
        column = {name: np.array([getattr(s, name) for s in batch], dtype=np.int64) for name in COLUMNS}
        found = tracker.track(
            np.array([s.fs for s in batch], dtype=np.int64),
            np.ones(len(batch), dtype=np.bool_),
            column,
            np.array([s.limit for s in batch], dtype=np.int64),
        )
        values = (found.rel, found.highest, found.new_ack, found.retransmission, found.out_of_order)
        for i, row in zip(order, zip(*(v.tolist() for v in values), strict=True), strict=True):
            rows[i] = row
        begin = end
    tracker.sides.grow_to(8)
    return rows, tracker


def agree(segments, cuts=()):
    expected, state = naive(segments)
    rows, tracker = tracked(segments, cuts)
    for i, (truth, ours) in enumerate(zip(expected, rows, strict=True)):
        if segments[i].flags & RST:  # a reset has no place in the sequence space
            truth, ours = truth[1:], ours[1:]  # noqa: PLW2901 - the rest is compared
        assert ours == truth, (i, segments[i])
    for fs, mine in state.items():
        assert tracker.sides["highest"][fs] == mine.highest
        peer = state.get(fs ^ 1, Naive())
        if mine.base >= 0 and peer.first_ack >= 0:
            acked = max(near(peer.first_ack, mine.base, 0) + peer.best_ack - 1, 0)
        else:
            acked = -1
        assert tracker.acknowledged(np.array([fs]))[0] == acked


@st.composite
def segment(draw):
    base = draw(st.sampled_from([0, WRAP - 300, 5000]))
    step = st.sampled_from([0, 0, 1, 1, 2, 99, 100, 101, 200, 300, 400, 500, 600, 100_000, WRAP // 2])
    return Segment(
        draw(st.integers(0, 3)), (base + draw(step)) % WRAP, (base + draw(step)) % WRAP,
        draw(st.sampled_from([ACK] * 6 + [SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, 0])),
        draw(st.integers(0, 8)) * MS, draw(st.sampled_from([0, 0, 1, 100, 100, 100, 200])),
        draw(st.sampled_from([3 * MS, 6 * MS])),
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(segment(), max_size=60), st.sets(st.integers(0, 60), max_size=6))
def test_any_segments_in_any_batches_agree_with_a_loop(segments, cuts):
    agree(segments, [cut for cut in cuts if cut <= len(segments)])


@pytest.mark.parametrize("seed", range(10))
def test_transfers_with_loss_and_reordering_agree_with_a_loop(seed):
    rng = random.Random(seed)  # noqa: S311 - reproducible packets
    isn = rng.choice([WRAP - 40_000, 7])
    segments = [
        Segment(0, (isn + 100 * i) % WRAP, i, ACK | PSH, i * MS, 100, rng.choice([3, 20]) * MS)
        for i in range(400)
    ]
    for _ in range(60):
        at = rng.randrange(390)
        moved = segments.pop(at) if rng.random() < 0.7 else segments[at]
        segments.insert(min(at + rng.choice([1, 2, 6, 7, 8, 9, 30]), len(segments)), moved)
    for i, moved in enumerate(segments):
        moved.time = max(moved.time, i * MS)
    agree(segments)
    agree(segments, range(1, len(segments), 3))
    agree(segments, sorted(rng.sample(range(len(segments)), 9)))


@pytest.mark.parametrize("behind", [7, 8])
@pytest.mark.parametrize("cut", range(1, 12))
def test_reach_counts_packets_across_batches(behind, cut):
    segments = [Segment(0, 0, payload_len=100)]
    segments += [Segment(0, 200 + 100 * i, payload_len=100) for i in range(behind)]
    segments.append(Segment(0, 100, payload_len=100))
    for cuts in ((), [cut]):
        rows, _ = tracked(segments, [at for at in cuts if at < len(segments)])
        assert rows[-1][3:] == ((False, True) if behind == 7 else (True, False))


@pytest.mark.parametrize(("age", "late"), [(3 * MS - 1, True), (3 * MS, False)])
def test_a_gap_is_dated_from_the_packet_that_opened_it(age, late):
    segments = [
        Segment(0, 0, payload_len=100),
        Segment(0, 200, payload_len=100, time=5 * MS),
        Segment(0, 300, payload_len=100, time=6 * MS),
        Segment(0, 100, payload_len=100, time=5 * MS + age),
    ]
    for cuts in ((), [1], [2], [3], [1, 2, 3]):
        rows, _ = tracked(segments, cuts)
        assert rows[-1][3:] == (not late, late)


def test_more_than_four_gigabytes():
    step = 1 << 20
    count = 5 * 1024
    segments = []
    for i in range(count):
        segments.append(Segment(0, (77 + i * step) % WRAP, 1, payload_len=step, time=i * MS))
        segments.append(Segment(1, 9, (77 + (i + 1) * step) % WRAP, time=i * MS))
    segments.append(Segment(0, (77 + 3 * step) % WRAP, 1, payload_len=100, time=count * MS))
    for cuts in ((), range(1000, len(segments), 1000)):
        rows, tracker = tracked(segments, cuts)
        assert rows[-3][0] == 1 + (count - 1) * step
        assert tracker.sides["highest"][0] == 1 + count * step
        assert tracker.acknowledged(np.array([0]))[0] == count * step
        # this number was used 5 GB and 1 GB ago: 32 bits cannot tell, the nearer is taken
        assert rows[-1][0] == 1 + (4096 + 3) * step
        assert rows[-1][3]
        assert not any(row[3] or row[4] for row in rows[:-1])


def test_wild_resets_move_nothing():
    talk = Talk(server_isn=WRAP - 700).shake()
    for i in range(4):
        talk.s(ACK, 1 + 500 * i, 1, size=500)
        talk.s(RST, 2_000_000_000 + i, 1)
        talk.s(RST | ACK, -2_000_000_000, 1_000_000)
    talk.c(ACK, 1, 2001)
    for cuts in ((), range(len(talk.packets))):
        row = flow(talk.packets, cuts)
        assert row["retransmissions_to_client"] == row["out_of_order_to_client"] == 0
        assert row["acked_to_client"] == row["bytes_to_client"] == 2000
        assert row["acked_to_server"] == 0
        assert row["rst_to_client"] == 8


def test_a_keep_alive_is_no_retransmission():
    talk = Talk().shake()
    talk.c(ACK | PSH, 1, 1, size=100)
    talk.s(ACK, 1, 101)
    talk.c(ACK, 100, 1, size=1)  # RFC 9293 3.8.4: one garbage byte before the next expected
    talk.c(ACK, 100, 1)  # or none
    talk.c(ACK, 99, 1, size=2)  # two bytes: a retransmission
    row = flow(talk.packets)
    assert row["retransmissions_to_server"] == 1


@pytest.mark.parametrize("flags", [SYN, SYN | ACK, FIN | ACK])
def test_syn_and_fin_take_sequence_space(flags):
    packets = [Pkt(seq=9, flags=flags, ms=0), Pkt(seq=9, flags=flags, ms=1000)]
    rows, _ = tracked([Segment(0, p.seq, 0, p.flags, round(p.ms * MS)) for p in packets])
    assert [row[3] for row in rows] == [False, True]

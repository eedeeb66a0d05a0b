"""RTP streams against a plain loop after RFC 3550, appendix A, however the packets are cut into batches."""

from __future__ import annotations

import itertools
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.observations.media_rtp import SSRCS, Candidates, RtpStreams, payload_types

MS = 1_000_000
NAMES = (
    "packets",
    "skipped",
    "filled",
    "late",
    "copies",
    "jumps",
    "jitter",
    "jitter_max",
    "jitter_sum",
    "rate",
)


def rtp(seq, ts, ssrc=0xCAFE, kind=111, size=100):
    return struct.pack("!BBHII", 0x80, kind, seq % 65536, ts % 2**32, ssrc) + bytes(size)


def candidates(packets):
    """(fs, frame, ns, payload) rows in the order of flows, sides and frames."""
    packets = sorted(packets, key=lambda row: row[:2])
    head = np.zeros((len(packets), 32), dtype=np.uint8)
    for row, packet in zip(head, packets, strict=True):
        raw = packet[3][:32]
        row[: len(raw)] = np.frombuffer(raw, np.uint8)
    columns = [np.array([packet[place] for packet in packets], dtype=np.int64) for place in range(3)]
    return Candidates(*columns, head, np.array([len(packet[3]) for packet in packets], dtype=np.int64))


def fed(packets, cuts=()):
    streams = RtpStreams()
    begin = 0
    for end in [*sorted(set(cuts)), len(packets)]:
        if packets[begin:end]:
            streams.add(candidates(packets[begin:end]))
        begin = end
    return streams


def talk(numbers, *, fs=2, gap=20, step=960, jitter=None, **more):
    """Packets of one stream in the order given, ``gap`` ms apart."""
    late = jitter or [0] * len(numbers)
    return [
        (fs, frame, round((frame * gap + late[frame - 1]) * MS), rtp(number, number * step, **more))
        for frame, number in enumerate(numbers, 1)
    ]


def values(streams, row, *names):
    return [int(streams.table[name][row]) for name in names]


def flow(number):
    return np.array([number], dtype=np.int64), np.array([False])


def test_a_plain_stream():
    streams = fed(talk(range(65530, 65630)))
    (row,) = streams.media(*flow(1))
    assert values(streams, row, "packets", "skipped", "filled", "late", "copies") == [100, 0, 0, 0, 0]
    assert values(streams, row, "fs", "ssrc", "type", "rate", "jitter_max") == [2, 0xCAFE, 111, 48000, 0]
    assert [int(streams.sides[name][2]) for name in ("first_frame", "last_frame", "gap")] == [1, 100, 20 * MS]


@pytest.mark.parametrize(
    ("numbers", "lost", "late", "copies"),
    [
        ([*range(10), *range(15, 30)], 5, 0, 0),
        ([0, 1, 2, 4, 3, 5, 6, 7, 8, 9], 0, 1, 0),
        ([0, 1, 2, 4, 3, 3, 5, 6, 6, 7, 8], 0, 1, 2),
        ([0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8], 0, 0, 2),
        ([*range(10), 9000, *range(10, 20)], 0, 0, 0),  # a stray, no loss
        ([*range(10), *range(40000, 40010)], 0, 0, 0),  # the sender starts anew
        ([*range(100, 170), 100, 101, *range(170, 180)], 0, 2, 0),  # too old to be told from late ones
    ],
)
@pytest.mark.parametrize("cuts", [(), range(40)])
def test_loss_reordering_and_copies(numbers, lost, late, copies, cuts):
    streams = fed(talk(numbers), [cut for cut in cuts if cut < len(numbers)])
    (row,) = streams.media(*flow(1))
    skipped, filled, *rest = values(streams, row, "skipped", "filled", "late", "copies")
    assert [skipped - filled, *rest] == [lost, late, copies]


def test_jitter_is_that_of_rfc_3550():
    rng = random.Random(3)  # noqa: S311 - times of a test
    late = [rng.randrange(0, 30) for _ in range(200)]
    streams = fed(talk(range(200), jitter=late, kind=0, step=160))
    said = values(streams, 0, "rate", "jitter", "jitter_max", "jitter_packets")
    jitter, most = 0.0, 0.0
    for before, now in itertools.pairwise(late):
        jitter += (abs(now - before) * 8 - jitter) / 16
        most = max(most, jitter)
    assert said[0] == 8000
    assert said[1] / 16 == pytest.approx(jitter, abs=1.5)
    assert said[2] / 16 == pytest.approx(most, abs=1.5)
    assert said[3] == 199


@pytest.mark.parametrize(("step", "rate"), [(160, 8000), (320, 16000), (960, 48000), (1800, 90000), (3, -1)])
def test_the_clock_is_measured(step, rate):
    assert values(fed(talk(range(80), step=step)), 0, "rate") == [rate]


def test_a_second_is_needed_to_measure_it():
    assert values(fed(talk(range(40))), 0, "rate", "jitter_packets") == [0, 0]


def test_silence_names_the_packets_around_it():
    packets = talk(range(20))
    packets += [(fs, frame + 20, time + 3000 * MS, raw) for fs, frame, time, raw in talk(range(20, 40))]
    streams = fed(packets)
    assert [int(streams.sides[name][2]) for name in ("gap", "gap_from", "gap_to")] == [2620 * MS, 20, 21]


def test_what_is_no_media():
    rng = random.Random(1)  # noqa: S311 - bytes of a test
    noise = [(2, frame, frame * MS, b"\x80" + rng.randbytes(99)) for frame in range(1, 500)]
    constant = [(2, frame, frame * MS, b"\x80\x60" + bytes(98)) for frame in range(1, 500)]
    # a call of Sun RPC: numbers that go on, but no clock
    calls = [
        (2, frame, frame * MS, struct.pack("!BBHII", 0x80, 1, frame, 0, 2) + bytes(20))
        for frame in range(1, 50)
    ]
    short = talk(range(7))
    rtcp = [(2, frame, frame * MS, rtp(frame, frame, kind=200)) for frame in range(1, 50)]
    for none in (noise, constant, calls, short, rtcp):
        assert not len(fed(none).media(*flow(1)))
    assert len(fed(noise).media(np.array([1]), np.array([True]))) == 0
    assert len(fed(short).media(np.array([1]), np.array([True]))) == 1


def test_beside_media_a_short_source_counts():
    packets = talk(range(20))
    packets += [(2, frame + 50, time, raw) for fs, frame, time, raw in talk([5, 6, 7], ssrc=9)]
    packets.append((2, 99, 9 * MS, rtp(1, 1, ssrc=10)))
    assert len(fed(packets).media(np.array([1]), np.array([False]))) == 2
    assert len(fed(packets).media(np.array([1]), np.array([True]))) == 3


def test_sources_are_followed_up_to_a_limit_in_order_of_appearance():
    packets = [(2, frame, frame * MS, rtp(1, 1, ssrc=5000 - frame)) for frame in range(1, 3 * SSRCS)]
    for cuts in ((), range(1, 3 * SSRCS)):
        streams = fed(packets, [cut for cut in cuts if cut < len(packets)])
        kept = sorted(streams.table.column("ssrc").tolist(), reverse=True)[: streams.table.rows]
        assert kept == [5000 - frame for frame in range(1, SSRCS + 1)]


def test_cleared_rows_are_used_again():
    streams = fed(talk(range(30)) + talk(range(30), fs=5))
    streams.clear(np.array([1], dtype=np.int64))
    assert not len(streams.media(*flow(1)))
    assert len(streams.media(*flow(2))) == 1
    streams.add(candidates(talk(range(7, 27))))
    (row,) = streams.media(*flow(1))
    assert values(streams, row, "packets", "skipped", "first_frame") == [20, 0, 1]
    assert streams.table.rows == 2


def plain_loop(packets):
    """RFC 3550, A.3, packet by packet."""
    said = {}
    for fs, _, _, raw in packets:
        seq, _, ssrc = struct.unpack_from("!HII", raw, 2)
        one = said.setdefault((fs, ssrc), {"n": 0, "lost": 0, "copies": 0})
        one["n"] += 1
        if one["n"] == 1:
            one.update(ext=1, highest=1, last=seq, seen={1})
            continue
        step = (seq - one["last"] + 0x8000) % 65536 - 0x8000
        one["last"] = seq
        one["ext"] += step if abs(step) <= 3000 else 1
        gain = one["ext"] - one["highest"]
        if gain > 0:
            one["lost"] += gain - 1
            one["highest"] = one["ext"]
        elif gain > -64:
            again = one["ext"] in one["seen"]
            one["copies"] += again
            one["lost"] -= not again
        one["seen"].add(one["ext"])
    return {key: (one["n"], one["lost"], one["copies"]) for key, one in said.items()}


PACKETS = st.lists(
    st.tuples(st.integers(2, 5), st.sampled_from([1, 2, 3]), st.integers(-4, 6), st.booleans()), max_size=60
)


@settings(max_examples=150)
@given(PACKETS, st.data())
def test_against_a_plain_loop(steps, data):
    number, packets = {}, []
    for frame, (fs, ssrc, step, wild) in enumerate(steps, 1):
        number[fs, ssrc] = number.get((fs, ssrc), 65500) + (step if not wild else step * 1000)
        packets.append((fs, frame, frame * 7 * MS, rtp(number[fs, ssrc], frame * 480, ssrc=ssrc)))
    cuts = data.draw(st.sets(st.integers(0, len(packets))))
    whole, cut = fed(packets), fed(packets, cuts)
    rows = {}
    for streams in (whole, cut):
        rows = {
            (fs, ssrc): tuple(values(streams, row, *NAMES))
            for row in range(streams.table.rows)
            for fs, ssrc in [values(streams, row, "fs", "ssrc")]
        }
        said = {key: (row[0], row[1] - row[2], row[4]) for key, row in rows.items()}
        assert said == plain_loop(packets)
    assert rows == {
        tuple(values(whole, row, "fs", "ssrc")): tuple(values(whole, row, *NAMES))
        for row in range(whole.table.rows)
    }
    sides = ("first_frame", "last_frame", "gap", "gap_from", "gap_to")
    for fs in {packet[0] for packet in packets}:
        assert [int(whole.sides[name][fs]) for name in sides] == [int(cut.sides[name][fs]) for name in sides]


def test_payload_types():
    assert payload_types(1 << 8 | 1, 1 << 47) == [0, 8, 111]

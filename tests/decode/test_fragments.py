"""Fragments cut by hand as RFC 791 and RFC 8200 have it."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.decode import Decoder
from forensics.decode.fragments import Datagram
from tests.decode.build import batch_of, decode, ethernet, ipv4, ipv6, tcp, udp

BODY = udp(bytes(range(56)), dport=9999)
S = 10**9


def four(data, offset, *, more, ident=7, **fields):
    return ethernet(ipv4(data, 17, ident=ident, fragment=more << 13 | offset // 8, **fields))


def six(data, offset, *, more, ident=7, proto=17, before=b"", first=44):  # noqa: PLR0913 - fields of the headers
    head = struct.pack(">BBHI", proto, 0, offset | more, ident)
    return ethernet(ipv6(before + head + data, first), 0x86DD)


def cut(make, sizes=(24, 24), **fields):
    at, frames = 0, []
    for size in (*sizes, len(BODY)):
        part = BODY[at : at + size]
        if part:
            frames.append(make(part, at, more=at + size < len(BODY), **fields))
        at += size
    return frames


def run(frames, times=None, *, one_by_one=False, first_frame=1):
    batch = batch_of(*frames, first_frame=first_frame)
    if times is not None:
        batch = replace(batch, time=np.array(times, np.int64))
    decoder, rows = Decoder(), []
    pieces = [slice(n, n + 1) for n in range(len(frames))] if one_by_one else [slice(None)]
    for piece in pieces:
        columns = ("offset", "caplen", "wirelen", "time", "linktype", "interface")
        part = replace(
            batch,
            first_frame=first_frame + (piece.start or 0),
            **{name: getattr(batch, name)[piece] for name in columns},
        )
        decoded = decoder.decode(part)
        for row in decoded.packets.to_dicts():
            at = row.pop("payload_offset")
            row["payload"] = decoded.data[at : at + row["payload_captured"]].tobytes()
            row["inside"] = decoder.tunnels.text(row["tunnel"])
            rows.append(row)
    assert decoder.counts.packets == decoder.counts.explained
    return rows, decoder.counts


@pytest.mark.parametrize("make", [four, six])
def test_the_last_to_come_has_the_datagram(make):
    frames = cut(make)
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        rows, counts = run([frames[n] for n in order])
        (row,) = rows
        assert (row["frame"], row["dport"], row["payload"]) == (3, 9999, BODY[8:])
        assert row["payload_len"] == row["payload_captured"] == 56
        assert (counts.fragments, counts.fragments_reassembled, counts.fragments_unfinished) == (3, 1, 0)
        assert counts.udp == 1


def test_its_ip_fields_are_those_of_the_first_fragment():
    frames = [four(BODY[24:], 24, more=0, ttl=9), four(BODY[:24], 0, more=1, ttl=44, ident=7)]
    (row,), _ = run(frames)
    assert (row["ttl"], row["ipid"], row["df"], row["ip_bytes"]) == (44, 7, False, 20 + len(BODY))
    (row,), _ = run(cut(six))
    assert (row["ttl"], row["ipid"], row["ip_bytes"]) == (55, -1, 40 + len(BODY))


def test_ipv6_headers_before_and_behind_the_fragment_header():
    hop, options = bytes([44, 0, 1, 4, 0, 0, 0, 0]), bytes([17, 0, 1, 4, 0, 0, 0, 0])
    whole = options + BODY
    frames = [
        six(whole[:16], 0, more=1, proto=60, before=hop, first=0),
        six(whole[16:], 16, more=0, proto=60, before=hop, first=0),
    ]
    (row,), counts = run(frames)
    assert (row["dport"], row["payload"], row["ip_bytes"]) == (9999, BODY[8:], 48 + len(whole))
    assert counts.fragments_reassembled == 1


def test_an_atomic_fragment_waits_for_nothing():
    (row,), counts = run([six(BODY, 0, more=0)])
    assert row["payload"] == BODY[8:]
    assert counts.fragments == 0


@pytest.mark.parametrize("field", ["ident", "src", "dst"])
def test_datagrams_are_told_apart(field):
    other = {"ident": 8, "src": "10.0.0.1", "dst": "10.0.0.2"}[field]
    one, two = cut(four, (24,)), cut(four, (24,), **{field: other})
    rows, counts = run([one[0], two[1]])
    assert (rows, counts.fragments_unfinished) == ([], 2)
    rows, _ = run([one[0], two[0], two[1], one[1]])
    assert [row["frame"] for row in rows] == [3, 4]


def test_fragments_in_different_tunnels_are_told_apart():
    def in_gre(frame, key):
        return ethernet(ipv4(struct.pack(">HHI", 0x2000, 0x0800, key) + frame[14:], 47))

    one, two = cut(four, (24,))
    rows, _ = run([in_gre(one, 1), in_gre(two, 2)])
    assert rows == []
    for one_by_one in (False, True):
        rows, counts = run([in_gre(one, 1), in_gre(one, 2), in_gre(two, 2)], one_by_one=one_by_one)
        assert [(row["frame"], row["inside"], row["payload"]) for row in rows] == [(3, "gre", BODY[8:])]
        assert counts.fragments_unfinished == 1


def test_a_tunnel_in_fragments():
    inner = ipv4(tcp(b"abc"), 6)
    raw = bytes.fromhex("00000800") + inner
    frames = [
        ethernet(ipv4(raw[:32], 47, ident=1, fragment=0x2000)),
        ethernet(ipv4(raw[32:], 47, ident=1, fragment=4)),
    ]
    (row,), counts = run(frames)
    assert (row["frame"], row["payload"], row["inside"]) == (2, b"abc", "gre")
    assert (counts.fragments_reassembled, counts.tcp) == (1, 1)


def test_a_first_fragment_that_was_cut_is_read_as_it_is():
    frame = four(BODY[:48], 0, more=1)
    rows, counts = run([(frame[:50], 1, len(frame))])
    assert [(row["dport"], row["payload_captured"]) for row in rows] == [(9999, 8)]
    assert (counts.fragments, counts.fragments_read, counts.fragments_unfinished) == (1, 1, 0)
    frame = six(BODY[:48], 0, more=1)
    rows, counts = run([(frame[:80], 1, len(frame))])
    assert (rows, counts.fragments, counts.fragments_read) == ([], 1, 0)


@pytest.mark.parametrize(("make", "limit"), [(four, 30), (six, 60)])
def test_a_datagram_is_given_up_after_its_time(make, limit):
    frames = cut(make, (24,))
    for one_by_one in (False, True):
        rows, _ = run(frames, [S, S + limit * S], one_by_one=one_by_one)
        assert len(rows) == 1
        rows, counts = run(frames, [S, S + limit * S + 1], one_by_one=one_by_one)
        assert (rows, counts.fragments_unfinished) == ([], 2)


def test_what_came_first_stays_and_conflicts_are_kept_as_evidence():
    forged = bytearray(BODY[16:40])
    forged[8:] = b"\xff" * 16
    frames = [
        four(BODY[:24], 0, more=1),
        four(BODY[16:40], 16, more=1),
        four(bytes(forged), 16, more=1),
        four(BODY[40:], 40, more=0),
    ]
    (row,), counts = run(frames, first_frame=11)
    assert (row["frame"], row["payload"]) == (14, BODY[8:])
    assert (counts.fragment_overlaps, counts.fragment_conflicts) == (2, 1)
    assert counts.fragment_overlap_frames == [12, 13]


def test_another_end_is_a_conflict():
    frames = [four(BODY[40:], 40, more=0), four(BODY[40:], 64, more=0), four(BODY[:40], 0, more=1)]
    (row,), counts = run(frames)
    assert row["payload"] == BODY[8:]
    assert counts.fragment_conflicts == 1


def test_ipv6_fragments_that_overlap_are_refused_but_repeated_ones_are_not():
    one, two = cut(six, (24,))
    rows, counts = run([one, one, two])
    assert len(rows) == 1
    assert (counts.fragment_overlaps, counts.fragment_conflicts, counts.fragments_refused) == (1, 0, 0)
    rows, counts = run([one, six(BODY[16:40], 16, more=1), two, one])
    assert rows == []
    assert (counts.fragments_refused, counts.fragments_unfinished, counts.fragment_overlaps) == (1, 0, 1)


@pytest.mark.parametrize("make", [four, six])
def test_the_ping_of_death(make):
    rows, counts = run([make(BODY[:24], 0, more=1), make(bytes(40), 65_528, more=0)])
    assert rows == []
    assert (counts.fragments_impossible, counts.fragments) == (1, 2)


def test_empty_fragments():
    rows, counts = run([four(b"", 0, more=1), four(b"", 8, more=0), six(b"", 8, more=1)])
    assert (rows, counts.fragments_impossible) == ([], 3)


@pytest.mark.parametrize("bound", ["MAX_OPEN", "MAX_BYTES"])
def test_what_is_held_is_bounded_and_the_oldest_goes_first(monkeypatch, bound):
    monkeypatch.setattr(f"forensics.decode.fragments.{bound}", 3 if bound == "MAX_OPEN" else 3 * (512 + 24))
    firsts = [cut(four, (24,), ident=ident)[0] for ident in range(5)]
    lasts = [cut(four, (24,), ident=ident)[1] for ident in range(5)]
    for one_by_one in (False, True):
        rows, counts = run([*firsts, lasts[4], lasts[2], lasts[0]], one_by_one=one_by_one)
        assert 4 in {row["ipid"] for row in rows}
        assert 0 not in {row["ipid"] for row in rows}
        assert counts.fragments_reassembled == len(rows)


def test_many_tiny_fragments_take_bounded_room():
    frames = [four(bytes(8), 65_512 - 8 * (n % 8000), more=1, ident=n % 300) for n in range(3_000)]
    decoder = Decoder()
    decoder.decode(batch_of(*frames))
    (state,) = decoder.fragments
    assert 0 < state.held <= 16 << 20
    assert 0 < len(state) <= 300
    assert decoder.counts.fragments == 3_000


PIECES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 24), st.integers(0, 255)), max_size=14)


@settings(max_examples=200, deadline=None)
@given(PIECES)
def test_filling_is_what_a_byte_by_byte_model_says(pieces):
    datagram, model = Datagram(0), {}
    for start, size, value in pieces:
        data = bytes([value] * size)
        known = [place for place in range(start, start + size) if place in model]
        said = datagram.take(start, data)
        differs = any(model[place] != value for place in known)
        assert said == (bool(known), differs, len(known) == size)
        for place in range(start, start + size):
            model.setdefault(place, value)
        assert all(datagram.buffer[place] == byte for place, byte in model.items())
        runs = list(zip(datagram.starts, datagram.ends, strict=True))
        assert {place for low, high in runs for place in range(low, high)} == set(model)
        assert all(high < low for (_, high), (low, _) in pairwise(runs))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=16), st.randoms(use_true_random=False))
def test_batches_do_not_matter(chosen, shuffler):
    frames = [frame for is_six, ident in chosen for frame in cut(six if is_six else four, (24,), ident=ident)]
    shuffler.shuffle(frames)
    together, alone = run(frames), run(frames, one_by_one=True)
    assert together[0] == alone[0]
    assert together[1] == alone[1]


def test_random_order_and_sizes():
    shuffler = random.Random(3)  # noqa: S311 - no secret
    for _ in range(30):
        sizes = [8 * shuffler.randint(1, 3) for _ in range(shuffler.randint(1, 4))]
        frames = cut(four, sizes)
        shuffler.shuffle(frames)
        rows, _ = run(frames)
        assert [row["payload"] for row in rows] == [BODY[8:]]


def test_other_frames_stay_in_their_place():
    one, two = cut(four, (24,))
    plain = ethernet(ipv4(tcp(b"x"), 6))
    rows, _ = decode(plain, one, plain, two, plain)
    assert [(row["frame"], row["proto"]) for row in rows] == [(1, 6), (3, 6), (4, 17), (5, 6)]

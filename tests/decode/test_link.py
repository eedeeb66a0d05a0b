"""Every link layer, each frame in all the ways it may come; see link_cases.py."""

from __future__ import annotations

import subprocess
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.decode.counts import DecodeCounts
from forensics.decode.link import LINKTYPES, by_ethertype, by_linktype, by_ppp, find_network
from forensics.decode.network import Candidates
from tests.capture.build import pcap
from tests.decode.build import batch_of
from tests.decode.build import decode as decode_frames
from tests.decode.link_cases import (
    BAD,
    DEEP,
    ETHERNET,
    FIXED,
    FOUR,
    IP_IN_PPP,
    NOT_IP,
    PPP,
    SECRET,
    SIX,
    WIRELESS,
    Case,
    eth,
    frame,
    label,
    llc,
    pppoe,
)

CASES = [*ETHERNET, *PPP, *FIXED, *WIRELESS]
BY_LINKTYPE = {number: [case for case in CASES if case.linktype == number] for number in LINKTYPES}
NAMES = {"ids": lambda case: case.name}


def walked(*frames, gap=b"\xaa\xaa\x03\x00"):
    """(row, where in its frame IP begins, version that the link layer tells, first nibble) a packet; and counts."""
    batch, counts = batch_of(*frames, gap=gap), DecodeCounts(packets=len(frames))
    found = find_network(batch, counts)
    assert counts.explained + len(found.row) == len(frames)
    assert (np.diff(found.row) >= 0).all()
    assert (found.start >= batch.offset[found.row]).all()
    assert (found.start <= (batch.offset + batch.caplen)[found.row]).all()
    offset = found.start - batch.offset[found.row]
    # Where the captured bytes end before IP, there is none.
    inside = found.start < (batch.offset + batch.caplen)[found.row]
    nibble = np.where(inside, np.append(batch.data, 0)[found.start] >> 4, 0)
    return (
        list(zip(found.row.tolist(), offset.tolist(), found.version.tolist(), nibble.tolist(), strict=True)),
        counts,
    )


def classes(counts):
    """Those that the link layer counts in."""
    mine = (NOT_IP, BAD, DEEP, SECRET, "aggregated", "unknown_linktypes")
    return {name for name in mine if getattr(counts, name)}


def test_no_case_is_there_twice():
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_link_type_has_a_case():
    assert {case.linktype for case in CASES if case.inside} == set(LINKTYPES)


@pytest.mark.parametrize("case", CASES, **NAMES)
def test_whole(case):
    found, counts = walked((case.frame, case.linktype))
    assert [nibble for *_, nibble in found] == case.inside
    assert all(version in {0, nibble} for _, _, version, nibble in found)
    expected = {case.found} if not case.inside else {"aggregated"} if len(case.inside) > 1 else set()
    assert classes(counts) == expected


@pytest.mark.parametrize("case", CASES, **NAMES)
def test_growing_prefixes(case):
    """What was captured of a frame leads to IP at the same place as the whole frame does, or not at all."""
    whole, _ = walked((case.frame, case.linktype))
    for size in range(len(case.frame)):
        found, _ = walked((case.frame[:size], case.linktype, len(case.frame)))
        same = [there[:3] for there in whole]
        assert [there[:3] for there in found] == same[: len(found)]
        # An IP header that is there is found; where nothing of it is left, only the link layer speaks of it.
        assert len(found) >= sum(there[1] < size for there in whole)


@pytest.mark.parametrize("junk", [bytes(1), bytes(4), b"\xde\xad\xbe\xef", bytes(46)], ids=len)
@pytest.mark.parametrize("case", [case for case in CASES if case.inside], **NAMES)
def test_trailing_junk(case, junk):
    """Padding and checksums."""
    whole, _ = walked((case.frame, case.linktype))
    found, _ = walked((case.frame + junk, case.linktype))
    assert found[: len(whole)] == whole


@pytest.mark.parametrize("number", LINKTYPES)
def test_a_batch_is_its_frames(number):
    frames = [
        (case.frame[: len(case.frame) - cut], number) for case in BY_LINKTYPE[number] for cut in (0, 30)
    ]
    together, counts = walked(*frames)
    alone, sums = [], DecodeCounts()
    for row, one in enumerate(frames):
        found, its = walked(one)
        alone += [(row, *there[1:]) for there in found]
        for field in fields(its):
            if isinstance(getattr(its, field.name), int):
                setattr(sums, field.name, getattr(sums, field.name) + getattr(its, field.name))
    assert together == alone
    assert sums == counts
    assert sums.explained + len(alone) == len(frames)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(CASES),
            st.integers(0, 120),
            st.binary(max_size=4),
            st.integers(0, 90),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_broken_frames_of_any_kind_are_counted_once(made):
    """``walked`` asserts it."""
    frames = []
    for case, at, noise, size, whole in made:
        raw = case.frame[:at] + noise + case.frame[at + len(noise) :]
        frames.append((raw if whole else raw[:size], case.linktype))
    together, _ = walked(*frames)
    alone = [(row, *there[1:]) for row, one in enumerate(frames) for there in walked(one)[0]]
    assert together == alone


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(LINKTYPES)), st.lists(st.binary(max_size=200), max_size=6))
def test_any_bytes(number, frames):
    walked(*((raw, number) for raw in frames))


def layers(tshark, cases, number, folder):
    """How many TCP headers tshark finds in each frame."""
    path = folder / f"{number}.pcap"
    path.write_bytes(pcap([(1, at, case.frame) for at, case in enumerate(cases)], linktype=number))
    command = [tshark, "-n", "-r", path, "-T", "fields", "-e", "frame.protocols"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.split(":").count("tcp") for line in lines]


@pytest.mark.parametrize("number", LINKTYPES)
def test_tshark_finds_the_same(number, tshark, tmp_path):
    cases = BY_LINKTYPE[number]
    seen = layers(tshark, cases, number, tmp_path) or [0] * len(cases)
    for case, count in zip(cases, seen, strict=True):
        assert (count == len(case.inside)) is (not case.unlike_tshark), case.name


def test_packets_of_an_aggregate_are_rows_of_its_frame():
    case = next(case for case in WIRELESS if case.name == "aggregate")
    rows, counts = decode_frames((case.frame, 105), (FOUR, 101))
    assert [row["frame"] for row in rows] == [1, 1, 1, 2]
    assert (counts.packets, counts.tcp, counts.aggregated) == (2, 4, 2)


def test_link_types_mix_in_one_batch():
    rows, counts = decode_frames(
        (eth(0x0800, FOUR), 1), (b"user", 147), (SIX, 101), (frame("02000000"), 0), (b"", -1)
    )
    assert [row["frame"] for row in rows] == [1, 3, 4]
    assert counts.unknown_linktypes == {147: 1, -1: 1}


def test_raw_links_that_fix_the_version():
    rows, counts = decode_frames((FOUR, 228), (SIX, 229), (SIX, 228), (FOUR, 229))
    assert [row["frame"] for row in rows] == [1, 2]
    assert counts.bad_ip_header == 2


@pytest.mark.parametrize("case", [ETHERNET[0], *PPP[:1], *FIXED[:1]], **NAMES)
def test_bytes_of_the_next_packet_are_not_taken_for_the_cut_ones(case):
    whole, _ = walked((case.frame, case.linktype))
    at = whole[0][1]
    found, counts = walked(
        (case.frame[: at - 1], case.linktype), (FOUR, 101), gap=case.frame[at - 1 : at] + FOUR
    )
    assert [there[0] for there in found] == [1]
    assert counts.bad_link_header == 1


def candidates(*frames, gap=b"\xee"):
    batch = batch_of(*frames, gap=gap)
    end = batch.offset + batch.caplen
    # Rows as a tunnel's reader has them: they rise, with gaps.
    return batch.data, Candidates(np.arange(len(batch)) * 3 + 5, batch.offset, end, batch.wirelen)


def test_what_a_tunnel_carries_by_ethertype():
    inside = [
        FOUR,
        SIX,
        bytes(28),
        frame("00050800"),
        eth(0x0800, FOUR),
        label(9) + SIX,
        pppoe(IP_IN_PPP),
        IP_IN_PPP,
    ]
    types = [0x0800, 0x86DD, 0x0806, 0x8100, 0x6558, 0x8847, 0x8864, 0x880B]
    data, given_ = candidates(*inside)
    counts = DecodeCounts()
    found, version = by_ethertype(data, given_, np.array(types, np.int32), counts)
    kept = [number for number in range(len(inside)) if number != 2]
    assert found.row.tolist() == [number * 3 + 5 for number in kept]
    assert (data[found.start] >> 4).tolist() == [4, 6, 4, 4, 6, 4, 4]
    assert [v or n for v, n in zip(version, data[found.start] >> 4, strict=True)] == [4, 6, 4, 4, 6, 4, 4]
    sizes = [len(FOUR), len(SIX), len(FOUR), len(FOUR), len(SIX), len(FOUR), len(FOUR)]
    assert (found.end - found.start).tolist() == sizes
    assert found.wire_length.tolist() == sizes
    assert (counts.not_ip, counts.explained) == (1, 1)


def test_what_a_tunnel_carries_by_ppp():
    data, given_ = candidates(
        IP_IN_PPP, b"\xff\x03\x00\x57" + SIX, b"\xc0\x21" + bytes(8), b"", b"\x21" + FOUR
    )
    counts = DecodeCounts()
    found, _ = by_ppp(data, given_, counts)
    assert found.row.tolist() == [5, 8, 17]
    assert (data[found.start] >> 4).tolist() == [4, 6, 4]
    assert (counts.not_ip, counts.bad_link_header) == (1, 1)


def test_what_a_tunnel_carries_by_link_type():
    data, given_ = candidates(eth(0x0800, FOUR), FOUR, frame("0f0086dd", SIX), b"user")
    counts = DecodeCounts()
    found, version = by_linktype(data, given_, np.array([1, 228, 104, 147], np.int32), counts)
    assert found.row.tolist() == [5, 8, 11]
    assert version.tolist() == [4, 4, 6]
    assert counts.unknown_linktypes == {147: 1}


@pytest.mark.parametrize("call", [by_linktype, by_ethertype])
def test_nothing_gives_nothing(call):
    data, given_ = candidates()
    found, version = call(data, given_, np.empty(0, np.int32), DecodeCounts())
    assert len(found.row) == len(found.start) == len(version) == 0


def test_padding_behind_a_length_is_cut_off():
    """An IP packet that leaves its length 0 (offload) ends where the link layer says."""
    for raw in (eth(len(llc()), llc() + bytes(20)), eth(0x8864, pppoe(IP_IN_PPP) + bytes(20))):
        data, given_ = candidates(raw)
        found, _ = by_linktype(data, given_, np.array([1], np.int32), DecodeCounts())
        assert found.wire_length.tolist() == [len(FOUR)]
        assert (found.end - found.start).tolist() == [len(FOUR)]


def test_cases_are_told_apart():
    """The tests above can fail."""
    assert classes(walked((Case("x", 1, eth(0x0806, b""), "4").frame, 1))[1]) == {"not_ip"}

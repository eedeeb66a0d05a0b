"""Walking side by side finds what one plain loop finds, on whatever bytes."""

from __future__ import annotations

import struct
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture import lockstep
from forensics.capture.lockstep import Layout, walk
from forensics.capture.scan import MAX_CAPLEN

HEADERS = (16, 20, 24, 28)
LIES = (0, 1, 15, 16, 60, MAX_CAPLEN, MAX_CAPLEN + 1, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF)
SECONDS = 1_700_000_000


def one_by_one(content, start, end, limit, layout):
    """What a walk is: one record after the other."""
    found = []
    position = start
    while len(found) < limit and position + layout.header <= end:
        (caplen,) = struct.unpack_from(layout.order + "8xI", content, position)
        found.append(position)
        if caplen > MAX_CAPLEN:
            break
        position += layout.header + caplen
    return found, position


def record(layout, payload, seconds=SECONDS, fraction=0, caplen=None):
    size = len(payload) if caplen is None else caplen
    head = struct.pack(layout.order + "IIII", seconds, fraction, size, max(size, len(payload)) & 0xFFFFFFFF)
    return head + bytes(layout.header - 16) + payload


def check(content, start, end, limit, layout):
    found, position = walk(np.frombuffer(content, np.uint8), start, end, limit, layout)
    assert found.dtype == np.int64
    assert (found.tolist(), position) == one_by_one(content, start, end, limit, layout)


@cache
def ordinary(layout, count, seed=1, largest=1514):
    """A capture of packets of any length, filled with random bytes."""
    random = np.random.default_rng(seed)
    sizes = random.integers(0, largest, count, endpoint=True).tolist()
    return b"".join(
        record(layout, random.bytes(size), SECONDS + number // 1000, number % 1000)
        for number, size in enumerate(sizes)
    )


@pytest.fixture
def small(monkeypatch):
    """All of it, on a few kilobytes."""
    shrink(monkeypatch)


def shrink(monkeypatch):
    monkeypatch.setattr(lockstep, "LEAST", 256)
    monkeypatch.setattr(lockstep, "SAMPLE", 3)
    monkeypatch.setattr(lockstep, "_SHORTEST", 48)
    monkeypatch.setattr(lockstep, "_LONGEST", 200)
    monkeypatch.setattr(lockstep, "_SEARCHED", 2)
    monkeypatch.setattr(lockstep, "_STEPS", 20)
    monkeypatch.setattr(lockstep, "_ASKED", 3)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("largest", [0, 60, 1514, 65_535])
def test_an_ordinary_capture_is_hardly_walked_plainly(monkeypatch, order, header, largest):
    layout = Layout(order, header)
    content = ordinary(layout, max(1_600_000 // (largest // 2 + header), 1000), largest=largest)
    plainly = []
    plain = lockstep._plain  # noqa: SLF001 - to count what it is left with

    def counting(*given):
        found, position = plain(*given)
        plainly.append(len(found))
        return found, position

    monkeypatch.setattr(lockstep, "_plain", counting)
    check(content, 0, len(content), 1 << 30, layout)
    records = len(one_by_one(content, 0, len(content), 1 << 30, layout)[0])
    assert sum(plainly) < records / 2


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 700])
@pytest.mark.parametrize("limit", [1, 63, 64, 65, 3000, 1 << 30])
def test_where_it_ends(cut, limit):
    layout = Layout("<", 16)
    content = ordinary(layout, 4000)
    check(content + b"\xff" * 40, 0, len(content) - cut, limit, layout)
    check(content[: len(content) - cut], 0, len(content) - cut, limit, layout)


@pytest.mark.parametrize("lie", LIES)
def test_a_length_that_lies_in_the_middle(lie):
    layout = Layout(">", 16)
    half = ordinary(layout, 3000)
    content = half + record(layout, bytes(60), caplen=lie) + half
    check(content, 0, len(content), 1 << 30, layout)


def test_a_length_beyond_all_is_the_end_even_where_it_holds():
    layout = Layout("<", 16)
    half = ordinary(layout, 3000)
    content = half + record(layout, bytes(MAX_CAPLEN + 1)) + half
    check(content, 0, len(content), 1 << 30, layout)
    check(half + record(layout, bytes(MAX_CAPLEN)) + half, 0, len(content) - 1, 1 << 30, layout)


def test_a_capture_inside_the_packets_of_a_capture():
    """Packets of a file transfer: their payload is a pcap of the same time."""
    layout = Layout("<", 16)
    inner = ordinary(layout, 4000, seed=2, largest=200)
    content = b"".join(record(layout, inner[at : at + 1460]) for at in range(0, len(inner), 1460)) * 6
    check(content, 0, len(content), 1 << 30, layout)


def test_empty_packets_of_no_time_look_like_zeros_everywhere():
    layout = Layout("<", 16)
    content = bytes(3 << 20)
    check(content, 0, len(content), 1 << 30, layout)
    check(content, 5, len(content) - 3, 100_000, layout)


def test_a_capture_over_half_a_year():
    """The top byte of the time changes in the middle."""
    layout = Layout("<", 16)
    random = np.random.default_rng(3)
    content = b"".join(record(layout, random.bytes(500), SECONDS + number * 4000) for number in range(5000))
    check(content, 0, len(content), 1 << 30, layout)


def payloads(layout):
    fake = st.lists(
        st.builds(
            lambda size, lie, shift: record(
                layout, bytes(size), caplen=max(0, lie if lie is not None else size + shift)
            ),
            st.integers(0, 40),
            st.sampled_from([None] * 8 + [*LIES]),
            st.integers(-20, 20),
        ),
        max_size=6,
    ).map(b"".join)
    return st.one_of(
        st.binary(max_size=90),
        st.integers(0, 300).map(bytes),
        fake,
        st.tuples(st.binary(max_size=20), fake).map(b"".join),
    )


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_hostile_bytes(data):
    layout = Layout(data.draw(st.sampled_from("<>")), data.draw(st.sampled_from(HEADERS)))
    seconds = st.sampled_from([SECONDS, SECONDS, SECONDS, 0, 0xFFFFFFFF])
    caplens = st.sampled_from([None] * 300 + [*LIES])
    times = data.draw(seconds)
    content = bytearray(
        b"".join(
            record(layout, payload, times, caplen=caplen)
            for payload, caplen in data.draw(
                st.lists(st.tuples(payloads(layout), caplens), min_size=8, max_size=60)
            )
        )
    ) * data.draw(st.integers(2, 8))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, max(len(content) - 4, 0)))
        content[at : at + 4] = struct.pack(layout.order + "I", data.draw(st.sampled_from(LIES)))
    content = bytes(content)
    start = data.draw(st.sampled_from([0, 0, 0, min(7, len(content))]))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(start, len(content))))
    limit = data.draw(st.one_of(st.just(1 << 30), st.integers(1, 150)))
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        patch.setattr(lockstep, "_STEPS", data.draw(st.sampled_from([1, 4, 20, 200])))
        check(content, start, end, limit, layout)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("limit", range(1, 120, 7))
def test_every_limit(limit):
    layout = Layout("<", 16)
    content = ordinary(layout, 100, largest=80)
    for end in range(len(content) - 100, len(content)):
        check(content, 0, end, limit, layout)

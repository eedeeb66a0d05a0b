from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.capture import open_capture
from forensics.capture.ahead import ReadAhead
from forensics.capture.windows import SPARE, Windows
from tests.capture.build import enhanced, interface, pcap, section

SIZES = (8, 16)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from(("take", "lend", "give_back", "retire")), st.integers(0, 1 << 16)),
        max_size=60,
    )
)
def test_a_window_that_a_batch_looks_at_is_never_handed_out(steps):
    windows = Windows()
    current = []  # the reader cuts batches from these
    batches = []  # each the window it looks at
    for action, pick in steps:
        if action == "take":
            fresh = windows.take(SIZES[pick % 2])
            assert len(fresh) == SIZES[pick % 2]
            assert all(fresh is not other for other in current + batches)
            current.append(fresh)
        elif action == "lend" and current:
            batches.append(current[pick % len(current)])
            windows.lend(batches[-1])
        elif action == "give_back" and batches:
            windows.give_back(batches.pop(pick % len(batches)))
        elif action == "retire" and current:
            windows.retire(current.pop(pick % len(current)))


def test_memory_is_used_again_once_all_batches_are_back():
    windows = Windows()
    window = windows.take(8)
    windows.lend(window)
    windows.lend(window)
    windows.give_back(window)
    windows.retire(window)
    assert windows.take(8) is not window
    windows.give_back(window)
    assert windows.take(16) is not window
    assert windows.take(8) is window


def test_few_windows_are_kept():
    windows = Windows()
    many = [windows.take(8) for _ in range(SPARE + 5)]
    for window in many:
        windows.retire(window)
    again = [windows.take(8) for _ in many]
    assert sum(any(window is old for old in many) for window in again) == SPARE


def test_windows_that_never_come_back_do_no_harm():
    windows = Windows()
    known: Counter[int] = Counter()
    for _ in range(50):
        lost = windows.take(8)  # Python may give it the id of one that was lost before
        known[id(lost)] += 1
        windows.lend(lost)
        windows.retire(lost)
        del lost
    assert max(known.values()) > 1
    live = windows.take(8)
    windows.lend(live)
    kept = windows.take(8)
    windows.lend(kept)
    windows.retire(live)
    windows.give_back(kept)
    assert all(windows.take(8) is not live for _ in range(SPARE + 1))


def bodies(count, most=7):
    return [hashlib.sha256(b"%d" % i).digest() * (i % most) for i in range(count)]


def as_pcapng(packets):
    return section() + interface() + b"".join(enhanced(data, i) for i, data in enumerate(packets))


def as_pcap(packets):
    return pcap([(i, 0, data) for i, data in enumerate(packets)])


def cut(batch):
    ends = batch.offset + batch.caplen
    return [batch.data[a:b].tobytes() for a, b in zip(batch.offset.tolist(), ends.tolist(), strict=True)]


PACKETS = bodies(150)
FILES = {
    "pcap": as_pcap(PACKETS),
    "pcapng": as_pcapng(PACKETS),
    "gzip": gzip.compress(as_pcap(PACKETS)),
}


@pytest.mark.parametrize("kind", FILES)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_bytes=st.integers(1, 2000),
    batch_packets=st.integers(1, 40),
    order=st.randoms(use_true_random=False),
)
def test_batches_keep_their_bytes_until_they_are_released(tmp_path, kind, batch_bytes, batch_packets, order):
    path = tmp_path / "capture"
    path.write_bytes(FILES[kind])
    held = []

    def let_go():
        batch = held.pop(order.randrange(len(held)))
        first = batch.first_frame - 1
        assert cut(batch) == PACKETS[first : first + len(batch)]
        reader.release(batch)

    with open_capture(path, batch_bytes=batch_bytes, batch_packets=batch_packets) as reader:
        for batch in reader:
            held.append(batch)
            while held and order.random() < 0.6:
                let_go()
        while held:
            let_go()
    assert reader.notes.packets == len(PACKETS)
    assert reader.notes.sha256 == hashlib.sha256(FILES[kind]).hexdigest()


BIG = bodies(1500, 90)
BIG_FILES = {"pcap": as_pcap(BIG), "gzip": gzip.compress(as_pcap(BIG), compresslevel=1)}


@pytest.mark.parametrize("kind", BIG_FILES)
@pytest.mark.parametrize("ahead", [False, True])
def test_bytes_and_hash_are_right_when_every_batch_is_released_at_once(tmp_path, kind, ahead):
    path = tmp_path / "capture"
    path.write_bytes(BIG_FILES[kind])
    seen = []
    with (
        open_capture(path, batch_bytes=70_000, batch_packets=40) as reader,
        ReadAhead(reader) if ahead else nullcontext(reader) as batches,
    ):
        for batch in batches:
            seen += cut(batch)
            reader.release(batch)
    assert seen == BIG
    assert reader.notes.sha256 == hashlib.sha256(BIG_FILES[kind]).hexdigest()


def test_released_memory_really_is_used_again(tmp_path):
    path = tmp_path / "capture"
    path.write_bytes(BIG_FILES["pcap"])
    places = set()
    windows = 0
    with open_capture(path, batch_bytes=70_000) as reader:
        for batch in reader:
            windows += 1
            places.add(batch.data.__array_interface__["data"][0])
            assert isinstance(batch.data, np.ndarray)
            reader.release(batch)
    assert len(places) <= SPARE + 2 < windows

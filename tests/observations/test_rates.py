"""Rates and losses of transfers, from hand-made ones whose rate is known and against a plain loop."""

from __future__ import annotations

import random
from statistics import median

import numpy as np
import pytest

from forensics.observations.throughput import MIN_BYTES
from tests.flows.made import ACK, MS, START, Talk, flow

COLUMNS = (
    "goodput_bps", "loss_ratio", "burst_bytes", "first_loss_frame", "last_loss_frame", "loss_span_ms",
    "steady_rate_bps", "steady_spread", "loss_windows", "rate_before_loss_bps",
)  # fmt: skip


def rates(packets, cuts=()):
    row = flow(packets, cuts)
    return {name: row[name] for name in COLUMNS}


def in_any_batches(packets):
    found = rates(packets)
    for cuts in (range(0, len(packets), 37), [len(packets) // 2]):
        assert rates(packets, cuts) == found
    return found


def test_a_transfer_without_loss():
    talk = Talk(gap=10).shake()
    for i in range(201):
        talk.s(ACK, 1 + 1000 * i, 1, size=1000)
    found = in_any_batches(talk.packets)
    assert found["goodput_bps"] == 201_000 * 8 / 2.0
    assert found["loss_ratio"] == 0.0
    assert {
        name: value for name, value in found.items() if name not in {"goodput_bps", "loss_ratio"}
    } == dict.fromkeys(COLUMNS[2:])


@pytest.mark.parametrize(("last", "known"), [(999, False), (1000, True)])
def test_small_transfers_say_nothing(last, known):
    talk = Talk(gap=10).shake()
    for i in range(99):
        talk.s(ACK, 1 + 1000 * i, 1, size=1000)
    talk.s(ACK, 99_001, 1, size=last)
    assert MIN_BYTES == 100_000
    found = in_any_batches(talk.packets)
    assert (found["goodput_bps"] is not None) is known
    assert (found["loss_ratio"] is not None) is known


def test_an_upload_has_no_download_rate():
    talk = Talk(gap=10).shake()
    for i in range(200):
        talk.c(ACK, 1 + 1000 * i, 1, size=1000)
    assert in_any_batches(talk.packets) == dict.fromkeys(COLUMNS)


def test_resets_and_their_payload_are_no_transfer():
    talk = Talk(gap=10).shake()
    for i in range(200):
        talk.s(ACK, 1 + 1000 * i, 1, size=1000)
    expected = rates(talk.packets)
    talk.s(4, 900_000, 0, size=60_000, ms=90_000)
    assert rates(talk.packets) == expected


def transfer(seed, *, at_server, stalls=False):
    """A sender at 1000 bytes each 10 ms whose losses are sent again 300 ms later, seen at either end."""
    rng = random.Random(seed)  # noqa: S311 - reproducible packets
    sent = []
    clock = 0.0
    for i in range(900):
        clock += 10
        if stalls and rng.random() < 0.01:
            clock += rng.choice([1500, 4000])
        lost = 50 < i < 850 and rng.random() < 0.03
        sent.append((clock, i, lost, False))
        if lost:
            sent.append((clock + 300.5, i, False, True))
    talk = Talk(gap=10).shake()
    for ms, i, lost, _ in sorted(sent):
        if at_server or not lost:
            talk.s(ACK, 1 + 1000 * i, 1, size=1000, ms=100 + ms)
    # one that nothing overtook is, at the client, like any other segment
    again, highest = [], -1
    for ms, i, lost, repeated in sorted(sent):
        if repeated and (at_server or i < highest):
            again.append((ms, i))
        highest = highest if lost else max(highest, i)
    return talk.packets, again


@pytest.mark.parametrize("seed", range(4))
def test_both_ends_see_the_same_rate(seed):
    client, again = transfer(seed, at_server=False)
    server, _ = transfer(seed, at_server=True)
    near, far = in_any_batches(client), in_any_batches(server)
    span = again[-1][0] - again[0][0]
    for found in (near, far):
        assert found["loss_span_ms"] == pytest.approx(span, abs=0.01)
        assert found["steady_rate_bps"] == pytest.approx(800_000, rel=0.03)
        assert found["goodput_bps"] == pytest.approx(800_000, rel=0.03)
        assert found["steady_spread"] < 0.15
    assert near["steady_rate_bps"] == pytest.approx(far["steady_rate_bps"], rel=0.02)
    # the server also counts what is lost on its way at that moment
    assert 0 <= far["burst_bytes"] - near["burst_bytes"] <= 10_000
    assert far["loss_ratio"] == len(again) / (900 + len(again))
    assert near["loss_ratio"] == len(again) / 900


def naive(packets, again, rtt_ms=20):
    """The columns by a loop over the packets of the server, seen at the client: all payload is new."""
    data = [(round(p.ms * MS), p.size) for p in packets if p.size]
    origin = round(packets[0].ms * MS)
    losses = [round((100 + ms) * MS) for ms, _ in again]
    first, last = losses[0], losses[-1]
    bin_of = lambda time: (time - origin) // (100 * MS)  # noqa: E731
    width = max(1000, 10 * rtt_ms) // 100
    count = (bin_of(last) - bin_of(first)) // width
    windows = [0] * count
    hit = set()
    for time, size in data:
        place = (bin_of(time) - bin_of(first)) // width
        if 0 <= place < count:
            windows[place] += size
            if time in losses:
                hit.add(place)
    low, high = np.quantile(windows, [0.1, 0.9])
    until_first = sum(size for time, size in data if time <= first)
    until_last = sum(size for time, size in data if time <= last)
    return {
        "goodput_bps": sum(size for _, size in data) * 8e9 / (data[-1][0] - data[0][0]),
        "loss_ratio": len(again) / len(data),
        "burst_bytes": until_first,
        "first_loss_frame": next(n for n, p in enumerate(packets, 1) if p.size and round(p.ms * MS) == first),
        "last_loss_frame": next(n for n, p in enumerate(packets, 1) if p.size and round(p.ms * MS) == last),
        "loss_span_ms": (last - first) / MS,
        "steady_rate_bps": (until_last - until_first) * 8e9 / (last - first),
        "steady_spread": (high - low) / median(windows) if median(windows) else None,
        "loss_windows": len(hit) / count,
        "rate_before_loss_bps": until_first * 8e9 / (first - data[0][0]),
    }


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stalls", [False, True])
def test_columns_agree_with_a_loop(seed, stalls):
    packets, again = transfer(seed, at_server=False, stalls=stalls)
    found, expected = in_any_batches(packets), naive(packets, again)
    for name in COLUMNS:
        if expected[name] is None:
            assert found[name] is None, name
        else:
            assert found[name] == pytest.approx(expected[name], rel=1e-9), name


def two_losses(seconds):
    """A transfer whose first and last loss lie so many seconds apart."""
    talk = Talk(gap=10).shake()
    for i in range(200):
        talk.s(ACK, 1 + 1000 * i, 1, size=1000)
    for ms in (3000, 3000 + seconds * 1000):
        talk.s(ACK, 1001, 1, size=1000, ms=ms)
    return talk.packets


@pytest.mark.parametrize(("seconds", "known"), [(3.9, False), (4, True), (60, True)])
def test_fewer_than_four_windows_have_no_spread(seconds, known):
    found = in_any_batches(two_losses(seconds))
    assert (found["loss_windows"] is not None) is known
    assert found["steady_spread"] is None  # hardly a window holds data: the median is 0
    assert found["loss_span_ms"] == seconds * 1000


def test_a_clock_that_jumps_by_decades_costs_no_memory():
    """A device without a battery wakes in 1970, and sets its clock in the middle of a transfer."""
    years = 40 * 365 * 86_400
    found = in_any_batches(two_losses(years))
    assert found["loss_windows"] == pytest.approx(1 / years)
    assert found["steady_spread"] is None


def test_a_clock_that_steps_back_gives_no_negative_rate():
    talk = Talk(gap=10).shake()
    for i in range(200):
        talk.s(ACK, 1 + 1000 * i, 1, size=1000)
    talk.s(ACK, 1001, 1, size=1000, ms=9000)
    talk.s(ACK, 1001, 1, size=1000, ms=8000)
    found = in_any_batches(talk.packets)
    assert found["steady_rate_bps"] is None
    assert found["loss_windows"] is None
    assert found["goodput_bps"] > 0


def test_window_width_follows_the_rtt():
    talk = Talk(gap=1000)  # an RTT of two seconds: windows of twenty
    talk.shake()
    for i in range(200):
        talk.s(ACK, 1 + 1000 * i, 1, size=1000, ms=4000 + 10 * i)
    for ms, known in ((10_000, False), (89_900, False), (90_000, True)):
        talk.s(ACK, 1001, 1, size=1000, ms=ms)
        assert (in_any_batches(talk.packets)["loss_windows"] is not None) is known


def test_times_are_nanoseconds_since_the_epoch():
    row = flow(two_losses(4))
    assert row["first_time"] == START + 10 * MS

"""The loop: everything is taken in, looks are rare enough, and what happens is told."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import Executor, Future

from forensics.analysis import Knowledge, analyze_capture
from forensics.live import watch as watch_module
from forensics.live.session import LiveSession
from forensics.live.watch import LOOK_S, SHARE, Looker, watch
from tests.conftest import REPO_ROOT
from tests.live.replay import Replay, ticking

DEMO = REPO_ROOT / "pcaps" / "demo-whatsapp-2017" / "capture.pcap"


class Told:
    def __init__(self):
        self.events = []
        self.counts = []

    def show(self, events, analysis):
        self.events += events
        self.analysis = analysis

    def count(self, packets, lost):
        self.counts.append((packets, lost))


class Kept:
    def __init__(self):
        self.frames = []
        self.judgements = 0

    def take(self, batch, decoded):
        assert decoded.packets["frame"].min() >= batch.first_frame
        self.frames += range(batch.first_frame, batch.first_frame + len(batch))

    def judged(self, analysis):
        assert analysis.notes.packets
        self.judgements += 1


def new_targets(told):
    return {event["target"] for event in told.events if event.get("change") == "new"}


def play(monkeypatch, over, **options):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    source = Replay(DEMO)
    session = LiveSession("demo", source.notes, Knowledge.load())
    told, kept = Told(), Kept()
    why, ledger = watch(source, session, told, [kept], over=lambda: over(source, told), **options)
    assert ledger.findings or not told.events
    return why, source, session, told, kept


def test_all_is_taken_in_written_and_told(monkeypatch):
    why, source, session, told, kept = play(
        monkeypatch,
        # judging goes on beside the loop, and takes its time
        lambda _, told: "duration" if len(new_targets(told)) == 3 else "",
        clock=ticking(),
    )
    assert why == "duration"
    assert source.stopped
    assert kept.frames == list(range(1, 354))
    final, file = session.finish(), analyze_capture(str(DEMO))
    assert final.findings == file.findings
    assert new_targets(told) == {finding.target for finding in file.findings}
    assert told.counts[-1] == (353, 0)
    assert kept.judgements


def test_what_is_still_there_when_it_ends_is_taken_in(monkeypatch):
    why, _, _, _, kept = play(monkeypatch, lambda source, _: "interrupted" if source.reads >= 3 else "")
    assert why == "interrupted"
    assert kept.frames == list(range(1, 354))


def test_an_interface_that_ends_ends_the_capture(monkeypatch):
    def gone(source, _):
        source.ended = "eth0: gone"
        return ""

    why, *_ = play(monkeypatch, gone)
    assert why == "interface"


def test_looks_take_no_more_than_their_share(monkeypatch):
    """A look that takes three seconds is followed by twelve without one."""
    now = [0.0]
    source = Replay(DEMO, packets=5)
    session = LiveSession("demo", source.notes, Knowledge.load())
    looks = []

    def slow():
        looks.append(now[0])
        now[0] += 3.0
        return result

    result = session.look()
    monkeypatch.setattr(session, "look", slow)
    looker = Looker(session, Told(), [], clock=lambda: now[0])
    while (batch := source.read(0)) is not None:
        looker.take(batch)
        looker.look_if_due(source)
        now[0] += 1.0
    assert looks[0] >= LOOK_S
    gaps = [after - before for before, after in itertools.pairwise(looks)]
    assert gaps
    assert min(gaps) >= 3.0 * (1 + SHARE)


class Later(Executor):
    """Does what it was given when it is told to."""

    def __init__(self):
        self.given = []

    def submit(self, job, /, *_, **__):
        self.given.append((job, Future()))
        return self.given[-1][1]

    def work(self):
        job, future = self.given.pop()
        future.set_result(job())


def test_packets_are_taken_in_while_a_look_goes_on():
    """The look speaks of what was there when it began, whatever came since."""
    now = [0.0]
    source, pool, told = Replay(DEMO, packets=30), Later(), Told()
    session = LiveSession("demo", source.notes, Knowledge.load())
    looker = Looker(session, told, [], clock=lambda: now[0], pool=pool)
    for _ in range(9):
        looker.take(source.read(0))
    now[0] = 1.0
    looker.look_if_due(source)
    assert len(pool.given) == 1
    expected = session.look()
    while (batch := source.read(0)) is not None:
        looker.take(batch)
        now[0] += 1.0
        looker.look_if_due(source)
    assert len(pool.given) == 1, "one at a time"
    assert not told.events
    pool.work()
    looker.look_if_due(source)
    assert told.events
    assert told.analysis.findings == expected.findings
    assert told.analysis.quality == expected.quality
    assert session.finish().findings == analyze_capture(str(DEMO)).findings


def test_nobody_looks_where_nothing_came():
    now = [10.0]
    source = Replay(DEMO)
    session = LiveSession("demo", source.notes, Knowledge.load())
    told = Told()
    looker = Looker(session, told, [], clock=lambda: now[0])
    looker.take(source.read(0))
    for _ in range(5):
        now[0] += 2
        looker.look_if_due(source)
    assert len(told.counts) == 5
    assert hasattr(told, "analysis")
    del told.analysis
    now[0] += 2
    looker.look_if_due(source)
    assert not hasattr(told, "analysis")


def test_a_finding_is_told_within_two_seconds_when_looks_are_quick():
    """Block, pause and look are what can come between a packet and its finding."""
    assert 0.06 + watch_module.WAIT_S + watch_module.GATHER_S + LOOK_S < 1.5

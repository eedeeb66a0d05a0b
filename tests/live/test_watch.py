"""The loop: everything is taken in, looks are rare enough, and what happens is told."""

from __future__ import annotations

import itertools
import time

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


def play(monkeypatch, over, **options):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    source = Replay(DEMO)
    session = LiveSession("demo", source.notes, Knowledge.load())
    told, kept = Told(), Kept()
    why = watch(source, session, told, [kept], over=lambda: over(source), **options)
    return why, source, session, told, kept


def test_all_is_taken_in_written_and_told(monkeypatch):
    why, source, session, told, kept = play(
        monkeypatch, lambda source: "duration" if source.reads > 25 else "", clock=ticking()
    )
    assert why == "duration"
    assert source.stopped
    assert kept.frames == list(range(1, 354))
    final, file = session.finish(), analyze_capture(str(DEMO))
    assert final.findings == file.findings
    new = [event for event in told.events if event.get("change") == "new"]
    assert {event["target"] for event in new} == {finding.target for finding in file.findings}
    assert told.counts[-1] == (353, 0)
    assert kept.judgements >= 3


def test_what_is_still_there_when_it_ends_is_taken_in(monkeypatch):
    why, _, _, _, kept = play(monkeypatch, lambda source: "interrupted" if source.reads >= 3 else "")
    assert why == "interrupted"
    assert kept.frames == list(range(1, 354))


def test_an_interface_that_ends_ends_the_capture(monkeypatch):
    def gone(source):
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
    looker = Looker(session, Told(), [], lambda: now[0])
    while (batch := source.read(0)) is not None:
        looker.take(batch)
        looker.look_if_due(source)
        now[0] += 1.0
    assert looks[0] >= LOOK_S
    gaps = [after - before for before, after in itertools.pairwise(looks)]
    assert gaps
    assert min(gaps) >= 3.0 * (1 + SHARE)


def test_nobody_looks_where_nothing_came():
    now = [10.0]
    source = Replay(DEMO)
    session = LiveSession("demo", source.notes, Knowledge.load())
    told = Told()
    looker = Looker(session, told, [], lambda: now[0])
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

"""What is told between looks: once, upgraded, and never taken back in silence."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import forensics.live.events as events_module
from forensics.live.events import Ledger
from forensics.signatures.model import Finding, Subject
from forensics.verdicts.model import Verdict

NOW = "2026-01-01T00:00:00Z"


def subject(stream):
    return Subject("tcp", stream, "10.0.0.2", 40_000 + stream, "192.0.2.1", 443, stream)


def finding(**changes):
    made = Finding(
        id="F1",
        signature="tls.sni.reset",
        mechanism="sni-reset",
        level="suspected",
        score=3,
        title="the connection is reset",
        app="whatsapp",
        feature="media",
        target="mmg.whatsapp.net",
        subjects=(subject(1),),
        evidence=(),
        benign=(),
        frames=(),
    )
    return replace(made, **changes)


def look(ledger, *findings, verdicts=(), dropped=0):
    analysis = SimpleNamespace(findings=findings, verdicts=verdicts, quality={"dropped_by_kernel": dropped})
    return ledger.update(analysis, NOW)


def short(events):
    return [(event["event"], event.get("change"), event.get("id"), event.get("level")) for event in events]


def test_a_finding_is_told_once_and_when_it_gets_stronger():
    ledger = Ledger()
    assert short(look(ledger, finding())) == [("finding", "new", "L1", "suspected")]
    assert look(ledger, finding()) == []
    assert look(ledger, finding(score=4, id="F7")) == [], "its number in one look says nothing"
    assert short(look(ledger, finding(level="strong"))) == [("finding", "upgraded", "L1", "strong")]
    assert short(look(ledger, finding(level="likely"))) == [("finding", "downgraded", "L1", "likely")]


def test_more_connections_are_told_when_they_have_doubled():
    ledger = Ledger()
    look(ledger, finding(subjects=(subject(1), subject(2))))
    assert look(ledger, finding(subjects=tuple(map(subject, range(3))))) == []
    assert short(look(ledger, finding(subjects=tuple(map(subject, range(6)))))) == [
        ("finding", "more", "L1", "suspected")
    ]


def test_what_does_not_stand_any_more_is_withdrawn_and_may_come_back():
    ledger = Ledger()
    look(ledger, finding())
    (event,) = look(ledger)
    assert event["event"] == "withdrawn"
    assert (event["id"], event["target"], event["level"]) == ("L1", "mmg.whatsapp.net", "suspected")
    assert event["because"]
    assert look(ledger) == []
    assert short(look(ledger, finding())) == [("finding", "new", "L2", "suspected")]


def test_findings_that_agree_in_everything_are_two():
    ledger = Ledger()
    two = finding(), finding(id="F2", level="strong", subjects=(subject(9),))
    assert [event["id"] for event in look(ledger, *two)] == ["L1", "L2"]
    assert look(ledger, *two) == []


def test_every_event_says_when_and_names_come_first():
    (event,) = look(Ledger(), finding())
    assert list(event)[:2] == ["event", "time"]
    assert event["time"] == NOW


def verdict(status, **changes):
    made = Verdict("whatsapp", "media", status, ("sni-reset",), "likely", 3, ("F1",), "words")
    return replace(made, **changes)


def test_verdicts_are_told_when_they_change_and_name_findings_as_events_do():
    ledger = Ledger()
    events = look(ledger, finding(id="F1"), verdicts=[verdict("blocked")])
    assert [event["event"] for event in events] == ["finding", "verdict"]
    assert events[1]["findings"] == ["L1"]
    assert look(ledger, finding(), verdicts=[verdict("blocked", flows=9)]) == []
    (event,) = look(ledger, finding(), verdicts=[verdict("degraded")])
    assert (event["event"], event["status"]) == ("verdict", "degraded")
    (event,) = look(ledger, finding())
    assert (event["event"], event["app"], event["status"]) == ("verdict", "whatsapp", None)


def test_lost_packets_are_told_when_more_were_lost():
    ledger = Ledger()
    assert look(ledger) == []
    assert look(ledger, dropped=5) == [{"event": "quality", "time": NOW, "dropped_by_kernel": 5}]
    assert look(ledger, dropped=5) == []
    assert look(ledger, dropped=6)[0]["dropped_by_kernel"] == 6


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(events_module, "MOST", 10)
    ledger = Ledger()
    look(ledger, *(finding(target=f"n{n}") for n in range(50)))
    assert len(ledger.findings) == 10


def test_what_was_dropped_is_not_withdrawn_and_keeps_its_number():
    ledger = Ledger()
    look(ledger, finding(), verdicts=[verdict("blocked")])
    ledger.dropped()
    assert look(ledger) == []
    assert look(ledger, finding(), verdicts=[verdict("blocked")]) == [], "it was told before"
    ledger.dropped()
    events = look(ledger, finding(level="strong"), verdicts=[verdict("ok")])
    assert [(event["event"], event.get("id"), event.get("change")) for event in events] == [
        ("finding", "L1", "upgraded"),
        ("verdict", None, None),
    ]
    assert short(look(ledger)) == [("withdrawn", None, "L1", "strong"), ("verdict", None, None, None)]

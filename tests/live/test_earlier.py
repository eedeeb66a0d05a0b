"""What is left of flows that were dropped."""

from __future__ import annotations

from types import SimpleNamespace

from forensics.live import earlier as earlier_module
from forensics.live.earlier import Earlier
from tests.live.test_events import finding, subject, verdict

SECOND = 1_000_000_000


def judged(*findings, at=0, verdicts=()):
    return SimpleNamespace(findings=findings, verdicts=verdicts, last_time=at * SECOND)


def test_nothing_dropped_is_nothing_said():
    assert Earlier().report(judged()) is None


def test_the_strongest_is_kept_with_the_times_of_all():
    earlier = Earlier()
    earlier.add(judged(finding(level="likely"), at=1))
    earlier.add(judged(finding(level="strong", subjects=tuple(map(subject, range(20)))), at=2))
    earlier.add(judged(finding(level="suspected"), finding(target="other"), at=3))
    told = earlier.report(judged())
    assert told["until"] == "1970-01-01T00:00:03Z" or told["until"].startswith("1970-01-01T00:00:03")
    assert [(one["target"], one["level"]) for one in told["findings"]] == [
        ("mmg.whatsapp.net", "strong"),
        ("other", "suspected"),
    ]
    first = told["findings"][0]
    assert first["connections"] == 20
    assert len(first["subjects"]) == 5
    assert first["judged_first"].startswith("1970-01-01T00:00:01")
    assert first["judged_last"].startswith("1970-01-01T00:00:03")


def test_what_still_stands_is_not_said_twice():
    earlier = Earlier()
    earlier.add(judged(finding(), finding(target="other")))
    assert [one["target"] for one in earlier.report(judged(finding()))["findings"]] == ["other"]


def test_verdicts_are_counted():
    earlier = Earlier()
    for status in ("ok", "blocked", "ok"):
        earlier.add(judged(verdicts=[verdict(status)]))
    assert earlier.report(judged())["verdicts"] == [
        {"app": "whatsapp", "feature": "media", "times": {"blocked": 1, "ok": 2}}
    ]


def test_memory_is_bounded_and_the_strong_stay(monkeypatch):
    monkeypatch.setattr(earlier_module, "MOST", 10)
    earlier = Earlier()
    earlier.add(judged(finding(target="old", level="strong")))
    for number in range(50):
        earlier.add(judged(finding(target=f"n{number}")))
    assert len(earlier.findings) == 10
    told = earlier.report(judged())
    assert [one["target"] for one in told["findings"]] == ["old", *(f"n{n}" for n in range(41, 50))]
    assert told["findings_forgotten"] == 41

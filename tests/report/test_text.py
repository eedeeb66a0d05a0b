from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from forensics.report import text_report
from forensics.signatures.model import Benign, Evidence
from tests.report.made import HOSTILE, analysis, finding, reset, tables, works


def text(made, width=80, **options):
    stream = io.StringIO()
    text_report(made, Console(file=stream, width=width, **options))
    return stream.getvalue()


BAD = analysis(tables([reset(), works(feature="text")]), finding())


@pytest.mark.parametrize("width", [40, 80, 140])
def test_lines_fit_without_colour_or_trailing_blanks(width):
    out = text(BAD, width)
    assert "\x1b" not in out
    for line in out.splitlines():
        assert len(line) <= width
        assert line == line.rstrip()


def test_what_people_need_is_there():
    out = text(BAD)
    assert "F1  The capture shows that the connection is reset right after" in out
    assert "whatsapp  media  blocked  strong      sni-reset (F1)" in out
    assert "not testable  no other name was tried" in out
    assert "[frames 17, 18]" in out


def test_the_filter_stands_whole_on_its_own_line():
    frames = tuple(range(1000, 1100))
    out = text(analysis(tables([reset()]), finding(evidence=(Evidence("many", 1, "many", frames),))))
    assert "frame.number in {14,15," + ",".join(map(str, frames)) + "}" in out.splitlines()


@pytest.mark.parametrize(
    ("frames", "shown"),
    [
        ((7,), "frame 7"),
        ((7, 8), "frames 7, 8"),
        ((7, 8, 9, 11), "frames 7-9, 11"),
        (tuple(range(2, 40, 2)), "frames 2, 4, 6, 8, 10, 12, 14, 16 and 11 more"),
        ((1, 3, 5, 7, 9, 11, 13, 20, 21, 22, 30, 31, 32), "frames 1, 3, 5, 7, 9, 11, 13, 20-22 and 3 more"),
    ],
)
def test_runs_of_frames_are_short(frames, shown):
    made = analysis(tables([reset()]), finding(evidence=(Evidence("some", 1, "seen", frames),)))
    assert f"seen [{shown}]" in text(made, 140)


def test_hostile_text_stays_text():
    hostile = finding(
        target=HOSTILE, title=HOSTILE, notes=(HOSTILE,), frames=(),
        evidence=(Evidence("x", 1, HOSTILE),), benign=(Benign("y", "stands", HOSTILE),),
    )  # fmt: skip
    made = analysis(
        tables([reset(HOSTILE, app=HOSTILE, feature=HOSTILE)]), hostile, name=HOSTILE, damage=HOSTILE
    )
    out = text(made, 400)
    assert "[red]x[/red]" in out
    assert ":skull:" in out
    assert all(char == "\n" or (char.isascii() and char.isprintable()) for char in out)


def test_colour_only_where_it_is_wanted(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[1;31m" in text(BAD, force_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in text(BAD, force_terminal=True)


def test_nothing_found_is_said_with_what_was_looked_at():
    out = text(analysis(tables([works(), works(both_directions=False)])), 140)
    assert "No signature matched. Looked at: 2 connections and 0 DNS look-ups, by 7 signatures." in out
    assert "1 of 2 connections: only one direction was captured." in out


def test_findings_without_an_app_are_shown():
    out = text(analysis(tables([{}]), finding(app=None, feature=None)), 140)
    assert "No traffic of an app" in out
    assert "F1  The capture shows" in out


def test_signatures_that_could_not_be_applied_are_named_with_the_reason():
    counts = {"matched": 1, "not-matched": 2, "no-data": 4, "uninterpretable": 5}
    made = replace(
        analysis(tables([reset()]), finding()),
        outcomes={"tls.sni.reset": counts, "tls.sni.drop": {**counts, "uninterpretable": 0}},
        closed_gates={"tls.sni.reset": {"start_seen": 5, "both_directions": 2}},
    )
    said = text(made, 200)
    assert (
        "tls.sni.reset could not judge 5 of its 8 candidates: the beginning of the flow is not in the capture; "
        "only one direction was captured (2)." in said
    )
    assert "tls.sni.drop could" not in said

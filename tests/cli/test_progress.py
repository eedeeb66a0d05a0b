from __future__ import annotations

import io
import re
import sys

import pytest

from forensics.cli import progress
from forensics.cli.progress import ReadingBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Time stands still until a test moves it."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


@pytest.fixture
def draw(monkeypatch, clock):
    """What is drawn on stderr when reading comes as far as told, 0.4 s a step."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def drawn(steps, *, total=1000, wanted=True, stderr=None):
        out, err = io.StringIO(), Terminal() if stderr is None else stderr
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with ReadingBar(wanted=wanted) as bar:
            for done in steps:
                clock.now += 0.4
                bar(done, total)
        assert out.getvalue() == ""
        return err.getvalue()

    return drawn


def visible(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_nothing_is_drawn_for_somebody_who_does_not_wait(draw):
    assert draw([400, 1000]) == ""


def test_a_bar_appears_after_a_second_and_is_taken_back(draw):
    text = draw([100, 200, 300, 1000])
    assert "reading" in text
    assert "0.3/1.0 kB" in visible(text)
    assert "1.0/1.0 kB" in visible(text)
    # the cursor is shown again, and the last thing done to the line is to erase it
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert text.endswith("\x1b[2K")


@pytest.mark.parametrize("columns", ["20", "40", "200"])
def test_the_bar_is_one_line_in_any_terminal(draw, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    text = draw([10_000_000 * step for step in range(6)], total=10_000_000_000)
    assert "reading" in text
    # a second line would need the cursor to go up when the bar is drawn anew; once is for taking it back
    assert text.count("\x1b[1A") == 1


def test_a_pipe_has_no_total(draw):
    text = draw([100, 200, 300, 900_000], total=None)
    assert "900.0/? kB" in visible(text)


def test_nobody_looks(draw, monkeypatch):
    long = range(10)
    assert draw(long, wanted=False) == ""
    assert draw(long, stderr=io.StringIO()) == ""
    monkeypatch.setenv("TERM", "dumb")
    assert draw(long) == ""


def test_no_stderr_at_all(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", None)
    with ReadingBar(wanted=True) as bar:
        clock.now += 5
        bar(1, 2)


def test_an_error_takes_the_bar_back_first(monkeypatch, clock):
    monkeypatch.setenv("TERM", "xterm-256color")
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)

    def fail():
        with ReadingBar(wanted=True) as bar:
            clock.now += 5
            bar(1, 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert err.getvalue().endswith("\x1b[2K")

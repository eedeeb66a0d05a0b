"""What is shown: lines of JSON, or words that nothing in a capture can turn into anything else."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

from rich.console import Console

from forensics.live.events import Ledger
from forensics.live.screen import NdjsonScreen, TextScreen, event_line
from tests.live.test_events import NOW, finding, look, subject, verdict

HOSTILE = "evil\x1b[2J\u202e\n.example"


def test_one_line_an_event_in_ascii():
    stream = io.StringIO()
    screen = NdjsonScreen(stream)
    screen.show(look(Ledger(), finding(target=HOSTILE), dropped=3), None)
    lines = stream.getvalue().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["finding", "quality"]
    assert json.loads(lines[0])["target"] == HOSTILE
    assert stream.getvalue().isascii()
    assert "\x1b" not in stream.getvalue()


def test_events_in_words():
    ledger = Ledger()
    first = look(ledger, finding(), verdicts=[verdict("blocked")], dropped=1500)
    second = look(ledger, finding(level="strong", subjects=(subject(1), subject(2))))
    third = look(ledger)
    lines = [line for line in map(event_line, first + second + third) if line]
    about = "mmg.whatsapp.net (whatsapp media): the connection is reset"
    assert lines == [
        f"00:00:00 finding L1: suspected sni-reset: {about}",
        "00:00:00 the kernel has dropped 1,500 packets: what is said may miss something",
        f"00:00:00 upgraded L1: strong sni-reset: {about}",
        f"00:00:00 withdrawn L1: {about}: what was captured since does not support it",
    ]
    assert NOW[11:19] == "00:00:00"


def test_hostile_names_steer_no_terminal():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    screen = TextScreen(console, table=True)
    made = finding(target=HOSTILE)
    analysis = SimpleNamespace(
        findings=(made,), verdicts=[verdict("blocked", app="[red]x", feature=HOSTILE)], quality={}
    )
    screen.show(look(Ledger(), made), analysis)
    screen.count(5, 2)
    screen.close()
    text = out.getvalue()
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert "evil\\x1b[2J" in text
    assert "[red]x" in text
    assert "5 packets, 2 lost by the kernel" in text


def test_without_a_terminal_only_lines_are_written():
    out = io.StringIO()
    screen = TextScreen(Console(file=out, width=200), table=True)
    screen.show(look(Ledger(), finding()), SimpleNamespace(verdicts=[verdict("blocked")]))
    screen.count(5, 0)
    screen.close()
    assert out.getvalue().count("\n") == 1

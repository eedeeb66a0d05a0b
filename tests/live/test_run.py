"""What is written where, as far as it can be told without giving up the privileges of the test; the command's own
tests run it as a whole."""

from __future__ import annotations

import io
import json
import os
import signal

import jsonschema
import pytest
from rich.console import Console

from forensics.analysis import analyze_capture
from forensics.errors import ForensicsError
from forensics.live import run
from forensics.live.run import Wanted, interrupts, run_live
from forensics.live.screen import closing_words
from forensics.report.json_format import report_schema
from tests.conftest import REPO_ROOT
from tests.live.replay import Replay

DEMO = REPO_ROOT / "pcaps" / "demo-whatsapp-2017" / "capture.pcap"


class Interface(Replay):
    """Stands for the socket: the same packets, then the interface goes away."""

    def __init__(self, name, **_):
        super().__init__(DEMO, packets=100)
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped = True

    def read(self, timeout):
        batch = super().read(timeout)
        if batch is None:
            self.ended = f"{self.name}: the capture ended early (Network is down)"
        return batch


@pytest.fixture
def played(monkeypatch):
    monkeypatch.setattr(run, "LiveSource", Interface)
    monkeypatch.setattr(run, "drop_privileges", lambda **_: "as nobody in particular")


@pytest.mark.usefixtures("played")
def test_for_people_it_ends_with_the_report_of_a_file(tmp_path):
    out = io.StringIO()
    wanted = Wanted(interface="eth0", write=str(tmp_path / "a.pcapng"))
    run_live(wanted, Console(file=out, width=100), out)
    text = out.getvalue()
    assert text.startswith("Capturing on eth0, as nobody in particular; Ctrl-C ends it\n")
    assert "whatsapp  media  blocked" in text
    assert "Captured on eth0 for " in text
    assert analyze_capture(str(tmp_path / "a.pcapng")).findings == analyze_capture(str(DEMO)).findings


@pytest.mark.usefixtures("played")
def test_signals_are_as_before_afterwards(monkeypatch):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    out = io.StringIO()
    monkeypatch.setattr(Interface, "ended", "", raising=False)
    run_live(Wanted(interface="eth0"), None, out)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.usefixtures("played")
def test_the_first_ctrl_c_ends_it_and_the_second_ends_the_program(monkeypatch):
    def pressed(self, timeout):
        del timeout
        if self.reads == 0:
            os.kill(os.getpid(), signal.SIGINT)
        self.reads += 1

    monkeypatch.setattr(Interface, "read", pressed)
    out = io.StringIO()
    run_live(Wanted(interface="eth0"), None, out)
    assert '"ended": "interrupted"' in out.getvalue()
    with interrupts() as seen:
        os.kill(os.getpid(), signal.SIGINT)
        assert seen == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("played")
def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(
        ForensicsError, match=r"no/a\.pcapng: cannot be written \(No such file or directory\)"
    ):
        run_live(Wanted(interface="eth0", write=str(tmp_path / "no" / "a.pcapng")), None, io.StringIO())


@pytest.mark.usefixtures("played")
def test_events_and_the_report_are_what_the_documentation_says():
    out = io.StringIO()
    run_live(Wanted(interface="eth0", words="ip"), None, out)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert events[0]["event"] == "start"
    assert events[-1]["event"] == "end"
    report = events[-1]["report"]
    jsonschema.validate(report, report_schema())
    assert set(report["live"]) == {"interface", "filter", "seconds", "ended", "rights"}
    assert (report["live"]["interface"], report["live"]["filter"]) == ("eth0", "ip")
    told = {event["target"] for event in events if event["event"] == "finding"}
    assert told == {finding["target"] for finding in report["findings"]}, "also what the last packets showed"
    page = (REPO_ROOT / "docs" / "live.md").read_text()
    rows = {
        cells[1].strip(" `"): cells[3] for line in page.splitlines() if len(cells := line.split("|")) == 5
    }
    for event in events:
        assert event["event"] in rows
    (finding, *_) = [event for event in events if event["event"] == "finding"]
    assert set(finding) - {"event", "time", "change"} == set(report["findings"][0])


def test_what_is_said_of_a_command():
    about = {
        "interface": "any",
        "seconds": 1234.56,
        "findings_with_packets_missing": 2,
        "command": {
            "exit_status": 3,
            "signal": None,
            "flows": [{"basis": "pid"}, {"basis": "time"}, {"basis": "pid"}],
        },
    }
    lines = closing_words(about)
    assert lines[0] == "Captured on any for 1,234.6 s."
    assert lines[1] == "Packets of 2 findings came too long before them, and were not kept."
    assert "status 3" in lines[2]
    assert "3 of them: 2 are known by their sockets, 1 by time and address" in lines[2]
    about["command"].update(exit_status=None, signal="SIGKILL")
    assert "was ended by SIGKILL" in closing_words(about)[2]
    about["command"].update(signal=None)
    assert "did not end" in closing_words(about)[2]

"""Which flows are those of a command, what is judged then, and what is told of the command."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import pytest

from forensics.analysis import analyze_capture
from forensics.errors import ForensicsError
from forensics.live import command as command_module
from forensics.live.command import Command, Owned, only_owned, owned_flows
from forensics.live.processes import End
from tests.conftest import REPO_ROOT

DEMO = REPO_ROOT / "pcaps" / "demo-whatsapp-2017" / "capture.pcap"
CLIENT = "192.168.1.23"


@pytest.fixture(scope="module")
def analysis():
    return analyze_capture(str(DEMO))


@pytest.fixture
def ran(analysis):
    """A command that ran while the first half of the demonstration was captured."""
    with Command([sys.executable, "-c", ""]) as command:
        pass
    command.began = analysis.first_time
    command.ended = (analysis.first_time + analysis.last_time) // 2
    return command


def test_flows_by_socket_and_by_time(analysis, ran):
    photo = next(one for finding in analysis.findings if finding.id == "F1" for one in finding.subjects)
    mine = {End("tcp", CLIENT, photo.client_port)}
    owned = owned_flows(analysis, ran, mine, set(), local={CLIENT})
    assert owned.flows["tcp", photo.stream] == "pid"
    assert set(owned.flows.values()) == {"pid", "time"}
    early = [stream for (_, stream), basis in owned.flows.items() if basis == "time"]
    assert early
    assert owned_flows(analysis, ran, mine, set(), local={"10.9.9.9"}).flows == {("tcp", photo.stream): "pid"}
    assert len(owned.flows) < analysis.tables["flow"].height


def test_flows_of_others_are_not_taken_by_time(analysis, ran):
    everybody = {
        End(proto, CLIENT, port)
        for proto, port in analysis.tables["flow"].columns(["proto", "client_port"]).iter_rows()
    }
    assert owned_flows(analysis, ran, set(), everybody, local={CLIENT}).flows == {}


def test_a_socket_bound_to_any_address_counts_by_its_port(analysis, ran):
    mine = {End("udp", "*", 25_645)}
    owned = owned_flows(analysis, ran, mine, set(), local=set())
    assert owned.flows == {("udp", 5): "pid"}


def test_only_the_flows_of_the_command_are_judged(analysis):
    streams = [one.stream for one in analysis.findings[0].subjects]
    own = only_owned(analysis, Owned({("tcp", streams[0]): "pid", ("udp", 5): "time"}))
    assert [(finding.id, len(finding.subjects)) for finding in own.findings] == [("F1", 1), ("F2", 1)]
    assert {(verdict.app, verdict.feature, verdict.status) for verdict in own.verdicts} == {
        ("whatsapp", "media", "blocked"),
        ("facebook", "web", "blocked"),
    }
    assert all(limit.stream == streams[0] for limit in own.limits)
    assert own.tables is analysis.tables
    nothing = only_owned(analysis, Owned())
    assert (nothing.findings, nothing.verdicts, nothing.limits) == ((), (), ())


def test_all_flows_are_all_verdicts(analysis):
    flow = analysis.tables["flow"].columns(["proto", "stream"])
    whole = only_owned(analysis, Owned(dict.fromkeys(flow.iter_rows(), "pid")))
    assert whole.findings == analysis.findings
    assert whole.verdicts == analysis.verdicts
    assert whole.limits == analysis.limits


@pytest.mark.parametrize(
    ("code", "status", "signal"),
    [("raise SystemExit(3)", 3, None), ("import os; os.kill(os.getpid(), 9)", None, "SIGKILL")],
)
def test_what_became_of_it(monkeypatch, code, status, signal):
    monkeypatch.setattr(command_module, "GRACE_S", 0.2)
    with Command([sys.executable, "-c", code]) as command:
        end = time.monotonic() + 20
        while not command.over() and time.monotonic() < end:
            time.sleep(0.02)
        assert command.over()
    told = command.report()
    assert (told["exit_status"], told["signal"]) == (status, signal)
    assert told["argv"] == [sys.executable, "-c", code]
    assert told["seconds"] > 0


def test_none_is_left_behind():
    with Command([sys.executable, "-c", "import time; time.sleep(600)"]) as command:
        assert not command.over()
    assert command.report()["signal"] == "SIGTERM"


def test_a_program_that_is_not_there():
    with pytest.raises(
        ForensicsError, match=r"^no-such-program-\\x1b: cannot be run \(No such file or directory\)$"
    ):
        Command(["no-such-program-\x1b"])


def test_the_analysis_stays_as_it_was(analysis):
    before = replace(analysis)
    only_owned(analysis, Owned())
    assert analysis == before

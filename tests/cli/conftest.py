from __future__ import annotations

from contextlib import nullcontext

import pytest
from click.testing import CliRunner

import forensics.analysis
import forensics.decode.stream
from forensics.cli import main
from tests.report.made import analysis, finding, reset, tables, works

BAD = analysis(tables([reset(sni="=cmd()", server_name="+x\x1b[31m"), works()]), finding())


@pytest.fixture
def bad():
    """An analysis with a finding and a hostile name."""
    return BAD


@pytest.fixture
def run(monkeypatch):
    """Run the command line over an Analysis (or an exception) in place of a capture."""

    def runner(result, *args):
        def analyze_packets(_stream, _name, **_):
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr(forensics.decode.stream, "open_packets", lambda _paths: nullcontext())
        monkeypatch.setattr(forensics.analysis, "analyze_packets", analyze_packets)
        return CliRunner().invoke(main, list(args))

    return runner

"""What many tests share: the tree, what may be missing on this machine, and one line on what was skipped."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something of the machine and nothing of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REPO_ROOT = Path(__file__).resolve().parent.parent
SHARED_CAPTURES = REPO_ROOT.parent / "shared" / "captures"

NO_TSHARK = "tshark is not on the PATH: make test installs it, or apt-get install tshark"
NO_SHARED = "no ../shared/captures beside the checkout: the real captures are not compared"
NO_CAPTURE = "no right to open packet sockets: run the tests as root to test live capture"


@pytest.fixture(scope="session")
def repo_root() -> Path:
    return REPO_ROOT


@pytest.fixture(scope="session")
def shared_captures() -> Path:
    if not (SHARED_CAPTURES / "MANIFEST.yaml").is_file():
        pytest.skip(NO_SHARED)
    return SHARED_CAPTURES


@pytest.fixture(scope="session")
def tshark() -> str:
    path = shutil.which("tshark")
    if path is None:
        pytest.skip(NO_TSHARK)
    return path


@pytest.fixture(scope="session")
def may_capture() -> None:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (AttributeError, OSError):
        pytest.skip(NO_CAPTURE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for reason in (NO_TSHARK, NO_SHARED, NO_CAPTURE):
        count = sum(reason in text for text in skipped)
        if count:
            terminalreporter.write_line(f"NOT TESTED ({count} tests): {reason}", yellow=True, bold=True)

"""Both views of one capture of the corpus."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from forensics.analysis import analyze_capture
from forensics.crosscheck.compare import Check, compare
from forensics.crosscheck.ours import ASKED, ours
from forensics.crosscheck.theirs import tshark
from tests.conftest import REPO_ROOT

if TYPE_CHECKING:
    from forensics.crosscheck.seen import Seen

PCAPS = REPO_ROOT / "pcaps"


def our_view(path: str) -> Seen:
    return ours(analyze_capture(path, asked=ASKED), path)


def both(name: str, file: str = "capture.pcap") -> tuple[Seen, Seen]:
    path = str(PCAPS / name / file)
    return our_view(path), tshark(path)


@functools.cache
def checked(name: str, file: str = "capture.pcap") -> dict[str, Check]:
    return {check.question: check for check in compare(*both(name, file))}

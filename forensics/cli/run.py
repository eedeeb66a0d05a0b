"""What ``analyze`` and ``show`` share: reading a capture, and opening the output."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from forensics.cli.messages import complain
from forensics.cli.progress import ReadingBar
from forensics.errors import CaptureError, ForensicsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.analysis import Analysis

_WARNINGS = 20


def analyzed(capture: str, *, progress: bool) -> Analysis:
    """Analyse the file (``-``: standard input), and say on stderr what was wrong with it.

    Raises ForensicsError when it is no capture.
    """
    if capture == "-" and sys.stdin.isatty():
        raise CaptureError("standard input is a terminal: pipe a capture into it, or name a file")
    from forensics.analysis import analyze_capture

    # Hellos and look-ups are kept by the ten thousand and hold no cycles: looking for some in them time and again
    # would cost a tenth of the whole run.
    gc.set_threshold(100_000, 20, 100)
    with ReadingBar(wanted=progress) as bar:
        analysis = analyze_capture(capture, progress=bar)
    notes = analysis.notes
    lines = list(dict.fromkeys(line for line in (notes.damage, *notes.warnings) if line))
    for line in lines[:_WARNINGS]:
        complain("warning", f"{analysis.name}: {line}")
    if len(lines) > _WARNINGS:
        complain("warning", f"{analysis.name}: and {len(lines) - _WARNINGS} more warnings")
    return analysis


def check_output(capture: str, output: str | None) -> None:
    """Refuse to overwrite the capture with what is said of it, before any work is done."""
    if output is None:
        return
    with contextlib.suppress(OSError):
        if os.path.samefile(capture, output):  # noqa: PTH121 - either may be a name of any kind
            raise ForensicsError(f"{output}: this is the capture itself; name another output file")


@contextlib.contextmanager
def text_output(output: str | None) -> Iterator[IO[str]]:
    """Standard output, or the file named by ``--output``."""
    if output is None:
        yield sys.stdout
        return
    with Path(output).open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        yield stream

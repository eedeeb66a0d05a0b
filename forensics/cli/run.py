"""What ``analyze`` and ``show`` share: reading a capture, and opening the output."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
from pathlib import Path
from stat import S_ISREG
from typing import IO, TYPE_CHECKING

from forensics.cli.messages import complain
from forensics.cli.progress import ReadingBar
from forensics.errors import CaptureError, ForensicsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forensics.analysis import Analysis

_WARNINGS = 20
_KEPT_BYTES = 16 << 20


def analyzed(*captures: str, progress: bool, table: str = "", columns: Sequence[str] = ()) -> Analysis:
    """Analyse the files as one capture (``-``: standard input), and say on stderr what was wrong with it.

    ``table`` and ``columns`` (of the flow table) will be read, besides what rules read.
    Raises ForensicsError when it is no capture.
    """
    if "-" in captures and sys.stdin is not None and sys.stdin.isatty():
        raise CaptureError("standard input is a terminal: pipe a capture into it, or name a file")
    prepare()
    from forensics.capture import capture_name
    from forensics.decode.stream import open_packets

    # Polars has system calls go on after Ctrl-C; one that reads from a silent pipe would never end.
    signal.siginterrupt(signal.SIGINT, True)  # noqa: FBT003 - it takes no keywords
    # A second process, if there is one, reads already while this one gets ready.
    with ReadingBar(wanted=progress) as bar, open_packets(captures) as packets:
        from forensics.analysis import analyze_packets
        from forensics.observations.collector import Asked

        asked = Asked(frozenset({table}), frozenset(columns))
        analysis = analyze_packets(packets, capture_name(captures), asked=asked, progress=bar)
    notes = analysis.notes
    lines = list(dict.fromkeys(line for line in (notes.damage, *notes.warnings) if line))
    # Of several files each line names its own.
    name = f"{analysis.name}: " if len(captures) == 1 else ""
    for line in lines[:_WARNINGS]:
        complain("warning", f"{name}{line}")
    if len(lines) > _WARNINGS:
        complain("warning", f"{analysis.name}: and {len(lines) - _WARNINGS} more warnings")
    return analysis


def prepare() -> None:
    """Set the process up for much work on arrays, before anything heavy is imported."""
    # Hellos and look-ups are kept by the ten thousand and hold no cycles: looking for some in them time and again
    # would cost a tenth of the whole run.
    gc.set_threshold(1_000_000, 20, 100)
    atexit.register(gc.freeze)  # nor at the end, when the system takes back everything anyway
    # There is no linear algebra here, but numpy's library for it starts threads that spin for a while: here, and in
    # the second process, which inherits this.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Polars gives memory back to the system a second after it was used. On its way through a large table it takes
    # and leaves it every few hundredths.
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:50,muzzy_decay_ms:0")
    import numpy as np

    # glibc takes an allocation of this size from the system, and when it is given back concludes that smaller ones
    # are to be kept for the next (mallopt(3), M_MMAP_THRESHOLD). Without that the arrays of every batch are new
    # pages, which cost more than the work on them.
    np.empty(_KEPT_BYTES, dtype=np.uint8)


def check_output(captures: Sequence[str], output: str | None) -> None:
    """Refuse an output that cannot be, or that would overwrite a capture, before any work is done."""
    if output is None:
        if sys.stdout is None:  # a process may be started without one
            raise ForensicsError("there is no standard output: name a file with --output")
        return
    if os.path.isdir(output):  # noqa: PTH112 - a name of any kind
        raise ForensicsError(f"{output}: is a folder: name a file in it")
    if not Path(output).parent.is_dir():
        raise ForensicsError(f"{output}: its folder does not exist: make it, or name another output file")
    for capture in captures:
        with contextlib.suppress(OSError):
            if os.path.samefile(capture, output):  # noqa: PTH121 - either may be a name of any kind
                raise ForensicsError(f"{output}: this is the capture itself; name another output file")


def check_twice(captures: Sequence[str], why: str) -> None:
    """Refuse what cannot be read a second time; ``why`` says what needs that."""
    for capture in captures:
        with contextlib.suppress(OSError):
            if capture == "-" or not S_ISREG(os.stat(capture).st_mode):  # noqa: PTH116 - a name of any kind
                what = "standard input" if capture == "-" else capture
                raise ForensicsError(f"{what}: only a file can be read twice: name one to use {why}")


@contextlib.contextmanager
def text_output(output: str | None) -> Iterator[IO[str]]:
    """Standard output, or the file named by ``--output``; raises ForensicsError when it cannot be written."""
    with _named(output):
        if output is None:
            yield sys.stdout
            sys.stdout.flush()
            return
        with Path(output).open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream


@contextlib.contextmanager
def binary_output(output: str | None) -> Iterator[IO[bytes]]:
    """As text_output, for bytes."""
    with _named(output):
        if output is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        with Path(output).open("wb") as stream:
            yield stream


@contextlib.contextmanager
def _named(output: str | None) -> Iterator[None]:
    """Turn an error of writing into a ForensicsError that names what could not be written (None: stdout)."""
    try:
        yield
    except BrokenPipeError:  # no error: the reader has seen enough
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ForensicsError(
            f"{output or 'standard output'}: cannot be written ({reason}): name another output file"
        ) from None

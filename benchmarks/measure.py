"""Runs a program and measures it together with every process it starts."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERVAL: Final = 0.02
"""Seconds between two looks at the memory; a peak that is shorter than that may be missed."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_UNCOMPILED: Final = "PYTHONDONTWRITEBYTECODE"
"""Set in some containers: it has Python compile a program anew whenever it starts, which no installed one does."""
_ANSWER: Final = 15  # seconds a program may take to say its version


@dataclass(frozen=True)
class Run:
    """What one run of a program took."""

    seconds: float
    """On the clock, from its start until it and all it waited for had ended."""
    cpu: float
    """User and system time of the whole process tree, in seconds."""
    peak: float
    """Largest sum of proportional set sizes over the process tree in MB (10⁶ bytes); 0 when it was not watched."""


class FailedError(Exception):
    """A program ended with another status than 0; the text is one line."""


class _Watch:
    """Looks at a process and its descendants until told to stop."""

    def __init__(self, root: int, *, memory: bool) -> None:
        self.peak = 0
        self._root = root
        self._memory = memory
        self._cpu: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        """Seconds of all processes seen, each as it was seen last."""
        return sum(self._cpu.values()) / _TICKS

    def _look(self) -> None:
        while not self._over.wait(INTERVAL):
            total = 0
            for pid in _tree(self._root):
                self._cpu[pid] = max(self._cpu.get(pid, 0), _ticks(pid))
                if self._memory:
                    total += _proportional(pid)
            self.peak = max(self.peak, total)


def _tree(root: int) -> Iterable[int]:
    """The process and its descendants, as far as they are still there."""
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        # A thread that ends while we look takes its list along; its process does not.
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            waiting.extend(map(int, _text(task).split()))


def _proportional(pid: int) -> int:
    """Bytes of memory, pages shared by *n* processes counted as 1/*n* of a page."""
    for line in _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _ticks(pid: int) -> int:
    # The name in parentheses may hold anything; user and system time are fields 14 and 15 of proc(5).
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""


def run(command: list[str], *, memory: bool, watch: bool = True) -> Run:
    """Runs ``command`` without input and with its output thrown away; raises FailedError.

    ``memory`` samples the memory of the process tree, which costs the program some percent of its time: take
    times from runs without it. ``watch=False`` looks at nothing at all while the program runs; CPU time is then
    that of the program and of the children it waited for.
    """
    with tempfile.TemporaryFile() as complaints:
        start = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - fixed commands of the benchmark
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            env={name: value for name, value in os.environ.items() if name != _UNCOMPILED},
        )
        watcher = _Watch(process.pid, memory=memory) if watch or memory else None
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if watcher:
            watcher.stop()
        if process.returncode != 0:
            raise FailedError(
                f"exit status {process.returncode} of {' '.join(command)}: {_last_line(complaints)}"
            )
    waited = usage.ru_utime + usage.ru_stime
    return Run(seconds, max(waited, watcher.cpu if watcher else 0), watcher.peak / 1e6 if watcher else 0)


def _last_line(stream: IO[bytes]) -> str:
    stream.seek(0)
    lines = stream.read().decode(errors="replace").strip().splitlines()
    return ascii(lines[-1])[1:-1] if lines else "no message"


def warm(path: Path) -> None:
    """Reads a file once, so that no program pays for the disk while memory can hold the file."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def first_line(command: list[str]) -> str:
    """First line that a program prints; empty when it cannot be run."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands of the benchmark
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_ANSWER,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""


def machine() -> str:
    """The machine in a few words."""
    models = [
        line.partition(":")[2].strip()
        for line in _text(Path("/proc/cpuinfo")).splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    model = models[0] if models else platform.machine()
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GB memory, {system}"


def say(message: str) -> None:
    """Progress, apart from the table."""
    print(message, file=sys.stderr, flush=True)

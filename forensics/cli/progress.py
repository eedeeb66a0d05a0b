"""A progress bar that appears only to somebody who is waiting."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

_PATIENCE_S: Final = 1.0


class ReadingBar:
    """Called with stored bytes read and the total (None if unknown); draws on stderr after one second."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted and sys.stderr is not None and sys.stderr.isatty()
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int, total: int | None) -> None:
        """Note how far reading has come."""
        if not self._wanted:
            return
        if self._bar is None:
            if time.monotonic() - self._started < _PATIENCE_S:
                return
            self._open(done, total)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _open(self, done: int, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        console = Console(stderr=True)
        if console.is_dumb_terminal:  # it cannot take a line back
            self._wanted = False
            return
        self._bar = Progress(
            TextColumn("reading", markup=False),
            BarColumn(),
            DownloadColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("reading", completed=done, total=total)
        self._bar.start()

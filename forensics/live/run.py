"""One live capture from beginning to end: sockets and files, then privileges, then the loop, then the report."""

from __future__ import annotations

import contextlib
import gc
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from forensics import __version__
from forensics.analysis import Knowledge
from forensics.capture.live import ANY, LiveSource
from forensics.capture.privileges import drop_privileges, hand_over
from forensics.capture.record import SLOTS, Recorder, RingRecorder
from forensics.errors import ForensicsError
from forensics.live.command import Command, Owned, only_owned, owned_flows
from forensics.live.keep import KeepAll, KeepEvidence
from forensics.live.screen import NdjsonScreen, TextScreen
from forensics.live.session import LiveSession
from forensics.live.watch import now, watch
from forensics.report.json_format import json_report, json_text, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from forensics.analysis import Analysis


@dataclass(frozen=True)
class Wanted:
    """What the user asks for."""

    interface: str | None = None
    """None with a command: all."""
    words: str = ""
    """The capture filter."""
    promiscuous: bool = False
    duration: float | None = None
    """Seconds."""
    write: str | None = None
    evidence_only: bool = False
    ring: int | None = None
    """Bytes."""
    report: str | None = None
    command: tuple[str, ...] = ()


def run_live(wanted: Wanted, console: Console | None, stream: IO[str]) -> None:
    """Capture, judge and report; with a console for people, otherwise events as lines of JSON to ``stream``.

    Raises ForensicsError when it cannot begin.
    """
    with contextlib.ExitStack() as stack:
        interrupted = stack.enter_context(interrupts())
        source = stack.enter_context(
            LiveSource(wanted.interface or ANY, words=wanted.words, promiscuous=wanted.promiscuous)
        )
        files = _open_files(stack, wanted)
        told = _open_report(stack, wanted)
        knowledge = Knowledge.load()
        gc.freeze()  # what is there by now stays: it need not be looked through after every look
        rights = drop_privileges(run_commands=bool(wanted.command))
        session = LiveSession(source.name, source.notes, knowledge)
        keepers = _keepers(files, wanted, session)
        screen = _screen(stack, console, stream, draws=not wanted.command)
        screen.begin(now(), source.name, rights)
        command = stack.enter_context(Command(wanted.command)) if wanted.command else None
        begun = time.monotonic()

        def over() -> str:
            if interrupted:
                return "interrupted"
            if wanted.duration is not None and time.monotonic() - begun >= wanted.duration:
                return "duration"
            return "command" if command is not None and command.over() else ""

        def narrow(analysis: Analysis) -> Analysis:
            return analysis if command is None else only_owned(analysis, _owned(analysis, command))

        why, ledger = watch(source, session, screen, list(keepers), over=over, narrow=narrow)
        about: dict[str, Any] = {
            "interface": source.name,
            "filter": wanted.words or None,
            "seconds": time.monotonic() - begun,
            "ended": why,
            "rights": rights,
        }
        analysis = session.finish()
        if (earlier := session.earlier.report(analysis)) is not None:
            # Whose flows those were is not known any more.
            about["earlier"] = earlier if command is None else {**earlier, "findings": [], "verdicts": []}
        if command is not None:
            command.close()
            about["command"] = _about_command(analysis, command)
        analysis = narrow(analysis)
        for keeper in keepers:
            keeper.close(analysis)
            if isinstance(keeper, KeepEvidence):
                about["findings_with_packets_missing"] = keeper.missed
        report: dict[str, Any] = {**json_report(analysis), "live": plain(about)}
        if told is not None:
            told.write(json_text(report, indent=2) + "\n")
        screen.show(ledger.update(analysis, now()), analysis)
        screen.end(now(), report, analysis)


def _screen(
    stack: contextlib.ExitStack, console: Console | None, stream: IO[str], *, draws: bool
) -> NdjsonScreen | TextScreen:
    screen = NdjsonScreen(stream) if console is None else TextScreen(console, table=draws)
    stack.callback(screen.close)
    return screen


@contextlib.contextmanager
def interrupts() -> Iterator[list[int]]:
    """A list that Ctrl-C, or the signal to end, puts something into; a second Ctrl-C ends the program."""
    seen: list[int] = []

    def note(number: int, _frame: object) -> None:
        seen.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_files(stack: contextlib.ExitStack, wanted: Wanted) -> list[IO[bytes]]:
    """Files for packets, opened while that is still allowed."""
    if wanted.write is None:
        return []
    path = Path(wanted.write)
    paths = [path]
    if wanted.ring:
        paths = [path.with_stem(f"{path.stem}-{number}") for number in range(1, SLOTS + 1)]
    return [_opened(stack, one) for one in paths]


def _open_report(stack: contextlib.ExitStack, wanted: Wanted) -> IO[str] | None:
    if wanted.report is None:
        return None
    binary = _opened(stack, Path(wanted.report))
    return stack.enter_context(open(binary.fileno(), "w", encoding="ascii", closefd=False))


def _opened(stack: contextlib.ExitStack, path: Path) -> IO[bytes]:
    try:
        file = stack.enter_context(path.open("wb"))
    except OSError as error:
        raise ForensicsError(f"{path}: cannot be written ({error.strerror}): name another file") from None
    hand_over(file.fileno())
    return file


def _keepers(files: list[IO[bytes]], wanted: Wanted, session: LiveSession) -> list[KeepAll | KeepEvidence]:
    if not files:
        return []
    application = f"forensics {__version__}"
    writer: Recorder | RingRecorder
    if wanted.ring:
        writer = RingRecorder(files, wanted.ring, session.notes, application)
    else:
        writer = Recorder(files[0], session.notes, application)
    return [KeepEvidence(writer, session.find) if wanted.evidence_only else KeepAll(writer)]


def _owned(analysis: Analysis, command: Command) -> Owned:
    return owned_flows(analysis, command, command.sockets.mine, command.sockets.others)


def _about_command(analysis: Analysis, command: Command) -> dict[str, Any]:
    """What became of it, and which flows are its own."""
    flows = sorted(_owned(analysis, command).flows.items())
    return {
        **command.report(),
        "flows": [{"proto": proto, "stream": stream, "basis": basis} for (proto, stream), basis in flows],
    }

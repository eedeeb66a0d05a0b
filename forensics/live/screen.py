"""Showing a live capture: a running table on a terminal, one JSON object a line otherwise."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from forensics.report.json_format import json_text, plain
from forensics.report.printable import clipped, printable
from forensics.report.text import text_report

if TYPE_CHECKING:
    from rich.console import Console

    from forensics.analysis import Analysis

_LONG: Final = 200
_ROWS: Final = 40
_STYLE: Final = {"blocked": "bold red", "degraded": "bold yellow", "ok": "green", "undetermined": "cyan"}


class NdjsonScreen:
    """Writes every event as one line of JSON, at once."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def show(self, events: list[dict[str, Any]], analysis: Analysis) -> None:  # noqa: ARG002 - see Screen
        """See watch.Screen."""
        for event in events:
            self.say(event)

    def count(self, packets: int, lost: int) -> None:
        """Counts stand in events."""

    def say(self, event: dict[str, Any]) -> None:
        """One event."""
        self._stream.write(json_text(plain(event)) + "\n")
        self._stream.flush()

    def begin(self, time: str, interface: str, rights: str) -> None:
        """Packets are being captured."""
        self.say({"event": "start", "time": time, "interface": interface, "rights": rights})

    def end(self, time: str, report: dict[str, Any], analysis: Analysis) -> None:  # noqa: ARG002 - see TextScreen
        """Nothing more will come."""
        self.say({"event": "end", "time": time, "report": report})

    def close(self) -> None:
        """Nothing is left open."""


class TextScreen:
    """Lines for findings, and where the terminal can be drawn on, a table of verdicts below them."""

    def __init__(self, console: Console, *, table: bool) -> None:
        self._console = console
        self._counts = "waiting for packets"
        self._verdicts: Table | None = None
        self._live: Live | None = None
        if table and console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(
                Text(self._counts), console=console, auto_refresh=False, transient=True, redirect_stdout=False
            )
            self._live.start()

    def begin(self, time: str, interface: str, rights: str) -> None:  # noqa: ARG002 - see NdjsonScreen
        """Packets are being captured."""
        self._say(f"Capturing on {interface}, {rights}; Ctrl-C ends it", "dim")

    def end(self, time: str, report: dict[str, Any], analysis: Analysis) -> None:  # noqa: ARG002 - see NdjsonScreen
        """The report, and what that of a file has no place for."""
        self.close()
        text_report(analysis, self._console)
        self._console.print()
        for line in closing_words(report["live"]):
            self._say(line)

    def _say(self, words: str, style: str = "") -> None:
        self._console.print(Text(printable(words), style=style), soft_wrap=True, highlight=False)

    def show(self, events: list[dict[str, Any]], analysis: Analysis) -> None:
        """See watch.Screen."""
        for event in events:
            line = event_line(event)
            if line:
                self._say(line)
        self._verdicts = _table(analysis)
        self._draw()

    def count(self, packets: int, lost: int) -> None:
        """See watch.Screen."""
        self._counts = f"{packets:,} packets" + (f", {lost:,} lost by the kernel" if lost else "")
        self._draw()

    def close(self) -> None:
        """Take the table away."""
        if self._live is not None:
            self._live.stop()

    def _draw(self) -> None:
        if self._live is not None:
            shown = Text(self._counts, style="dim")
            self._live.update(Group(self._verdicts, shown) if self._verdicts else shown, refresh=True)


def event_line(event: dict[str, Any]) -> str:
    """An event in words; empty for those that the table shows."""
    kind = event["event"]
    clock = str(event["time"])[11:19]
    app = " ".join(part for part in (event.get("app"), event.get("feature")) if part)
    about = f"{event.get('target', '')}" + (f" ({app})" if app else "")
    if kind == "finding":
        words = {"new": "finding", "more": "more of it"}.get(event["change"], event["change"])
        line = f"{words} {event['id']}: {event['level']} {event['mechanism']}: {about}: {event['title']}"
    elif kind == "withdrawn":
        line = f"withdrawn {event['id']}: {about}: {event['title']}: {event['because']}"
    elif kind == "quality":
        line = (
            f"the kernel has dropped {event['dropped_by_kernel']:,} packets: what is said may miss something"
        )
    else:
        return ""
    return clipped(f"{clock} {line}", _LONG)


def closing_words(about: dict[str, Any]) -> list[str]:
    """The part of the report that tells of the capture itself, in sentences."""
    lines = [f"Captured on {about['interface']} for {about['seconds']:,.1f} s."]
    missing = about.get("findings_with_packets_missing")
    if missing:
        lines.append(f"Packets of {missing} findings came too long before them, and were not kept.")
    lines += _earlier_words(about.get("earlier"))
    command = about.get("command")
    if command:
        if command["signal"]:
            became = f"was ended by {command['signal']}"
        elif command["exit_status"] is None:
            became = "did not end"
        else:
            became = f"ended with status {command['exit_status']}"
        by = [flow["basis"] for flow in command["flows"]]
        lines.append(
            f"The command {became}. Its own flows were judged, {len(by)} of them: {by.count('pid')} are known by "
            f"their sockets, {by.count('time')} by time and address."
        )
    return lines


def _earlier_words(earlier: dict[str, Any] | None) -> list[str]:
    if earlier is None:
        return []
    found = earlier["findings"]
    lines = [
        f"Until {earlier['until']} {earlier['flows']:,} flows had ended, which were judged then and dropped. "
        + (f"Of what was found in them {len(found):,} findings stand nowhere above:" if found else "")
    ]
    for told in found[:_ROWS]:
        app = " ".join(part for part in (told["app"], told["feature"]) if part)
        about = clipped(told["target"], _LONG) + (f" ({app})" if app else "")
        lines.append(f"  {told['level']} {told['mechanism']}: {about}: {told['title']}")
    if len(found) > _ROWS:
        lines.append(f"  and {len(found) - _ROWS:,} more, which --report and --format ndjson give")
    return lines


def _table(analysis: Analysis) -> Table | None:
    if not analysis.verdicts:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("app", "feature", "status", "level", "how", "connections"):
        table.add_column(name, no_wrap=True, justify="right" if name == "connections" else "left")
    for verdict in analysis.verdicts[:_ROWS]:
        table.add_row(
            Text(clipped(verdict.app, 30)),
            Text(clipped(verdict.feature, 30)),
            Text(verdict.status, style=_STYLE.get(verdict.status, "")),
            Text(verdict.level or ""),
            Text(", ".join(verdict.mechanisms)),
            Text(f"{verdict.flows:,}"),
        )
    if len(analysis.verdicts) > _ROWS:
        table.add_row(f"and {len(analysis.verdicts) - _ROWS} more")
    return table

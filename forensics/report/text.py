"""The report for people: plain lines that read the same in a terminal, a file and an e-mail.

Only ASCII is drawn by ourselves, colour carries nothing that words do not, and every text from the capture
goes through :func:`~forensics.report.printable.clipped`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from forensics import __version__
from forensics.report.owners import owners_of, phone_apps
from forensics.report.printable import clipped
from forensics.report.quality import quality_lines
from forensics.report.scope import closed_gates, looked_at, unapplied, untested_benign
from forensics.report.times import to_the_ms
from forensics.verdicts.sentences import rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

    from forensics.analysis import Analysis
    from forensics.report.owners import PhoneApp
    from forensics.signatures.model import Evidence, Finding

_STATUS_STYLE: Final = {
    "blocked": "bold red",
    "degraded": "bold yellow",
    "ok": "green",
    "undetermined": "cyan",
}
_LONG: Final = 300
"""Longest text from a capture that is shown."""
_CONNECTIONS: Final = 5
_FRAMES: Final = 8
_LIMITS: Final = 10
_RULES_NAMED: Final = 20


def text_report(analysis: Analysis, console: Console) -> None:
    """Write the report to ``console``; its width, colour and file are the caller's."""
    out = _Writer(console)
    _header(analysis, out)
    _verdicts(analysis, out)
    if analysis.findings:
        out.heading("Findings")
        owners = phone_apps(analysis)
        for finding in analysis.findings:
            _finding(finding, owners_of(finding, owners), out)
    _limits(analysis, out)
    _quality(analysis, out)
    _scope(analysis, out)


class _Writer:
    """Prints without markup, emoji codes or highlighting: hostile text has no second meaning here."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def put(self, item: RenderableType, indent: int = 0) -> None:
        padded = Padding(item, (0, 0, 0, indent), expand=False)
        for line in self._console.render_lines(padded, pad=False):
            # Tables pad their cells; nobody wants to copy or diff trailing blanks.
            while line and not line[-1].text.strip():
                line.pop()
            if line:
                line[-1] = Segment(line[-1].text.rstrip(), line[-1].style)
            self._console.print(Segments([*line, Segment.line()]), end="")

    def unwrapped(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True, highlight=False, markup=False, emoji=False)

    def blank(self) -> None:
        self._console.print()

    def heading(self, text: str) -> None:
        self.blank()
        self.put(Text(text, style="bold"))


def _safe(text: str, style: str = "") -> Text:
    return Text(clipped(text, _LONG), style=style, overflow="fold")


def _grid(*ratios: int | None) -> Table:
    """Columns without lines; the last one wraps."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=False)
    for _ in ratios[:-1]:
        grid.add_column(no_wrap=True, overflow="fold")
    grid.add_column(overflow="fold")
    return grid


def _number(count: int, thing: str, things: str | None = None) -> str:
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def _header(analysis: Analysis, out: _Writer) -> None:
    notes = analysis.notes
    title = _safe(analysis.name, "bold")
    title.append(f": {_number(notes.packets, 'packet')}", style="not bold")
    out.put(title)
    if analysis.first_time is not None and analysis.last_time is not None:
        seconds = (analysis.last_time - analysis.first_time) / 1e9
        start, end = to_the_ms(analysis.first_time), to_the_ms(analysis.last_time)
        end = end[11:] if end[:10] == start[:10] else end
        out.put(Text(f"{start} to {end} UTC ({seconds:,.3f} s)"))
    files = f"{len(notes.files):,} files" if len(notes.files) > 1 else ""
    about = [files, notes.file_type, f"sha256 {notes.sha256[:16]}..." if notes.sha256 else ""]
    about += [f"forensics {__version__}", _number(analysis.signature_count, "signature")]
    out.put(Text(", ".join(part for part in about if part), style="dim"))
    if notes.damage:
        warning = Text("Damaged: ", style="bold yellow")
        warning.append_text(_safe(notes.damage, "not bold"))
        out.put(warning)


def _verdicts(analysis: Analysis, out: _Writer) -> None:
    out.heading("Verdicts")
    if not analysis.verdicts:
        out.put(Text("No traffic of an app that the signatures know was seen."), indent=2)
    widths = [
        max((len(clipped(cell, 24)) for cell in column), default=0)
        for column in zip(
            *((v.app, v.feature, v.status, v.level or "no finding") for v in analysis.verdicts), strict=True
        )
    ]
    for verdict in analysis.verdicts:
        app, feature, status, level = (
            clipped(cell, 24).ljust(width)
            for cell, width in zip(
                (verdict.app, verdict.feature, verdict.status, verdict.level or "no finding"),
                widths,
                strict=True,
            )
        )
        how = ", ".join(verdict.mechanisms)
        if verdict.findings:
            shown = ", ".join(verdict.findings[:_CONNECTIONS]) + (
                "..." if len(verdict.findings) > _CONNECTIONS else ""
            )
            how += f" ({shown})"
        line = Text(f"{app}  {feature}  ", overflow="fold")
        line.append(status, style=_STATUS_STYLE.get(verdict.status, ""))
        line.append(f"  {level}  {clipped(how, _LONG)}".rstrip())
        out.put(line, indent=2)
        out.put(_safe(verdict.summary), indent=6)
    if analysis.findings:
        return
    out.blank()
    out.put(Text(f"No signature matched. Looked at: {looked_at(analysis)}."))
    if 0 < len(analysis.outcomes) <= _RULES_NAMED:
        known = clipped(", ".join(sorted(analysis.outcomes)), _LONG)
        out.put(Text(f"Looked for: {known}. What no signature describes was not looked for."))


def _finding(finding: Finding, owners: Sequence[PhoneApp], out: _Writer) -> None:
    out.blank()
    head = _grid(None, None)
    head.add_row(
        Text(clipped(finding.id, 24), style="bold"),
        _safe(f"The capture shows that {finding.title.rstrip('.')}.", "bold"),
    )
    out.put(head)
    facts = _grid(None, None)
    grade = Text(finding.level, style="bold")
    grade.append(f" (score {finding.score}), {clipped(finding.mechanism, 40)}", style="not bold")
    facts.add_row("Level", grade)
    facts.add_row("Signature", _safe(finding.signature))
    target = _safe(finding.target)
    if finding.app is not None:
        target.append(clipped(f" ({finding.app}{' ' + finding.feature if finding.feature else ''})", _LONG))
    facts.add_row("Target", target)
    facts.add_row("Connections" if len(finding.subjects) != 1 else "Connection", _subjects(finding))
    if owners:
        facts.add_row("Phone app", _owners(owners))
    out.put(facts, indent=4)
    _evidence(finding.evidence, out)
    _benign(finding, out)
    roles: dict[str, list[int]] = {}
    for item in finding.frames:
        roles.setdefault(item.role, []).append(item.frame)
    if roles:
        out.put(Text("Frames", style="bold"), indent=4)
        grid = _grid(None, None)
        for role, frames in roles.items():
            grid.add_row(_safe(role.replace("_", " ")), _some(frames))
        out.put(grid, indent=6)
    for note in finding.notes:
        out.put(_safe(f"Note: {note}"), indent=4)
    if finding.frame_numbers():
        out.put(Text("Wireshark display filter", style="bold"), indent=4)
        out.unwrapped(finding.display_filter())


def _subjects(finding: Finding) -> Text:
    lines = [
        clipped(
            f"{s.proto}.stream {s.stream}: "
            f"{_end(s.client, s.client_port)} to {_end(s.server, s.server_port)}",
            _LONG,
        )
        for s in finding.subjects[:_CONNECTIONS]
    ]
    more = len(finding.subjects) - _CONNECTIONS
    if more > 0:
        lines.append(f"and {more:,} more")
    return Text("\n".join(lines), overflow="fold")


def _owners(owners: Sequence[PhoneApp]) -> Text:
    words = [
        clipped(f"UID {app.uid}" if app.name is None else f"{app.name} (UID {app.uid})", 80)
        for app in owners[:_CONNECTIONS]
    ]
    more = len(owners) - _CONNECTIONS
    return Text(", ".join(words) + (f" and {more:,} more" if more > 0 else ""), overflow="fold")


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _evidence(reasons: Sequence[Evidence], out: _Writer) -> None:
    if not reasons:
        return
    out.put(Text("Evidence", style="bold"), indent=4)
    grid = _grid(None, None)
    grid.columns[0].justify = "right"
    for reason in reasons:
        grid.add_row(f"{reason.points:+d}", _with_frames(reason.statement, reason.frames))
    out.put(grid, indent=6)


_BENIGN_WORDS: Final = {"excluded": "excluded", "stands": "stands", "not-testable": "not testable"}
_BENIGN_STYLE: Final = {"stands": "bold yellow", "not-testable": "cyan"}


def _benign(finding: Finding, out: _Writer) -> None:
    if not finding.benign:
        out.put(Text("Innocent explanations: none is known to the signature."), indent=4)
        return
    out.put(Text("Innocent explanations tested", style="bold"), indent=4)
    grid = _grid(None, None)
    # What still stands matters most to someone who is about to publish.
    order = list(_BENIGN_STYLE)
    for item in sorted(
        finding.benign, key=lambda b: order.index(b.outcome) if b.outcome in order else len(order)
    ):
        word = Text(
            _BENIGN_WORDS.get(item.outcome, clipped(item.outcome, 20)),
            style=_BENIGN_STYLE.get(item.outcome, ""),
        )
        grid.add_row(word, _with_frames(item.statement, item.frames))
    out.put(grid, indent=6)


def _with_frames(statement: str, frames: Iterable[int]) -> Text:
    text = _safe(statement)
    numbers = list(frames)
    if numbers:
        text.append(f" [{'frame' if len(numbers) == 1 else 'frames'} {_some(numbers)}]", style="dim")
    return text


def _some(frames: Sequence[int]) -> str:
    """Frame numbers in ascending order, runs of three and more as ``138-140``; the first eight such items."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    items: list[tuple[str, int]] = []
    for run in runs:
        if len(run) > 2:  # noqa: PLR2004 - two numbers read better side by side
            items.append((f"{run[0]}-{run[-1]}", len(run)))
        else:
            items += [(str(frame), 1) for frame in run]
    shown = ", ".join(text for text, _ in items[:_FRAMES])
    more = sum(count for _, count in items[_FRAMES:])
    return f"{shown} and {more:,} more" if more > 0 else shown


def _limits(analysis: Analysis, out: _Writer) -> None:
    known = [limit for limit in analysis.limits if limit.limit != "undetermined"]
    if not known:
        return
    out.heading("What held back long transfers")
    grid = _grid(None, None, None)
    for limit in known[:_LIMITS]:
        speed = "" if limit.rate_bps is None else rate(limit.rate_bps)
        burst = "" if limit.burst_bytes is None else f", after a burst of {limit.burst_bytes:,} bytes"
        grid.add_row(f"{limit.proto}.stream {limit.stream}", limit.limit, f"{speed}{burst} ({limit.level})")
    out.put(grid, indent=2)
    rest = len(analysis.limits) - min(len(known), _LIMITS)
    if rest:
        out.put(
            Text(f"{_number(rest, 'other transfer')} of at least 200 kB or 15 s: see the JSON report."),
            indent=2,
        )


def _quality(analysis: Analysis, out: _Writer) -> None:
    lines = quality_lines(analysis.quality)
    if not lines:
        return
    out.heading("What this capture can and cannot show")
    for line in lines:
        out.put(_safe(line), indent=2)


def _scope(analysis: Analysis, out: _Writer) -> None:
    notes = analysis.notes
    lines = [*closed_gates(analysis), *unapplied(analysis), *untested_benign(analysis)]
    if notes.proxied:
        lines.insert(0, f"{notes.proxied}.")
    lines += [warning for warning in notes.warnings[:_LIMITS] if warning != notes.damage]
    if analysis.findings:
        lines.insert(0, f"Looked at: {looked_at(analysis)}.")
    if not lines:
        return
    out.heading("What this rests on, and what could not be judged")
    for line in lines:
        out.put(_safe(line), indent=2)

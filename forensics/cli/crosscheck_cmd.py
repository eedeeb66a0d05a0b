"""``forensics crosscheck``: our facts next to those of an independent dissector."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click

from forensics.cli.messages import complain
from forensics.cli.progress import ReadingBar
from forensics.cli.run import check_output, text_output
from forensics.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.crosscheck.compare import Check, Difference
    from forensics.crosscheck.seen import Seen

_SHOWN: Final = 10
_CELL: Final = 60


@click.command()
@click.argument("capture")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="For people or programs."
)
@click.option("-o", "--output", metavar="FILE", help="Write there instead of standard output.")
@click.option("--no-progress", is_flag=True, help="Never draw a progress bar.")
@click.pass_context
def crosscheck(ctx: click.Context, capture: str, form: str, output: str | None, *, no_progress: bool) -> None:
    """Compare what we read from CAPTURE with what tshark reads, through pyshark.

    Streams, TLS and QUIC server names, JA3, DNS names and answers, HTTP hosts and status, resets and retransmissions,
    frame by frame: what agrees, and every difference with its frames. Differences that are documented
    ('forensics docs differences') are counted; any other is a reason to look, not yet an error of either. tshark
    reads some 10,000 packets a second; cut a large capture first, such as with editcap.

    Exit status: 0 no difference, or documented ones alone; 1 others; 2 unusable arguments or input, or pyshark or
    tshark is missing.
    """
    if capture == "-" or not Path(capture).is_file():
        raise CaptureError(f"{capture}: crosscheck reads the file more than once; name a file")
    check_output([capture], output)
    from forensics.analysis import analyze_capture
    from forensics.crosscheck.compare import compare
    from forensics.crosscheck.ours import ASKED, ours
    from forensics.crosscheck.theirs import tshark

    # tshark last: who has no capture need not install anything to be told so.
    with ReadingBar(wanted=not no_progress) as bar:
        analysis = analyze_capture(capture, asked=ASKED, progress=bar)
    for line in filter(None, dict.fromkeys((analysis.notes.damage, *analysis.notes.warnings))):
        complain("warning", f"{analysis.name}: {line}")
    theirs = tshark(capture)
    checks = compare(ours(analysis, capture), theirs)
    with text_output(output) as stream:
        (_json if form == "json" else _text)(analysis.name, theirs, checks, stream)
    if any(check.unexplained for check in checks):
        ctx.exit(1)


def _json(name: str, theirs: Seen, checks: Sequence[Check], stream: IO[str]) -> None:
    from forensics import __version__
    from forensics.crosscheck.seen import QUESTIONS

    def row(difference: Difference) -> dict[str, Any]:
        said = {
            "ours": difference.ours,
            "tshark": difference.tshark,
            "frames": list(difference.frames),
            "explanation": difference.explanation or None,
        }
        return {
            **{key: value for key, value in difference.subject._asdict().items() if value not in ("", -1)},
            **said,
        }

    report = {
        "schema": "forensics-crosscheck/1",
        "tool": {"version": __version__},
        "tshark": {"version": theirs.version, "message": theirs.message},
        "capture": name,
        "equal": not any(check.differences for check in checks),
        "explained": not any(check.unexplained for check in checks),
        "checks": [
            {
                "check": check.question,
                "what": QUESTIONS[check.question],
                "same": check.same,
                "differences": [row(difference) for difference in check.differences],
            }
            for check in checks
        ],
    }
    # DEL is ASCII, and still no character for a terminal.
    stream.write(json.dumps(report, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f") + "\n")


def _text(name: str, theirs: Seen, checks: Sequence[Check], stream: IO[str]) -> None:
    from forensics.crosscheck.seen import QUESTIONS
    from forensics.report.printable import clipped, printable

    stream.write(f"{printable(name)}: forensics next to tshark {printable(theirs.version)}\n\n")
    width = max(map(len, QUESTIONS.values()))
    stream.write(f"{'':{width}}  {'same':>9}  {'explained':>9}  {'different':>9}\n")
    for check in checks:
        left = len(check.unexplained)
        explained = len(check.differences) - left
        stream.write(f"{QUESTIONS[check.question]:{width}}  {check.same:9,}  {explained:9,}  {left:9,}\n")
    if theirs.message:
        stream.write(f"\ntshark says: {clipped(theirs.message, 2 * _CELL)}\n")
    for check in checks:
        if check.unexplained:
            stream.write(f"\nDifferent: {QUESTIONS[check.question]}\n")
        for difference in check.unexplained[:_SHOWN]:
            stream.write(f"  {_line(difference)}\n")
        if len(check.unexplained) > _SHOWN:
            stream.write(f"  and {len(check.unexplained) - _SHOWN:,} more: --format json has them all\n")
    _documented(checks, stream)


def _documented(checks: Sequence[Check], stream: IO[str]) -> None:
    """How many differences are of which documented kind, and the first of each."""
    from forensics.crosscheck.explained import EXPLANATIONS

    found = [difference for check in checks for difference in check.differences]
    for explanation in EXPLANATIONS:
        of_it = [difference for difference in found if difference.explanation == explanation.id]
        if of_it:
            stream.write(f"\nExplained, {len(of_it):,} times ({explanation.id}): {explanation.what}\n")
            stream.write(f"  such as {_line(of_it[0])}\n")


def _line(difference: Difference) -> str:
    from forensics.report.printable import clipped

    def said(value: int | str | None) -> str:
        if isinstance(value, int):
            return f"{value:,}"
        return "none" if value is None else clipped(value, _CELL)

    subject = difference.subject
    where = [f"{subject.proto}.stream {subject.stream}"] if subject.proto else ["all"]
    if subject.sender:
        where.append(f"from {subject.sender}")
    if subject.name:
        where.append(clipped(subject.name, _CELL))
    many = "s" if len(difference.frames) > 1 else ""
    frames = f" (frame{many} {', '.join(map(str, difference.frames))})" if difference.frames else ""
    return f"{' '.join(where)}: forensics {said(difference.ours)}, tshark {said(difference.tshark)}{frames}"

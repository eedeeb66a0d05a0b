"""``forensics crosscheck``: our facts next to those of an independent dissector."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click

from forensics.cli.run import analyzed, check_output, text_output
from forensics.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.crosscheck.compare import Check, Difference, Seen

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

    Packets, stream numbers, server names, DNS names, resets and retransmissions: counts of what agrees, and every
    difference with its frames. A difference is a reason to look, not yet an error of either. tshark reads some
    10,000 packets a second; cut a large capture first, such as with editcap.

    Exit status: 0 equal, 1 different, 2 unusable arguments or input, or pyshark or tshark is missing.
    """
    if capture == "-" or not Path(capture).is_file():
        raise CaptureError(f"{capture}: crosscheck reads the file twice; name a file")
    check_output([capture], output)
    from forensics.crosscheck.compare import compare, ours, tshark

    # tshark last: who has no capture need not install anything to be told so.
    analysis = analyzed(capture, progress=not no_progress)
    theirs = tshark(capture)
    checks = compare(ours(analysis), theirs)
    with text_output(output) as stream:
        (_json if form == "json" else _text)(analysis.name, theirs, checks, stream)
    if any(check.differences for check in checks):
        ctx.exit(1)


def _json(name: str, theirs: Seen, checks: Sequence[Check], stream: IO[str]) -> None:
    from forensics import __version__
    from forensics.crosscheck.compare import QUESTIONS

    def row(difference: Difference) -> dict[str, Any]:
        said = {"ours": difference.ours, "tshark": difference.tshark, "frames": list(difference.frames)}
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
    from forensics.crosscheck.compare import QUESTIONS
    from forensics.report.printable import clipped, printable

    stream.write(f"{printable(name)}: forensics next to tshark {printable(theirs.version)}\n\n")
    width = max(map(len, QUESTIONS.values()))
    stream.write(f"{'':{width}}  {'same':>9}  {'different':>9}\n")
    for check in checks:
        stream.write(f"{QUESTIONS[check.question]:{width}}  {check.same:9,}  {len(check.differences):9,}\n")
    if theirs.message:
        stream.write(f"\ntshark says: {clipped(theirs.message, 2 * _CELL)}\n")
    for check in checks:
        if check.differences:
            stream.write(f"\n{QUESTIONS[check.question][0].upper()}{QUESTIONS[check.question][1:]}\n")
        for difference in check.differences[:_SHOWN]:
            stream.write(f"  {_line(difference)}\n")
        if len(check.differences) > _SHOWN:
            stream.write(f"  and {len(check.differences) - _SHOWN:,} more: --format json has them all\n")


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
    frames = f" (frames {', '.join(map(str, difference.frames))})" if difference.frames else ""
    return f"{' '.join(where)}: forensics {said(difference.ours)}, tshark {said(difference.tshark)}{frames}"

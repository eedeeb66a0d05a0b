"""``forensics analyze``: verdicts and findings of a capture."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

import click

from forensics.cli.run import analyzed, binary_output, check_output, check_twice, text_output


@click.command()
@click.argument("captures", metavar="CAPTURE...", nargs=-1, required=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="For people or programs."
)
@click.option("-o", "--output", metavar="FILE", help="Write there instead of standard output.")
@click.option(
    "--evidence", metavar="FILE", help="Write the frames of all findings there, as pcapng with comments."
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 when something at least likely was found.")
@click.option("--no-progress", is_flag=True, help="Never draw a progress bar.")
@click.pass_context
def analyze(  # noqa: PLR0913 - one parameter an option
    ctx: click.Context,
    captures: tuple[str, ...],
    form: str,
    output: str | None,
    evidence: str | None,
    *,
    exit_code: bool,
    no_progress: bool,
) -> None:
    """Say what works in CAPTURE, what does not, how it is broken, and why we may say so.

    CAPTURE is a pcap, pcapng or snoop file, plain or compressed with gzip, zstd or lz4; - reads standard input.
    Several files, such as a rotated set, are one capture in the order of time.

    Exit status: 0 analysed (1 with --exit-code when something was found), 2 unusable arguments or input.
    """
    check_output(captures, output)
    if evidence is not None:
        check_output(captures, evidence)
        check_twice(captures, "--evidence")
    analysis = analyzed(*captures, progress=not no_progress)
    with text_output(output) as stream:
        if form == "json":
            from forensics.report.json_format import dump_json

            dump_json(analysis, stream)
        else:
            from rich.console import Console

            from forensics.report.text import text_report

            console = Console(file=stream)
            console.on_broken_pipe = _gone  # type: ignore[method-assign]
            text_report(analysis, console)
    if evidence is not None:
        from forensics.report.evidence import write_evidence

        with binary_output(evidence) as packets:
            write_evidence(analysis, captures, packets)
    if exit_code:
        from forensics.signatures.model import LEVELS

        likely = LEVELS[LEVELS.index("likely") :]
        levels = [f.level for f in analysis.findings] + [v.level for v in analysis.verdicts]
        if any(level in likely for level in levels):
            ctx.exit(1)


def _gone() -> None:
    """In place of rich's own way to end when the reader has gone: with 1, which has another meaning here."""
    raise BrokenPipeError

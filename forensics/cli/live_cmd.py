"""``forensics live``: judge what passes an interface, while it passes."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used: help must be instant
from __future__ import annotations

import re
import sys

import click

from forensics.cli.run import check_output, prepare

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SIZES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_SMALLEST_RING = 1_000_000


class _Time(click.ParamType):  # type: ignore[type-arg]  # older versions of click take none
    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value))
        if not found or not float(found[1]):
            self.fail(f"{value!r} is no time: write 90, 90s, 5m, 12h or 1d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class _Size(click.ParamType):  # type: ignore[type-arg]  # the same
    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+)([KMG]?)B?", str(value), re.IGNORECASE)
        if not found or int(found[1]) * _SIZES[found[2].upper()] < _SMALLEST_RING:
            self.fail(f"{value!r} is no size of at least 1MB: write 100MB or 2GB", param, ctx)
        return int(found[1]) * _SIZES[found[2].upper()]


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("-i", "--interface", metavar="IFACE", help="Capture there; 'any' is all of them.")
@click.option("--filter", "words", metavar="BPF", default="", help="Take only these packets (pcap-filter).")
@click.option("--duration", type=_Time(), help="End after that time, such as 90s, 5m or 12h.")
@click.option("--write", metavar="FILE", help="Write the packets there, as pcapng.")
@click.option(
    "--keep",
    type=click.Choice(["all", "evidence"]),
    default="all",
    help="Write all packets, or only those of flows with findings.",
)
@click.option(
    "--ring", type=_Size(), help="Write only the last so much, such as 100MB, into FILE-1 to FILE-8."
)
@click.option("--promiscuous", is_flag=True, help="Take packets for other hosts, too.")
@click.option("--format", "form", type=click.Choice(["text", "ndjson"]), help="For people or programs.")
@click.option("--report", metavar="FILE", help="Write the final report there, as JSON.")
@click.argument("command", metavar="[-- COMMAND ARGS...]", nargs=-1, type=click.UNPROCESSED)
def live(  # noqa: PLR0913 - one parameter an option
    interface: str | None,
    words: str,
    duration: float | None,
    write: str | None,
    keep: str,
    ring: int | None,
    form: str | None,
    report: str | None,
    command: tuple[str, ...],
    *,
    promiscuous: bool,
) -> None:
    """Judge what passes IFACE while it passes, and report at the end as 'analyze' does of a file.

    It ends with --duration, with Ctrl-C, or with COMMAND: that is run meanwhile, and only the flows that it made are
    judged. Findings are told when they arise: in words on a terminal, as one JSON object a line otherwise.

    Exit status: 0 when the capture was judged, however it ended; 2 unusable arguments, or no right to capture.
    """
    if interface is None and not command:
        raise click.UsageError("name an interface with -i, such as -i eth0 or -i any, or a command after --")
    if write is None and (ring or keep != "all"):
        raise click.UsageError(
            f"{'--ring' if ring else '--keep'} says what to write: name a file with --write"
        )
    for output in (write, report):
        if output is not None:
            check_output((), output)
    if write is not None and write == report:
        raise click.UsageError("--write and --report name the same file")
    check_output((), None)
    prepare()
    from rich.console import Console

    from forensics.live.run import Wanted, run_live

    wanted = Wanted(
        interface=interface,
        words=words,
        promiscuous=promiscuous,
        duration=duration,
        write=write,
        evidence_only=keep == "evidence",
        ring=ring,
        report=report,
        command=command,
    )
    form = form or ("text" if sys.stdout.isatty() else "ndjson")
    run_live(wanted, Console() if form == "text" else None, sys.stdout)

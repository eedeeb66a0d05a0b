"""Time and memory of `forensics analyze` next to other tools, on the same file and in the same run.

    python benchmarks/compare.py CAPTURE [--runs 3] [--only NAME …]

Prints a Markdown table. What each program is asked to do stands in its last column: none of them does what another
does, and only `forensics analyze` ends in a judgement. The file is read once before the first run, so that nobody
pays for the disk. In the first round the memory of each program and all its child processes is watched; that costs
time, so times come from the further rounds, in which the programs take turns. Ratios compare medians of one run of
this command: on a shared machine, figures of two runs do not compare.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from measure import INTERVAL, FailedError, Run, first_line, machine, run, say, warm

FORENSICS: Final = "forensics analyze"
NFSTREAM: Final = Path("build/bench/nfstream/bin/python")
_NAMES: Final = (
    "frame.number",
    "tls.handshake.extensions_server_name",
    "dns.qry.name",
    "tcp.analysis.retransmission",
)
_WANTED: Final = "tls.handshake.extensions_server_name or dns or tcp.analysis.retransmission"


@dataclass
class Program:
    """One line of the table."""

    name: str
    command: list[str]
    """``CAPTURE`` stands for the file."""
    does: str
    package: str
    """What brings it, for who lacks it."""
    version: list[str]
    """Command that prints the version."""
    runs: list[Run] = field(default_factory=list)
    peak: float = 0

    @property
    def found(self) -> bool:
        """Whether it can be run."""
        return shutil.which(self.command[0]) is not None


def programs() -> list[Program]:
    """All that are compared, in the order in which they take turns."""
    ours = str(Path(sys.executable).with_name("forensics"))
    fields = [word for name in _NAMES for word in ("-e", name)]
    return [
        Program(
            FORENSICS,
            [ours, "analyze", "CAPTURE"],
            "flows, TCP state, retransmissions, TLS names, DNS, resets; signatures, verdicts, report",
            "this project",
            [ours, "--version"],
        ),
        Program(
            "tshark",
            ["tshark", "-r", "CAPTURE", "-n", "-Y", _WANTED, "-T", "fields", *fields],
            "frames with TLS server names, DNS names, retransmissions",
            "apt-get install tshark",
            ["tshark", "--version"],
        ),
        Program(
            "ndpiReader",
            ["ndpiReader", "-i", "CAPTURE", "-q"],
            "flows and their application protocols (C; looks at up to 80 packets of a flow)",
            "apt-get install libndpi-bin",
            ["ndpiReader", "-h"],
        ),
        Program(
            "nfstream",
            [str(NFSTREAM), str(Path(__file__).with_name("stream_flows.py")), "CAPTURE"],
            "flows and their applications (C, driven by Python, worker processes)",
            "make bench installs it from PyPI",
            [str(NFSTREAM), "-c", "import importlib.metadata as m; print('nfstream', m.version('nfstream'))"],
        ),
        Program(
            "tcptrace",
            ["tcptrace", "-n", "-l", "-r", "CAPTURE"],
            "TCP connections with retransmissions and round-trip times (C)",
            "apt-get install tcptrace",
            ["tcptrace", "-version"],
        ),
        Program(
            "tcpdump",
            ["tcpdump", "-n", "-r", "CAPTURE", "-w", "/dev/null"],
            "reads every packet and does nothing with it: the floor",
            "apt-get install tcpdump",
            ["tcpdump", "--version"],
        ),
    ]


def measured(chosen: list[Program], capture: Path, rounds: int) -> list[Program]:
    """Those that ran to their end; the others are named and left out."""
    standing = []
    for program in chosen:
        if program.found:
            standing.append(program)
        else:
            say(f"compare: {program.name} is left out: it is not installed here ({program.package})")
    warm(capture)
    for number in range(rounds + 1):
        watched = number == 0
        for program in list(standing):
            what = "memory" if watched else f"time, run {number} of {rounds}"
            say(f"{program.name}: {what} …")
            command = [str(capture) if word == "CAPTURE" else word for word in program.command]
            try:
                result = run(command, memory=watched, watch=watched)
            except FailedError as failure:
                say(f"compare: {program.name} is left out: {failure}")
                standing.remove(program)
                continue
            if watched:
                program.peak = result.peak
            else:
                program.runs.append(result)
    return standing


def table(ran: list[Program], capture: Path, rounds: int) -> str:
    """Markdown."""
    size = capture.stat().st_size / 1e6
    medians = {program.name: statistics.median(one.seconds for one in program.runs) for program in ran}
    base = medians.get(FORENSICS)
    lines = [
        f"`{capture.name}`, {size:,.0f} MB, on {machine()}; {rounds} timed runs each, taking turns.",
        "",
        "| program | best s | median s | MB/s | CPU s | peak MB | its time ÷ ours | what it does |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for program in ran:
        best = min(one.seconds for one in program.runs)
        median = medians[program.name]
        cpu = statistics.median(one.cpu for one in program.runs)
        ratio = f"{median / base:.2f}" if base else ""
        cells = [
            program.name,
            f"{best:.2f}",
            f"{median:.2f}",
            f"{size / median:,.0f}",
            f"{cpu:.2f}",
            f"{program.peak:,.0f}",
            ratio,
            program.does,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines_said = {program.name: first_line(program.version) for program in ran}
    numbers = {name: re.search(r"\d+(\.\d+)+", said) for name, said in lines_said.items()}
    versions = [f"{name.split()[0]} {number[0]}" for name, number in numbers.items() if number]
    lines += [
        "",
        f"Versions: {', '.join(versions)}.",
        "",
        (
            "MB/s, CPU and ratio are those of the median. CPU: user and system time of the program and the processes "
            "it started. Peak: proportional set sizes (PSS) of the whole process tree added up every "
            f"{INTERVAL * 1000:.0f} ms, in a run of its own."
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("capture", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    names = [program.name for program in programs()]
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"of: {', '.join(names)}")
    options = parser.parse_args()
    chosen = [program for program in programs() if not options.only or program.name in options.only]
    ran = measured(chosen, options.capture, options.runs)
    if not ran:
        sys.exit("compare: no program could be measured, see above")
    print(table(ran, options.capture, options.runs))


if __name__ == "__main__":
    main()

"""Wall time and peak memory of `forensics analyze` next to tshark, on the same file and in the same run.

    python benchmarks/compare.py CAPTURE [--runs 3]

tshark extracts server names, DNS names and retransmissions: a part of what `forensics analyze` needs to know.
The file is read once before the first run, so that neither pays for the disk; the runs take turns.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path


def commands(capture: str) -> dict[str, list[str]]:
    """Name → command line."""
    tshark = shutil.which("tshark")
    if tshark is None:
        sys.exit("compare: tshark is not on the PATH; apt-get install tshark")
    names = [
        "frame.number",
        "tls.handshake.extensions_server_name",
        "dns.qry.name",
        "tcp.analysis.retransmission",
    ]
    fields = [word for name in names for word in ("-e", name)]
    wanted = "tls.handshake.extensions_server_name or dns or tcp.analysis.retransmission"
    return {
        "forensics analyze": [str(Path(sys.executable).with_name("forensics")), "analyze", capture],
        "tshark": [tshark, "-r", capture, "-n", "-Y", wanted, "-T", "fields", *fields],
    }


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds on the clock and largest resident set of the process in MB; ends the program on failure."""
    start = time.perf_counter()
    devnull = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=devnull, stderr=devnull)  # noqa: S603 - the two commands above
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"compare: exit status {process.returncode} of {' '.join(command)}")
    return seconds, usage.ru_maxrss * 1024 / 1e6


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("capture", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with options.capture.open("rb") as file:
        while file.read(1 << 24):
            pass
    programs = commands(str(options.capture))
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for run in range(options.runs):
        for name, command in programs.items():
            print(f"run {run + 1} of {options.runs}: {name} …", file=sys.stderr)
            results[name].append(measure(command))
    size = options.capture.stat().st_size
    print(
        f"{options.capture.name}: {size / 1e6:.0f} MB, {os.cpu_count()} cores, median of {options.runs} runs"
    )
    print(f"{'':20}{'seconds':>9}{'MB/s':>8}{'fastest':>9}{'slowest':>9}{'peak MB':>9}")
    medians = {}
    for name, runs in results.items():
        seconds = [second for second, _ in runs]
        medians[name] = statistics.median(seconds)
        peak = max(memory for _, memory in runs)
        rate = size / 1e6 / medians[name]
        print(f"{name:20}{medians[name]:9.2f}{rate:8.0f}{min(seconds):9.2f}{max(seconds):9.2f}{peak:9.0f}")
    ratio = medians["tshark"] / medians["forensics analyze"]
    print(f"forensics analyze is {ratio:.1f} times as fast as tshark")


if __name__ == "__main__":
    main()

"""Peak memory and time of `forensics analyze` on captures of different sizes, to see whether it stays flat.

    python benchmarks/memory.py build/bench/million.pcap [--gigabytes 1 10] [--keep]

Builds each capture next to the first one (see big.py), measures, and removes it again unless told to keep it.
Prints a Markdown table. Memory is watched while the time is taken, which costs some percent of it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from big import build
from measure import INTERVAL, FailedError, Run, machine, run, say, warm


def measure(source: Path, gigabytes: float, *, keep: bool) -> tuple[int, int, Run]:
    """Packets, bytes, and what the analysis of a capture of that size took."""
    path = source.with_name(f"big-{gigabytes:g}.pcap")
    say(f"building {path} …")
    packets = build(source, path, gigabytes)
    try:
        warm(path)
        say(f"forensics analyze {path} …")
        command = str(Path(sys.executable).with_name("forensics"))
        return packets, path.stat().st_size, run([command, "analyze", str(path)], memory=True)
    finally:
        if not keep:
            path.unlink()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the capture of million.py")
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--keep", action="store_true", help="leave the captures where they were built")
    options = parser.parse_args()
    try:
        results = [measure(options.source, size, keep=options.keep) for size in options.gigabytes]
    except FailedError as failure:
        sys.exit(f"memory: {failure}")
    base = results[0][2].peak
    print(f"`forensics analyze` on {machine()}.")
    print()
    print("| capture | packets | time s | MB/s | CPU s | peak MB | peak ÷ that of the first |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for packets, size, one in results:
        print(
            f"| {size / 1e9:.2g} GB | {packets:,} | {one.seconds:.1f} | {size / 1e6 / one.seconds:,.0f} "
            f"| {one.cpu:.1f} | {one.peak:,.0f} | {one.peak / base:.2f} |"
        )
    print()
    every = f"{INTERVAL * 1000:.0f} ms"
    print(f"Peak: proportional set sizes (PSS) of the process and all it started, added up every {every}.")


if __name__ == "__main__":
    main()

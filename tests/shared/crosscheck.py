"""What ``forensics crosscheck`` says of every capture in some folders, one line a file.

    python -m tests.shared.crosscheck ../shared/captures pcaps

Exit status 1 when a capture holds a difference that is not documented (``forensics docs differences``).
"""

# ruff: noqa: T201 - a program: its output is its purpose
from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from forensics.analysis import analyze_capture
from forensics.crosscheck.compare import Check, compare
from forensics.crosscheck.ours import ASKED, ours
from forensics.crosscheck.theirs import tshark
from forensics.errors import CaptureError
from tests.shared.compare import SUFFIXES, unpacked

SHOWN = 3
"""Differences of one question that are printed."""


def checks(path: Path) -> tuple[Check, ...] | str:
    """The questions with both answers; or how the file was refused."""
    with tempfile.TemporaryDirectory() as folder:
        plain = str(unpacked(path, Path(folder)))
        theirs = tshark(plain)
        try:
            analysis = analyze_capture(plain, asked=ASKED)
        except CaptureError as error:
            packets = sum(int(number) for number in theirs.values["packets"].values())
            return f"DIFFERENT: {packets} packets for tshark, but {error}" if packets else "refused by both"
        return compare(ours(analysis, plain), theirs)


def verdict(name: str, result: tuple[Check, ...] | str) -> tuple[str, bool]:
    """A line on one file (more where something is left unexplained), and whether nothing is."""
    if isinstance(result, str):
        return f"{name}: {result}", not result.startswith("DIFFERENT")
    same = sum(check.same for check in result)
    explained = Counter(
        difference.explanation
        for check in result
        for difference in check.differences
        if difference.explanation
    )
    said = [f"{same:,} answers agree", *(f"{count:,} {why}" for why, count in sorted(explained.items()))]
    lines = [f"{name}: {', '.join(said)}"]
    for check in result:
        for difference in check.unexplained[:SHOWN]:
            subject = {
                key: value for key, value in difference.subject._asdict().items() if value not in {"", -1}
            }
            said = [
                f"forensics {difference.ours!r}",
                f"tshark {difference.tshark!r}",
                f"frames {difference.frames}",
            ]
            lines.append(f"  DIFFERENT: {check.question}: {subject}: {', '.join(said)}")
        if len(check.unexplained) > SHOWN:
            lines.append(f"  DIFFERENT: {check.question}: and {len(check.unexplained) - SHOWN:,} more")
    return "\n".join(lines), len(lines) == 1


def main() -> int:
    """Prints one line a file and a sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="folders with captures, or captures")
    files = []
    for given in parser.parse_args().folders:
        if not given.exists():
            print(f"{given}: not here, left out", file=sys.stderr)
        inside = [given] if given.is_file() else sorted(given.rglob("*"))
        root = given.parent if given.is_file() else given
        files += [(path, path.relative_to(root)) for path in inside if path.suffix in SUFFIXES]
    if shutil.which("tshark") is None:
        sys.exit("crosscheck: tshark is missing: install it (Debian: apt-get install tshark)")
    wrong = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for (_, name), result in zip(files, pool.map(checks, [path for path, _ in files]), strict=True):
            line, good = verdict(str(name), result)
            wrong += not good
            print(line, flush=True)
    print(f"{len(files)} captures cross-checked with tshark, {wrong} with unexplained differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

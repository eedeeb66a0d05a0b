"""Write every case (or those named) below ``pcaps/``: ``python -m pcaps.generate [--out DIR] [CASE…]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from pcaps.generate.cases import CASES, make


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(prog="python -m pcaps.generate", description=__doc__)
    parser.add_argument("case", nargs="*", help="names of cases; all when none is given")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1])
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.case) - set(CASES))
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}")
    for name in sorted(arguments.case or CASES):
        directory = arguments.out / name
        directory.mkdir(parents=True, exist_ok=True)
        for file, data in sorted(make(name).items()):
            (directory / file).write_bytes(data)


if __name__ == "__main__":
    main()

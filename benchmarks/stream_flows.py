"""What nfstream is asked to do: every flow of a capture, with its default dissection of applications.

    build/bench/nfstream/bin/python benchmarks/stream_flows.py CAPTURE

Runs in an environment of its own, which `make bench` makes: nfstream brings libraries that nothing else here needs.
"""

from __future__ import annotations

import sys

from nfstream import NFStreamer


def main() -> None:
    """Counts the flows, so that all of them are really made."""
    print(sum(1 for _ in NFStreamer(source=sys.argv[1])))


if __name__ == "__main__":  # nfstream's worker processes import this file
    main()

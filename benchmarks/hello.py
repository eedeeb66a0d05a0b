"""What one ClientHello costs: reading it, its fingerprints, and what is read of it only when asked.

    python benchmarks/hello.py [--most MICROSECONDS] [CAPTURE...]

Without captures it reads made hellos, half of them of the size that post-quantum keys give; with captures, the
ClientHellos in them. Prints the best of some rounds in microseconds for one hello, and ends with status 1 when
reading and JA4 together take more than ``--most``.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from forensics.decode.flags import TCP
from forensics.decode.stream import open_packets
from forensics.errors import ForensicsError
from forensics.protocols.errors import ProtocolError
from forensics.protocols.ja import ja3, ja4
from forensics.protocols.tls import parse_client_hello
from forensics.protocols.tls_details import hello_details
from pcaps.generate.tls import client_hello

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MADE: Final = 2000
ROUNDS: Final = 7
MOST_US: Final = 60.0


def main() -> int:
    """Measure and print; gives the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("captures", nargs="*", metavar="CAPTURE")
    options.add_argument("--most", type=float, default=MOST_US, metavar="MICROSECONDS")
    given = options.parse_args()
    try:
        streams = hellos_of(given.captures) if given.captures else made_hellos()
    except ForensicsError as error:
        print(error, file=sys.stderr)
        return 2
    if not streams:
        print("no ClientHello in one segment there", file=sys.stderr)
        return 2
    hellos = [hello for stream in streams if (hello := parse_client_hello(stream)) is not None]
    costs = {
        "read": best(parse_client_hello, streams),
        "ja4": best(lambda hello: ja4(hello, "t"), hellos),
        "ja3": best(ja3, hellos),
        "details": best(hello_details, hellos),
    }
    size = sum(map(len, streams)) // len(streams)
    print(f"{len(streams)} ClientHellos, {size} bytes on average; microseconds for one:")
    for what, cost in costs.items():
        print(f"  {what:8}{cost:6.1f}")
    told = costs["read"] + costs["ja4"]
    print(f"  read and ja4 together {told:.1f}, at most {given.most:.0f} are allowed")
    return 0 if told <= given.most else 1


def made_hellos() -> list[bytes]:
    """Hellos of one client to servers with names of their own."""
    rng = random.Random(1)  # noqa: S311 - reproducible bytes
    return [client_hello(rng, b"host%d.example" % i, post_quantum=i % 2 == 0) for i in range(MADE)]


def hellos_of(captures: Sequence[str]) -> list[bytes]:
    """Segments of captures that are whole ClientHellos, each as often as it comes."""
    found: list[bytes] = []
    with open_packets(captures, aside=False) as packets:
        for decoded in packets:
            table = decoded.packets
            for row in ((table["proto"] == TCP) & (table["payload_captured"] > 5)).nonzero()[0].tolist():  # noqa: PLR2004 - a record header
                begin = int(table["payload_offset"][row])
                stream = decoded.data[begin : begin + int(table["payload_captured"][row])].tobytes()
                if stream[0] == 0x16 and stream[5] == 1 and whole(stream):  # noqa: PLR2004 - handshake, ClientHello
                    found.append(stream)
    return found


def whole(stream: bytes) -> bool:
    """Whether a ClientHello ends within these bytes."""
    try:
        return parse_client_hello(stream) is not None
    except ProtocolError:
        return False


def best(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Microseconds of CPU for one item, in the fastest round."""
    rounds = []
    for _ in range(ROUNDS):
        begin = time.process_time_ns()
        for item in items:
            work(item)
        rounds.append(time.process_time_ns() - begin)
    return min(rounds) / len(items) / 1000


if __name__ == "__main__":
    sys.exit(main())

"""How many packets a second `forensics live` takes in before the first is lost, next to tcpdump in the same run.

    sudo python benchmarks/live_flood.py [--seconds 5] [--size 200 800]

Makes a network namespace with a cable in it (a veth pair), sends packets into one end at rising rates from a program
of its own, and captures at the other end: with `forensics live`, and with `tcpdump -w` to the same disk. Each rate is
held for some seconds; a capture has failed at the first rate at which the kernel counts a drop. Nothing outside the
namespace is touched. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

INSIDE: Final = "--inside"
HERE, THERE = "flood0", "flood1"
RATES: Final = (10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 150_000, 200_000, 300_000, 400_000)
FLOWS: Final = 500
_BUFFER: Final = 64 << 20


def packet(size: int, number: int) -> bytes:
    """A UDP packet of one of some hundred flows."""
    payload = bytes(size - 42)
    udp = struct.pack("!HHHH", 20_000 + number, 4_433, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, b"\x0a\0\0\1", b"\xc0\0\2\1")
    return bytes(12) + b"\x08\x00" + ip + udp


def send(rate: int, seconds: float, size: int) -> float:
    """Send at that rate, as evenly as bursts of a millisecond allow; gives the rate that it came to."""
    frames = [packet(size, number) for number in range(FLOWS)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((HERE, 0))
        begun, sent = time.perf_counter(), 0
        while (now := time.perf_counter() - begun) < seconds:
            due = int(now * rate) - sent
            for number in range(sent, sent + due):
                wire.send(frames[number % FLOWS])
            sent += due
            time.sleep(0.0005)
    return sent / (time.perf_counter() - begun)


class ForensicsRun:
    """`forensics live`, told of drops by its report."""

    name = "forensics live"

    def __init__(self, folder: Path, *, write: bool) -> None:
        words = [str(Path(sys.executable).with_name("forensics")), "live", "-i", THERE, "--format", "ndjson"]
        if write:
            words += ["--write", str(folder / "forensics.pcapng")]
            self.name += " --write"
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        self._process.stdout.readline()

    def stop(self) -> tuple[int, int]:
        """Packets taken in, and dropped."""
        self._process.send_signal(signal.SIGINT)
        out, _ = self._process.communicate()
        quality = json.loads(out.splitlines()[-1])["report"]["capture"]["quality"]
        return quality["received_by_interfaces"] - quality["dropped_by_kernel"], quality["dropped_by_kernel"]


class TcpdumpRun:
    """`tcpdump -w` with a buffer as large as ours."""

    name = "tcpdump -w"

    def __init__(self, folder: Path) -> None:
        words = ["tcpdump", "-i", THERE, "-n", "-B", str(_BUFFER >> 10), "-w", str(folder / "tcpdump.pcap")]
        self._process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)  # noqa: S603 - fixed words
        assert self._process.stderr is not None  # noqa: S101 - for the type checker
        while "listening on" not in self._process.stderr.readline():
            pass

    def stop(self) -> tuple[int, int]:
        """Packets taken in, and dropped."""
        self._process.send_signal(signal.SIGINT)
        _, said = self._process.communicate()
        taken, dropped = (
            int(re.search(rf"(\d+) packets? {word}", said)[1])  # type: ignore[index]  # it always says so
            for word in ("captured", "dropped by kernel")
        )
        return taken, dropped


def inside(seconds: float, sizes: list[int]) -> None:
    """In the namespace: the measurement itself."""
    for words in (
        ["link", "add", HERE, "type", "veth", "peer", "name", THERE],
        ["link", "set", HERE, "up"],
        ["link", "set", THERE, "up"],
    ):
        subprocess.run(["ip", *words], check=True)  # noqa: S603, S607 - fixed words
    print("| capture | packet bytes | highest rate without a drop | first rate with drops | lost there |")
    print("|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in sizes:
            for make in (
                lambda: ForensicsRun(folder, write=False),
                lambda: ForensicsRun(folder, write=True),
                lambda: TcpdumpRun(folder),
            ):
                best, failed, lost = 0.0, "none tried", ""
                for rate in RATES:
                    run = make()
                    came_to = send(rate, seconds, size)
                    time.sleep(0.2)
                    taken, dropped = run.stop()
                    print(
                        f"{run.name} {size} B {came_to:,.0f}/s: {taken:,} and {dropped:,} lost",
                        file=sys.stderr,
                    )
                    if dropped:
                        failed, lost = f"{came_to:,.0f}/s", f"{100 * dropped / (taken + dropped):.1f} %"
                        break
                    best = max(best, came_to)
                    if came_to < 0.9 * rate:  # the sender gives no more
                        break
                print(f"| `{run.name}` | {size} | {best:,.0f}/s | {failed} | {lost} |", flush=True)


def main() -> None:
    """Enters a namespace of its own, and measures there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each rate is held")
    parser.add_argument("--size", type=int, nargs="+", default=[200, 800], help="bytes of a packet")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.seconds, options.size)
        return
    if os.geteuid() != 0:
        sys.exit("live_flood: network namespaces need root: run it with sudo")
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv, INSIDE])  # noqa: S606, S607 - our own program


if __name__ == "__main__":
    main()

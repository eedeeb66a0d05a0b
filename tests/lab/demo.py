"""``make demo``: the demonstration scenario before your eyes: judged live at the client, then what was written, again.

``python -m tests.lab.demo [FILE]``. Exit status: 0 done; 2 no laboratory can run here.
"""
# ruff: noqa: T201 - a program: what it prints is its purpose

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.lab import network, run
from tests.lab.middlebox import Middlebox
from tests.lab.network import Host, LabError, Network
from tests.lab.scenario import Conversation, Session
from tests.lab.scenarios.demonstration import DEMONSTRATION
from tests.lab.services import Services

FILE: Final = run.ROOT / "build" / "demo.pcapng"
FORENSICS: Final = (sys.executable, "-m", "forensics")
_SECONDS_TO_START: Final = 30.0
_SECONDS_TO_END: Final = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Show it; what was captured is kept in FILE."""
    words = sys.argv[1:] if argv is None else argv
    file = Path(words[0] if words else FILE).resolve()
    why = network.missing()
    if why:
        print(f"demo: {why.replace('make lab', 'make demo')}", file=sys.stderr)
        return 2
    file.parent.mkdir(parents=True, exist_ok=True)
    print(
        f"{DEMONSTRATION.about} The client's traffic is judged for {DEMONSTRATION.seconds:.0f} seconds:\n",
        flush=True,
    )
    try:
        ledger = shown(file)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    print(f"\nHow it looked to the client itself:\n\n{fared(ledger)}")
    print(f"\nThe same packets, read from the file: forensics analyze {file}\n", flush=True)
    return subprocess.run([*FORENSICS, "analyze", "--", str(file)], check=False, cwd=run.ROOT).returncode


def shown(file: Path) -> list[Conversation]:
    """Run the scenario while ``forensics live`` judges it at the client and writes ``file``; what the client did."""
    with (
        tempfile.TemporaryDirectory(prefix="forensics-demo-") as work,
        Network(DEMONSTRATION.addresses) as made,
    ):
        session = Session(made, Services(made.server, Path(work)), Path(work))
        try:
            # the middlebox forks before any thread of a server runs
            with live(made.client, file), Middlebox(made, DEMONSTRATION.setup, Path(work) / "truth.ndjson"):
                DEMONSTRATION.serve(session)
                DEMONSTRATION.work(session)
                time.sleep(0.5)
        finally:
            session.close()
    return session.ledger


@contextmanager
def live(host: Host, file: Path) -> Iterator[None]:
    """``forensics live`` in the namespace of a host; it says its report when the block ends."""
    command = [*FORENSICS, "live", "-i", "eth0", "--format", "text", "--write", str(file)]
    running = host.start(command, cwd=run.ROOT)
    try:
        _wait_for_capture(host, running)
        yield
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
        try:
            running.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _wait_for_capture(host: Host, running: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until and running.poll() is None:
        # a heading, and a line for each packet socket of the namespace
        if len(host.run(["cat", "/proc/net/packet"]).stdout.splitlines()) > 1:
            time.sleep(0.5)
            return
        time.sleep(0.1)
    raise LabError("forensics live does not start capturing")


def fared(ledger: Sequence[Conversation]) -> str:
    """How each kind of conversation fared, one line each, in the order in which they began."""
    rows: dict[str, list[Conversation]] = {}
    for one in sorted(ledger, key=lambda row: row.begun):
        rows.setdefault(one.label, []).append(one)
    return "\n".join(
        f"  {label:<10}{sum(one.ok for one in found)} of {len(found)} seemed well; {_last(found[-1])}"
        for label, found in rows.items()
    )


def _last(one: Conversation) -> str:
    where = f"{one.name} at {one.server}" if one.name else one.server
    return f"the last with {where}, port {one.server_port}: {one.detail[:90]}"


if __name__ == "__main__":
    sys.exit(main())

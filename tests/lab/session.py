"""One scenario, from bare namespaces to captures, ledger and truth in a folder of its own.

``python -m tests.lab.session NAME FOLDER`` does so in a process of its own. Exit status: 0 done, 75 when the
laboratory could not be set up (another attempt may succeed).
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

from tests.lab.middlebox import Middlebox
from tests.lab.network import LabError, Network
from tests.lab.recorder import Recorder
from tests.lab.scenario import Conversation, Scenario, Session
from tests.lab.scenarios import every
from tests.lab.services import Services

TRY_AGAIN: Final = 75
_RUNNING: Final[set[subprocess.Popen[bytes]]] = set()


def stage(scenario: Scenario, folder: Path) -> None:
    """Run it: ``client.pcapng``, ``server.pcapng``, ``truth.ndjson`` and ``ledger.json`` lie in the folder then."""
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    work.mkdir(parents=True)
    with Network(scenario.addresses) as network:
        session = Session(network, Services(network.server, work), work)
        recorder = Recorder(network, folder, snaplen=scenario.snaplen)
        try:
            # the middlebox forks before any thread of a server runs
            with recorder, Middlebox(network, scenario.setup, folder / "truth.ndjson"):
                scenario.serve(session)
                scenario.work(session)
                time.sleep(0.5)  # what is under way arrives, and the last connections close
                stopped = time.time_ns()
        finally:
            session.close()
    rows = [dataclasses.asdict(row) for row in session.ledger]
    (folder / "ledger.json").write_text(json.dumps({"stopped": stopped, "ledger": rows}, indent=1))
    shutil.rmtree(work)


def ledger_of(folder: Path) -> tuple[int, list[Conversation]]:
    """When the middlebox ended, and what the client did."""
    told = json.loads((folder / "ledger.json").read_text())
    return told["stopped"], [Conversation(**row) for row in told["ledger"]]


def staged_apart(scenario: Scenario, folder: Path) -> int:
    """The same in a process of its own, which cannot hang and leaves nothing behind; its exit status."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    with log.open("wb") as said:
        running = subprocess.Popen(
            [sys.executable, "-m", __name__, scenario.name, str(folder)],
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[2],
            start_new_session=True,
        )
        _RUNNING.add(running)
        try:
            running.wait(scenario.seconds * 4 + 60)
        except BaseException as error:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
            _sweep(running.pid)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            said.write(b"\nit took too long and was ended\n")
            return TRY_AGAIN
        finally:
            _RUNNING.discard(running)
    return running.returncode


def end_all() -> None:
    """End what is being staged; each takes its namespaces along."""
    for running in tuple(_RUNNING):
        running.terminate()


def _sweep(pid: int) -> None:
    """Take away the namespaces that a process that was killed has left."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        if line.startswith(f"forensics-{pid}-"):
            subprocess.run(["ip", "netns", "del", line.split()[0]], check=False)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)


def main() -> int:
    """Stage the scenario that the command line names."""
    signal.signal(signal.SIGTERM, _leave)
    name, folder = sys.argv[1:]
    try:
        stage(every()[name], Path(folder))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)  # noqa: T201 - a program
        return TRY_AGAIN
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())  # threads of servers may still wait in a system call

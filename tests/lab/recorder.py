"""Captures at both ends, written by dumpcap: nothing of the code under test has a hand in them."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.network import LabError, Network


class Recorder:
    """``with Recorder(network, folder):`` — then ``folder/client.pcapng`` and ``server.pcapng`` are whole."""

    def __init__(self, network: Network, folder: Path, *, snaplen: int = 262_144) -> None:
        self._ends = (("client", network.client), ("server", network.server))
        self._folder = folder
        self._snaplen = snaplen
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for name, host in self._ends:
            words = ["dumpcap", "-q", "-i", "eth0", "-s", str(self._snaplen), "-w", str(self.file(name))]
            self._running.append(host.start(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL))
        for running in self._running:
            # its first words come when the interface is open
            assert running.stderr is not None
            first = running.stderr.readline()
            second = running.stderr.readline()
            if b"File:" not in first + second:
                raise LabError(f"dumpcap does not start: {(first + second).decode(errors='replace').strip()}")
        time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        time.sleep(0.3)  # what dumpcap holds in its buffer is written within a quarter of a second
        for running in self._running:
            running.send_signal(signal.SIGINT)
        for running in self._running:
            running.communicate(timeout=20)

    def file(self, end: str) -> Path:
        """The capture at ``client`` or ``server``."""
        return self._folder / f"{end}.pcapng"

"""The middlebox: carries packets between client and server, spoils what it is told to, and writes down what it did.

The path is client — hops — box — hops — server. A packet is judged when it reaches the box, half way, so that what the
box injects comes sooner than what the far end answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import json
import os
import random
import select
import signal
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, Self

from tests.lab.network import Network, macs
from tests.lab.packet import Flow, Made, Packet, hopped, parse

if TYPE_CHECKING:
    import socket

PASS, DROP = True, False
_OUTGOING: Final = 4
_ETHERTYPE: Final = {4: b"\x08\x00", 6: b"\x86\xdd"}
_MS: Final = 1e-3


@dataclass(frozen=True)
class Way:
    """What the way does to packets even without any interference; times are one way."""

    client_ms: float = 5.0
    """From the client to the box."""
    server_ms: float = 20.0
    """From the box to the server."""
    client_hops: int = 4
    server_hops: int = 9
    jitter_ms: float = 0.0
    """Added to each packet, evenly spread; order is kept."""
    loss: float = 0.0
    """Share of packets lost, each way, evenly spread."""
    reorder: float = 0.0
    """Share of packets that are held back by ``reorder_ms``, so that later ones overtake them."""
    reorder_ms: float = 15.0
    seed: int = 1


class Rule(Protocol):
    """Something that the box does to packets. ``see`` is asked for every packet, in the order of the rules."""

    def see(self, box: Box, packet: Packet) -> bool:
        """PASS, or DROP to have it go no further (``box.note`` it first)."""


class Limit(Protocol):
    """A policer or shaper in the path of some packets."""

    def admit(self, box: Box, packet: Packet) -> float | None:
        """Seconds that the packet waits; None when it is dropped."""


@dataclass(frozen=True)
class Setup:
    """A way and what spoils it."""

    way: Way = field(default_factory=Way)
    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()


class Box:
    """The event loop; runs in a process of its own until it is told to end."""

    def __init__(self, setup: Setup, sockets: tuple[socket.socket, socket.socket], truth: IO[str]) -> None:
        self.setup = setup
        self.now = 0.0
        """Seconds, monotonic."""
        self._sockets = sockets
        self._truth = truth
        self._random = random.Random(setup.way.seed)  # noqa: S311 - chance, not secrets
        self._events: list[tuple[float, int, str, Any]] = []
        self._number = 0
        self._last = dict.fromkeys((("judge", True), ("judge", False), ("send", True), ("send", False)), 0.0)

    def inject(self, made: Made, *, after_ms: float = 0.0, why: str) -> None:
        """Send a forged packet; it leaves the box ``after_ms`` from now and takes the way from there."""
        way = self.setup.way
        travel = way.server_ms if made.to == "server" else way.client_ms
        self._push(self.now + (after_ms + travel) * _MS, "forged", (made, why))

    def note(self, event: str, packet: Packet, why: str) -> None:
        """Write down what happens to a packet of the two ends: ``dropped`` (by a rule), ``lost``, ``limited``."""
        self._write(event, packet.to, packet.data, packet.flow._asdict(), why)

    def run(self, stop: int) -> None:
        """Carry packets until something is written to the descriptor ``stop``."""
        left, right = self._sockets
        watch = select.poll()
        for descriptor in (left.fileno(), right.fileno(), stop):
            watch.register(descriptor, select.POLLIN)
        while True:
            self.now = time.monotonic()
            while self._events and self._events[0][0] <= self.now:
                _, _, what, subject = heapq.heappop(self._events)
                self._happen(what, subject)
            wait = 1.0 if not self._events else max(self._events[0][0] - time.monotonic(), 0)
            ready = {descriptor for descriptor, _ in watch.poll(wait * 1e3)}
            self.now = time.monotonic()
            if stop in ready:
                return
            for opened, to_server in ((left, True), (right, False)):
                if opened.fileno() in ready:
                    self._receive(opened, to_server=to_server)

    def _receive(self, opened: socket.socket, *, to_server: bool) -> None:
        way = self.setup.way
        for _ in range(256):
            try:
                frame, address = opened.recvfrom(1 << 17)
            except BlockingIOError:
                return
            if address[2] == _OUTGOING:
                continue
            packet = parse(frame, to_server=to_server)
            if packet is None:
                continue
            if self._random.random() < way.loss:
                self.note("lost", packet, "the path")
                continue
            travel = way.client_ms if to_server else way.server_ms
            due = self.now + (travel + self._random.uniform(0, way.jitter_ms)) * _MS
            if self._random.random() < way.reorder:
                due += way.reorder_ms * _MS
            else:
                due = self._last["judge", to_server] = max(due, self._last["judge", to_server])
            self._push(due, "judge", packet)

    def _happen(self, what: str, subject: Any) -> None:
        if what == "judge":
            self._judge(subject)
        elif what == "send":
            packet, data = subject
            self._send(packet.to, data)
        else:
            made, why = subject
            data = made.build()
            self._write("forged", made.to, data, made.flow._asdict(), why)
            self._send(made.to, data)

    def _judge(self, packet: Packet) -> None:
        way = self.setup.way
        for rule in self.setup.rules:
            if rule.see(self, packet) is DROP:
                return
        delay = 0.0
        for limit in self.setup.limits:
            wait = limit.admit(self, packet)
            if wait is None:
                return
            delay += wait
        data = hopped(packet.data, way.client_hops + way.server_hops)
        if data is None:
            return
        due = self.now + delay + (way.server_ms if packet.to_server else way.client_ms) * _MS
        if not way.reorder:
            key = ("send", packet.to_server)
            # a shaper makes only the packets wait that it holds; all others keep their order among themselves
            if not delay:
                due = self._last[key] = max(due, self._last[key])
        self._push(due, "send", (packet, data))

    def _push(self, due: float, what: str, subject: Any) -> None:
        self._number += 1
        heapq.heappush(self._events, (due, self._number, what, subject))

    def _send(self, to: str, data: bytes) -> None:
        target, source = macs(to)
        opened = self._sockets[0 if to == "client" else 1]
        with contextlib.suppress(OSError):  # a full queue loses packets, as any router does
            opened.send(target + source + _ETHERTYPE[data[0] >> 4] + data)

    def _write(self, event: str, to: str, data: bytes, flow: dict[str, Any], why: str) -> None:
        line = {"event": event, "to": to, "why": why, "time": time.time_ns(), "packet": digest(data), **flow}
        self._truth.write(json.dumps(line) + "\n")


def digest(data: bytes) -> str:
    """What a packet is known by at both ends: its bytes without TTL and header checksum, which change on the way."""
    if data[0] >> 4 == 6:
        return hashlib.sha256(data[:7] + data[8:]).hexdigest()[:32]
    return hashlib.sha256(data[:8] + data[9:10] + data[12:]).hexdigest()[:32]


class Middlebox:
    """``with Middlebox(network, setup, truth):`` — packets flow while the block runs; then the truth file is whole."""

    def __init__(self, network: Network, setup: Setup, truth: Path) -> None:
        self._network = network
        self._setup = setup
        self._truth = truth
        self._process: BaseProcess | None = None
        self._stop = -1

    def __enter__(self) -> Self:
        sockets = self._network.middle_sockets()
        read, self._stop = os.pipe()
        begun, ready = os.pipe()
        self._process = get_context("fork").Process(
            target=_carry, args=(self._setup, sockets, self._truth, read, ready), daemon=True
        )
        self._process.start()
        os.close(read)
        os.close(ready)
        for opened in sockets:
            opened.close()
        os.read(begun, 1)
        os.close(begun)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        os.write(self._stop, b"x")
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
        os.close(self._stop)
        if self._process.exitcode and kind is None:
            raise RuntimeError(f"the middlebox ended with {self._process.exitcode}")


def _carry(
    setup: Setup, sockets: tuple[socket.socket, socket.socket], truth: Path, stop: int, ready: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever runs the scenario
    with contextlib.suppress(OSError):
        os.nice(-5)  # its delays are the experiment
    # the first packet made costs a tenth of a second of imports, and would come that much too late
    Made(Flow(6, "192.0.2.1", 1, "192.0.2.2", 2), "client", flags=4).build()
    with truth.open("w", encoding="utf-8") as stream:
        os.write(ready, b"x")
        os.close(ready)
        Box(setup, sockets, stream).run(stop)


def truth_of(path: Path) -> list[dict[str, Any]]:
    """The events of a truth file, in order of time."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

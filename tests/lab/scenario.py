"""What a scenario of the laboratory is: the way, what spoils it, what the two ends do, and what must be said of it.

A scenario is run once, captured at both ends and scored from each capture for itself (`tests.lab.run`).
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab.middlebox import Setup
from tests.lab.network import CLIENT_ADDRESSES, Network
from tests.lab.services import Services

MECHANISMS: Final = (
    "dns-injection", "dns-tampering", "dns-drop", "ip-block", "handshake-reset", "sni-reset", "sni-drop",
    "http-reset", "blockpage-injection", "tls-mitm", "quic-drop", "udp-block", "media-block",
    "throttling-police", "throttling-shape", "freeze-after-bytes", "residual-block", "protocol-block",
)  # fmt: skip
CLIENT, SERVER = "client", "server"


@dataclass(frozen=True)
class Expect:
    """One thing that the analysis must say (or, in ``Scenario.may``, may say)."""

    mechanism: str
    labels: tuple[str, ...]
    """The conversations in the ledger that must be among the subjects of findings with this mechanism."""
    ends: tuple[str, ...] = (CLIENT,)
    """The captures that show it: ``client``, ``server``."""
    instead: tuple[str, ...] = ()
    """Other mechanism words that would be as right."""
    level: str = "likely"
    """At least so sure."""
    forged: bool = True
    """Forged packets of these conversations that reach that end must be among the frames of the findings."""


@dataclass(frozen=True)
class Conversation:
    """One thing that the client did, as the ledger keeps it."""

    label: str
    """What the scenario calls it; several may share one."""
    proto: str
    """tcp or udp."""
    client: str
    client_port: int
    server: str
    server_port: int
    name: str = ""
    """The name in the hello, the request or the query."""
    ok: bool = False
    """Whether the client got what it wanted."""
    detail: str = ""
    """What the program said: a status, an error, the addresses of an answer."""
    begun: float = 0.0
    ended: float = 0.0
    """Seconds since 1970."""


@dataclass(frozen=True)
class Scenario:
    """``work`` is what the client does while both ends are captured; ``serve`` starts the servers before."""

    name: str
    """Lower case with hyphens; begins with its mechanism word or with ``benign``."""
    about: str
    """One sentence: what is staged, and for a benign one what it could be taken for."""
    work: Callable[[Session], None]
    serve: Callable[[Session], None] = lambda _session: None
    setup: Setup = field(default_factory=Setup)
    expect: tuple[Expect, ...] = ()
    """Empty for a benign one."""
    may: tuple[Expect, ...] = ()
    """What is no error if it is said, such as a second mechanism that follows from the first; never demanded."""
    addresses: tuple[str, ...] = ("203.0.113.10",)
    """All addresses of the server, IPv4 and IPv6."""
    works: tuple[str, ...] = ()
    """Conversations that must succeed, or the scenario itself is broken…"""
    fails: tuple[str, ...] = ()
    """… and those that must fail."""
    snaplen: int = 262_144
    seconds: float = 20.0
    """About how long the work takes; long ones are started first."""
    alone: bool = False
    """Other scenarios at the same time would spoil it: throughput at the limit of the machine."""

    @property
    def benign(self) -> bool:
        """Whether nothing is being done to the traffic."""
        return not self.expect


@dataclass
class Session:
    """What a scenario's functions work with: the two hosts, the servers, and the ledger of what was done."""

    network: Network
    services: Services
    folder: Path
    seed: int = 1
    ledger: list[Conversation] = field(default_factory=list)
    _closing: list[Callable[[], None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - chance, not secrets
        self._port = 40_000 + self.random.randrange(8_000)

    def client_address(self, server: str) -> str:
        """The client's address of the family of ``server``."""
        return CLIENT_ADDRESSES[":" in server]

    def port(self) -> int:
        """A client port that nobody used yet: each conversation is known by it, even when it never gets through."""
        with self._lock:
            self._port += 1 + self.random.randrange(3)
            return self._port

    def note(  # noqa: PLR0913 - a row of the ledger
        self, label: str, proto: str, server: tuple[str, int], client_port: int, *,
        name: str = "", ok: bool, detail: str = "", begun: float,
    ) -> Conversation:  # fmt: skip
        """Write into the ledger what was done."""
        done = Conversation(
            label, proto, self.client_address(server[0]), client_port, *server, name, ok,
            " ".join(detail.split())[:300], begun, time.time(),
        )  # fmt: skip
        with self._lock:
            self.ledger.append(done)
        return done

    def connect(self, server: str, port: int, *, source_port: int, timeout: float = 8.0) -> socket.socket:
        """A TCP connection of the client; OSError when there is none."""

        def opened() -> socket.socket:
            return socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_STREAM)

        made = self.network.client.inside(opened)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.client_address(server), source_port))
            made.settimeout(timeout)
            made.connect((server, port))
        except BaseException:
            made.close()
            raise
        return made

    def datagrams(
        self, server: str, port: int, *, source_port: int, timeout: float = 1.0, connected: bool = True
    ) -> socket.socket:
        """A UDP socket of the client that talks to one server."""

        def opened() -> socket.socket:
            return socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)

        made = self.network.client.inside(opened)
        made.bind((self.client_address(server), source_port))
        made.settimeout(timeout)
        if connected:
            made.connect((server, port))
        return made

    def listen(self, address: str, port: int, serve: Callable[[socket.socket], None]) -> None:
        """A TCP server on one address: ``serve`` runs in a thread for each connection, and may raise OSError."""

        def opened() -> socket.socket:
            return socket.create_server(
                (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET
            )

        listener = self.network.server.inside(opened)
        self._closing.append(lambda: _end(listener))
        threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()

    def receive(
        self, address: str, port: int, answer: Callable[[bytes, tuple[str, int]], list[bytes]]
    ) -> socket.socket:
        """A UDP server on one address: ``answer`` gets each datagram and its sender, and gives what is sent back."""

        def opened() -> socket.socket:
            return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)

        made = self.network.server.inside(opened)
        made.bind((address, port))
        self._closing.append(lambda: _end(made))
        threading.Thread(target=_answer, args=(made, answer), daemon=True).start()
        return made

    def at_once(self, *works: Callable[[], object], apart: float = 0.0) -> None:
        """Several things at the same time, begun ``apart`` seconds after each other; back when all have ended."""
        failures: list[BaseException] = []

        def guarded(work: Callable[[], object]) -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asked
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
        for number, thread in enumerate(threads):
            if number:
                time.sleep(apart)
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def wait(self, seconds: float) -> None:
        """The client does nothing for a while."""
        time.sleep(seconds)

    def at_close(self, work: Callable[[], None]) -> None:
        """To be done when the scenario has ended."""
        self._closing.append(work)

    def close(self) -> None:
        """End the servers."""
        for work in reversed(self._closing):
            work()
        self._closing.clear()
        self.services.close()


def _end(opened: socket.socket) -> None:
    # shutdown wakes the thread that waits in accept or recvfrom; close alone does not
    try:
        opened.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        opened.close()


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    def one(connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(30)
                serve(connection)
            except OSError:
                return  # what happens to connections here is the experiment

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(connection,), daemon=True).start()


def _answer(opened: socket.socket, answer: Callable[[bytes, tuple[str, int]], list[bytes]]) -> None:
    while True:
        try:
            data, sender = opened.recvfrom(1 << 16)
        except ConnectionRefusedError:
            continue  # an ICMP error for what was sent before
        except OSError:
            return
        if not sender:
            return  # the socket was shut
        for reply in answer(data, sender[:2]):
            try:
                opened.sendto(reply, sender)
            except OSError:
                return

"""A command that is watched: it runs while we capture, and only the flows that it made are judged."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl

from forensics.errors import ForensicsError
from forensics.live.processes import End, SocketWatch, local_addresses
from forensics.report.printable import printable
from forensics.verdicts import judge, limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from forensics.analysis import Analysis

GRACE_S: Final = 1.0
"""How long packets are captured after the command has ended: resets and answers come late."""
_PATIENCE_S: Final = 5.0
_IDENTITY: Final = ("proto", "stream", "client", "client_port", "server", "server_port", "first_time")


class Command:
    """Runs a command with its sockets watched; a context manager that leaves no process behind."""

    def __init__(self, words: Sequence[str]) -> None:
        """Start it. Raises ForensicsError when there is no such program."""
        self.words = tuple(words)
        self.began = time.time_ns()
        self.ended: int | None = None
        self.status: int | None = None
        try:
            # What the command prints must not get between the lines of our own output.
            self._process = subprocess.Popen(self.words, stdout=2)  # noqa: S603 - it is what the user asks for
        except OSError as error:
            raise ForensicsError(f"{printable(words[0])}: cannot be run ({error.strerror})") from None
        self.sockets = SocketWatch(self._process.pid)

    def __enter__(self) -> Self:
        self.sockets.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, if it has not ended."""
        self.sockets.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._note()

    def over(self) -> bool:
        """Whether it has ended, and what it set off has had its time."""
        self._note()
        return self.ended is not None and time.time_ns() - self.ended > GRACE_S * 1e9

    def _note(self) -> None:
        if self.ended is None and (status := self._process.poll()) is not None:
            self.status, self.ended = status, time.time_ns()

    def report(self) -> dict[str, Any]:
        """What became of it."""
        stopped = self.status is not None and self.status < 0
        name = None
        if self.status is not None and stopped:
            with contextlib.suppress(ValueError):
                name = signal.Signals(-self.status).name
        return {
            "argv": list(self.words),
            "exit_status": None if stopped else self.status,
            "signal": name,
            "seconds": None if self.ended is None else (self.ended - self.began) / 1e9,
        }


@dataclass(frozen=True)
class Owned:
    """Flows of a command, and how that is known."""

    flows: dict[tuple[str, int], str] = field(default_factory=dict)
    """(protocol, stream) → ``pid``: its socket was seen; ``time``: begun by this host meanwhile, by nobody known."""


def owned_flows(
    analysis: Analysis, command: Command, mine: set[End], others: set[End], local: set[str] | None = None
) -> Owned:
    """The flows that a command made."""
    local = local_addresses() if local is None else local
    until = command.ended or time.time_ns()
    found: dict[tuple[str, int], str] = {}
    for row in analysis.tables["flow"].columns(_IDENTITY).iter_rows():
        proto, stream, client, client_port, server, server_port, first_time = row
        ends = (client, client_port), (server, server_port)
        if any(_among(mine, proto, *end) for end in ends):
            found[proto, stream] = "pid"
        elif (
            command.began <= first_time <= until
            and client in local
            and not any(_among(others, proto, *end) for end in ends)
        ):
            found.setdefault((proto, stream), "time")
    return Owned(found)


def _among(ends: set[End], proto: str, address: str, port: int) -> bool:
    return End(proto, address, port) in ends or End(proto, "*", port) in ends


def only_owned(analysis: Analysis, owned: Owned) -> Analysis:
    """The analysis with the findings, verdicts and limits of these flows. Tables and quality stay those of all."""
    findings = []
    for finding in analysis.findings:
        mine = tuple(one for one in finding.subjects if (one.proto, one.stream) in owned.flows)
        if mine:
            findings.append(replace(finding, subjects=mine))
    flows = pl.DataFrame(
        list(owned.flows), schema={"proto": pl.String, "stream": pl.Int64}, orient="row"
    ).unique()
    flow = analysis.tables["flow"].frame()
    dns = analysis.tables["dns"].frame()
    tables = {
        "flow": flow.join(flows.cast({"stream": flow["stream"].dtype}), on=["proto", "stream"], how="semi"),
        "dns": dns.join(
            flows.cast({"stream": dns["stream"].dtype}),
            left_on=["transport", "stream"],
            right_on=["proto", "stream"],
            how="semi",
        ),
    }
    return replace(
        analysis,
        findings=tuple(findings),
        verdicts=judge(tables, findings),
        limits=limits(tables, findings),
    )

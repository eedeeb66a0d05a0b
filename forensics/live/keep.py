"""What a live capture leaves on disk: all packets, or only those of flows with findings."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from forensics.analysis import Analysis
    from forensics.capture.batch import Batch
    from forensics.decode.columns import Decoded
    from forensics.signatures.model import Subject

HELD_BYTES: Final = 64 << 20
"""Most bytes of packets that wait for a finding."""
MOST_FLOWS: Final = 65_536
_KEY: Final = ("proto", "a", "b", "ports")


class Writer(Protocol):
    """See capture.record."""

    def write(self, batch: Batch, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Append packets."""
        ...

    def flush(self) -> None:
        """Have the system see them."""
        ...

    def close(self) -> None:
        """Write what is known at the end."""
        ...


class KeepAll:
    """Writes every packet when it comes."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def take(self, batch: Batch, decoded: Decoded) -> None:  # noqa: ARG002 - see watch.Keeper
        """See watch.Keeper."""
        self._writer.write(batch)

    def judged(self, analysis: Analysis) -> None:  # noqa: ARG002 - see watch.Keeper
        """See watch.Keeper."""
        self._writer.flush()

    def close(self, analysis: Analysis) -> None:  # noqa: ARG002 - as KeepEvidence
        """Everything is written already."""
        self._writer.close()


class KeepEvidence:
    """Writes the packets of connections that a finding speaks of, in the order in which they came.

    Packets wait until they are among the oldest of HELD_BYTES; whether they are written is decided then. What came
    so long before its finding is missing, which ``missed`` counts. ``find`` gives the id of an address.
    """

    def __init__(
        self, writer: Writer, find: Callable[[str], int | None], held_bytes: int = HELD_BYTES
    ) -> None:
        self._writer = writer
        self._find = find
        self._most = held_bytes
        self.held = 0
        """Bytes of packets that wait."""
        self._waiting: deque[tuple[Batch, pl.DataFrame]] = deque()
        self._wanted = pl.DataFrame(schema=dict.fromkeys(_KEY, pl.Int64))
        self._keys: set[tuple[int, ...]] = set()
        self._gone_until = 0
        self._missed: set[tuple[str, str]] = set()

    def take(self, batch: Batch, decoded: Decoded) -> None:
        """See watch.Keeper."""
        packets = decoded.packets
        src, dst = packets["src"], packets["dst"]
        sport, dport = packets["sport"].astype(np.int64), packets["dport"].astype(np.int64)
        swapped = (src > dst) | ((src == dst) & (sport > dport))
        low, high = np.where(swapped, dport, sport), np.where(swapped, sport, dport)
        keys = pl.DataFrame(
            {
                "row": packets["frame"] - batch.first_frame,
                "proto": packets["proto"].astype(np.int64),
                "a": np.where(swapped, dst, src),
                "b": np.where(swapped, src, dst),
                "ports": low << 16 | high,
            }
        )
        self._waiting.append((batch, keys))
        self.held += batch.data.nbytes
        while self.held > self._most and len(self._waiting) > 1:
            self._let_go()

    def judged(self, analysis: Analysis) -> None:
        """See watch.Keeper."""
        keys: set[tuple[int, ...]] = set()
        for finding in analysis.findings:
            mine = {key for one in finding.subjects if (key := self._key(one)) is not None}
            begin = min(finding.frame_numbers(), default=0)
            if begin <= self._gone_until and not mine <= self._keys:
                self._missed.add((finding.signature, finding.target))
            keys |= mine
        self._keys = keys
        self._wanted = pl.DataFrame(
            sorted(keys)[:MOST_FLOWS], schema=dict.fromkeys(_KEY, pl.Int64), orient="row"
        )
        self._writer.flush()

    def _key(self, subject: Subject) -> tuple[int, ...] | None:
        client, server = self._find(subject.client), self._find(subject.server)
        if client is None or server is None:
            return None
        one, two = sorted([(client, subject.client_port), (server, subject.server_port)])
        return 6 if subject.proto == "tcp" else 17, one[0], two[0], one[1] << 16 | two[1]

    @property
    def missed(self) -> int:
        """Findings for which packets had been given up that belong to them."""
        return len(self._missed)

    def close(self, analysis: Analysis) -> None:
        """Decide on all packets that still wait."""
        self.judged(analysis)
        while self._waiting:
            self._let_go()
        self._writer.close()

    def _let_go(self) -> None:
        batch, keys = self._waiting.popleft()
        self.held -= batch.data.nbytes
        found = keys.join(self._wanted, on=_KEY, how="semi")["row"]
        rows = np.unique(found.to_numpy())
        self._writer.write(batch, rows)
        self._gone_until = batch.first_frame + len(batch) - 1

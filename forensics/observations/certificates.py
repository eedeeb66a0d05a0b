"""Certificates shown in TLS up to version 1.2: their table, and columns of the flow table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from forensics.capture.gather import gather_rows
from forensics.flows.arrays import NEVER
from forensics.observations.dictionary import CERTIFICATE
from forensics.observations.dictionary.certificate import FLOW_CERTIFICATE
from forensics.observations.readers import Opener
from forensics.observations.series import at_rows
from forensics.protocols.certificate import Certificate, covers, read_certificate
from forensics.protocols.errors import ProtocolError
from forensics.protocols.tls_flight import SECRET_SUITES, Flight
from forensics.protocols.tls_wire import ALERT, HANDSHAKE, RECORD_HEADER, SERVER_HELLO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forensics.flows.arrays import BoolArray, IntArray
    from forensics.observations.collector import Arrived, Asked
    from forensics.observations.dictionary import Table
    from forensics.observations.readers import Heads, Opening
    from forensics.observations.sides import Sides

HELD_BYTES: Final = 32 << 20
"""Most bytes of unfinished messages that are kept for all connections together."""
_FRAMES: Final = 16
_SECOND: Final = 1_000_000_000
_SESSION_ID: Final = 43
"""Place of its length in a ServerHello that begins a stream: record, message, version, random."""
_HELLO: Final = _SESSION_ID + 1 + 32 + 2
_ALERT: Final = 7
_KIND: Final = 5
"""Place of the kind of the first message, after the header of the record; of an alert its level stands there."""
_OF_CERTIFICATE: Final = frozenset(Certificate._fields) & frozenset(CERTIFICATE.schema())
_OF_FLOW: Final = {
    f"certificate_{name}": name
    for name in (
        "frames", "subject", "issuer", "names", "sha256", "self_issued", "not_before", "not_after", "valid_when_seen",
    )
}  # fmt: skip
"""Columns of the flow table that repeat one of the certificate table, for the server's own certificate."""
_COVERS: Final = "certificate_covers_sni"
_COMMON_NAME: Final = "certificate_cn"
"""Only ``covers_sni`` needs it: no column of the flow table."""
_TYPES: Final[dict[str, Any]] = {column.name: column.dtype for column in FLOW_CERTIFICATE}


class _Seen(NamedTuple):
    """A certificate and how it came."""

    sender: str
    place: int
    chain_length: int
    chain_whole: bool
    frames: tuple[int, ...]
    time: int
    certificate: Certificate

    def tell(self) -> dict[str, Any]:
        """One row of the certificate table, apart from whose it is."""
        row: dict[str, Any] = {name: getattr(self.certificate, name) for name in _OF_CERTIFICATE}
        row |= {name: getattr(self, name) for name in self._fields if name != "certificate"}
        begin, end = self.certificate.not_before, self.certificate.not_after
        row["frames"] = list(self.frames[:_FRAMES])
        row["first_frame"] = self.frames[0]
        row["names"] = list(self.certificate.names)
        row["malformed"] = list(self.certificate.malformed) or None
        row["valid_when_seen"] = None if begin is None or end is None else begin <= _moment(self.time) <= end
        return row


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class CertificateReader:
    """One connection, from its ServerHello on; see readers.StreamReader."""

    def __init__(
        self, opening: Opening, kept: dict[int, list[_Seen]], hold: Callable[[CertificateReader, int], None]
    ) -> None:
        self._opening = opening
        self._hold = hold
        self._flights = (Flight(), Flight())
        self._begun = [False, False]
        self._kept = kept

    def take(self, side: int, place: int, piece: bytes, frame: int, time: int) -> int:
        """See StreamReader."""
        if not self._wanted(side):
            return NEVER
        self._begun[side] = True
        flight = self._flights[side]
        try:
            flight.feed(piece, (frame, time))
        except ProtocolError:
            flight.cut()
        self._hold(self, sum(one.held for one in self._flights))
        return self._after(side, place + len(piece))

    def lost(self, side: int, place: int, until: int) -> int:
        """See StreamReader."""
        if not self._wanted(side):
            return NEVER
        # what a client sent before it was followed is its ClientHello
        if until > place and self._begun[side]:
            self._flights[side].cut()
            self._hold(self, sum(one.held for one in self._flights))
        return self._after(side, until)

    def differs(self, side: int, place: int, piece: bytes, frame: int, time: int) -> None:
        """What came first is read."""

    def finish(self) -> None:
        """See StreamReader."""
        self._hold(self, 0)
        self.give_up()

    def give_up(self) -> None:
        """Tells of what is there."""
        for side, flight in enumerate(self._flights):
            if not flight.over:
                flight.cut()
                self._after(side, 0)

    def _wanted(self, side: int) -> bool:
        """A client shows a certificate only where the server asks for one."""
        other = self._flights[1 - side]
        return not self._flights[side].over and not (other.over and other.server and not other.asks)

    def _after(self, side: int, place: int) -> int:
        flight = self._flights[side]
        if not flight.over:
            return place
        shown = flight.certificates
        if shown:
            self._kept.setdefault(self._opening.flow, []).extend(
                _Seen(
                    "server" if self._of_server(side) else "client", number, len(shown), flight.whole,
                    tuple(sorted(frame for frame, _ in one.marks)), max(time for _, time in one.marks),
                    read_certificate(one.der),
                )
                for number, one in enumerate(shown)
            )  # fmt: skip
            flight.certificates = []
        return NEVER

    def _of_server(self, side: int) -> bool:
        mine, other = self._flights[side].server, self._flights[1 - side].server
        if mine is not None:
            return mine
        return not other if other is not None else side == self._opening.side


class CertificateCollector:
    """Keeps the certificates of connections until their flows go to the tables; see collector.Collector.

    Connections are followed only if somebody asks for the table or one of the columns.
    """

    tables: tuple[Table, ...] = (CERTIFICATE,)

    def __init__(self, asked: Asked) -> None:
        self._kept: dict[int, list[_Seen]] = {}
        self._holding: dict[CertificateReader, int] = {}  # in the order in which they began to hold bytes
        self.held = 0
        """Bytes of unfinished messages that are kept now."""
        wanted = asked.table(CERTIFICATE.name) or any(asked.column(name) for name in _TYPES)
        self.openers = (Opener("certificates", looks_like_server, self._make),) if wanted else ()
        """For the StreamCollector that follows the connections."""

    def _make(self, opening: Opening) -> CertificateReader:
        return CertificateReader(opening, self._kept, self._hold)

    def _hold(self, reader: CertificateReader, size: int) -> None:
        """Keeps account of the bytes of unfinished messages; the oldest go where they are too many."""
        self.held += size - self._holding.get(reader, 0)
        if size:
            self._holding[reader] = size
        else:
            self._holding.pop(reader, None)
        while self.held > HELD_BYTES:
            oldest = next(iter(self._holding))
            self.held -= self._holding.pop(oldest)
            oldest.give_up()

    def add(self, arrived: Arrived) -> None:
        """The readers are fed by the StreamCollector."""

    def finish(self, flows: IntArray) -> None:
        """Readers are finished by the StreamCollector."""

    def clear(self, flows: IntArray) -> None:
        """Forget these flows."""
        for flow in flows.tolist():
            self._kept.pop(flow, None)

    def _found(self, sides: Sides) -> list[tuple[int, list[_Seen]]]:
        if not self._kept:
            return []
        return [(row, self._kept[flow]) for row, flow in enumerate(sides.flow.tolist()) if flow in self._kept]

    def flow_columns(self, sides: Sides) -> Mapping[str, Any]:
        """Most of FLOW_CERTIFICATE, and ``certificate_cn`` for ``covers_sni``; nothing without certificates."""
        found = self._found(sides)
        if not found:
            return {}
        rows = np.array([row for row, _ in found], dtype=np.int64)
        told = [_of_flow(seen) for _, seen in found]
        return {
            name: at_rows(len(sides), rows, [one.get(name) for one in told], dtype)
            for name, dtype in (*_TYPES.items(), (_COMMON_NAME, pl.String))
            if name != _COVERS
        }

    def rows(self, table: str, sides: Sides) -> pl.DataFrame:
        """The certificate table."""
        if table != CERTIFICATE.name:
            raise KeyError(table)
        told = [{"flow": row, **one.tell()} for row, seen in self._found(sides) for one in seen]
        schema = {name: CERTIFICATE.schema()[name] for name in ("flow", "first_frame", *_TOLD)}
        return pl.DataFrame(told, schema=schema, orient="row")


_TOLD: Final = tuple(
    name
    for name in CERTIFICATE.schema()
    if name in _OF_CERTIFICATE | frozenset(_Seen._fields) | {"valid_when_seen"}
)


def _of_flow(seen: list[_Seen]) -> dict[str, Any]:
    """What the flow table tells of the certificates of one flow."""
    row: dict[str, Any] = {}
    for one in seen:
        if one.place:
            continue
        told = one.tell()
        if one.sender == "client":
            row["client_certificate_frames"] = told["frames"]
            continue
        row |= {name: told[of_table] for name, of_table in _OF_FLOW.items()}
        row[_COMMON_NAME] = told["subject_cn"]
    return row


def covers_sni(columns: dict[str, Any]) -> dict[str, Any]:
    """The column certificate_covers_sni, from the other columns of the flow table; takes what it alone needs out."""
    common = columns.pop(_COMMON_NAME, None)
    if common is None or "sni" not in columns:
        return {}
    sni = pl.Series(columns["sni"], dtype=pl.String)
    rows = np.flatnonzero((columns["certificate_sha256"].is_not_null() & sni.is_not_null()).to_numpy())
    chosen = (values.gather(rows).to_list() for values in (columns["certificate_names"], common, sni))
    found = [
        covers(tuple(names or [(cn or "").lower()]), host.rstrip("."))
        for names, cn, host in zip(*chosen, strict=True)
    ]
    return {_COVERS: at_rows(len(sni), rows, found, pl.Boolean)}


def looks_like_server(heads: Heads) -> BoolArray:
    """Sides that begin with a ServerHello, or with a warning before one, unless it chooses TLS 1.3."""
    head, length = heads.head, heads.length
    handshake = (head[:, 0] == HANDSHAKE) & ((length <= _KIND) | (head[:, _KIND] == SERVER_HELLO))
    warned = (head[:, 0] == ALERT) & ((length < _ALERT) | ((head[:, 4] == 2) & (head[:, _KIND] == 1)))  # noqa: PLR2004 - two bytes: level, what
    version = ((length < 2) | (head[:, 1] == 3)) & ((length < 3) | (head[:, 2] <= 4))  # noqa: PLR2004 - as record_header
    found: BoolArray = (handshake | warned) & version & (length > 0)
    hello = np.flatnonzero(found & handshake & (length > _KIND))
    if len(hello):
        begin = gather_rows(heads.data, heads.offset[hello], _HELLO)
        suite = _SESSION_ID + 1 + begin[:, _SESSION_ID].astype(np.int64)
        size = begin[:, 3].astype(np.int64) << 8 | begin[:, 4]
        known = (suite < np.minimum(length[hello], RECORD_HEADER + size)) & (suite < _HELLO)
        secret = begin[np.arange(len(hello)), np.where(known, suite, 0)] == SECRET_SUITES
        found[hello[known & secret]] = False
    return found

"""One capture from bytes to verdicts: the rooms in their order, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from forensics.apps import AppCatalogue
from forensics.apps.annotate import FLOW_FILLED, FLOW_NEEDED
from forensics.capture import BATCH_BYTES, BATCH_PACKETS, capture_name
from forensics.data import signature_root, signature_sha256
from forensics.decode.stream import open_packets
from forensics.observations import context, quality
from forensics.observations.collect import Collectors
from forensics.observations.collector import Asked
from forensics.observations.phone import add_phone_notes, name_phone_apps
from forensics.observations.table import CHUNK_ROWS, fact_table
from forensics.signatures.evaluate import evaluate
from forensics.signatures.load import SignatureSet
from forensics.verdicts import judge, limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forensics.capture.batch import CaptureNotes
    from forensics.decode.packets import Decoder
    from forensics.decode.stream import PacketStream
    from forensics.observations.table import FactTable
    from forensics.signatures.model import Finding
    from forensics.verdicts.model import Limit, Verdict


@dataclass(frozen=True)
class Analysis:
    """Everything that was learnt from one capture."""

    name: str
    """Base name of the file, or ``-``; of several the first three."""
    notes: CaptureNotes
    first_time: int | None
    """Nanoseconds since the epoch of the earliest packet; None without packets."""
    last_time: int | None
    quality: dict[str, Any]
    """JSON-ready: counts and truth values, see forensics.observations.quality."""
    tables: dict[str, FactTable]
    """Fact tables by name, columns as in forensics.observations.dictionary."""
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    limits: tuple[Limit, ...]
    signature_count: int
    signature_sha256: str
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Rule → how many rows had each outcome."""
    closed_gates: dict[str, dict[str, int]] = field(default_factory=dict)
    """Rule → gate → how many rows it kept from being judged."""


@dataclass(frozen=True)
class Knowledge:
    """What captures are judged by."""

    signatures: SignatureSet
    catalogue: AppCatalogue
    sha256: str
    """Of all signature files."""

    @classmethod
    def load(cls) -> Knowledge:
        """From the files that ship with the package; raises RuleError when one of them cannot be used."""
        return cls(SignatureSet.load(), AppCatalogue.load(), signature_sha256(signature_root()))


class Source(Protocol):
    """Where packets come from, as far as a judgement needs it."""

    decoder: Decoder

    @property
    def notes(self) -> CaptureNotes:
        """See PacketStream."""
        ...


def analyze_capture(  # noqa: PLR0913 - one parameter a choice of the caller
    paths: str | Sequence[str],
    *,
    batch_bytes: int = BATCH_BYTES,
    batch_packets: int = BATCH_PACKETS,
    aside: bool | None = None,
    chunk_rows: int = CHUNK_ROWS,
    asked: Asked = Asked(),  # noqa: B008 - it never changes
    progress: Callable[[int, int | None], None] | None = None,
) -> Analysis:
    """Read, observe and judge one capture: one file, or several as one in the order of time (``-``: standard input).

    ``aside``: see open_packets. ``chunk_rows``: rows of a table that are judged together. ``asked``: tables and
    columns that are wanted besides those that rules read.
    ``progress`` is called after every batch with the stored bytes read and the size of all files (None with a pipe).
    Raises CaptureError when there is no capture to read, RuleError when a signature file cannot be used.
    """
    with open_packets(paths, batch_bytes=batch_bytes, batch_packets=batch_packets, aside=aside) as stream:
        return analyze_packets(
            stream, capture_name(paths), chunk_rows=chunk_rows, asked=asked, progress=progress
        )


def analyze_packets(
    stream: PacketStream,
    name: str,
    *,
    chunk_rows: int = CHUNK_ROWS,
    asked: Asked = Asked(),  # noqa: B008 - it never changes
    progress: Callable[[int, int | None], None] | None = None,
) -> Analysis:
    """Observe and judge a capture that is already being read; ``name`` is what to call it.

    The hashes in the notes of the result come when the stream is closed. See analyze_capture for the rest.
    """
    knowledge = Knowledge.load()
    collectors = Collectors(
        stream.decoder.book, stream.decoder.tunnels, asked=asked | knowledge.signatures.asked()
    )
    _collect(stream, collectors, progress)
    # What follows needs no more of the file, but its hash may still be on the way.
    return conclude(name, stream, collectors, knowledge, chunk_rows=chunk_rows)


def _collect(
    stream: PacketStream, collectors: Collectors, progress: Callable[[int, int | None], None] | None
) -> None:
    """Draw all packets. Nothing of the last batch outlives this: what follows needs the memory."""
    for decoded in stream:
        collectors.add(decoded)
        if progress:
            progress(stream.position, stream.size)


def conclude(
    name: str, source: Source, collectors: Collectors, knowledge: Knowledge, *, chunk_rows: int = CHUNK_ROWS
) -> Analysis:
    """From what was collected to findings and verdicts; the collectors are finished by it."""
    tables = {
        table: fact_table(table, rows, chunk_rows=chunk_rows) for table, rows in collectors.finish().items()
    }
    notes = source.notes
    add_phone_notes(notes, source.decoder.phone)
    evaluation = evaluate(
        knowledge.signatures, _compared(tables, knowledge.catalogue, source.decoder.last_time or 0)
    )
    tables = evaluation.tables
    owners = name_phone_apps(tables["flow"].columns(["phone_uid", "phone_app"]), notes.phone_apps)
    tables["flow"] = tables["flow"].fill(owners.select("phone_app"))
    counted = tables["flow"].columns(quality.FLOW_COLUMNS)
    return Analysis(
        name=name,
        notes=notes,
        first_time=source.decoder.first_time,
        last_time=source.decoder.last_time,
        quality=quality.capture_quality(notes, source.decoder.counts, collectors, counted),
        tables=tables,
        findings=evaluation.findings,
        verdicts=judge(tables, evaluation.findings),
        limits=limits(tables, evaluation.findings),
        signature_count=knowledge.signatures.count,
        signature_sha256=knowledge.sha256,
        outcomes={
            rule: {str(outcome): count for outcome, count in found.items()}
            for rule, found in sorted(evaluation.outcomes.items())
        },
        closed_gates=evaluation.closed,
    )


def _compared(tables: dict[str, FactTable], catalogue: AppCatalogue, last_time: int) -> dict[str, FactTable]:
    """The tables with names, apps and what other flows tell: for that, a few columns of all flows are enough."""
    flow, dns = tables["flow"], catalogue.annotate_dns(tables["dns"].frame())
    annotated = catalogue.flow_annotator(dns)
    # Some flows at a time: names and first bytes of all would take more memory than everything else.
    flow = flow.fill_chunks(
        annotated(chunk).select(FLOW_FILLED) for chunk in flow.chunks(columns=FLOW_NEEDED)
    )
    filled, dns = context.context_columns(flow, dns, last_time)
    return {**tables, "flow": flow.fill(filled), "dns": tables["dns"].fill(dns)}

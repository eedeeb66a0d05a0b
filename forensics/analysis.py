"""One capture from bytes to verdicts: the rooms in their order, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forensics.apps import AppCatalogue
from forensics.capture import BATCH_BYTES, BATCH_PACKETS, capture_name
from forensics.data import signature_root, signature_sha256
from forensics.decode.stream import open_packets
from forensics.observations.collect import Collectors
from forensics.observations.context import add_context
from forensics.observations.phone import add_phone_notes, name_phone_apps
from forensics.observations.quality import capture_quality
from forensics.signatures.evaluate import evaluate
from forensics.signatures.load import SignatureSet
from forensics.verdicts import judge, limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from forensics.capture.batch import CaptureNotes
    from forensics.decode import DecodeCounts
    from forensics.decode.stream import PacketStream
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
    tables: dict[str, pl.DataFrame]
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


def analyze_capture(
    paths: str | Sequence[str],
    *,
    batch_bytes: int = BATCH_BYTES,
    batch_packets: int = BATCH_PACKETS,
    aside: bool | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Analysis:
    """Read, observe and judge one capture: one file, or several as one in the order of time (``-``: standard input).

    ``aside``: see open_packets.
    ``progress`` is called after every batch with the stored bytes read and the size of all files (None with a pipe).
    Raises CaptureError when there is no capture to read, RuleError when a signature file cannot be used.
    """
    with open_packets(paths, batch_bytes=batch_bytes, batch_packets=batch_packets, aside=aside) as stream:
        return analyze_packets(stream, capture_name(paths), progress=progress)


def analyze_packets(
    stream: PacketStream, name: str, *, progress: Callable[[int, int | None], None] | None = None
) -> Analysis:
    """Observe and judge a capture that is already being read; ``name`` is what to call it.

    The hashes in the notes of the result come when the stream is closed. See analyze_capture for the rest.
    """
    collectors = Collectors(stream.decoder.book)
    signatures = SignatureSet.load()
    catalogue = AppCatalogue.load()
    for decoded in stream:
        collectors.add(decoded)
        if progress:
            progress(stream.position, stream.size)
    add_phone_notes(stream.notes, stream.decoder.phone)
    # What follows needs no more of the file, but its hash may still be on the way.
    return _judged(
        name,
        stream.notes,
        (stream.first_time, stream.last_time),
        (collectors, stream.decoder.counts),
        (signatures, catalogue),
    )


def _judged(
    name: str,
    notes: CaptureNotes,
    times: tuple[int | None, int | None],
    observed: tuple[Collectors, DecodeCounts],
    knowledge: tuple[SignatureSet, AppCatalogue],
) -> Analysis:
    """From what was collected to findings and verdicts."""
    collectors, counts = observed
    signatures, catalogue = knowledge
    tables = collectors.finish()
    tables["dns"] = catalogue.annotate_dns(tables["dns"])
    tables["flow"] = catalogue.annotate_flows(tables["flow"], tables["dns"])
    tables["flow"], tables["dns"] = add_context(tables["flow"], tables["dns"], times[1] or 0)
    evaluation = evaluate(signatures, tables)
    tables = dict(evaluation.tables)
    tables["flow"] = name_phone_apps(tables["flow"], notes.phone_apps)
    return Analysis(
        name=name,
        notes=notes,
        first_time=times[0],
        last_time=times[1],
        quality=capture_quality(notes, counts, collectors, tables["flow"]),
        tables=tables,
        findings=evaluation.findings,
        verdicts=judge(tables, evaluation.findings),
        limits=limits(tables, evaluation.findings),
        signature_count=signatures.count,
        signature_sha256=signature_sha256(signature_root()),
        outcomes={
            rule: {str(outcome): count for outcome, count in found.items()}
            for rule, found in sorted(evaluation.outcomes.items())
        },
        closed_gates=evaluation.closed,
    )

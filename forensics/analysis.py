"""One capture from bytes to verdicts: the rooms in their order, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from forensics.capture.batch import CaptureNotes
    from forensics.signatures.model import Finding
    from forensics.verdicts.model import Limit, Verdict


@dataclass(frozen=True)
class Analysis:
    """Everything that was learnt from one capture."""

    name: str
    """Base name of the file, or ``-``."""
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

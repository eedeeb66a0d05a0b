"""The status of each feature of each app. Plain data, read by report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """What can be said of one feature of one app."""

    app: str
    feature: str
    status: str
    """``ok``, ``degraded``, ``blocked`` or ``undetermined``."""
    mechanisms: tuple[str, ...]
    level: str | None
    """Strongest level among the findings; None without any."""
    flows: int
    """Flows (and DNS look-ups) that the verdict rests on."""
    findings: tuple[str, ...]
    summary: str
    """One plain sentence."""


@dataclass(frozen=True)
class Limit:
    """What held back one transfer long enough to judge (report contract, ``limits``)."""

    proto: str
    stream: int
    direction: str
    limit: str
    rate_bps: float | None
    burst_bytes: int | None
    level: str

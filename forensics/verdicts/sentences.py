"""The plain sentence of each verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import polars as pl

from forensics.signatures.model import LEVELS
from forensics.verdicts.outcome import FAILED, NEUTRAL, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forensics.signatures.model import Finding
    from forensics.verdicts.case import Case

_NAME_LENGTH: Final = 80
"""A name from a capture may have any length; a sentence may not."""

_SEEN: Final = {
    "dns-injection": "got a forged answer",
    "dns-tampering": "got a false answer",
    "dns-drop": "got no answer",
    "ip-block": "got no answer to the SYN",
    "handshake-reset": "reset before any data",
    "sni-reset": "reset after the TLS server name",
    "sni-drop": "got no answer after the TLS server name",
    "http-reset": "reset after the HTTP request",
    "blockpage-injection": "got a block page",
    "tls-mitm": "got the certificate of somebody else",
    "quic-drop": "got no answer to the QUIC handshake",
    "udp-block": "got no answer over UDP",
    "media-block": "carried signalling but no voice or video",
    "throttling-police": "held down by a policer",
    "throttling-shape": "held down by a shaper",
    "freeze-after-bytes": "fell silent after the first bytes",
    "residual-block": "cut off while a block of the same endpoint lasted",
    "protocol-block": "cut off by the shape of the protocol",
}
_WEAK: Final = {
    "dns-injection": "got an answer that may be forged",
    "dns-tampering": "got an answer that may be false",
    "tls-mitm": "got a certificate that may be somebody else's",
    "throttling-police": "ran as if behind a policer",
    "throttling-shape": "ran as if behind a shaper",
    "residual-block": "failed as if a block of the same endpoint lasted",
    "protocol-block": "failed as if cut off by the shape of the protocol",
}
"""The same below the level ``likely``, where the words above would claim too much."""
_NAMED: Final = 3
"""Targets that a sentence names before it counts the rest."""
_PASSIVE: Final = ("reset", "held", "cut")
"""First words that take "was" or "were"."""


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def short(name: str) -> str:
    """A name that fits into a sentence."""
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 3] + "..."


def of_findings(case: Case, findings: Sequence[Finding], flows: pl.DataFrame, lookups: pl.DataFrame) -> str:
    """What the strongest finding of each mechanism shows, and what worked beside it."""
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.mechanism, finding)
    clauses = [_clause(case, finding, flows, lookups) for finding in first.values()]
    clauses[1:] = [clause[0].lower() + clause[1:] for clause in clauses[1:]]
    clauses += _of_others(findings, {finding.target for finding in first.values()})
    success = case.count(SUCCESS)
    # A throttled transfer that ends is its own success, and no contrast.
    if success and any(not mechanism.startswith("throttling-") for mechanism in first):
        ended = success + case.count(FAILED)
        every = (
            "the connection"
            if ended == 1
            else f"{_all(ended).lower()} connections"
            if success == ended
            else ""
        )
        clauses.append(f"{every or f'{success} of {ended} connections'} of this feature worked")
    return "; ".join(clauses) + "."


def _of_others(findings: Sequence[Finding], told: set[str]) -> list[str]:
    """Which other targets met the same, those of strong findings apart from those of weak ones."""
    grouped: dict[bool, dict[str, None]] = {True: {}, False: {}}
    for finding in findings:
        if finding.target not in told:
            grouped[LEVELS.index(finding.level) >= LEVELS.index("likely")].setdefault(finding.target)
    clauses = []
    for sure, opening in ((True, "the same was seen for"), (False, "weak signs of the same were seen for")):
        targets = [target for target in grouped[sure] if sure or target not in grouped[True]]
        if targets:
            named = [short(target) for target in targets[:_NAMED]]
            rest = len(targets) - len(named)
            named += [f"{rest} other{'' if rest == 1 else 's'}"] if rest else []
            clauses.append(f"{opening} {listed(named)}")
    return clauses


def _clause(case: Case, finding: Finding, flows: pl.DataFrame, lookups: pl.DataFrame) -> str:
    number = len(finding.subjects)
    what = _SEEN.get(finding.mechanism, f"show {finding.mechanism}")
    if LEVELS.index(finding.level) < LEVELS.index("likely"):
        what = _WEAK.get(finding.mechanism, what)
    thing: tuple[str, str]
    if finding.mechanism.startswith("dns-"):
        total = lookups.filter(pl.col("qname") == finding.target).height
        thing = ("DNS look-up of", "DNS look-ups of")
    else:
        total = sum(case.targets[target].flows for target in case.hit[finding.id] if target in case.targets)
        thing = ("connection to", "connections to")
    total = max(total, number)
    singular = total == 1
    verb = ("was " if singular else "were ") if what.split(" ", 1)[0] in _PASSIVE else ""
    opening = f"The only {thing[0]}" if singular else f"{number} of {total} {thing[1]}"
    return f"{opening} {short(finding.target)} {verb}{what}{_measure(finding, flows)}"


def _measure(finding: Finding, flows: pl.DataFrame) -> str:
    """The one figure that makes the mechanism plain: a delay or a rate."""
    column = {"sni-reset": "rst_after_hello_ms", "throttling-police": "steady_rate_bps"}.get(
        finding.mechanism
    )
    if column is None:
        return ""
    streams = [subject.stream for subject in finding.subjects if subject.proto == "tcp"]
    seen = flows.filter((pl.col("proto") == "tcp") & pl.col("stream").is_in(streams))[column].drop_nulls()
    values = [float(value) for value in seen if math.isfinite(value)]
    if not values:
        return ""
    if finding.mechanism == "sni-reset":
        return f" within {math.ceil(max(values))} ms" if max(values) >= 1 else " within 1 ms"
    return f" at about {rate(sum(values) / len(values))}"


def rate(bps: float) -> str:
    """A rate with two significant digits: ``140 kbit/s``, ``1.4 Mbit/s``."""
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bps >= size:
            value = bps / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"  # noqa: PLR2004 - two digits
    return f"{bps:.0f} bit/s"


def of_counts(case: Case, status: str) -> str:
    """What the flows show when no finding speaks."""
    success, failed, neutral = case.count(SUCCESS), case.count(FAILED), case.count(NEUTRAL)
    ended = success + failed
    if status == "ok":
        if failed:
            return f"{_connections(ended, success)} worked; every name that failed worked when tried again."
        return f"{_connections(ended, success)} worked."
    if failed:
        return f"{_connections(ended, failed)} failed, and nothing in the capture shows why."
    if neutral:
        seen = "The only connection is" if neutral == 1 else f"{_all(neutral)} connections are"
        return f"{seen} one-sided, cut short by the capture or too short to judge."
    if case.lookups:
        looked = "One DNS look-up was" if case.lookups == 1 else f"{case.lookups} DNS look-ups were"
        return f"{looked} seen and answered without a contradiction, but no connection followed."
    return "Only weak signs were seen, and no connection that could confirm them."


def _all(number: int) -> str:
    return "Both" if number == 2 else f"All {number}"  # noqa: PLR2004 - a pair


def _connections(total: int, number: int) -> str:
    return "The only connection" if total == 1 else f"{number} of {total} connections"

"""What was looked at, and what the capture did not allow to be judged: three kinds of nothing, kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forensics.observations.dictionary import GATES

if TYPE_CHECKING:
    from forensics.analysis import Analysis

_ROWS: Final = {"flow": ("connection", "connections"), "dns": ("DNS look-up", "DNS look-ups")}


def _count(number: int, table: str) -> str:
    return f"{number:,} {_ROWS[table][number != 1]}"


def looked_at(analysis: Analysis) -> str:
    """``12 connections and 3 DNS look-ups, by 7 signatures``."""
    parts = [_count(analysis.tables[name].height if name in analysis.tables else 0, name) for name in _ROWS]
    rules = f"{analysis.signature_count:,} signature{'' if analysis.signature_count == 1 else 's'}"
    return f"{' and '.join(parts)}, by {rules}"


def closed_gates(analysis: Analysis) -> list[str]:
    """One sentence for each gate that some rows do not pass: rules that need it are *uninterpretable*."""
    lines = []
    for name in _ROWS:
        table = analysis.tables.get(name)
        if table is None or not table.height:
            continue
        gates = table.columns([gate for gate in GATES if gate in table.table.schema()])
        for gate in gates.columns:
            closed = int((~gates[gate].fill_null(value=False)).sum())
            if closed:
                lines.append(f"{closed:,} of {_count(table.height, name)}: {GATES[gate]}.")
    return lines


def unapplied(analysis: Analysis) -> list[str]:
    """One sentence for each signature that could not judge some of what it speaks of, with the reasons."""
    lines = []
    for rule, counts in sorted(analysis.outcomes.items()):
        unread = counts.get("uninterpretable", 0)
        if not unread:
            continue
        candidates = unread + counts.get("matched", 0) + counts.get("not-matched", 0)
        closed = analysis.closed_gates.get(rule, {})
        reasons = "; ".join(
            GATES[gate] + (f" ({closed[gate]:,})" if closed[gate] != unread else "")
            for gate in GATES
            if gate in closed
        )
        which = f"{unread:,} of its {candidates:,} candidates" if candidates > 1 else "its only candidate"
        lines.append(f"{rule} could not judge {which}: {reasons}.")
    return lines


def untested_benign(analysis: Analysis) -> list[str]:
    """How many findings leave an innocent explanation untested or standing."""
    lines = []
    for outcome, words in (
        ("stands", "that still stands"),
        ("not-testable", "that this capture cannot test"),
    ):
        named = [f.id for f in analysis.findings if any(b.outcome == outcome for b in f.benign)]
        if named:
            shown = ", ".join(named[:10]) + (f" and {len(named) - 10:,} more" if len(named) > 10 else "")  # noqa: PLR2004
            lines.append(f"An innocent explanation {words}: {shown}.")
    return lines

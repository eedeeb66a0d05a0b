"""Question by question: what agrees, what differs, and which differences are documented.

Facts are compared, never verdicts: tshark has no opinion about interference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.crosscheck.explained import explain
from forensics.crosscheck.seen import FRAMES, QUESTIONS, Subject, Value

if TYPE_CHECKING:
    from forensics.crosscheck.seen import Seen


@dataclass(frozen=True)
class Difference:
    """One subject of which the two programs say different things."""

    subject: Subject
    ours: Value | None
    tshark: Value | None
    frames: tuple[int, ...]
    """Frames that either program names, the first 8 of each."""
    explanation: str = ""
    """Id of the documented difference that this is one of; empty when it is none."""


@dataclass(frozen=True)
class Check:
    """One question, answered twice."""

    question: str
    same: int
    """Subjects with equal values."""
    differences: tuple[Difference, ...]
    """In order of the subjects."""

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """Differences that are not documented: one of the two programs is wrong."""
        return tuple(difference for difference in self.differences if not difference.explanation)


def compare(mine: Seen, theirs: Seen) -> tuple[Check, ...]:
    """Every question in order, with all subjects of which the answers differ."""
    return tuple(_check(question, mine, theirs) for question in QUESTIONS)


def _check(question: str, mine: Seen, theirs: Seen) -> Check:
    left, right = mine.values[question], theirs.values[question]
    differences = []
    for subject in sorted(left.keys() | right.keys()):
        ours, tshark = left.get(subject), right.get(subject)
        if ours != tshark:
            named = {
                *mine.frames[question].get(subject, [])[:FRAMES],
                *theirs.frames[question].get(subject, [])[:FRAMES],
                *([subject.frame] if subject.frame > 0 else []),
            }
            why = explain(question, subject, mine, theirs)
            differences.append(Difference(subject, ours, tshark, tuple(sorted(named)), why))
    same = len(left.keys() | right.keys()) - len(differences)
    return Check(question, same, tuple(differences))

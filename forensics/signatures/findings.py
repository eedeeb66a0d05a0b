"""From scored rows to findings: one per rule, app, feature and target, with statements and frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from forensics.observations.dictionary import DNS, FLOW
from forensics.signatures.model import LEVELS, Benign, Evidence, Finding, FrameRole, Subject
from forensics.signatures.score import Match, target_expr, word_expr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from forensics.signatures.rule import Rule

MAX_FRAMES: Final = 64
"""Frames kept for one reason and for one role; a flood of resets needs no more to be shown."""


MAX_ROWS: Final = 256
"""Rows of one finding whose values and frames its statements give."""
_CHUNK: Final = 4096
"""Rows turned into Python values at once."""
_Rows: TypeAlias = "Mapping[int, Mapping[str, Any]]"
"""Values of rows by their place in the match, the best row first."""


@dataclass(frozen=True)
class _Group:
    """Rows (as places in the match) of one rule that become one finding, in order of their first frame."""

    match: Match
    places: tuple[int, ...]
    app: str | None
    feature: str | None
    target: str


def build_findings(matches: Sequence[Match]) -> tuple[Finding, ...]:
    """Keep the best rule per row and mechanism, group the rows, and put the reasons into words."""
    kept = _one_per_mechanism(matches)
    made: list[tuple[int, Finding]] = []
    for match, places in zip(matches, kept, strict=True):
        subjects = _subjects(match.rule, match.values)
        for group, rows in _with_rows(_groups(match, places)):
            finding = _finding(group, rows, tuple(subjects[place] for place in group.places))
            first = min(finding.frame_numbers(), default=0)
            made.append((first, finding))
    made.sort(
        key=lambda item: (
            item[0],
            item[1].signature,
            item[1].target,
            item[1].app or "",
            item[1].feature or "",
        )
    )
    return tuple(replace(finding, id=f"F{number}") for number, (_, finding) in enumerate(made, 1))


def _one_per_mechanism(matches: Sequence[Match]) -> list[NDArray[np.int64]]:
    """Places of each match that are reported."""
    rows = {match.rule.id: match.rows for match in matches}
    kept: list[NDArray[np.int64]] = []
    rivals: dict[tuple[str, str], list[int]] = {}
    for number, match in enumerate(matches):
        better = [rows[other] for other in match.rule.yields_to if other in rows]
        free = ~np.isin(match.rows, np.concatenate(better)) if better else np.ones(len(match.rows), np.bool_)
        kept.append(np.flatnonzero(free).astype(np.int64))
        rivals.setdefault((match.rule.mechanism, match.rule.table.name), []).append(number)
    for numbers in rivals.values():
        if len(numbers) > 1:
            ranked = [(matches[n], kept[n], np.full(len(kept[n]), n)) for n in numbers]
            entries = [(m.rows[at], m.levels[at], m.scores[at], number) for m, at, number in ranked]
            row, level, score, rule = (np.concatenate(part) for part in zip(*entries, strict=True))
            # the highest level, then the highest score, then the first rule is the last of its row in this order
            order = np.lexsort((-rule, score, level, row))
            best = np.zeros(len(row), np.bool_)
            best[order] = np.append(row[order][1:] != row[order][:-1], np.ones(min(len(row), 1), np.bool_))
            for n in numbers:
                kept[n] = kept[n][best[rule == n]]
    return kept


def _groups(match: Match, places: NDArray[np.int64]) -> list[_Group]:
    if not len(places):
        return []
    rule = match.rule
    keys = match.values[places].select(
        word_expr(rule, "app").alias("app"),
        word_expr(rule, "feature").alias("feature"),
        target_expr(rule).alias("target"),
    )
    grouped: dict[tuple[Any, ...], list[int]] = {}
    for place, key in zip(places.tolist(), keys.iter_rows(), strict=True):
        grouped.setdefault(key, []).append(place)
    # rows are in order of their first frame, and so are places
    return [
        _Group(match, tuple(members), app, feature, target)
        for (app, feature, target), members in grouped.items()
    ]


def _with_rows(groups: Sequence[_Group]) -> Iterator[tuple[_Group, _Rows]]:
    """Each group with the values of its best row and the first others, by place; fetched for many groups at once."""
    start = 0
    while start < len(groups):
        chunk: list[tuple[_Group, list[int]]] = []
        size = 0
        while start < len(groups) and size < _CHUNK:
            chunk.append((groups[start], _told(groups[start])))
            size += len(chunk[-1][1])
            start += 1
        match = chunk[0][0].match
        wanted = [place for _, told in chunk for place in told]
        values = iter(match.values.select(match.rule.columns())[wanted].rows(named=True))
        for group, told in chunk:
            yield group, {place: next(values) for place in told}


def _told(group: _Group) -> list[int]:
    """The best row and the first others; the rest is counted only."""
    match = group.match
    best = max(group.places, key=lambda place: (match.levels[place], match.scores[place], -place))
    return [best, *[place for place in group.places[:MAX_ROWS] if place != best][: MAX_ROWS - 1]]


def _finding(group: _Group, rows: _Rows, subjects: tuple[Subject, ...]) -> Finding:
    match, rule = group.match, group.match.rule
    best = next(iter(rows))
    return Finding(
        id="",
        signature=rule.id,
        mechanism=rule.mechanism,
        level=LEVELS[int(match.levels[best])],
        score=int(match.scores[best]),
        title=rule.title,
        app=group.app,
        feature=group.feature,
        target=group.target,
        subjects=subjects,
        evidence=_evidence(group, best, rows),
        benign=_benign(group, best, rows),
        frames=_frames(rule, rows),
        notes=_notes(match, best, rows[best]),
    )


def _where(group: _Group, holds: Sequence[bool], *, contrary: bool = False) -> str:
    """For how many rows of the group a statement holds, where that is not for all; ``contrary``: for how many not."""
    held, total = sum(bool(value) for value in holds), len(group.places)
    if held == total:
        return ""
    things = "look-ups" if group.match.rule.table.name == DNS.name else "connections"
    return (
        f", not so in {total - held} of {total} {things}" if contrary else f", in {held} of {total} {things}"
    )


def _subjects(rule: Rule, rows: pl.DataFrame) -> tuple[Subject, ...]:
    if rule.table.name == DNS.name:
        wanted = ["transport", "stream", "client", "client_port", "resolver", "resolver_port", "dns"]
        return tuple(Subject(*values) for values in rows.select(wanted).iter_rows())
    if rule.table.name == FLOW.name:
        wanted = ["proto", "stream", "client", "client_port", "server", "server_port", "flow"]
        return tuple(Subject(*values) for values in rows.select(wanted).iter_rows())
    return tuple(
        Subject("tcp", stream, "", 0, "", 0, flow)
        for stream, flow in rows.select("stream", "flow").iter_rows()
    )


def _numbers(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> tuple[int, ...]:
    """Frames in these columns of the rows, ascending, each once, the first MAX_FRAMES."""
    found: set[int | None] = set()
    for row in rows:
        for name in columns:
            value = row[name]
            found.update(value if isinstance(value, list) else (value,))
    return tuple(sorted(frame for frame in found if frame is not None)[:MAX_FRAMES])


def _evidence(group: _Group, best: int, rows: _Rows) -> tuple[Evidence, ...]:
    match = group.match
    made = []
    for item in match.rule.evidence:
        held = match.held[item.id]
        if not held[best]:
            continue
        extra = {"distinct": int(match.counts[item.id][best])} if item.id in match.counts else {}
        told = [{**row, **extra} for place, row in rows.items() if held[place]]
        said = item.because.fill(*told) + _where(group, [bool(held[place]) for place in group.places])
        made.append(Evidence(item.id, item.points, said, _numbers(told, item.frames)))
    return tuple(made)


def _benign(group: _Group, best: int, rows: _Rows) -> tuple[Benign, ...]:
    """Each explanation as it is for the best row; where other rows differ, that is said."""
    match = group.match
    made = []
    for item in match.rule.benign:
        testable, stands = match.benign[item.id]
        outcomes = {place: _benign_outcome(testable[place], stands[place]) for place in group.places}
        outcome = outcomes[best]
        statement = {"not-testable": item.untested, "stands": item.because, "excluded": item.otherwise}[
            outcome
        ]
        if statement is None:
            continue
        alike = [outcomes[place] == outcome for place in group.places]
        told = [row for place, row in rows.items() if outcomes[place] == outcome]
        said = statement.fill(*told) + _where(group, alike, contrary=True)
        if outcome == "stands":
            made.append(Benign(item.id, outcome, said, item.points, _numbers(told, item.frames)))
        else:
            made.append(Benign(item.id, outcome, said))
    return tuple(made)


def _benign_outcome(testable: bool, stands: bool) -> str:  # noqa: FBT001 - a pair from two arrays
    return ("stands" if stands else "excluded") if testable else "not-testable"


def _frames(rule: Rule, rows: _Rows) -> tuple[FrameRole, ...]:
    found: dict[FrameRole, None] = {}
    for name in rule.frames:
        role = rule.table.column(name).role or name
        found.update(dict.fromkeys(FrameRole(number, role) for number in _numbers(rows.values(), (name,))))
    return tuple(sorted(found, key=lambda item: (item.frame, item.role)))


def _notes(match: Match, best: int, row: Mapping[str, object]) -> tuple[str, ...]:
    """How the points add up where that is not plain, and the lowest caps that apply."""
    caps = [cap for cap, applies in zip(match.rule.caps, match.capped, strict=True) if applies[best]]
    lowest = min((LEVELS.index(cap.level) for cap in caps), default=0)
    notes = [f"not above {cap.level}: {cap.because.fill(row)}" for cap in caps if cap.level == LEVELS[lowest]]
    notes = [*_sums(match, best), *notes]
    if match.rule.maturity == "experimental":
        notes.append("not above suspected: the signature is experimental")
    return tuple(notes)


def _sums(match: Match, best: int) -> list[str]:
    """Where the score is not the plain sum of the points listed: what it starts from, and groups that are cut."""
    rule = match.rule
    notes = []
    if rule.prior:
        notes.append(f"the score starts at {rule.prior} for the pattern itself")
    for group, limit in rule.group_caps:
        points = [item.points for item in rule.evidence if item.group == group and match.held[item.id][best]]
        if sum(points) > limit:
            signs = f"the {len(points)} signs of the kind '{group}' are not independent"
            notes.append(f"{signs}: together they count {limit} points, not {sum(points)}")
    return notes

"""The status of each feature of each app, and the sentence that gives it.

A false accusation is worse than a miss: ``blocked`` needs a finding of level ``likely`` and no success that
speaks against it; whatever is left over is ``undetermined``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from forensics.observations.table import fact_table
from forensics.signatures.model import LEVELS
from forensics.verdicts import sentences
from forensics.verdicts.case import Case, TargetCounts
from forensics.verdicts.model import Verdict
from forensics.verdicts.outcome import (
    DNS_COLUMNS,
    FAILED,
    FLOW_COLUMNS,
    NEUTRAL,
    SUCCESS,
    UNNAMED,
    app_flows,
    forged_addresses,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forensics.observations.table import FactTable, Given
    from forensics.signatures.model import Finding

_LIKELY: Final = LEVELS.index("likely")
_SUSPECTED: Final = LEVELS.index("suspected")
_TOLERATED: Final = 0.25
"""Share of connections that may fail in ordinary life, if a later one to the same name works."""


def judge(tables: Mapping[str, Given], findings: Sequence[Finding]) -> tuple[Verdict, ...]:
    """One verdict for each feature of each app that has flows, DNS look-ups or findings, by app and feature.

    ``tables`` are the ``flow`` and ``dns`` tables of the dictionary; a missing one counts as empty.
    """
    lookups = fact_table("dns", tables.get("dns")).columns(DNS_COLUMNS)
    harmed = [
        (subject.proto, subject.stream)
        for finding in findings
        if LEVELS.index(finding.level) >= _LIKELY and not _is_dns(finding) and not _is_throttling(finding)
        for subject in finding.subjects
    ]
    likely = [finding for finding in findings if LEVELS.index(finding.level) >= _LIKELY]
    flows = app_flows(
        _of_apps(fact_table("flow", tables.get("flow"))), harmed, forged_addresses(lookups, likely)
    )
    cases = _cases(flows, lookups, findings)
    verdicts = [_verdict(case, flows, lookups) for _, case in sorted(cases.items())]
    return tuple(_with_company(verdict, verdicts) for verdict in verdicts)


def _of_apps(flows: FactTable) -> pl.DataFrame:
    """What verdicts look at, of the flows whose app is known: in most captures these are not all."""
    known = pl.col("app").is_not_null()
    if not flows.columns(["app"]).select(known.any()).item():
        return fact_table(flows.table.name, None).columns(FLOW_COLUMNS)
    return pl.concat([chunk.filter(known) for chunk in flows.chunks(columns=FLOW_COLUMNS)], rechunk=True)


def _is_dns(finding: Finding) -> bool:
    return finding.mechanism.startswith("dns-")


def _is_throttling(finding: Finding) -> bool:
    return finding.mechanism.startswith("throttling-")


def _cases(
    flows: pl.DataFrame, lookups: pl.DataFrame, findings: Sequence[Finding]
) -> dict[tuple[str, str], Case]:
    cases: dict[tuple[str, str], Case] = {}

    def case(app: str, feature: str | None) -> Case:
        key = (app, feature or UNNAMED)
        return cases.setdefault(key, Case(*key))

    def with_outcome(outcome: str) -> pl.Expr:
        return pl.col("outcome") == outcome

    counted = flows.group_by("app", "feature", "target").agg(
        pl.col("server_name").is_not_null().any().alias("named"),
        *(with_outcome(outcome).sum().alias(outcome) for outcome in (SUCCESS, FAILED, NEUTRAL)),
        pl.col("first_time").filter(with_outcome(SUCCESS)).max().fill_null(0).alias("last_success"),
        pl.col("first_time").filter(with_outcome(FAILED)).max().fill_null(0).alias("last_failure"),
    )
    for row in counted.sort("app", "feature", "target").iter_rows(named=True):
        target = TargetCounts(**{key: value for key, value in row.items() if key not in {"app", "feature"}})
        case(row["app"], row["feature"]).targets[target.target] = target

    asked = (
        lookups.filter(pl.col("app").is_not_null()).group_by("app", "feature").len().sort("app", "feature")
    )
    for app, feature, number in asked.iter_rows():
        case(app, feature).lookups += number

    streams: dict[tuple[str, int], str] = {}
    named = {
        (s.proto, s.stream) for f in findings if f.app is not None and not _is_dns(f) for s in f.subjects
    }
    if named:
        wanted = flows.filter(pl.col("stream").is_in(sorted({stream for _, stream in named})))
        for proto, stream, target in wanted.select("proto", "stream", "target").iter_rows():
            streams[proto, stream] = target
    for finding in findings:
        if finding.app is not None:
            place = case(finding.app, finding.feature)
            place.findings.append(finding)
            hit = {
                streams.get((s.proto, s.stream), finding.target)
                for s in finding.subjects
                if not _is_dns(finding)
            }
            place.hit[finding.id] = sorted(hit) or [finding.target]
    return cases


def _status(case: Case) -> str:
    cutting = [finding for finding in case.at_least(_LIKELY) if not _is_throttling(finding)]
    if cutting:
        return "blocked" if _cut_off(case, cutting) else "degraded"
    if case.at_least(_LIKELY):
        return "degraded"
    if case.at_least(_SUSPECTED) or not case.count(SUCCESS):
        return "undetermined"
    if case.count(FAILED):
        return "ok" if _failures_are_ordinary(case) else "undetermined"
    return "ok"


def _cut_off(case: Case, cutting: list[Finding]) -> bool:
    """Nothing of the feature got through to what the findings name.

    A success at an address without a name may be a way round for any name. Where other names work, the
    feature is cut off only if the names that are cut are at least half of all that were tried to an end.
    """
    hit = {target for finding in cutting for target in case.hit[finding.id]}
    if any(case.targets[target].success for target in hit if target in case.targets):
        return False
    working = [target for target in case.targets.values() if target.success]
    return all(target.named for target in working) and len(working) <= len(hit)


def _failures_are_ordinary(case: Case) -> bool:
    failed, success = case.count(FAILED), case.count(SUCCESS)
    retried = all(t.last_success > t.last_failure for t in case.targets.values() if t.failed)
    return retried and failed < _TOLERATED * (failed + success)


def _verdict(case: Case, flows: pl.DataFrame, lookups: pl.DataFrame) -> Verdict:
    status = _status(case)
    # What decides comes first: the words of the summary are those of the strongest finding.
    ordered = sorted(case.findings, key=lambda f: (-LEVELS.index(f.level), -f.score, case.findings.index(f)))
    telling = [f for f in ordered if LEVELS.index(f.level) >= _SUSPECTED]
    level = max((finding.level for finding in case.findings), key=LEVELS.index, default=None)
    looked_up = len({s.row for finding in case.findings if _is_dns(finding) for s in finding.subjects})
    judged = case.count(SUCCESS) + case.count(FAILED) + looked_up
    if status in {"blocked", "degraded"} or telling:
        summary = sentences.of_findings(case, telling, flows, lookups)
    else:
        summary = sentences.of_counts(case, status)
    return Verdict(
        app=case.app,
        feature=case.feature,
        status=status,
        mechanisms=tuple(dict.fromkeys(finding.mechanism for finding in ordered)),
        level=level,
        flows=judged or case.count(NEUTRAL) + case.lookups,
        findings=tuple(finding.id for finding in case.findings),
        summary=summary,
    )


def _with_company(verdict: Verdict, verdicts: list[Verdict]) -> Verdict:
    """Name the features of the same app that work beside one that does not: people ask for the contrast."""
    if verdict.status not in {"blocked", "degraded"}:
        return verdict
    working = [other.feature for other in verdicts if other.app == verdict.app and other.status == "ok"]
    if not working:
        return verdict
    verb = "works" if len(working) == 1 else "work"
    tail = f"; {sentences.listed(working)} in the same capture {verb}."
    return replace(verdict, summary=verdict.summary.removesuffix(".") + tail)

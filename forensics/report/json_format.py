"""The report for programs: one JSON object, ``forensics-report/1``, described by ``report.schema.json``."""

from __future__ import annotations

import json
import math
from importlib import resources
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Final

from forensics import __version__
from forensics.report.owners import phone_apps
from forensics.report.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.analysis import Analysis
    from forensics.report.owners import PhoneApp
    from forensics.signatures.model import Finding
    from forensics.verdicts.model import Limit, Verdict

SCHEMA: Final = "forensics-report/1"


def report_schema() -> dict[str, Any]:
    """The JSON Schema that every report fulfils."""
    text = resources.files("forensics.report").joinpath("report.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def json_report(analysis: Analysis) -> dict[str, Any]:
    """The report as plain dicts, lists, texts, numbers and None; NaN and infinity become None."""
    notes = analysis.notes
    owners = phone_apps(analysis) if analysis.findings else {}
    report = {
        "schema": SCHEMA,
        "tool": {
            "version": __version__,
            "signatures": {"count": analysis.signature_count, "sha256": analysis.signature_sha256},
        },
        "capture": {
            "name": analysis.name,
            "sha256": notes.sha256,
            "packets": notes.packets,
            "first_time": None if analysis.first_time is None else rfc3339(analysis.first_time),
            "last_time": None if analysis.last_time is None else rfc3339(analysis.last_time),
            "quality": dict(analysis.quality),
            "file_type": notes.file_type,
            "damage": notes.damage or None,
            "warnings": list(notes.warnings),
            "files": [
                {
                    "name": file.name,
                    "sha256": file.sha256,
                    "packets": file.packets,
                    "first_frame": file.first_frame or None,
                    "file_type": file.file_type,
                    "damage": file.damage or None,
                }
                for file in notes.files
            ],
        },
        "verdicts": [json_verdict(verdict) for verdict in analysis.verdicts],
        "findings": [json_finding(finding, owners) for finding in analysis.findings],
        "limits": [_limit(limit) for limit in analysis.limits],
        "signatures": {rule: dict(counts) for rule, counts in sorted(analysis.outcomes.items())},
        "tables": {name: analysis.tables[name].height for name in sorted(analysis.tables)},
    }
    clean: dict[str, Any] = plain(report)
    return clean


def dump_json(analysis: Analysis, stream: IO[str]) -> None:
    """Write the report and a final newline; pure ASCII, so that nothing in it can steer a terminal."""
    stream.write(json_text(json_report(analysis), indent=2) + "\n")


def json_text(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON-like value
    """``value`` as JSON in pure ASCII, without control characters."""
    # DEL is ASCII, and json leaves it alone.
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent)
    return text.replace("\x7f", "\\u007f")


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON-like value
    """``value`` with tuples as lists, floats at six significant decimals, and NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def json_verdict(verdict: Verdict) -> dict[str, Any]:
    """One item of ``verdicts``."""
    return {
        "app": verdict.app,
        "feature": verdict.feature,
        "status": verdict.status,
        "mechanisms": list(verdict.mechanisms),
        "level": verdict.level,
        "flows": verdict.flows,
        "findings": list(verdict.findings),
        "summary": verdict.summary,
    }


def json_finding(
    finding: Finding, owners: Mapping[tuple[str, int], PhoneApp] = MappingProxyType({})
) -> dict[str, Any]:
    """One item of ``findings``; ``owners`` are the phone apps of connections (protocol, stream)."""
    return {
        "id": finding.id,
        "signature": finding.signature,
        "mechanism": finding.mechanism,
        "level": finding.level,
        "score": finding.score,
        "title": finding.title,
        "app": finding.app,
        "feature": finding.feature,
        "target": finding.target,
        "subjects": [
            {
                "proto": subject.proto,
                "stream": subject.stream,
                "client": subject.client,
                "client_port": subject.client_port,
                "server": subject.server,
                "server_port": subject.server_port,
                **(
                    {"phone_app": owners[subject.proto, subject.stream]._asdict()}
                    if (subject.proto, subject.stream) in owners
                    else {}
                ),
            }
            for subject in finding.subjects
        ],
        "evidence": [
            {"id": e.id, "points": e.points, "statement": e.statement, "frames": list(e.frames)}
            for e in finding.evidence
        ],
        "benign": [
            {
                "id": b.id,
                "outcome": b.outcome,
                "statement": b.statement,
                "points": b.points,
                "frames": list(b.frames),
            }
            for b in finding.benign
        ],
        "frames": [{"frame": item.frame, "role": item.role} for item in finding.frames],
        # An empty set is a syntax error in Wireshark.
        "display_filter": finding.display_filter() if finding.frame_numbers() else "",
        "injector": None,
        "notes": list(finding.notes),
    }


def _limit(limit: Limit) -> dict[str, Any]:
    return {
        "proto": limit.proto,
        "stream": limit.stream,
        "direction": limit.direction,
        "limit": limit.limit,
        "rate_bps": None
        if limit.rate_bps is None or not math.isfinite(limit.rate_bps)
        else round(limit.rate_bps),
        "burst_bytes": limit.burst_bytes,
        "level": limit.level,
    }

"""Every real capture is read, and what is read agrees with independent truth.

The truth files were made by tshark and, for interference, by those who published the captures. Where we
differ, ``known_differences.yaml`` says how and why; a difference that is not listed fails, and so does a
listed one that is no more.
"""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import yaml

from forensics.errors import CaptureError
from forensics.signatures.model import LEVELS
from tests.conftest import SHARED_CAPTURES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forensics.analysis import Analysis

KNOWN = Path(__file__).parent / "known_differences.yaml"
ACCUSING = LEVELS[LEVELS.index("likely") :]
"""Levels from which on a finding accuses somebody."""


def load_manifest() -> dict[str, dict[str, Any]]:
    path = SHARED_CAPTURES / "MANIFEST.yaml"
    if not path.is_file():
        return {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {entry["path"]: entry for entry in yaml.load(path.read_text(), loader)["files"]}  # noqa: S506 - a safe one


MANIFEST = load_manifest()


def load_known() -> dict[str, dict[str, Any]]:
    """Capture → check → difference, without the reason (which must be there)."""
    known: dict[str, dict[str, Any]] = {}
    for entry in yaml.safe_load(KNOWN.read_text()):
        difference = {key: value for key, value in entry.items() if key not in {"capture", "check", "reason"}}
        assert str(entry["reason"]).strip(), entry
        assert entry["check"] not in known.setdefault(entry["capture"], {}), f"listed twice: {entry}"
        known[entry["capture"]][entry["check"]] = difference
    return known


def differing(check: str, truth: Iterable[Any], ours: Iterable[Any]) -> dict[str, Any]:
    """The check's entry for the table of differences; empty when both sets agree."""
    expected, found = {json.dumps(item) for item in truth}, {json.dumps(item) for item in ours}
    difference = {"missing": expected - found, "extra": found - expected}
    listed = {
        key: sorted(map(json.loads, value), key=json.dumps) for key, value in difference.items() if value
    }
    return {check: listed} if listed else {}


def flows(analysis: Analysis, proto: str) -> pl.DataFrame:
    return analysis.tables["flow"].frame().filter(pl.col("proto") == proto)


def compare_counts(entry: dict[str, Any], truth: dict[str, Any], analysis: Analysis) -> dict[str, Any]:
    counts = {
        "packets": (entry["packets"], analysis.notes.packets),
        "tcp_streams": (truth["stats"]["tcp_streams"], flows(analysis, "tcp")["stream"].n_unique()),
        "udp_streams": (truth["stats"]["udp_streams"], flows(analysis, "udp")["stream"].n_unique()),
    }
    return {check: {"truth": a, "ours": b} for check, (a, b) in counts.items() if a != b}


def compare_hellos(truth: dict[str, Any], analysis: Analysis) -> dict[str, Any]:
    """The first ClientHello of each TCP stream: stream, the frame that completed it, and its name."""
    first: dict[int, list[Any]] = {}
    for hello in truth.get("tls_client_hellos", []):
        if hello["transport"] == "tcp":
            name = hello["sni"].lower() if hello["sni"] else None
            first.setdefault(hello["stream"], [hello["stream"], hello["frame"], name])
    ours = flows(analysis, "tcp").filter(pl.col("tls_client_hello"))
    return differing(
        "client_hellos", first.values(), ours.select("stream", "tls_client_hello_frame", "sni").rows()
    )


def compare_dns(truth: dict[str, Any], analysis: Analysis, transport: str) -> dict[str, Any]:
    """Streams and names of DNS at port 53, queries and responses alike."""
    names = [
        (message["stream"], message["qname"].lower())
        for message in truth.get("dns", [])
        if message["transport"] == transport
        and 53 in (message["sport"], message["dport"])
        and message["qname"]
    ]
    # Bytes that are no ASCII: the truth files replace them, our table spells them.
    table = analysis.tables["dns"].frame()
    asked = table.filter((pl.col("transport") == transport) & (pl.col("service") == "dns"))
    ours = [
        (stream, re.sub(r"\\x[89a-f][0-9a-f]", "\ufffd", name))
        for stream, name in asked.select("stream", "qname").rows()
        if name
    ]
    if len(truth.get("dns", [])) < truth.get("dns_total", 0):  # the truth file holds the first ones only
        ours = [pair for pair in ours if pair in names]
    return differing("dns_names" if transport == "udp" else "dns_names_tcp", names, ours)


def accused(analysis: Analysis, levels: tuple[str, ...]) -> dict[tuple[str, int], set[str]]:
    """Proto and stream → signatures that found something there."""
    found: dict[tuple[str, int], set[str]] = {}
    for finding in analysis.findings:
        if finding.level in levels:
            for subject in finding.subjects:
                found.setdefault((subject.proto, subject.stream), set()).add(finding.signature)
    return found


def is_innocent(entry: dict[str, Any]) -> bool:
    """Nobody interferes: recorded for other purposes, or in a lab that only delays or loses packets."""
    lab = entry.get("expected", {}).get("policing", {}).get("mechanism", "")
    return "no known interference" in entry.get("must_not_flag", "") or bool(lab and "polic" not in lab)


def compare_findings(
    entry: dict[str, Any], labels: list[dict[str, Any]], analysis: Analysis
) -> dict[str, Any]:
    """Findings on flows that nobody touched, and touched flows without any finding."""
    accusations = accused(analysis, ACCUSING)
    named = [[*key, *sorted(signatures)] for key, signatures in sorted(accusations.items())]
    if is_innocent(entry):
        return differing("false_accusations", [], named)
    if not any("label" in flow for flow in labels):
        return {}
    blocked = {
        (flow["transport"], flow["stream"]): flow["label"]
        for flow in labels
        if "blocked" in flow["label"] and "not blocked" not in flow["label"]
    }
    false = [row for row in named if (row[0], row[1]) not in blocked]
    suspected = accused(analysis, LEVELS[LEVELS.index("suspected") :])
    missed = [[*key, label] for key, label in sorted(blocked.items()) if key not in suspected]
    return differing("false_accusations", [], false) | differing("missed", missed, [])


def unpacked(entry: dict[str, Any], folder: Path, captures: Path) -> Path:
    path = captures / entry["path"]
    if path.suffix != ".xz":
        return path
    plain = folder / path.stem
    plain.write_bytes(lzma.decompress(path.read_bytes()))
    return plain


def read(path: Path) -> Analysis | str:
    """The analysis, or the sentence with which the file was refused."""
    from forensics.analysis import analyze_capture  # noqa: PLC0415 - a slow import, only when there is work

    try:
        return analyze_capture(str(path))
    except CaptureError as error:
        return str(error)


@pytest.mark.parametrize("name", MANIFEST or ["(none)"])
def test_agrees_with_the_truth(name: str, shared_captures: Path, tmp_path: Path) -> None:
    entry = MANIFEST[name]
    truth = json.loads((shared_captures / "truth" / "tshark" / f"{name}.json").read_text())
    label_file = shared_captures / "truth" / f"{name}.json"
    labels = json.loads(label_file.read_text()).get("flows", []) if label_file.is_file() else []
    analysis = read(unpacked(entry, tmp_path, shared_captures))
    differences: dict[str, Any] = {}
    if isinstance(analysis, str):
        assert entry.get("capinfos_error"), f"only what Wireshark refuses too may be refused: {analysis}"
        assert "\n" not in analysis
    else:
        differences |= compare_counts(entry, truth, analysis)
        differences |= compare_hellos(truth, analysis)
        differences |= compare_dns(truth, analysis, "udp") | compare_dns(truth, analysis, "tcp")
        differences |= compare_findings(entry, labels, analysis)
    assert differences == load_known().get(name, {})


def test_known_differences_speak_of_captures_that_exist(shared_captures: Path) -> None:
    assert [name for name in load_known() if not (shared_captures / name).is_file()] == []


def test_the_manifest_lists_every_capture(shared_captures: Path) -> None:
    suffixes = {".pcap", ".pcapng", ".gz", ".xz"}
    files = (path for path in shared_captures.rglob("*") if path.suffix in suffixes)
    on_disk = {str(path.relative_to(shared_captures)) for path in files}
    assert on_disk == set(MANIFEST)

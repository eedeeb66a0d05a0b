"""Captures made on a phone: each flow names its app, and no rule speaks of headers that the phone made up."""

from __future__ import annotations

import re

import pytest
import yaml
from click.testing import CliRunner

from forensics import analysis
from forensics.cli import main
from forensics.data import signature_root
from forensics.report.json_format import json_report
from tests.corpus.cases import CASES

PHONE = [case for case in CASES if "phone" in case.expect]
PROXIED = [case for case in PHONE if case.expect.get("proxied")]

on_phones = pytest.mark.parametrize("case", PHONE, ids=lambda case: case.name)
UNINTERPRETABLE = [case for case in PROXIED if "uninterpretable" in case.expect]

on_uninterpretable = pytest.mark.parametrize("case", UNINTERPRETABLE, ids=lambda case: case.name)


def test_both_formats_are_there_with_root_and_without():
    kinds = {(case.expect["capture"], case in PROXIED) for case in PHONE}
    assert kinds == {
        (name, proxied) for name in ("capture.pcap", "capture.pcapng") for proxied in (False, True)
    }


@on_phones
def test_flows_name_their_apps(case):
    result = analysis.analyze_capture(str(case.capture))
    flows = result.tables["flow"].frame().sort("proto", "stream")
    said = flows.select("proto", "stream", "phone_uid", "phone_app", "phone_uid_differs").rows()
    assert said == [(*row.values(), False) for row in case.expect["phone"]]
    assert result.notes.phone_apps == {row["uid"]: row["app"] for row in case.expect["phone"]}


@on_phones
def test_genuine_headers(case):
    result = analysis.analyze_capture(str(case.capture))
    proxied = case in PROXIED
    assert set(result.tables["flow"].frame()["genuine_headers"]) == {not proxied}
    assert bool(result.notes.proxied) == proxied


@on_uninterpretable
@pytest.mark.parametrize("packets", [1, 7, 10_000])
def test_header_rules_are_uninterpretable(case, packets):
    result = analysis.analyze_capture(str(case.capture), batch_packets=packets)
    assert result.findings == ()
    for rule, flows in case.expect["uninterpretable"].items():
        assert result.outcomes[rule]["uninterpretable"] == flows
        assert result.closed_gates[rule]["genuine_headers"] == flows


@on_uninterpretable
def test_the_text_report_says_why(case):
    done = CliRunner().invoke(main, ["analyze", str(case.capture)])
    said = " ".join(done.output.split())
    assert "packet headers were rebuilt by the capturing app, not taken from the wire" in said
    assert "PCAPdroid, or an app built on it, captured this without root" in said
    assert "tls.sni.reset could not judge 4 of its 4 candidates" in said


@on_phones
def test_the_json_report_names_the_apps(case):
    result = analysis.analyze_capture(str(case.capture))
    report = json_report(result)
    apps = {str(row["uid"]): row["app"] for row in case.expect["phone"]}
    assert report["capture"]["quality"]["phone_apps"] == apps
    assert bool(report["capture"]["quality"]["proxied"]) == (case in PROXIED)
    flows = {(row["proto"], row["stream"]): row for row in case.expect["phone"]}
    for finding in report["findings"]:
        for one in finding["subjects"]:
            flow = flows[one["proto"], one["stream"]]
            assert one["phone_app"] == {"uid": flow["uid"], "name": flow["app"]}


def test_rules_on_names_alone_still_speak():
    speaking = {one["signature"] for case in PROXIED for one in case.expect["findings"]}
    assert speaking == {"dns.poison.known-pool"}


HEADER_COLUMNS = re.compile(
    r"\b(\w*ttl\w*|\w*ipid\w*|rst_\w+|\w+_rst\w*|syn_\w+|\w*acked\w*|\w*retransmissions?\w*|loss_\w+|zero_windows\w*)\b"
)
# YAML 1.1 reads the key ``on`` as a truth value.
RULES = [
    yaml.safe_load(path.read_text("utf-8"))
    for path in sorted((signature_root() / "interference").rglob("*.yaml"))
]


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule[True] != "dns"], ids=lambda rule: str(rule["id"])
)
def test_rules_that_use_headers_need_genuine_ones(rule):
    conditions = [rule["when"], rule["has_data"]]
    conditions += [part.get("when", "") for part in [*rule["evidence"], *rule.get("benign", [])]]
    if any(HEADER_COLUMNS.search(text) for text in conditions):
        assert "genuine_headers" in rule["requires"]

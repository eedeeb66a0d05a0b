from __future__ import annotations

import io
import json
from dataclasses import replace

import jsonschema
import pytest

from forensics.report import dump_json, json_report
from forensics.report.json_format import report_schema
from forensics.signatures.model import LEVELS, MECHANISMS
from tests.report.made import HOSTILE, analysis, finding, reset, tables, works

FULL = tables([reset(), works(goodput_bps=float("inf"), bytes_to_client=900_000)])


def valid(report):
    jsonschema.Draft202012Validator(report_schema()).validate(report)


@pytest.mark.parametrize(
    "made",
    [
        analysis(FULL, finding()),
        analysis(FULL),
        analysis(tables([])),
        analysis(FULL, finding(app=None, feature=None, target=HOSTILE, frames=(), evidence=())),
    ],
)
def test_every_report_fulfils_the_schema(made):
    valid(json_report(made))


def test_the_outcomes_of_each_signature_are_counted():
    counts = {"matched": 1, "not-matched": 2, "no-data": 4, "uninterpretable": 5}
    report = json_report(replace(analysis(FULL), outcomes={"tls.sni.reset": counts}))
    valid(report)
    assert report["signatures"] == {"tls.sni.reset": counts}
    del report["signatures"]["tls.sni.reset"]["no-data"]
    with pytest.raises(jsonschema.ValidationError):
        valid(report)


def test_the_schema_is_a_schema_and_rejects_slips():
    jsonschema.Draft202012Validator.check_schema(report_schema())
    for section, key in (
        ("findings", "mechanism"),
        ("findings", "level"),
        ("verdicts", "status"),
        ("limits", "limit"),
    ):
        report = json_report(analysis(FULL, finding()))
        report[section][0][key] = "nonsense"
        with pytest.raises(jsonschema.ValidationError):
            valid(report)
        del report[section][0][key]
        with pytest.raises(jsonschema.ValidationError):
            valid(report)


def test_the_schema_lists_the_words_of_the_code():
    words = report_schema()["$defs"]
    assert words["mechanism"]["enum"] == list(MECHANISMS)
    assert words["level"]["enum"] == list(LEVELS)
    assert words["verdict"]["properties"]["level"]["enum"] == [*LEVELS, None]


def test_times_filter_and_rounding():
    report = json_report(analysis(FULL, finding()))
    assert report["capture"]["first_time"] == "2017-07-01T10:00:00.123456789Z"
    assert report["findings"][0]["display_filter"] == "frame.number in {14,15,17,18}"
    assert report["capture"]["quality"] == {"spread": None}
    assert report["limits"][0]["rate_bps"] is None


def test_the_text_is_pure_ascii_and_the_data_is_whole():
    stream = io.StringIO()
    dump_json(analysis(FULL, finding(target=HOSTILE + "\x7f"), name=HOSTILE), stream)
    text = stream.getvalue()
    assert text.isascii()
    assert all(char == "\n" or char.isprintable() for char in text)
    assert json.loads(text)["findings"][0]["target"] == HOSTILE + "\x7f"

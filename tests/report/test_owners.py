from __future__ import annotations

import io

import pytest
from rich.console import Console

from forensics.report.json_format import json_report
from forensics.report.owners import PhoneApp, owners_of, phone_apps
from forensics.report.text import text_report
from tests.report import made

FLOWS = [
    made.reset(stream=0, phone_uid=10_001, phone_app="Chat"),
    made.reset(stream=1),
    made.reset(stream=2, phone_uid=10_002),
    made.reset(stream=3, phone_uid=10_001, phone_app="Chat"),
]


def printed(analysis) -> str:
    out = io.StringIO()
    text_report(analysis, Console(file=out, width=200, color_system=None))
    return out.getvalue()


def test_owners_by_stream():
    apps = phone_apps(made.analysis(made.tables(FLOWS)))
    assert apps == {
        ("tcp", 0): PhoneApp(10_001, "Chat"),
        ("tcp", 2): PhoneApp(10_002, None),
        ("tcp", 3): PhoneApp(10_001, "Chat"),
    }
    finding = made.finding(streams=(2, 1, 0, 3))
    assert owners_of(finding, apps) == [PhoneApp(10_002, None), PhoneApp(10_001, "Chat")]
    assert owners_of(made.finding(streams=(1,)), apps) == []
    assert phone_apps(made.analysis({"flow": made.tables(FLOWS)["flow"].drop("phone_uid")})) == {}


def test_both_reports_name_the_owner():
    analysis = made.analysis(made.tables(FLOWS), made.finding(streams=(0, 1, 2)))
    assert "Phone app    Chat (UID 10001), UID 10002" in printed(analysis)
    (finding,) = json_report(analysis)["findings"]
    assert [one.get("phone_app") for one in finding["subjects"]] == [
        {"uid": 10_001, "name": "Chat"},
        None,
        {"uid": 10_002, "name": None},
    ]


def test_without_owners_nothing_is_said():
    analysis = made.analysis(made.tables([made.reset(stream=0)]), made.finding())
    assert "Phone app" not in printed(analysis)
    assert "phone_app" not in str(json_report(analysis)["findings"])


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nFindings", "x" * 5000])
def test_names_are_hostile(name):
    analysis = made.analysis(made.tables([made.reset(stream=0, phone_uid=7, phone_app=name)]), made.finding())
    text = printed(analysis)
    assert "\x1b" not in text
    assert "\nFindings\n" not in text.replace("\n\nFindings\n", "")
    assert len(text) < 6000

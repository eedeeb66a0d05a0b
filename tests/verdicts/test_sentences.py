from __future__ import annotations

import pytest

from forensics.verdicts import judge
from tests.report.made import finding, reset, tables, works
from tests.verdicts.test_judge import LOOKUP, only


@pytest.mark.parametrize("mechanism", ["dns-injection", "dns-tampering", "throttling-police"])
def test_a_weak_sign_is_told_in_weak_words(mechanism):
    def summary(level):
        return only([works()], finding(mechanism, level), dns=[LOOKUP]).summary

    assert "may be" in summary("suspected") or "as if" in summary("suspected")
    assert "may be" not in summary("likely")
    assert "as if" not in summary("likely")


@pytest.mark.parametrize(("number", "start"), [(1, "The only connection is"), (2, "Both c"), (3, "All 3 c")])
def test_a_sentence_begins_as_sentences_do(number, start):
    assert only([reset(start_seen=False)] * number).summary.startswith(start)


def test_other_targets_are_named_while_they_are_few():
    def summary(*others, level="strong"):
        more = [finding(target=name, level=level, streams=()) for name in others]
        return only([reset()], finding(), *more).summary

    assert summary("a.whatsapp.net").endswith("; the same was seen for a.whatsapp.net.")
    assert "for a.example, b.example, c.example and 2 others" in summary(*[f"{c}.example" for c in "abcde"])
    assert "weak signs of the same were seen for a.example and b.example" in summary(
        "a.example", "b.example", level="suspected"
    )


def test_what_works_is_named_beside_what_does_not():
    flows = [reset(), {"app": "whatsapp", "feature": "text", "bytes_to_client": 4000, "server_port": 5222}]
    media, text = judge(tables(flows), (finding(),))
    assert (media.feature, text.feature, text.status) == ("media", "text", "ok")
    assert media.summary.endswith("; text in the same capture works.")

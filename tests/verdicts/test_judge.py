from __future__ import annotations

import pytest

from forensics.verdicts import judge
from tests.report.made import finding, reset, tables, works


def only(flows, *found, dns=None):
    verdicts = judge(tables(flows, dns), found)
    assert len(verdicts) == 1
    return verdicts[0]


def test_an_app_that_was_never_seen_has_no_row():
    assert judge(tables([{"server_name": "example.org"}]), ()) == ()
    assert judge({}, ()) == ()


def test_blocked_when_every_connection_is_reset():
    verdict = only([reset(), reset(), reset()], finding(streams=(0, 1, 2)))
    assert (verdict.status, verdict.level, verdict.mechanisms) == ("blocked", "strong", ("sni-reset",))
    assert verdict.flows == 3
    assert verdict.summary.startswith(
        "3 of 3 connections to mmg.whatsapp.net were reset after the TLS server name"
    )


def test_a_success_to_the_same_name_makes_it_degraded():
    assert only([reset(), works()], finding()).status == "degraded"


def test_a_success_without_a_name_may_be_a_way_round():
    assert only([reset(), works(None, tls_client_hello=False)], finding()).status == "degraded"


def test_one_name_of_three_is_no_block_of_the_feature():
    flows = [reset(), works("a.cdn.whatsapp.net"), works("b.cdn.whatsapp.net")]
    assert only(flows, finding()).status == "degraded"


@pytest.mark.parametrize("level", ["observed", "suspected"])
def test_weak_findings_accuse_nobody(level):
    assert only([reset()], finding(level=level)).status == "undetermined"


def test_throttling_degrades():
    verdict = only([works(steady_rate_bps=140_000.0)], finding("throttling-police", "likely"))
    assert verdict.status == "degraded"
    assert "at about 140 kbit/s" in verdict.summary


def test_ok():
    verdict = only([works(), works()])
    assert (verdict.status, verdict.level, verdict.summary) == ("ok", None, "2 of 2 connections worked.")


def test_failures_without_a_finding_are_undetermined():
    assert only([reset()]).status == "undetermined"
    assert only([reset(), works()]).status == "undetermined"


def test_a_rare_failure_that_works_when_tried_again_is_ordinary():
    assert only([reset(first_time=1), *[works(first_time=n) for n in range(2, 7)]]).status == "ok"
    assert only([reset(first_time=9), *[works(first_time=n) for n in range(2, 7)]]).status == "undetermined"


LOOKUP = {"qname": "mmg.whatsapp.net", "qtype": "A", "app": "whatsapp", "feature": "media", "responses": 1}


def test_lookups_alone_are_undetermined():
    assert only([], dns=[LOOKUP]).status == "undetermined"


def test_a_poisoned_name_is_blocked_unless_a_genuine_address_works():
    found = finding("dns-injection")
    poisoned = {**LOOKUP, "pool_answers": ["8.7.198.45"]}
    assert only([], found, dns=[poisoned]).status == "blocked"
    assert only([works(server="8.7.198.45")], found, dns=[poisoned]).status == "blocked"
    assert only([works(server="157.240.1.1")], found, dns=[poisoned]).status == "degraded"


def test_the_order_of_rows_does_not_matter():
    made = tables([reset(), works("b.whatsapp.net"), works(feature="web"), works(app="twitter")])
    found = (finding(),)
    expected = judge(made, found)
    assert judge({**made, "flow": made["flow"][[2, 0, 3, 1]]}, found) == expected
    assert [(v.app, v.feature) for v in expected] == sorted((v.app, v.feature) for v in expected)

"""Look-ups that go on over TCP, and the names that they give to flows."""

from __future__ import annotations

from tests.corpus.cases import CASES, every_case
from tests.corpus.test_cases import analysed


@every_case
def test_truncated_answers_and_what_follows_over_tcp(case):
    dns = analysed(case).tables["dns"].frame()
    cut = dns.filter(dns["truncated"].fill_null(value=False))
    wanted = case.expect.get("truncated", [])
    assert cut["query_frames"].to_list() == [row["query_frames"] for row in wanted]
    assert cut["tcp_retry_frame"].to_list() == [row["retry_frames"][0] for row in wanted]
    over_tcp = dns.filter(dns["transport"] == "tcp")["query_frames"].to_list()
    assert all(row["retry_frames"] in over_tcp for row in wanted)


@every_case
def test_flows_that_only_dns_names(case):
    flows = analysed(case).tables["flow"].frame()
    for row in case.expect.get("named", []):
        (found,) = flows.filter((flows["proto"] == "tcp") & (flows["stream"] == row["stream"])).to_dicts()
        assert (found["sni"], found["dns_name"], found["dns_frame"]) == (None, row["name"], row["frame"])


def test_something_is_asked():
    assert any(case.expect.get("truncated") for case in CASES)
    assert any(case.expect.get("named") for case in CASES)

"""HTTP in the corpus and in real captures: what was staged, and what tshark reads."""

from __future__ import annotations

import collections
import subprocess

import numpy as np
import pytest

from forensics.observations.collector import Asked
from forensics.observations.http import HttpCollector
from forensics.observations.sides import Sides
from forensics.observations.streams import StreamCollector
from tests.conftest import SHARED_CAPTURES
from tests.corpus.cases import CASES
from tests.observations.following import follow_file

STAGED = [case for case in CASES if "http" in case.expect]
REAL = [
    *sorted(SHARED_CAPTURES.glob("*/csanders_*http*.pcap*")),
    *sorted(SHARED_CAPTURES.glob("interference/foxit_*.pcap*")),
    *sorted(SHARED_CAPTURES.glob("encap/zeek_*http*.pcap*")),
]
SECOND_RESPONSES = {
    "foxit_qi_local_GET_slashdot_redirect.pcap": [(6, 12, 302, 200)],
    "foxit_qi_local_SYNACK_slashdot_redirect.pcap": [(5, 19, 302, 200)],
}
"""Real injections (QUANTUM INSERT, Fox-IT): frames and status of injected and genuine response, by their bytes."""


class Both:
    """A StreamCollector and the HttpCollector it feeds, as one."""

    def __init__(self, engine):
        self.http = HttpCollector(Asked(tables=frozenset({"http"})))
        self.streams = StreamCollector(engine, self.http.openers)

    def add(self, arrived):
        self.streams.add(arrived)
        self.http.add(arrived)

    def finish(self, flows):
        self.streams.finish(flows)


def rows_of(path, packets=1000):
    both, engine = follow_file(path, Both, packets)
    flows = np.arange(engine.flows.rows)
    rows = both.http.rows("http", Sides(flows, 2 * flows, 2 * flows + 1)).to_dicts()
    keys = engine.conversations.flows
    return [{**row, "stream": int(keys["stream"][row["flow"]])} for row in rows]


@pytest.mark.parametrize("case", STAGED, ids=lambda case: case.name)
@pytest.mark.parametrize("packets", [1, 7, 1000])
def test_what_was_staged_is_told(case, packets):
    rows = rows_of(case.capture, packets)
    assert len(rows) == len(case.expect["http"])
    for row, staged in zip(rows, case.expect["http"], strict=True):
        for name in ("stream", "host", "uri", "request_frames", "status", "title"):
            assert row[name] == staged[name], name
        assert row["response_frame"] == staged["response_frames"][0]
        assert row["responses_differ"] == ("other_frames" in staged)
        if "other_frames" in staged:
            assert row["location"] == staged["location"]
            assert row["other_frame"] == staged["other_frames"][0]
            assert (row["other_status"], row["other_title"]) == (
                staged["other_status"],
                staged["other_title"],
            )
            assert row["response_ttl"] != row["other_ttl"]


@pytest.mark.parametrize(
    "path",
    [SHARED_CAPTURES / "interference" / name for name in SECOND_RESPONSES],
    ids=lambda path: path.name,
)
def test_real_injections_are_two_responses(shared_captures, path):
    if not path.is_file():
        pytest.skip(f"no {path.name} in {shared_captures}")
    found = [
        (row["response_frame"], row["other_frame"], row["status"], row["other_status"])
        for row in rows_of(path)
        if row["responses_differ"]
    ]
    assert found == SECOND_RESPONSES[path.name]


def ask(tshark, path, desegment):
    """Requests and responses that tshark reads, putting bodies together or not."""
    fields = ("tcp.stream", "http.request.method", "http.request.uri", "http.host", "http.response.code")
    command = [tshark, "-n", "-2", "-r", str(path), "-T", "fields", "-E", "aggregator=|"]
    command += [
        "-o",
        f"http.desegment_body:{desegment}",
        "-Y",
        "tcp && (http.request.method || http.response.code)",
    ]
    for name in fields:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    asked, answered = collections.Counter(), collections.Counter()
    for line in done.stdout.splitlines():
        stream, method, uri, host, code = line.split("\t")
        if method:
            asked[stream, method, uri[:1024], host] += 1
        for one in code.split("|") if code else ():  # a frame may complete two responses
            if int(one) >= 200:
                answered[stream, one] += 1
    return asked, answered


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_requests_and_responses_are_those_of_tshark(tshark, path):
    # tshark leaves out a response whose body is not whole when it puts bodies together, and now and then another one
    # when it does not: each way of asking sees what the other misses.
    (asked, one), (asked_too, other) = (ask(tshark, path, desegment) for desegment in ("TRUE", "FALSE"))
    rows = rows_of(path)
    ours = collections.Counter(
        (str(row["stream"]), row["method"], row["uri"], row["host"] or "") for row in rows if row["method"]
    )
    assert ours == asked | asked_too
    told = collections.Counter((str(row["stream"]), str(row["status"])) for row in rows if row["status"])
    assert told == one | other

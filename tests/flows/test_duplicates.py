"""A packet that a mirror port copied is one packet: it is no retransmission, no second reset, no second query."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.analysis import analyze_capture
from forensics.decode.flags import TCP
from forensics.flows.duplicates import FRAMES, REACH, WITHIN_NS, CopyFinder
from forensics.signatures.model import LEVELS
from tests.corpus.cases import CASES

MS = 1_000_000
PLAIN = {
    "time": 0, "ttl": 60, "ipid": 77, "flags": 0x18, "window": 500, "payload_len": 100, "checksum": 0x1234,
    "seq": 1000, "ack": 1,
}  # fmt: skip


def found(rows, cuts=()):
    """Which rows of (sender, changes…) are copies; fed in batches that end at ``cuts``."""
    finder, out = CopyFinder(), []
    begin = 0
    for end in [*sorted(set(cuts)), len(rows)]:
        part = [{"frame": n + 1, "fs": 0, **PLAIN, **row} for n, row in enumerate(rows)][begin:end]
        part.sort(key=lambda row: (row["fs"], row["frame"]))
        column = {name: np.array([row[name] for row in part], dtype=np.int64) for name in ("frame", *PLAIN)}
        fs = np.array([row["fs"] for row in part], dtype=np.int64)
        tcp = np.array([row.get("proto", TCP) == TCP for row in part], dtype=np.bool_)
        marks = finder.find(fs, tcp, column)
        out += sorted(column["frame"][marks].tolist())
        begin = end
    return out


@pytest.mark.parametrize(
    "second",
    [{}, {"ttl": 59}, {"ttl": 61}, {"time": WITHIN_NS}, {"flags": 0x18, "time": 1}],
)
def test_copy(second):
    assert found([{}, second]) == [2]


@pytest.mark.parametrize(
    "second",
    [
        {"ttl": 58}, {"time": WITHIN_NS + 1}, {"time": -1}, {"ipid": 78}, {"seq": 1001}, {"ack": 2}, {"window": 499},
        {"payload_len": 99}, {"flags": 0x10}, {"checksum": 0x1235}, {"fs": 1},
    ],
)  # fmt: skip
def test_no_copy(second):
    assert found([{}, second]) == []


@pytest.mark.parametrize(
    ("row", "copies"),
    [
        ({"checksum": 0}, []),  # no checksum, nothing that shows equal content
        ({"ipid": 0}, [2]),
        ({"ipid": -1}, [2]),
        ({"ipid": 0, "payload_len": 0, "flags": 0x10}, []),  # acknowledgements repeat by themselves
        ({"ipid": 9, "payload_len": 0, "flags": 0x10}, [2]),
        ({"ipid": 0, "payload_len": 0, "flags": 0x02}, [2]),
        ({"ipid": -1, "proto": 17}, []),
        ({"ipid": 9, "proto": 17}, [2]),
    ],
)
def test_what_tells_content_apart(row, copies):
    assert found([row, row]) == copies


def test_only_the_last_packets_are_looked_at():
    between = [{"seq": n, "checksum": n + 1} for n in range(REACH - 1)]
    assert found([{}, *between, {}]) == [REACH + 1]
    assert found([{}, *between, {"seq": 99}, {}]) == []
    others = [{"fs": 1, "seq": n, "checksum": n % 60000 + 1, "ipid": 5} for n in range(FRAMES - 1)]
    assert found([{}, *others, {}]) == [FRAMES + 1]
    assert found([{}, *others, {"fs": 1, "checksum": 9, "seq": 1 << 31}, {}]) == []


few = st.fixed_dictionaries(
    {
        "fs": st.integers(0, 1),
        "seq": st.integers(0, 2),
        "ttl": st.integers(59, 61),
        "time": st.integers(0, 4).map(lambda n: n * 2 * MS),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(few, max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_cuts_make_no_difference(rows, cuts):
    cuts = [cut for cut in cuts if 0 < cut < len(rows)]
    assert found(rows, cuts) == found(rows)


def doubled(source, target, delay_us):
    """A little-endian pcap in which every packet stands twice, the second ``delay_us`` later."""
    raw = source.read_bytes()
    assert raw[:4] == b"\xd4\xc3\xb2\xa1"
    records, at = [], 24
    while at < len(raw):
        second, micro, caplen, wirelen = struct.unpack_from("<IIII", raw, at)
        data = raw[at + 16 : at + 16 + caplen]
        time = second * 10**6 + micro
        records += [(time, data, wirelen), (time + delay_us, data, wirelen)]
        at += 16 + caplen
    records.sort(key=lambda record: record[0])
    out = [raw[:24]]
    for time, data, wirelen in records:
        out.append(struct.pack("<IIII", time // 10**6, time % 10**6, len(data), wirelen) + data)
    target.write_bytes(b"".join(out))
    return target


STORIES = (
    "sni-reset-triple-rst-ack", "sni-reset-same-ttl", "sni-reset-split-hello", "sni-drop-hello-unacked",
    "sni-drop-acked-muted", "dns-race-df-differs", "dns-race-early-three-answers", "dns-race-not-retransmitted-query",
    "ip-blackhole-four-syns", "benign-server-refuses", "police-140kbit-with-control", "police-not-random-loss",
    "ipv6-sni-reset",
)  # fmt: skip
COUNTS = (
    "retransmissions_to_server",
    "retransmissions_to_client",
    "syn_count",
    "tls_hello_segments",
)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in STORIES], ids=lambda case: case.name)
@pytest.mark.parametrize("delay_us", [7, 120])
def test_a_doubled_capture_shows_what_the_single_one_shows(case, delay_us, tmp_path):
    once = analyze_capture(case.capture)
    twice = analyze_capture(doubled(case.capture, tmp_path / "twice.pcap", delay_us))
    assert twice.quality["duplicated_packets"] >= once.notes.packets // 2

    def told(result):
        return {
            (one.signature, subject.proto, subject.stream): one.level
            for one in result.findings
            for subject in one.subjects
        }

    single, double = told(once), told(twice)
    assert double.keys() <= single.keys()
    for key, level in double.items():
        assert LEVELS.index(level) <= LEVELS.index(single[key]), key
    # not judged where copies may hide or feign loss
    throttled = {key for key in single if key[0].startswith("tput.")}
    assert single.keys() - throttled <= double.keys()
    flows = [result.tables["flow"].frame().sort("proto", "stream") for result in (once, twice)]
    for name in COUNTS:
        assert flows[0][name].to_list() == flows[1][name].to_list(), name
    for name in ("rst_to_client", "rst_to_server"):  # equal resets may be copies of one another
        for one, two in zip(flows[0][name].to_list(), flows[1][name].to_list(), strict=True):
            assert min(one, 1) <= two <= one, name
    queries = [result.tables["dns"].frame()["queries"].to_list() for result in (once, twice)]
    # over IPv6 nothing tells a datagram sent twice from one captured twice
    assert queries[0] == queries[1] or case.name == "ipv6-sni-reset"

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from forensics.cli import main
from forensics.crosscheck.compare import compare
from forensics.crosscheck.explained import EXPLANATIONS, explain
from forensics.crosscheck.seen import (
    NO_NAME,
    OUT_OF_ORDER,
    QUESTIONS,
    RETRANSMISSION,
    SHORT_HEADER,
    Seen,
    Subject,
)
from tests.conftest import REPO_ROOT
from tests.crosscheck.looking import checked

SEGMENT = Subject("tcp", 0, 9, "192.0.2.1 port 443")
HELLO = Subject("tcp", 0, 9)
QUIC = Subject("udp", 3, 9)
ANSWER = Subject("udp", 3, 9, name="a.example")
LOOKUP = ANSWER._replace(frame=-1)


def views(question, subject, ours, tshark, layers="eth:ethertype:ip:tcp"):
    """Two views that differ in one answer."""
    mine, theirs = Seen(), Seen(layers={9: layers})
    for seen, value in ((mine, ours), (theirs, tshark)):
        if value is not None:
            seen.values[question][subject] = value
    return mine, theirs


def why(question, subject, mine, theirs):
    """The explanation, by which alone a difference is left out of those that count."""
    [difference] = [
        row for check in compare(mine, theirs) for row in check.differences if row.subject == subject
    ]
    assert difference.explanation == explain(question, subject, mine, theirs)
    return difference.explanation


def test_copies():
    mine, theirs = views("resets", SEGMENT, None, 1)
    assert why("resets", SEGMENT, mine, theirs) == ""
    mine.copies = {9}
    assert why("resets", SEGMENT, mine, theirs) == "copies"


@pytest.mark.parametrize(("counted", "explanation"), [(3, "copies"), (4, "copies"), (5, ""), (1, "")])
def test_no_more_look_ups_than_there_are_copies(counted, explanation):
    mine, theirs = views("dns_names", LOOKUP, 2, counted)
    mine.frames["dns_names"][LOOKUP] = [1, 2]
    theirs.frames["dns_names"][LOOKUP] = [1, 2, 8, 9]
    mine.copies = {8, 9}
    assert why("dns_names", LOOKUP, mine, theirs) == explanation


def test_kinds_of_late_segments():
    for pair in ((RETRANSMISSION, OUT_OF_ORDER), (OUT_OF_ORDER, RETRANSMISSION)):
        assert why("late_segments", SEGMENT, *views("late_segments", SEGMENT, *pair)) == "late-kind"
    for pair in ((None, RETRANSMISSION), (RETRANSMISSION, None), (None, OUT_OF_ORDER)):
        assert why("late_segments", SEGMENT, *views("late_segments", SEGMENT, *pair)) == ""


def test_a_reset_that_is_sent_again():
    mine, theirs = views("late_segments", SEGMENT, None, RETRANSMISSION)
    for seen in (mine, theirs):
        seen.values["resets"][SEGMENT] = 1
    assert why("late_segments", SEGMENT, mine, theirs) == "reset-again"


def test_what_was_acknowledged_before():
    mine, theirs = views("late_segments", SEGMENT, None, RETRANSMISSION)
    theirs.remarks[9] = frozenset({"spurious_retransmission"})
    assert why("late_segments", SEGMENT, mine, theirs) == ""
    mine.first = {9}
    assert why("late_segments", SEGMENT, mine, theirs) == "acknowledged-before"


def test_quic_of_several_versions():
    mine, theirs = views("quic_names", QUIC, "a.example", None, "eth:ethertype:ip:udp:quic")
    theirs.quic_versions[3] = {"0x00000001"}
    assert why("quic_names", QUIC, mine, theirs) == ""
    theirs.quic_versions[3] = {"0x1a2a3a4a", "0x00000001"}
    assert why("quic_names", QUIC, mine, theirs) == "quic-versions"


@pytest.mark.parametrize(
    ("layers", "explanation"),
    [("udp:dns", "port-of-another"), ("udp:data", ""), ("udp", ""), ("udp:quic", ""), ("udp:quic:tls", "")],
)
def test_the_port_of_another(layers, explanation):
    assert why("quic_names", QUIC, *views("quic_names", QUIC, NO_NAME, None, f"ip:{layers}")) == explanation


@pytest.mark.parametrize(
    ("layers", "explanation"),
    [("tcp:openvpn:tls", "carried"), ("tcp:socks:tls", "carried"), ("tcp:tls", ""), ("tcp:tls:tls", "")],
)
def test_carried_by_another(layers, explanation):
    assert why("server_names", HELLO, *views("server_names", HELLO, None, "a", f"ip:{layers}")) == explanation


@pytest.mark.parametrize(("ours", "explanation"), [("a\x00b", "zero-byte"), ("ab\x00", ""), ("b", "")])
def test_zero_bytes(ours, explanation):
    assert why("server_names", HELLO, *views("server_names", HELLO, ours, "a")) == explanation


def test_short_headers():
    stream = Subject("tcp", 4)
    mine, theirs = views("tcp_streams", stream, None, 2)
    theirs.frames["tcp_streams"][stream] = [9, 10]
    theirs.remarks[9] = frozenset({SHORT_HEADER})
    assert why("tcp_streams", stream, mine, theirs) == ""
    theirs.remarks[10] = frozenset({SHORT_HEADER})
    assert why("tcp_streams", stream, mine, theirs) == "short-header"


def test_damaged_dns():
    mine, theirs = views("dns_answers", ANSWER, None, "192.0.2.1")
    assert why("dns_answers", ANSWER, mine, theirs) == ""
    theirs.damaged = {9}
    assert why("dns_answers", ANSWER, mine, theirs) == "damaged-dns"


def test_after_a_gap():
    mine, theirs = views("http_status", HELLO, "200", None)
    assert why("http_status", HELLO, mine, theirs) == ""
    theirs.gaps = {0: [10]}
    assert why("http_status", HELLO, mine, theirs) == "unfinished-body"
    theirs.gaps = {0: [8, 10], 1: [1]}
    assert why("http_status", HELLO, mine, theirs) == "after-a-gap"


def test_unfinished_bodies():
    mine, theirs = views("http_status", HELLO, "200", None)
    mine.unfinished = {HELLO._replace(frame=8)}
    assert why("http_status", HELLO, mine, theirs) == ""
    mine.unfinished = {HELLO}
    assert why("http_status", HELLO, mine, theirs) == "unfinished-body"


def test_responses_beyond_those_that_are_named():
    mine, theirs = views("dns_answers", ANSWER, None, "192.0.2.1")
    mine.partial = {LOOKUP}
    assert why("dns_answers", ANSWER, mine, theirs) == "many-responses"


def test_shifted_stream_numbers():
    """The first stream is equal, then SOCKS announces a conversation that nobody holds."""
    mine, theirs = views("tcp_streams", Subject("tcp", 0), 20, 20)
    for seen, number in ((mine, 1), (theirs, 2)):
        seen.values["tcp_streams"][Subject("tcp", number)] = 5
        seen.frames["tcp_streams"] = {Subject("tcp", 0): [1], Subject("tcp", number): [12]}
    shifted = Subject("tcp", 2)
    assert why("tcp_streams", shifted, mine, theirs) == ""
    theirs.layers = {11: "eth:ethertype:ip:tcp:socks", 12: "eth:ethertype:ip:tcp"}
    assert why("tcp_streams", shifted, mine, theirs) == "stream-numbers"
    theirs.layers = {13: "eth:ethertype:ip:tcp:socks"}
    assert why("tcp_streams", shifted, mine, theirs) == ""


def test_numbers_are_not_shifted_by_a_difference_elsewhere():
    mine, theirs = views("tcp_streams", Subject("tcp", 0), 20, 21)
    theirs.layers = {1: "eth:ethertype:ip:tcp:socks"}
    for seen in (mine, theirs):
        seen.frames["tcp_streams"] = {Subject("tcp", 0): [1]}
    assert why("tcp_streams", Subject("tcp", 0), mine, theirs) == ""


FOUND = {
    "hostile-dns-loop": {"dns_answers": {"damaged-dns"}},
    "hostile-lengths": {"tcp_streams": {"short-header"}},
    "hostile-sni-escapes": {"server_names": {"zero-byte"}},
    "http-injected-redirect": {"late_segments": {"late-kind"}},
    "quality-mirror-port": {
        "dns_names": {"copies"},
        "resets": {"copies"},
        "late_segments": {"copies"},
    },
}


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("name", FOUND)
def test_what_real_packets_show(name):
    found = {
        question: {difference.explanation for difference in check.differences}
        for question, check in checked(name).items()
        if check.differences
    }
    assert found == FOUND[name]


def test_each_is_written_down():
    ids = [explanation.id for explanation in EXPLANATIONS]
    assert len(set(ids)) == len(ids)
    for explanation in EXPLANATIONS:
        assert explanation.questions
        assert explanation.questions <= QUESTIONS.keys()
        assert explanation.why.endswith(".")


def test_the_page_has_the_list():
    page = (REPO_ROOT / "docs" / "crosscheck.md").read_text()
    shown = re.search(
        r"^<!-- differences: begin -->\n(.*?)^<!-- differences: end -->$", page, re.MULTILINE | re.DOTALL
    )
    assert shown
    printed = CliRunner().invoke(main, ["docs", "differences"]).stdout
    assert shown[1] == printed, "put what 'forensics docs differences' prints into docs/crosscheck.md"

from __future__ import annotations

from statistics import median

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.decode.addresses import AddressBook
from forensics.observations.dictionary import DNS
from forensics.observations.dns_summary import TRANSACTION, add_cross_row_columns, transactions

RESOLVER, OTHER, CLIENT = 0x08080808, 0xC0A80101, 0x0A000002


def summary(rows, book=None):
    """Each row is a dictionary; what it leaves out is a look-up that one response answered."""
    usual = {"transport": "udp", "service": "dns", "client": CLIENT,
             "resolver": RESOLVER, "qname": "example.com", "queries": 1, "responses": 1,
             "first_delay_ms": 20.0, "answers": []}  # fmt: skip
    full = [{**usual, **row} for row in rows]
    empty = {name: [] if isinstance(dtype, pl.List) else None for name, dtype in TRANSACTION.items()}
    single = transactions([tuple({**empty, **row}.values()) for row in full])
    frame = add_cross_row_columns(single, book or AddressBook())
    assert frame.schema == DNS.schema()
    return frame


def test_no_transactions_give_an_empty_table():
    assert summary([]).height == 0


def test_rows_are_numbered_addresses_become_text_and_the_rest_is_filled():
    frame = summary([{}, {"resolver": OTHER}])
    assert frame["dns"].to_list() == [0, 1]
    assert frame["client"].to_list() == ["10.0.0.2", "10.0.0.2"]
    assert frame["resolver"].to_list() == ["8.8.8.8", "192.168.1.1"]
    assert frame["resolver_private"].to_list() == [False, True]
    assert frame["pool"].to_list() == [None, None]
    assert frame["pool_answers"].to_list() == [[], []]


ROWS = st.fixed_dictionaries(
    {
        "resolver": st.sampled_from([RESOLVER, OTHER]),
        "queries": st.sampled_from([1, 1, 1, 2]),
        "responses": st.sampled_from([0, 1, 1, 1, 2]),
        "first_delay_ms": st.none() | st.sampled_from([1.0, 2.0, 4.0, 8.0, 0.0]),
    }
)


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=12))
def test_the_usual_delay_is_the_median_of_the_resolvers_other_plain_look_ups(rows):
    frame = summary(rows)
    for number, row in enumerate(rows):
        others = [
            other["first_delay_ms"]
            for place, other in enumerate(rows)
            if place != number
            and other["resolver"] == row["resolver"]
            and (other["queries"], other["responses"]) == (1, 1)
            and other["first_delay_ms"] is not None
        ]
        usual = median(others) if len(others) >= 3 else None
        delay = row["first_delay_ms"]
        assert frame["resolver_rtt_ms"][number] == usual
        assert frame["early_ratio"][number] == (delay / usual if usual and delay is not None else None)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["1.1.1.1", "10.0.0.1", "::1"]), max_size=3), min_size=1, max_size=8)
)
def test_lists_stay_with_their_rows(answers):
    frame = summary([{"answers": given} for given in answers])
    assert frame["answers"].to_list() == answers
    bogons = [[address for address in given if address != "1.1.1.1"] for given in answers]
    assert frame["bogon_answers"].to_list() == bogons
    kinds = {"10.0.0.1": "private", "::1": "loopback"}
    assert frame["bogon_kind"].to_list() == [kinds[found[0]] if found else None for found in bogons]


def test_a_resolver_is_judged_by_its_public_names():
    frame = summary([
        {"qname": "a.com", "answers": ["10.0.0.1"]},
        {"qname": "a.com", "answers": ["1.1.1.1"]},  # one false answer is enough for the name
        {"qname": "b.com", "answers": ["1.1.1.1"]},
        {"qname": "c.com", "answers": []},
        {"qname": "printer.lan", "answers": ["10.0.0.9"]},
        {"qname": "d.com", "answers": ["10.0.0.1"], "resolver": OTHER},
    ])  # fmt: skip
    assert frame["resolver_bogon_names"].to_list() == [1, 1, 1, 1, 1, 1]
    assert frame["resolver_true_names"].to_list() == [1, 1, 1, 1, 1, 0]


def test_names_of_one_domain_share_addresses_rightly():
    frame = summary([
        {"qname": "www.a.com", "answers": ["1.1.1.1"]},
        {"qname": "m.a.com", "answers": ["1.1.1.1", "2.2.2.2"]},
        {"qname": "b.org", "answers": ["2.2.2.2"]},
        {"qname": "c.net", "answers": []},
    ])  # fmt: skip
    assert frame["answer_names"].to_list() == [1, 2, 2, None]
    assert frame["answer_names"].dtype == pl.Int64


SECOND = 1_000_000_000


def asked(transport, at, **more):
    return {"transport": transport, "query_seen": True, "qtype": "TXT", "query_time": at * SECOND,
            "query_frames": [at + 1], **more}  # fmt: skip


def test_a_truncated_answer_and_the_same_query_over_tcp_belong_together():
    frame = summary([
        asked("udp", 0, truncated=True),
        asked("tcp", 1, truncated=False),
        asked("udp", 10, truncated=True),
        asked("udp", 20, truncated=False),
        asked("tcp", 40, truncated=None),
        asked("udp", 50, truncated=True),
        asked("tcp", 81),
        asked("udp", 90, truncated=True, qname="other.org"),
        asked("tcp", 91, resolver=OTHER, qname="other.org"),
        asked("tcp", 92, qtype="A", qname="other.org"),
        asked("tcp", 93, qname="other.org", query_seen=False, query_frames=[]),
        asked("udp", 94, truncated=None),
    ])  # fmt: skip
    assert frame["tcp_retry"].to_list() == [True, None, True, None, None, False, None, False] + [None] * 4
    assert frame["tcp_retry_frame"].to_list() == [2, None, 41, None, None, None, None, None] + [None] * 4


def test_headers_inside_the_vpn_of_pcapdroid_are_made_up():
    inside = 0x0AD7AD01  # 10.215.173.1
    frame = summary([{}, {"client": inside}, {"resolver": inside}])
    assert frame["genuine_headers"].to_list() == [True, False, False]


def test_tcp_and_udp_have_usual_delays_of_their_own():
    rows = [{"first_delay_ms": delay} for delay in (10.0, 20.0, 30.0, 40.0)]
    rows += [{"transport": "tcp", "first_delay_ms": 90.0}] * 2
    assert summary(rows)["resolver_rtt_ms"].to_list() == [30.0, 30.0, 20.0, 20.0, None, None]


def test_what_neighbours_answer_says_nothing_of_public_names():
    found = summary([
        {"qname": "a.com", "answers": ["1.1.1.1"]},
        {"qname": "b.com", "answers": ["1.1.1.1"], "service": "llmnr"},
        {"qname": "c.com", "answers": ["10.0.0.1"], "service": "mdns"},
    ])  # fmt: skip
    assert found["public_name"].to_list() == [True, False, False]
    assert found["answer_names"].to_list() == [1, None, None]
    assert found["resolver_bogon_names"].to_list() == [0, 0, 0]

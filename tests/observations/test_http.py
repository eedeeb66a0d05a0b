"""The http table and the http columns of the flow table."""

from __future__ import annotations

import gzip
import hashlib

import numpy as np
import pytest

from forensics.observations.collector import Asked
from forensics.observations.dictionary import FLOW, HTTP
from forensics.observations.http import HttpCollector
from forensics.observations.sides import Sides
from forensics.observations.streams import StreamCollector
from tests.flows.made import ACK, FIN, PSH, Talk
from tests.observations.following import feed
from tests.observations.test_http_reader import FORGED, GENUINE, PAGE, get, talk

NOBODY = np.array([0])


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
        self.http.finish(flows)


def test_without_the_table_the_flow_columns_are_the_same():
    class Bare(Both):
        def __init__(self, engine):
            self.http = HttpCollector(Asked())
            self.streams = StreamCollector(engine, self.http.openers)

    packets = talk(("c", get("/1")), ("s", GENUINE), ("c", get("/2")))
    sides = Sides(NOBODY, 2 * NOBODY, 2 * NOBODY + 1)
    bare = feed(packets, (), Bare).http
    assert {name: values.to_list()[0] for name, values in bare.flow_columns(sides).items()} == told(packets)[
        1
    ]
    assert bare.rows("http", sides).height == 0


def told(packets, cuts=()):
    """(rows of the http table, row of the flow table)."""
    http = feed(packets, cuts, Both).http
    sides = Sides(NOBODY, 2 * NOBODY, 2 * NOBODY + 1)
    rows = http.rows("http", sides).to_dicts()
    columns = http.flow_columns(sides)
    return rows, {name: values.to_list()[0] for name, values in columns.items()}


def test_a_plain_exchange():
    (row,), flow = told(
        talk(("c", get("/a", "Www.Example.ORG:8080")), ("s", GENUINE, {"ttl": 51, "ipid": 99}))
    )
    assert (row["method"], row["host"], row["uri"]) == ("GET", "Www.Example.ORG:8080", "/a")
    assert (row["flow"], row["first_frame"], row["request_frame"], row["request_frames"]) == (0, 4, 4, [4])
    assert (row["status"], row["reason"], row["title"]) == (200, "OK", "A page")
    assert (row["response_frame"], row["response_frames"], row["response_delay_ms"]) == (5, [5], 10.0)
    assert (row["response_ttl"], row["response_ipid"], row["response_window"], row["response_flags"]) == (
        51,
        99,
        512,
        24,
    )
    assert (row["content_length"], row["body_bytes"], row["response_complete"]) == (
        len(PAGE),
        len(PAGE),
        True,
    )
    assert row["body_sha256"] == hashlib.sha256(PAGE).hexdigest()
    assert row["body_start"] == PAGE.decode()
    assert (row["response_count"], row["responses_differ"], row["other_frame"]) == (1, False, None)
    assert (flow["http_host"], flow["http_status"], flow["http_requests"], flow["http_responses"]) == (
        "www.example.org",
        200,
        1,
        1,
    )
    assert flow["http_title"] == "A page"


def test_two_responses_to_one_request():
    steps = (
        ("c", get()),
        ("s", FORGED, {"ttl": 44, "ipid": 1, "window": 1, "flags": ACK | PSH | FIN}),
        ("s", GENUINE, {"at": 0}),
    )
    (row,), flow = told(talk(*steps))
    assert (row["responses_differ"], row["response_count"], row["differing_frames"]) == (True, 2, [6])
    assert (row["status"], row["location"], row["response_ttl"], row["response_window"]) == (
        302,
        "http://block.test/",
        44,
        1,
    )
    assert row["response_flags"] == ACK | PSH | FIN
    assert (row["other_frame"], row["other_status"], row["other_title"], row["other_ttl"]) == (
        6,
        200,
        "A page",
        60,
    )
    assert row["other_delay_ms"] == 20.0
    assert (flow["http_responses_differ"], flow["http_other_status"]) == (True, 200)


def test_the_flow_tells_of_the_exchange_that_matters():
    first, last = ("c", get("/1", "a.test")), ("c", get("/2", "b.test"))
    assert told(talk(first, ("s", GENUINE), last))[1]["http_host"] == "b.test"
    assert told(talk(first, ("s", GENUINE), last, ("s", GENUINE)))[1]["http_host"] == "a.test"


def test_bodies_that_stop_short():
    packets = Talk().shake()
    packets.c(ACK, 1, 1, data=get())
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"
    for n in range(20):
        packets.s(ACK, 1 + 1000 * n, 1, data=(body + b"x" * 1000)[:1000] if n == 0 else b"x" * 1000)
    (row,), _ = told(packets.packets)
    assert (row["body_bytes"], row["response_complete"], row["content_length"]) == (
        20000 - len(body),
        False,
        900000,
    )
    (again,), _ = told(packets.packets, range(0, 24, 5))
    assert again == row


@pytest.mark.parametrize("close", [False, True])
def test_a_body_until_the_connection_closes(close):
    packets = Talk().shake()
    packets.c(ACK, 1, 1, data=get())
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    packets.s(ACK, 1, 1, data=head + b"y" * 5000)
    packets.s(ACK | FIN if close else ACK, 1 + len(head) + 5000, 1, data=b"z" * 3000)
    (row,), _ = told(packets.packets)
    assert (row["body_bytes"], row["response_complete"]) == (8000, close)


def test_a_packed_page():
    body = gzip.compress(b"<title>Packed</title>" + b"a" * 5000)
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\nServer: x y\r\n\r\n"
    (row,), _ = told(talk(("c", get()), ("s", answer + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")))
    assert (row["title"], row["chunked"], row["body_bytes"], row["http_server"]) == (
        "Packed",
        True,
        len(body),
        "x\\x20y",
    )
    assert row["body_start"].startswith("<title>Packed</title>aaa")
    assert row["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_every_column_is_in_the_dictionary_and_filled_in_its_type():
    http = feed(talk(("c", get()), ("s", GENUINE)), (), Both).http
    sides = Sides(np.array([0, 7]), np.array([0, 14]), np.array([1, 15]))
    columns = http.flow_columns(sides)
    for name, values in columns.items():
        assert values.dtype == FLOW.column(name).dtype
        assert len(values) == 2
        assert values[1] is None
    rows = http.rows("http", sides)
    for name in rows.columns:
        assert rows[name].dtype == HTTP.column(name).dtype
    assert {c.name for c in HTTP.columns} - set(rows.columns) == {
        "proto", "stream", "client", "client_port", "server", "server_port",
    }  # fmt: skip


def test_nothing_is_kept_of_what_is_cleared_and_nothing_said_of_other_flows():
    http = feed(talk(("c", get()), ("s", GENUINE)), (), Both).http
    sides = Sides(NOBODY, 2 * NOBODY, 2 * NOBODY + 1)
    http.clear(NOBODY)
    assert http.flow_columns(sides) == {}
    assert http.rows("http", sides).height == 0
    with pytest.raises(KeyError):
        http.rows("tls", sides)
    assert told(talk(("c", b"SSH-2.0\r\n")))[1] == {}

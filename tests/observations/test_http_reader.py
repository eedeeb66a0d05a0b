"""Which response answers which request, and what else claimed to, however the connection reaches the capture."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.observations.collector import Asked
from forensics.observations.http import HttpCollector
from forensics.observations.streams import StreamCollector
from tests.flows.made import ACK, FIN, PSH, SERVER, Talk
from tests.observations.following import feed

FORGED = b"HTTP/1.1 302 Found\r\nLocation: http://block.test/\r\nContent-Length: 0\r\n\r\n"
PAGE = b"<html><title>A page</title>" + b"x" * 300
GENUINE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE


def get(path="/", host="a.test", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def exchanges(packets, cuts=()):
    """(request target, [status of each response], [frame of each], differing frames, unsolicited) of each exchange."""
    done = []

    def make(engine):
        collector = HttpCollector(Asked())
        opener = collector.openers[0]
        inner = opener.make

        def keep(opening):
            done.append(inner(opening))
            return done[-1]

        return StreamCollector(engine, [opener._replace(make=keep)])

    feed(packets, cuts, make)
    return [
        (
            e.request.head.target if e.request else None,
            [a.message.head.status for a in e.answers],
            [a.message.frames[0] for a in e.answers],
            e.differing,
            e.unsolicited,
        )
        for reader in done
        for e in reader.exchanges
    ]


def every_cut(packets):
    found = exchanges(packets)
    assert exchanges(packets, range(len(packets))) == found
    return found


def talk(*steps, shake=True):
    """Steps: c or s, bytes, and options; each side goes on where it was, unless ``at`` says a place."""
    told = Talk()
    if shake:
        told.shake()
    at = {"c": 0, "s": 0}
    for who, payload, *more in steps:
        options = dict(more[0]) if more else {}
        place = options.pop("at", at[who])
        getattr(told, who)(options.pop("flags", ACK | PSH), 1 + place, 1, data=payload, **options)
        at[who] = max(at[who], place + len(payload))
    return told.packets


def test_one_after_another():
    steps = ("c", get("/1")), ("s", GENUINE), ("c", get("/2")), ("s", FORGED)
    assert every_cut(talk(*steps)) == [("/1", [200], [5], [], False), ("/2", [302], [7], [], False)]


def test_pipelined():
    steps = (
        ("c", get("/1") + get("/2", method="HEAD")),
        ("s", FORGED + b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        ("c", get("/3")),
        ("s", GENUINE),
    )
    assert [found[:3] for found in every_cut(talk(*steps))] == [
        ("/1", [302], [5]),
        ("/2", [200], [5]),
        ("/3", [200], [7]),
    ]


def test_no_answer():
    assert every_cut(talk(("c", get()))) == [("/", [], [], [], False)]


def test_interim_responses_are_no_answers():
    steps = ("c", get()), ("s", b"HTTP/1.1 100 Continue\r\n\r\n"), ("s", GENUINE)
    assert every_cut(talk(*steps)) == [("/", [200], [6], [], False)]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (get("a.test:443", method="CONNECT"), b"HTTP/1.1 200 Connection established\r\n\r\n"),
        (get(), b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
    ],
)
def test_what_follows_a_switch_is_not_read(asked, answer):
    steps = ("c", asked), ("s", answer), ("c", get("/inside")), ("s", GENUINE)
    assert [found[1] for found in every_cut(talk(*steps))] == [[int(answer[9:12])]]


def test_an_injected_response_before_the_genuine_one():
    steps = (
        ("c", get()),
        ("s", FORGED, {"flags": ACK | PSH | FIN}),
        ("s", GENUINE, {"at": 0}),
        ("c", get("/2")),
        ("s", FORGED),
    )
    assert every_cut(talk(*steps)) == [("/", [302, 200], [5, 6], [6], False), ("/2", [302], [8], [], False)]


def test_an_injected_response_after_the_genuine_one():
    steps = ("c", get()), ("s", GENUINE), ("s", FORGED, {"at": 0}), ("c", get("/2")), ("s", FORGED)
    assert every_cut(talk(*steps)) == [("/", [200, 302], [5, 6], [6], False), ("/2", [302], [8], [], False)]


def test_an_injected_page_without_a_length():
    page = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<title>No</title>"
    steps = (
        ("c", get()),
        ("s", page),
        ("s", GENUINE[:200], {"at": 0}),
        ("s", GENUINE[200:]),
        ("c", get("/2")),
        ("s", FORGED),
    )
    assert every_cut(talk(*steps)) == [("/", [200, 200], [5, 6], [6], False), ("/2", [302], [9], [], False)]


def test_the_same_other_response_again_counts_once():
    steps = ("c", get()), ("s", FORGED), ("s", GENUINE, {"at": 0}), ("s", GENUINE, {"at": 0})
    assert every_cut(talk(*steps)) == [("/", [302, 200], [5, 6], [6, 7], False)]


def test_repetitions_are_no_second_response():
    steps = (
        ("c", get()),
        ("s", GENUINE),
        ("s", GENUINE, {"at": 0, "ttl": 9}),
        ("s", GENUINE[50:90], {"at": 50}),
    )
    assert every_cut(talk(*steps)) == [("/", [200], [5], [], False)]


def test_other_bytes_within_a_body_are_no_second_response():
    steps = ("c", get()), ("s", GENUINE), ("s", b"HTTP/1.1 302 X\r\n\r\n", {"at": 200})
    assert every_cut(talk(*steps)) == [("/", [200], [5], [6], False)]


def test_a_response_nobody_asked_for():
    found = every_cut(talk(("s", FORGED), ("c", get()), ("s", GENUINE)))
    assert found == [(None, [302], [4], [], True), ("/", [200], [6], [], False)]


def test_one_direction_alone():
    packets = [
        p for p in talk(("c", get()), ("s", GENUINE), ("c", get("/2")), ("s", FORGED)) if p.src == SERVER
    ]
    assert [found[1] for found in every_cut(packets)] == [[200], [302]]
    only_client = [p for p in talk(("c", get()), ("s", GENUINE), ("c", get("/2"))) if p.src != SERVER]
    assert [found[:2] for found in every_cut(only_client)] == [("/", []), ("/2", [])]


def test_a_request_that_waits_behind_a_hole_still_gets_its_answer():
    first, second = get("/1"), get("/2")
    steps = (
        ("c", first),
        ("s", GENUINE),
        ("c", second[5:], {"at": len(first) + 5}),
        ("s", FORGED),
        ("c", second[:5], {"at": len(first)}),
    )
    assert [found[:2] for found in every_cut(talk(*steps))] == [("/1", [200]), ("/2", [302])]


def test_a_lost_response_does_not_shift_the_others():
    missing = len(GENUINE)
    steps = ("c", get("/1")), ("c", get("/2")), ("s", FORGED, {"at": missing})
    assert [found[:2] for found in every_cut(talk(*steps))] == [("/1", []), ("/2", [302])]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_breaks_a_reader(data):
    streams = {
        "c": get() + get("/2") + b"\x00junk",
        "s": FORGED + GENUINE + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    }
    steps = []
    for _ in range(data.draw(st.integers(1, 14))):
        who = data.draw(st.sampled_from("cs"))
        place = data.draw(st.integers(0, len(streams[who]) - 1))
        piece = bytearray(streams[who][place : place + data.draw(st.integers(1, 300))])
        if data.draw(st.booleans()):
            piece[data.draw(st.integers(0, len(piece) - 1))] ^= 1
        steps.append((who, bytes(piece), {"at": place, "size": data.draw(st.sampled_from([0, 0, 400]))}))
    every_cut(talk(*steps, shake=data.draw(st.booleans())))

"""Conversations of one call."""

from __future__ import annotations

import polars as pl

from forensics.observations.dictionary import CALL
from forensics.observations.media_sessions import with_sessions

PHONE, RELAY, PEER = ("192.0.2.1", 40000), ("198.51.100.7", 3478), ("203.0.113.5", 50000)
OTHER = ("198.51.100.8", 3478)


def sessions(*rows):
    """(client, server, first frame, last frame) → sessions and their flows."""
    made = [
        {
            "flow": flow,
            "proto": "udp",
            "client": client[0],
            "client_port": client[1],
            "server": server[0],
            "server_port": server[1],
            "first_frame": first,
            "last_frame": last,
        }
        for flow, (client, server, first, last) in enumerate(rows)
    ]
    table = pl.DataFrame(made, schema=CALL.schema(), orient="row")
    return with_sessions(table).select("session", "session_flows").rows()


def test_candidates_of_one_socket():
    said = sessions((PHONE, RELAY, 1, 50), (PHONE, OTHER, 2, 10), (PEER, PHONE, 30, 90))
    assert said == [(0, [0, 1, 2])] * 3


def test_two_clients_of_one_relay():
    said = sessions(
        (PHONE, RELAY, 1, 50), (("192.0.2.2", 40000), RELAY, 2, 60), (("192.0.2.1", 40001), RELAY, 3, 4)
    )
    assert said == [(0, [0]), (1, [1]), (2, [2])]


def test_a_later_call_from_the_same_socket():
    assert sessions((PHONE, RELAY, 100, 150), (PHONE, RELAY, 1, 50)) == [(1, [0]), (0, [1])]


def test_no_calls():
    assert sessions() == []

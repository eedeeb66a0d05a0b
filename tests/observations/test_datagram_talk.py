"""Handshakes over UDP: answered, tried again, and by the right end."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.observations.datagram_talk import MOST_FRAMES, MOST_MESSAGES
from tests.flows.made import CLIENT, SERVER, Pkt, flow
from tests.protocols.test_ike import ANSWER as IKE_ANSWER
from tests.protocols.test_ike import INIT
from tests.protocols.test_l2tp import control
from tests.protocols.test_openvpn import ECHO, MINE, PLAIN, THEIRS
from tests.protocols.test_wireguard import COOKIE, DATA, INITIATION, RESPONSE

STRANGER = b"\x02\x00\x00\x00" + (9).to_bytes(4, "little") + (8).to_bytes(4, "little") + b"\xaa" * 80
"""A response to another initiation."""


def to_server(data: bytes, ms: float, port: int = 51820) -> Pkt:
    return Pkt(CLIENT, (SERVER[0], port), data=data, ms=ms, proto=17)


def to_client(data: bytes, ms: float, port: int = 51820) -> Pkt:
    return Pkt((SERVER[0], port), CLIENT, data=data, ms=ms, proto=17)


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        row[f"handshake_{name}"] for name in ("protocol", "tries", "answered", "answer_frame", "open_tries")
    )


def test_answered() -> None:
    row = flow([to_server(INITIATION, 0), to_client(RESPONSE, 30), to_server(DATA, 31), to_client(DATA, 60)])
    assert told(row) == ("wireguard", 1, True, 2, 0)
    assert (row["protocol"], row["protocol_source"]) == ("wireguard", "handshake")
    assert row["handshake_answer_ms"] == 30
    assert row["handshake_detail"] == "initiation; response"


def test_never_answered() -> None:
    row = flow([to_server(INITIATION, 5000 * n) for n in range(20)])
    assert told(row) == ("wireguard", 20, False, None, 20)
    assert row["handshake_frames"] == list(range(1, MOST_FRAMES + 1))
    assert row["handshake_open_frames"] == row["handshake_frames"]


def test_something_else_came_back() -> None:
    row = flow([to_server(INITIATION, 0), to_client(STRANGER, 30), to_client(b"what?", 31)])
    assert told(row) == ("wireguard", 1, None, None, 1)


def test_a_cookie_is_an_answer() -> None:
    row = flow([to_server(INITIATION, 0), to_client(COOKIE, 30)])
    assert row["handshake_detail"] == "initiation; cookie"


def test_nobody_answers_himself() -> None:
    row = flow([to_server(INITIATION, 0), to_server(RESPONSE, 30)])
    assert told(row) == ("wireguard", 1, False, None, 1)


def test_a_session_that_is_not_renewed() -> None:
    packets = [to_server(INITIATION, 0), to_client(RESPONSE, 30), to_client(DATA, 40)]
    packets += [to_server(INITIATION, 120_000 + 5000 * n) for n in range(4)]
    row = flow(packets)
    assert told(row) == ("wireguard", 1, True, 2, 4)
    assert row["handshake_open_frames"] == [4, 5, 6, 7]


def test_data_alone_is_no_handshake() -> None:
    row = flow([to_server(DATA, 0), to_client(DATA, 30)])
    assert told(row) == (None,) * 5
    assert (row["protocol"], row["protocol_source"]) == ("wireguard", "first_bytes")


@pytest.mark.parametrize(
    ("port", "request_", "answer", "word", "detail"),
    [
        (
            1194,
            PLAIN,
            b"\x40" + THEIRS + ECHO,
            "openvpn",
            "P_CONTROL_HARD_RESET_CLIENT_V2 plain; P_CONTROL_HARD_RESET_SERVER_V2 plain",
        ),
        (
            443,
            PLAIN,
            b"\x40" + THEIRS + ECHO,
            "openvpn",
            "P_CONTROL_HARD_RESET_CLIENT_V2 plain; P_CONTROL_HARD_RESET_SERVER_V2 plain",
        ),
        (500, INIT, IKE_ANSWER, "ike", "IKEv2 IKE_SA_INIT COOKIE; IKEv2 IKE_SA_INIT NO_PROPOSAL_CHOSEN"),
        (
            4500,
            bytes(4) + INIT,
            bytes(4) + IKE_ANSWER,
            "ike",
            "IKEv2 IKE_SA_INIT COOKIE; IKEv2 IKE_SA_INIT NO_PROPOSAL_CHOSEN",
        ),
        (1701, control(1), control(2), "l2tp", "SCCRQ; SCCRP"),
    ],
)
def test_others(port: int, request_: bytes, answer: bytes, word: str, detail: str) -> None:
    row = flow([to_server(request_, 0, port), to_server(request_, 1000, port), to_client(answer, 1030, port)])
    assert told(row) == (word, 2, True, 3, 0)
    assert (row["handshake_detail"], row["handshake_answer_ms"]) == (detail, 30)


def test_an_answer_to_another_session_is_none() -> None:
    other = b"\x40" + THEIRS + ECHO.replace(MINE, b"somebody")
    assert told(flow([to_server(PLAIN, 0, 1194), to_client(other, 9, 1194)]))[:3] == ("openvpn", 1, None)


def test_a_flood_is_counted_to_a_limit() -> None:
    row = flow([to_server(INITIATION, n) for n in range(MOST_MESSAGES + 50)])
    assert row["handshake_tries"] == MOST_MESSAGES


def test_what_spoke_first_stays() -> None:
    query = b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"
    row = flow([to_server(query, 0, 53), to_server(INITIATION, 5, 53)])
    assert (row["protocol"], row["handshake_protocol"]) == ("dns", None)


MESSAGES = [
    INITIATION,
    RESPONSE,
    COOKIE,
    DATA,
    STRANGER,
    PLAIN,
    b"\x40" + THEIRS + ECHO,
    INIT,
    b"junk" * 9,
    b"\x40" + bytes(30),
]


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([51820, 443, 500, 53]), st.sets(st.integers(1, 39), max_size=8))
def test_no_cut_changes_anything(seed: int, port: int, cuts: set[int]) -> None:
    dice = random.Random(seed)  # noqa: S311 - order of a test
    packets = [dice.choice((to_server, to_client))(dice.choice(MESSAGES), 10 * n, port) for n in range(40)]
    assert flow(packets, cuts) == flow(packets)

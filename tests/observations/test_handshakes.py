"""Flow columns of handshakes over TCP, and of first packets that nothing names."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

from forensics.observations.collector import Asked
from forensics.observations.handshakes import HandshakeCollector
from tests.flows.made import ACK, PSH, Talk, flow
from tests.protocols.test_openings import HANDSHAKES

SECRET = random.Random(3).randbytes(300)  # noqa: S311 - bytes of a test


def spoken(client: bytes, server: bytes = b"", tries: int = 1) -> dict[str, Any]:
    made = Talk().shake()
    for _ in range(tries):
        made.c(ACK | PSH, 1, 1, data=client)
    if server:
        made.s(ACK | PSH, 1, 1 + len(client), data=server)
    return flow(made.packets)


@pytest.mark.parametrize(("client", "server", "word", "detail"), HANDSHAKES)
def test_answered(client: bytes, server: bytes, word: str, detail: str) -> None:
    row = spoken(client, server)
    assert (row["handshake_protocol"], row["handshake_detail"]) == (word, detail or None)
    assert (row["handshake_frame"], row["handshake_frames"], row["handshake_tries"]) == (4, [4], 1)
    assert (row["handshake_answered"], row["handshake_answer_frame"], row["handshake_answer_ms"]) == (
        True,
        5,
        None if detail == "shortlink" else 10,
    )
    assert (row["handshake_open_tries"], row["handshake_open_frames"]) == (0, None)
    assert (row["protocol"], row["protocol_source"]) == (word, "handshake")
    assert row["first_packet_bits"] is None


@pytest.mark.parametrize(("client", "server", "word", "detail"), HANDSHAKES[:1] + HANDSHAKES[6:9])
def test_silence(client: bytes, server: bytes, word: str, detail: str) -> None:
    del server, detail
    row = spoken(client, tries=3)
    assert (row["handshake_protocol"], row["handshake_answered"], row["handshake_tries"]) == (word, False, 3)
    assert row["handshake_open_frames"] == [4, 5, 6]


def test_other_bytes_are_neither_an_answer_nor_silence() -> None:
    row = spoken(HANDSHAKES[0][0], b"HTTP/1.1 403 Forbidden\r\n\r\n")
    assert (row["handshake_answered"], row["handshake_answer_frame"]) == (None, None)
    assert row["handshake_open_tries"] == 1


def test_fully_encrypted() -> None:
    row = spoken(SECRET, SECRET[::-1])
    assert (row["protocol"], row["protocol_source"], row["protocol_possible"]) == (None, None, "mtproto")
    assert (row["first_packet_bytes"], row["first_packet_exempt"]) == (300, False)
    assert row["first_packet_bits"] == pytest.approx(sum(byte.bit_count() for byte in SECRET) / 300)


def test_a_server_that_speaks_tls_names_the_flow() -> None:
    row = spoken(SECRET, b"\x16\x03\x03\x00\x4a\x02\x00\x00\x46\x03\x03" + bytes(70))
    assert row["protocol"] == "tls"
    assert row["first_packet_bits"] is None


def test_rows_come_only_from_others() -> None:
    with pytest.raises(KeyError):
        HandshakeCollector(Asked()).rows("flow", None)  # type: ignore[arg-type]


def test_types_are_those_of_the_dictionary() -> None:
    from forensics.observations.dictionary import FLOW  # noqa: PLC0415 - of this test only

    assert FLOW.column("handshake_frames").dtype == pl.List(pl.Int64)
    assert FLOW.column("handshake_frame").role == "handshake"

from __future__ import annotations

import pytest

from forensics.flows.arrays import NEVER
from forensics.observations.dictionary import FLOW, QUIC
from forensics.observations.dictionary.quic import FLOW_QUIC
from forensics.observations.quic_connection import Seen
from forensics.observations.quic_conversation import Conversation, KeyRing
from forensics.observations.quic_rows import FLOW_NAMES, Counted, facts, fingerprint
from pcaps.generate.quic_samples import CLIENT_V1, DCID, SCID, SERVER_V1
from tests.protocols.quic_seal import initial
from tests.protocols.test_quic_google import CHLO, public, stream_frame

NOTHING = Counted(0, 0, NEVER, -1, NEVER, 0, 0, NEVER, -1, 0, 0, NEVER, 0)
BY_CAPTURE = {
    "flow",
    "proto",
    "stream",
    "client",
    "client_port",
    "server",
    "server_port",
    "connection",
    "ja4",
    "datagrams_not_read",
}


def counted(  # noqa: PLR0913 - the fields of the result
    packets=1, first=(1, 0), last=(1, 0), short=(0, NEVER, -1), after=(0, 0, NEVER), unanswered=0
):
    return Counted(packets, 1200 * packets, first[0], last[0], first[1], last[1], *short, *after, unanswered)


def spoken(*told, gap=10_000_000):
    conversation = Conversation(KeyRing())
    for place, (side, data) in enumerate(told):
        conversation.take(Seen(side, data, len(data), place + 1, place * gap))
    return conversation.connections[0]


def test_every_column_of_the_dictionary_is_told():
    one = facts(spoken((0, CLIENT_V1)), 0, counted(), NOTHING, google=False)
    assert set(one) | BY_CAPTURE == set(QUIC.schema())
    assert set(FLOW_NAMES.values()) <= set(one)
    merged = {"quic_sni", "quic_alpn"}
    assert set(FLOW_NAMES) - merged | {"quic_connections"} == {column.name for column in FLOW_QUIC}
    assert {column.name for column in FLOW_QUIC} <= set(FLOW.schema())


def test_a_client_that_nobody_answers():
    tries = [initial(b"\x01", key_dcid=DCID, number=n) for n in range(3)]
    connection = spoken((0, CLIENT_V1), *((0, data) for data in tries), gap=1_000_000_000)
    client = counted(4, last=(4, 3_000_000_000), after=(3, 3600, 10**9), unanswered=4)
    one = facts(connection, 0, client, NOTHING, google=False)
    assert one["sni"] == "example.com"
    assert one["alpn"] == ["alpn"]
    assert one["client_hello_frame"] == 1
    assert one["initials_to_server"] == 4
    assert one["initial_frames"] == [1, 2, 3, 4]
    assert (one["initial_tries"], one["initial_span_ms"]) == (4, 3000.0)
    assert one["server_reply"] == []
    assert one["server_frame"] is None
    assert one["packets_to_client"] == 0
    assert one["last_to_client_frame"] is None
    assert one["reply_ms"] is None
    assert one["to_client_silent_ms"] == 3000.0
    assert one["to_server_silent_ms"] == 0.0
    assert one["unanswered_to_server"] == 4
    assert not one["established"]
    assert one["server_cid"] is None
    assert one["versions_offered"] is None


def test_what_the_server_sent_in_order():
    connection = spoken((0, CLIENT_V1), (1, SERVER_V1))
    client = counted(3, last=(9, 90), short=(1, 5, 9), after=(2, 100, 50))
    server = counted(3, first=(2, 7_000_000), last=(6, 60), short=(1, 3, 3), after=(3, 300, 7_000_000))
    one = facts(connection, 0, client, server, google=False)
    assert one["server_reply"] == ["initial", "short"]
    assert one["server_cid"] == SCID.hex()
    assert one["reply_ms"] == 7.0
    # the server's only short header came before the client had answered
    assert one["established"] is False
    later = counted(3, first=(2, 7), last=(6, 60), short=(2, 3, 6))
    assert facts(connection, 0, client, later, google=False)["established"] is True


@pytest.mark.parametrize(("short", "established"), [(1, False), (2, True)])
def test_up_to_q043_a_client_that_was_answered_leaves_its_version_out(short, established):
    connection = spoken((0, public(b"Q043", stream_frame(CHLO))))
    client = counted(short, short=(short, 1, short))
    one = facts(connection, 0, client, counted(short=(1, 2, 2)), google=True)
    assert one["established"] is established
    assert one["short_to_server"] == short - 1
    assert one["user_agent"] == "Chrome/62\\x20x"
    assert one["sni"] == "www.example.com"
    assert one["alpn"] is None
    assert fingerprint(connection) is None


def test_fingerprint_of_a_hello():
    made = fingerprint(spoken((0, CLIENT_V1)))
    # q: QUIC, 13: TLS 1.3, d: a server name; two suites, eleven extensions; protocol "alpn"
    assert made is not None
    assert made.startswith("q13d0211an_")

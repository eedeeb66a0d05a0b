from __future__ import annotations

import random

import pytest

from forensics.observations.quic_connection import Seen, Way
from forensics.observations.quic_conversation import (
    MOST_CONNECTIONS,
    MOST_OPENED,
    Conversation,
    KeyRing,
)
from forensics.protocols.quic import V2, version_text
from forensics.protocols.quic_keys import InitialKeys
from pcaps.generate.quic_samples import CLIENT_V1, CLIENT_V2, DCID, RETRY_V1, SCID, SERVER_FRAMES, SERVER_V1
from pcaps.generate.tls import client_hello
from tests.protocols.quic_seal import crypto, initial, long_header, negotiation, retry
from tests.protocols.test_quic_google import CHLO, CID, message, public, stream_frame

RNG = random.Random(7)  # noqa: S311 - reproducible bytes
LARGE = client_hello(RNG, b"large.example", post_quantum=True)[5:]
HELLO = client_hello(RNG, b"Example.ORG")[5:]
OTHER_HELLO = client_hello(RNG, b"other.example")[5:]
SERVER_ID, OTHER_ID = bytes(range(40, 48)), bytes(range(60, 70))
CLIENT, SERVER = 1, 0
"""Sides; the client is not side 0, so that a default cannot pass for it."""


def talk(*told: tuple[int, bytes], gap: int = 10_000_000) -> Conversation:
    """A conversation of these (side, datagram), one frame after another from 1 on."""
    conversation = Conversation(KeyRing())
    for place, (side, data) in enumerate(told):
        conversation.take(Seen(side, data, len(data), place + 1, place * gap))
    return conversation


def only(conversation: Conversation):
    assert len(conversation.connections) == 1
    return conversation.connections[0]


def test_the_packets_of_the_rfc():
    found = only(talk((CLIENT, CLIENT_V1), (SERVER, SERVER_V1)))
    assert (found.client, found.sure) == (CLIENT, True)
    assert found.hello is not None
    assert (found.hello.sni, found.hello.alpn) == ("example.com", ("alpn",))
    assert (found.hello_frames, found.hello_bytes) == ((1,), 241)
    assert (found.server_hello, found.cipher, found.server_hello_frame) == ("1.3", 0x1301, 2)
    mine, theirs = found.ways[CLIENT], found.ways[SERVER]
    assert (mine.dcid, mine.scid, mine.initials, mine.unread) == (DCID, b"", 1, 0)
    assert (theirs.scid, theirs.initials, theirs.kinds) == (SCID, 1, {"initial": 2})


def test_a_hello_of_many_frames_in_many_packets_that_come_in_reversed_order():
    pieces = [(at, LARGE[at : at + 90]) for at in range(0, len(LARGE), 90)]
    assert len(LARGE) > 1250
    cut = len(pieces) // 2
    scattered = [
        b"\x01".join(crypto(at, piece) + bytes(3) for at, piece in reversed(part))
        for part in (pieces[cut:], pieces[:cut])
    ]
    told = [
        (CLIENT, initial(payload, key_dcid=DCID, number=n)) for n, payload in enumerate(scattered, start=1)
    ]
    found = only(talk(*told))
    assert found.hello is not None
    assert found.hello.sni == "large.example"
    assert found.hello_frames == (1, 2)
    assert found.ways[CLIENT].tries == 1
    assert only(talk(*told, *told, gap=200_000_000)).ways[CLIENT].retransmitted == 2


def test_a_packet_beside_others_in_its_datagram():
    first = initial(crypto(0, HELLO), key_dcid=DCID, scid=SCID, size=600)
    datagram = first + long_header(1, DCID, SCID, bytes(100))
    answer = initial(SERVER_FRAMES, key_dcid=DCID, dcid=SCID, scid=SERVER_ID, client=False, size=0)
    answer += long_header(2, SCID, SERVER_ID, bytes(200)) + b"\x41" + SCID + bytes(30)
    found = only(talk((CLIENT, datagram), (SERVER, answer)))
    assert found.hello is not None
    assert found.ways[CLIENT].zero_rtt == 1
    assert set(found.ways[SERVER].kinds) == {"initial", "handshake", "short"}
    assert (found.ways[SERVER].handshakes, found.ways[SERVER].last_short) == (1, 2)
    assert found.server_hello == "1.3"


def test_later_initials_of_the_client_carry_other_ids_and_the_same_keys():
    ack = b"\x02\x00\x00\x00\x00"
    told = [
        (CLIENT, initial(crypto(0, HELLO), key_dcid=DCID)),
        (
            SERVER,
            initial(SERVER_FRAMES, key_dcid=DCID, dcid=b"", scid=SERVER_ID, client=False, size=0),
        ),
        (CLIENT, initial(ack, key_dcid=DCID, dcid=SERVER_ID, number=1)),
    ]
    found = only(talk(*told))
    assert (found.ways[CLIENT].initials, found.ways[CLIENT].unread) == (2, 0)
    assert found.ways[CLIENT].retransmitted == 0
    # the same where the capture holds one side only
    found = only(talk(told[0], told[2]))
    assert (found.ways[CLIENT].initials, found.ways[CLIENT].unread) == (2, 0)


def test_the_answer_may_be_captured_before_what_it_answers():
    found = only(talk((SERVER, SERVER_V1), (CLIENT, CLIENT_V1)))
    assert found.client == CLIENT
    assert (found.server_hello, found.server_hello_frame) == ("1.3", 1)
    assert [way.unread for way in found.ways] == [0, 0]


@pytest.mark.parametrize("own_id", [b"", SCID])
def test_keys_after_a_retry_follow_from_the_id_it_names(own_id):
    told = [
        (CLIENT, initial(crypto(0, HELLO), key_dcid=DCID, scid=own_id)),
        (SERVER, retry(own_id, SERVER_ID, b"token", DCID)),
        (CLIENT, initial(crypto(0, HELLO), key_dcid=SERVER_ID, scid=own_id, token=b"token", number=1)),
        (
            SERVER,
            initial(SERVER_FRAMES, key_dcid=SERVER_ID, dcid=own_id, scid=OTHER_ID, client=False, size=0),
        ),
        (
            CLIENT,
            initial(b"\x02\x00\x00\x00\x00", key_dcid=SERVER_ID, dcid=OTHER_ID, scid=own_id, token=b"token"),
        ),
    ]
    found = only(talk(*told))
    assert found.retry_genuine is True
    assert found.server_hello == "1.3"
    assert [way.unread for way in found.ways] == [0, 0]
    assert (found.ways[CLIENT].initials, found.ways[CLIENT].retransmitted) == (3, 0)
    assert found.ways[CLIENT].dcid == DCID
    assert found.ways[CLIENT].token is False
    assert list(found.ways[SERVER].kinds) == ["retry", "initial"]
    # a Retry that the capture does not hold
    found = only(talk(told[0], told[2], told[3]))
    assert found.server_hello == "1.3"
    assert "retry" not in found.ways[SERVER].kinds


def test_a_retry_of_one_who_did_not_see_the_initial_is_not_believed():
    hello = (CLIENT, initial(crypto(0, HELLO), key_dcid=DCID))
    found = only(talk(hello, (SERVER, retry(b"", SERVER_ID, b"token", OTHER_ID))))
    assert found.retry_genuine is False
    assert found.ways[SERVER].kinds == {"false_retry": 2}
    # the keys of the RFC's client fit the RFC's Retry
    assert only(talk((CLIENT, CLIENT_V1), (SERVER, RETRY_V1))).retry_genuine is True


def test_version_negotiation():
    forced = bytearray(initial(crypto(0, HELLO), key_dcid=DCID, scid=SCID))
    forced[1:5] = (0xBABABABA).to_bytes(4, "big")
    told = [
        (CLIENT, bytes(forced)),
        (SERVER, negotiation(SCID, DCID, 1, V2)),
        (CLIENT, initial(crypto(0, HELLO), key_dcid=OTHER_ID, scid=SERVER_ID)),
    ]
    found = only(talk(*told))
    assert found.client == CLIENT
    assert found.hello is not None
    assert found.offered == (1, V2)
    assert [version_text(version) for version in found.versions] == ["grease", "1"]
    assert found.version == 1
    # a client that spoke version 1 first, and starts over with other ids
    again = initial(crypto(0, HELLO), key_dcid=OTHER_ID, version=V2)
    found = only(talk((CLIENT, CLIENT_V1), (SERVER, negotiation(b"", DCID, V2)), (CLIENT, again)))
    assert found.versions == [1, V2]
    assert found.version == 1
    # one that does not echo the ids is anybody's
    found = only(talk((CLIENT, CLIENT_V1), (SERVER, negotiation(b"", OTHER_ID, V2))))
    assert found.offered == ()


def test_a_server_that_chooses_a_compatible_version_keeps_the_first_id():
    answer = initial(
        SERVER_FRAMES, key_dcid=DCID, dcid=b"", scid=SCID, version=V2, client=False, number=1, size=0
    )
    found = only(talk((CLIENT, CLIENT_V1), (SERVER, answer), (CLIENT, CLIENT_V2)))
    assert found.server_hello == "1.3"
    assert found.versions == [1, V2]
    assert found.version == 1
    assert [way.unread for way in found.ways] == [0, 0]


def test_two_connections_of_one_conversation():
    told = [
        (CLIENT, initial(crypto(0, HELLO), key_dcid=DCID)),
        (SERVER, SERVER_V1),
        (CLIENT, initial(crypto(0, OTHER_HELLO), key_dcid=OTHER_ID)),
        (SERVER, initial(SERVER_FRAMES, key_dcid=OTHER_ID, dcid=b"", scid=SCID, client=False, size=0)),
    ]
    first, second = talk(*told).connections
    assert first.hello is not None
    assert second.hello is not None
    assert [first.hello.sni, second.hello.sni] == ["example.org", "other.example"]
    assert [first.server_hello_frame, second.server_hello_frame] == [2, 4]
    assert [first.first_frame, second.first_frame] == [1, 3]


def test_connections_and_attempts_are_limited(monkeypatch):
    opened = []
    real = InitialKeys.open
    monkeypatch.setattr(InitialKeys, "open", lambda *args: opened.append(1) or real(*args))
    many = [
        (CLIENT, initial(crypto(0, HELLO), key_dcid=n.to_bytes(8, "big"), size=300)) for n in range(1, 200)
    ]
    conversation = talk(*many)
    assert len(conversation.connections) == MOST_CONNECTIONS
    assert conversation.left_out + sum(one.ways[CLIENT].initials for one in conversation.connections) == 199
    assert len(opened) == MOST_OPENED
    opened.clear()
    garbage = [(side, CLIENT_V1[:100] + bytes([n]) * 1100) for n in range(100) for side in (0, 1)]
    found = only(talk(*garbage))
    assert len(opened) == MOST_OPENED
    assert [way.unread for way in found.ways] == [100, 100]
    assert found.client == -1


def test_close_of_the_server():
    close = b"\x1c\x41\x28\x06\x04nope"
    answer = initial(close, key_dcid=DCID, dcid=b"", scid=SCID, client=False, size=0)
    found = only(talk((CLIENT, CLIENT_V1), (SERVER, answer)))
    assert found.close_code() == "crypto_40"
    assert (found.close_side, found.close_frame) == (SERVER, 2)
    assert found.close is not None
    assert found.close.reason == "nope"
    assert found.ways[SERVER].kinds == {"initial": 2, "close": 2}


def test_hello_retry_request():
    random_of_retry = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    body = b"\x03\x03" + random_of_retry + b"\x00\x13\x01\x00" + b"\x00\x06\x00\x2b\x00\x02\x03\x04"
    request = b"\x02" + len(body).to_bytes(3, "big") + body
    server_hello = SERVER_FRAMES[9:]
    assert server_hello[0] == 2
    told = [
        (CLIENT, initial(crypto(0, HELLO), key_dcid=DCID)),
        (SERVER, initial(crypto(0, request), key_dcid=DCID, dcid=b"", scid=SCID, client=False, size=0)),
        (CLIENT, initial(crypto(len(HELLO), OTHER_HELLO), key_dcid=DCID, dcid=SCID, number=1)),
        (
            SERVER,
            initial(
                crypto(len(request), server_hello),
                key_dcid=DCID,
                dcid=b"",
                scid=SCID,
                client=False,
                number=1,
                size=0,
            ),
        ),
    ]
    found = only(talk(*told[:2]))
    assert (found.hello_retry, found.server_hello_frame) == (True, -1)
    found = only(talk(*told))
    assert (found.server_hello, found.server_hello_frame) == ("1.3", 4)
    assert found.hello is not None
    assert found.hello.sni == "example.org"
    assert found.ways[CLIENT].retransmitted == 0


def test_what_the_server_repeats_long_after_the_client_went_on():
    hello = (CLIENT, initial(crypto(0, HELLO), key_dcid=DCID))
    flight = (SERVER, SERVER_V1 + long_header(2, b"", SCID, bytes(40)))
    finished = (CLIENT, long_header(2, SCID, b"", bytes(60)))
    assert only(talk(hello, flight, finished, flight, flight)).ways[SERVER].repeats == 0
    slow = talk(hello, flight, finished, flight, flight, flight, flight, gap=150_000_000)
    # the first answer took 150 ms: up to 300 ms after frame 3 nothing counts
    assert only(slow).ways[SERVER].repeats == 2


def test_hellos_of_google():
    for version, name in ((b"Q043", "Q043"), (b"Q035", "Q035")):
        order = "big" if name == "Q043" else "little"
        found = only(talk((CLIENT, public(version, stream_frame(CHLO, order=order)))))
        assert (found.client, version_text(found.version)) == (CLIENT, name)
        assert found.message is not None
        assert found.message.sni == "www.example.com"
        assert found.hello_frames == (1,)
    long = b"\xc3Q046\x50" + CID + b"\0\0\0\x01" + bytes(12) + stream_frame(CHLO)
    answer = b"\xc0Q046\x05" + CID + b"\x01" + bytes(12) + stream_frame(message(b"REJ", (b"STK", b"x")))
    found = only(talk((CLIENT, long), (SERVER, answer)))
    assert found.message is not None
    assert found.ways[CLIENT].dcid == CID
    assert found.ways[SERVER].kinds == {"initial": 2, "rej": 2}
    # its CRYPTO frame is of type 8
    hidden = initial(b"\x08" + crypto(0, CHLO)[1:], key_dcid=CID, version=0x51303530)
    found = only(talk((CLIENT, hidden)))
    assert found.message is not None
    assert version_text(found.version) == "Q050"


def test_hello_of_google_in_two_packets_and_what_comes_back():
    cut = [public(b"Q043", stream_frame(CHLO[:200])), public(b"Q043", stream_frame(CHLO[200:], 200))]
    negotiate = b"\x09" + CID + b"Q046Q039"
    reset = b"\x0a" + CID + message(b"PRST", (b"RNON", b"x"))
    found = only(talk((CLIENT, cut[1]), (CLIENT, cut[0]), (SERVER, negotiate), (SERVER, reset)))
    assert found.message is not None
    assert found.hello_frames == (1, 2)
    assert [version_text(version) for version in found.offered] == ["Q046", "Q039"]
    assert found.ways[SERVER].kinds == {"vn": 3, "reset": 4}


def test_messages_of_google_that_are_no_hello_and_no_answer():
    found = only(talk((CLIENT, public(b"Q043", stream_frame(message(b"XHLO", (b"SNI", b"a.example")))))))
    assert found.message is None
    assert found.hello_bytes == 0
    answer = b"\xc0Q046\x05" + CID + b"\x01" + bytes(12) + stream_frame(message(b"EVIL", (b"STK", b"x")))
    long = b"\xc3Q046\x50" + CID + b"\0\0\0\x01" + bytes(12) + stream_frame(CHLO)
    assert only(talk((CLIENT, long), (SERVER, answer))).ways[SERVER].kinds == {"initial": 2}


def test_what_is_no_quic_changes_nothing():
    for data in (
        b"\x00",
        b"\xc0\x00\x00\x00\x01\x15" + bytes(40),
        negotiation(SCID, DCID, 1),
        b"\x08" + CID + bytes(30),
        b"\x09" + CID + b"Q046Q043",
    ):
        assert talk((CLIENT, data)).connections == []
        assert only(talk((CLIENT, CLIENT_V1), (SERVER, data))).ways[SERVER] == Way()


def test_only_the_server_was_captured():
    found = only(talk((SERVER, SERVER_V1), (SERVER, long_header(2, b"", SCID, bytes(50)))))
    assert (found.client, found.ways[SERVER].initials, found.ways[SERVER].handshakes) == (-1, 1, 1)
    assert found.ways[SERVER].unread == 1


def test_an_initial_cut_by_the_capture_is_counted_not_read():
    conversation = Conversation(KeyRing())
    conversation.take(Seen(CLIENT, CLIENT_V1[:200], 1200, 1, 0))
    found = only(conversation)
    assert (found.ways[CLIENT].initials, found.ways[CLIENT].unread, found.hello) == (1, 1, None)


def test_what_is_held_is_counted_and_let_go():
    half = initial(crypto(0, LARGE[:900]), key_dcid=DCID)
    rest = initial(crypto(900, LARGE[900:]), key_dcid=DCID, number=1)
    conversation = talk((CLIENT, half))
    assert conversation.held() == 900
    conversation.let_go()
    assert conversation.held() == 0
    conversation.take(Seen(CLIENT, rest, len(rest), 2, 0))
    assert only(conversation).hello is None
    assert talk((CLIENT, half), (CLIENT, rest)).held() == 0
    assert talk((SERVER, SERVER_V1)).held() == len(SERVER_V1)
    assert talk((SERVER, SERVER_V1), (CLIENT, CLIENT_V1)).held() == 0


def test_keys_are_made_once_while_they_are_among_the_last():
    ring = KeyRing()
    first = ring.get(1, DCID, client=True)
    assert ring.get(1, DCID, client=True) is first
    assert ring.get(1, DCID, client=False) is not first
    for n in range(300):
        ring.get(1, n.to_bytes(8, "big"), client=True)
    assert ring.get(1, DCID, client=True) is not first

from __future__ import annotations

from forensics.observations.quic_connection import MOST_FRAMES, TRY_AFTER, Connection, Seen, Way
from forensics.protocols.quic import V1, Packet
from forensics.protocols.quic_frames import Close, CryptoStream
from pcaps.generate.quic_samples import CLIENT_FRAMES, DCID, SCID, SERVER_FRAMES
from tests.protocols.quic_seal import crypto

HELLO = CLIENT_FRAMES[4:]


def packet(kind="initial", *, version=V1, scid=b"", start=0):
    return Packet(kind, version, DCID, scid, b"", (), start, 18, 1200)


def seen(side=0, frame=1, time=0):
    return Seen(side, b"", 1200, frame, time)


def test_initials_close_to_each_other_are_one_try():
    way = Way()
    for frame, time in enumerate(
        [0, TRY_AFTER - 1, 2 * TRY_AFTER - 1, 2 * TRY_AFTER, 9 * TRY_AFTER], start=1
    ):
        way.note_initial(seen(frame=frame, time=time), packet())
    assert (way.initials, way.tries) == (5, 3)
    assert way.initial_times == [0, 9 * TRY_AFTER]
    assert way.initial_frames == [1, 2, 3, 4, 5]
    # two in one datagram, and a clock that steps back
    way.note_initial(seen(frame=5, time=0), packet())
    assert way.initial_frames == [1, 2, 3, 4, 5]
    assert way.initial_times == [0, 9 * TRY_AFTER]
    for frame in range(6, 100):
        way.note_initial(seen(frame=frame), packet())
    assert len(way.initial_frames) == MOST_FRAMES


def test_frames_of_a_hello_are_those_that_brought_something_new():
    one = Connection(1, client=0)
    for frame, payload in enumerate(
        [
            crypto(100, HELLO[100:150]),
            crypto(100, HELLO[100:150]),
            crypto(0, HELLO[:120]),
            crypto(140, HELLO[140:]),
        ],
        start=1,
    ):
        one.read(seen(frame=frame), packet(), payload)
    assert one.hello is not None
    assert one.hello.sni == "example.com"
    assert one.hello_frames == (1, 3, 4)
    assert one.ways[0].retransmitted == 1
    # the same again, and bytes after the hello
    one.read(seen(frame=5), packet(), crypto(20, HELLO[20:]))
    one.read(seen(frame=6), packet(), crypto(len(HELLO), b"more"))
    assert one.ways[0].retransmitted == 2
    assert one.hello_frames == (1, 3, 4)
    assert not one.conflict


def test_two_hellos_in_one_place():
    one = Connection(1, client=0)
    one.read(seen(), packet(), crypto(0, HELLO[:100]))
    one.read(seen(frame=2), packet(), crypto(50, b"another one"))
    assert one.conflict


def test_what_no_hello_begins_with_is_given_up():
    one = Connection(1, client=0)
    one.read(seen(), packet(), crypto(0, b"\x0b" + HELLO[1:]))
    assert one.hello is None
    assert one.held() == 0
    # a server that begins with something else than a ServerHello
    one.read(seen(side=1), packet(), crypto(0, HELLO))
    assert one.server_hello_frame == -1
    assert one.held() == 0
    broken = Connection(1, client=0)
    broken.read(seen(side=1), packet(), b"\x04")
    assert broken.ways[1].stream is None


def test_a_server_hello_in_two_packets():
    one = Connection(1, client=0)
    body = SERVER_FRAMES[9:]
    one.read(seen(side=1, frame=2), packet(), crypto(0, body[:50]))
    assert one.server_hello_frame == -1
    one.read(seen(side=1, frame=3), packet(), crypto(50, body[50:]))
    assert (one.server_hello, one.cipher, one.server_hello_frame) == ("1.3", 0x1301, 3)


def test_a_hello_ground_to_dust_costs_a_bounded_number_of_steps(monkeypatch):
    added = []
    real = CryptoStream.add
    monkeypatch.setattr(CryptoStream, "add", lambda *args: added.append(1) or real(*args))
    one = Connection(1, client=0)
    for frame in range(64):
        one.read(seen(frame=frame), packet(), b"".join(crypto(2 * at + frame, b"x") for at in range(200)))
    assert len(added) == 1024
    assert one.hello is None


def test_names_of_errors():
    one = Connection(1)
    assert one.close_code() is None
    one.close = Close(2, application=False, reason="")
    assert one.close_code() == "connection_refused"
    one.close = Close(0x10C, application=True, reason="")
    assert one.close_code() == "application_0x10c"


def test_what_every_packet_tells():
    one = Connection(1, client=0)
    one.note(seen(side=1, frame=4, time=5), packet("handshake", scid=SCID))
    one.note(seen(side=1, frame=4, time=5), packet("short", version=0, start=500))
    one.note(seen(side=1, frame=6, time=9), packet("handshake", scid=SCID))
    way = one.ways[1]
    assert way.kinds == {"handshake": 4, "short": 4}
    assert (way.moved_on, way.moved_on_time, way.last_short, way.first_time) == (4, 5, 4, 5)
    assert way.ids == [SCID]
    assert one.versions == [V1]
    for version in range(100, 200):
        one.note(seen(), packet(version=version))
    assert len(one.versions) == 8


def test_what_hides_the_name_is_told_and_the_extensions_are_not_kept():
    # a hello with encrypted_client_hello (RFC 9849): type outer, HKDF-SHA256, AES-128-GCM, number 7, 32 and 100 bytes
    ech = b"\x00\x00\x01\x00\x01\x07\x00\x20" + bytes(32) + b"\x00\x64" + bytes(100)
    extension = b"\xfe\x0d" + len(ech).to_bytes(2, "big") + ech
    block = HELLO[-192:]
    assert int.from_bytes(HELLO[-194:-192], "big") == len(block)
    block += extension
    body = HELLO[4:-194] + len(block).to_bytes(2, "big") + block
    one = Connection(1, client=0)
    one.read(seen(), packet(), crypto(0, b"\x01" + len(body).to_bytes(3, "big") + body))
    assert one.ech == "outer"
    assert one.hello is not None
    assert one.hello.sni == "example.com"
    assert one.hello.block == b""
